//! Reads back what entries of the audit log say about contacts. Room: audit.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use entity::{
    audit_entry::{Column, Entity, Model},
    audit_owed,
    enums::AuditOutcome,
};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::{
    base::error::Error,
    crypto::{master_keys::MasterKeys, sealing::Opener},
};

/// Values in one list of a statement.
const MAX_BIND_VALUES: usize = 1_000;

/// An entry of the audit log about a contact.
#[derive(Clone)]
pub struct PastEntry {
    /// Its id; later entries have greater ids.
    pub id: Uuid,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// What was done.
    pub action: String,
    /// Type of the object.
    pub entity_type: String,
    /// Id of the object.
    pub entity_id: Option<Uuid>,
    /// The contact.
    pub contact_id: Uuid,
    /// Id of the request or import.
    pub request_id: Option<String>,
    /// Whether anything changed.
    pub is_change: bool,
    /// Values before and after, by coordinate: those that can be opened.
    pub values: BTreeMap<String, [Json; 2]>,
    /// Whether all its values could be opened.
    pub is_readable: bool,
}

/// Shows no value.
impl std::fmt::Debug for PastEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PastEntry")
            .field("id", &self.id)
            .field("action", &self.action)
            .finish_non_exhaustive()
    }
}

/// The entries about `contacts` with their values, oldest first.
///
/// # Errors
/// `INTERNAL` from the database or if a key cannot be derived.
pub async fn past_entries<C: ConnectionTrait>(
    connection: &C,
    keys: &MasterKeys,
    contacts: &[Uuid],
) -> Result<Vec<PastEntry>, Error> {
    let mut all = Vec::new();
    for contacts in contacts.chunks(MAX_BIND_VALUES) {
        let rows = Entity::find()
            .filter(Column::ContactId.is_in(contacts.iter().copied()))
            .order_by_asc(Column::Id)
            .all(connection)
            .await?;
        let subjects: BTreeSet<Uuid> = rows.iter().map(|row| row.subject_id).collect();
        let opener = Opener::load(connection, keys, subjects).await?;
        all.extend(rows.into_iter().filter_map(|row| opened(&opener, row)));
    }
    all.sort_by_key(|entry: &PastEntry| entry.id);
    Ok(all)
}

fn opened(opener: &Opener, row: Model) -> Option<PastEntry> {
    let values = opener.open(row.id, row.subject_id, &row.sealed);
    Some(PastEntry {
        is_readable: opener.can_open(row.id, row.subject_id, &row.sealed),
        values,
        id: row.id,
        at: row.at,
        is_change: row.outcome == AuditOutcome::Changed,
        action: row.action,
        entity_type: row.entity_type,
        entity_id: row.entity_id,
        contact_id: row.contact_id?,
        request_id: row.request_id,
    })
}

/// Whether entries about `contact` have not reached the log yet.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn has_owed_entries<C: ConnectionTrait>(connection: &C, contact: Uuid) -> Result<bool, Error> {
    let owed = audit_owed::Entity::find().filter(audit_owed::Column::ContactId.eq(contact));
    Ok(owed.count(connection).await? > 0)
}
