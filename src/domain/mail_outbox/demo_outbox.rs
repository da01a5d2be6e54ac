//! Mails of the demo: kept in memory for inspection instead of being sent. Room: domain/mail_outbox.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};

/// Maximum number of stored mails: the newest.
const MAX_MAILS: usize = 200;

/// A mail as it would have been sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DemoMail {
    /// The address it is for.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// The mails, in memory only.
#[derive(Clone, Default)]
pub struct DemoOutbox(Arc<Mutex<Vec<DemoMail>>>);

impl DemoOutbox {
    pub(crate) fn push(&self, mail: DemoMail) {
        let mut mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mails.push(mail);
        let excess = mails.len().saturating_sub(MAX_MAILS);
        mails.drain(..excess);
    }

    /// The mails, newest first.
    pub fn mails(&self) -> Vec<DemoMail> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }
}

/// Mails hold addresses.
impl std::fmt::Debug for DemoOutbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Outbox(***)")
    }
}
