//! Consents loaded for writing: each with its events and the keys of its values, in one statement.
//! Room: domain/consents.

use chrono::{DateTime, Utc};
use entity::{
    consent, consent_event,
    enums::{Channel, ConsentStatus},
    subject_key,
};
use sea_orm::{
    ActiveEnum, ConnectionTrait, DbErr, EntityTrait, ExprTrait, FromQueryResult, IdenStatic, Iterable,
    JoinType, Order, QueryResult,
    sea_query::{Condition, Expr, Query, SelectStatement},
};
use uuid::Uuid;

use crate::{
    audit::Transaction,
    auth::actor::Actor,
    base::error::Error,
    registry::{CONSENT, DataCategory},
};

/// Aliases of the tables and prefixes of their column names.
const CONSENTS: &str = "t";
const EVENTS: &str = "e";
/// One alias for each data category of consents and events.
const KEYS: [(&str, DataCategory); 2] = [("s", DataCategory::Consent), ("l", DataCategory::Link)];

/// Generation of the keys that are read along.
const FIRST_GENERATION: i32 = 0;
/// The columns read of a key.
const KEY_COLUMNS: [subject_key::Column; 3] =
    [subject_key::Column::Wrapped, subject_key::Column::WrappedBy, subject_key::Column::CreatedAt];

/// The row of a consent without any declaration.
pub(super) fn new_row(
    id: Uuid,
    (contact_id, purpose, channel): (Uuid, &str, Channel),
    now: DateTime<Utc>,
) -> consent::Model {
    consent::Model {
        id,
        contact_id,
        purpose_code: purpose.to_owned(),
        channel,
        status: ConsentStatus::Pending,
        bound_address: None,
        declared_at: None,
        granted_at: None,
        confirmed_at: None,
        withdrawn_at: None,
        expires_at: None,
        review_due_at: None,
        source: None,
        consent_text_id: None,
        created_at: now,
        updated_at: now,
    }
}

/// A consent, existing or new. Its contact is locked.
pub(super) struct LoadedConsent {
    pub(super) row: consent::Model,
    pub(super) events: Vec<consent_event::Model>,
    /// The person's keys for values of consents, and the categories without a key.
    pub(super) keys: Vec<Result<subject_key::Model, DataCategory>>,
    /// Whether it does not exist yet.
    pub(super) new: bool,
}

impl LoadedConsent {
    /// A new consent without any declaration.
    pub(super) fn empty(tx: &Transaction, contact: Uuid, purpose: &str, channel: Channel) -> Self {
        let row = new_row(tx.new_id(), (contact, purpose, channel), tx.now());
        Self { row, events: Vec::new(), keys: Vec::new(), new: true }
    }
}

/// The consent of a locked contact for a purpose and channel, or a new one without any declaration.
pub(super) async fn find_or_new(
    tx: &Transaction,
    contact: Uuid,
    purpose: &str,
    channel: Channel,
) -> Result<LoadedConsent, Error> {
    let row = load(
        tx,
        Condition::all()
            .add(column(consent::Column::ContactId).eq(contact))
            .add(column(consent::Column::PurposeCode).eq(purpose))
            .add(column(consent::Column::Channel).eq(channel.to_value())),
    );
    if let Some(consent) = row.await?.pop() {
        return Ok(consent);
    }
    Ok(LoadedConsent::empty(tx, contact, purpose, channel))
}

/// The consent `id` of the locked contact `contact`, if it is visible to the caller.
pub(super) async fn find(
    tx: &Transaction,
    actor: &Actor,
    id: Uuid,
    contact: Uuid,
) -> Result<Option<LoadedConsent>, Error> {
    let condition = Condition::all()
        .add(column(consent::Column::Id).eq(id))
        // A merge may have moved it before the lock was granted.
        .add(column(consent::Column::ContactId).eq(contact))
        .add(tx.row_condition(actor, &CONSENT));
    Ok(load(tx, condition).await?.pop())
}

/// A column of the consents that [`load`] reads.
pub(super) fn column(column: consent::Column) -> Expr {
    Expr::col((CONSENTS, column))
}

/// The consents that satisfy `condition`, ordered by id.
pub(super) async fn load(tx: &Transaction, condition: Condition) -> Result<Vec<LoadedConsent>, Error> {
    let mut select = Query::select();
    add_columns::<consent::Entity>(&mut select, CONSENTS);
    add_columns::<consent_event::Entity>(&mut select, EVENTS);
    let on_event =
        Expr::col((EVENTS, consent_event::Column::ConsentId)).equals((CONSENTS, consent::Column::Id));
    select.from_as(consent::Entity, CONSENTS).join_as(
        JoinType::LeftJoin,
        consent_event::Entity,
        EVENTS,
        on_event,
    );
    for (alias, category) in KEYS {
        // Its subject and category are known.
        for column in KEY_COLUMNS {
            select.expr_as(Expr::col((alias, column)), format!("{alias}_{}", column.as_str()));
        }
        let of_contact =
            Expr::col((alias, subject_key::Column::SubjectId)).equals((CONSENTS, consent::Column::ContactId));
        let of_category = Expr::col((alias, subject_key::Column::Category)).eq(category.as_str());
        // Only the first generation, so that rows are not repeated; if it cannot be opened, a later one is looked
        // up.
        let first = Expr::col((alias, subject_key::Column::Generation)).eq(FIRST_GENERATION);
        let on_key = Condition::all().add(of_contact).add(of_category).add(first);
        select.join_as(JoinType::LeftJoin, subject_key::Entity, alias, on_key);
    }
    select.cond_where(condition).order_by((CONSENTS, consent::Column::Id), Order::Asc);
    let mut all: Vec<LoadedConsent> = Vec::new();
    for query_row in tx.connection().query_all(&select).await? {
        let id: Uuid = query_row.try_get(&prefix(CONSENTS), consent::Column::Id.as_str())?;
        if all.last().is_none_or(|last| last.row.id != id) {
            let row = consent::Model::from_query_result(&query_row, &prefix(CONSENTS))?;
            let keys = KEYS
                .iter()
                .map(|(alias, category)| key_from_row(&query_row, row.contact_id, alias, *category));
            let keys = keys.collect::<Result<_, _>>()?;
            all.push(LoadedConsent { row, events: Vec::new(), keys, new: false });
        }
        let event: Option<Uuid> = query_row.try_get(&prefix(EVENTS), consent_event::Column::Id.as_str())?;
        if let (Some(_), Some(consent)) = (event, all.last_mut()) {
            consent.events.push(consent_event::Model::from_query_result(&query_row, &prefix(EVENTS))?);
        }
    }
    Ok(all)
}

fn key_from_row(
    row: &QueryResult,
    subject_id: Uuid,
    alias: &str,
    category: DataCategory,
) -> Result<Result<subject_key::Model, DataCategory>, DbErr> {
    use subject_key::Column::{CreatedAt, Wrapped, WrappedBy};
    let prefix = prefix(alias);
    let Some(wrapped) = row.try_get(&prefix, Wrapped.as_str())? else { return Ok(Err(category)) };
    Ok(Ok(subject_key::Model {
        subject_id,
        category: category.as_str().to_owned(),
        generation: FIRST_GENERATION,
        wrapped,
        wrapped_by: row.try_get(&prefix, WrappedBy.as_str())?,
        created_at: row.try_get(&prefix, CreatedAt.as_str())?,
    }))
}

fn prefix(alias: &str) -> String {
    format!("{alias}_")
}

fn add_columns<E: EntityTrait>(select: &mut SelectStatement, alias: &'static str) {
    for column in E::Column::iter() {
        select.expr_as(Expr::col((alias, column)), format!("{alias}_{}", column.as_str()));
    }
}
