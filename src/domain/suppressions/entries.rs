//! Adds entries to the list. They are found under the keys of every reader version that made entries.
//! Room: domain/suppressions.

use entity::suppression::{ActiveModel, Column, Entity, Model};
use sea_orm::{
    ActiveModelTrait, EntityTrait, IntoActiveModel,
    sea_query::{Expr, OnConflict},
};
use uuid::Uuid;

use super::{OptOutDeclaration, blocks, digests::primary_digest, lookup::MAX_BIND_VALUES, stop_duties};
use crate::{
    audit::{ChangeSet, Entry, LockMode, Transaction},
    base::error::Error,
    crypto::installation_keys::InstallationKeys,
    domain::contacts::{NewAddresses, Reachable},
    registry::DataCategory,
};

/// Name of an entry in the audit log.
const ENTRY: &str = "Suppression";
/// Rows in one INSERT: SQLite accepts 32,766 values.
const INSERT_BATCH: usize = 1_000;

/// Adds opt-outs to the list for the identities of `addresses` they concern, blocks every record of these, and
/// creates stop duties for recipients that read for them. `records` are the records of the person who declared it,
/// besides that of `addresses`. Returns the number of contacts that got a new block.
///
/// A repeat changes nothing; a later time replaces an earlier one.
///
/// # Errors
/// `INTERNAL` from the database, and if an identity is not locked EXCLUSIVE.
pub async fn declare(
    tx: &mut Transaction,
    records: &[Uuid],
    addresses: &NewAddresses,
    all: &[OptOutDeclaration],
) -> Result<usize, Error> {
    let mut affected = 0;
    let records: Vec<Uuid> = records.iter().copied().chain(addresses.owner()).collect();
    let mut keys = None;
    for declared in all {
        let targets: Vec<&Reachable> = addresses.on(declared.channel).collect();
        if targets.is_empty() {
            stop_duties::create_stops(tx, &records, &[], declared).await?;
            continue;
        }
        if !tx.has_locks(targets.iter().map(|reachable| reachable.identity().lock()), LockMode::Exclusive) {
            return Err(Error::internal("an address must be locked before an opt-out is declared"));
        }
        let keys = match &keys {
            Some(keys) => keys,
            None => keys.insert(tx.installation_keys().await?),
        };
        let changed = add(tx, keys, &targets, declared).await?;
        affected += blocks::block_all_records(tx, &targets, declared).await?;
        stop_duties::create_stops(tx, &records, &targets, declared).await?;
        // If the contact has its own entry, that one says that nothing is new.
        if changed || addresses.owner().is_none() || !tx.is_recorded() {
            record(tx, declared, changed).await?;
        }
    }
    Ok(affected)
}

async fn add(
    tx: &Transaction,
    keys: &InstallationKeys,
    targets: &[&Reachable],
    declared: &OptOutDeclaration,
) -> Result<bool, Error> {
    let mut rows: Vec<Model> = Vec::with_capacity(targets.len());
    for reachable in targets {
        let digest = primary_digest(keys, reachable.identity());
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
        // The later declaration wins, whatever reader version made the earlier entry.
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

/// Records what an address was listed for; neither the address nor whose it is.
async fn record(tx: &mut Transaction, declared: &OptOutDeclaration, changed: bool) -> Result<(), Error> {
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
