//! One connection from its first message to its close. Room: http/socket.
//!
//! One task does one thing at a time: it takes a message, tells a change, or looks whether everything still holds. Who does
//! not take what is told is waited for, and misses changes meanwhile; who writes never waits. A change that cannot be read now waits
//! for its subscription, and is tried again.

use std::collections::VecDeque;

use axum::{
    extract::ws::{Message, WebSocket},
    http::HeaderMap,
};
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Duration, Instant, MissedTickBehavior, interval, sleep_until, timeout},
};

use super::{
    messages::{Close, Incoming, about, parse, plain},
    places::{Place, SocketLimits},
};
use crate::{
    auth::actor::Actor,
    base::error::{Code, Error},
    db::change_feed::Change,
    graphql::{CostMeter, Request, Subscription, Told, errors_of},
    http::{
        RequestId,
        graphql::{authenticate, log_refusal},
        headers,
        rate_limit::Account,
        shared::Shared,
    },
    registry::ACCESS_TOKEN,
};

/// How long the client's own close is waited for.
const FAREWELL: Duration = Duration::from_secs(2);
/// After how long what could not be told is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// Most changes that wait for one subscription.
const MOST_WAITING: usize = 1_024;

pub(super) struct Session {
    shared: Shared,
    socket: WebSocket,
    id: RequestId,
    opened: Option<Opened>,
    /// When the connection began, or last had a subscription.
    busy: Instant,
    /// When anything came from the client.
    heard: Instant,
    /// Messages since the last beat.
    messages: u32,
    /// When is tried again what could not be told.
    again: Option<Instant>,
}

/// What is known since the client said who it is.
struct Opened {
    head: HeaderMap,
    actor_id: String,
    subscriptions: Vec<Followed>,
    feed: Receiver<Change>,
    #[expect(dead_code, reason = "it is given back when the connection ends")]
    place: Place,
}

/// A subscription of the connection.
struct Followed {
    id: String,
    subscription: Subscription,
    /// Changes that it was not told yet, in their order.
    waiting: VecDeque<Change>,
    /// Since when it cannot be told anything.
    since: Option<Instant>,
}

/// Why a session ends: with a close of ours, or because the client is gone.
enum End {
    Close(Close),
    Gone,
}

impl From<Close> for End {
    fn from(close: Close) -> Self {
        End::Close(close)
    }
}

type Step = Result<(), End>;

/// What the loop woke up for.
enum Event {
    Message(Option<Result<Message, axum::Error>>),
    Change(Result<Change, RecvError>),
    Beat,
    Again,
    Late,
}

impl Session {
    pub(super) fn new(shared: Shared, socket: WebSocket, id: RequestId) -> Self {
        let now = Instant::now();
        Self { shared, socket, id, opened: None, busy: now, heard: now, messages: 0, again: None }
    }

    fn limits(&self) -> &SocketLimits {
        &self.shared.sockets.limits
    }

    pub(super) async fn run(mut self) {
        let late = Instant::now() + self.limits().init;
        let mut beat = interval(self.limits().beat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = loop {
            let event = tokio::select! {
                message = self.socket.recv() => Event::Message(message),
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
                break end;
            }
        };
        self.part(end).await;
    }

    /// Closes, and waits for the client's own close, so that it reads ours.
    async fn part(mut self, end: End) {
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
            if self.socket.send(close.frame()).await.is_ok() {
                while let Some(Ok(_)) = self.socket.recv().await {}
            }
        };
        // Whoever does not close in time is cut off.
        let _ = timeout(FAREWELL, farewell).await;
    }

    async fn send(&mut self, message: Message) -> Step {
        match timeout(self.shared.sockets.limits.patience, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(End::Gone),
        }
    }

    async fn message(&mut self, message: Message) -> Step {
        self.heard = Instant::now();
        self.messages = self.messages.saturating_add(1);
        if self.messages > self.limits().messages {
            return Err(Close::new(1008, "too many messages").into());
        }
        let text = match message {
            Message::Text(text) => text,
            Message::Binary(_) => return Err(Close::bad("messages are texts").into()),
            Message::Ping(_) | Message::Pong(_) => return Ok(()),
            Message::Close(_) => return Err(End::Gone),
        };
        match parse(text.as_str())? {
            Incoming::Init(head) => self.init(head).await,
            Incoming::Ping => self.send(plain("pong")).await,
            Incoming::Pong => Ok(()),
            Incoming::Subscribe(id, request) => self.subscribe(id, request).await,
            Incoming::Complete(id) => {
                if let Some(opened) = &mut self.opened {
                    opened.subscriptions.retain(|followed| followed.id != id);
                    self.busy = Instant::now();
                }
                Ok(())
            }
        }
    }

    async fn init(&mut self, head: HeaderMap) -> Step {
        if self.opened.is_some() {
            return Err(Close::new(4429, "Too many initialisation requests").into());
        }
        let actor = match actor(&self.shared, &head).await {
            Ok(actor) => actor,
            Err(error) => {
                log_refusal(&error, None, &self.id);
                return Err(refused(&error).into());
            }
        };
        let Some(place) = self.shared.sockets.place(&actor.id) else {
            let message = "too many connections of this credential";
            log_refusal(&Error::new(Code::RateLimited, message), Some(&actor.id), &self.id);
            return Err(Close::new(1013, message).into());
        };
        self.opened = Some(Opened {
            head,
            actor_id: actor.id,
            subscriptions: Vec::new(),
            feed: self.shared.app.db.feed.listen(),
            place,
        });
        self.busy = Instant::now();
        self.send(plain("connection_ack")).await
    }

    async fn subscribe(&mut self, id: String, request: Request) -> Step {
        let Some(opened) = &mut self.opened else {
            return Err(Close::new(4401, "Unauthorized").into());
        };
        if opened.subscriptions.iter().any(|followed| followed.id == id) {
            return Err(Close::new(4409, format!("Subscriber for {id} already exists")).into());
        }
        let actor = match actor(&self.shared, &opened.head).await {
            Ok(actor) => actor,
            // The others go on: nothing is refused by that.
            Err(error) if error.may_pass() => {
                let errors = crate::graphql::error_list(&error, self.id.as_str());
                return self.send(about(&id, "error", &errors)).await;
            }
            Err(error) => return self.lose(error).await,
        };
        if opened.subscriptions.len() >= self.shared.sockets.limits.subscriptions {
            let error = Error::new(Code::RateLimited, "this connection has too many subscriptions");
            return self.send(about(&id, "error", &errors_of(&error, &actor))).await;
        }
        let rates = self.shared.rates.clone();
        if let Some(Err(error)) = rates.map(|rates| Account::new(rates, &actor.id).charge(1)) {
            return self.send(about(&id, "error", &errors_of(&error, &actor))).await;
        }
        if opened.subscriptions.is_empty() {
            // What changed before the first subscription is nobody's.
            opened.feed = self.shared.app.db.feed.listen();
        }
        match self.shared.engine.subscribe(&self.shared.app, &actor, request).await {
            Ok(subscription) => {
                let waiting = VecDeque::new();
                opened.subscriptions.push(Followed { id, subscription, waiting, since: None });
                Ok(())
            }
            Err(errors) => self.send(about(&id, "error", &errors)).await,
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
        if opened.subscriptions.iter().any(|followed| followed.waiting.len() > MOST_WAITING) {
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
                    self.again = Some(Instant::now() + RETRY);
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
                let Followed { id, subscription, .. } = &followed;
                let errors =
                    match self.shared.engine.follow(&self.shared.app, &actor, subscription, change).await {
                        Told::Nothing => None,
                        Told::Answer(answer) => {
                            messages.push(about(id, "next", &answer));
                            None
                        }
                        Told::Later(_) if now - *followed.since.get_or_insert(now) <= keep => {
                            self.again = Some(Instant::now() + RETRY);
                            kept.push(followed);
                            break;
                        }
                        Told::Later(errors) | Told::Ended(errors) => Some(errors),
                    };
                if let Some(errors) = errors {
                    messages.push(about(&followed.id, "error", &errors));
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
        for message in messages {
            self.send(message).await?;
        }
        Ok(())
    }

    /// The credential does not hold any more: every subscription is told, and the connection closed.
    async fn lose(&mut self, error: Error) -> Step {
        let Some(opened) = &mut self.opened else { return Err(refused(&error).into()) };
        log_refusal(&error, Some(&opened.actor_id), &self.id);
        let errors = crate::graphql::error_list(&error, self.id.as_str());
        for followed in std::mem::take(&mut opened.subscriptions) {
            self.send(about(&followed.id, "error", &errors)).await?;
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
            self.send(about(&followed.id, "error", &errors)).await?;
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
        self.send(Message::Ping(bytes::Bytes::new())).await
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
async fn actor(shared: &Shared, head: &HeaderMap) -> Result<Actor, Error> {
    let credential = authenticate(shared, head).await?;
    let purpose = headers::purpose(head)?;
    let id = RequestId::new(&shared.app);
    Actor::new(shared.app.policy.current(), &credential, purpose, id.as_str().to_owned())
}

fn refused(error: &Error) -> Close {
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
