//! Limits on the number of WebSockets, in total and per credential. Room: http/socket.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::Semaphore;

/// Limits on WebSockets, and the origins that may open them from a browser.
#[derive(Clone, Debug)]
pub struct SocketLimits {
    /// Allowed origins beside the host itself, e.g. `https://crm.example`.
    pub origins: Vec<String>,
    /// Maximum size of a client message in bytes.
    pub message_bytes: usize,
    /// Maximum number of client messages between two heartbeats.
    pub messages: u32,
    /// How long a client may take to send `connection_init`.
    pub init_timeout: Duration,
    /// Maximum subscriptions per connection.
    pub subscriptions: usize,
    /// Maximum connections per credential.
    pub connections: usize,
    /// Maximum connections in total.
    pub total: usize,
    /// How long a connection without subscriptions stays open.
    pub idle_timeout: Duration,
    /// How often the credential is checked and the client is pinged; a client that is silent for three intervals is
    /// disconnected.
    pub heartbeat: Duration,
    /// How long a client may take to take a message.
    pub send_timeout: Duration,
    /// How long undelivered changes are retried while the database or a permit is not available.
    pub max_retry_time: Duration,
}

impl Default for SocketLimits {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            message_bytes: 64 * 1024,
            messages: 300,
            init_timeout: Duration::from_secs(10),
            subscriptions: 20,
            connections: 20,
            total: 1_000,
            idle_timeout: Duration::from_secs(60),
            heartbeat: Duration::from_secs(15),
            send_timeout: Duration::from_secs(10),
            max_retry_time: Duration::from_secs(300),
        }
    }
}

/// The open connections.
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

    /// A permit for a connection of `actor`, if one is left; released on drop.
    pub(super) fn acquire(&self, actor: &str) -> Option<ConnectionPermit> {
        let mut by_actor = self.by_actor.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_actor.entry(actor.to_owned()).or_default();
        if *count >= self.limits.connections {
            return None;
        }
        *count += 1;
        Some(ConnectionPermit { by_actor: self.by_actor.clone(), actor: actor.to_owned() })
    }
}

/// A permit for one connection of a credential.
pub(super) struct ConnectionPermit {
    by_actor: Arc<Mutex<HashMap<String, usize>>>,
    actor: String,
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut by_actor = self.by_actor.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_actor.get_mut(&self.actor) {
            *count = count.saturating_sub(1);
            if *count == 0 {
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
        let permit = sockets.acquire("a").unwrap();
        assert!(sockets.acquire("a").is_none() && sockets.acquire("b").is_some());
        drop(permit);
        assert!(sockets.acquire("a").is_some());
        assert!(sockets.by_actor.lock().unwrap().is_empty());
    }
}
