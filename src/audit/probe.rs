//! Checks that the audit log can be written and read, without leaving a trace. Room: audit.

use sea_orm::ActiveValue::Set;
use uuid::Uuid;

use super::{Author, ChangeSet, Entry, begin};
use crate::{app::App, crypto::sealing::Opener, registry::DataCategory};

/// The coordinate that is sealed and opened again.
const COORDINATE: &str = "Health.probe";

/// The result of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// An entry could have been committed.
    Writable,
    /// No transaction can be begun.
    NoTransaction,
    /// No entry can be written.
    NoEntry,
    /// An entry can be written, but its values cannot be sealed and opened again.
    NoKey,
}

/// Writes an entry, opens its values and rolls back: nothing less detects a full disk, a lost permission, a
/// read-only server, or a master key that is not the one in use.
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
            let opener = Opener::load(&tx.inner, &app.keys, [Uuid::nil()]).await;
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
