//! Messages to the client: replaces the tickets of async-graphql-axum by the payloads that wait for them.
//! Room: http/socket.

use std::time::Duration;

use async_graphql::futures_util::{SinkExt, stream::SplitSink};
use axum::extract::ws::{Message, WebSocket};
use serde::Deserialize;
use tokio::{
    sync::{
        mpsc::{Receiver, Sender, error::SendError},
        watch,
    },
    time::timeout,
};

use super::messages::{Close, subscription_message};

/// A JSON payload for a subscription.
#[derive(Clone, Debug)]
pub(super) enum Payload {
    /// A GraphQL response.
    Next(String),
    /// A list of errors, which ends the subscription.
    Error(String),
}

/// The payload that waits for its ticket. There is one at a time: each is sent before the session continues, which
/// keeps the order across subscriptions and applies backpressure from a client that does not read.
#[derive(Clone)]
pub(super) struct Outbox(watch::Sender<Option<Payload>>);

impl Outbox {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Sends `payload` for the subscription of `tickets`.
    ///
    /// # Errors
    /// When the library has dropped the subscription.
    pub(super) async fn send(&self, tickets: &Sender<()>, payload: Payload) -> Result<(), SendError<()>> {
        self.0.send_replace(Some(payload));
        tickets.send(()).await?;
        // It cannot fail, because `self` holds the sender.
        let _ = self.0.subscribe().wait_for(Option::is_none).await;
        Ok(())
    }

    fn pending(&self) -> Option<Payload> {
        self.0.borrow().clone()
    }

    fn sent(&self) {
        self.0.send_replace(None);
    }
}

/// A message from async-graphql-axum.
#[derive(Deserialize)]
struct LibraryMessage {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
}

/// Sends to the client.
pub(super) struct Outbound {
    pub(super) sink: SplitSink<WebSocket, Message>,
    /// Messages from the library, and pings.
    pub(super) messages: Receiver<Message>,
    pub(super) outbox: Outbox,
    /// How long sending a message to the client may take.
    pub(super) send_timeout: Duration,
}

impl Outbound {
    /// Sends until the client is gone (`None`) or the library closes, which accepted messages never cause.
    pub(super) async fn run(&mut self) -> Option<Close> {
        while let Some(message) = self.messages.recv().await {
            let Ok(message) = translate(message, self.outbox.pending()) else {
                return Some(Close::new(1011, "Internal error"));
            };
            let Some((message, from_outbox)) = message else { continue };
            if !matches!(timeout(self.send_timeout, self.sink.send(message)).await, Ok(Ok(()))) {
                return None;
            }
            if from_outbox {
                self.outbox.sent();
            }
        }
        None
    }
}

/// The message for the client, if there is one, and whether it comes from the outbox.
///
/// # Errors
/// If the library closes or writes an unexpected message.
fn translate(message: Message, pending: Option<Payload>) -> Result<Option<(Message, bool)>, ()> {
    let text = match &message {
        Message::Text(text) => text,
        Message::Close(_) => return Err(()),
        _ => return Ok(Some((message, false))),
    };
    let parsed: LibraryMessage = serde_json::from_str(text.as_str()).map_err(|_| ())?;
    match (parsed.kind.as_str(), &parsed.id, pending) {
        ("next", Some(id), Some(Payload::Next(json))) => {
            Ok(Some((subscription_message(id, "next", &json), true)))
        }
        ("next", Some(id), Some(Payload::Error(json))) => {
            Ok(Some((subscription_message(id, "error", &json), true)))
        }
        ("next", ..) => Err(()),
        // A subscription ends by an error or by its client; the library's own `complete` after that is dropped.
        ("complete", ..) => Ok(None),
        _ => Ok(Some((message, false))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_become_what_waits() {
        let sent = |text: &str, pending: Option<Payload>| translate(Message::text(text.to_owned()), pending);
        let next = r#"{"type":"next","id":"s","payload":{"data":null}}"#;
        let payload = |error: bool| {
            let json = "[1]".to_owned();
            Some(if error { Payload::Error(json) } else { Payload::Next(json) })
        };
        let expected = |kind: &str| Ok(Some((subscription_message("s", kind, "[1]"), true)));
        assert_eq!(sent(next, payload(false)), expected("next"));
        assert_eq!(sent(next, payload(true)), expected("error"));
        assert_eq!(sent(next, None), Err(()));
        assert_eq!(sent(r#"{"type":"complete","id":"s"}"#, payload(false)), Ok(None));
        for plain in [r#"{"type":"connection_ack"}"#, r#"{"type":"pong"}"#] {
            assert_eq!(sent(plain, payload(false)), Ok(Some((Message::text(plain.to_owned()), false))));
        }
        assert_eq!(sent("{}", None), Err(()));
        assert_eq!(translate(Close::new(1002, "x").frame(), None), Err(()));
    }

    #[tokio::test]
    async fn one_message_waits_until_it_is_sent() {
        let (outbox, (tickets, mut issued)) = (Outbox::new(), tokio::sync::mpsc::channel(1));
        let sending = outbox.send(&tickets, Payload::Next("1".to_owned()));
        let taking = async {
            issued.recv().await.unwrap();
            tokio::task::yield_now().await;
            assert!(matches!(outbox.pending(), Some(Payload::Next(json)) if json == "1"));
            outbox.sent();
        };
        assert!(tokio::join!(sending, taking).0.is_ok() && outbox.pending().is_none());
        drop(issued);
        assert!(outbox.send(&tickets, Payload::Error("2".to_owned())).await.is_err());
    }
}
