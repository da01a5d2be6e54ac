//! What was committed, told to whoever listens in this process. Room: db.
//!
//! Told after the commit and without waiting: who cannot keep up loses changes, and learns that it did. What other processes
//! write into the same database is not told here.

use std::sync::Arc;

use tokio::sync::{Notify, broadcast};
use uuid::Uuid;

/// Changes that are kept for those who have not taken them yet.
const CAPACITY: usize = 1_024;

/// One row that changed. It tells nothing of its values: these are read by the rules that hold for the reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Type of the row, as in the SDL.
    pub entity_type: &'static str,
    /// Its id.
    pub id: Uuid,
}

/// Where changes are told.
#[derive(Clone, Debug)]
pub struct Feed {
    changes: broadcast::Sender<Change>,
    queued: Arc<Notify>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { changes: broadcast::Sender::new(CAPACITY), queued: Arc::default() }
    }
}

impl Feed {
    /// Tells a change that is committed.
    pub fn tell(&self, change: Change) {
        // An error says that nobody listens.
        let _ = self.changes.send(change);
    }

    /// Listens from now on.
    pub fn listen(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    /// Tells that changes of consents wait for their place.
    pub fn tell_queued(&self) {
        self.queued.notify_one();
    }

    /// Waits until some do.
    pub async fn queued(&self) {
        self.queued.notified().await;
    }
}
