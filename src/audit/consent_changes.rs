//! Consents that began or ceased to hold, told to those who follow in the transaction that made it so. Room: audit.
//!
//! Nobody has to remember to tell: whatever is written to contacts, consents and objections notes its contacts, and before the
//! commit the consents in force of these, by the row rule itself, are compared with what was told last. Purposes on other grounds
//! are not followed: there a contact comes and goes with its recorded ground, without a declaration of the person.
//!
//! A consent is looked at for its own purpose, an address, a state or an objection for all. Whoever writes consents or
//! objections locks the contact first. On SQLite, which has one writer, a change is written to `consent_change` at
//! once, with an id above the greatest. On PostgreSQL no writer waits for another: a change goes to
//! `consent_change_queue`, in the transaction of what made it so, and its number comes from a sequence, so that of
//! one contact, which is locked, the later change has the greater one whatever the clocks of two servers say. What is
//! committed there moves to `consent_change` (`audit/numbering.rs`), the lowest numbers first, in one transaction for
//! each batch that takes rows, puts them behind the greatest id and commits: whenever it ends, a row is either in the
//! queue or has its place. One at a time does it, whichever server it is, by an advisory lock that is tried and not
//! waited for; the database ends the turn of a server that has fallen silent. So ids only ever come behind all that
//! could be read, and no cursor skips one; a transaction that takes long keeps nobody's change from being told but
//! its own. A server's jobs number what it has committed at once (`feed`), at most every 10 ms, and look each second
//! for what others have queued: other servers, and commands, whose changes wait for a server where none runs. No
//! answer waits for it. What was told last is asked of queue and changes in one statement, what waits being the
//! newer. The trigger that puts rows of `consent_change` in order stays, for whoever writes there past the queue.
//! `consents::expire` records afterwards, for those who follow, what time has ended, and changes nothing that is
//! read; `consents::catch_up` tells what changed without a write: another policy, or consents from before.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use entity::{
    consent_change, consent_change_queue,
    enums::{Channel, ConsentChangeKind},
};
use sea_orm::{
    ActiveEnum,
    ActiveValue::{NotSet, Set},
    ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, EntityTrait, IntoActiveModel, QueryOrder,
    QuerySelect,
    sea_query::InsertStatement,
};
use uuid::Uuid;

use super::{Transaction, touched::Place};
use crate::{
    app::App,
    base::{error::Error, ids::id_after},
    engine::{self, ConsentMark, InForce, Scope},
    policy::{Grounds, Policy},
};

/// Rows of one INSERT.
const INSERT_BATCH: usize = 1_000;

/// What is to be told.
pub(super) struct ConsentTransition {
    consent: InForce,
    kind: ConsentChangeKind,
    at: DateTime<Utc>,
}

impl Transaction {
    /// Has the consents of `contacts` looked at before the commit: something that they hang on was written.
    pub fn touch(&self, contacts: &[Uuid]) {
        self.touched.at(Place::of(contacts));
    }

    /// Has the consents of `contacts` looked at before the commit, though nothing of them is written, and gives of how many there
    /// is something to tell.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn look_at(&self, contacts: &[Uuid]) -> Result<usize, Error> {
        self.touched.at(Place::of(contacts));
        Ok(news(&self.inner, &self.policy, self.now(), &Place::of(contacts), None).await?.len())
    }

    /// What began and what ended at `place`; `along` is executed with the question.
    pub(super) async fn news(
        &self,
        place: &Place,
        along: Option<&InsertStatement>,
    ) -> Result<Vec<ConsentTransition>, Error> {
        news(&self.inner, &self.policy, self.now(), place, along).await
    }

    /// Tells it, and gives whether it waits for its place. On PostgreSQL it goes to the queue, for [`super::number`]: no writer waits
    /// for another there. SQLite has one writer, who gives each row its place behind all others.
    pub(super) async fn tell(&self, news: Vec<ConsentTransition>) -> Result<bool, Error> {
        if news.is_empty() {
            return Ok(false);
        }
        if self.inner.get_database_backend() == DbBackend::Postgres {
            // Of one contact in the order of the commits: it is locked, and the database counts on from what was queued before.
            let queued = |ConsentTransition { consent: (contact_id, purpose_code, channel), kind, at }| {
                Ok(consent_change_queue::ActiveModel {
                    number: NotSet,
                    contact_id: Set(contact_id),
                    purpose_code: Set(purpose_code),
                    channel: Set(Channel::try_from_value(&channel)?),
                    kind: Set(kind),
                    at: Set(at),
                })
            };
            let rows = news.into_iter().map(queued).collect::<Result<_, DbErr>>()?;
            write::<consent_change_queue::Entity>(&self.inner, rows).await?;
            return Ok(true);
        }
        let mut last = last(&self.inner).await?;
        let mut rows = Vec::with_capacity(news.len());
        for ConsentTransition { consent: (contact_id, purpose_code, channel), kind, at } in news {
            let id = id_after(last, self.now());
            last = Some(id);
            let channel = Channel::try_from_value(&channel)?;
            let row = consent_change::Model { id, contact_id, purpose_code, channel, kind, at };
            rows.push(row.into_active_model());
        }
        write::<consent_change::Entity>(&self.inner, rows).await?;
        Ok(false)
    }
}

/// The greatest id of all changes.
pub(super) async fn last<C: ConnectionTrait>(connection: &C) -> Result<Option<Uuid>, Error> {
    let known = consent_change::Entity::find().select_only().column(consent_change::Column::Id);
    let known = known.order_by_desc(consent_change::Column::Id).limit(1);
    Ok(known.into_tuple().one(connection).await?)
}

/// Writes `rows` in their order.
pub(super) async fn write<E: EntityTrait>(
    connection: &DatabaseTransaction,
    mut rows: Vec<E::ActiveModel>,
) -> Result<(), Error> {
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(INSERT_BATCH));
        let chunk = std::mem::replace(&mut rows, rest);
        E::insert_many(chunk).exec_without_returning(connection).await?;
    }
    Ok(())
}

/// How many consents of `contacts` began or ended without having been told: by another policy, or before there was anybody to
/// follow. Who finds some looks at these contacts in a transaction.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn untold(app: &App, contacts: &[Uuid]) -> Result<usize, Error> {
    Ok(news(&app.db.reader, &app.policy.current(), app.now(), &Place::of(contacts), None).await?.len())
}

/// How the consents at `place` differ from what was told of them.
async fn news<C: ConnectionTrait>(
    connection: &C,
    policy: &Policy,
    now: DateTime<Utc>,
    place: &Place,
    along: Option<&InsertStatement>,
) -> Result<Vec<ConsentTransition>, Error> {
    let followed = policy.purposes().iter().filter(|purpose| {
        purpose.grounds == Grounds::Consent && (place.any || place.purposes.contains(&purpose.code))
    });
    let backend = connection.get_database_backend();
    let scopes: Vec<Scope> = followed
        .map(|purpose| Scope { purpose: Some(purpose.clone()), now, backend, subject: None })
        .collect();
    let contacts: Vec<Uuid> = place.contacts.iter().copied().collect();
    let purposes: Vec<String> = place.purposes.iter().cloned().collect();
    let only = (!place.any).then_some(purposes.as_slice());
    let standing = engine::consents_in_force(connection, &scopes, &contacts, only, along).await?;
    let (mut holds, mut told) = (BTreeSet::new(), BTreeMap::new());
    for one in standing {
        match one {
            ConsentMark::InForce(consent) => {
                holds.insert(consent);
            }
            ConsentMark::Announced { consent, since, end } => {
                told.insert(consent, (since, end));
            }
        }
    }
    let mut news: Vec<ConsentTransition> = Vec::new();
    for (consent, (since, end)) in &told {
        if !holds.contains(consent) {
            // What ended by time ended then, whenever that is noticed.
            let at = end.filter(|end| *end <= now).map_or(now, |end| end.max(*since));
            news.push(ConsentTransition { consent: consent.clone(), kind: ConsentChangeKind::Ended, at });
        }
    }
    let began = holds.into_iter().filter(|consent| !told.contains_key(consent));
    news.extend(began.map(|consent| ConsentTransition {
        consent,
        kind: ConsentChangeKind::Granted,
        at: now,
    }));
    Ok(news)
}
