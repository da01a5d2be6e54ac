//! One connection from its first message to its close. Room: http/socket.
//!
//! One task does one thing at a time: it handles a message, dispatches a change, or runs a heartbeat. It waits for a
//! client that does not read, which misses changes meanwhile; writers never wait. A change that cannot be read now
//! waits for its subscription and is retried.

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
    connection_limits::{ConnectionPermit, SocketLimits},
    executor::{SubscribeRequest, Subscriptions},
    messages::Close,
    outbound::{Outbound, Outbox, Payload},
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

/// How long to wait for the client's own close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait before an undelivered change is retried.
const RETRY_DELAY: Duration = Duration::from_millis(500);
/// Maximum number of pending changes per subscription.
const MAX_WAITING_CHANGES: usize = 1_024;

/// The channels between the client, async-graphql-axum and the session.
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
    pub(super) authenticated: Option<Authenticated>,
    /// When the connection was opened or last had a subscription.
    pub(super) last_active: Instant,
    /// When the client last sent anything.
    pub(super) last_received: Instant,
    /// Messages since the last heartbeat.
    pub(super) messages: u32,
    /// When undelivered changes are retried.
    retry_at: Option<Instant>,
}

/// The state of a connection after `connection_init`.
pub(super) struct Authenticated {
    pub(super) head: HeaderMap,
    pub(super) actor_id: String,
    pub(super) subscriptions: Vec<ActiveSubscription>,
    pub(super) feed: Receiver<Change>,
    #[expect(dead_code, reason = "it is given back when the connection ends")]
    pub(super) permit: ConnectionPermit,
}

/// A subscription of the connection.
pub(super) struct ActiveSubscription {
    pub(super) id: String,
    tickets: mpsc::Sender<()>,
    subscription: Subscription,
    /// Changes that are not delivered yet, in order.
    pending: VecDeque<Change>,
    /// Since when delivery fails.
    since: Option<Instant>,
}

/// Why a session ends: closed by the server, or because the client is gone.
pub(super) enum End {
    Close(Close),
    Disconnected,
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        End::Close(close)
    }
}

pub(super) type SessionResult = Result<(), End>;

/// What woke the loop.
enum Event {
    Message(Option<Result<Message, axum::Error>>),
    Change(Result<Change, RecvError>),
    Heartbeat,
    Retry,
    InitTimeout,
}

/// Serves a client until either side ends the connection.
pub(super) async fn serve(shared: Shared, socket: WebSocket, protocol: GraphQLProtocol, id: RequestId) {
    let (sink, stream) = socket.split();
    // Small channels, for backpressure from a client that does not read.
    let (inbound, mut from_guard) = mpsc::channel(1);
    let (pings, messages) = mpsc::channel(1);
    let (subscriptions, requests) = mpsc::unbounded_channel();
    let outbox = Outbox::new();
    let send_timeout = shared.sockets.limits.send_timeout;
    let mut outbound = Outbound { sink, messages, outbox: outbox.clone(), send_timeout };
    let library = GraphQLWebSocket::new_with_pair(
        PollSender::new(pings.clone()),
        poll_fn(move |context| from_guard.poll_recv(context)),
        Subscriptions(subscriptions),
        protocol,
    );
    let channels = Channels { stream, inbound, requests, pings, outbox };
    let mut session = Session::new(shared, channels, id);
    let end = tokio::select! {
        end = session.run() => end,
        close = outbound.run() => close.map_or(End::Disconnected, End::Close),
        // The library ends when its input does, and the session holds that.
        () = library.serve() => Close::new(1011, "Internal error").into(),
    };
    session.close(end, outbound.sink).await;
}

impl Session {
    fn new(shared: Shared, channels: Channels, id: RequestId) -> Self {
        let now = Instant::now();
        Self {
            shared,
            channels,
            id,
            authenticated: None,
            last_active: now,
            last_received: now,
            messages: 0,
            retry_at: None,
        }
    }

    pub(super) fn limits(&self) -> &SocketLimits {
        &self.shared.sockets.limits
    }

    /// Runs the session until the connection ends.
    async fn run(&mut self) -> End {
        let init_deadline = Instant::now() + self.limits().init_timeout;
        let mut heartbeats = interval(self.limits().heartbeat);
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let event = tokio::select! {
                message = self.channels.stream.next() => Event::Message(message),
                change = next(self.authenticated.as_mut()) => Event::Change(change),
                _ = heartbeats.tick() => Event::Heartbeat,
                () = sleep_until(self.retry_at.unwrap_or(init_deadline)), if self.retry_at.is_some() => Event::Retry,
                () = sleep_until(init_deadline), if self.authenticated.is_none() => Event::InitTimeout,
            };
            let result = match event {
                Event::Message(Some(Ok(message))) => self.message(message).await,
                Event::Message(Some(Err(error))) => Err(read_error(&error)),
                Event::Message(None) => Err(End::Disconnected),
                Event::Change(Ok(change)) => self.change(change).await,
                Event::Change(Err(_)) => self.lagged().await,
                Event::Heartbeat => self.heartbeat().await,
                Event::Retry => self.dispatch().await,
                Event::InitTimeout => Err(Close::new(4408, "Connection initialisation timeout").into()),
            };
            if let Err(end) = result {
                return end;
            }
        }
    }

    /// Sends the close frame and waits for the client's own, so that the client reads it.
    async fn close(mut self, end: End, mut sink: SplitSink<WebSocket, Message>) {
        let code = match &end {
            End::Close(close) => Some(close.0),
            End::Disconnected => None,
        };
        tracing::info!(
            request_id = self.id.as_str(),
            actor = self.authenticated.as_ref().map(|authenticated| authenticated.actor_id.as_str()),
            code,
            "a WebSocket ends"
        );
        // Releases the connection permit.
        self.authenticated = None;
        let End::Close(close) = end else { return };
        let handshake = async {
            if sink.send(close.frame()).await.is_ok() {
                while let Some(Ok(_)) = self.channels.stream.next().await {}
            }
        };
        // A client that does not close in time is cut off.
        let _ = timeout(CLOSE_TIMEOUT, handshake).await;
    }

    /// Sends `payload` and waits until it is written.
    async fn send(&self, tickets: &mpsc::Sender<()>, payload: Payload) -> SessionResult {
        self.channels.outbox.send(tickets, payload).await.map_err(|_| End::Disconnected)
    }

    /// Starts a subscription that came through the library.
    pub(super) async fn subscribe(&mut self, id: String, request: SubscribeRequest) -> SessionResult {
        let SubscribeRequest { request, tickets } = request;
        let Some(authenticated) = &mut self.authenticated else { return Ok(()) };
        let actor = match actor(&self.shared, &authenticated.head).await {
            Ok(actor) => actor,
            // A transient error: the other subscriptions continue.
            Err(error) if error.is_temporary() => {
                let errors = crate::graphql::error_list(&error, self.id.as_str());
                return self.send(&tickets, Payload::Error(errors)).await;
            }
            Err(error) => return self.revoke(error).await,
        };
        if authenticated.subscriptions.len() >= self.shared.sockets.limits.subscriptions {
            let error = Error::new(Code::RateLimited, "this connection has too many subscriptions");
            return self.send(&tickets, Payload::Error(errors_for(&error, &actor))).await;
        }
        let rate_limiter = self.shared.rate_limiter.clone();
        if let Some(Err(error)) =
            rate_limiter.map(|rate_limiter| RateAccount::new(rate_limiter, &actor.id).charge(1))
        {
            return self.send(&tickets, Payload::Error(errors_for(&error, &actor))).await;
        }
        if authenticated.subscriptions.is_empty() {
            // Changes before the first subscription are of no interest.
            authenticated.feed = self.shared.app.db.feed.subscribe();
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
                let pending = VecDeque::new();
                authenticated.subscriptions.push(ActiveSubscription {
                    id,
                    tickets,
                    subscription,
                    pending,
                    since: None,
                });
                Ok(())
            }
            Err(errors) => self.send(&tickets, Payload::Error(errors)).await,
        }
    }

    /// Dispatches a change to each subscription that may see it, under the current credential and policy.
    async fn change(&mut self, change: Change) -> SessionResult {
        let Some(authenticated) = &mut self.authenticated else { return Ok(()) };
        if change.entity_type == ACCESS_TOKEN.name {
            // The connection's own token may have changed, or another one.
            let is_own = authenticated.actor_id == format!("token:{}", change.id);
            return if is_own { self.dispatch().await } else { Ok(()) };
        }
        for active in &mut authenticated.subscriptions {
            active.pending.push_back(change.clone());
        }
        if authenticated.subscriptions.iter().any(|active| active.pending.len() > MAX_WAITING_CHANGES) {
            return self.lagged().await;
        }
        self.dispatch().await
    }

    /// Checks the credential and every subscription again, and delivers pending changes. Failed deliveries are retried.
    async fn dispatch(&mut self) -> SessionResult {
        self.retry_at = None;
        let Some(authenticated) = &mut self.authenticated else { return Ok(()) };
        let (now, max_retry_time) = (Instant::now(), self.shared.sockets.limits.max_retry_time);
        let actor = match actor(&self.shared, &authenticated.head).await {
            Ok(actor) => actor,
            Err(error) => {
                let mut all = authenticated.subscriptions.iter_mut();
                // Nothing is delivered meanwhile, so nothing can reach a caller without rights.
                let may_retry = all.all(|active| now - *active.since.get_or_insert(now) <= max_retry_time);
                if error.is_temporary() && may_retry {
                    self.retry_at = Some(Instant::now() + RETRY_DELAY);
                    return Ok(());
                }
                return self.revoke(error).await;
            }
        };
        let mut messages = Vec::new();
        let mut kept = Vec::with_capacity(authenticated.subscriptions.len());
        for mut active in std::mem::take(&mut authenticated.subscriptions) {
            loop {
                let change = active.pending.front();
                let ActiveSubscription { tickets, subscription, .. } = &active;
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
                    SubscriptionEvent::Retry(_)
                        if now - *active.since.get_or_insert(now) <= max_retry_time =>
                    {
                        self.retry_at = Some(Instant::now() + RETRY_DELAY);
                        kept.push(active);
                        break;
                    }
                    SubscriptionEvent::Retry(errors) | SubscriptionEvent::Error(errors) => Some(errors),
                };
                if let Some(errors) = errors {
                    messages.push((active.tickets.clone(), Payload::Error(errors)));
                    self.last_active = Instant::now();
                    break;
                }
                active.since = None;
                active.pending.pop_front();
                if active.pending.is_empty() {
                    kept.push(active);
                    break;
                }
            }
        }
        authenticated.subscriptions = kept;
        for (tickets, payload) in messages {
            self.send(&tickets, payload).await?;
        }
        Ok(())
    }

    /// The credential is no longer valid: ends every subscription with an error, and closes the connection.
    async fn revoke(&mut self, error: Error) -> SessionResult {
        let Some(authenticated) = &mut self.authenticated else { return Err(close_for(&error).into()) };
        log_refusal(&error, Some(&authenticated.actor_id), &self.id);
        let errors = crate::graphql::error_list(&error, self.id.as_str());
        for active in std::mem::take(&mut authenticated.subscriptions) {
            self.send(&active.tickets, Payload::Error(errors.clone())).await?;
        }
        Err(close_for(&error).into())
    }

    /// Changes were lost because the connection lagged. Ends every subscription, since the missed changes are unknown.
    async fn lagged(&mut self) -> SessionResult {
        let Some(authenticated) = &mut self.authenticated else { return Ok(()) };
        let message =
            "changes arrived faster than they could be delivered; read the current state and subscribe again";
        let errors = crate::graphql::error_list(&Error::new(Code::RateLimited, message), self.id.as_str());
        self.last_active = Instant::now();
        for active in std::mem::take(&mut authenticated.subscriptions) {
            self.send(&active.tickets, Payload::Error(errors.clone())).await?;
        }
        Ok(())
    }

    async fn heartbeat(&mut self) -> SessionResult {
        let now = Instant::now();
        self.messages = 0;
        let Some(authenticated) = &self.authenticated else { return Ok(()) };
        if now.duration_since(self.last_received) > self.limits().heartbeat * 3 {
            return Err(End::Disconnected);
        }
        if authenticated.subscriptions.is_empty() {
            if now.duration_since(self.last_active) > self.limits().idle_timeout {
                return Err(Close::new(1000, "idle").into());
            }
        } else {
            self.last_active = now;
            self.dispatch().await?;
        }
        self.channels.pings.send(Message::Ping(bytes::Bytes::new())).await.map_err(|_| End::Disconnected)
    }
}

/// The next change, if there is a subscription.
async fn next(authenticated: Option<&mut Authenticated>) -> Result<Change, RecvError> {
    match authenticated {
        Some(authenticated) if !authenticated.subscriptions.is_empty() => authenticated.feed.recv().await,
        _ => std::future::pending().await,
    }
}

/// The current actor: looks up the credential and resolves purpose and decisions again.
pub(super) async fn actor(shared: &Shared, head: &HeaderMap) -> Result<Actor, Error> {
    let credential = authenticate(shared, head).await?;
    let purpose = headers::purpose(head)?;
    let id = RequestId::new(&shared.app);
    Actor::new(shared.app.policy.current(), &credential, purpose, id.as_str().to_owned())
}

pub(super) fn close_for(error: &Error) -> Close {
    match error.code {
        Code::Internal if !error.transient => Close::new(1011, "Internal error"),
        _ if error.is_temporary() => Close::new(1013, "Try again later"),
        code => Close::new(4403, format!("Forbidden: {}", code.as_str())),
    }
}

/// The end for an invalid frame or a message that is too large.
fn read_error(error: &axum::Error) -> End {
    let text = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    if text.contains("too long") || text.contains("too large") {
        return Close::new(1009, "the message is too large").into();
    }
    End::Disconnected
}
