//! Connections: as many as there may be, none slower than it may be, and an orderly end. Room: http.

use std::{
    io::{self, Write},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::Request, middleware, serve::Listener};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::pages::Peer;
use crate::base::limits::Limits;
use crate::http::shutdown::{self, DrainingListener, Shutdown};

/// Longest head of a request, its address included.
const MAX_HEADER_BYTES: usize = 128 * 1024;
/// Streams of one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// What a connection is told that is one too many. It asks for nothing yet: nothing is read.
const TOO_MANY_CONNECTIONS: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncache-control: no-store\r\n\
                          connection: close\r\ncontent-length: 0\r\n\r\n";

/// Serves `router` within `limits` until `ending` begins. From then on nobody can connect, who has connected is answered (and
/// told that it is the last answer), and after `grace` at the latest it is over. Connections that cannot be accepted are tried
/// again.
///
/// # Errors
/// From the listener.
pub async fn serve_within(
    listener: TcpListener,
    router: Router,
    limits: &Limits,
    shutdown: Shutdown,
    grace: Duration,
) -> io::Result<()> {
    let mut listener = DrainingListener::new(listener, shutdown.clone())?;
    let router =
        router.layer(middleware::from_fn_with_state(shutdown.clone(), shutdown::add_connection_close));
    let connections =
        Arc::new(Semaphore::new(usize::try_from(limits.connections).unwrap_or(usize::MAX >> 3)));
    let header_timeout = Duration::from_secs(limits.head_seconds);
    let builder = Arc::new(builder(header_timeout));
    let graceful = GracefulShutdown::new();
    let mut drained = pin!(shutdown.drained(grace));
    loop {
        let (stream, address) = tokio::select! {
            () = &mut drained => break,
            accepted = listener.accept() => accepted,
        };
        match connections.clone().try_acquire_owned() {
            Ok(permit) => {
                let peer = Peer(address.ip());
                let connection =
                    Connection { stream, peer, router: router.clone(), watcher: graceful.watcher() };
                tokio::spawn(connection.serve(builder.clone(), header_timeout, permit));
            }
            Err(_) => reject_connection(stream),
        }
    }
    drop(listener);
    if tokio::time::timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests were still under way when the time to stop was over");
    }
    Ok(())
}

fn builder(header_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Between requests too: it is how long a connection may be idle.
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_buf_size(MAX_HEADER_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(header_timeout)
        .keep_alive_timeout(header_timeout)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(64 * 1024);
    builder
}

struct Connection {
    stream: TcpStream,
    peer: Peer,
    router: Router,
    watcher: Watcher,
}

impl Connection {
    /// Serves the connection. Its first request must begin within `patience`: which protocol it speaks is not known before,
    /// and hyper waits for that without end.
    async fn serve(
        self,
        builder: Arc<Builder<TokioExecutor>>,
        header_timeout: Duration,
        permit: OwnedSemaphorePermit,
    ) {
        // Answers are written at once: waiting for more to send gains nothing.
        let _ = self.stream.set_nodelay(true);
        let has_request = Arc::new(AtomicBool::new(false));
        let inner = TowerToHyperService::new(self.router);
        let service = PeerService { inner, peer: self.peer, has_request: has_request.clone() };
        let served = builder.serve_connection_with_upgrades(TokioIo::new(self.stream), service);
        let mut served = pin!(self.watcher.watch(served.into_owned()));
        // How a connection ends is its client's affair.
        if tokio::time::timeout(header_timeout, &mut served).await.is_err()
            && has_request.load(Ordering::Relaxed)
        {
            let _ = served.await;
        }
        drop(permit);
    }
}

/// A service that notices its first request, and tells each where it comes from.
struct PeerService<S> {
    inner: S,
    peer: Peer,
    has_request: Arc<AtomicBool>,
}

impl<B, S: hyper::service::Service<Request<B>>> hyper::service::Service<Request<B>> for PeerService<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn call(&self, mut request: Request<B>) -> S::Future {
        request.extensions_mut().insert(self.peer);
        self.has_request.store(true, Ordering::Relaxed);
        self.inner.call(request)
    }
}

/// Says that there are too many connections, as far as that can be said without waiting.
fn reject_connection(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(TOO_MANY_CONNECTIONS);
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
}
