//! For which address a consent that is told was given (floor 4).

use entity::{contact, enums::Channel};

use super::{
    batch::Grant,
    events::{moved_at, written_address},
};
use crate::{contacts::Reachable, fold::fold, identities::Reader};

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
