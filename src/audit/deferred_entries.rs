//! Deferred entries: an opt-out is accepted even while the audit log cannot be written, and its entries follow.
//! Room: audit.
//!
//! Everything else is rejected then. The transaction of the opt-out runs once more, with its entries in the table
//! `audit_owed`; a job moves them to the log as soon as that is writable. The mutation answers null with
//! `AUDIT_UNAVAILABLE` and `extensions.outcome = DONE`, without a personal value.

use std::collections::BTreeMap;

use entity::{audit_entry, audit_owed};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, Iterable, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, TransactionOptions, TransactionTrait,
    sea_query::{InsertStatement, LockBehavior, LockType, Query},
};
use uuid::Uuid;

use super::{EntryTiming, RowFailures, Transaction, open};
use crate::audit::retry::with_retry;
use crate::{
    app::App,
    base::error::{Code, Error},
};

/// Entries that move in one transaction.
const BATCH_SIZE: u64 = 500;

/// Runs `once`, one transaction that records an opt-out, as [`with_retry`] does. If the audit log cannot be
/// written, runs it once more with [`EntryTiming::Deferred`], which it must pass to
/// [`Transaction::set_entry_timing`].
///
/// # Errors
/// Those of `once`.
pub async fn with_deferred_entries<T, F>(
    mut once: impl FnMut(EntryTiming) -> F,
) -> Result<(T, EntryTiming), Error>
where
    F: Future<Output = Result<T, Error>>,
{
    match with_retry(|| once(EntryTiming::Immediate)).await {
        Err(error) if error.code == Code::AuditUnavailable => {
            tracing::error!("the audit log cannot be written; an opt-out is accepted nevertheless");
            Ok((with_retry(|| once(EntryTiming::Deferred)).await?, EntryTiming::Deferred))
        }
        done => Ok((done?, EntryTiming::Immediate)),
    }
}

impl Transaction {
    /// Sets whether entries are written now or deferred; only transactions that record an opt-out may defer them.
    pub fn set_entry_timing(&mut self, timing: EntryTiming) {
        self.timing = timing;
    }

    /// The sealed values of a deferred entry, or none if keys cannot be had: the declaration itself is in the event
    /// or the objection.
    pub(super) async fn seal_deferred(
        &mut self,
        id: Uuid,
        subject: Uuid,
        parts: &BTreeMap<&'static str, Vec<u8>>,
    ) -> Result<String, Error> {
        let savepoint = self.savepoint().await?;
        let sealed = self.sealer.seal(&savepoint, self.now(), id, subject, parts).await;
        if sealed.is_ok() {
            savepoint.commit().await?
        } else {
            savepoint.rollback().await?
        };
        Ok(sealed.unwrap_or_else(|_| "{}".to_owned()))
    }

    /// Writes the keys of deferred entries; if that fails, values sealed under them are dropped.
    pub(super) async fn store_deferred_keys(&mut self) -> Result<(), Error> {
        let savepoint = self.savepoint().await?;
        if self.sealer.store(&savepoint).await.is_ok() {
            return Ok(savepoint.commit().await?);
        }
        savepoint.rollback().await?;
        for entry in &mut self.entries {
            entry.sealed = Set("{}".to_owned());
        }
        Ok(())
    }

    /// A savepoint: after a failed statement PostgreSQL accepts no other in the same transaction.
    async fn savepoint(&self) -> Result<DatabaseTransaction, Error> {
        #[expect(clippy::disallowed_methods, reason = "a savepoint within the one transaction")]
        let savepoint = self.inner.begin().await?;
        Ok(savepoint)
    }

    /// The INSERT with the table that entries go to.
    pub(super) fn with_target_table(&self, mut insert: InsertStatement) -> InsertStatement {
        if self.timing == EntryTiming::Deferred {
            insert.into_table(audit_owed::Entity);
        }
        insert
    }
}

/// Moves deferred entries into the audit log and returns how many. One that the log rejects delays no other. It can
/// be run at any time, by several servers, and again.
///
/// # Errors
/// `INTERNAL` while the audit log cannot be written, or if an entry was rejected; what was moved before is kept.
pub async fn write_deferred_entries(app: &App) -> Result<u64, Error> {
    use audit_owed::Column;
    let (mut written, mut last, mut failures) = (0, Uuid::nil(), RowFailures::default());
    loop {
        let query = audit_owed::Entity::find().select_only().column(Column::Id).filter(Column::Id.gt(last));
        let query = query.order_by_asc(Column::Id).limit(BATCH_SIZE).into_tuple();
        // Mostly there is nothing, and no writer has to wait.
        let ids: Vec<Uuid> = query.all(&app.db.reader).await?;
        let Some(end) = ids.last() else { return failures.finish(written) };
        last = *end;
        match with_retry(|| move_entries(app, &ids)).await {
            Ok(number) => written += number,
            Err(_) => {
                for id in &ids {
                    let result = with_retry(|| move_entries(app, std::slice::from_ref(id))).await;
                    written += failures.tolerate(app, "an entry that is owed", *id, result).await?;
                }
            }
        }
    }
}

/// Moves those of `ids` that no other server is moving.
async fn move_entries(app: &App, ids: &[Uuid]) -> Result<u64, Error> {
    use audit_owed::Column;
    // The entries were recorded with their change; moving them needs no entry.
    let tx = open(app, TransactionOptions::default()).await?;
    let query = audit_owed::Entity::find().select_only().column(Column::Id);
    let query = query.filter(Column::Id.is_in(ids.iter().copied())).order_by_asc(Column::Id);
    let query = query.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    let ids: Vec<Uuid> = query.into_tuple().all(&tx).await?;
    if ids.is_empty() {
        return Ok(0);
    }
    let entries = || audit_owed::Entity::find().filter(Column::Id.is_in(ids.iter().copied()));
    let mut select = entries().select_only();
    for column in Column::iter() {
        select = select.column(column);
    }
    let mut insert = Query::insert();
    insert.into_table(audit_entry::Entity).columns(audit_entry::Column::iter());
    let filled = insert.select_from(select.into_query());
    filled.map_err(|_| Error::internal("deferred entries cannot be moved"))?;
    tx.execute(&insert).await?;
    audit_owed::Entity::delete_many().filter(Column::Id.is_in(ids.iter().copied())).exec(&tx).await?;
    tx.commit().await?;
    Ok(u64::try_from(ids.len()).unwrap_or(u64::MAX))
}
