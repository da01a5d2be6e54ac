//! Mutation inputs: each field with the right that it needs. Room: registry.

use super::inputs::{
    InputField,
    InputKind::{self, Enum, FieldNames, Id, Int, Object, Purpose, Text, Time, Word, Words},
    InputType,
};
use super::{
    CONTACT, CONTACT_POINT, Validator,
    enums::{CHANNEL, CONTACT_POINT_KIND, RECIPIENT_KIND, REQUEST_KIND, RESTRICTION_LIMB},
};
use crate::policy::Action::{Create, Read, Update};

const fn field(name: &'static str, kind: InputKind, doc: &'static str) -> InputField {
    InputField::new(name, kind, doc)
}

pub(super) static SOURCE: InputType = InputType {
    name: "SourceInput",
    doc: "Source of the data (Art. 14(2)(f)). The recording actor is taken from the credential, the time from the server.",
    of: None,
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

pub(super) static GROUND_OF_CONTACT: InputType = InputType {
    name: "ContactGroundInput",
    doc: "The fact that makes storing the contact lawful (Art. 6(1)).",
    of: None,
    fields: &[
        field("purpose", Purpose, "Code of the purpose.").required().requires_right(Create, "Ground.purpose"),
        field("reference", Text(Validator::Line), "Contract number, duty or balancing test.")
            .requires_right(Create, "Ground.reference"),
        field("since", Time, "When it takes effect; now if absent.").requires_right(Create, "Ground.since"),
        field("until", Time, "When it expires; open-ended if absent.").requires_right(Create, "Ground.until"),
    ],
};

pub(super) static CREATE_CONTACT: InputType = InputType {
    name: "CreateContactInput",
    doc: "A new contact: values, their source and the ground that makes storing them lawful.",
    of: Some((&CONTACT, Create)),
    fields: &[
        field("source", Object(&SOURCE), "Where the data comes from.").required(),
        field(
            "ground",
            Object(&GROUND_OF_CONTACT),
            "The ground; required unless the purpose of the operation applies to every contact.",
        ),
    ],
};

pub(super) static UPDATE_CONTACT: InputType = InputType {
    name: "UpdateContactInput",
    doc: "A change to a contact: given fields are set, fields listed in `clear` are emptied, all others stay.",
    of: Some((&CONTACT, Update)),
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

pub(super) static MERGE_CONTACTS: InputType = InputType {
    name: "MergeContactsInput",
    doc: "Two contacts that are the same person. Empty fields are filled from the duplicate, its other addresses become contact points, and its notes are appended. For all other fields the value of the remaining contact is kept.",
    of: None,
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

pub(super) static ADD_CONTACT_POINT: InputType = InputType {
    name: "AddContactPointInput",
    doc: "A further contact point: an e-mail address, a phone number or a postal address, according to `kind`.",
    of: Some((&CONTACT_POINT, Create)),
    fields: &[
        field("contactId", Id, "The contact.").required(),
        field("kind", Enum(&CONTACT_POINT_KIND), "What kind.")
            .required()
            .requires_right(Create, "ContactPoint.kind"),
    ],
};

pub(super) static REMOVE_CONTACT_POINT: InputType = InputType {
    name: "RemoveContactPointInput",
    doc: "A contact point to remove.",
    of: None,
    fields: &[field("contactPointId", Id, "The contact point.")
        .required()
        .requires_right(Update, "Contact.contactPoints")],
};

pub(super) static RECORD_GROUND: InputType = InputType {
    name: "RecordGroundInput",
    doc: "A fact that makes a purpose lawful for a contact; requires the right to grant that ground.",
    of: None,
    fields: &[
        field("contactId", Id, "The contact.").required(),
        field("purpose", Purpose, "Code of the purpose.").required().requires_right(Create, "Ground.purpose"),
        field("reference", Text(Validator::Line), "Contract number, duty or balancing test.")
            .requires_right(Create, "Ground.reference"),
        field("since", Time, "When it takes effect; now if absent.").requires_right(Create, "Ground.since"),
        field("until", Time, "When it expires; open-ended if absent.").requires_right(Create, "Ground.until"),
    ],
};

pub(super) static END_GROUND: InputType = InputType {
    name: "EndGroundInput",
    doc: "The end of a ground.",
    of: None,
    fields: &[
        field("groundId", Id, "Which ground.")
            .required()
            .deprecated_name("id")
            .requires_right(Update, "Ground.until"),
        field("endedAt", Time, "When it ends; now if absent.").deprecated_name("at"),
    ],
};

pub(super) static RECORD_OBJECTION: InputType = InputType {
    name: "RecordObjectionInput",
    doc: "An objection (Art. 21) to a purpose or a group of purposes, by a contact id or by the person with an address. An objection to advertising is also kept on the suppression list, which outlives the contact, and blocks every contact with the address. Under a purpose that sees all it is accepted for an address that no contact has.",
    of: None,
    fields: &[
        field("contactId", Id, "The contact."),
        field(
            "email",
            Text(Validator::Mailboxes),
            "By the person with this e-mail address; `Name <address>` and several addresses are accepted.",
        )
        .requires_right(Read, "Contact.email"),
        field("phone", Text(Validator::Numbers), "By the person with this phone number, in any notation.")
            .requires_right(Read, "Contact.phone"),
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

pub(super) static END_OBJECTION: InputType = InputType {
    name: "EndObjectionInput",
    doc: "The end of an objection that the person takes back. The suppression list still applies to declarations made before.",
    of: None,
    fields: &[
        field("objectionId", Id, "Which objection.")
            .required()
            .deprecated_name("id")
            .requires_right(Update, "Objection.endedAt"),
        field("endedAt", Time, "When it ended; now if absent.").deprecated_name("at"),
    ],
};

pub(super) static LIFT_BLOCK: InputType = InputType {
    name: "LiftBlockInput",
    doc: "The end of a block, for one contact only.",
    of: None,
    fields: &[
        field("blockId", Id, "Which block.")
            .required()
            .deprecated_name("id")
            .requires_right(Update, "Block.endedAt"),
        field("endedAt", Time, "When the person agreed to advertising again; now if absent.")
            .deprecated_name("at"),
    ],
};

pub(super) static RECORD_CONSENT: InputType = InputType {
    name: "RecordConsentInput",
    doc: "A consent that the person gave to a published text (Art. 7(1)).",
    of: None,
    fields: &[
        field("contactId", Id, "The contact.").required(),
        field("purpose", Purpose, "Code of the purpose; never a group (Recital 43).")
            .required()
            .requires_right(Create, "Consent.purpose"),
        field("channel", Enum(&CHANNEL), "The channel.").required().requires_right(Create, "Consent.channel"),
        field("textVersion", Word, "Version of the text that the person agreed to.")
            .required()
            .requires_right(Create, "Consent.text"),
        field("language", Word, "Language of the text that the person agreed to.").required(),
        field("proof", Word, "Kind of proof; one that the purpose accepts.")
            .required()
            .requires_right(Create, "ConsentEvent.proof"),
        field("declaredAt", Time, "When the person declared it.")
            .required()
            .requires_right(Create, "Consent.declaredAt"),
        field("source", Text(Validator::Line), "Where it was declared.")
            .required()
            .requires_right(Create, "Consent.source"),
        field(
            "expiresAt",
            Time,
            "When it expires; at most the purpose's validity period, which applies if absent.",
        )
        .requires_right(Create, "Consent.expiresAt"),
        field(
            "evidence",
            Text(Validator::Line),
            "Reference to the proof: the number of the document or recording.",
        )
        .requires_right(Create, "ConsentEvent.evidence"),
    ],
};

pub(super) static REQUEST_CONSENT: InputType = InputType {
    name: "RequestConsentInput",
    doc: "A consent for e-mail that the person signed up for and has yet to confirm, for a contact by id or for the owner of an e-mail address.",
    of: None,
    fields: &[
        field("contactId", Id, "The contact.").requires_right(Create, "ConsentEvent.declaredAt"),
        field(
            "email",
            Text(Validator::Email),
            "For the owner of this address; the response does not reveal whether a contact has it.",
        )
        .requires_right(Create, "Contact.email"),
        field("givenName", Text(Validator::Line), "Given name, only with `email`.")
            .requires_right(Create, "Contact.givenName"),
        field("familyName", Text(Validator::Line), "Family name, only with `email`.")
            .requires_right(Create, "Contact.familyName"),
        field("purpose", Purpose, "Code of the purpose; never a group (Recital 43).")
            .required()
            .requires_right(Create, "Consent.purpose"),
        field("language", Word, "Language of the text and of the mail.").required(),
        field("textVersion", Word, "Version of the text the person saw; the current one if absent.")
            .requires_right(Create, "Consent.text"),
        field("form", Text(Validator::Line), "The form used to sign up, as proof of the sign-up.")
            .required()
            .requires_right(Create, "Consent.source"),
        field("declaredAt", Time, "When the person signed up.")
            .required()
            .deprecated_name("signedUpAt")
            .requires_right(Create, "Consent.declaredAt"),
        field("noticeVersion", Text(Validator::Line), "Version of the privacy notice shown."),
    ],
};

pub(super) static RENEW_CONSENT: InputType = InputType {
    name: "RenewConsentInput",
    doc: "A consent that the person renewed, with its evidence; for one that was withdrawn or refused, record a new consent instead.",
    of: None,
    fields: &[
        field("consentId", Id, "Which consent.")
            .required()
            .deprecated_name("id")
            .requires_right(Update, "Consent.expiresAt"),
        field("textVersion", Word, "Version of the text that the person agreed to.")
            .required()
            .requires_right(Create, "Consent.text"),
        field("language", Word, "Language of the text that the person agreed to.").required(),
        field("proof", Word, "Kind of proof; one that the purpose accepts.")
            .required()
            .requires_right(Create, "ConsentEvent.proof"),
        field("declaredAt", Time, "When the person declared it.")
            .required()
            .requires_right(Create, "Consent.declaredAt"),
        field("source", Text(Validator::Line), "Where it was declared.")
            .required()
            .requires_right(Create, "Consent.source"),
        field(
            "expiresAt",
            Time,
            "When it expires; at most the purpose's validity period, which applies if absent.",
        )
        .requires_right(Create, "Consent.expiresAt"),
        field(
            "evidence",
            Text(Validator::Line),
            "Reference to the proof: the number of the document or recording.",
        )
        .requires_right(Create, "ConsentEvent.evidence"),
    ],
};

pub(super) static WITHDRAW_CONSENT: InputType = InputType {
    name: "WithdrawConsentInput",
    doc: "A withdrawal (Art. 7(3)): of one consent by id, or by a contact or the person with an address for a purpose or group, on one channel or all. The addresses are kept on the suppression list and blocked on every contact. Under a purpose that sees all it is accepted for an address that no contact has.",
    of: None,
    fields: &[
        field("consentId", Id, "Which consent.")
            .deprecated_name("id")
            .requires_right(Update, "Consent.withdrawnAt"),
        field("contactId", Id, "The contact.").requires_right(Update, "Consent.withdrawnAt"),
        field(
            "email",
            Text(Validator::Mailboxes),
            "By the person with this e-mail address; `Name <address>` and several addresses are accepted.",
        )
        .requires_right(Read, "Contact.email"),
        field("phone", Text(Validator::Numbers), "By the person with this phone number, in any notation.")
            .requires_right(Read, "Contact.phone"),
        // A consent not named by its id is named by its purpose, so this is also the right to withdraw by address.
        field("purpose", Purpose, "Code of the purpose or group.")
            .requires_right(Update, "Consent.withdrawnAt"),
        field("channel", Enum(&CHANNEL), "The channel; all channels if absent."),
        field("declaredAt", Time, "When the person withdrew; now if absent.").deprecated_name("at"),
        field("source", Text(Validator::Line), "Where it was declared."),
    ],
};

pub(super) static OPEN_REQUEST: InputType = InputType {
    name: "OpenRequestInput",
    doc: "A data-subject request that was received; its deadline is counted from receipt (Art. 12(3)).",
    of: None,
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

pub(super) static CANCEL_REQUEST: InputType = InputType {
    name: "CancelRequestInput",
    doc: "A request that the person takes back.",
    of: None,
    fields: &[
        field("privacyRequestId", Id, "Which request.")
            .required()
            .deprecated_name("id")
            .requires_right(Update, "PrivacyRequest.status"),
        field("reason", Text(Validator::Line), "Why.").requires_right(Update, "PrivacyRequest.reason"),
    ],
};

pub(super) static RESTRICT_CONTACT: InputType = InputType {
    name: "RestrictContactInput",
    doc: "A restriction of processing (Art. 18(1)); from then on only purposes allowed under restriction see the contact.",
    of: None,
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

pub(super) static LIFT_RESTRICTION: InputType = InputType {
    name: "LiftRestrictionInput",
    doc: "The end of all restrictions of a contact, after the person was informed (Art. 18(3)).",
    of: None,
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

pub(super) static CREATE_RECIPIENT: InputType = InputType {
    name: "CreateRecipientInput",
    doc: "A recipient to whom personal data will be disclosed (Art. 4(9)).",
    of: None,
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

pub(super) static ACKNOWLEDGE_STOPS: InputType = InputType {
    name: "AcknowledgeStopsInput",
    doc: "The acknowledgement of stop duties by a recipient.",
    of: None,
    fields: &[
        field("recipientId", Id, "Which recipient.").required().requires_right(Update, "Stop.acknowledgedAt"),
        field("batchId", Id, "The batch, as given on each line of the stop file.")
            .required()
            .deprecated_name("batch")
            .requires_right(Update, "Stop.acknowledgedAt"),
    ],
};

pub(super) static CREATE_ACCESS_TOKEN: InputType = InputType {
    name: "CreateAccessTokenInput",
    doc: "A new credential for roles and purposes that the caller may grant; it can neither outlive nor exceed the caller's own.",
    of: None,
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

pub(super) static REVOKE_ACCESS_TOKEN: InputType = InputType {
    name: "RevokeAccessTokenInput",
    doc: "The end of a credential.",
    of: None,
    fields: &[field("accessTokenId", Id, "Which token.")
        .required()
        .requires_right(Update, "AccessToken.revokedAt")],
};
