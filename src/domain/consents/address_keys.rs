//! Refreshes address keys made by another reader version, and turns earlier opt-outs into blocks.
//! Room: domain/consents.
//!
//! Keys carry the version of the reader that made them. If another version made them - an older program, another
//! region - every row is read again before the server answers. Opt-outs from before there were blocks are listed
//! and applied in the same pass, so that none is lost.

use std::collections::BTreeMap;

use entity::{contact, contact_point, enums::ContactState, key_reader, link, sign_up};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};
use uuid::Uuid;

use super::{opt_outs, rebind_consents};
use crate::{
    app::App,
    audit::{self, Author, ChangeSet, Entry, LockMode, RowFailures, Transaction},
    base::{error::Error, identities},
    domain::{
        contacts::{self, NewAddresses},
        suppressions::{self, reapply},
    },
    registry::{CONTACT, CONTACT_POINT, DataCategory},
};

/// Contacts in one transaction, which holds the locks of all their addresses.
const BATCH_SIZE: u64 = 100;
/// The actor in the audit log.
const ACTOR: &str = "server";

/// What was refreshed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyRefreshReport {
    /// Contacts whose keys were refreshed.
    pub rekeyed: u64,
    /// Contacts that lacked a block of the suppression list.
    pub repaired: u64,
}

impl KeyRefreshReport {
    fn add(&mut self, report: KeyRefreshReport) {
        self.rekeyed += report.rekeyed;
        self.repaired += report.repaired;
    }
}

/// Refreshes all keys if another reader version made them last. It can be repeated and run on several servers:
/// nothing is done twice.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn refresh_address_keys(app: &App) -> Result<KeyRefreshReport, Error> {
    let stored = key_reader::Entity::find_by_id(1).one(&app.db.reader).await?;
    let version = app.identity_reader.version();
    if stored.is_some_and(|stored| stored.version == version) && !is_any_stale(app, &version).await? {
        return Ok(KeyRefreshReport::default());
    }
    let report = refresh_all(app).await?;
    audit::with_retry(|| finish_refresh(app)).await?;
    if report.rekeyed > 0 {
        tracing::info!(contacts = report.rekeyed, version, "the keys of addresses were refreshed");
    }
    Ok(report)
}

/// Whether a row has keys of another version: an older program that ran beside this one writes its own.
async fn is_any_stale(app: &App, version: &str) -> Result<bool, Error> {
    let row = contact::Entity::find()
        .select_only()
        .column(contact::Column::Id)
        .filter(contact::Column::KeyVersion.ne(version))
        .filter(contact::Column::State.ne(ContactState::Erased));
    let point = contact_point::Entity::find()
        .select_only()
        .column(contact_point::Column::Id)
        .filter(contact_point::Column::KeyVersion.ne(version));
    Ok(row.limit(1).into_tuple::<Uuid>().one(&app.db.reader).await?.is_some()
        || point.limit(1).into_tuple::<Uuid>().one(&app.db.reader).await?.is_some())
}

async fn finish_refresh(app: &App) -> Result<(), Error> {
    let mut tx = audit::begin(app, Author::command(app, ACTOR, None)).await?;
    let version = app.identity_reader.version();
    for row in sign_up::Entity::find().all(tx.connection()).await? {
        let key = app.identity_reader.email_key(&row.address);
        sign_up::Entity::update_many()
            .col_expr(sign_up::Column::AddressKey, Expr::value(key))
            .filter(sign_up::Column::Id.eq(row.id))
            .exec(tx.connection())
            .await?;
    }
    for row in link::Entity::find().filter(link::Column::AddressKey.ne("")).all(tx.connection()).await? {
        let key = app.identity_reader.email_key(&row.address_key);
        if key != row.address_key {
            link::Entity::update_many()
                .col_expr(link::Column::AddressKey, Expr::value(key))
                .filter(link::Column::Id.eq(row.id))
                .exec(tx.connection())
                .await?;
        }
    }
    key_reader::Entity::update_many()
        .col_expr(key_reader::Column::Version, Expr::value(version.as_str()))
        .exec(tx.connection())
        .await?;
    tx.record(Entry {
        action: "readAddressesAnew",
        entity_type: "Keys",
        entity_id: None,
        contact_id: None,
        changes: ChangeSet::single(
            "Keys.reader",
            DataCategory::Technical,
            serde_json::Value::Null,
            version.into(),
        ),
    })
    .await?;
    tx.commit().await
}

/// Compares the suppression list with every contact and repairs what is missing: outdated keys, missing blocks. The
/// number of repairs beyond new keys must stay zero.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn reconcile(app: &App) -> Result<KeyRefreshReport, Error> {
    refresh_all(app).await
}

/// Goes through all contacts. One that fails delays no other, and makes it fail in the end.
async fn refresh_all(app: &App) -> Result<KeyRefreshReport, Error> {
    let (mut report, mut last, mut failures) =
        (KeyRefreshReport::default(), Uuid::nil(), RowFailures::default());
    loop {
        let ids: Vec<Uuid> = contact::Entity::find()
            .select_only()
            .column(contact::Column::Id)
            .filter(contact::Column::Id.gt(last))
            .filter(contact::Column::State.ne(ContactState::Erased))
            .order_by_asc(contact::Column::Id)
            .limit(BATCH_SIZE)
            .into_tuple()
            .all(&app.db.reader)
            .await?;
        let Some(end) = ids.last() else { return failures.finish(report) };
        last = *end;
        match audit::with_retry(|| refresh_batch(app, &ids)).await {
            Ok(batch_report) => report.add(batch_report),
            Err(_) => {
                for id in &ids {
                    let result = audit::with_retry(|| refresh_batch(app, std::slice::from_ref(id))).await;
                    report.add(failures.tolerate(app, "a contact that is settled", *id, result).await?);
                }
            }
        }
    }
}

/// One transaction, in lock order: identities, EXCLUSIVE if earlier opt-outs are applied, then contacts.
async fn refresh_batch(app: &App, ids: &[Uuid]) -> Result<KeyRefreshReport, Error> {
    let mut tx = audit::begin(app, Author::command(app, ACTOR, None)).await?;
    let before = load_addresses(&tx, ids).await?;
    let stale = before.iter().any(|(row, points, _)| is_stale(app, row, points));
    let mode = if stale { LockMode::Exclusive } else { LockMode::Shared };
    tx.lock_identities(before.iter().flat_map(|(.., addresses)| addresses.locks().collect::<Vec<_>>()), mode)
        .await?;
    // Other contacts to be blocked are locked along.
    let mut all: Vec<Uuid> = ids.to_vec();
    if stale {
        for (.., addresses) in &before {
            all.extend(suppressions::contacts_with_addresses(tx.connection(), addresses).await?);
        }
    }
    contacts::lock_all(&tx, all).await?;
    let after = load_addresses(&tx, ids).await?;
    if !tx.has_locks(after.iter().flat_map(|(.., addresses)| addresses.locks().collect::<Vec<_>>()), mode) {
        return Err(Error::retry());
    }
    let mut report = KeyRefreshReport::default();
    for (row, points, _) in &after {
        if is_stale(app, row, points) {
            rekey_contact(&mut tx, row, points).await?;
            report.rekeyed += 1;
        }
    }
    for (row, points, addresses) in &after {
        let stale = is_stale(app, row, points);
        if stale {
            opt_outs::declare_past_opt_outs(&mut tx, addresses).await?;
        }
        if reapply(&mut tx, addresses).await? > 0 && !stale {
            report.repaired += 1;
        }
    }
    if report != KeyRefreshReport::default() {
        tx.commit().await?;
    }
    Ok(report)
}

/// Whether another reader version, or none, made its keys.
fn is_stale(app: &App, row: &contact::Model, points: &[contact_point::Model]) -> bool {
    let version = app.identity_reader.version();
    row.key_version != version
        || points.iter().any(|point| point.key_version != version)
        || row.family_name_key != identities::household(row.family_name.as_deref())
}

type Row = (contact::Model, Vec<contact_point::Model>, NewAddresses);

async fn load_addresses(tx: &Transaction, ids: &[Uuid]) -> Result<Vec<Row>, Error> {
    let rows = contact::Entity::find().filter(contact::Column::Id.is_in(ids.iter().copied()));
    let rows = rows.order_by_asc(contact::Column::Id).all(tx.connection()).await?;
    let points =
        contact_point::Entity::find().filter(contact_point::Column::ContactId.is_in(ids.iter().copied()));
    let mut by_contact: BTreeMap<Uuid, Vec<contact_point::Model>> = BTreeMap::new();
    for point in points.all(tx.connection()).await? {
        by_contact.entry(point.contact_id).or_default().push(point);
    }
    Ok(rows
        .into_iter()
        .map(|row| {
            let points = by_contact.remove(&row.id).unwrap_or_default();
            let addresses = NewAddresses::of_contact(tx.reader(), &row, &points);
            (row, points, addresses)
        })
        .collect())
}

/// Refreshes the keys of a contact, its contact points and the addresses its consents are bound to. Values do not
/// change; so the contact gets no new version and nothing counts as a change of its data.
async fn rekey_contact(
    tx: &mut Transaction,
    row: &contact::Model,
    points: &[contact_point::Model],
) -> Result<(), Error> {
    let mut after = row.clone();
    contacts::set_keys(tx.reader(), &mut after);
    _ = tx.update::<contact::Entity>(&CONTACT, row, &after).await?;
    for point in points {
        let parts =
            [&point.street, &point.postal_code, &point.city, &point.country].map(|part| part.as_deref());
        let rekeyed_point = contact_point::Model {
            email_key: point.email.as_deref().map(|text| tx.reader().email_key(text)),
            phone_key: point.phone.as_deref().map(|text| tx.reader().phone_key(text)),
            postal_key: tx.reader().postal_key(parts),
            key_version: tx.reader().version(),
            ..point.clone()
        };
        _ = tx.update::<contact_point::Entity>(&CONTACT_POINT, point, &rekeyed_point).await?;
    }
    rebind_consents(tx, row, &after).await?;
    tx.mark_affected(&[row.id]);
    tx.record_without_values("readAddressesAnew", "Contact", &[row.id], "Contact.id");
    Ok(())
}
