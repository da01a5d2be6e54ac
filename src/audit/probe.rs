//! Whether the audit log can be written, asked without leaving a trace (floor 3).

use super::{Author, Changes, Entry, begin};
use crate::context::App;

/// What came of the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probed {
    /// An entry could have been committed.
    Writable,
    /// There is no transaction to be had.
    NoTransaction,
    /// There is one, but it takes no entry.
    NoEntry,
}

/// Writes an entry and takes it back: nothing less tells of a full disk, a lost right or a server that only reads.
pub async fn probe(app: &App) -> Probed {
    let Ok(mut tx) = begin(app, Author::command(app, "server:health", None)).await else {
        return Probed::NoTransaction;
    };
    let entry = Entry {
        action: "probe",
        entity_type: "Health",
        entity_id: None,
        contact_id: None,
        changes: Changes::none(),
    };
    let written = match tx.record(entry).await {
        Ok(()) => tx.store().await,
        Err(error) => Err(error),
    };
    let back = tx.inner.rollback().await;
    if written.is_ok() && back.is_ok() { Probed::Writable } else { Probed::NoEntry }
}
