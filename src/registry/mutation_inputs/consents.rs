//! Inputs of mutations about consents. Room: registry/mutation_inputs.

use super::{BY_EMAIL, BY_PHONE, field};
use crate::{
    policy::Action::{Create, Update},
    registry::{
        Validator,
        enums::CHANNEL,
        inputs::{
            InputField,
            InputKind::{Enum, Id, Purpose, Text, Time, Word},
            InputType,
        },
    },
};

/// What a person agreed to, and the evidence of it.
const TEXT_VERSION: InputField = field("textVersion", Word, "Version of the text that the person agreed to.")
    .required()
    .requires_right(Create, "Consent.text");
const LANGUAGE: InputField =
    field("language", Word, "Language of the text that the person agreed to.").required();
const PROOF: InputField = field("proof", Word, "Kind of proof; one that the purpose accepts.")
    .required()
    .requires_right(Create, "ConsentEvent.proof");
const DECLARED_AT: InputField = field("declaredAt", Time, "When the person declared it.")
    .required()
    .requires_right(Create, "Consent.declaredAt");
const SOURCE: InputField = field("source", Text(Validator::Line), "Where it was declared.")
    .required()
    .requires_right(Create, "Consent.source");
const EXPIRES_AT: InputField = field(
    "expiresAt",
    Time,
    "When it expires; at most the purpose's validity period, which applies if absent.",
)
.requires_right(Create, "Consent.expiresAt");
const EVIDENCE: InputField = field(
    "evidence",
    Text(Validator::Line),
    "Reference to the proof: the number of the document or recording.",
)
.requires_right(Create, "ConsentEvent.evidence");

pub(in crate::registry) static RECORD_CONSENT: InputType = InputType {
    name: "RecordConsentInput",
    doc: "A consent that the person gave to a published text (Art. 7(1)).",
    object: None,
    fields: &[
        field("contactId", Id, "The contact.").required(),
        field("purpose", Purpose, "Code of the purpose; never a group (Recital 43).")
            .required()
            .requires_right(Create, "Consent.purpose"),
        field("channel", Enum(&CHANNEL), "The channel.").required().requires_right(Create, "Consent.channel"),
        TEXT_VERSION,
        LANGUAGE,
        PROOF,
        DECLARED_AT,
        SOURCE,
        EXPIRES_AT,
        EVIDENCE,
    ],
};

pub(in crate::registry) static REQUEST_CONSENT: InputType = InputType {
    name: "RequestConsentInput",
    doc: "A consent for e-mail that the person signed up for and has yet to confirm, for a contact by id or for the owner of an e-mail address.",
    object: None,
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

pub(in crate::registry) static RENEW_CONSENT: InputType = InputType {
    name: "RenewConsentInput",
    doc: "A consent that the person renewed, with its evidence; for one that was withdrawn or refused, record a new consent instead.",
    object: None,
    fields: &[
        field("consentId", Id, "Which consent.")
            .required()
            .deprecated_name("id")
            .requires_right(Update, "Consent.expiresAt"),
        TEXT_VERSION,
        LANGUAGE,
        PROOF,
        DECLARED_AT,
        SOURCE,
        EXPIRES_AT,
        EVIDENCE,
    ],
};

pub(in crate::registry) static WITHDRAW_CONSENT: InputType = InputType {
    name: "WithdrawConsentInput",
    doc: "A withdrawal (Art. 7(3)): of one consent by id, or by a contact or the person with an address for a purpose or group, on one channel or all. The addresses are kept on the suppression list and blocked on every contact. Under a purpose that sees all it is accepted for an address that no contact has.",
    object: None,
    fields: &[
        field("consentId", Id, "Which consent.")
            .deprecated_name("id")
            .requires_right(Update, "Consent.withdrawnAt"),
        field("contactId", Id, "The contact.").requires_right(Update, "Consent.withdrawnAt"),
        BY_EMAIL,
        BY_PHONE,
        // A consent not named by its id is named by its purpose, so this is also the right to withdraw by address.
        field("purpose", Purpose, "Code of the purpose or group.")
            .requires_right(Update, "Consent.withdrawnAt"),
        field("channel", Enum(&CHANNEL), "The channel; all channels if absent."),
        field("declaredAt", Time, "When the person withdrew; now if absent.").deprecated_name("at"),
        field("source", Text(Validator::Line), "Where it was declared."),
    ],
};
