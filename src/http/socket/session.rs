//! One connection from its first message to its close. Room: http/socket.
//!
//! One task does one thing at a time: it takes a message, tells a change, or looks whether everything still holds. Who does
//! not take what is told is waited for, and misses changes meanwhile; who writes never waits. A change that cannot be read now waits
//! for its subscription, and is tried again.

use std::collections::VecDeque;

use async_graphql::futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream, poll_fn},
};
use async_graphql_axum::{GraphQLProtocol, GraphQLWebSocket};
use axum::{
    extract::ws::{Message, WebSocket},
    http::HeaderMap,
};
use serde_json::Value;
use tokio::{
    sync::{
        broadcast::{Receiver, error::RecvError},
        mpsc,
    },
    time::{Duration, Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_util::sync::PollSender;

use super::{
    executor::{SubscribeRequest, Subscriptions},
    messages::Close,
    outbound::{Outbound, Outbox, Payload},
    places::{Place, SocketLimits},
};
use crate::{
    auth::actor::Actor,
    base::error::{Code, Error},
    db::change_feed::Change,
    graphql::{CostMeter, Request, Subscription, SubscriptionEvent, errors_for},
    http::{
        RequestId,
        graphql::{authenticate, log_refusal},
        headers,
        rate_limit::RateAccount,
        shared::Shared,
    },
    registry::ACCESS_TOKEN,
};

/// How long the client's own close is waited for.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// After how long what could not be told is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// Most changes that wait for one subscription.
const MAX_WAITING_CHANGES: usize = 1_024;

/// The way of messages from the client through async-graphql-axum and back.
pub(super) struct Channels {
    stream: SplitStream<WebSocket>,
    /// Well-formed messages for the library.
    pub(super) inbound: mpsc::Sender<Result<Message, axum::Error>>,
    /// Subscriptions from the library.
    pub(super) requests: mpsc::UnboundedReceiver<SubscribeRequest>,
    /// Pings for the client.
    pings: mpsc::Sender<Message>,
    outbox: Outbox,
}

pub(super) struct Session {
    pub(super) shared: Shared,
    pub(super) channels: Channels,
    pub(super) id: RequestId,
    pub(super) opened: Option<Opened>,
    /// When the connection began, or last had a subscription.
    pub(super) busy: Instant,
    /// When anything came from the client.
    pub(super) heard: Instant,
    /// Messages since the last beat.
    pub(super) messages: u32,
    /// When is tried again what could not be told.
    again: Option<Instant>,
}

/// What is known since the client said who it is.
pub(super) struct Opened {
    pub(super) head: HeaderMap,
    pub(super) actor_id: String,
    pub(super) subscriptions: Vec<Followed>,
    pub(super) feed: Receiver<Change>,
    #[expect(dead_code, reason = "it is given back when the connection ends")]
    pub(super) place: Place,
}

/// A subscription of the connection.
pub(super) struct Followed {
    pub(super) id: String,
    tickets: mpsc::Sender<()>,
    subscription: Subscription,
    /// Changes that it was not told yet, in their order.
    waiting: VecDeque<Change>,
    /// Since when it cannot be told anything.
    since: Option<Instant>,
}

/// Why a session ends: with a close of ours, or because the client is gone.
pub(super) enum End {
    Close(Close),
    Gone,
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        End::Close(close)
    }
}

pub(super) type Step = Result<(), End>;

/// What the loop woke up for.
enum Event {
    Message(Option<Result<Message, axum::Error>>),
    Change(Result<Change, RecvError>),
    Beat,
    Again,
    Late,
}

/// Speaks with a client until one of both goes.
pub(super) async fn serve(shared: Shared, socket: WebSocket, protocol: GraphQLProtocol, id: RequestId) {
    let (sink, stream) = socket.split();
    // Small, so that a client that does not read is waited for.
    let (inbound, mut accepted) = mpsc::channel(1);
    let (pings, messages) = mpsc::channel(1);
    let (subscriptions, requests) = mpsc::unbounded_channel();
    let outbox = Outbox::new();
    let patience = shared.sockets.limits.patience;
    let mut outbound = Outbound { sink, messages, outbox: outbox.clone(), patience };
    let library = GraphQLWebSocket::new_with_pair(
        PollSender::new(pings.clone()),
        poll_fn(move |context| accepted.poll_recv(context)),
        Subscriptions(subscriptions),
        protocol,
    );
    let channels = Channels { stream, inbound, requests, pings, outbox };
    let mut session = Session::new(shared, channels, id);
    let end = tokio::select! {
        end = session.run() => end,
        close = outbound.run() => close.map_or(End::Gone, End::Close),
        // It ends when its input does, which the session holds.
        () = library.serve() => Close::new(1011, "Internal error").into(),
    };
    session.part(end, outbound.sink).await;
}

impl Session {
    fn new(shared: Shared, channels: Channels, id: RequestId) -> Self {
        let now = Instant::now();
        Self { shared, channels, id, opened: None, busy: now, heard: now, messages: 0, again: None }
    }

    pub(super) fn limits(&self) -> &SocketLimits {
        &self.shared.sockets.limits
    }

    /// Works until the connection ends.
    async fn run(&mut self) -> End {
        let late = Instant::now() + self.limits().init;
        let mut beat = interval(self.limits().beat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                message = self.channels.stream.next() => Event::Message(message),
                change = next(self.opened.as_mut()) => Event::Change(change),
                _ = beat.tick() => Event::Beat,
                () = sleep_until(self.again.unwrap_or(late)), if self.again.is_some() => Event::Again,
                () = sleep_until(late), if self.opened.is_none() => Event::Late,
            };
            let step = match event {
                Event::Message(Some(Ok(message))) => self.message(message).await,
                Event::Message(Some(Err(error))) => Err(broken(&error)),
                Event::Message(None) => Err(End::Gone),
                Event::Change(Ok(change)) => self.change(change).await,
                Event::Change(Err(_)) => self.missed().await,
                Event::Beat => self.beat().await,
                Event::Again => self.tell().await,
                Event::Late => Err(Close::new(4408, "Connection initialisation timeout").into()),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Closes, and waits for the client's own close, so that it reads ours.
    async fn part(mut self, end: End, mut sink: SplitSink<WebSocket, Message>) {
        let code = match &end {
            End::Close(close) => Some(close.0),
            End::Gone => None,
        };
        tracing::info!(
            request_id = self.id.as_str(),
            actor = self.opened.as_ref().map(|opened| opened.actor_id.as_str()),
            code,
            "a WebSocket ends"
        );
        // The place among the connections is free from here on.
        self.opened = None;
        let End::Close(close) = end else { return };
        let farewell = async {
            if sink.send(close.frame()).await.is_ok() {
                while let Some(Ok(_)) = self.channels.stream.next().await {}
            }
        };
        // Whoever does not close in time is cut off.
        let _ = timeout(CLOSE_TIMEOUT, farewell).await;
    }

    /// Sends `payload`, and waits until the client has taken it.
    async fn send(&self, tickets: &mpsc::Sender<()>, payload: Payload) -> Step {
        self.channels.outbox.send(tickets, payload).await.map_err(|_| End::Gone)
    }

    /// Starts a subscription that came through the library.
    pub(super) async fn subscribe(&mut self, id: String, request: SubscribeRequest) -> Step {
        let SubscribeRequest { request, tickets } = request;
        let Some(opened) = &mut self.opened else { return Ok(()) };
        let actor = match actor(&self.shared, &opened.head).await {
            Ok(actor) => actor,
            // The others go on: nothing is refused by that.
            Err(error) if error.may_pass() => {
                let errors = crate::graphql::error_list(&error, self.id.as_str());
                return self.send(&tickets, Payload::Error(errors)).await;
            }
            Err(error) => return self.lose(error).await,
        };
        if opened.subscriptions.len() >= self.shared.sockets.limits.subscriptions {
            let error = Error::new(Code::RateLimited, "this connection has too many subscriptions");
            return self.send(&tickets, Payload::Error(errors_for(&error, &actor))).await;
        }
        let rate_limiter = self.shared.rate_limiter.clone();
        if let Some(Err(error)) =
            rate_limiter.map(|rate_limiter| RateAccount::new(rate_limiter, &actor.id).charge(1))
        {
            return self.send(&tickets, Payload::Error(errors_for(&error, &actor))).await;
        }
        if opened.subscriptions.is_empty() {
            // What changed before the first subscription is nobody's.
            opened.feed = self.shared.app.db.feed.listen();
        }
        let Ok(Value::Object(variables)) = request.variables.into_value().into_json() else {
            return Err(Close::new(1011, "Internal error").into());
        };
        let request = Request {
            query: request.query,
            operation_name: request.operation_name,
            variables,
            ..Request::default()
        };
        match self.shared.pipeline.subscribe(&self.shared.app, &actor, request).await {
            Ok(subscription) => {
                let waiting = VecDeque::new();
                opened.subscriptions.push(Followed { id, tickets, subscription, waiting, since: None });
                Ok(())
            }
            Err(errors) => self.send(&tickets, Payload::Error(errors)).await,
        }
    }

    /// Tells a change to each subscription that may see it, by what the credential and the policy say now.
    async fn change(&mut self, change: Change) -> Step {
        let Some(opened) = &mut self.opened else { return Ok(()) };
        if change.entity_type == ACCESS_TOKEN.name {
            // The own credential has changed, or another one.
            let own = opened.actor_id == format!("token:{}", change.id);
            return if own { self.tell().await } else { Ok(()) };
        }
        for followed in &mut opened.subscriptions {
            followed.waiting.push_back(change.clone());
        }
        if opened.subscriptions.iter().any(|followed| followed.waiting.len() > MAX_WAITING_CHANGES) {
            return self.missed().await;
        }
        self.tell().await
    }

    /// Looks at the credential and every subscription anew, and tells what waits. What cannot be told now is tried again.
    async fn tell(&mut self) -> Step {
        self.again = None;
        let Some(opened) = &mut self.opened else { return Ok(()) };
        let (now, keep) = (Instant::now(), self.shared.sockets.limits.keep);
        let actor = match actor(&self.shared, &opened.head).await {
            Ok(actor) => actor,
            Err(error) => {
                let mut each = opened.subscriptions.iter_mut();
                // Nothing is told meanwhile, so that nothing is told to who may not have it.
                let borne = each.all(|followed| now - *followed.since.get_or_insert(now) <= keep);
                if error.may_pass() && borne {
                    self.again = Some(Instant::now() + RETRY_DELAY);
                    return Ok(());
                }
                return self.lose(error).await;
            }
        };
        let mut messages = Vec::new();
        let mut kept = Vec::with_capacity(opened.subscriptions.len());
        for mut followed in std::mem::take(&mut opened.subscriptions) {
            loop {
                let change = followed.waiting.front();
                let Followed { tickets, subscription, .. } = &followed;
                let errors = match self
                    .shared
                    .pipeline
                    .next_event(&self.shared.app, &actor, subscription, change)
                    .await
                {
                    SubscriptionEvent::None => None,
                    SubscriptionEvent::Next(answer) => {
                        messages.push((tickets.clone(), Payload::Next(answer)));
                        None
                    }
                    SubscriptionEvent::Retry(_) if now - *followed.since.get_or_insert(now) <= keep => {
                        self.again = Some(Instant::now() + RETRY_DELAY);
                        kept.push(followed);
                        break;
                    }
                    SubscriptionEvent::Retry(errors) | SubscriptionEvent::Error(errors) => Some(errors),
                };
                if let Some(errors) = errors {
                    messages.push((followed.tickets.clone(), Payload::Error(errors)));
                    self.busy = Instant::now();
                    break;
                }
                followed.since = None;
                followed.waiting.pop_front();
                if followed.waiting.is_empty() {
                    kept.push(followed);
                    break;
                }
            }
        }
        opened.subscriptions = kept;
        for (tickets, payload) in messages {
            self.send(&tickets, payload).await?;
        }
        Ok(())
    }

    /// The credential does not hold any more: every subscription is told, and the connection closed.
    async fn lose(&mut self, error: Error) -> Step {
        let Some(opened) = &mut self.opened else { return Err(refused(&error).into()) };
        log_refusal(&error, Some(&opened.actor_id), &self.id);
        let errors = crate::graphql::error_list(&error, self.id.as_str());
        for followed in std::mem::take(&mut opened.subscriptions) {
            self.send(&followed.tickets, Payload::Error(errors.clone())).await?;
        }
        Err(refused(&error).into())
    }

    /// Changes came faster than they could be told: nobody can say which, so that nothing may go on as if none were missing.
    async fn missed(&mut self) -> Step {
        let Some(opened) = &mut self.opened else { return Ok(()) };
        let message = "changes came faster than they could be told; read what is new and subscribe again";
        let errors = crate::graphql::error_list(&Error::new(Code::RateLimited, message), self.id.as_str());
        self.busy = Instant::now();
        for followed in std::mem::take(&mut opened.subscriptions) {
            self.send(&followed.tickets, Payload::Error(errors.clone())).await?;
        }
        Ok(())
    }

    async fn beat(&mut self) -> Step {
        let now = Instant::now();
        self.messages = 0;
        let Some(opened) = &self.opened else { return Ok(()) };
        if now.duration_since(self.heard) > self.limits().beat * 3 {
            return Err(End::Gone);
        }
        if opened.subscriptions.is_empty() {
            if now.duration_since(self.busy) > self.limits().idle {
                return Err(Close::new(1000, "idle").into());
            }
        } else {
            self.busy = now;
            self.tell().await?;
        }
        self.channels.pings.send(Message::Ping(bytes::Bytes::new())).await.map_err(|_| End::Gone)
    }
}

/// The next change, for who has a subscription.
async fn next(opened: Option<&mut Opened>) -> Result<Change, RecvError> {
    match opened {
        Some(opened) if !opened.subscriptions.is_empty() => opened.feed.recv().await,
        _ => std::future::pending().await,
    }
}

/// Who the client is now: its credential looked up, its purpose and decisions made anew.
pub(super) async fn actor(shared: &Shared, head: &HeaderMap) -> Result<Actor, Error> {
    let credential = authenticate(shared, head).await?;
    let purpose = headers::purpose(head)?;
    let id = RequestId::new(&shared.app);
    Actor::new(shared.app.policy.current(), &credential, purpose, id.as_str().to_owned())
}

pub(super) fn refused(error: &Error) -> Close {
    match error.code {
        Code::Internal if !error.transient => Close::new(1011, "Internal error"),
        _ if error.may_pass() => Close::new(1013, "Try again later"),
        code => Close::new(4403, format!("Forbidden: {}", code.as_str())),
    }
}

/// A frame that is none, or a message that is too large.
fn broken(error: &axum::Error) -> End {
    let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    if text.contains("too long") || text.contains("too large") {
        return Close::new(1009, "the message is too large").into();
    }
    End::Gone
}
