//! Entries that are owed: a no is taken also while the audit log cannot be written, and its record follows. Room: audit.
//!
//! Everything else is refused then. The transaction of the no runs once more, and its entries go to the table `audit_owed`; a job moves
//! them to the log as soon as that takes them. The mutation answers null with `AUDIT_UNAVAILABLE` and `extensions.outcome = DONE`,
//! without a personal value.

use std::collections::BTreeMap;

use entity::{audit_entry, audit_owed};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, Iterable, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, TransactionOptions, TransactionTrait,
    sea_query::{InsertStatement, LockBehavior, LockType, Query},
};
use uuid::Uuid;

use super::{Past, Recorded, Transaction, open};
use crate::audit::retry::with_retry;
use crate::{
    app::App,
    base::error::{Code, Error},
};

/// Entries that move together.
const BATCH_SIZE: u64 = 500;

/// Runs `once`, which is one transaction that takes a no, as [`with_retry`] does; where the audit log cannot be written, once more with
/// [`Recorded::Later`], by which it has to [`Transaction::owe`] its entries.
///
/// # Errors
/// Those of `once`.
pub async fn taken<T, F>(mut once: impl FnMut(Recorded) -> F) -> Result<(T, Recorded), Error>
where
    F: Future<Output = Result<T, Error>>,
{
    match with_retry(|| once(Recorded::Now)).await {
        Err(error) if error.code == Code::AuditUnavailable => {
            tracing::error!("the audit log cannot be written; a no is taken all the same");
            Ok((with_retry(|| once(Recorded::Later)).await?, Recorded::Later))
        }
        done => Ok((done?, Recorded::Now)),
    }
}

impl Transaction {
    /// Has its entries follow, where they are `later`: for those alone who take a no.
    pub fn owe(&mut self, recorded: Recorded) {
        self.recorded = recorded;
    }

    /// The sealed values of an entry that is owed. Where keys cannot be had it has none: what was declared stands in the event or the
    /// objection itself.
    pub(super) async fn seal_owed(
        &mut self,
        id: Uuid,
        subject: Uuid,
        parts: &BTreeMap<&'static str, Vec<u8>>,
    ) -> Result<String, Error> {
        let attempt = self.attempt().await?;
        let sealed = self.sealer.seal(&attempt, self.now(), id, subject, parts).await;
        if sealed.is_ok() {
            attempt.commit().await?
        } else {
            attempt.rollback().await?
        };
        Ok(sealed.unwrap_or_else(|_| "{}".to_owned()))
    }

    /// Writes the keys of what is owed; where they cannot be written, nothing that they seal is kept.
    pub(super) async fn store_owed_keys(&mut self) -> Result<(), Error> {
        let attempt = self.attempt().await?;
        if self.sealer.store(&attempt).await.is_ok() {
            return Ok(attempt.commit().await?);
        }
        attempt.rollback().await?;
        for entry in &mut self.entries {
            entry.sealed = Set("{}".to_owned());
        }
        Ok(())
    }

    /// A savepoint: PostgreSQL takes no statement any more in a transaction in which one has failed.
    async fn attempt(&self) -> Result<DatabaseTransaction, Error> {
        #[expect(clippy::disallowed_methods, reason = "a savepoint within the one transaction")]
        let attempt = self.inner.begin().await?;
        Ok(attempt)
    }

    /// Where entries go.
    pub(super) fn destined(&self, mut insert: InsertStatement) -> InsertStatement {
        if self.recorded == Recorded::Later {
            insert.into_table(audit_owed::Entity);
        }
        insert
    }
}

/// Moves what is owed into the audit log, as far as that takes it; gives how many entries that were. One that the log refuses holds up
/// no other. It may be done at any time, by several servers at once, and again.
///
/// # Errors
/// `INTERNAL` while the audit log cannot be written, or where an entry was refused; what was moved before that stays.
pub async fn settle(app: &App) -> Result<u64, Error> {
    use audit_owed::Column;
    let (mut settled, mut last, mut past) = (0, Uuid::nil(), Past::default());
    loop {
        let owed = audit_owed::Entity::find().select_only().column(Column::Id).filter(Column::Id.gt(last));
        let owed = owed.order_by_asc(Column::Id).limit(BATCH_SIZE).into_tuple();
        // Mostly there is nothing, and nobody waits for a turn to write.
        let ids: Vec<Uuid> = owed.all(&app.db.reader).await?;
        let Some(end) = ids.last() else { return past.end(settled) };
        last = *end;
        match with_retry(|| moved(app, &ids)).await {
            Ok(number) => settled += number,
            Err(_) => {
                for id in &ids {
                    let alone = with_retry(|| moved(app, std::slice::from_ref(id))).await;
                    settled += past.take(app, "an entry that is owed", *id, alone).await?;
                }
            }
        }
    }
}

/// Moves those of `ids` that nobody else moves.
async fn moved(app: &App, ids: &[Uuid]) -> Result<u64, Error> {
    use audit_owed::Column;
    // What was recorded with what made it moves, and is no other change: it needs no entry.
    let tx = open(app, TransactionOptions::default()).await?;
    let owed = audit_owed::Entity::find().select_only().column(Column::Id);
    let owed = owed.filter(Column::Id.is_in(ids.iter().copied())).order_by_asc(Column::Id);
    let owed = owed.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    let ids: Vec<Uuid> = owed.into_tuple().all(&tx).await?;
    if ids.is_empty() {
        return Ok(0);
    }
    let meant = || audit_owed::Entity::find().filter(Column::Id.is_in(ids.iter().copied()));
    let mut select = meant().select_only();
    for column in Column::iter() {
        select = select.column(column);
    }
    let mut insert = Query::insert();
    insert.into_table(audit_entry::Entity).columns(audit_entry::Column::iter());
    let filled = insert.select_from(select.into_query());
    filled.map_err(|_| Error::internal("entries that are owed"))?;
    tx.execute(&insert).await?;
    audit_owed::Entity::delete_many().filter(Column::Id.is_in(ids.iter().copied())).exec(&tx).await?;
    tx.commit().await?;
    Ok(u64::try_from(ids.len()).unwrap_or(u64::MAX))
}
