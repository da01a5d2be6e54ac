//! Publishes committed changes to subscribers in this process. Room: db.
//!
//! Changes are published after the commit without waiting: a slow subscriber loses changes and gets an error. Changes
//! made by other processes in the same database are not published here.

use std::sync::Arc;

use tokio::sync::{Notify, broadcast};
use uuid::Uuid;

/// Number of changes buffered for slow subscribers.
const CAPACITY: usize = 1_024;

/// One row that changed. It holds no values: subscribers read them under their own rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Type of the row, as in the SDL.
    pub entity_type: &'static str,
    /// Its id.
    pub id: Uuid,
}

/// Distributes committed changes.
#[derive(Clone, Debug)]
pub struct ChangeFeed {
    changes: broadcast::Sender<Change>,
    queued: Arc<Notify>,
}

impl Default for ChangeFeed {
    fn default() -> Self {
        Self { changes: broadcast::Sender::new(CAPACITY), queued: Arc::default() }
    }
}

impl ChangeFeed {
    /// Publishes a committed change.
    pub fn publish(&self, change: Change) {
        // An error means that there are no subscribers.
        let _ = self.changes.send(change);
    }

    /// Subscribes to all changes from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Signals that queued consent changes are waiting to be numbered.
    pub fn notify_queued(&self) {
        self.queued.notify_one();
    }

    /// Waits until consent changes are queued.
    pub async fn queued(&self) {
        self.queued.notified().await;
    }
}
