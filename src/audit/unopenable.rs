//! Counts keys and entries that cannot be opened: all are tried, batch by batch. Room: audit.

use std::collections::{BTreeMap, BTreeSet};

use entity::{
    audit_entry, contact,
    enums::ContactState,
    subject_key::{self, Column, Model},
};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use uuid::Uuid;

use super::{Author, ChangeSet, Entry, begin};
use crate::audit::{installation_keys, retry::with_retry};
use crate::{
    app::App,
    base::error::Error,
    crypto::sealing::{self, Opener},
    registry::DataCategory,
};

/// Rows in one batch.
const BATCH_SIZE: u64 = 500;

/// Counts of what cannot be opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unopenable {
    /// Keys whose content was altered, though their master key is known.
    pub keys: u64,
    /// Entries about existing persons, or about nobody, with a key that is missing or cannot be opened.
    pub entries: u64,
    /// Entries about erased persons: their keys were destroyed on purpose.
    pub destroyed: u64,
}

/// The primary key of a subject key.
pub(super) type KeyPosition = (Uuid, String, i32);

pub(super) fn position_of(row: &Model) -> KeyPosition {
    (row.subject_id, row.category.clone(), row.generation)
}

/// A batch of keys after `last`.
pub(super) fn keys_after(last: Option<&KeyPosition>, batch: u64) -> Select<subject_key::Entity> {
    let keys = subject_key::Entity::find()
        .order_by_asc(Column::SubjectId)
        .order_by_asc(Column::Category)
        .order_by_asc(Column::Generation)
        .limit(batch);
    let Some((subject, category, generation)) = last else { return keys };
    let same = || Condition::all().add(Column::SubjectId.eq(*subject));
    keys.filter(
        Condition::any()
            .add(Column::SubjectId.gt(*subject))
            .add(same().add(Column::Category.gt(category.as_str())))
            .add(same().add(Column::Category.eq(category.as_str())).add(Column::Generation.gt(*generation))),
    )
}

/// Tries to open every key and every entry, and counts the failures.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn count_unopenable(app: &App) -> Result<Unopenable, Error> {
    let mut counts = Unopenable::default();
    let (known_masters, mut last) = (app.keys.names()?, None);
    loop {
        let keys = keys_after(last.as_ref(), BATCH_SIZE).all(&app.db.reader).await?;
        let Some(end) = keys.last() else { break };
        last = Some(position_of(end));
        for row in keys.iter().filter(|row| known_masters.contains(&row.wrapped_by)) {
            counts.keys += u64::from(!sealing::can_open(&app.keys, row)?);
        }
    }
    let mut last = Uuid::nil();
    loop {
        let entries = audit_entry::Entity::find()
            .select_only()
            .columns([audit_entry::Column::Id, audit_entry::Column::SubjectId, audit_entry::Column::Sealed])
            .filter(audit_entry::Column::Id.gt(last))
            .order_by_asc(audit_entry::Column::Id)
            .limit(BATCH_SIZE);
        let entries: Vec<(Uuid, Uuid, String)> = entries.into_tuple().all(&app.db.reader).await?;
        let Some((end, ..)) = entries.last() else { return Ok(counts) };
        last = *end;
        let (existing, erased) = count_unopenable_entries(app, &entries).await?;
        counts.entries += existing;
        counts.destroyed += erased;
    }
}

/// The number of `entries` that cannot be opened, of existing subjects and of erased ones.
async fn count_unopenable_entries(app: &App, entries: &[(Uuid, Uuid, String)]) -> Result<(u64, u64), Error> {
    let subjects: BTreeSet<Uuid> = entries.iter().map(|(_, subject, _)| *subject).collect();
    let opener = Opener::load(&app.db.reader, &app.keys, subjects).await?;
    let mut by_subject: BTreeMap<Uuid, u64> = BTreeMap::new();
    for (id, subject, sealed) in entries {
        if !opener.can_open(*id, *subject, sealed) {
            *by_subject.entry(*subject).or_default() += 1;
        }
    }
    if by_subject.is_empty() {
        return Ok((0, 0));
    }
    let existing: Vec<Uuid> = contact::Entity::find()
        .select_only()
        .column(contact::Column::Id)
        .filter(contact::Column::Id.is_in(by_subject.keys().copied()))
        .filter(contact::Column::State.ne(ContactState::Erased))
        .into_tuple()
        .all(&app.db.reader)
        .await?;
    let (existing, erased): (Vec<_>, Vec<_>) =
        by_subject.into_iter().partition(|(subject, _)| subject.is_nil() || existing.contains(subject));
    let sum = |of: Vec<(Uuid, u64)>| of.into_iter().map(|(_, entries)| entries).sum();
    Ok((sum(existing), sum(erased)))
}

/// Deletes keys that cannot be opened, because their content was altered or their master key is unknown, and
/// returns how many. Installation keys stay. What was sealed under them was unreadable before.
///
/// # Errors
/// `INTERNAL` from the database; earlier deletions are kept.
pub async fn delete_unopenable_keys(app: &App, actor: &str) -> Result<u64, Error> {
    let (mut deleted, mut last) = (0, None);
    loop {
        let keys = keys_after(last.as_ref(), BATCH_SIZE).all(&app.db.reader).await?;
        let Some(end) = keys.last() else { return Ok(deleted) };
        last = Some(position_of(end));
        let mut lost = Vec::new();
        for row in keys.into_iter().filter(|row| !installation_keys::is_of_installation(row)) {
            if !sealing::can_open(&app.keys, &row)? {
                lost.push(row);
            }
        }
        if !lost.is_empty() {
            deleted += with_retry(|| delete(app, actor, &lost)).await?;
        }
    }
}

async fn delete(app: &App, actor: &str, lost: &[Model]) -> Result<u64, Error> {
    let mut tx = begin(app, Author::command(app, actor, None)).await?;
    let mut deleted = 0;
    for row in lost {
        // Unless somebody has restored it meanwhile.
        let same = subject_key::Entity::delete_many().filter(Column::Wrapped.eq(row.wrapped.as_str()));
        let (subject, category, generation) = position_of(row);
        let same = same.filter(Column::SubjectId.eq(subject)).filter(Column::Category.eq(category));
        let same = same.filter(Column::Generation.eq(generation));
        deleted += same.exec(tx.connection()).await?.rows_affected;
    }
    let changes =
        ChangeSet::single("deleted", DataCategory::Technical, serde_json::Value::Null, deleted.into());
    tx.record(Entry {
        action: "giveUpKeys",
        entity_type: "Keys",
        entity_id: None,
        contact_id: None,
        changes,
    })
    .await?;
    tx.commit().await?;
    Ok(deleted)
}
