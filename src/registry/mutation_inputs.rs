//! What mutations take: each input field with what giving it needs. Room: registry.

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
    doc: "Where data comes from (Art. 14(2)(f)); who recorded it and when is taken from the credential.",
    of: None,
    fields: &[
        field("name", Text(Validator::Line), "Name of the source.")
            .required()
            .needs(Create, "Provenance.source"),
        field("collectedAt", Time, "When the source collected it.").needs(Create, "Provenance.collectedAt"),
        field("informedAt", Time, "When the person was informed (Art. 13, 14(3)).")
            .needs(Create, "Provenance.informedAt"),
        field("noticeVersion", Text(Validator::Line), "Version of the privacy notice given.")
            .needs(Create, "Provenance.noticeVersion"),
    ],
};

pub(super) static GROUND_OF_CONTACT: InputType = InputType {
    name: "ContactGroundInput",
    doc: "The fact that makes it lawful to keep the contact (Art. 6(1)).",
    of: None,
    fields: &[
        field("purpose", Purpose, "Code of the purpose.").required().needs(Create, "Ground.purpose"),
        field("reference", Text(Validator::Line), "Contract number, duty or balancing test.")
            .needs(Create, "Ground.reference"),
        field("since", Time, "Since when it holds; since now if absent.").needs(Create, "Ground.since"),
        field("until", Time, "Until when it holds; open if absent.").needs(Create, "Ground.until"),
    ],
};

pub(super) static CREATE_CONTACT: InputType = InputType {
    name: "CreateContactInput",
    doc: "A new contact: values, their source and the ground that makes keeping them lawful.",
    of: Some((&CONTACT, Create)),
    fields: &[
        field("source", Object(&SOURCE), "Where the data comes from.").required(),
        field(
            "ground",
            Object(&GROUND_OF_CONTACT),
            "The ground; needed unless the purpose of the operation holds for every contact.",
        ),
    ],
};

pub(super) static UPDATE_CONTACT: InputType = InputType {
    name: "UpdateContactInput",
    doc: "A change of a contact: what is given is set, what is listed under `clear` is emptied, the rest stays.",
    of: Some((&CONTACT, Update)),
    fields: &[
        field("contactId", Id, "Which contact.").required().was("id"),
        field(
            "expectedVersion",
            Int,
            "The version the change starts from; CONFLICT if it is another by now.",
        )
        .needs(Read, "Contact.version"),
        field("source", Object(&SOURCE), "Where the new values come from; the caller if absent."),
        field("clear", FieldNames(&CONTACT), "Fields to be emptied."),
    ],
};

pub(super) static MERGE_CONTACTS: InputType = InputType {
    name: "MergeContactsInput",
    doc: "Two contacts that turn out to be one person. Gaps are filled from the duplicate; other addresses of it become contact points, its notes are added; of other values those of the contact that stays hold.",
    of: None,
    fields: &[
        field("contactId", Id, "The contact that stays.").required().was("id"),
        field("duplicateId", Id, "The contact that becomes part of it and is gone afterwards.").required(),
        field(
            "expectedVersion",
            Int,
            "The version of the contact that stays which the merge starts from; CONFLICT if it is another by now.",
        ),
        field(
            "take",
            FieldNames(&CONTACT),
            "Fields of which the value of the duplicate holds, where it has one; a part of the postal address stands for all of it.",
        ),
    ],
};

pub(super) static ADD_CONTACT_POINT: InputType = InputType {
    name: "AddContactPointInput",
    doc: "A further contact point: an e-mail address, a phone number or a postal address, as `kind` says.",
    of: Some((&CONTACT_POINT, Create)),
    fields: &[
        field("contactId", Id, "Of which contact.").required(),
        field("kind", Enum(&CONTACT_POINT_KIND), "What kind.").required().needs(Create, "ContactPoint.kind"),
    ],
};

pub(super) static REMOVE_CONTACT_POINT: InputType = InputType {
    name: "RemoveContactPointInput",
    doc: "A contact point that is to go.",
    of: None,
    fields: &[field("contactPointId", Id, "Which contact point.")
        .required()
        .needs(Update, "Contact.contactPoints")],
};

pub(super) static RECORD_GROUND: InputType = InputType {
    name: "RecordGroundInput",
    doc: "A fact that makes a purpose lawful for a contact; needs the right to grant that ground.",
    of: None,
    fields: &[
        field("contactId", Id, "Of which contact.").required(),
        field("purpose", Purpose, "Code of the purpose.").required().needs(Create, "Ground.purpose"),
        field("reference", Text(Validator::Line), "Contract number, duty or balancing test.")
            .needs(Create, "Ground.reference"),
        field("since", Time, "Since when it holds; since now if absent.").needs(Create, "Ground.since"),
        field("until", Time, "Until when it holds; open if absent.").needs(Create, "Ground.until"),
    ],
};

pub(super) static END_GROUND: InputType = InputType {
    name: "EndGroundInput",
    doc: "The end of a ground.",
    of: None,
    fields: &[
        field("groundId", Id, "Which ground.").required().was("id").needs(Update, "Ground.until"),
        field("endedAt", Time, "When it ends; now if absent.").was("at"),
    ],
};

pub(super) static RECORD_OBJECTION: InputType = InputType {
    name: "RecordObjectionInput",
    doc: "An objection (Art. 21) to a purpose or a group of purposes; of one contact by id, or of the person with an address. One to advertising is kept on the suppression list too, which outlives the contact, and blocks every record of the address; under a purpose that sees all, also an address that no contact has.",
    of: None,
    fields: &[
        field("contactId", Id, "Of which contact."),
        field(
            "email",
            Text(Validator::Mailboxes),
            "Of the person with this address; `Name <address>` and several are read.",
        )
        .needs(Read, "Contact.email"),
        field(
            "phone",
            Text(Validator::Numbers),
            "Of the person with this phone number, however it is written.",
        )
        .needs(Read, "Contact.phone"),
        field("purpose", Purpose, "Code of the purpose or group.")
            .required()
            .needs(Create, "Objection.purpose"),
        field("channel", Enum(&CHANNEL), "For which channel; for all if absent.")
            .needs(Create, "Objection.channel"),
        field("declaredAt", Time, "When the person objected; now if absent.")
            .was("at")
            .needs(Create, "Objection.objectedAt"),
        field("source", Text(Validator::Line), "Where it was declared.").needs(Create, "Objection.source"),
    ],
};

pub(super) static END_OBJECTION: InputType = InputType {
    name: "EndObjectionInput",
    doc: "The end of an objection, taken back by the person. The suppression list keeps what it says of declarations until then.",
    of: None,
    fields: &[
        field("objectionId", Id, "Which objection.").required().was("id").needs(Update, "Objection.endedAt"),
        field("endedAt", Time, "When it ended; now if absent.").was("at"),
    ],
};

pub(super) static LIFT_BLOCK: InputType = InputType {
    name: "LiftBlockInput",
    doc: "The end of a block, on one contact alone.",
    of: None,
    fields: &[
        field("blockId", Id, "Which block.").required().was("id").needs(Update, "Block.endedAt"),
        field("endedAt", Time, "When the person wanted it again; now if absent.").was("at"),
    ],
};

pub(super) static RECORD_CONSENT: InputType = InputType {
    name: "RecordConsentInput",
    doc: "A consent that the person declared to a published text (Art. 7(1)).",
    of: None,
    fields: &[
        field("contactId", Id, "Of which contact.").required(),
        field("purpose", Purpose, "Code of the purpose; never a group (Recital 43).")
            .required()
            .needs(Create, "Consent.purpose"),
        field("channel", Enum(&CHANNEL), "For which channel.").required().needs(Create, "Consent.channel"),
        field("textVersion", Word, "Version of the text declared to.")
            .required()
            .needs(Create, "Consent.text"),
        field("language", Word, "Language of the text declared to.").required(),
        field("proof", Word, "Kind of proof, one of those the purpose accepts.")
            .required()
            .needs(Create, "ConsentEvent.proof"),
        field("declaredAt", Time, "When the person declared it.")
            .required()
            .needs(Create, "Consent.declaredAt"),
        field("source", Text(Validator::Line), "Where it was declared.")
            .required()
            .needs(Create, "Consent.source"),
        field(
            "expiresAt",
            Time,
            "When it ends; never later than the purpose's period of validity, which holds if absent.",
        )
        .needs(Create, "Consent.expiresAt"),
        field(
            "evidence",
            Text(Validator::Line),
            "Where the proof is: the number of the paper or the recording.",
        )
        .needs(Create, "ConsentEvent.evidence"),
    ],
};

pub(super) static REQUEST_CONSENT: InputType = InputType {
    name: "RequestConsentInput",
    doc: "A consent by e-mail that the person signed up for and is to confirm; of one contact by id, or of whoever has an e-mail address.",
    of: None,
    fields: &[
        field("contactId", Id, "Of which contact.").needs(Create, "ConsentEvent.declaredAt"),
        field(
            "email",
            Text(Validator::Email),
            "Of whoever has this address; nothing tells whether anybody has.",
        )
        .needs(Create, "Contact.email"),
        field("givenName", Text(Validator::Line), "Given name, with an address.")
            .needs(Create, "Contact.givenName"),
        field("familyName", Text(Validator::Line), "Family name, with an address.")
            .needs(Create, "Contact.familyName"),
        field("purpose", Purpose, "Code of the purpose; never a group (Recital 43).")
            .required()
            .needs(Create, "Consent.purpose"),
        field("language", Word, "Language of the text and of the mail.").required(),
        field("textVersion", Word, "Version of the text the person saw; the current one if absent.")
            .needs(Create, "Consent.text"),
        field("form", Text(Validator::Line), "The form the person signed up by: what proves that it did.")
            .required()
            .needs(Create, "Consent.source"),
        field("declaredAt", Time, "When the person signed up.")
            .required()
            .was("signedUpAt")
            .needs(Create, "Consent.declaredAt"),
        field("noticeVersion", Text(Validator::Line), "Version of the privacy notice shown."),
    ],
};

pub(super) static RENEW_CONSENT: InputType = InputType {
    name: "RenewConsentInput",
    doc: "A consent that the person declared anew, with its evidence; one that was withdrawn or refused is recorded anew instead.",
    of: None,
    fields: &[
        field("consentId", Id, "Which consent.").required().was("id").needs(Update, "Consent.expiresAt"),
        field("textVersion", Word, "Version of the text declared to.")
            .required()
            .needs(Create, "Consent.text"),
        field("language", Word, "Language of the text declared to.").required(),
        field("proof", Word, "Kind of proof, one of those the purpose accepts.")
            .required()
            .needs(Create, "ConsentEvent.proof"),
        field("declaredAt", Time, "When the person declared it.")
            .required()
            .needs(Create, "Consent.declaredAt"),
        field("source", Text(Validator::Line), "Where it was declared.")
            .required()
            .needs(Create, "Consent.source"),
        field(
            "expiresAt",
            Time,
            "When it ends; never later than the purpose's period of validity, which holds if absent.",
        )
        .needs(Create, "Consent.expiresAt"),
        field(
            "evidence",
            Text(Validator::Line),
            "Where the proof is: the number of the paper or the recording.",
        )
        .needs(Create, "ConsentEvent.evidence"),
    ],
};

pub(super) static WITHDRAW_CONSENT: InputType = InputType {
    name: "WithdrawConsentInput",
    doc: "A withdrawal (Art. 7(3)): of one consent by id, or of a contact, or of the person with an address, for a purpose or group, on one channel or all. The addresses are kept on the suppression list and blocked on every record; under a purpose that sees all, also an address that no contact has.",
    of: None,
    fields: &[
        field("consentId", Id, "Which consent.").was("id").needs(Update, "Consent.withdrawnAt"),
        field("contactId", Id, "Of which contact.").needs(Update, "Consent.withdrawnAt"),
        field(
            "email",
            Text(Validator::Mailboxes),
            "Of the person with this address; `Name <address>` and several are read.",
        )
        .needs(Read, "Contact.email"),
        field(
            "phone",
            Text(Validator::Numbers),
            "Of the person with this phone number, however it is written.",
        )
        .needs(Read, "Contact.phone"),
        // What is not named by id is named with its purpose, so that this is the right to withdraw by an address too.
        field("purpose", Purpose, "Code of the purpose or group.").needs(Update, "Consent.withdrawnAt"),
        field("channel", Enum(&CHANNEL), "On which channel; on all if absent."),
        field("declaredAt", Time, "When the person withdrew; now if absent.").was("at"),
        field("source", Text(Validator::Line), "Where it was declared."),
    ],
};

pub(super) static OPEN_REQUEST: InputType = InputType {
    name: "OpenRequestInput",
    doc: "A data-subject request that came in; its period runs from the receipt (Art. 12(3)).",
    of: None,
    fields: &[
        field("contactId", Id, "Of which contact.").required().needs(Create, "PrivacyRequest.contact"),
        field("kind", Enum(&REQUEST_KIND), "Which right is used.")
            .required()
            .needs(Create, "PrivacyRequest.kind"),
        field("receivedAt", Time, "When it was received; now if absent.")
            .needs(Create, "PrivacyRequest.receivedAt"),
        field("purpose", Purpose, "The purpose it is about, where it is about one.")
            .needs(Create, "PrivacyRequest.purpose"),
        field("note", Text(Validator::Lines), "What is to be noted.").needs(Create, "PrivacyRequest.note"),
    ],
};

pub(super) static CANCEL_REQUEST: InputType = InputType {
    name: "CancelRequestInput",
    doc: "A request that the person takes back.",
    of: None,
    fields: &[
        field("privacyRequestId", Id, "Which request.")
            .required()
            .was("id")
            .needs(Update, "PrivacyRequest.status"),
        field("reason", Text(Validator::Line), "Why.").needs(Update, "PrivacyRequest.reason"),
    ],
};

pub(super) static RESTRICT_CONTACT: InputType = InputType {
    name: "RestrictContactInput",
    doc: "A restriction of processing (Art. 18(1)); from then on only purposes that are allowed then see the contact.",
    of: None,
    fields: &[
        field("contactId", Id, "Which contact.").required().was("id"),
        field("limb", Enum(&RESTRICTION_LIMB), "Point of Art. 18(1) it rests on.")
            .required()
            .needs(Create, "Restriction.limb"),
        field("reason", Text(Validator::Line), "Why.").required().needs(Create, "Restriction.reason"),
        field("plannedUntil", Time, "When it is to be looked at again; it does not end by itself.")
            .was("until")
            .needs(Create, "Restriction.plannedUntil"),
    ],
};

pub(super) static LIFT_RESTRICTION: InputType = InputType {
    name: "LiftRestrictionInput",
    doc: "The end of every restriction of a contact, after the person was told (Art. 18(3)).",
    of: None,
    fields: &[
        field("contactId", Id, "Which contact.").required().was("id").needs(Update, "Restriction.liftedAt"),
        field("informedAt", Time, "When the person was told.")
            .required()
            .needs(Update, "Restriction.informedAt"),
    ],
};

pub(super) static CREATE_RECIPIENT: InputType = InputType {
    name: "CreateRecipientInput",
    doc: "Somebody to whom personal data will be disclosed (Art. 4(9)).",
    of: None,
    fields: &[
        field("name", Text(Validator::Line), "Name.").required().needs(Create, "Recipient.name"),
        field("kind", Enum(&RECIPIENT_KIND), "Role in the processing.")
            .required()
            .needs(Create, "Recipient.kind"),
        field("country", Text(Validator::Line), "Country of establishment.")
            .needs(Create, "Recipient.country"),
        field(
            "transferMechanism",
            Text(Validator::Line),
            "Basis of a transfer to a third country (Art. 44 ff.).",
        )
        .needs(Create, "Recipient.transferMechanism"),
        field("contractUntil", Text(Validator::Date), "Until when the contract runs, ISO 8601.")
            .needs(Create, "Recipient.contractUntil"),
    ],
};

pub(super) static ACKNOWLEDGE_STOPS: InputType = InputType {
    name: "AcknowledgeStopsInput",
    doc: "What a recipient did of what it was told to stop.",
    of: None,
    fields: &[
        field("recipientId", Id, "Which recipient.").required().needs(Update, "Stop.acknowledgedAt"),
        field("batchId", Id, "The batch, as each line of the stop file names it.")
            .required()
            .was("batch")
            .needs(Update, "Stop.acknowledgedAt"),
    ],
};

pub(super) static CREATE_ACCESS_TOKEN: InputType = InputType {
    name: "CreateAccessTokenInput",
    doc: "A new credential; for roles and purposes that the caller may grant, never for longer or wider than its own.",
    of: None,
    fields: &[
        field("name", Text(Validator::Line), "Name, for those who manage tokens.")
            .required()
            .needs(Create, "AccessToken.name"),
        field("roles", Words, "Roles.").required().needs(Create, "AccessToken.roles"),
        field("purposes", Words, "Codes of purposes, no groups.")
            .required()
            .needs(Create, "AccessToken.purposes"),
        field("fields", Words, "Coordinates it is narrowed to; no narrowing if absent.")
            .needs(Create, "AccessToken.fields"),
        field(
            "expiresAt",
            Time,
            "When it ends, at most 366 days from now; in 90 days if absent, and not after the credential that makes it.",
        )
        .needs(Create, "AccessToken.expiresAt"),
        field("recipientId", Id, "The recipient that uses it.").needs(Create, "AccessToken.recipient"),
    ],
};

pub(super) static REVOKE_ACCESS_TOKEN: InputType = InputType {
    name: "RevokeAccessTokenInput",
    doc: "The end of a credential.",
    of: None,
    fields: &[field("accessTokenId", Id, "Which token.").required().needs(Update, "AccessToken.revokedAt")],
};
