//! Events and texts of consents, recorded grounds, objections and blocks. Room: registry.

use super::{
    ObjectType, RowRule,
    enums::{BLOCK_KIND, CHANNEL, CONSENT_EVENT_KIND},
    field::{choice, created_at, id, text, time, to_one},
    kinds::DataCategory::*,
    purpose::PURPOSE,
};

/// One declaration or change of a consent.
pub static CONSENT_EVENT: ObjectType = ObjectType {
    name: "ConsentEvent",
    doc: "One event of a consent; events are only ever appended.",
    table: "consent_event",
    key: "id",
    rows: RowRule::OfConsent,
    plural: None,
    fields: &[
        id(),
        choice("kind", Consent, "kind", &CONSENT_EVENT_KIND, "What happened.").required(),
        time("declaredAt", Consent, "declared_at", "When the person declared it."),
        time("recordedAt", Consent, "recorded_at", "When it was recorded here."),
        text("source", Consent, "source", "Where it was declared."),
        text("actor", Consent, "actor", "Actor who recorded it."),
        text("proof", Consent, "proof", "Kind of proof, e.g. double_opt_in."),
        to_one("text", &CONSENT_TEXT, "consent_text_id", "The text that the person agreed to."),
        time("expiresAt", Consent, "expires_at", "When the consent given by this declaration expires."),
        time("reviewDueAt", Consent, "review_due_at", "When it is due for review."),
        text(
            "address",
            Consent,
            "address",
            "The address it was declared for, as it was at the time (BGH I ZR 164/09).",
        ),
        text(
            "evidence",
            Consent,
            "evidence",
            "Reference to the proof: the confirmed mail, or the number of a document or recording.",
        ),
    ],
    unexposed_columns: &[("consent_id", "the consent it belongs to; readable from the consent")],
};

/// A published consent text.
pub static CONSENT_TEXT: ObjectType = ObjectType {
    name: "ConsentText",
    doc: "A published consent text: one purpose, language and version; immutable.",
    table: "consent_text",
    key: "id",
    rows: RowRule::Everyone,
    plural: None,
    fields: &[
        id(),
        to_one("purpose", &PURPOSE, "purpose_code", "The purpose it concerns."),
        text("language", Technical, "language", "Language (BCP 47)."),
        text("version", Technical, "version", "Version."),
        text("text", Technical, "text", "The text in full."),
        text("sha256", Technical, "sha256", "SHA-256 of the text, hexadecimal."),
        time("publishedAt", Technical, "published_at", "When it was published."),
        text(
            "renewWithin",
            Technical,
            "renew_within",
            "How long consents to earlier versions remain valid, ISO 8601; null for no limit.",
        ),
    ],
    unexposed_columns: &[],
};

/// A recorded fact that makes a purpose lawful for a contact.
pub static GROUND: ObjectType = ObjectType {
    name: "Ground",
    doc: "A recorded fact that makes a purpose lawful for one contact (Art. 6(1)).",
    table: "ground",
    key: "id",
    rows: RowRule::OfContactAndPurpose,
    plural: None,
    fields: &[
        id(),
        to_one("purpose", &PURPOSE, "purpose_code", "The purpose it makes lawful."),
        text("reference", Ground, "reference", "Contract number, duty or balancing test."),
        time("since", Ground, "since", "When it takes effect."),
        time("until", Ground, "until", "When it expires; null if open-ended."),
        text("recordedBy", Ground, "recorded_by", "Actor who recorded it."),
        created_at(),
    ],
    unexposed_columns: &[("contact_id", "the contact it belongs to; readable from the contact")],
};

/// An objection of a contact.
pub static OBJECTION: ObjectType = ObjectType {
    name: "Objection",
    doc: "An objection to a purpose or a group of purposes (Art. 21).",
    table: "objection",
    key: "id",
    rows: RowRule::Objection,
    plural: None,
    fields: &[
        id(),
        to_one("purpose", &PURPOSE, "purpose_code", "The purpose or group objected to."),
        time("objectedAt", Objection, "objected_at", "When the person objected."),
        time("endedAt", Objection, "ended_at", "When the objection ended."),
        choice("channel", Objection, "channel", &CHANNEL, "The channel it concerns; null for all channels."),
        text("source", Objection, "source", "Where it was declared."),
        created_at(),
    ],
    unexposed_columns: &[
        ("contact_id", "the contact it belongs to; readable from the contact"),
        ("kind", "distinguishes objections from blocks, which have their own type"),
        ("every_channel", "whether no channel was named; follows from `channel`"),
    ],
};

/// A block of an address of a contact.
pub static BLOCK: ObjectType = ObjectType {
    name: "Block",
    doc: "A block on a contact's mailbox, phone number or postal address: no advertising may be sent there, whichever contact the address belongs to. It is not a declaration by this person; only a consent declared after it counts.",
    table: "objection",
    key: "id",
    rows: RowRule::Block,
    plural: None,
    fields: &[
        id(),
        choice("kind", Objection, "kind", &BLOCK_KIND, "Why.").required(),
        to_one("purpose", &PURPOSE, "purpose_code", "The purpose or group that is blocked."),
        choice("channel", Objection, "channel", &CHANNEL, "The channel on which the address is reached."),
        time(
            "since",
            Objection,
            "objected_at",
            "When the block takes effect: consents declared until then are not used.",
        ),
        time("endedAt", Objection, "ended_at", "When the person lifted it for this contact."),
        created_at(),
    ],
    unexposed_columns: &[
        ("contact_id", "the contact it applies to; readable from the contact"),
        ("source", "where it was declared must not be disclosed to others"),
        ("every_channel", "whether no channel was named"),
    ],
};
