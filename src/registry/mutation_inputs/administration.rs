//! Inputs of mutations about recipients and access tokens. Room: registry/mutation_inputs.

use super::field;
use crate::{
    policy::Action::{Create, Update},
    registry::{
        Validator,
        enums::RECIPIENT_KIND,
        inputs::{
            InputKind::{Enum, Id, Text, Time, Words},
            InputType,
        },
    },
};

pub(in crate::registry) static CREATE_RECIPIENT: InputType = InputType {
    name: "CreateRecipientInput",
    doc: "A recipient to whom personal data will be disclosed (Art. 4(9)).",
    object: None,
    fields: &[
        field("name", Text(Validator::Line), "Name.").required().requires_right(Create, "Recipient.name"),
        field("kind", Enum(&RECIPIENT_KIND), "Role in the processing.")
            .required()
            .requires_right(Create, "Recipient.kind"),
        field("country", Text(Validator::Line), "Country of establishment.")
            .requires_right(Create, "Recipient.country"),
        field(
            "transferMechanism",
            Text(Validator::Line),
            "Basis of a transfer to a third country (Art. 44 ff.).",
        )
        .requires_right(Create, "Recipient.transferMechanism"),
        field("contractUntil", Text(Validator::Date), "When the contract expires, ISO 8601.")
            .requires_right(Create, "Recipient.contractUntil"),
    ],
};

pub(in crate::registry) static ACKNOWLEDGE_STOPS: InputType = InputType {
    name: "AcknowledgeStopsInput",
    doc: "The acknowledgement of stop duties by a recipient.",
    object: None,
    fields: &[
        field("recipientId", Id, "Which recipient.").required().requires_right(Update, "Stop.acknowledgedAt"),
        field("batchId", Id, "The batch, as given on each line of the stop file.")
            .required()
            .deprecated_name("batch")
            .requires_right(Update, "Stop.acknowledgedAt"),
    ],
};

pub(in crate::registry) static CREATE_ACCESS_TOKEN: InputType = InputType {
    name: "CreateAccessTokenInput",
    doc: "A new credential for roles and purposes that the caller may grant; it can neither outlive nor exceed the caller's own.",
    object: None,
    fields: &[
        field("name", Text(Validator::Line), "Name, for those who manage access tokens.")
            .required()
            .requires_right(Create, "AccessToken.name"),
        field("roles", Words, "Roles.").required().requires_right(Create, "AccessToken.roles"),
        field("purposes", Words, "Codes of purposes; groups are not allowed.")
            .required()
            .requires_right(Create, "AccessToken.purposes"),
        field("fields", Words, "Coordinates it is restricted to; no restriction if absent.")
            .requires_right(Create, "AccessToken.fields"),
        field(
            "expiresAt",
            Time,
            "When it expires, at most 366 days from now; 90 days if absent, but not after the caller's own credential.",
        )
        .requires_right(Create, "AccessToken.expiresAt"),
        field("recipientId", Id, "The recipient that uses it.").requires_right(Create, "AccessToken.recipient"),
    ],
};

pub(in crate::registry) static REVOKE_ACCESS_TOKEN: InputType = InputType {
    name: "RevokeAccessTokenInput",
    doc: "The end of a credential.",
    object: None,
    fields: &[field("accessTokenId", Id, "Which token.")
        .required()
        .requires_right(Update, "AccessToken.revokedAt")],
};
