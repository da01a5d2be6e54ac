//! The audit log (floor 1).

use super::field::{Category::Audit, choice, id, list, one, reference, sealed, text, time};
use super::{CONTACT, ObjectType, RowRule, enums::AUDIT_OUTCOME};

/// A record of a change.
pub static AUDIT_ENTRY: ObjectType = ObjectType {
    name: "AuditEntry",
    doc: "A record of a change, written in the transaction of the change itself; it outlives the contact.",
    table: "audit_entry",
    key: "id",
    rows: RowRule::Audit,
    plural: Some("Audit"),
    fields: &[
        id(),
        time("at", Audit, "at", "When it happened.").required(),
        text("actor", Audit, "actor", "Who did it.").required().comparable(),
        list("roles", Audit, "roles", "In which roles."),
        text("purpose", Audit, "purpose_code", "For which purpose.").comparable(),
        text("action", Audit, "action", "What was done: the name of a mutation or of a command.")
            .required()
            .comparable(),
        choice("outcome", Audit, "outcome", &AUDIT_OUTCOME, "Whether anything changed.")
            .required()
            .comparable(),
        text("entityType", Audit, "entity_type", "Type of what it was done to.").required().comparable(),
        reference("entityId", Audit, "entity_id", "Id of what it was done to."),
        one("contact", &CONTACT, "contact_id", "The person it is about, if visible for this purpose.")
            .comparable(),
        list("changedFields", Audit, "changed_fields", "Coordinates of what changed: type and field."),
        text("policyRevision", Audit, "policy_revision", "Revision of the policy in force."),
        text("requestId", Audit, "request_id", "Id of the request.").comparable(),
        sealed(
            "before",
            false,
            "Values before the change, by coordinate; only those the caller may fully read, while their keys exist.",
        ),
        sealed(
            "after",
            true,
            "Values after the change, by coordinate; only those the caller may fully read, while their keys exist.",
        ),
    ],
    unserved: &[("subject_id", "whose keys the values are sealed under")],
};

/// Tables that no type serves: column by column, with the reason.
pub static UNSERVED_TABLES: &[(&str, &[(&str, &str)])] = &[
    (
        "subject_key",
        &[
            ("subject_id", "whose values of the audit log the key seals"),
            ("category", "data category of those values"),
            ("wrapped", "the key, sealed under the master key; never served"),
            ("wrapped_by", "name of the master key"),
            ("created_at", "when the key was made"),
        ],
    ),
    (
        "idempotency",
        &[
            ("actor", "who sent the key"),
            ("key_hash", "keyed digest of the client's key"),
            ("root", "digest of the mutation's response key; empty for the request as a whole"),
            ("body_hash", "keyed digest of purpose and body"),
            ("sealed", "ids of what was written and a secret that was told, sealed; gone after a day"),
            ("created_at", "when it was done"),
        ],
    ),
];
