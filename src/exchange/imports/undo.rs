//! Undoes an import of contacts. Room: exchange/imports.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use entity::{
    audit_entry::{Column, Entity},
    import_run,
};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect,
};
use serde::Serialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::report::write_counts;
use crate::{
    app::App,
    audit::{self, Author, ChangeSet, Entry},
    base::{
        error::{Code, Error},
        ids::id_at,
    },
    domain::{
        contacts::source_updates,
        operations::{self, IMPORT_CREATED, UNDO_IMPORT, Undone},
    },
    registry::{CONTACT, DataCategory},
};

/// The object of the entry that marks an import.
const OBJECT: &str = "Import";
/// Contacts in a transaction.
const BATCH_SIZE: u64 = 100;
/// How far the clock may have been set back during an import.
const CLOCK_DOUBT: TimeDelta = TimeDelta::days(2);

/// The outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UndoReport {
    /// Whether it was a dry run; the counts then say what would have been undone.
    pub dry_run: bool,
    /// Contacts that the import created and that were deleted.
    pub deleted: u64,
    /// Contacts that the import updated and that have their values of before.
    pub restored: u64,
    /// Contacts that were left as they are.
    pub left: u64,
    /// The same by reason.
    pub reasons: BTreeMap<&'static str, u64>,
}

impl std::fmt::Display for UndoReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let verbs = if self.dry_run { ["would delete", "would restore"] } else { ["deleted", "restored"] };
        let [deleted, restored] = verbs;
        write_counts(f, &[(deleted, self.deleted), (restored, self.restored), ("left", self.left)])?;
        self.reasons.iter().try_for_each(|(reason, count)| writeln!(f, "  {reason:<24}{count:>10}"))
    }
}

/// Undoes the import `id`: deletes the contacts that it created and gives those that it updated their values of before,
/// as long as nothing else was written on top. Objections of the file stay. `on_left` learns each contact that is left as
/// it is, and why. After an interruption, and when obstacles are gone, the same again goes on.
///
/// # Errors
/// `NOT_FOUND` for an unknown import; `AUDIT_UNAVAILABLE`; `INTERNAL` from the database; errors of the callback. Batches
/// before the error stay undone.
pub async fn undo(
    app: &App,
    actor: &str,
    (id, dry_run): (Uuid, bool),
    mut on_left: impl FnMut(Uuid, &'static str) -> Result<(), Error> + Send,
) -> Result<UndoReport, Error> {
    let run = import_run::Entity::find_by_id(id).one(&app.db.reader).await?;
    let run = run.ok_or_else(not_found)?;
    let purpose = run.purpose_code.clone();
    let author =
        || Author { request_id: Some(id.to_string()), ..Author::command(app, actor, Some(&purpose)) };
    // From the mark on the import itself writes nothing.
    let run = match dry_run {
        true => run,
        false => audit::with_retry(|| mark(app, author(), id)).await?,
    };
    let mut report = UndoReport { dry_run, ..UndoReport::default() };
    let mut after = id_at(run.started_at - CLOCK_DOUBT);
    let end = id_at(run.last_at + CLOCK_DOUBT);
    loop {
        let entries: Vec<(Uuid, Uuid)> = Entity::find()
            .select_only()
            .columns([Column::Id, Column::ContactId])
            .filter(Column::Id.gt(after))
            .filter(Column::Id.lt(end))
            .filter(Column::RequestId.eq(id.to_string()))
            .filter(Column::EntityType.eq(CONTACT.name))
            .filter(Column::Action.is_in([IMPORT_CREATED, source_updates::ACTION]))
            .filter(Column::ContactId.is_not_null())
            .order_by_asc(Column::Id)
            .limit(BATCH_SIZE)
            .into_tuple()
            .all(&app.db.reader)
            .await?;
        let Some((last, _)) = entries.last() else { return Ok(report) };
        after = *last;
        let mut contacts: Vec<Uuid> = entries.into_iter().map(|(_, contact)| contact).collect();
        contacts.sort_unstable();
        contacts.dedup();
        let results = audit::with_retry(|| undo_batch(app, author(), (id, dry_run), &contacts)).await?;
        for (contact, result) in contacts.iter().zip(results) {
            match result {
                Undone::Deleted => report.deleted += 1,
                Undone::Restored => report.restored += 1,
                Undone::Nothing => {}
                Undone::Left(obstacle) => {
                    report.left += 1;
                    *report.reasons.entry(obstacle.as_str()).or_default() += 1;
                    on_left(*contact, obstacle.as_str())?;
                }
            }
        }
    }
}

/// Marks the run as undone and returns it as it is then.
async fn mark(app: &App, author: Author, id: Uuid) -> Result<import_run::Model, Error> {
    let mut tx = audit::begin(app, author).await?;
    let found = import_run::Entity::find_by_id(id).lock_exclusive().one(tx.connection()).await?;
    let run = found.ok_or_else(not_found)?;
    if run.undone_at.is_some() {
        return Ok(run);
    }
    let marked = import_run::Model { undone_at: Some(tx.now()), ..run.clone() };
    let mut row = run.into_active_model();
    row.undone_at = Set(marked.undone_at);
    row.update(tx.connection()).await?;
    let coordinate = format!("{OBJECT}.undoneAt");
    let at = Json::from(tx.now().to_rfc3339());
    tx.record(Entry {
        action: UNDO_IMPORT,
        entity_type: OBJECT,
        entity_id: Some(id),
        contact_id: None,
        changes: ChangeSet::single(&coordinate, DataCategory::Technical, Json::Null, at),
    })
    .await?;
    tx.commit().await?;
    Ok(marked)
}

/// Undoes what was done to some contacts; a dry run only says what it would do.
async fn undo_batch(
    app: &App,
    author: Author,
    (id, dry_run): (Uuid, bool),
    contacts: &[Uuid],
) -> Result<Vec<Undone>, Error> {
    let mut tx = audit::begin(app, author).await?;
    let results = operations::undo_import(&mut tx, id, contacts).await?;
    if tx.is_recorded() && !dry_run {
        tx.commit().await?;
    }
    Ok(results)
}

fn not_found() -> Error {
    Error::new(Code::NotFound, "there is no such import")
}
