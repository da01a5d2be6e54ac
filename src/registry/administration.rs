//! Recipients, what they are to be told, and access tokens. Room: registry.

use super::{
    CONTACT, ObjectType, PURPOSE, RowRule,
    enums::{CHANNEL, CONTACT_POINT_KIND, RECIPIENT_KIND},
};
use super::{
    field::{choice, created_at, date, id, list, one, reference, text, time},
    kinds::DataCategory::{Administration, Objection},
};

/// Somebody to whom data is disclosed.
pub static RECIPIENT: ObjectType = ObjectType {
    name: "Recipient",
    doc: "Somebody to whom personal data is disclosed (Art. 4(9)).",
    table: "recipient",
    key: "id",
    rows: RowRule::Everyone,
    plural: None,
    fields: &[
        id(),
        text("name", Administration, "name", "Name."),
        choice("kind", Administration, "kind", &RECIPIENT_KIND, "Role in the processing.").required(),
        text("country", Administration, "country", "Country of establishment."),
        text(
            "transferMechanism",
            Administration,
            "transfer_mechanism",
            "Basis of a transfer to a third country (Art. 44 ff.).",
        ),
        date("contractUntil", Administration, "contract_until", "Until when the contract runs, ISO 8601."),
        created_at(),
    ],
    unexposed_columns: &[],
};

/// What a recipient is to be told to stop.
pub static STOP: ObjectType = ObjectType {
    name: "Stop",
    doc: "A no that a recipient is to be told, since it read for that purpose (Art. 7(3), 19, 21): made with the no, told by a stop file, open until it is acknowledged. It outlives the contact.",
    table: "stop",
    key: "id",
    rows: RowRule::Request,
    plural: Some("Stop"),
    fields: &[
        id(),
        reference("recipientId", Administration, "recipient_id", "Id of who is to be told."),
        one("recipient", &RECIPIENT, "recipient_id", "Who is to be told."),
        reference("contactId", Objection, "contact_id", "Id of the person, also where the contact is gone."),
        one("contact", &CONTACT, "contact_id", "The person, if visible for this purpose."),
        one("purpose", &PURPOSE, "purpose_code", "The purpose that ends, never a group."),
        choice("channel", Objection, "channel", &CHANNEL, "On which channel; on all where it is null.")
            .filterable(),
        choice(
            "addressKind",
            Objection,
            "address_kind",
            &CONTACT_POINT_KIND,
            "Kind of the address that it is about; the whole contact where it is null.",
        ),
        time("since", Objection, "since", "When it was declared.").required(),
        time("madeAt", Objection, "made_at", "When the duty was made, at last.").required(),
        reference("batch", Administration, "batch_id", "The batch in which a stop file told it first.")
            .filterable_as("batchId"),
        time("exportedAt", Administration, "exported_at", "When a stop file told it first."),
        time("acknowledgedAt", Administration, "acknowledged_at", "When the recipient acknowledged it."),
        text("acknowledgedBy", Administration, "acknowledged_by", "Actor who recorded that."),
    ],
    unexposed_columns: &[("address_sha256", "digest of the address, which only the stop file tells")],
};

/// A credential of a partner system or a person.
pub static ACCESS_TOKEN: ObjectType = ObjectType {
    name: "AccessToken",
    doc: "A credential: roles, purposes and fields it is narrowed to. The secret is shown once and never again.",
    table: "access_token",
    key: "id",
    rows: RowRule::Everyone,
    plural: None,
    fields: &[
        id(),
        text("name", Administration, "name", "Name given by its maker."),
        list("roles", Administration, "roles", "Roles."),
        list("purposes", Administration, "purposes", "Codes of permitted purposes."),
        list("fields", Administration, "fields", "Coordinates it is narrowed to; null for no narrowing."),
        one("recipient", &RECIPIENT, "recipient_id", "The recipient that uses it."),
        text("createdBy", Administration, "created_by", "Actor who made it."),
        created_at(),
        time("expiresAt", Administration, "expires_at", "When it ends."),
        time("revokedAt", Administration, "revoked_at", "When it was revoked."),
        time("lastUsedAt", Administration, "last_used_at", "When it was last used."),
    ],
    unexposed_columns: &[
        ("lookup", "public part of the token, used to find it"),
        ("secret_hash", "SHA-256 of the secret; never served"),
    ],
};

/// A recipient that may fetch data for purposes.
pub static ACCESS: ObjectType = ObjectType {
    name: "Access",
    doc: "A recipient that holds a credential by now: to it data of these purposes may be disclosed (Art. 15(1)(c)). Whether any was, it does not tell.",
    table: "access_token",
    key: "id",
    rows: RowRule::Access,
    plural: None,
    fields: &[
        id(),
        one("recipient", &RECIPIENT, "recipient_id", "The recipient."),
        list("purposes", Administration, "purposes", "Codes of the purposes that it may fetch data for."),
        created_at(),
        time("expiresAt", Administration, "expires_at", "When it ends."),
    ],
    unexposed_columns: &[
        ("name", "how its maker calls the credential"),
        ("roles", "what the policy lets it read is the policy's to tell"),
        ("fields", "likewise"),
        ("created_by", "who made it is no business of the persons"),
        ("revoked_at", "one that was revoked is none"),
        ("last_used_at", "a use is no disclosure of a certain person's data"),
        ("lookup", "public part of the token, used to find it"),
        ("secret_hash", "SHA-256 of the secret; never served"),
    ],
};
