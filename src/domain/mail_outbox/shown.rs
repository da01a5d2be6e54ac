//! Mails that stay here, for the demo: what would have been sent, to be looked at. Room: domain/mail_outbox.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

/// Most letters that are kept: the newest.
const MAX_MAILS: usize = 200;

/// A letter as it would have been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The address it is for.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// Where letters lie, in memory alone.
#[derive(Clone, Default)]
pub struct Outbox(Arc<Mutex<Vec<Letter>>>);

impl Outbox {
    pub(crate) fn put(&self, letter: Letter) {
        let mut letters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        letters.push(letter);
        let more = letters.len().saturating_sub(MAX_MAILS);
        letters.drain(..more);
    }

    /// The letters, the newest first.
    pub fn letters(&self) -> Vec<Letter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }
}

/// Letters hold addresses.
impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outbox(***)")
    }
}
