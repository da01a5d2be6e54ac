//! Consent transitions: consents that began or ended, recorded for subscribers in the transaction that caused it.
//! Room: audit.
//!
//! No caller has to remember this: every write to contacts, consents and objections marks its contacts as affected.
//! Before the commit, their consents in force, by the row rule itself, are compared with the recorded changes.
//! Purposes on other legal bases are not covered: there a contact comes and goes with its recorded ground, without
//! a declaration of the person.
//!
//! A consent affects its own purpose only; an address, a state or an objection affects all. Whoever writes consents
//! or objections locks the contact first. On SQLite, which has one writer, a change goes to `consent_change` at
//! once, with an id above the greatest. On PostgreSQL no writer waits for another: a change goes to
//! `consent_change_queue` in the same transaction, numbered by a sequence, so that of two changes of one (locked)
//! contact the later has the greater number, whatever the clocks of two servers say. Committed rows move to
//! `consent_change` (`audit/numbering.rs`), lowest numbers first, one transaction per batch: at any time a row is
//! either in the queue or in its final place. One server at a time does this, guarded by an advisory lock that is
//! tried and never waited for; the database ends the turn of a server that has gone silent. So ids only ever grow
//! beyond all that could be read, no cursor skips one, and a long transaction delays only its own changes. The jobs
//! of a server number its own commits at once (`feed`), at most every 10 ms, and look every second for changes
//! queued by others: other servers, and commands, whose changes wait until a server runs. No answer waits for it.
//! The latest recorded change is read from queue and table in one statement, queued ones being newer. The trigger
//! that orders rows of `consent_change` remains for writers that bypass the queue. `consents::expire` later
//! records, for subscribers, what time has ended, and changes nothing that is read; `consents::backfill_changes`
//! records what changed without a write: another policy, or consents older than this table.

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

/// Rows in one INSERT.
const INSERT_BATCH: usize = 1_000;

/// A consent that began or ended.
pub(super) struct ConsentTransition {
    consent: InForce,
    kind: ConsentChangeKind,
    at: DateTime<Utc>,
}

impl Transaction {
    /// Marks the consents of `contacts` to be compared before the commit, because something they depend on was
    /// written.
    pub fn mark_affected(&self, contacts: &[Uuid]) {
        self.affected_contacts.add(AffectedScope::of_contacts(contacts));
    }

    /// Marks the consents of `contacts` to be compared before the commit although nothing of them is written, and
    /// returns the number of transitions.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn recheck(&self, contacts: &[Uuid]) -> Result<usize, Error> {
        self.affected_contacts.add(AffectedScope::of_contacts(contacts));
        Ok(transitions(&self.inner, &self.policy, self.now(), &AffectedScope::of_contacts(contacts), None)
            .await?
            .len())
    }

    /// The transitions in `scope`; `write` is executed in the same statement.
    pub(super) async fn transitions(
        &self,
        scope: &AffectedScope,
        write: Option<&InsertStatement>,
    ) -> Result<Vec<ConsentTransition>, Error> {
        transitions(&self.inner, &self.policy, self.now(), scope, write).await
    }

    /// Records transitions and returns whether they are queued. On PostgreSQL they go to the queue, for
    /// [`super::number_changes`]: no writer waits for another. SQLite has one writer, which gives each row its
    /// final id.
    pub(super) async fn record_transitions(
        &self,
        transitions: Vec<ConsentTransition>,
    ) -> Result<bool, Error> {
        if transitions.is_empty() {
            return Ok(false);
        }
        if self.inner.get_database_backend() == DbBackend::Postgres {
            // In commit order for each contact: it is locked, and the sequence continues after what was queued
            // before.
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

/// Inserts `rows` in order.
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

/// The number of consents of `contacts` that began or ended without a recorded change: by another policy, or before
/// changes were recorded. If there are some, recheck these contacts in a transaction.
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

/// The differences between the consents in `scope` and the recorded changes.
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
            // A consent that expired ended at that time, whenever that is noticed.
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
