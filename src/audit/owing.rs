//! Entries that are owed: a no is taken also while the audit log cannot be written, and its record follows (floor 3).
//!
//! Everything else is refused then. What is owed waits in a table of its own, in the transaction of the no, and moves to the log as
//! soon as that takes it.

use std::collections::BTreeMap;

use entity::{audit_entry, audit_owed, subject_key};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, Iterable, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    TransactionOptions,
    sea_query::{InsertStatement, LockBehavior, LockType, Query},
};
use uuid::Uuid;

use super::{Transaction, again, open};
use crate::{
    context::App,
    error::{Code, Error},
};

/// Entries that move together.
const BATCH: u64 = 500;
const SAVEPOINT: &str = "SAVEPOINT owed";
const BACK: &str = "ROLLBACK TO SAVEPOINT owed";
const RELEASE: &str = "RELEASE SAVEPOINT owed";

/// What was written, and whether its entries are in the audit log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// They are.
    Now,
    /// They follow.
    Later,
}

/// Runs `once`, which is one transaction that takes a no, as [`again`] does; where the audit log cannot be written, once more with
/// [`Recorded::Later`], by which it has to [`Transaction::owe`] its entries.
///
/// # Errors
/// Those of `once`.
pub async fn taken<T, F>(mut once: impl FnMut(Recorded) -> F) -> Result<(T, Recorded), Error>
where
    F: Future<Output = Result<T, Error>>,
{
    match again(|| once(Recorded::Now)).await {
        Err(error) if error.code == Code::AuditUnavailable => {
            tracing::error!("the audit log cannot be written; a no is taken all the same");
            Ok((again(|| once(Recorded::Later)).await?, Recorded::Later))
        }
        done => Ok((done?, Recorded::Now)),
    }
}

impl Transaction {
    /// Has its entries follow, where they are `later`: for those alone who take a no.
    pub fn owe(&mut self, recorded: Recorded) {
        self.recorded = recorded;
    }

    /// Takes a key that was read already, if it can be opened.
    ///
    /// # Errors
    /// `INTERNAL` when it cannot, and entries do not follow.
    pub(super) fn take_key(&mut self, key: &subject_key::Model) -> Result<(), Error> {
        match (self.sealer.take(key), self.recorded) {
            (Err(_), Recorded::Later) => Ok(()),
            (taken, _) => taken,
        }
    }

    /// The sealed values of an entry that is owed. Where keys cannot be had it has none: what was declared stands in the event or the
    /// objection itself.
    pub(super) async fn seal_owed(
        &mut self,
        id: Uuid,
        subject: Uuid,
        parts: &BTreeMap<&'static str, Vec<u8>>,
    ) -> Result<String, Error> {
        self.inner.execute_unprepared(SAVEPOINT).await?;
        let sealed = self.sealer.seal(&self.inner, self.now, id, subject, parts).await;
        let end = if sealed.is_ok() { RELEASE } else { BACK };
        self.inner.execute_unprepared(end).await?;
        Ok(sealed.unwrap_or_else(|_| "{}".to_owned()))
    }

    /// Writes the keys of what is owed; where they cannot be written, nothing that they seal is kept.
    pub(super) async fn store_owed_keys(&mut self) -> Result<(), Error> {
        self.inner.execute_unprepared(SAVEPOINT).await?;
        let stored = self.sealer.store(&self.inner).await;
        if stored.is_ok() {
            self.inner.execute_unprepared(RELEASE).await?;
            return Ok(());
        }
        self.inner.execute_unprepared(BACK).await?;
        for entry in &mut self.entries {
            entry.sealed = Set("{}".to_owned());
        }
        Ok(())
    }

    /// Where entries go.
    pub(super) fn into_log(&self, mut insert: InsertStatement) -> InsertStatement {
        if self.recorded == Recorded::Later {
            insert.into_table(audit_owed::Entity);
        }
        insert
    }
}

/// Moves what is owed into the audit log, as far as that takes it; gives how many entries that were. It may be done at any time, by
/// several servers at once, and again.
///
/// # Errors
/// `INTERNAL` while the audit log cannot be written; what was moved before that stays.
pub async fn settle(app: &App) -> Result<u64, Error> {
    let mut settled = 0;
    loop {
        let moved = batch(app).await?;
        settled += moved;
        if moved < BATCH {
            return Ok(settled);
        }
    }
}

async fn batch(app: &App) -> Result<u64, Error> {
    use audit_owed::Column;
    let owed = audit_owed::Entity::find().select_only().column(Column::Id).order_by_asc(Column::Id);
    let owed = owed.limit(BATCH);
    // Mostly there is nothing, and nobody waits for a turn to write.
    if owed.clone().into_tuple::<Uuid>().one(&app.db.reader).await?.is_none() {
        return Ok(0);
    }
    // What was recorded with what made it moves, and is no other change: it needs no entry.
    let tx = open(app, TransactionOptions::default()).await?;
    let owed = owed.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    let ids: Vec<Uuid> = owed.into_tuple().all(&tx).await?;
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
