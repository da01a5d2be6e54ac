//! Recipients, their stop duties, and access tokens. Room: registry.

use super::{
    CONTACT, ObjectType, PURPOSE, RowRule,
    enums::{CHANNEL, CONTACT_POINT_KIND, RECIPIENT_KIND},
};
use super::{
    field::{choice, created_at, date, id, list, reference, text, time, to_one},
    kinds::DataCategory::{Administration, Objection},
};

/// Somebody to whom data is disclosed.
pub static RECIPIENT: ObjectType = ObjectType {
    name: "Recipient",
    doc: "A recipient of personal data (Art. 4(9)).",
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
        date("contractUntil", Administration, "contract_until", "When the contract expires, ISO 8601."),
        created_at(),
    ],
    unexposed_columns: &[],
};

/// A duty to tell a recipient to stop.
pub static STOP: ObjectType = ObjectType {
    name: "Stop",
    doc: "A duty to tell a recipient, which read data for a purpose, about a withdrawal or objection (Art. 7(3), 19, 21). It is created with the withdrawal or objection, exported in a stop file and open until acknowledged. It outlives the contact.",
    table: "stop",
    key: "id",
    rows: RowRule::Request,
    plural: Some("Stop"),
    fields: &[
        id(),
        reference("recipientId", Administration, "recipient_id", "Id of the recipient to be told."),
        to_one("recipient", &RECIPIENT, "recipient_id", "The recipient to be told."),
        reference(
            "contactId",
            Objection,
            "contact_id",
            "Id of the person, even if the contact no longer exists.",
        ),
        to_one("contact", &CONTACT, "contact_id", "The person, if visible for this purpose."),
        to_one("purpose", &PURPOSE, "purpose_code", "The purpose to stop, never a group."),
        choice("channel", Objection, "channel", &CHANNEL, "The channel; null for all channels.").filterable(),
        choice(
            "addressKind",
            Objection,
            "address_kind",
            &CONTACT_POINT_KIND,
            "Kind of the address it concerns; null for the whole contact.",
        ),
        time("since", Objection, "since", "When it was declared.").required(),
        time("madeAt", Objection, "made_at", "When the duty was last created.").required(),
        reference("batch", Administration, "batch_id", "The batch of the first stop file that contained it.")
            .filterable_as("batchId"),
        time("exportedAt", Administration, "exported_at", "When a stop file first contained it."),
        time("acknowledgedAt", Administration, "acknowledged_at", "When the recipient acknowledged it."),
        text("acknowledgedBy", Administration, "acknowledged_by", "Actor who recorded the acknowledgement."),
    ],
    unexposed_columns: &[(
        "address_sha256",
        "digest of the address; the address itself appears only in the stop file",
    )],
};

/// A credential of a partner system or a person.
pub static ACCESS_TOKEN: ObjectType = ObjectType {
    name: "AccessToken",
    doc: "A credential with roles, purposes and the fields it is restricted to. The secret is shown only once.",
    table: "access_token",
    key: "id",
    rows: RowRule::Everyone,
    plural: None,
    fields: &[
        id(),
        text("name", Administration, "name", "Name given by its creator."),
        list("roles", Administration, "roles", "Roles."),
        list("purposes", Administration, "purposes", "Codes of permitted purposes."),
        list("fields", Administration, "fields", "Coordinates it is restricted to; null for no restriction."),
        to_one("recipient", &RECIPIENT, "recipient_id", "The recipient that uses it."),
        text("createdBy", Administration, "created_by", "Actor who created it."),
        created_at(),
        time("expiresAt", Administration, "expires_at", "When it expires."),
        time("revokedAt", Administration, "revoked_at", "When it was revoked."),
        time("lastUsedAt", Administration, "last_used_at", "When it was last used."),
    ],
    unexposed_columns: &[
        ("lookup", "public part of the token, used to find it"),
        ("secret_hash", "SHA-256 of the secret; never served"),
    ],
};

/// A recipient that may currently fetch data, with its purposes.
pub static ACCESS: ObjectType = ObjectType {
    name: "Access",
    doc: "A recipient with a valid credential, to which data may be disclosed for these purposes (Art. 15(1)(c)). It does not say whether any data was disclosed.",
    table: "access_token",
    key: "id",
    rows: RowRule::Access,
    plural: None,
    fields: &[
        id(),
        to_one("recipient", &RECIPIENT, "recipient_id", "The recipient."),
        list("purposes", Administration, "purposes", "Codes of the purposes for which it may fetch data."),
        created_at(),
        time("expiresAt", Administration, "expires_at", "When it expires."),
    ],
    unexposed_columns: &[
        ("name", "the creator's name for the credential"),
        ("roles", "what it may read follows from the policy"),
        ("fields", "likewise"),
        ("created_by", "data subjects need not know who created it"),
        ("revoked_at", "revoked credentials are not listed"),
        ("last_used_at", "a use does not mean that a particular person's data was disclosed"),
        ("lookup", "public part of the token, used to find it"),
        ("secret_hash", "SHA-256 of the secret; never served"),
    ],
};
