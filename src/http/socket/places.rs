//! How many WebSockets there may be, altogether and of one credential. Room: http/socket.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;

/// Limits on WebSockets, and who may open them from a browser.
#[derive(Clone, Debug)]
pub struct SocketLimits {
    /// Origins, e.g. `https://crm.example`, whose pages may connect beside those of the host itself.
    pub origins: Vec<String>,
    /// Largest message of a client in bytes.
    pub message_bytes: usize,
    /// Messages that a client may send from one beat to the next.
    pub messages: u32,
    /// How long a client may take to say who it is.
    pub init: Duration,
    /// Subscriptions of one connection.
    pub subscriptions: usize,
    /// Connections of one credential.
    pub connections: usize,
    /// Connections altogether.
    pub total: usize,
    /// How long a connection without subscriptions is kept.
    pub idle: Duration,
    /// How often the credential is looked at and the client pinged; one that is silent for three times that is gone.
    pub beat: Duration,
    /// How long a client may take to take a message.
    pub patience: Duration,
    /// How long changes are kept for who cannot be told them, since the database or a place among many cannot be had.
    pub keep: Duration,
}

impl Default for SocketLimits {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            message_bytes: 64 * 1024,
            messages: 300,
            init: Duration::from_secs(10),
            subscriptions: 20,
            connections: 20,
            total: 1_000,
            idle: Duration::from_secs(60),
            beat: Duration::from_secs(15),
            patience: Duration::from_secs(10),
            keep: Duration::from_secs(300),
        }
    }
}

/// The connections that there are.
pub(in crate::http) struct Sockets {
    pub(super) limits: SocketLimits,
    pub(super) all: Arc<Semaphore>,
    by_actor: Arc<Mutex<HashMap<String, usize>>>,
}

impl Sockets {
    pub(in crate::http) fn new(limits: SocketLimits) -> Self {
        let all = Arc::new(Semaphore::new(limits.total));
        Self { limits, all, by_actor: Arc::default() }
    }

    /// A place among the connections of `actor`, if one is left; free again when it is dropped.
    pub(super) fn place(&self, actor: &str) -> Option<Place> {
        let mut by_actor = self.by_actor.lock().unwrap_or_else(PoisonError::into_inner);
        let held = by_actor.entry(actor.to_owned()).or_default();
        if *held >= self.limits.connections {
            return None;
        }
        *held += 1;
        Some(Place { by_actor: self.by_actor.clone(), actor: actor.to_owned() })
    }
}

/// One of the connections that a credential may have.
pub(super) struct Place {
    by_actor: Arc<Mutex<HashMap<String, usize>>>,
    actor: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_actor = self.by_actor.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = by_actor.get_mut(&self.actor) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                by_actor.remove(&self.actor);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back() {
        let sockets = Sockets::new(SocketLimits { connections: 1, ..SocketLimits::default() });
        let first = sockets.place("a").unwrap();
        assert!(sockets.place("a").is_none() && sockets.place("b").is_some());
        drop(first);
        assert!(sockets.place("a").is_some());
        assert!(sockets.by_actor.lock().unwrap().is_empty());
    }
}
