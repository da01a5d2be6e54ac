//! Whether the audit log can be written and read, asked without leaving a trace. Room: audit.

use sea_orm::ActiveValue::Set;
use uuid::Uuid;

use super::{Author, ChangeSet, Entry, begin};
use crate::{app::App, crypto::sealing::Opener, registry::DataCategory};

/// What is sealed, and opened again.
const COORDINATE: &str = "Health.probe";

/// What came of the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// An entry could have been committed.
    Writable,
    /// There is no transaction to be had.
    NoTransaction,
    /// There is one, but it takes no entry.
    NoEntry,
    /// It takes one, but the values of it cannot be sealed and opened again.
    NoKey,
}

/// Writes an entry, opens what it holds, and takes it back: nothing less tells of a full disk, a lost right, a server that only reads,
/// or a master key that is not the one in use.
pub async fn probe(app: &App) -> ProbeResult {
    let Ok(mut tx) = begin(app, Author::command(app, "server:health", None)).await else {
        return ProbeResult::NoTransaction;
    };
    let entry = Entry {
        action: "probe",
        entity_type: "Health",
        entity_id: None,
        contact_id: None,
        changes: ChangeSet::single(COORDINATE, DataCategory::Technical, serde_json::Value::Null, true.into()),
    };
    let recorded = tx.record(entry).await;
    let sealed = tx.entries.last().map(|entry| (entry.id.clone(), entry.sealed.clone()));
    let stored = match recorded {
        Ok(()) => tx.store().await,
        Err(_) => return ProbeResult::NoKey,
    };
    let opened = match (&stored, sealed) {
        (Ok(()), Some((Set(id), Set(sealed)))) => {
            let opener = Opener::of(&tx.inner, &app.keys, [Uuid::nil()]).await;
            opener.is_ok_and(|opener| opener.open(id, Uuid::nil(), &sealed).contains_key(COORDINATE))
        }
        _ => false,
    };
    let rolled_back = tx.inner.rollback().await;
    match (stored, rolled_back) {
        (Ok(()), Ok(())) if opened => ProbeResult::Writable,
        (Ok(()), Ok(())) => ProbeResult::NoKey,
        _ => ProbeResult::NoEntry,
    }
}
