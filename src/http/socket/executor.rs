//! What async-graphql-axum executes: it hands each subscription to the session, and gets tickets. Room: http/socket.

use std::sync::Arc;

use async_graphql::{
    Data, Executor, Request, Response, ServerError, Value,
    futures_util::stream::{BoxStream, StreamExt, unfold},
};
use tokio::sync::mpsc::{Receiver, Sender, UnboundedSender, channel};

/// A subscription that the library asks the session to run.
pub(super) struct SubscribeRequest {
    pub(super) request: Request,
    /// Each `()` makes one ticket for what waits in the outbox.
    pub(super) tickets: Sender<()>,
}

/// Hands subscriptions to the session of the connection.
///
/// A response is only a ticket: the JSON that the engine wrote waits in the outbox, so that no value is parsed and
/// written a second time.
#[derive(Clone)]
pub(super) struct Subscriptions(pub(super) UnboundedSender<SubscribeRequest>);

impl Executor for Subscriptions {
    /// Never asked: a connection is for subscriptions alone.
    async fn execute(&self, _: Request) -> Response {
        Response::from_errors(vec![ServerError::new("a WebSocket is for subscriptions", None)])
    }

    fn execute_stream(&self, request: Request, _: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        let (tickets, waiting) = channel(1);
        // Without a session nobody has the sender, and the stream ends at once.
        let _ = self.0.send(SubscribeRequest { request, tickets });
        let next = async |mut waiting: Receiver<()>| {
            waiting.recv().await.map(|()| (Response::new(Value::Null), waiting))
        };
        unfold(waiting, next).boxed()
    }
}
