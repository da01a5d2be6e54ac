//! Stop duties: what recipients must stop after opt-outs, and their acknowledgements (Art. 7(3), 19,
//! 21). Room: domain.
//!
//! Before an operation of a token with a recipient reads personal data, `graphql` records recipient and purpose in
//! `recipient_use` (once a day; the process's cache only saves statements). `suppressions::declare` creates a row
//! of `stop` for each use and each record that could have been read, in one statement; `stops` exports them and
//! records acknowledgements. An opt-out holds the lock of all uses SHARED, a recipient that starts to use a purpose
//! takes it EXCLUSIVE: so a read either sees the opt-out, or the opt-out finds the use. This lock comes before the
//! identities, in the same statement.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use entity::{
    consent, contact_merge,
    enums::{Channel, ContactPointKind, StopKind},
    objection, recipient,
    stop::{self, Column, Model},
};
use sea_orm::{
    ActiveEnum, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, sea_query::Expr,
};
use uuid::Uuid;

use crate::{
    audit::{ChangeSet, Entry, LockMode, Transaction},
    auth::actor::Actor,
    base::{
        error::{Code, Error},
        identities::Kind,
    },
    domain::suppressions::address_digest,
    engine::{self, ConsentMark, Scope},
    policy::Grounds,
    registry::{DataCategory, RECIPIENT},
};

/// Duties in one page.
const PAGE_SIZE: u64 = 500;

/// A line of a stop file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The batch to acknowledge.
    pub batch: Uuid,
    /// The contact, under an id that the recipient may know.
    pub contact_id: Uuid,
    /// The purpose that ends.
    pub purpose: String,
    /// The channel; all if absent.
    pub channel: Option<Channel>,
    /// Kind of the address it concerns.
    pub address_kind: Option<ContactPointKind>,
    /// SHA-256 of the mailbox or number, hexadecimal.
    pub address_sha256: Option<String>,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// The result of an export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopReport {
    /// The number of duties.
    pub stops: u64,
    /// Their batches.
    pub batches: BTreeSet<Uuid>,
}

/// The recipient with this id, or with this name.
///
/// # Errors
/// `NOT_FOUND`; `BAD_USER_INPUT` if several have the name.
pub async fn find_recipient<C: ConnectionTrait>(connection: &C, id_or_name: &str) -> Result<Uuid, Error> {
    let not_found = || Error::new(Code::NotFound, "there is no such recipient");
    if let Ok(id) = Uuid::try_parse(id_or_name) {
        let found = recipient::Entity::find_by_id(id).one(connection).await?;
        return found.map(|found| found.id).ok_or_else(not_found);
    }
    let found =
        recipient::Entity::find().filter(recipient::Column::Name.eq(id_or_name)).all(connection).await?;
    match found.as_slice() {
        [] => Err(not_found()),
        [mark] => Ok(mark.id),
        _ => Err(Error::bad_input("several recipients have this name; use the id")),
    }
}

/// Passes each unacknowledged duty of a recipient to `each`, and records the batch of its first export, so that a
/// lost file can be written again. Duties that the person has revoked since are skipped. The export counts once
/// `tx` is committed.
///
/// # Errors
/// `INTERNAL` from the database, and the errors of `each`.
pub async fn export(
    tx: &mut Transaction,
    recipient: Uuid,
    mut each: impl FnMut(&Line) -> Result<(), Error>,
) -> Result<StopReport, Error> {
    tx.lock_uses(LockMode::Exclusive).await?;
    let (new_batch, mut report, mut last) = (tx.new_id(), StopReport::default(), Uuid::nil());
    loop {
        let page = stop::Entity::find()
            .filter(Column::RecipientId.eq(recipient))
            .filter(Column::AcknowledgedAt.is_null())
            .filter(Column::Id.gt(last))
            .order_by_asc(Column::Id)
            .limit(PAGE_SIZE)
            .all(tx.connection())
            .await?;
        let Some(end) = page.last() else { break };
        last = end.id;
        let renewed = RenewedWishes::read(tx, &page).await?;
        let open: Vec<&Model> = page.iter().filter(|stop| !renewed.is_wanted_again(tx, stop)).collect();
        let new_ids: Vec<Uuid> =
            open.iter().filter(|stop| stop.exported_at.is_none()).map(|stop| stop.id).collect();
        if !new_ids.is_empty() {
            let update = stop::Entity::update_many()
                .col_expr(Column::BatchId, Expr::value(new_batch))
                .col_expr(Column::ExportedAt, Expr::value(tx.now()))
                .filter(Column::Id.is_in(new_ids));
            update.exec(tx.connection()).await?;
        }
        let names = former_ids(tx, &open).await?;
        for stop in open {
            let batch = stop.batch_id.filter(|_| stop.exported_at.is_some()).unwrap_or(new_batch);
            report.stops += 1;
            report.batches.insert(batch);
            let former = names.get(&stop.contact_id).into_iter().flatten();
            for contact_id in std::iter::once(&stop.contact_id).chain(former) {
                each(&Line {
                    batch,
                    contact_id: *contact_id,
                    purpose: stop.purpose_code.clone(),
                    channel: stop.channel,
                    address_kind: stop.address_kind,
                    address_sha256: stop.address_sha256.clone(),
                    since: stop.since,
                })?;
            }
        }
    }
    let details = serde_json::json!({ "stops": report.stops });
    tx.record(entry("exportStops", recipient, details)).await?;
    Ok(report)
}

/// Records that a recipient acknowledged a batch, and returns the number of duties. A repeat changes nothing;
/// duties exported again since stay open.
///
/// # Errors
/// `NOT_FOUND` for a batch that this recipient was never given.
pub async fn acknowledge(tx: &mut Transaction, recipient: Uuid, batch: Uuid) -> Result<u64, Error> {
    tx.lock_uses(LockMode::Exclusive).await?;
    let batch_rows =
        stop::Entity::find().filter(Column::RecipientId.eq(recipient)).filter(Column::BatchId.eq(batch));
    if batch_rows.count(tx.connection()).await? == 0 {
        return Err(Error::new(Code::NotFound, "there is no such batch for this recipient"));
    }
    let update = stop::Entity::update_many()
        .col_expr(Column::AcknowledgedAt, Expr::value(tx.now()))
        .col_expr(Column::AcknowledgedBy, Expr::value(tx.author().actor.clone()))
        .filter(Column::RecipientId.eq(recipient))
        .filter(Column::BatchId.eq(batch))
        .filter(Column::ExportedAt.is_not_null())
        .filter(Column::AcknowledgedAt.is_null());
    let done = update.exec(tx.connection()).await?.rows_affected;
    let details = serde_json::json!({ "batch": batch, "stops": done });
    let mut entry = entry("acknowledgeStops", recipient, details);
    if done == 0 {
        entry.changes = ChangeSet::none();
    }
    tx.record(entry).await?;
    Ok(done)
}

/// Acknowledges as `actor`: a recipient for itself, others under a purpose that sees all.
///
/// # Errors
/// `FORBIDDEN` for another recipient; `NOT_FOUND` as [`acknowledge`].
pub async fn acknowledge_as(
    tx: &mut Transaction,
    actor: &Actor,
    recipient: Uuid,
    batch: Uuid,
) -> Result<u64, Error> {
    let permitted = match actor.recipient {
        Some(id) => id == recipient,
        None => actor.purpose.as_ref().is_some_and(|purpose| purpose.sees_all),
    };
    if !permitted {
        let message = "a recipient can only acknowledge its own batches";
        return Err(Error::new(Code::Forbidden, message).with_input_path("input.recipientId"));
    }
    acknowledge(tx, recipient, batch).await
}

fn entry(action: &'static str, recipient: Uuid, details: serde_json::Value) -> Entry {
    Entry {
        action,
        entity_type: RECIPIENT.name,
        entity_id: Some(recipient),
        contact_id: None,
        changes: ChangeSet::single(
            "AuditEntry.action",
            DataCategory::Audit,
            serde_json::Value::Null,
            details,
        ),
    }
}

/// Former ids of the contacts of `stops` that recipients may know: those of contacts merged into them.
async fn former_ids(tx: &Transaction, stops: &[&Model]) -> Result<HashMap<Uuid, Vec<Uuid>>, Error> {
    use contact_merge::{Column, Entity};
    let contacts: BTreeSet<Uuid> = stops.iter().map(|stop| stop.contact_id).collect();
    let merged = Entity::find().filter(Column::ContactId.is_in(contacts)).order_by_asc(Column::DuplicateId);
    let mut ids: HashMap<Uuid, Vec<Uuid>> = HashMap::new();
    for row in merged.all(tx.connection()).await? {
        ids.entry(row.contact_id).or_default().push(row.duplicate_id);
    }
    Ok(ids)
}

/// A consent by contact, purpose and channel.
type ConsentKey = (Uuid, String, String);

/// Consents and opt-outs since the duties arose.
struct RenewedWishes {
    /// Consents in force, with the key of the address they are bound to.
    consents: BTreeMap<ConsentKey, Option<String>>,
    /// Opt-outs in force: contact, purpose or group, and channel; all channels if `None`.
    opt_outs: Vec<(Uuid, String, Option<Channel>)>,
}

impl RenewedWishes {
    async fn read(tx: &Transaction, stops: &[Model]) -> Result<Self, Error> {
        let contacts: Vec<Uuid> =
            stops.iter().map(|stop| stop.contact_id).collect::<BTreeSet<_>>().into_iter().collect();
        let codes_of_stops: BTreeSet<&str> = stops.iter().map(|stop| stop.purpose_code.as_str()).collect();
        let purposes = tx.policy().purposes().iter();
        let on_consent: Vec<_> = purposes
            .filter(|purpose| {
                purpose.grounds == Grounds::Consent && codes_of_stops.contains(purpose.code.as_str())
            })
            .collect();
        let (now, backend) = (tx.now(), tx.connection().get_database_backend());
        let scopes: Vec<Scope> = on_consent
            .iter()
            .map(|purpose| Scope { purpose: Some((*purpose).clone()), now, backend, subject: None })
            .collect();
        let codes: Vec<String> = on_consent.iter().map(|purpose| purpose.code.clone()).collect();
        let mut consents = BTreeMap::new();
        if !scopes.is_empty() {
            let marks =
                engine::consents_in_force(tx.connection(), &scopes, &contacts, Some(&codes), None).await?;
            let consents_in_force: BTreeSet<ConsentKey> = marks
                .into_iter()
                .filter_map(|mark| match mark {
                    ConsentMark::InForce(consent) => Some(consent),
                    ConsentMark::Announced { .. } => None,
                })
                .collect();
            let rows = consent::Entity::find()
                .filter(consent::Column::ContactId.is_in(contacts.iter().copied()))
                .filter(consent::Column::PurposeCode.is_in(codes));
            for row in rows.all(tx.connection()).await? {
                let key = (row.contact_id, row.purpose_code, row.channel.to_value());
                if consents_in_force.contains(&key) {
                    consents.insert(key, row.bound_address);
                }
            }
        }
        let rows = objection::Entity::find()
            .filter(objection::Column::ContactId.is_in(contacts))
            .filter(objection::Column::Kind.is_in([StopKind::Objection, StopKind::Block]));
        let opt_outs = rows.all(tx.connection()).await?.into_iter();
        let opt_outs = opt_outs
            .filter(|row| row.ended_at.is_none_or(|end| end > now))
            .map(|row| (row.contact_id, row.purpose_code, row.channel))
            .collect();
        Ok(Self { consents, opt_outs })
    }

    /// Whether the person wants again what `stop` ends: for a purpose on consent, once a consent is in force on
    /// that channel for that address; otherwise once no opt-out remains.
    fn is_wanted_again(&self, tx: &Transaction, stop: &Model) -> bool {
        let Some(purpose) = tx.policy().purpose(&stop.purpose_code) else { return false };
        if purpose.grounds != Grounds::Consent {
            return !self.opt_outs.iter().any(|(contact, code, channel)| {
                *contact == stop.contact_id
                    && (*code == purpose.code || purpose.group.as_ref() == Some(code))
                    && (channel.is_none() || stop.channel.is_none() || *channel == stop.channel)
            });
        }
        let Some(channel) = stop.channel else { return false };
        let key = (stop.contact_id, stop.purpose_code.clone(), channel.to_value());
        let Some(bound) = self.consents.get(&key) else { return false };
        match (bound, &stop.address_sha256) {
            (Some(key), Some(digest)) => address_digest(Kind::Mailbox, key).as_ref() == Some(digest),
            _ => true,
        }
    }
}
