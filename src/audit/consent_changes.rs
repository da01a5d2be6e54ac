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

use super::{Transaction, affected_contacts::AffectedScope};
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
    pub fn mark_affected(&self, contacts: &[Uuid]) {
        self.affected_contacts.add(AffectedScope::of_contacts(contacts));
    }

    /// Has the consents of `contacts` looked at before the commit, though nothing of them is written, and gives of how many there
    /// is something to tell.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn recheck(&self, contacts: &[Uuid]) -> Result<usize, Error> {
        self.affected_contacts.add(AffectedScope::of_contacts(contacts));
        Ok(transitions(&self.inner, &self.policy, self.now(), &AffectedScope::of_contacts(contacts), None)
            .await?
            .len())
    }

    /// What began and what ended at `scope`; `insert_rows` is executed with the question.
    pub(super) async fn transitions(
        &self,
        scope: &AffectedScope,
        write: Option<&InsertStatement>,
    ) -> Result<Vec<ConsentTransition>, Error> {
        transitions(&self.inner, &self.policy, self.now(), scope, write).await
    }

    /// Tells it, and gives whether it waits for its place. On PostgreSQL it goes to the queue, for [`super::number_changes`]: no writer waits
    /// for another there. SQLite has one writer, who gives each row its place behind all others.
    pub(super) async fn record_transitions(
        &self,
        transitions: Vec<ConsentTransition>,
    ) -> Result<bool, Error> {
        if transitions.is_empty() {
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
            let rows = transitions.into_iter().map(queued).collect::<Result<_, DbErr>>()?;
            insert_rows::<consent_change_queue::Entity>(&self.inner, rows).await?;
            return Ok(true);
        }
        let mut last = last_id(&self.inner).await?;
        let mut rows = Vec::with_capacity(transitions.len());
        for ConsentTransition { consent: (contact_id, purpose_code, channel), kind, at } in transitions {
            let id = id_after(last, self.now());
            last = Some(id);
            let channel = Channel::try_from_value(&channel)?;
            let row = consent_change::Model { id, contact_id, purpose_code, channel, kind, at };
            rows.push(row.into_active_model());
        }
        insert_rows::<consent_change::Entity>(&self.inner, rows).await?;
        Ok(false)
    }
}

/// The greatest id of all changes.
pub(super) async fn last_id<C: ConnectionTrait>(connection: &C) -> Result<Option<Uuid>, Error> {
    let ids = consent_change::Entity::find().select_only().column(consent_change::Column::Id);
    let ids = ids.order_by_desc(consent_change::Column::Id).limit(1);
    Ok(ids.into_tuple().one(connection).await?)
}

/// Writes `rows` in their order.
pub(super) async fn insert_rows<E: EntityTrait>(
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
pub async fn count_unrecorded(app: &App, contacts: &[Uuid]) -> Result<usize, Error> {
    Ok(transitions(
        &app.db.reader,
        &app.policy.current(),
        app.now(),
        &AffectedScope::of_contacts(contacts),
        None,
    )
    .await?
    .len())
}

/// How the consents at `scope` differ from what was told of them.
async fn transitions<C: ConnectionTrait>(
    connection: &C,
    policy: &Policy,
    now: DateTime<Utc>,
    scope: &AffectedScope,
    write: Option<&InsertStatement>,
) -> Result<Vec<ConsentTransition>, Error> {
    let announced_purposes = policy.purposes().iter().filter(|purpose| {
        purpose.grounds == Grounds::Consent && (scope.all_purposes || scope.purposes.contains(&purpose.code))
    });
    let backend = connection.get_database_backend();
    let scopes: Vec<Scope> = announced_purposes
        .map(|purpose| Scope { purpose: Some(purpose.clone()), now, backend, subject: None })
        .collect();
    let contacts: Vec<Uuid> = scope.contacts.iter().copied().collect();
    let purposes: Vec<String> = scope.purposes.iter().cloned().collect();
    let purposes = (!scope.all_purposes).then_some(purposes.as_slice());
    let marks = engine::consents_in_force(connection, &scopes, &contacts, purposes, write).await?;
    let (mut in_force, mut announced) = (BTreeSet::new(), BTreeMap::new());
    for mark in marks {
        match mark {
            ConsentMark::InForce(consent) => {
                in_force.insert(consent);
            }
            ConsentMark::Announced { consent, since, end } => {
                announced.insert(consent, (since, end));
            }
        }
    }
    let mut transitions: Vec<ConsentTransition> = Vec::new();
    for (consent, (since, end)) in &announced {
        if !in_force.contains(consent) {
            // What ended by time ended then, whenever that is noticed.
            let at = end.filter(|end| *end <= now).map_or(now, |end| end.max(*since));
            transitions.push(ConsentTransition {
                consent: consent.clone(),
                kind: ConsentChangeKind::Ended,
                at,
            });
        }
    }
    let began = in_force.into_iter().filter(|consent| !announced.contains_key(consent));
    transitions.extend(began.map(|consent| ConsentTransition {
        consent,
        kind: ConsentChangeKind::Granted,
        at: now,
    }));
    Ok(transitions)
}
