//! Entries of the list: made with the no, found under the keys of every reader that entries were made by. Room: domain/suppressions.

use entity::suppression::{ActiveModel, Column, Entity, Model};
use sea_orm::{
    ActiveModelTrait, EntityTrait, IntoActiveModel,
    sea_query::{Expr, OnConflict},
};
use uuid::Uuid;

use super::{Declared, blocks, digests::own_digest, duties, lookup::MAX_BIND_VALUES};
use crate::{
    audit::{ChangeSet, Entry, LockMode, Transaction},
    base::error::Error,
    crypto::installation_keys::InstallationKeys,
    domain::contacts::{NewAddresses, Reachable},
    registry::DataCategory,
};

/// Name of an entry in the audit log.
const ENTRY: &str = "Suppression";
/// Rows of one INSERT: SQLite takes 32,766 parameters.
const INSERT_BATCH: usize = 1_000;

/// Puts what was declared on the list, for the identities of `reached` that it is about, and carries it to every record of them; what
/// recipients read for it becomes a duty to tell them. `own` are the records of the person who declared it, beside that of `reached`.
/// Gives the number of contacts that it closed anything for.
///
/// A repeat changes nothing; a later time stands for an earlier one.
///
/// # Errors
/// `INTERNAL` from the database, and where an identity is not locked EXCLUSIVE.
pub async fn declare(
    tx: &mut Transaction,
    own: &[Uuid],
    reached: &NewAddresses,
    all: &[Declared],
) -> Result<usize, Error> {
    let mut met = 0;
    let own: Vec<Uuid> = own.iter().copied().chain(reached.owner()).collect();
    let mut ring = None;
    for declared in all {
        let meant: Vec<&Reachable> = reached.on(declared.channel).collect();
        if meant.is_empty() {
            duties::make(tx, &own, &[], declared).await?;
            continue;
        }
        if !tx.has_locks(meant.iter().map(|reachable| reachable.identity().lock()), LockMode::Exclusive) {
            return Err(Error::internal("a no that is declared without the lock of its address"));
        }
        let ring = match &ring {
            Some(ring) => ring,
            None => ring.insert(tx.installation_keys().await?),
        };
        let changed = add(tx, ring, &meant, declared).await?;
        met += blocks::spread(tx, &meant, declared).await?;
        duties::make(tx, &own, &meant, declared).await?;
        // Where the contact has an entry of its own, that says that nothing is new.
        if changed || reached.owner().is_none() || !tx.is_recorded() {
            record(tx, declared, changed).await?;
        }
    }
    Ok(met)
}

async fn add(
    tx: &Transaction,
    ring: &InstallationKeys,
    meant: &[&Reachable],
    declared: &Declared,
) -> Result<bool, Error> {
    let mut rows: Vec<Model> = Vec::with_capacity(meant.len());
    for reachable in meant {
        let digest = own_digest(ring, reachable.identity());
        if rows.iter().any(|row| row.digest == digest) {
            continue;
        }
        rows.push(Model {
            id: tx.new_id(),
            digest,
            key_version: tx.reader().version(),
            channel: declared.channel.unwrap_or_else(|| reachable.channel()),
            every_channel: declared.channel.is_none(),
            purpose_code: declared.purpose.clone(),
            kind: declared.kind,
            since: declared.since,
            source: declared.source.clone(),
            recorded_by: tx.author().actor.clone(),
            created_at: tx.now(),
        });
    }
    let mut changed = 0;
    for rows in rows.chunks(INSERT_BATCH.min(MAX_BIND_VALUES)) {
        let values: Vec<ActiveModel> =
            rows.iter().cloned().map(|row| row.into_active_model().reset_all()).collect();
        let mut conflict =
            OnConflict::columns([Column::Digest, Column::PurposeCode, Column::Channel, Column::Kind]);
        // The later word stands, whatever reader the earlier was put there by.
        conflict.update_columns([Column::Source, Column::RecordedBy, Column::CreatedAt, Column::KeyVersion]);
        conflict.value(
            Column::Since,
            Expr::cust(
                "CASE WHEN suppression.since < excluded.since THEN excluded.since ELSE suppression.since END",
            ),
        );
        conflict
            .value(Column::EveryChannel, Expr::cust("suppression.every_channel OR excluded.every_channel"));
        conflict.action_and_where(Expr::cust(
            "suppression.since < excluded.since OR (excluded.every_channel AND NOT suppression.every_channel)",
        ));
        let insert = Entity::insert_many(values).on_conflict(conflict);
        changed += insert.exec_without_returning(tx.connection()).await?;
    }
    Ok(changed > 0)
}

/// Records for what an address was put on the list; neither the address nor whose it is.
async fn record(tx: &mut Transaction, declared: &Declared, changed: bool) -> Result<(), Error> {
    let code = || {
        ChangeSet::single(
            "Suppression.purpose",
            DataCategory::Technical,
            serde_json::Value::Null,
            declared.purpose.as_str().into(),
        )
    };
    tx.record(Entry {
        action: "suppressAddress",
        entity_type: ENTRY,
        entity_id: None,
        contact_id: None,
        changes: if changed { code() } else { ChangeSet::none() },
    })
    .await
}
