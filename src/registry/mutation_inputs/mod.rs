//! Mutation inputs: each field with the right that it needs. Room: registry/mutation_inputs.

mod administration;
mod consents;
mod contacts;
mod grounds;
mod requests;

pub(super) use administration::{
    ACKNOWLEDGE_STOPS, CREATE_ACCESS_TOKEN, CREATE_RECIPIENT, REVOKE_ACCESS_TOKEN,
};
pub(super) use consents::{RECORD_CONSENT, RENEW_CONSENT, REQUEST_CONSENT, WITHDRAW_CONSENT};
pub(super) use contacts::{
    ADD_CONTACT_POINT, CREATE_CONTACT, LIFT_RESTRICTION, MERGE_CONTACTS, REMOVE_CONTACT_POINT,
    RESTRICT_CONTACT, UPDATE_CONTACT,
};
pub(super) use grounds::{END_GROUND, END_OBJECTION, LIFT_BLOCK, RECORD_GROUND, RECORD_OBJECTION};
pub(super) use requests::{CANCEL_REQUEST, OPEN_REQUEST};

use super::{
    Validator,
    inputs::{InputField, InputKind},
};
use crate::policy::Action::Read;

const fn field(name: &'static str, kind: InputKind, doc: &'static str) -> InputField {
    InputField::new(name, kind, doc)
}

/// An address that names the person instead of a contact id.
const BY_EMAIL: InputField = field(
    "email",
    InputKind::Text(Validator::Mailboxes),
    "By the person with this e-mail address; `Name <address>` and several addresses are accepted.",
)
.requires_right(Read, "Contact.email");
const BY_PHONE: InputField = field(
    "phone",
    InputKind::Text(Validator::Numbers),
    "By the person with this phone number, in any notation.",
)
.requires_right(Read, "Contact.phone");
