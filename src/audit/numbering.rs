//! Changes of consents get their places among those that were told, one batch after the other. Room: audit.
//!
//! On PostgreSQL whoever writes a change queues it and waits for nobody. What is committed moves from there to `consent_change`, with
//! ids above all that others may have read: a cursor skips none. One at a time does it, whichever server it is, and in one
//! transaction for each batch: whenever that ends, a change is either still in the queue or has its place.

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

/// Changes that move together.
const BATCH_SIZE: u64 = 1_000;

/// Takes the lock that the trigger of `consent_change` takes, if nobody has it; until the end of the transaction. A server that is
/// lost without a word would keep it for as long as its connection seems to be there: the database ends that.
const TRY_LOCK: &str = "set_config('idle_in_transaction_session_timeout', '5s', true) IS NOT NULL \
                    AND pg_try_advisory_xact_lock(134653220711169)";

/// Gives all committed changes that wait their places, and tells how many; nothing where another does it meanwhile, who may have
/// looked before the last of them came. It may be done at any time, by several servers at once, and again.
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

/// Whether any change waits.
async fn has_queued(app: &App) -> Result<bool, Error> {
    let queued =
        consent_change_queue::Entity::find().select_only().column(consent_change_queue::Column::Number);
    Ok(queued.limit(1).into_tuple::<i64>().one(&app.db.reader).await?.is_some())
}

/// Moves one batch; nothing where another moves one.
async fn number_batch(app: &App) -> Result<Option<u64>, Error> {
    // What was recorded when it was queued moves, and is no other change: it needs no entry.
    let tx = super::open(app, TransactionOptions::default()).await?;
    if !try_lock(&tx).await? {
        return Ok(None);
    }
    // The oldest first: of one contact a later change is never taken before an earlier one. Who queues it now comes next.
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

/// Whether it is this one's turn. What it looks at must be asked behind it: all that others have moved is seen then.
async fn try_lock(tx: &DatabaseTransaction) -> Result<bool, Error> {
    let query = Query::select().expr(Expr::cust(TRY_LOCK)).to_owned();
    match tx.query_one(&query).await? {
        Some(row) => Ok(row.try_get_by_index(0)?),
        None => Ok(false),
    }
}
