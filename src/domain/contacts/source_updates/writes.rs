//! Writes updates by a source, decided again behind the locks. Room: domain/contacts/source_updates.

use std::collections::HashSet;

use entity::{contact, contact_point, provenance};
use uuid::Uuid;

use super::{
    comparison::Comparison,
    finder::{Found, find},
    records::{ACTION, SourceRecord, UpdateMode, UpdateSource, View},
    snapshot::Snapshot,
};
use crate::{
    audit::{ChangeSet, Entry, RowBatch, Transaction},
    auth::actor::Actor,
    base::error::Error,
    domain::contacts::{
        self, NewAddresses, Rectified, lock_mode_for,
        rows::{note_address_changes, set},
    },
    registry::{CONTACT, CONTACT_POINT, ObjectType, PROVENANCE},
};

/// A record that was compared behind the locks, and written if it changes anything.
#[derive(Debug)]
#[must_use = "new addresses must be looked up on the suppression list"]
pub struct WrittenUpdate {
    /// What was found.
    pub comparison: Comparison,
    /// The contact before and after, and the addresses of new contact points.
    pub written: Option<(Rectified, NewAddresses)>,
}

/// Compares `records` with their contacts behind the locks and writes what is taken over, each with its source. Every
/// contact occurs once. The result has `None` for a contact that does not exist.
///
/// # Errors
/// `INTERNAL` from the database; `AUDIT_UNAVAILABLE`; transient if a new address or an opt-out came in between.
pub async fn write(
    tx: &mut Transaction,
    actor: &Actor,
    (mode, source): (UpdateMode, &UpdateSource),
    records: &[SourceRecord],
) -> Result<Vec<Option<WrittenUpdate>>, Error> {
    let ids: HashSet<Uuid> = records.iter().map(|record| record.contact_id).collect();
    if ids.len() != records.len() {
        return Err(Error::internal("a contact is updated twice in one transaction"));
    }
    let ids = Vec::from_iter(ids);
    let (_, new_addresses) = compare(tx, actor, mode, records).await?;
    let lock_mode = lock_mode_for(tx, &ids).await?;
    tx.lock_identities(new_addresses.iter().flat_map(NewAddresses::locks), lock_mode).await?;
    contacts::lock_all(tx, ids.clone()).await?;
    let (found, new_addresses) = compare(tx, actor, mode, records).await?;
    let lock_mode = lock_mode_for(tx, &ids).await?;
    if !tx.has_locks(new_addresses.iter().flat_map(NewAddresses::locks), lock_mode) {
        return Err(Error::retry());
    }
    let mut all = Vec::with_capacity(records.len());
    for found in found {
        let Some((snapshot, comparison)) = found else {
            all.push(None);
            continue;
        };
        let written = match comparison.is_update() {
            true => Some(write_one(tx, source, (snapshot, &comparison)).await?),
            false => None,
        };
        all.push(Some(WrittenUpdate { comparison, written }));
    }
    Ok(all)
}

/// The comparison of each record, and the new addresses of those that are written.
async fn compare(
    tx: &Transaction,
    actor: &Actor,
    mode: UpdateMode,
    records: &[SourceRecord],
) -> Result<(Vec<Found>, Vec<NewAddresses>), Error> {
    let (connection, keys, reader, now) = (tx.connection(), tx.keys(), tx.reader(), tx.now());
    let view = View { connection, keys, reader, actor, now };
    let all = find(&view, mode, records).await?;
    let mut new_addresses = Vec::new();
    for (snapshot, comparison) in all.iter().flatten().filter(|(_, comparison)| comparison.is_update()) {
        let (after, added) = states(tx, snapshot, comparison)?;
        let before = NewAddresses::of_contact(reader, &snapshot.contact, &snapshot.points);
        let points: Vec<_> = snapshot.points.iter().cloned().chain(added).collect();
        new_addresses.push(NewAddresses::of_contact(reader, &after, &points).except(&before));
    }
    Ok((all, new_addresses))
}

/// The contact after the update, and its new contact points.
fn states(
    tx: &Transaction,
    snapshot: &Snapshot,
    comparison: &Comparison,
) -> Result<(contact::Model, Vec<contact_point::Model>), Error> {
    let mut after = snapshot.contact.clone();
    for (field, value) in &comparison.values {
        set(tx.reader(), &mut after, field, value.as_deref())?;
    }
    let points = comparison.points.iter().map(|point| point.row(tx.reader(), tx.new_id(), tx.now()));
    Ok((after, points.collect()))
}

async fn write_one(
    tx: &mut Transaction,
    source: &UpdateSource,
    (snapshot, comparison): (Snapshot, &Comparison),
) -> Result<(Rectified, NewAddresses), Error> {
    let (mut after, added) = states(tx, &snapshot, comparison)?;
    let Snapshot { contact: before, points, .. } = snapshot;
    after.version += 1;
    after.updated_at = tx.now();
    note_address_changes(&before, &mut after, tx.now());
    let mut fields: Vec<&str> = comparison.values.iter().map(|(field, _)| field.name).collect();
    if !added.is_empty() {
        fields.push("contactPoints");
    }
    let provenance = provenance::Model {
        id: tx.new_id(),
        contact_id: before.id,
        source: source.name.clone(),
        // The source names the id of the person once.
        external_id: None,
        collected_at: None,
        recorded_at: tx.now(),
        recorded_by: tx.author().actor.clone(),
        fields: serde_json::json!(fields).to_string(),
        informed_at: source.informed_at,
        notice_version: source.notice_version.clone(),
        import_id: Some(source.import_id),
    };
    let rows = RowBatch::default()
        .insert_all::<contact_point::Entity>(added.iter().cloned())
        .insert_all::<provenance::Entity>(std::iter::once(provenance.clone()))
        .update::<contact::Entity>(&CONTACT, &before, &after)?;
    let changes = tx.write(rows).await?;
    let entry = |object: &'static ObjectType, id, changes| Entry {
        action: ACTION,
        entity_type: object.name,
        entity_id: Some(id),
        contact_id: Some(before.id),
        changes,
    };
    tx.record(entry(&CONTACT, before.id, changes)).await?;
    for point in &added {
        let changes = ChangeSet::diff(&CONTACT_POINT, None, Some(point));
        tx.record(entry(&CONTACT_POINT, point.id, changes)).await?;
    }
    let changes = ChangeSet::diff(&PROVENANCE, None, Some(&provenance));
    tx.record(entry(&PROVENANCE, provenance.id, changes)).await?;
    let had = NewAddresses::of_contact(tx.reader(), &after, &points);
    let all: Vec<_> = points.iter().cloned().chain(added).collect();
    let new = NewAddresses::of_contact(tx.reader(), &after, &all).except(&had);
    Ok((Rectified { before, after, points }, new))
}
