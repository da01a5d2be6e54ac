//! What recipients are told to stop, and that they did: duties that noes have made (Art. 7(3), 19, 21). Room: domain.
//!
//! Before an operation of a token with a recipient reads persons, `graphql` notes recipient and purpose in
//! `recipient_use` (a day at a time; what the process remembers only saves statements). `suppressions::declare` makes
//! a row of `stop` for each use and each record that could be read then, by one statement; `stops` tells them and
//! notes what was done. A no holds the lock of all uses SHARED, who begins to use a purpose takes it EXCLUSIVE: so a
//! read either sees the no, or the no finds the use. It comes before the identities, by the same statement.

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

/// Duties that are looked at together.
const PAGE_SIZE: u64 = 500;

/// A line of a stop file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What is acknowledged once it is done.
    pub batch: Uuid,
    /// The contact, by an id that the recipient may know it by.
    pub contact_id: Uuid,
    /// The purpose that ends.
    pub purpose: String,
    /// The channel; all where it is none.
    pub channel: Option<Channel>,
    /// Kind of the address that it is about.
    pub address_kind: Option<ContactPointKind>,
    /// SHA-256 of the mailbox or number, hexadecimal.
    pub address_sha256: Option<String>,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// What was told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopReport {
    /// How many duties.
    pub stops: u64,
    /// Their batches.
    pub batches: BTreeSet<Uuid>,
}

/// The recipient with this id, or else the one with this name.
///
/// # Errors
/// `NOT_FOUND`; `BAD_USER_INPUT` where several have the name.
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
        _ => Err(Error::bad_input("several recipients have this name; give the id")),
    }
}

/// Gives each duty of a recipient that is not acknowledged to `each`, and notes in which batch it was told first, so that a file that
/// was lost can be written again. What the person has taken back since is passed over. What is written counts once `tx` is committed.
///
/// # Errors
/// `INTERNAL` from the database, and what `each` gives.
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

/// Notes that a recipient did what a batch told it, and gives of how many duties. A repeat is no change; what was told again since
/// stays open.
///
/// # Errors
/// `NOT_FOUND` for a batch that this recipient was never told.
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

/// The same by `actor`: a recipient for itself, others under a purpose that sees all.
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
        Some(own) => own == recipient,
        None => actor.purpose.as_ref().is_some_and(|purpose| purpose.sees_all),
    };
    if !permitted {
        let message = "a recipient acknowledges what it was told itself";
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

/// Under which other ids recipients may know the contacts of `stops`: those of contacts that became part of them.
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

/// What persons want again since they said no.
struct RenewedWishes {
    /// Consents in force, with the key of the address that they are bound to.
    consents: BTreeMap<ConsentKey, Option<String>>,
    /// What stands against a purpose or group still: contact, code and channel, all where it is none.
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

    /// Whether the person wants again what `stop` ends. What rests on consent is wanted once a consent to it holds, on that channel and
    /// for that address; anything else once nothing stands against it.
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
