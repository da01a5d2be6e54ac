//! Gives queued consent changes their final ids, batch by batch. Room: audit.
//!
//! On PostgreSQL a writer queues its changes and waits for nobody. Committed ones move to `consent_change`, with
//! ids above all that others may have read: no cursor skips one. One server at a time does this, in one transaction
//! per batch: at any time a change is either in the queue or in its final place.

use entity::{consent_change, consent_change_queue};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, QuerySelect, QueryTrait, TransactionOptions,
    sea_query::{Expr, Query},
};

use crate::audit::consent_changes::{insert_rows, last_id};
use crate::{
    app::App,
    base::{error::Error, ids::id_after},
};

/// Changes that move in one transaction.
const BATCH_SIZE: u64 = 1_000;

/// Tries the lock that the trigger of `consent_change` takes, until the end of the transaction. A server lost
/// without notice would hold it as long as its connection seems alive: the database ends that.
const TRY_LOCK: &str = "set_config('idle_in_transaction_session_timeout', '5s', true) IS NOT NULL \
                    AND pg_try_advisory_xact_lock(134653220711169)";

/// Numbers all committed changes in the queue and returns how many; `None` if another server is doing it, which may
/// have looked before the last of them came. It can be run at any time, by several servers, and again.
///
/// # Errors
/// `INTERNAL` from the database; what was numbered before that stays.
pub async fn number_changes(app: &App) -> Result<Option<u64>, Error> {
    // SQLite has no queue.
    if app.db.backend() == DbBackend::Sqlite || !has_queued(app).await? {
        return Ok(Some(0));
    }
    let mut numbered = 0;
    loop {
        let Some(moved) = number_batch(app).await? else { return Ok(None) };
        numbered += moved;
        if moved < BATCH_SIZE {
            return Ok(Some(numbered));
        }
    }
}

/// Whether any change is queued.
async fn has_queued(app: &App) -> Result<bool, Error> {
    let queued =
        consent_change_queue::Entity::find().select_only().column(consent_change_queue::Column::Number);
    Ok(queued.limit(1).into_tuple::<i64>().one(&app.db.reader).await?.is_some())
}

/// Moves one batch; `None` if another server is moving one.
async fn number_batch(app: &App) -> Result<Option<u64>, Error> {
    // The change was recorded when it was queued; moving it needs no entry.
    let tx = super::open(app, TransactionOptions::default()).await?;
    if !try_lock(&tx).await? {
        return Ok(None);
    }
    // Oldest first: a later change of a contact is never taken before an earlier one. Changes queued now come next.
    let oldest =
        consent_change_queue::Entity::find().select_only().column(consent_change_queue::Column::Number);
    let oldest = oldest.order_by_asc(consent_change_queue::Column::Number).limit(BATCH_SIZE).into_query();
    let taken = consent_change_queue::Entity::delete_many()
        .filter(consent_change_queue::Column::Number.in_subquery(oldest))
        .exec_with_returning(&tx);
    let mut taken = taken.await?;
    taken.sort_unstable_by_key(|change| change.number);
    let (mut last, now) = (last_id(&tx).await?, app.now());
    let mut rows = Vec::with_capacity(taken.len());
    for change in taken {
        let id = id_after(last, now);
        last = Some(id);
        let consent_change_queue::Model { contact_id, purpose_code, channel, kind, at, .. } = change;
        rows.push(
            consent_change::Model { id, contact_id, purpose_code, channel, kind, at }.into_active_model(),
        );
    }
    let moved = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    insert_rows::<consent_change::Entity>(&tx, rows).await?;
    tx.commit().await?;
    Ok(Some(moved))
}

/// Tries to take the turn. What it looks at must be read afterwards, to see all that others have moved.
async fn try_lock(tx: &DatabaseTransaction) -> Result<bool, Error> {
    let query = Query::select().expr(Expr::cust(TRY_LOCK)).to_owned();
    match tx.query_one(&query).await? {
        Some(row) => Ok(row.try_get_by_index(0)?),
        None => Ok(false),
    }
}
