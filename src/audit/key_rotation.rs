//! A new master key: the database has it in use from one instant on, every subject key is wrapped anew, no value is sealed
//! anew. Room: audit.

use std::time::Duration;

use entity::{
    master_key,
    subject_key::{Column, Entity, Model},
};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{Expr, LockType, OnConflict},
};

use super::{
    Author, ChangeSet, Entry, Transaction, begin, master_keys,
    unopenable::{KeyPosition, keys_after, position_of},
};
use crate::audit::retry::with_retry;
use crate::{app::App, base::error::Error, crypto::sealing, registry::DataCategory};

/// Keys that are wrapped anew in one transaction.
const BATCH_SIZE: u64 = 500;
/// Between two looks whether transactions of before have ended.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What a rotation has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RotationReport {
    /// Keys that were wrapped anew.
    pub rewrapped: u64,
    /// Names of master keys that are not known here and still wrap keys.
    pub unknown: Vec<String>,
    /// Keys that stayed, though their master key is known: they are not what was wrapped.
    pub broken: u64,
}

/// Takes the configured master key in use, and wraps every key anew by it that another known one wraps. It may be done again at any
/// time, also after it was killed: it goes on where it was.
///
/// From the instant at which the new one is in use the database takes keys under no other. Transactions that began before that are
/// waited for, so that none is left behind.
///
/// # Errors
/// `INTERNAL` from the database; what was done before that stays.
pub async fn rotate_master_key(app: &App, actor: &str) -> Result<RotationReport, Error> {
    with_retry(|| use_configured_key(app, actor)).await?;
    wait_for_older_transactions(app, Author::command(app, actor, None)).await?;
    let (mut report, configured) = (RotationReport::default(), app.keys.configured()?);
    for name in master_keys::names(&app.db.reader).await? {
        if name == configured {
            continue;
        }
        if !app.keys.names()?.contains(&name) {
            report.unknown.push(name);
            continue;
        }
        let mut last: Option<KeyPosition> = None;
        loop {
            let batch = with_retry(|| rewrap(app, actor, &name, last.clone())).await?;
            report.rewrapped += batch.rewrapped;
            report.broken += batch.broken;
            match batch.last {
                Some(position) => last = Some(position),
                None => break,
            }
        }
    }
    Ok(report)
}

#[derive(Default)]
struct Batch {
    rewrapped: u64,
    broken: u64,
    last: Option<KeyPosition>,
}

/// Has the configured master key in use, if it is not yet.
async fn use_configured_key(app: &App, actor: &str) -> Result<(), Error> {
    let configured = app.keys.configured()?;
    let mut tx = begin(app, Author::command(app, actor, None)).await?;
    let row = master_key::Entity::find_by_id(1).one(tx.connection()).await?;
    let before = row.map(|row| row.name);
    if before.as_deref() == Some(configured.as_str()) {
        app.keys.take_in_use(&configured)?;
        return Ok(());
    }
    let row = master_key::ActiveModel { id: Set(1), name: Set(configured.clone()), since: Set(tx.now()) };
    let on_conflict = OnConflict::column(master_key::Column::Id)
        .update_columns([master_key::Column::Name, master_key::Column::Since])
        .to_owned();
    master_key::Entity::insert(row).on_conflict(on_conflict).exec_without_returning(tx.connection()).await?;
    // What this transaction wraps is under the new one already; whether it is committed is asked anew.
    app.keys.take_in_use(&configured)?;
    let before = before.map_or(serde_json::Value::Null, Into::into);
    record(&mut tx, before, &configured).await?;
    let committed = tx.commit().await;
    app.keys.doubt();
    committed
}

async fn record(tx: &mut Transaction, before: serde_json::Value, configured: &str) -> Result<(), Error> {
    tx.record(Entry {
        action: "rotateKeys",
        entity_type: "MasterKey",
        entity_id: None,
        contact_id: None,
        changes: ChangeSet::single("MasterKey.name", DataCategory::Technical, before, configured.into()),
    })
    .await
}

/// Waits until every transaction has ended that may have written a key before the new one was in use. SQLite has one writer.
async fn wait_for_older_transactions(app: &App, author: Author) -> Result<(), Error> {
    if app.db.backend() == DbBackend::Sqlite {
        return Ok(());
    }
    // A transaction that saw the old key had its number before it looked (migration 24), so that number is lower than a new one. The
    // `xmax` of a snapshot is not enough: it follows the latest transaction that has ended, not those that still run.
    let first_new = {
        let tx = begin(app, author).await?;
        transaction_number(tx.connection(), "pg_current_xact_id()::text::bigint").await?
    };
    let mut logged = false;
    loop {
        let oldest =
            transaction_number(&app.db.reader, "pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
                .await?;
        if oldest >= first_new {
            return Ok(());
        }
        if !logged {
            tracing::info!("waiting for transactions that began before the new master key was in use");
            logged = true;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

async fn transaction_number<C: ConnectionTrait>(
    connection: &C,
    expression: &'static str,
) -> Result<i64, Error> {
    let mut query = sea_orm::sea_query::Query::select();
    query.expr_as(Expr::cust(expression), "number");
    let found = connection.query_one(&query).await?;
    let found = found.ok_or_else(|| Error::internal("PostgreSQL returns no transaction number"))?;
    Ok(found.try_get("", "number")?)
}

/// Wraps a batch of the keys anew that lie under `name` behind `last`. Rows are locked, so that none comes back that is destroyed
/// meanwhile.
async fn rewrap(app: &App, actor: &str, name: &str, last: Option<KeyPosition>) -> Result<Batch, Error> {
    let mut tx = begin(app, Author::command(app, actor, None)).await?;
    let mut query = keys_after(last.as_ref(), BATCH_SIZE).filter(Column::WrappedBy.eq(name));
    if app.db.backend() == DbBackend::Postgres {
        query = query.lock(LockType::Update);
    }
    let rows: Vec<Model> = query.all(tx.connection()).await?;
    let mut batch = Batch { last: rows.last().map(position_of), ..Batch::default() };
    let mut rewrapped = Vec::new();
    for row in &rows {
        match sealing::rewrapped(&app.keys, row)? {
            Some(row) => rewrapped.push(row),
            None => batch.broken += 1,
        }
    }
    if rewrapped.is_empty() {
        return Ok(batch);
    }
    batch.rewrapped = rewrapped.len() as u64;
    let on_conflict = OnConflict::columns([Column::SubjectId, Column::Category, Column::Generation])
        .update_columns([Column::Wrapped, Column::WrappedBy])
        .to_owned();
    let written =
        Entity::insert_many(rewrapped).on_conflict(on_conflict).exec_without_returning(tx.connection()).await;
    written.map_err(|error| sealing::refused(&app.keys, error))?;
    let configured = app.keys.key_id()?;
    record(&mut tx, name.into(), &configured).await?;
    tx.commit().await?;
    Ok(batch)
}
