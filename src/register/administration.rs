//! Recipients and access tokens: no personal data of contacts (floor 1).

use super::field::{Category::Administration, choice, created_at, date, id, list, one, text, time};
use super::{ObjectType, RowRule, enums::RECIPIENT_KIND};

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
    unserved: &[],
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
    unserved: &[
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
    unserved: &[
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
