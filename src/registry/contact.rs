//! The record of a person, its consents and its requests, which refer to each other. Room: registry.

use super::{
    ObjectType, RowRule, Validator,
    consent::{BLOCK, CONSENT_EVENT, CONSENT_TEXT, GROUND, OBJECTION},
    enums::{CHANNEL, CONSENT_STATUS, CONTACT_STATE, REQUEST_KIND, REQUEST_STATUS},
    field::{
        FieldSource, choice, computed, connection, created_at, date, expiring, folded, id, int, text, time,
        to_many, to_one,
    },
    kinds::{DataCategory::*, Mask, RequiredChannel},
    parts::{CONTACT_POINT, PROVENANCE, RESTRICTION},
    purpose::PURPOSE,
};

/// A natural person whose data is kept.
pub static CONTACT: ObjectType = ObjectType {
    name: "Contact",
    doc: "A natural person whose data is stored (data subject, Art. 4(1) GDPR).",
    table: "contact",
    key: "id",
    rows: RowRule::Contact,
    plural: Some("Contact"),
    fields: &[
        id(),
        folded("givenName", Identity, "given_name", "given_name_folded", "Given name or names.")
            .writable(Validator::Line)
            .identifying()
            .searchable(),
        folded("familyName", Identity, "family_name", "family_name_folded", "Family name.")
            .writable(Validator::Line)
            .identifying()
            .searchable(),
        folded("email", Email, "email", "email_folded", "Primary e-mail address.")
            .masked(Mask::Email)
            .requires_channel(RequiredChannel::Email)
            .writable(Validator::Email)
            .identifying()
            .searchable(),
        folded("phone", Phone, "phone", "phone_folded", "Primary phone number.")
            .requires_channel(RequiredChannel::Phone)
            .writable(Validator::Phone)
            .identifying(),
        date("birthDate", Birth, "birth_date", "Birth date, ISO 8601; masked: the year only.")
            .masked(Mask::Year)
            .writable(Validator::BirthDate),
        folded("company", Employment, "company", "company_folded", "Company the person works for.")
            .writable(Validator::Line)
            .searchable(),
        folded("jobTitle", Employment, "job_title", "job_title_folded", "Job title.").writable(Validator::Line),
        folded("street", Postal, "street", "street_folded", "Street and house number.")
            .requires_channel(RequiredChannel::Post)
            .writable(Validator::Line)
            .identifying(),
        folded("postalCode", Postal, "postal_code", "postal_code_folded", "Postal code.")
            .requires_channel(RequiredChannel::Post)
            .writable(Validator::Line)
            .identifying(),
        folded("city", Postal, "city", "city_folded", "City; masked: its first letter only.")
            .masked(Mask::Initial)
            .writable(Validator::Line)
            .identifying()
            .searchable(),
        folded("country", Postal, "country", "country_folded", "Country.").writable(Validator::Line),
        folded("language", Identity, "language", "language_folded", "Preferred language (BCP 47).")
            .writable(Validator::Language),
        computed(
            "preferenceUrl",
            Preference,
            FieldSource::Preference { column: "email_key" },
            "Link to the person's own preference page, for mails sent for the purpose of this operation: anyone who has it can withdraw and \
             object. Null without an e-mail address, or if this server has no public pages.",
        )
        .requires_channel(RequiredChannel::Email),
        text("notes", FreeText, "notes", "Notes written by staff.").writable(Validator::Lines),
        choice("state", Technical, "state", &CONTACT_STATE, "State of the record.").required().filterable(),
        created_at(),
        time("updatedAt", Technical, "updated_at", "When the record was last changed.").required(),
        time("restrictedAt", Technical, "restricted_at", "When processing was restricted (Art. 18)."),
        int("version", Technical, "version", "Version for optimistic locking.").required(),
        to_many("contactPoints", &CONTACT_POINT, "contact_id", "Further contact points."),
        to_many("provenance", &PROVENANCE, "contact_id", "Where the data comes from (Art. 14(2)(f))."),
        to_many("grounds", &GROUND, "contact_id", "Recorded grounds for the purpose of this operation."),
        to_many(
            "objections",
            &OBJECTION,
            "contact_id",
            "Objections to the purpose of this operation or its group (Art. 21).",
        ),
        to_many(
            "blocks",
            &BLOCK,
            "contact_id",
            "Blocks on the contact's addresses for the purpose of this operation or its group, whoever declared them.",
        ),
        to_many("restrictions", &RESTRICTION, "contact_id", "Restrictions of the processing (Art. 18)."),
        connection("consents", &CONSENT, "contact_id", "Consents to the purpose of this operation (Art. 7)."),
        connection("requests", &PRIVACY_REQUEST, "contact_id", "Data-subject requests (Art. 15 to 21)."),
    ],
    unexposed_columns: &[
        ("postal_key", "key of the postal address, for consents bound to it"),
        ("family_name_key", "key of the family name, which distinguishes people at one postal address"),
        ("email_key", "key of the mailbox, for consents bound to it"),
        ("phone_key", "key of the number, for consents bound to it"),
        ("key_version", "version of the reader that made the keys"),
        ("email_changed_at", "consents declared until then were given for another address"),
        ("phone_changed_at", "consents declared until then were given for another number"),
        ("address_changed_at", "consents declared until then were given for another address"),
    ],
};

/// A consent of a contact to a purpose on a channel.
pub static CONSENT: ObjectType = ObjectType {
    name: "Consent",
    doc: "A consent per contact, purpose and channel; its state is derived from its events (Art. 7).",
    table: "consent",
    key: "id",
    rows: RowRule::OfContactAndPurpose,
    plural: Some("Consent"),
    fields: &[
        id(),
        to_one("contact", &CONTACT, "contact_id", "The person, if visible for this purpose."),
        to_one("purpose", &PURPOSE, "purpose_code", "What it was given for.").filterable(),
        choice("channel", Consent, "channel", &CHANNEL, "Channel it was given for.").required().filterable(),
        expiring(
            "status",
            Consent,
            "status",
            &CONSENT_STATUS,
            "Current state; EXPIRED from the instant it expires.",
        )
        .required()
        .filterable(),
        time("declaredAt", Consent, "declared_at", "When the person last made a declaration."),
        time("grantedAt", Consent, "granted_at", "When it was granted."),
        time("confirmedAt", Consent, "confirmed_at", "When it was confirmed by double opt-in."),
        time("withdrawnAt", Consent, "withdrawn_at", "When it was withdrawn (Art. 7(3))."),
        time("expiresAt", Consent, "expires_at", "When it expires."),
        time("reviewDueAt", Consent, "review_due_at", "When it is due for review."),
        computed(
            "reviewDue",
            Consent,
            FieldSource::ReviewDue,
            "Whether it is in force and due for review: it ends unless the person renews it.",
        )
        .filterable(),
        text("source", Consent, "source", "Where the declaration was made."),
        to_one("text", &CONSENT_TEXT, "consent_text_id", "The text that the person agreed to."),
        to_many("events", &CONSENT_EVENT, "consent_id", "What happened to it, oldest first."),
        created_at(),
        time("updatedAt", Consent, "updated_at", "When the state last changed.").required(),
    ],
    unexposed_columns: &[("bound_address", "folded address the consent was given for")],
};

/// A request of a data subject.
pub static PRIVACY_REQUEST: ObjectType = ObjectType {
    name: "PrivacyRequest",
    doc: "A data-subject request (Art. 15 to 21); it outlives the contact.",
    table: "privacy_request",
    key: "id",
    rows: RowRule::Request,
    plural: Some("Request"),
    fields: &[
        id(),
        to_one("contact", &CONTACT, "contact_id", "The person, if visible for this purpose."),
        to_one("purpose", &PURPOSE, "purpose_code", "The purpose it concerns, if any."),
        choice("kind", Request, "kind", &REQUEST_KIND, "The right that is exercised.")
            .required()
            .filterable(),
        choice("status", Request, "status", &REQUEST_STATUS, "Processing status.").required().filterable(),
        time("receivedAt", Request, "received_at", "When it was received.").required(),
        time("dueAt", Request, "due_at", "Deadline (Art. 12(3)).").required(),
        time("extendedUntil", Request, "extended_until", "Extended deadline."),
        time(
            "identityVerifiedAt",
            Request,
            "identity_verified_at",
            "When the identity was verified (Art. 12(6)).",
        ),
        time("closedAt", Request, "closed_at", "When it was closed."),
        computed("overdue", Request, FieldSource::Overdue, "Whether it is still open after its deadline.")
            .filterable(),
        text("assignee", Request, "assignee", "Who is handling it."),
        text("reason", Request, "reason", "Reason for a refusal or an extension."),
        text("note", Request, "note", "Note made on receipt."),
        created_at(),
    ],
    unexposed_columns: &[],
};
