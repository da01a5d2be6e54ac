//! For which address a consent that is told was given. Room: domain/consents.

use chrono::{DateTime, Utc};
use entity::{contact, enums::Channel};
use uuid::Uuid;

use super::events::{moved_at, written_address};
use crate::{
    base::{fold::fold, identities::Reader},
    domain::contacts::Reachable,
};

/// A consent with its evidence.
#[derive(Clone)]
pub struct Grant {
    /// When it was declared.
    pub declared_at: DateTime<Utc>,
    /// When it was confirmed by double opt-in, where it was.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// The text declared to.
    pub text_id: Uuid,
    /// Kind of proof.
    pub proof: String,
    /// Where it was declared.
    pub source: String,
    /// Where the proof is.
    pub evidence: Option<String>,
    /// The address it was given for, where that is told.
    pub address: Option<String>,
    /// Addresses that are told of the person beside, of the kind that the channel leads to.
    pub told: Vec<Reachable>,
    /// Until when it holds.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Grant {
    /// Since when it holds.
    pub fn granted_at(&self) -> DateTime<Utc> {
        self.confirmed_at.unwrap_or(self.declared_at)
    }
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant").field("declared_at", &self.declared_at).finish_non_exhaustive()
    }
}

/// Whether the grant was given for the address that the contact has now: the one it tells of, else the one it had then.
pub(super) fn is_for_present_address(
    reader: &Reader,
    (contact, own): (&contact::Model, &[Reachable]),
    channel: Channel,
    grant: &Grant,
) -> bool {
    let Some(present) = written_address(contact, channel) else { return false };
    // What is told of the person beside must be the person's, and the address among it.
    let has = |one: &Reachable| own.iter().any(|known| known.identity() == one.identity());
    let is_present = |one: &Reachable| one.identity().keys().contains(&present.key);
    let agrees = grant.told.iter().all(has) && grant.told.iter().any(is_present);
    if !grant.told.is_empty() && !agrees {
        return false;
    }
    let Some(told) = &grant.address else {
        return moved_at(contact, channel).is_none_or(|moved| grant.declared_at > moved);
    };
    match channel {
        Channel::Email => reader.email_key(told) == present.key,
        Channel::Phone | Channel::Sms => reader.phone_key(told) == present.key,
        Channel::Post => fold(told) == fold(&present.text) || fold(told) == present.key,
    }
}
