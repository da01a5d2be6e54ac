//! Checks which address an imported consent was given for. Room: domain/consents.

use chrono::{DateTime, Utc};
use entity::{contact, enums::Channel};
use uuid::Uuid;

use super::events::{address_changed_at, written_address};
use crate::{
    base::{fold::fold, identities::Reader},
    domain::contacts::Reachable,
};

/// A consent with its evidence.
#[derive(Clone)]
pub struct Grant {
    /// When it was declared.
    pub declared_at: DateTime<Utc>,
    /// When it was confirmed by double opt-in, if it was.
    pub confirmed_at: Option<DateTime<Utc>>,
    /// The accepted text.
    pub text_id: Uuid,
    /// Kind of proof.
    pub proof: String,
    /// Where it was declared.
    pub source: String,
    /// Where the proof is kept.
    pub evidence: Option<String>,
    /// The address it was given for, if stated.
    pub address: Option<String>,
    /// Further addresses that the file states for the person, of the kind that the channel uses.
    pub stated_addresses: Vec<Reachable>,
    /// When it ends.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Grant {
    /// When it took effect.
    pub fn granted_at(&self) -> DateTime<Utc> {
        self.confirmed_at.unwrap_or(self.declared_at)
    }
}

impl std::fmt::Debug for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grant").field("declared_at", &self.declared_at).finish_non_exhaustive()
    }
}

/// Whether the grant was given for the contact's present address: the stated one, or else the one it had then.
pub(super) fn is_for_present_address(
    reader: &Reader,
    (contact, addresses): (&contact::Model, &[Reachable]),
    channel: Channel,
    grant: &Grant,
) -> bool {
    let Some(present) = written_address(contact, channel) else { return false };
    // All stated addresses must belong to the person, and the present one must be among them.
    let has = |reachable: &Reachable| {
        addresses.iter().any(|candidate| candidate.identity() == reachable.identity())
    };
    let is_present = |reachable: &Reachable| reachable.identity().keys().contains(&present.key);
    let is_consistent =
        grant.stated_addresses.iter().all(has) && grant.stated_addresses.iter().any(is_present);
    if !grant.stated_addresses.is_empty() && !is_consistent {
        return false;
    }
    let Some(address) = &grant.address else {
        return address_changed_at(contact, channel).is_none_or(|changed| grant.declared_at > changed);
    };
    match channel {
        Channel::Email => reader.email_key(address) == present.key,
        Channel::Phone | Channel::Sms => reader.phone_key(address) == present.key,
        Channel::Post => fold(address) == fold(&present.text) || fold(address) == present.key,
    }
}
