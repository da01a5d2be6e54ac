//! Inputs of mutations about contacts and their addresses. Room: registry/mutation_inputs.

use super::field;
use crate::{
    policy::Action::{Create, Read, Update},
    registry::{
        CONTACT, CONTACT_POINT, Validator,
        enums::{CONTACT_POINT_KIND, RESTRICTION_LIMB},
        inputs::{
            InputKind::{Enum, FieldNames, Id, Int, Object, Purpose, Text, Time},
            InputType,
        },
    },
};

pub(in crate::registry) static SOURCE: InputType = InputType {
    name: "SourceInput",
    doc: "Source of the data (Art. 14(2)(f)). The recording actor is taken from the credential, the time from the server.",
    object: None,
    fields: &[
        field("name", Text(Validator::Line), "Name of the source.")
            .required()
            .requires_right(Create, "Provenance.source"),
        field("collectedAt", Time, "When the source collected it.")
            .requires_right(Create, "Provenance.collectedAt"),
        field("informedAt", Time, "When the person was informed (Art. 13, 14(3)).")
            .requires_right(Create, "Provenance.informedAt"),
        field("noticeVersion", Text(Validator::Line), "Version of the privacy notice provided.")
            .requires_right(Create, "Provenance.noticeVersion"),
    ],
};

pub(in crate::registry) static GROUND_OF_CONTACT: InputType = InputType {
    name: "ContactGroundInput",
    doc: "The fact that makes storing the contact lawful (Art. 6(1)).",
    object: None,
    fields: &[
        field("purpose", Purpose, "Code of the purpose.").required().requires_right(Create, "Ground.purpose"),
        field("reference", Text(Validator::Line), "Contract number, duty or balancing test.")
            .requires_right(Create, "Ground.reference"),
        field("since", Time, "When it takes effect; now if absent.").requires_right(Create, "Ground.since"),
        field("until", Time, "When it expires; open-ended if absent.").requires_right(Create, "Ground.until"),
    ],
};

pub(in crate::registry) static CREATE_CONTACT: InputType = InputType {
    name: "CreateContactInput",
    doc: "A new contact: values, their source and the ground that makes storing them lawful.",
    object: Some((&CONTACT, Create)),
    fields: &[
        field("source", Object(&SOURCE), "Where the data comes from.").required(),
        field(
            "ground",
            Object(&GROUND_OF_CONTACT),
            "The ground; required unless the purpose of the operation applies to every contact.",
        ),
    ],
};

pub(in crate::registry) static UPDATE_CONTACT: InputType = InputType {
    name: "UpdateContactInput",
    doc: "A change to a contact: given fields are set, fields listed in `clear` are emptied, all others stay.",
    object: Some((&CONTACT, Update)),
    fields: &[
        field("contactId", Id, "Which contact.").required().deprecated_name("id"),
        field(
            "expectedVersion",
            Int,
            "The version that the change is based on; CONFLICT if the contact has changed since.",
        )
        .requires_right(Read, "Contact.version"),
        field("source", Object(&SOURCE), "Source of the new values; the caller if absent."),
        field("clear", FieldNames(&CONTACT), "Fields to empty."),
    ],
};

pub(in crate::registry) static MERGE_CONTACTS: InputType = InputType {
    name: "MergeContactsInput",
    doc: "Two contacts that are the same person. Empty fields are filled from the duplicate, its other addresses become contact points, and its notes are appended. For all other fields the value of the remaining contact is kept.",
    object: None,
    fields: &[
        field("contactId", Id, "The contact that remains.").required().deprecated_name("id"),
        field("duplicateId", Id, "The contact that is merged into it and then no longer exists.").required(),
        field(
            "expectedVersion",
            Int,
            "The version of the remaining contact that the merge is based on; CONFLICT if it has changed since.",
        ),
        field(
            "take",
            FieldNames(&CONTACT),
            "Fields for which the duplicate's value is used, if it has one; naming part of the postal address selects the whole address.",
        ),
    ],
};

pub(in crate::registry) static ADD_CONTACT_POINT: InputType = InputType {
    name: "AddContactPointInput",
    doc: "A further contact point: an e-mail address, a phone number or a postal address, according to `kind`.",
    object: Some((&CONTACT_POINT, Create)),
    fields: &[
        field("contactId", Id, "The contact.").required(),
        field("kind", Enum(&CONTACT_POINT_KIND), "What kind.")
            .required()
            .requires_right(Create, "ContactPoint.kind"),
    ],
};

pub(in crate::registry) static REMOVE_CONTACT_POINT: InputType = InputType {
    name: "RemoveContactPointInput",
    doc: "A contact point to remove.",
    object: None,
    fields: &[field("contactPointId", Id, "The contact point.")
        .required()
        .requires_right(Update, "Contact.contactPoints")],
};

pub(in crate::registry) static RESTRICT_CONTACT: InputType = InputType {
    name: "RestrictContactInput",
    doc: "A restriction of processing (Art. 18(1)); from then on only purposes allowed under restriction see the contact.",
    object: None,
    fields: &[
        field("contactId", Id, "Which contact.").required().deprecated_name("id"),
        field("limb", Enum(&RESTRICTION_LIMB), "Point of Art. 18(1) on which it is based.")
            .required()
            .requires_right(Create, "Restriction.limb"),
        field("reason", Text(Validator::Line), "Why.")
            .required()
            .requires_right(Create, "Restriction.reason"),
        field("plannedUntil", Time, "When it is to be reviewed; it does not end automatically.")
            .deprecated_name("until")
            .requires_right(Create, "Restriction.plannedUntil"),
    ],
};

pub(in crate::registry) static LIFT_RESTRICTION: InputType = InputType {
    name: "LiftRestrictionInput",
    doc: "The end of all restrictions of a contact, after the person was informed (Art. 18(3)).",
    object: None,
    fields: &[
        field("contactId", Id, "Which contact.")
            .required()
            .deprecated_name("id")
            .requires_right(Update, "Restriction.liftedAt"),
        field("informedAt", Time, "When the person was informed.")
            .required()
            .requires_right(Update, "Restriction.informedAt"),
    ],
};
