//! Inputs of mutations about grounds, objections and blocks. Room: registry/mutation_inputs.

use super::{BY_EMAIL, BY_PHONE, field};
use crate::{
    policy::Action::{Create, Update},
    registry::{
        Validator,
        enums::CHANNEL,
        inputs::{
            InputKind::{Enum, Id, Purpose, Text, Time},
            InputType,
        },
    },
};

pub(in crate::registry) static RECORD_GROUND: InputType = InputType {
    name: "RecordGroundInput",
    doc: "A fact that makes a purpose lawful for a contact; requires the right to grant that ground.",
    object: None,
    fields: &[
        field("contactId", Id, "The contact.").required(),
        field("purpose", Purpose, "Code of the purpose.").required().requires_right(Create, "Ground.purpose"),
        field("reference", Text(Validator::Line), "Contract number, duty or balancing test.")
            .requires_right(Create, "Ground.reference"),
        field("since", Time, "When it takes effect; now if absent.").requires_right(Create, "Ground.since"),
        field("until", Time, "When it expires; open-ended if absent.").requires_right(Create, "Ground.until"),
    ],
};

pub(in crate::registry) static END_GROUND: InputType = InputType {
    name: "EndGroundInput",
    doc: "The end of a ground.",
    object: None,
    fields: &[
        field("groundId", Id, "Which ground.")
            .required()
            .deprecated_name("id")
            .requires_right(Update, "Ground.until"),
        field("endedAt", Time, "When it ends; now if absent.").deprecated_name("at"),
    ],
};

pub(in crate::registry) static RECORD_OBJECTION: InputType = InputType {
    name: "RecordObjectionInput",
    doc: "An objection (Art. 21) to a purpose or a group of purposes, by a contact id or by the person with an address. An objection to advertising is also kept on the suppression list, which outlives the contact, and blocks every contact with the address. Under a purpose that sees all it is accepted for an address that no contact has.",
    object: None,
    fields: &[
        field("contactId", Id, "The contact."),
        BY_EMAIL,
        BY_PHONE,
        field("purpose", Purpose, "Code of the purpose or group.")
            .required()
            .requires_right(Create, "Objection.purpose"),
        field("channel", Enum(&CHANNEL), "The channel; all channels if absent.")
            .requires_right(Create, "Objection.channel"),
        field("declaredAt", Time, "When the person objected; now if absent.")
            .deprecated_name("at")
            .requires_right(Create, "Objection.objectedAt"),
        field("source", Text(Validator::Line), "Where it was declared.")
            .requires_right(Create, "Objection.source"),
    ],
};

pub(in crate::registry) static END_OBJECTION: InputType = InputType {
    name: "EndObjectionInput",
    doc: "The end of an objection that the person takes back. The suppression list still applies to declarations made before.",
    object: None,
    fields: &[
        field("objectionId", Id, "Which objection.")
            .required()
            .deprecated_name("id")
            .requires_right(Update, "Objection.endedAt"),
        field("endedAt", Time, "When it ended; now if absent.").deprecated_name("at"),
    ],
};

pub(in crate::registry) static LIFT_BLOCK: InputType = InputType {
    name: "LiftBlockInput",
    doc: "The end of a block, for one contact only.",
    object: None,
    fields: &[
        field("blockId", Id, "Which block.")
            .required()
            .deprecated_name("id")
            .requires_right(Update, "Block.endedAt"),
        field("endedAt", Time, "When the person agreed to advertising again; now if absent.")
            .deprecated_name("at"),
    ],
};
