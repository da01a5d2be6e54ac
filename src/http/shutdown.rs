//! The end of a server: no new connection, every request under way answered, then the rest is closed. Room: http.

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

/// How long connections that are open at the end may send one more request: their client cannot know yet. Its answer says that
/// it was the last one.
const DRAIN_TIME: Duration = Duration::from_millis(500);

/// Tells everybody that the server ends. All clones tell of the same end.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// An end that begins when `stop` resolves.
    pub fn at(stop: impl Future<Output = ()> + Send + 'static) -> Self {
        let ending = Self::default();
        let token = ending.0.clone();
        tokio::spawn(async move {
            stop.await;
            token.cancel();
        });
        ending
    }

    /// Begins the end.
    pub fn begin(&self) {
        self.0.cancel();
    }

    /// Whether it has begun.
    pub fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Resolves when it begins.
    pub async fn begun(&self) {
        self.0.cancelled().await;
    }

    /// Resolves when connections that are idle still may be closed: clients had time for one more request.
    pub(super) async fn lingered(&self, grace: Duration) {
        self.begun().await;
        tokio::time::sleep(DRAIN_TIME.min(grace / 2)).await;
    }
}

/// A listener that ends with the server: it takes who is waiting already, and closes.
pub(super) struct Closing {
    listener: Option<TcpListener>,
    address: SocketAddr,
    ending: Shutdown,
}

impl Closing {
    pub(super) fn new(listener: TcpListener, ending: Shutdown) -> io::Result<Self> {
        let address = listener.local_addr()?;
        Ok(Self { listener: Some(listener), address, ending })
    }

    /// Who has connected already and was not taken yet.
    async fn waiting(&self) -> Option<(TcpStream, SocketAddr)> {
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

impl Listener for Closing {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        if let Some(listener) = &mut self.listener
            && !self.ending.has_begun()
        {
            tokio::select! {
                connection = Listener::accept(listener) => return connection,
                () = self.ending.begun() => {}
            }
        }
        match self.waiting().await {
            Some(connection) => connection,
            None => {
                // From here on connections are refused by the system.
                self.listener = None;
                pending().await
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// While the server ends, an answer is the last one on its connection, and says so.
pub(super) async fn farewell(State(ending): State<Shutdown>, request: Request, next: Next) -> Response {
    // HTTP/2 has a frame for it, which the server sends by itself.
    let told_by_header = request.version() <= Version::HTTP_11;
    let mut response = next.run(request).await;
    if told_by_header && ending.has_begun() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
