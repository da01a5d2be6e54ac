//! Parts of a person's record: further contact points, sources, restrictions. Room: registry.

use super::{
    ObjectType, RowRule, Validator,
    enums::{CONTACT_POINT_KIND, RESTRICTION_LIMB},
    field::{choice, created_at, id, list, text, time},
    kinds::{DataCategory::*, Mask, RequiredChannel},
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
        choice("kind", Technical, "kind", &CONTACT_POINT_KIND, "Kind of contact point.").required(),
        text("label", Technical, "label", "What it is used for, e.g. work.").writable(Validator::Line),
        text("email", Email, "email", "The e-mail address.")
            .masked(Mask::Email)
            .requires_channel(RequiredChannel::Email)
            .writable(Validator::Email),
        text("phone", Phone, "phone", "The phone number.")
            .requires_channel(RequiredChannel::Phone)
            .writable(Validator::Phone),
        text("street", Postal, "street", "Street and house number.")
            .requires_channel(RequiredChannel::Post)
            .writable(Validator::Line),
        text("postalCode", Postal, "postal_code", "Postal code.")
            .requires_channel(RequiredChannel::Post)
            .writable(Validator::Line),
        text("city", Postal, "city", "City.").masked(Mask::Initial).writable(Validator::Line),
        text("country", Postal, "country", "Country.").writable(Validator::Line),
        created_at(),
    ],
    unexposed_columns: &[
        ("contact_id", "the contact it belongs to; readable from the contact"),
        ("email_folded", "normalised form of email"),
        ("email_key", "key of the mailbox, for consents bound to it"),
        ("phone_folded", "normalised form of phone"),
        ("phone_key", "key of the number, for consents bound to it"),
        ("postal_key", "key of the postal address"),
        ("key_version", "version of the reader that made the keys"),
    ],
};

/// Where the data of a contact comes from.
pub static PROVENANCE: ObjectType = ObjectType {
    name: "Provenance",
    doc: "Source of a contact's data: where it comes from, when and by whom it was recorded.",
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
        list("fields", Provenance, "fields", "Names of the fields it provided."),
        time("informedAt", Provenance, "informed_at", "When the person was informed (Art. 14(3))."),
        text("noticeVersion", Provenance, "notice_version", "Version of the privacy notice provided."),
    ],
    unexposed_columns: &[
        ("contact_id", "the contact it belongs to; readable from the contact"),
        ("import_id", "the import that brought it"),
    ],
};

/// A restriction of the processing of a contact.
pub static RESTRICTION: ObjectType = ObjectType {
    name: "Restriction",
    doc: "A restriction of the processing of a contact (Art. 18); lifted only after the person was informed.",
    table: "restriction",
    key: "id",
    rows: RowRule::OfContact,
    plural: None,
    fields: &[
        id(),
        choice("limb", Restriction, "limb", &RESTRICTION_LIMB, "Point of Art. 18(1) on which it is based.")
            .required(),
        text("reason", Restriction, "reason", "Why."),
        time("restrictedAt", Restriction, "restricted_at", "Since when.").required(),
        time(
            "plannedUntil",
            Restriction,
            "planned_until",
            "When it is to be reviewed; it does not end automatically.",
        ),
        time(
            "informedAt",
            Restriction,
            "informed_at",
            "When the person was informed of the lifting (Art. 18(3)).",
        ),
        time("liftedAt", Restriction, "lifted_at", "When it was lifted."),
        text("recordedBy", Restriction, "recorded_by", "Actor who recorded it."),
        created_at(),
    ],
    unexposed_columns: &[("contact_id", "the contact it belongs to; readable from the contact")],
};
