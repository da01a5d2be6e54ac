//! Rotation of the master key: from one instant on the database uses the new one, and every subject key is wrapped
//! again; no value is sealed again. Room: audit.

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

/// Keys that are wrapped again in one transaction.
const BATCH_SIZE: u64 = 500;
/// Interval between two checks for older transactions.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// The result of a rotation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RotationReport {
    /// Keys that were wrapped again.
    pub rewrapped: u64,
    /// Names of unknown master keys that still wrap keys.
    pub unknown: Vec<String>,
    /// Keys that could not be wrapped again although their master key is known: their content was altered.
    pub broken: u64,
}

/// Puts the configured master key in use and wraps every key that another known one wraps. It can be repeated at
/// any time, also after a crash: it continues where it stopped.
///
/// As soon as the new one is in use, the database accepts keys under no other. Older transactions are waited for,
/// so that no key is missed.
///
/// # Errors
/// `INTERNAL` from the database; batches before that are kept.
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

/// Puts the configured master key in use, if it is not yet.
async fn use_configured_key(app: &App, actor: &str) -> Result<(), Error> {
    let configured = app.keys.configured()?;
    let mut tx = begin(app, Author::command(app, actor, None)).await?;
    let row = master_key::Entity::find_by_id(1).one(tx.connection()).await?;
    let before = row.map(|row| row.name);
    if before.as_deref() == Some(configured.as_str()) {
        app.keys.set_in_use(&configured)?;
        return Ok(());
    }
    let row = master_key::ActiveModel { id: Set(1), name: Set(configured.clone()), since: Set(tx.now()) };
    let on_conflict = OnConflict::column(master_key::Column::Id)
        .update_columns([master_key::Column::Name, master_key::Column::Since])
        .to_owned();
    master_key::Entity::insert(row).on_conflict(on_conflict).exec_without_returning(tx.connection()).await?;
    // This transaction already wraps under the new key; whether it committed is checked again later.
    app.keys.set_in_use(&configured)?;
    let before = before.map_or(serde_json::Value::Null, Into::into);
    record(&mut tx, before, &configured).await?;
    let committed = tx.commit().await;
    app.keys.mark_in_doubt();
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

/// Waits for every transaction that may have written a key before the new one was in use. SQLite has one writer.
async fn wait_for_older_transactions(app: &App, author: Author) -> Result<(), Error> {
    if app.db.backend() == DbBackend::Sqlite {
        return Ok(());
    }
    // A transaction that saw the old key had its number before it looked (migration 24), so its number is lower
    // than a new one. The `xmax` of a snapshot does not suffice: it follows the latest transaction that ended, not
    // those still running.
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

/// Wraps a batch of the keys under `name` after `last` again. Rows are locked, so that none destroyed meanwhile
/// comes back.
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
        match sealing::rewrap(&app.keys, row)? {
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
    written.map_err(|error| sealing::map_insert_error(&app.keys, error))?;
    let configured = app.keys.key_id()?;
    record(&mut tx, name.into(), &configured).await?;
    tx.commit().await?;
    Ok(batch)
}
