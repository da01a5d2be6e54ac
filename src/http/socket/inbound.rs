//! Client messages: checks the rules of the protocol and our own before async-graphql-axum sees them.
//! Room: http/socket.
//!
//! Accepted messages are serialised again from their parsed form, so no message can be parsed in two ways.

use axum::{extract::ws::Message, http::HeaderMap};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    messages::{Close, Incoming, parse},
    session::{Authenticated, End, Session, SessionResult, actor, close_for},
};
use crate::{
    base::error::{Code, Error},
    graphql::Request,
    http::graphql::log_refusal,
};

impl Session {
    /// Handles a message of the client.
    pub(super) async fn message(&mut self, message: Message) -> SessionResult {
        self.last_received = Instant::now();
        self.messages = self.messages.saturating_add(1);
        if self.messages > self.limits().messages {
            return Err(Close::new(1008, "too many messages").into());
        }
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(Close::bad("messages are texts").into()),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(End::Disconnected),
        };
        match parse(text.as_str())? {
            Incoming::Init(head) => self.init(head).await,
            Incoming::Ping => self.forward(&json!({ "type": "ping" })).await,
            Incoming::Pong => Ok(()),
            Incoming::Subscribe(id, request) => self.forward_subscribe(id, request).await,
            Incoming::Complete(id) => self.complete(id).await,
        }
    }

    async fn init(&mut self, head: HeaderMap) -> SessionResult {
        if self.authenticated.is_some() {
            return Err(Close::new(4429, "Too many initialisation requests").into());
        }
        let actor = match actor(&self.shared, &head).await {
            Ok(actor) => actor,
            Err(error) => {
                log_refusal(&error, None, &self.id);
                return Err(close_for(&error).into());
            }
        };
        let Some(permit) = self.shared.sockets.acquire(&actor.id) else {
            let message = "too many connections of this credential";
            log_refusal(&Error::new(Code::RateLimited, message), Some(&actor.id), &self.id);
            return Err(Close::new(1013, message).into());
        };
        self.authenticated = Some(Authenticated {
            head,
            actor_id: actor.id,
            subscriptions: Vec::new(),
            feed: self.shared.app.db.feed.subscribe(),
            permit,
        });
        self.last_active = Instant::now();
        self.forward(&json!({ "type": "connection_init" })).await
    }

    /// Forwards a subscription with an unused id, and starts it when the library hands it back.
    async fn forward_subscribe(&mut self, id: String, request: Request) -> SessionResult {
        let Some(authenticated) = &self.authenticated else {
            return Err(Close::new(4401, "Unauthorized").into());
        };
        if authenticated.subscriptions.iter().any(|active| active.id == id) {
            return Err(Close::new(4409, format!("Subscriber for {id} already exists")).into());
        }
        let Request { query, operation_name, variables, .. } = request;
        let payload = json!({ "query": query, "operationName": operation_name, "variables": variables });
        self.forward(&json!({ "type": "subscribe", "id": id, "payload": payload })).await?;
        let request = self.channels.requests.recv().await.ok_or(End::Disconnected)?;
        self.subscribe(id, request).await
    }

    async fn complete(&mut self, id: String) -> SessionResult {
        let Some(authenticated) = &mut self.authenticated else { return Ok(()) };
        authenticated.subscriptions.retain(|active| active.id != id);
        self.last_active = Instant::now();
        self.forward(&json!({ "type": "complete", "id": id })).await
    }

    /// Forwards a message to the library.
    async fn forward(&mut self, message: &Value) -> SessionResult {
        let message = Message::text(message.to_string());
        self.channels.inbound.send(Ok(message)).await.map_err(|_| End::Disconnected)
    }
}
