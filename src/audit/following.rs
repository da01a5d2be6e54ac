//! Consents that began or ceased to hold, told to those who follow in the transaction that made it so (floor 3).
//!
//! Nobody has to remember to tell: whatever is written to contacts, consents and objections notes its contacts, and before the
//! commit the consents in force of these, by the row rule itself, are compared with what was told last. Purposes on other grounds
//! are not followed: there a contact comes and goes with its recorded ground, without a declaration of the person.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry as Place},
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, Utc};
use entity::{
    consent, consent_change,
    enums::{Channel, ConsentChangeKind},
};
use sea_orm::{
    ActiveEnum, ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, IdenStatic, IntoActiveModel, Iterable,
    ModelTrait, QueryFilter, QueryOrder, QuerySelect, Value,
    sea_query::{Func, Query},
};
use uuid::Uuid;

use super::Transaction;
use crate::{
    context::{App, id_after},
    error::Error,
    governed::{self, InForce, Scope},
    policy::{Grounds, Policy},
};

/// Who holds this lock of PostgreSQL tells changes: one after the other, so that ids are in the order of the commits. SQLite has
/// one writer anyway.
const TELLING: i64 = 0x7a77_6563_6b01;
/// Values in one list of a statement, and rows of one INSERT.
const PARAMETERS: usize = 10_000;
const ROWS: usize = 1_000;

/// Contacts of which a consent may have begun or ended.
#[derive(Default)]
pub(super) struct Touched(Mutex<BTreeSet<Uuid>>);

impl Touched {
    /// Notes the contact that `row` is about, if consents hang on such rows.
    pub(super) fn by<E: EntityTrait>(&self, row: &E::Model) {
        let column = match E::default().table_name() {
            "contact" => "id",
            "consent" | "objection" => "contact_id",
            _ => return,
        };
        let column = E::Column::iter().find(|known| known.as_str() == column);
        if let Some(Value::Uuid(Some(id))) = column.map(|column| row.get(column)) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        }
    }

    /// The same of a row that was not there before. A new contact has no consents yet; what comes in with it notes itself.
    pub(super) fn by_new<E: EntityTrait>(&self, row: &E::Model) {
        if E::default().table_name() != "contact" {
            self.by::<E>(row);
        }
    }

    fn take(&self) -> Vec<Uuid> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
    }
}

/// What was told last of a consent, and when that was.
type Told = BTreeMap<InForce, (ConsentChangeKind, DateTime<Utc>)>;

/// What is to be told.
struct News {
    consent: InForce,
    kind: ConsentChangeKind,
    at: DateTime<Utc>,
}

impl Transaction {
    /// Has the consents of `contacts` looked at before the commit, though nothing of them is written, and gives of how many there
    /// is something to tell.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn look_at(&self, contacts: &[Uuid]) -> Result<usize, Error> {
        self.touched.0.lock().unwrap_or_else(PoisonError::into_inner).extend(contacts.iter().copied());
        Ok(news(&self.inner, &self.policy, self.now, contacts).await?.len())
    }

    /// Tells what began and what ended of the contacts that were touched.
    pub(super) async fn follow(&mut self) -> Result<(), Error> {
        let touched = self.touched.take();
        if touched.is_empty() {
            return Ok(());
        }
        let news = news(&self.inner, &self.policy, self.now, &touched).await?;
        if news.is_empty() {
            return Ok(());
        }
        if self.inner.get_database_backend() == DbBackend::Postgres {
            let mut lock = Query::select();
            lock.expr(Func::cust("pg_advisory_xact_lock").arg(TELLING));
            self.inner.execute(&lock).await?;
        }
        // Behind the lock: what others have told is committed.
        let last = consent_change::Entity::find()
            .select_only()
            .column(consent_change::Column::Id)
            .order_by_desc(consent_change::Column::Id);
        let mut last: Option<Uuid> = last.into_tuple().one(&self.inner).await?;
        let mut rows = Vec::with_capacity(news.len());
        for News { consent: (contact_id, purpose_code, channel), kind, at } in news {
            let id = id_after(last, self.now);
            last = Some(id);
            let channel = Channel::try_from_value(&channel)?;
            let row = consent_change::Model { id, contact_id, purpose_code, channel, kind, at };
            rows.push(row.into_active_model());
        }
        while !rows.is_empty() {
            let rest = rows.split_off(rows.len().min(ROWS));
            let chunk = std::mem::replace(&mut rows, rest);
            consent_change::Entity::insert_many(chunk).exec_without_returning(&self.inner).await?;
        }
        Ok(())
    }
}

/// How many consents of `contacts` began or ended without having been told: by another policy, or before there was anybody to
/// follow. Who finds some looks at these contacts in a transaction.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn untold(app: &App, contacts: &[Uuid]) -> Result<usize, Error> {
    Ok(news(&app.db.reader, &app.policy.current(), app.now(), contacts).await?.len())
}

/// How the consents of `contacts` differ from what was told of them.
async fn news<C: ConnectionTrait>(
    connection: &C,
    policy: &Policy,
    now: DateTime<Utc>,
    contacts: &[Uuid],
) -> Result<Vec<News>, Error> {
    let on_consent = policy.purposes().iter().filter(|purpose| purpose.grounds == Grounds::Consent);
    let backend = connection.get_database_backend();
    let scopes: Vec<Scope> = on_consent
        .map(|purpose| Scope { purpose: Some(purpose.clone()), now, backend, subject: None })
        .collect();
    let in_force = governed::in_force(connection, &scopes, contacts).await?;
    let in_force: BTreeSet<InForce> = in_force.into_iter().collect();
    let told = told(connection, contacts).await?;
    let holds =
        |consent: &InForce| told.get(consent).is_some_and(|told| told.0 == ConsentChangeKind::Granted);
    let ended: Vec<&InForce> =
        told.keys().filter(|consent| holds(consent) && !in_force.contains(*consent)).collect();
    let ends = ends(connection, &ended).await?;
    let mut news: Vec<News> = Vec::new();
    for consent in ended {
        // What ended by time ended then, whenever that is noticed.
        let by_time = ends.get(consent).copied().filter(|end| *end <= now);
        let since = told.get(consent).map_or(now, |told| told.1);
        let at = by_time.map_or(now, |end| end.max(since));
        news.push(News { consent: consent.clone(), kind: ConsentChangeKind::Ended, at });
    }
    let began = in_force.into_iter().filter(|consent| !holds(consent));
    news.extend(began.map(|consent| News { consent, kind: ConsentChangeKind::Granted, at: now }));
    Ok(news)
}

/// What was told last of the consents of `contacts`.
async fn told<C: ConnectionTrait>(connection: &C, contacts: &[Uuid]) -> Result<Told, Error> {
    let mut told = Told::new();
    for contacts in contacts.chunks(PARAMETERS) {
        let rows = consent_change::Entity::find()
            .filter(consent_change::Column::ContactId.is_in(contacts.iter().copied()))
            .order_by_desc(consent_change::Column::Id);
        for row in rows.all(connection).await? {
            let place = told.entry((row.contact_id, row.purpose_code, row.channel.to_value()));
            if let Place::Vacant(place) = place {
                place.insert((row.kind, row.at));
            }
        }
    }
    Ok(told)
}

/// When consents end by time.
async fn ends<C: ConnectionTrait>(
    connection: &C,
    consents: &[&InForce],
) -> Result<BTreeMap<InForce, DateTime<Utc>>, Error> {
    let contacts: BTreeSet<Uuid> = consents.iter().map(|consent| consent.0).collect();
    let contacts: Vec<Uuid> = contacts.into_iter().collect();
    let mut ends = BTreeMap::new();
    for contacts in contacts.chunks(PARAMETERS) {
        let rows = consent::Entity::find()
            .filter(consent::Column::ContactId.is_in(contacts.iter().copied()))
            .filter(consent::Column::ExpiresAt.is_not_null());
        for row in rows.all(connection).await? {
            let consent = (row.contact_id, row.purpose_code, row.channel.to_value());
            ends.extend(row.expires_at.map(|end| (consent, end)));
        }
    }
    Ok(ends)
}
