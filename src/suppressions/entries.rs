//! Entries of the list: made with the no, found under the keys of every reader that entries were made by (floor 4).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use entity::{
    enums::{Channel, SuppressionKind},
    suppression::{ActiveModel, Column, Entity, Model},
};
use ring::hmac;
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, TryGetable,
    sea_query::{Expr, OnConflict},
};
use uuid::Uuid;

use super::{PARAMETERS, blocks, duties, statements::Text};
use crate::{
    audit::{Changes, Entry, Mode, Transaction},
    contacts::{Reachable, Reached},
    context::Ring,
    error::Error,
    identities::{Identity, Kind, Reader},
    register::Category,
};

/// Name of an entry in the audit log.
const ENTRY: &str = "Suppression";
/// Rows of one INSERT: SQLite takes 32,766 parameters.
const ROWS: usize = 1_000;

/// A no to advertising, as it is put on the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Code of the purpose or group.
    pub purpose: String,
    /// What it is.
    pub kind: SuppressionKind,
    /// The channel, where one was named.
    pub channel: Option<Channel>,
    /// When.
    pub since: DateTime<Utc>,
    /// Where it was declared.
    pub source: Option<String>,
}

/// HMAC-SHA-256 (RFC 2104) of kind and key: whoever does not have the key of the list cannot try addresses.
fn digest(ring: &Ring, kind: Kind, key: &str) -> String {
    let kind = match kind {
        Kind::Mailbox => "EMAIL",
        Kind::Number => "PHONE",
        Kind::Postal => "POST",
    };
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &ring.suppression));
    context.update(kind.as_bytes());
    context.update(&[0]);
    context.update(key.as_bytes());
    URL_SAFE_NO_PAD.encode(context.sign())
}

/// The text that the digest of an identity is made of: of a postal address with the name of the household.
fn texts(identity: &Identity) -> Vec<String> {
    match identity.kind() {
        Kind::Postal => {
            let key = identity.key();
            // What was declared for the household holds for everybody there.
            let named = identity.name().map(|name| format!("{key}\0{name}"));
            named.into_iter().chain([format!("{key}\0")]).collect()
        }
        _ => identity.keys().to_vec(),
    }
}

/// The digest that an identity is put on the list under.
fn own_digest(ring: &Ring, identity: &Identity) -> String {
    let texts = texts(identity);
    digest(ring, identity.kind(), texts.first().map_or("", String::as_str))
}

/// Every digest under which an identity may be on the list, by the readers that made the entries.
pub(super) fn digests(
    ring: &Ring,
    reader: &Reader,
    versions: &[String],
    reachable: &Reachable,
    names: (Option<&str>, Option<&str>),
) -> Vec<String> {
    let identity = reachable.identity();
    let mut all = texts(identity);
    for version in versions.iter().filter(|version| **version != reader.version()) {
        if version == Reader::FIRST {
            all.extend(reachable.first_keys(names));
        } else if let Some(other) = Reader::of_version(version) {
            all.extend(reachable.read_by(&other).iter().flat_map(texts));
        }
    }
    all.sort_unstable();
    all.dedup();
    all.iter().map(|text| digest(ring, identity.kind(), text)).collect()
}

/// The versions of the readers that entries were made by; each is found by one step along the index.
pub(super) async fn versions<C: ConnectionTrait>(connection: &C) -> Result<Vec<String>, Error> {
    let mut sql = Text::new(connection.get_database_backend());
    sql.push(
        "WITH RECURSIVE v (x) AS (SELECT MIN(key_version) FROM suppression UNION ALL \
               SELECT (SELECT MIN(s.key_version) FROM suppression s WHERE s.key_version > v.x) FROM v WHERE v.x IS NOT NULL) \
               SELECT x FROM v WHERE x IS NOT NULL",
    );
    let rows = sql.query(connection).await?;
    let versions: Vec<String> = rows
        .iter()
        .map(|row| String::try_get_by(row, 0))
        .collect::<Result<_, _>>()
        .map_err(sea_orm::DbErr::from)?;
    // What cannot be looked for may be a no.
    if versions.iter().any(|version| version != Reader::FIRST && Reader::of_version(version).is_none()) {
        return Err(Error::internal(
            "the suppression list has entries of a version that this program does not know",
        ));
    }
    Ok(versions)
}

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
    reached: &Reached,
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
        if !tx.holds(meant.iter().map(|reachable| reachable.identity().lock()), Mode::Exclusive) {
            return Err(Error::internal("a no that is declared without the lock of its address"));
        }
        let ring = match &ring {
            Some(ring) => ring,
            None => ring.insert(tx.ring().await?),
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
    ring: &Ring,
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
    for rows in rows.chunks(ROWS.min(PARAMETERS)) {
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
        Changes::one(
            "Suppression.purpose",
            Category::Technical,
            serde_json::Value::Null,
            declared.purpose.as_str().into(),
        )
    };
    tx.record(Entry {
        action: "suppressAddress",
        entity_type: ENTRY,
        entity_id: None,
        contact_id: None,
        changes: if changed { code() } else { Changes::none() },
    })
    .await
}
