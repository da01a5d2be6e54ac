//! Reads contacts and compares them with what their source says. Room: domain/contacts/source_updates.

use sea_orm::ConnectionTrait;

use super::{
    comparison::{self, Comparison},
    former_addresses,
    records::{SourceRecord, UpdateMode, View},
    snapshot::{self, Snapshot},
};
use crate::base::error::Error;

/// Compares contacts with what their source says, without locks: one comparison for each record, `None` for a contact
/// that does not exist.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn compare<C: ConnectionTrait>(
    view: &View<'_, C>,
    mode: UpdateMode,
    records: &[SourceRecord],
) -> Result<Vec<Option<Comparison>>, Error> {
    let found = find(view, mode, records).await?;
    Ok(found.into_iter().map(|found| found.map(|(_, comparison)| comparison)).collect())
}

/// A contact, and how it compares with a record; `None` if it does not exist.
pub(super) type Found = Option<(Snapshot, Comparison)>;

/// Reads the contact of each record and compares. The history of a contact is only read if a record brings an address.
pub(super) async fn find<C: ConnectionTrait>(
    view: &View<'_, C>,
    mode: UpdateMode,
    records: &[SourceRecord],
) -> Result<Vec<Found>, Error> {
    let snapshots = snapshot::read(view, records).await?;
    let mut all: Vec<Found> = Vec::with_capacity(records.len());
    let mut with_history = Vec::new();
    for record in records {
        let snapshot = snapshots.get(&record.contact_id).cloned();
        let found = snapshot.map(|snapshot| {
            let comparison = comparison::compare(view.reader, mode, &snapshot, record);
            (snapshot, comparison)
        });
        if found.as_ref().is_some_and(|(_, comparison)| comparison.takes_address()) {
            with_history.push(record.contact_id);
        }
        all.push(found);
    }
    let former = former_addresses::read(view, &with_history).await?;
    for (record, found) in records.iter().zip(&mut all) {
        if let (Some(former), Some((snapshot, comparison))) = (former.get(&record.contact_id), found) {
            snapshot.former = former.clone();
            *comparison = comparison::compare(view.reader, mode, snapshot, record);
        }
    }
    Ok(all)
}
