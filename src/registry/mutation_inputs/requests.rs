//! Inputs of mutations about requests of persons. Room: registry/mutation_inputs.

use super::field;
use crate::{
    policy::Action::{Create, Update},
    registry::{
        Validator,
        enums::REQUEST_KIND,
        inputs::{
            InputKind::{Enum, Id, Purpose, Text, Time},
            InputType,
        },
    },
};

pub(in crate::registry) static OPEN_REQUEST: InputType = InputType {
    name: "OpenRequestInput",
    doc: "A data-subject request that was received; its deadline is counted from receipt (Art. 12(3)).",
    object: None,
    fields: &[
        field("contactId", Id, "The contact.").required().requires_right(Create, "PrivacyRequest.contact"),
        field("kind", Enum(&REQUEST_KIND), "The right that is exercised.")
            .required()
            .requires_right(Create, "PrivacyRequest.kind"),
        field("receivedAt", Time, "When it was received; now if absent.")
            .requires_right(Create, "PrivacyRequest.receivedAt"),
        field("purpose", Purpose, "The purpose it concerns, if any.")
            .requires_right(Create, "PrivacyRequest.purpose"),
        field("note", Text(Validator::Lines), "A note.").requires_right(Create, "PrivacyRequest.note"),
    ],
};

pub(in crate::registry) static CANCEL_REQUEST: InputType = InputType {
    name: "CancelRequestInput",
    doc: "A request that the person takes back.",
    object: None,
    fields: &[
        field("privacyRequestId", Id, "Which request.")
            .required()
            .deprecated_name("id")
            .requires_right(Update, "PrivacyRequest.status"),
        field("reason", Text(Validator::Line), "Why.").requires_right(Update, "PrivacyRequest.reason"),
    ],
};
