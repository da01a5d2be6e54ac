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
    pub init_timeout: Duration,
    /// Subscriptions of one connection.
    pub subscriptions: usize,
    /// Connections of one credential.
    pub connections: usize,
    /// Connections altogether.
    pub total: usize,
    /// How long a connection without subscriptions is kept.
    pub idle_timeout: Duration,
    /// How often the credential is looked at and the client pinged; one that is silent for three times that is gone.
    pub heartbeat: Duration,
    /// How long a client may take to take a message.
    pub send_timeout: Duration,
    /// How long changes are kept for who cannot be told them, since the database or a place among many cannot be had.
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

/// One of the connections that a credential may have.
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
