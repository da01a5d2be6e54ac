//! Graceful shutdown: no new connections, every running request answered, then the rest is closed. Room: http.

use std::{
    future::{Future, pending, poll_fn},
    io,
    net::SocketAddr,
    task::Poll,
    time::Duration,
};

use axum::{
    extract::{Request, State},
    http::{HeaderValue, Version, header::CONNECTION},
    middleware::Next,
    response::Response,
    serve::Listener,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// How long open connections may send one more request after the signal, since their clients cannot know about it yet.
/// The response says that it is the last one.
const DRAIN_TIME: Duration = Duration::from_millis(500);

/// A shutdown signal. All clones share it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// A shutdown that is triggered when `stop` resolves.
    pub fn on(stop: impl Future<Output = ()> + Send + 'static) -> Self {
        let shutdown = Self::default();
        let token = shutdown.0.clone();
        tokio::spawn(async move {
            stop.await;
            token.cancel();
        });
        shutdown
    }

    /// Triggers the shutdown.
    pub fn trigger(&self) {
        self.0.cancel();
    }

    /// Whether the shutdown has been triggered.
    pub fn is_triggered(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Resolves when the shutdown is triggered.
    pub async fn triggered(&self) {
        self.0.cancelled().await;
    }

    /// Resolves when idle connections may be closed, after clients had time for one more request.
    pub(super) async fn drained(&self, grace: Duration) {
        self.triggered().await;
        tokio::time::sleep(DRAIN_TIME.min(grace / 2)).await;
    }
}

/// A listener that, on shutdown, accepts the queued connections and then closes.
pub(super) struct DrainingListener {
    listener: Option<TcpListener>,
    address: SocketAddr,
    shutdown: Shutdown,
}

impl DrainingListener {
    pub(super) fn new(listener: TcpListener, shutdown: Shutdown) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self { listener: Some(listener), address, shutdown })
    }

    /// Accepts a connection that is already queued.
    async fn accept_pending(&self) -> Option<(TcpStream, SocketAddr)> {
        let listener = self.listener.as_ref()?;
        poll_fn(|context| {
            Poll::Ready(match listener.poll_accept(context) {
                Poll::Ready(Ok(connection)) => Some(connection),
                _ => None,
            })
        })
        .await
    }
}

impl Listener for DrainingListener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        if let Some(listener) = &mut self.listener
            && !self.shutdown.is_triggered()
        {
            tokio::select! {
                connection = Listener::accept(listener) => return connection,
                () = self.shutdown.triggered() => {}
            }
        }
        match self.accept_pending().await {
            Some(connection) => connection,
            None => {
                // From here on the operating system refuses connections.
                self.listener = None;
                pending().await
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// During shutdown, a response is the last one on its connection and announces that.
pub(super) async fn add_connection_close(
    State(shutdown): State<Shutdown>,
    request: Request,
    next: Next,
) -> Response {
    // HTTP/2 has a frame for that, which hyper sends.
    let is_http1 = request.version() <= Version::HTTP_11;
    let mut response = next.run(request).await;
    if is_http1 && shutdown.is_triggered() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
