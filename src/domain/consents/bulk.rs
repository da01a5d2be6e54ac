//! Consents told by a file: many at a time, filling gaps, never over a withdrawal or objection. Room: domain/consents.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use entity::{
    consent, consent_event, contact, contact_point,
    enums::{Channel, ConsentEventKind, ConsentStatus, ContactState, StopKind},
    objection,
};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::{
    events::{self, address_of, projected, written_address},
    granting::{Grant, is_for_present_address},
};
use crate::domain::consents::loaded::blank;
use crate::{
    audit::{ChangeSet, Entry, Transaction},
    base::{error::Error, identities::Reader},
    crypto::installation_keys::InstallationKeys,
    domain::{
        contacts::NewAddresses,
        suppressions::{self, Found},
    },
    policy::Policy,
    registry::{CONSENT, CONSENT_EVENT},
};

/// Values in one list of a statement.
const MAX_BIND_VALUES: usize = 10_000;

/// What is told of the consent of a contact to a purpose on a channel.
#[derive(Clone, Debug)]
pub struct Told {
    /// The contact.
    pub contact_id: Uuid,
    /// Code of the purpose.
    pub purpose: String,
    /// The channel.
    pub channel: Channel,
    /// What the person declared.
    pub said: Said,
}

/// What a person declared.
#[derive(Clone, Debug)]
pub enum Said {
    /// That it consents.
    Granted(Box<Grant>),
    /// That it does not.
    Ended {
        /// Whether it refused when asked; it withdrew otherwise.
        refused: bool,
        /// When; not known otherwise.
        at: Option<DateTime<Utc>>,
        /// Where.
        source: Option<String>,
    },
}

/// Why what is told is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// The contact is only kept because a law demands it.
    NotActive,
    /// It was not given for the address that the contact has now (BGH I ZR 164/09).
    OtherAddress,
    /// The contact has objected to the purpose or its group.
    Objected,
    /// An address of the contact is on the suppression list for the purpose or its group.
    Suppressed,
    /// The consent was withdrawn.
    Withdrawn,
    /// The consent was refused.
    Refused,
    /// The consent lost its validity.
    Invalidated,
    /// The consent has ended by its time, or would have by now.
    Expired,
}

/// What became of what was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken.
    Taken,
    /// It is known already.
    Unchanged,
    /// It was left out.
    LeftOut(SkipReason),
}

type Key = (Uuid, String, Channel);

/// A consent as it is, and what came to it.
struct Held {
    before: Option<consent::Model>,
    now: consent::Model,
    events: Vec<consent_event::Model>,
    /// How many of the events were there before.
    known: usize,
}

/// Contacts with their consents, objections and what the suppression list says of them, read for many at once.
pub struct ExistingConsents {
    contacts: HashMap<Uuid, contact::Model>,
    held: HashMap<Key, Held>,
    objections: Vec<objection::Model>,
    reached: HashMap<Uuid, NewAddresses>,
    found: Found,
    reader: Reader,
    at: DateTime<Utc>,
    by: String,
    /// What was changed, in the order in which it was told.
    touched: Vec<Key>,
}

impl ExistingConsents {
    /// Reads what is there of the contacts `ids`; erased ones are not. In a transaction that is to write, contacts and consents
    /// are locked.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn read<C: ConnectionTrait>(
        connection: &C,
        (ring, reader): (Option<&InstallationKeys>, &Reader),
        ids: &HashSet<Uuid>,
        lock: bool,
        (at, by): (DateTime<Utc>, &str),
    ) -> Result<Self, Error> {
        let mut ids: Vec<Uuid> = ids.iter().copied().collect();
        ids.sort_unstable();
        let (mut contacts, mut held, mut objections) = (HashMap::new(), HashMap::new(), Vec::new());
        let mut points: HashMap<Uuid, Vec<contact_point::Model>> = HashMap::new();
        for ids in ids.chunks(MAX_BIND_VALUES) {
            let ids = || ids.iter().copied();
            let rows = contact::Entity::find().filter(contact::Column::Id.is_in(ids()));
            let rows = rows.filter(contact::Column::State.ne(ContactState::Erased));
            let rows = rows.order_by_asc(contact::Column::Id);
            let rows = if lock { rows.lock_exclusive() } else { rows };
            contacts.extend(rows.all(connection).await?.into_iter().map(|row| (row.id, row)));
            let rows = consent::Entity::find().filter(consent::Column::ContactId.is_in(ids()));
            let rows = rows.order_by_asc(consent::Column::Id);
            let rows = if lock { rows.lock_exclusive() } else { rows };
            let consents = rows.all(connection).await?;
            let mut events = events_of(connection, &consents).await?;
            for row in consents {
                let events = events.remove(&row.id).unwrap_or_default();
                let key = (row.contact_id, row.purpose_code.clone(), row.channel);
                let known = events.len();
                held.insert(key, Held { before: Some(row.clone()), now: row, events, known });
            }
            let rows = objection::Entity::find().filter(objection::Column::ContactId.is_in(ids()));
            objections.extend(rows.all(connection).await?);
            let rows = contact_point::Entity::find().filter(contact_point::Column::ContactId.is_in(ids()));
            for point in rows.all(connection).await? {
                points.entry(point.contact_id).or_default().push(point);
            }
        }
        let of = |contact: &contact::Model| {
            let points = points.get(&contact.id).map(Vec::as_slice).unwrap_or_default();
            (contact.id, NewAddresses::of(reader, contact, points))
        };
        let reached: HashMap<Uuid, NewAddresses> = contacts.values().map(of).collect();
        let all: Vec<NewAddresses> = reached.values().cloned().collect();
        let found = suppressions::find(connection, ring, reader, &all).await?;
        let reader = *reader;
        Ok(Self {
            contacts,
            held,
            objections,
            reached,
            found,
            reader,
            at,
            by: by.to_owned(),
            touched: Vec::new(),
        })
    }

    /// Whether the contact is there.
    pub fn has(&self, contact: Uuid) -> bool {
        self.contacts.contains_key(&contact)
    }

    /// The name of a contact, folded; none where it has none.
    pub fn names(&self, contact: Uuid) -> Option<(Option<&str>, Option<&str>)> {
        let contact = self.contacts.get(&contact)?;
        let names = (contact.given_name_folded.as_deref(), contact.family_name_folded.as_deref());
        (names != (None, None)).then_some(names)
    }

    /// Whether a grant could be taken, whatever is known of the consent already.
    ///
    /// # Errors
    /// What stands in its way.
    pub fn admits(&self, policy: &Policy, told: &Told, grant: &Grant) -> Result<(), SkipReason> {
        let contact = self.contacts.get(&told.contact_id).ok_or(SkipReason::NotActive)?;
        if contact.state == ContactState::Retained {
            return Err(SkipReason::NotActive);
        }
        let own = self.reached.get(&contact.id).map(NewAddresses::all).unwrap_or_default();
        if !is_for_present_address(&self.reader, (contact, own), told.channel, grant) {
            return Err(SkipReason::OtherAddress);
        }
        let group = policy.purpose(&told.purpose).and_then(|purpose| purpose.group.as_deref());
        // One that was taken back ends what was declared before it; one that stands ends all that a file can tell.
        let objected = |objection: &&objection::Model| {
            objection.contact_id == told.contact_id
                && (objection.purpose_code == told.purpose || Some(objection.purpose_code.as_str()) == group)
                && objection.channel.is_none_or(|channel| channel == told.channel)
                && match objection.kind {
                    StopKind::Objection => {
                        objection.ended_at.is_none_or(|end| end > self.at)
                            || objection.objected_at >= grant.granted_at()
                    }
                    StopKind::ExternalList => false,
                    // Of whoever reads at the address: what the person declares after it counts.
                    StopKind::Block | StopKind::Undeliverable => objection.objected_at >= grant.granted_at(),
                }
        };
        if let Some(stands) = self.objections.iter().find(objected) {
            let own = stands.kind == StopKind::Objection;
            return Err(if own { SkipReason::Objected } else { SkipReason::Suppressed });
        }
        let reached = self.reached.get(&told.contact_id);
        let listed =
            reached.and_then(|reached| self.found.ends_consent(policy, reached, &told.purpose, told.channel));
        if listed.is_some_and(|since| since >= grant.granted_at()) {
            return Err(SkipReason::Suppressed);
        }
        if grant.expires_at.is_some_and(|end| end <= self.at) {
            return Err(SkipReason::Expired);
        }
        Ok(())
    }

    /// Takes what is told, unless something stands in its way; nothing is written yet.
    ///
    /// # Errors
    /// `INTERNAL` for a period of the policy that cannot be read.
    pub fn take(
        &mut self,
        policy: &Policy,
        new_id: &(dyn Fn() -> Uuid + Sync),
        told: &Told,
    ) -> Result<Outcome, Error> {
        let key = (told.contact_id, told.purpose.clone(), told.channel);
        let fresh = match &told.said {
            Said::Granted(grant) => {
                if let Err(hindrance) = self.admits(policy, told, grant) {
                    return Ok(Outcome::LeftOut(hindrance));
                }
                if let Some(outcome) = self.standing(&key) {
                    return Ok(outcome);
                }
                self.granted(policy, told, grant)?
            }
            Said::Ended { refused, at, source } => {
                let kind = if *refused { ConsentEventKind::Refused } else { ConsentEventKind::Withdrawn };
                if self.is_known_end(&key, kind, *at) {
                    return Ok(Outcome::Unchanged);
                }
                let latest = self.events(&key).iter().filter_map(|event| event.declared_at).max();
                let at = at.unwrap_or_else(|| latest.unwrap_or(self.at).max(self.at));
                vec![consent_event::Model { source: source.clone(), ..self.event(kind, at) }]
            }
        };
        let bound = self.contacts.get(&told.contact_id).and_then(|contact| address_of(contact, told.channel));
        let now = self.at;
        let held = self.held.entry(key.clone()).or_insert_with(|| Held {
            before: None,
            now: blank(new_id(), (told.contact_id, &told.purpose, told.channel), now),
            events: Vec::new(),
            known: 0,
        });
        for event in fresh {
            held.events.push(consent_event::Model { id: new_id(), consent_id: held.now.id, ..event });
        }
        let mut after = projected(&held.now, &held.events);
        after.updated_at = now;
        if matches!(told.said, Said::Granted(_)) && after.status == ConsentStatus::Granted {
            after.bound_address = bound;
        }
        held.now = after;
        if !self.touched.contains(&key) {
            self.touched.push(key);
        }
        Ok(Outcome::Taken)
    }

    fn events(&self, key: &Key) -> &[consent_event::Model] {
        self.held.get(key).map(|held| held.events.as_slice()).unwrap_or_default()
    }

    /// What is known of a consent that leaves no gap to be filled.
    fn standing(&self, key: &Key) -> Option<Outcome> {
        let held = self.held.get(key)?;
        let ended = |hindrance| Some(Outcome::LeftOut(hindrance));
        match held.now.status {
            ConsentStatus::Granted if held.now.expires_at.is_some_and(|end| end <= self.at) => {
                ended(SkipReason::Expired)
            }
            ConsentStatus::Granted => Some(Outcome::Unchanged),
            ConsentStatus::Withdrawn => ended(SkipReason::Withdrawn),
            ConsentStatus::Refused => ended(SkipReason::Refused),
            ConsentStatus::Invalidated => ended(SkipReason::Invalidated),
            ConsentStatus::Expired => ended(SkipReason::Expired),
            // It is asked for anew: what the person said before still stands against an older word.
            ConsentStatus::Pending => held.events.iter().find_map(|event| match event.kind {
                ConsentEventKind::Withdrawn => ended(SkipReason::Withdrawn),
                ConsentEventKind::Refused => ended(SkipReason::Refused),
                ConsentEventKind::Invalidated => ended(SkipReason::Invalidated),
                _ => None,
            }),
        }
    }

    fn is_known_end(&self, key: &Key, kind: ConsentEventKind, at: Option<DateTime<Utc>>) -> bool {
        match at {
            Some(at) => {
                self.events(key).iter().any(|event| event.kind == kind && event.declared_at == Some(at))
            }
            None => self.held.get(key).is_some_and(|held| {
                matches!(held.now.status, ConsentStatus::Withdrawn | ConsentStatus::Refused)
            }),
        }
    }

    /// The events of a grant: one, or sign-up and confirmation.
    fn granted(
        &self,
        policy: &Policy,
        told: &Told,
        grant: &Grant,
    ) -> Result<Vec<consent_event::Model>, Error> {
        let contact = self.contacts.get(&told.contact_id);
        let address = contact.and_then(|contact| written_address(contact, told.channel));
        let said = |kind, at| consent_event::Model {
            source: Some(grant.source.clone()),
            consent_text_id: Some(grant.text_id),
            evidence: grant.evidence.clone(),
            address: address.as_ref().map(|address| address.text.clone()),
            ..self.event(kind, at)
        };
        let review_due_at = events::review_by(policy, &told.purpose, grant.expires_at)?;
        let granting = |event| consent_event::Model {
            proof: Some(grant.proof.clone()),
            expires_at: grant.expires_at,
            review_due_at,
            ..event
        };
        Ok(match grant.confirmed_at {
            None => vec![granting(said(ConsentEventKind::Granted, grant.declared_at))],
            Some(confirmed) => vec![
                said(ConsentEventKind::Requested, grant.declared_at),
                granting(said(ConsentEventKind::Confirmed, confirmed)),
            ],
        })
    }

    /// An event without an id yet.
    fn event(&self, kind: ConsentEventKind, at: DateTime<Utc>) -> consent_event::Model {
        consent_event::Model {
            id: Uuid::nil(),
            consent_id: Uuid::nil(),
            kind,
            declared_at: Some(at),
            recorded_at: self.at,
            source: None,
            actor: self.by.clone(),
            proof: None,
            consent_text_id: None,
            expires_at: None,
            address: None,
            evidence: None,
            review_due_at: None,
        }
    }

    /// Writes what was taken, and records it consent by consent; gives how many there were.
    ///
    /// # Errors
    /// From the database.
    pub async fn write(mut self, tx: &mut Transaction, action: &'static str) -> Result<usize, Error> {
        let touched = std::mem::take(&mut self.touched);
        let held: Vec<Held> = touched.iter().filter_map(|key| self.held.remove(key)).collect();
        let new = held.iter().filter(|held| held.before.is_none()).map(|held| held.now.clone());
        tx.insert_all::<consent::Entity>(new).await?;
        for held in &held {
            if let Some(before) = &held.before {
                // What changed is told below, with the events.
                _ = tx.update::<consent::Entity>(&CONSENT, before, &held.now).await?;
            }
        }
        let fresh = held.iter().flat_map(|held| held.events.iter().skip(held.known)).cloned();
        tx.insert_all::<consent_event::Entity>(fresh).await?;
        for held in &held {
            let mut changes = ChangeSet::diff(&CONSENT, held.before.as_ref(), Some(&held.now));
            for event in held.events.iter().skip(held.known) {
                changes = changes.merge(ChangeSet::diff(&CONSENT_EVENT, None, Some(event)));
            }
            tx.record(Entry {
                action,
                entity_type: CONSENT.name,
                entity_id: Some(held.now.id),
                contact_id: Some(held.now.contact_id),
                changes,
            })
            .await?;
        }
        Ok(held.len())
    }
}

async fn events_of<C: ConnectionTrait>(
    connection: &C,
    consents: &[consent::Model],
) -> Result<HashMap<Uuid, Vec<consent_event::Model>>, Error> {
    let mut events: HashMap<Uuid, Vec<consent_event::Model>> = HashMap::new();
    for consents in consents.chunks(MAX_BIND_VALUES) {
        let ids = consents.iter().map(|consent| consent.id);
        let rows = consent_event::Entity::find().filter(consent_event::Column::ConsentId.is_in(ids));
        for event in rows.all(connection).await? {
            events.entry(event.consent_id).or_default().push(event);
        }
    }
    Ok(events)
}
