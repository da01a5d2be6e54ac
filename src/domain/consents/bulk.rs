//! Bulk import of consents: fills gaps, and never overrides a withdrawal or an objection. Room: domain/consents.

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
    events::{self, address_of, with_projection, written_address},
    grant::{Grant, is_for_present_address},
};
use crate::domain::consents::loaded::new_row;
use crate::{
    audit::{ChangeSet, Entry, Transaction},
    base::{error::Error, identities::Reader},
    crypto::installation_keys::InstallationKeys,
    domain::{
        contacts::NewAddresses,
        suppressions::{self, SuppressionMatches},
    },
    policy::Policy,
    registry::{CONSENT, CONSENT_EVENT},
};

/// Values in one list of a statement.
const MAX_BIND_VALUES: usize = 10_000;

/// What a file declares about the consent of a contact to a purpose on a channel.
#[derive(Clone, Debug)]
pub struct BulkDeclaration {
    /// The contact.
    pub contact_id: Uuid,
    /// Code of the purpose.
    pub purpose: String,
    /// The channel.
    pub channel: Channel,
    /// The declared state.
    pub state: DeclaredState,
}

/// The declared state.
#[derive(Clone, Debug)]
pub enum DeclaredState {
    /// The person consents.
    Granted(Box<Grant>),
    /// The person does not consent.
    Ended {
        /// Whether the person refused when asked, instead of withdrawing.
        refused: bool,
        /// When, if known.
        at: Option<DateTime<Utc>>,
        /// Where.
        source: Option<String>,
    },
}

/// Why a declaration is skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// The contact is retained only because a law demands it.
    NotActive,
    /// It was not given for the contact's present address (BGH I ZR 164/09).
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
    /// The consent has expired, or would have by now.
    Expired,
}

/// The outcome of a declaration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkOutcome {
    /// It was applied.
    Applied,
    /// It is already recorded.
    Unchanged,
    /// It was skipped.
    Skipped(SkipReason),
}

type Key = (Uuid, String, Channel);

/// A consent with the events added to it.
struct ExistingConsent {
    before: Option<consent::Model>,
    now: consent::Model,
    events: Vec<consent_event::Model>,
    /// The number of events that were already recorded.
    recorded: usize,
}

/// Contacts with their consents, objections and suppressions, read for many at once.
pub struct ExistingConsents {
    contacts: HashMap<Uuid, contact::Model>,
    existing: HashMap<Key, ExistingConsent>,
    objections: Vec<objection::Model>,
    addresses: HashMap<Uuid, NewAddresses>,
    matches: SuppressionMatches,
    reader: Reader,
    at: DateTime<Utc>,
    actor: String,
    /// The changed consents, in the order of the declarations.
    changed: Vec<Key>,
}

impl ExistingConsents {
    /// Reads the contacts `ids`, except erased ones. In a transaction that is going to write, contacts and consents
    /// are locked.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn read<C: ConnectionTrait>(
        connection: &C,
        (installation_keys, reader): (Option<&InstallationKeys>, &Reader),
        ids: &HashSet<Uuid>,
        lock: bool,
        (at, actor): (DateTime<Utc>, &str),
    ) -> Result<Self, Error> {
        let mut ids: Vec<Uuid> = ids.iter().copied().collect();
        ids.sort_unstable();
        let (mut contacts, mut existing, mut objections) = (HashMap::new(), HashMap::new(), Vec::new());
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
                let recorded = events.len();
                existing
                    .insert(key, ExistingConsent { before: Some(row.clone()), now: row, events, recorded });
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
            (contact.id, NewAddresses::of_contact(reader, contact, points))
        };
        let addresses: HashMap<Uuid, NewAddresses> = contacts.values().map(of).collect();
        let all: Vec<NewAddresses> = addresses.values().cloned().collect();
        let matches = suppressions::find(connection, installation_keys, reader, &all).await?;
        let reader = *reader;
        Ok(Self {
            contacts,
            existing,
            objections,
            addresses,
            matches,
            reader,
            at,
            actor: actor.to_owned(),
            changed: Vec::new(),
        })
    }

    /// Whether the contact exists.
    pub fn has(&self, contact: Uuid) -> bool {
        self.contacts.contains_key(&contact)
    }

    /// The folded name of a contact, if it has one.
    pub fn names(&self, contact: Uuid) -> Option<(Option<&str>, Option<&str>)> {
        let contact = self.contacts.get(&contact)?;
        let names = (contact.given_name_folded.as_deref(), contact.family_name_folded.as_deref());
        (names != (None, None)).then_some(names)
    }

    /// Whether a grant could be applied, whatever is recorded of the consent.
    ///
    /// # Errors
    /// The reason it cannot.
    pub fn check_grant(
        &self,
        policy: &Policy,
        declaration: &BulkDeclaration,
        grant: &Grant,
    ) -> Result<(), SkipReason> {
        let contact = self.contacts.get(&declaration.contact_id).ok_or(SkipReason::NotActive)?;
        if contact.state == ContactState::Retained {
            return Err(SkipReason::NotActive);
        }
        let addresses = self.addresses.get(&contact.id).map(NewAddresses::all).unwrap_or_default();
        if !is_for_present_address(&self.reader, (contact, addresses), declaration.channel, grant) {
            return Err(SkipReason::OtherAddress);
        }
        let group = policy.purpose(&declaration.purpose).and_then(|purpose| purpose.group.as_deref());
        // A revoked objection ends earlier declarations; one in force ends all that a file can declare.
        let objected = |objection: &&objection::Model| {
            objection.contact_id == declaration.contact_id
                && (objection.purpose_code == declaration.purpose
                    || Some(objection.purpose_code.as_str()) == group)
                && objection.channel.is_none_or(|channel| channel == declaration.channel)
                && match objection.kind {
                    StopKind::Objection => {
                        objection.ended_at.is_none_or(|end| end > self.at)
                            || objection.objected_at >= grant.granted_at()
                    }
                    StopKind::ExternalList => false,
                    // Declared by whoever reads at the address: a later declaration of this person counts.
                    StopKind::Block | StopKind::Undeliverable => objection.objected_at >= grant.granted_at(),
                }
        };
        if let Some(objection) = self.objections.iter().find(objected) {
            let is_objection = objection.kind == StopKind::Objection;
            return Err(if is_objection { SkipReason::Objected } else { SkipReason::Suppressed });
        }
        let addresses = self.addresses.get(&declaration.contact_id);
        let suppressed_since = addresses.and_then(|addresses| {
            self.matches.ends_consent(policy, addresses, &declaration.purpose, declaration.channel)
        });
        if suppressed_since.is_some_and(|since| since >= grant.granted_at()) {
            return Err(SkipReason::Suppressed);
        }
        if grant.expires_at.is_some_and(|end| end <= self.at) {
            return Err(SkipReason::Expired);
        }
        Ok(())
    }

    /// Applies a declaration, unless something prevents it; nothing is written yet.
    ///
    /// # Errors
    /// `INTERNAL` for a period of the policy that cannot be read.
    pub fn apply(
        &mut self,
        policy: &Policy,
        new_id: &(dyn Fn() -> Uuid + Sync),
        declaration: &BulkDeclaration,
    ) -> Result<BulkOutcome, Error> {
        let key = (declaration.contact_id, declaration.purpose.clone(), declaration.channel);
        let new_events = match &declaration.state {
            DeclaredState::Granted(grant) => {
                if let Err(reason) = self.check_grant(policy, declaration, grant) {
                    return Ok(BulkOutcome::Skipped(reason));
                }
                if let Some(outcome) = self.outcome_without_gap(&key) {
                    return Ok(outcome);
                }
                self.grant_events(policy, declaration, grant)?
            }
            DeclaredState::Ended { refused, at, source } => {
                let kind = if *refused { ConsentEventKind::Refused } else { ConsentEventKind::Withdrawn };
                if self.is_known_end(&key, kind, *at) {
                    return Ok(BulkOutcome::Unchanged);
                }
                let latest = self.events(&key).iter().filter_map(|event| event.declared_at).max();
                let at = at.unwrap_or_else(|| latest.unwrap_or(self.at).max(self.at));
                vec![consent_event::Model { source: source.clone(), ..self.event(kind, at) }]
            }
        };
        let bound = self
            .contacts
            .get(&declaration.contact_id)
            .and_then(|contact| address_of(contact, declaration.channel));
        let now = self.at;
        let existing = self.existing.entry(key.clone()).or_insert_with(|| ExistingConsent {
            before: None,
            now: new_row(new_id(), (declaration.contact_id, &declaration.purpose, declaration.channel), now),
            events: Vec::new(),
            recorded: 0,
        });
        for event in new_events {
            existing.events.push(consent_event::Model { id: new_id(), consent_id: existing.now.id, ..event });
        }
        let mut after = with_projection(&existing.now, &existing.events);
        after.updated_at = now;
        if matches!(declaration.state, DeclaredState::Granted(_)) && after.status == ConsentStatus::Granted {
            after.bound_address = bound;
        }
        existing.now = after;
        if !self.changed.contains(&key) {
            self.changed.push(key);
        }
        Ok(BulkOutcome::Applied)
    }

    fn events(&self, key: &Key) -> &[consent_event::Model] {
        self.existing.get(key).map(|existing| existing.events.as_slice()).unwrap_or_default()
    }

    /// The outcome if the recorded consent leaves no gap to fill.
    fn outcome_without_gap(&self, key: &Key) -> Option<BulkOutcome> {
        let existing = self.existing.get(key)?;
        let ended = |reason| Some(BulkOutcome::Skipped(reason));
        match existing.now.status {
            ConsentStatus::Granted if existing.now.expires_at.is_some_and(|end| end <= self.at) => {
                ended(SkipReason::Expired)
            }
            ConsentStatus::Granted => Some(BulkOutcome::Unchanged),
            ConsentStatus::Withdrawn => ended(SkipReason::Withdrawn),
            ConsentStatus::Refused => ended(SkipReason::Refused),
            ConsentStatus::Invalidated => ended(SkipReason::Invalidated),
            ConsentStatus::Expired => ended(SkipReason::Expired),
            // It was requested again: what the person said before still outweighs an older declaration.
            ConsentStatus::Pending => existing.events.iter().find_map(|event| match event.kind {
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
            None => self.existing.get(key).is_some_and(|existing| {
                matches!(existing.now.status, ConsentStatus::Withdrawn | ConsentStatus::Refused)
            }),
        }
    }

    /// The events of a grant: one, or sign-up and confirmation.
    fn grant_events(
        &self,
        policy: &Policy,
        declaration: &BulkDeclaration,
        grant: &Grant,
    ) -> Result<Vec<consent_event::Model>, Error> {
        let contact = self.contacts.get(&declaration.contact_id);
        let address = contact.and_then(|contact| written_address(contact, declaration.channel));
        let event_of = |kind, at| consent_event::Model {
            source: Some(grant.source.clone()),
            consent_text_id: Some(grant.text_id),
            evidence: grant.evidence.clone(),
            address: address.as_ref().map(|address| address.text.clone()),
            ..self.event(kind, at)
        };
        let review_due_at = events::review_date_by_policy(policy, &declaration.purpose, grant.expires_at)?;
        let with_grant = |event| consent_event::Model {
            proof: Some(grant.proof.clone()),
            expires_at: grant.expires_at,
            review_due_at,
            ..event
        };
        Ok(match grant.confirmed_at {
            None => vec![with_grant(event_of(ConsentEventKind::Granted, grant.declared_at))],
            Some(confirmed) => vec![
                event_of(ConsentEventKind::Requested, grant.declared_at),
                with_grant(event_of(ConsentEventKind::Confirmed, confirmed)),
            ],
        })
    }

    /// An event without an id.
    fn event(&self, kind: ConsentEventKind, at: DateTime<Utc>) -> consent_event::Model {
        consent_event::Model {
            id: Uuid::nil(),
            consent_id: Uuid::nil(),
            kind,
            declared_at: Some(at),
            recorded_at: self.at,
            source: None,
            actor: self.actor.clone(),
            proof: None,
            consent_text_id: None,
            expires_at: None,
            address: None,
            evidence: None,
            review_due_at: None,
        }
    }

    /// Writes the changed consents with an entry each, and returns their number.
    ///
    /// # Errors
    /// From the database.
    pub async fn write(mut self, tx: &mut Transaction, action: &'static str) -> Result<usize, Error> {
        let changed = std::mem::take(&mut self.changed);
        let existing: Vec<ExistingConsent> =
            changed.iter().filter_map(|key| self.existing.remove(key)).collect();
        let new =
            existing.iter().filter(|existing| existing.before.is_none()).map(|existing| existing.now.clone());
        tx.insert_all::<consent::Entity>(new).await?;
        for existing in &existing {
            if let Some(before) = &existing.before {
                // The changes are recorded below, with the events.
                _ = tx.update::<consent::Entity>(&CONSENT, before, &existing.now).await?;
            }
        }
        let new_events =
            existing.iter().flat_map(|existing| existing.events.iter().skip(existing.recorded)).cloned();
        tx.insert_all::<consent_event::Entity>(new_events).await?;
        for existing in &existing {
            let mut changes = ChangeSet::diff(&CONSENT, existing.before.as_ref(), Some(&existing.now));
            for event in existing.events.iter().skip(existing.recorded) {
                changes = changes.merge(ChangeSet::diff(&CONSENT_EVENT, None, Some(event)));
            }
            tx.record(Entry {
                action,
                entity_type: CONSENT.name,
                entity_id: Some(existing.now.id),
                contact_id: Some(existing.now.contact_id),
                changes,
            })
            .await?;
        }
        Ok(existing.len())
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
