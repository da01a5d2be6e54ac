//! Contacts, their further contact points and the provenance of their values (floor 1).

use super::field::{
    Category::*, Cover, Mask, Read, choice, computed, connection, created_at, date, folded, id, int, list,
    many, text, time,
};
use super::{
    BLOCK, CONSENT, Check, GROUND, OBJECTION, ObjectType, PRIVACY_REQUEST, RowRule,
    enums::{CONTACT_POINT_KIND, CONTACT_STATE, RESTRICTION_LIMB},
};

/// A natural person whose data is kept.
pub static CONTACT: ObjectType = ObjectType {
    name: "Contact",
    doc: "A natural person whose data is kept (data subject, Art. 4(1) GDPR).",
    table: "contact",
    key: "id",
    rows: RowRule::Contact,
    plural: Some("Contact"),
    fields: &[
        id(),
        folded("givenName", Identity, "given_name", "given_name_folded", "Given name or names.")
            .given(Check::Line)
            .identifying()
            .searched(),
        folded("familyName", Identity, "family_name", "family_name_folded", "Family name.")
            .given(Check::Line)
            .identifying()
            .searched(),
        folded("email", Email, "email", "email_folded", "Primary e-mail address.")
            .masked(Mask::Email)
            .covered_by(Cover::Email)
            .given(Check::Email)
            .identifying()
            .searched(),
        folded("phone", Phone, "phone", "phone_folded", "Primary phone number.")
            .covered_by(Cover::Phone)
            .given(Check::Phone)
            .identifying(),
        date("birthDate", Birth, "birth_date", "Birth date, ISO 8601; the year alone where masked.")
            .masked(Mask::Year)
            .given(Check::BirthDate),
        folded("company", Employment, "company", "company_folded", "Company the person works for.")
            .given(Check::Line)
            .searched(),
        folded("jobTitle", Employment, "job_title", "job_title_folded", "Job title.").given(Check::Line),
        folded("street", Postal, "street", "street_folded", "Street and house number.")
            .covered_by(Cover::Post)
            .given(Check::Line)
            .identifying(),
        folded("postalCode", Postal, "postal_code", "postal_code_folded", "Postal code.")
            .covered_by(Cover::Post)
            .given(Check::Line)
            .identifying(),
        folded("city", Postal, "city", "city_folded", "City; its first letter alone where masked.")
            .masked(Mask::Initial)
            .given(Check::Line)
            .identifying()
            .searched(),
        folded("country", Postal, "country", "country_folded", "Country.").given(Check::Line),
        folded("language", Identity, "language", "language_folded", "Preferred language (BCP 47).")
            .given(Check::Language),
        computed(
            "preferenceUrl",
            Preference,
            Read::Preference { column: "email_key" },
            "Link to the person's own preference page, for mails of the purpose of this operation: whoever has it can withdraw and \
             object. Null without an e-mail address, and where this server has no public pages.",
        )
        .covered_by(Cover::Email),
        text("notes", FreeText, "notes", "Notes written by staff.").given(Check::Lines),
        choice("state", Technical, "state", &CONTACT_STATE, "State of the record.").required().comparable(),
        created_at(),
        time("updatedAt", Technical, "updated_at", "When the record was last changed.").required(),
        time("restrictedAt", Technical, "restricted_at", "Since when processing is restricted (Art. 18)."),
        int("version", Technical, "version", "Version for optimistic locking.").required(),
        many("contactPoints", &CONTACT_POINT, "contact_id", "Further contact points."),
        many("provenance", &PROVENANCE, "contact_id", "Where the data comes from (Art. 14(2)(f))."),
        many("grounds", &GROUND, "contact_id", "Recorded grounds of the purpose of this operation."),
        many(
            "objections",
            &OBJECTION,
            "contact_id",
            "Objections to the purpose of this operation or its group (Art. 21).",
        ),
        many(
            "blocks",
            &BLOCK,
            "contact_id",
            "Blocks of the addresses for the purpose of this operation or its group, whoever declared them.",
        ),
        many("restrictions", &RESTRICTION, "contact_id", "Restrictions of the processing (Art. 18)."),
        connection("consents", &CONSENT, "contact_id", "Consents to the purpose of this operation (Art. 7)."),
        connection("requests", &PRIVACY_REQUEST, "contact_id", "Data-subject requests (Art. 15 to 21)."),
    ],
    unserved: &[
        ("postal_key", "key of the postal address, for consents bound to it"),
        ("family_name_key", "key of the family name, by which letter boxes are told apart"),
        ("email_key", "key of the mailbox, for consents bound to it"),
        ("phone_key", "key of the number, for consents bound to it"),
        ("key_version", "reader that made the keys"),
        ("email_changed_at", "consents declared until then were given for another address"),
        ("phone_changed_at", "consents declared until then were given for another number"),
        ("address_changed_at", "consents declared until then were given for another address"),
    ],
};

/// A further e-mail address, phone number or postal address of a contact.
pub static CONTACT_POINT: ObjectType = ObjectType {
    name: "ContactPoint",
    doc: "A further e-mail address, phone number or postal address of a contact.",
    table: "contact_point",
    key: "id",
    rows: RowRule::OfContact,
    plural: None,
    fields: &[
        id(),
        choice("kind", Technical, "kind", &CONTACT_POINT_KIND, "What kind of contact point.").required(),
        text("label", Technical, "label", "What it is used for, e.g. work.").given(Check::Line),
        text("email", Email, "email", "The e-mail address.")
            .masked(Mask::Email)
            .covered_by(Cover::Email)
            .given(Check::Email),
        text("phone", Phone, "phone", "The phone number.").covered_by(Cover::Phone).given(Check::Phone),
        text("street", Postal, "street", "Street and house number.")
            .covered_by(Cover::Post)
            .given(Check::Line),
        text("postalCode", Postal, "postal_code", "Postal code.").covered_by(Cover::Post).given(Check::Line),
        text("city", Postal, "city", "City.").masked(Mask::Initial).given(Check::Line),
        text("country", Postal, "country", "Country.").given(Check::Line),
        created_at(),
    ],
    unserved: &[
        ("contact_id", "the contact it belongs to, reached from there"),
        ("email_folded", "companion of email"),
        ("email_key", "key of the mailbox, for consents bound to it"),
        ("phone_folded", "companion of phone"),
        ("phone_key", "key of the number, for consents bound to it"),
        ("postal_key", "key of the postal address"),
        ("key_version", "reader that made the keys"),
    ],
};

/// Where the data of a contact comes from.
pub static PROVENANCE: ObjectType = ObjectType {
    name: "Provenance",
    doc: "Where data of a contact comes from: source, when, by whom.",
    table: "provenance",
    key: "id",
    rows: RowRule::OfContact,
    plural: None,
    fields: &[
        id(),
        text("source", Provenance, "source", "Name of the source."),
        text("externalId", Provenance, "external_id", "Id of the person in the source."),
        time("collectedAt", Provenance, "collected_at", "When the source collected it."),
        time("recordedAt", Provenance, "recorded_at", "When it was recorded here."),
        text("recordedBy", Provenance, "recorded_by", "Actor who recorded it."),
        list("fields", Provenance, "fields", "Names of the fields it brought."),
        time("informedAt", Provenance, "informed_at", "When the person was informed (Art. 14(3))."),
        text("noticeVersion", Provenance, "notice_version", "Version of the privacy notice given."),
    ],
    unserved: &[("contact_id", "the contact it belongs to, reached from there")],
};

/// A restriction of the processing of a contact.
pub static RESTRICTION: ObjectType = ObjectType {
    name: "Restriction",
    doc: "A restriction of the processing of a contact (Art. 18); lifted only after the person was told.",
    table: "restriction",
    key: "id",
    rows: RowRule::OfContact,
    plural: None,
    fields: &[
        id(),
        choice("limb", Restriction, "limb", &RESTRICTION_LIMB, "Point of Art. 18(1) it rests on.").required(),
        text("reason", Restriction, "reason", "Why."),
        time("restrictedAt", Restriction, "restricted_at", "Since when.").required(),
        time(
            "plannedUntil",
            Restriction,
            "planned_until",
            "When it is to be looked at again; it does not end by itself.",
        ),
        time(
            "informedAt",
            Restriction,
            "informed_at",
            "When the person was told of the lifting (Art. 18(3)).",
        ),
        time("liftedAt", Restriction, "lifted_at", "When it was lifted."),
        text("recordedBy", Restriction, "recorded_by", "Actor who recorded it."),
        created_at(),
    ],
    unserved: &[("contact_id", "the contact it belongs to, reached from there")],
};
