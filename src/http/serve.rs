//! Connections: limits on their number and slowness, and graceful shutdown. Room: http.

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

/// Maximum size of a request head, including the URL.
const MAX_HEADER_BYTES: usize = 128 * 1024;
/// Maximum streams of one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
/// The response to a connection beyond the limit. It is sent before anything is read.
const TOO_MANY_CONNECTIONS: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncache-control: no-store\r\n\
                          connection: close\r\ncontent-length: 0\r\n\r\n";

/// Serves `router` within `limits` until `shutdown` is triggered. From then on new connections are refused, open ones
/// get a last response that says so, and after `grace` at the latest the function returns. A failed accept is retried.
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
    let header_timeout = Duration::from_secs(limits.header_seconds);
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
        tracing::warn!("requests were still running when the grace period ended");
    }
    Ok(())
}

fn builder(header_timeout: Duration) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // Applies between requests too, so it is also the idle timeout.
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
    /// Serves the connection. Its first request must begin within `header_timeout`: before that the protocol is
    /// unknown, and hyper has no timeout for that phase.
    async fn serve(
        self,
        builder: Arc<Builder<TokioExecutor>>,
        header_timeout: Duration,
        permit: OwnedSemaphorePermit,
    ) {
        // Responses are written at once, so waiting for more data gains nothing.
        let _ = self.stream.set_nodelay(true);
        let has_request = Arc::new(AtomicBool::new(false));
        let inner = TowerToHyperService::new(self.router);
        let service = PeerService { inner, peer: self.peer, has_request: has_request.clone() };
        let served = builder.serve_connection_with_upgrades(TokioIo::new(self.stream), service);
        let mut served = pin!(self.watcher.watch(served.into_owned()));
        // The way in which a connection ends does not matter.
        if tokio::time::timeout(header_timeout, &mut served).await.is_err()
            && has_request.load(Ordering::Relaxed)
        {
            let _ = served.await;
        }
        drop(permit);
    }
}

/// A service that records its first request and adds the peer address to every request.
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

/// Rejects a connection beyond the limit, as far as possible without waiting.
fn reject_connection(stream: TcpStream) {
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(TOO_MANY_CONNECTIONS);
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
}
