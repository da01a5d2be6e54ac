//! The executor for async-graphql-axum: hands each subscription to the session and gets tickets. Room: http/socket.

use std::sync::Arc;

use async_graphql::{
    Data, Executor, Request, Response, ServerError, Value,
    futures_util::stream::{BoxStream, StreamExt, unfold},
};
use tokio::sync::mpsc::{Receiver, Sender, UnboundedSender, channel};

/// A subscription that the library asks the session to run.
pub(super) struct SubscribeRequest {
    pub(super) request: Request,
    /// Each `()` becomes one ticket for the payload in the outbox.
    pub(super) tickets: Sender<()>,
}

/// Hands subscriptions to the session of the connection.
///
/// A response is only a ticket: the JSON from the engine waits in the outbox, so no value is parsed and serialised a
/// second time.
#[derive(Clone)]
pub(super) struct Subscriptions(pub(super) UnboundedSender<SubscribeRequest>);

impl Executor for Subscriptions {
    /// Never called: a connection only runs subscriptions.
    async fn execute(&self, _: Request) -> Response {
        Response::from_errors(vec![ServerError::new("a WebSocket is for subscriptions", None)])
    }

    fn execute_stream(&self, request: Request, _: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        let (tickets, waiting) = channel(1);
        // Without a session the sender is dropped, and the stream ends at once.
        let _ = self.0.send(SubscribeRequest { request, tickets });
        let next = async |mut waiting: Receiver<()>| {
            waiting.recv().await.map(|()| (Response::new(Value::Null), waiting))
        };
        unfold(waiting, next).boxed()
    }
}
