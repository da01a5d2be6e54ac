//! Data-subject requests (floor 1).

use super::field::{Category::*, Read, choice, computed, created_at, id, one, text, time};
use super::{
    CONTACT, ObjectType, PURPOSE, RowRule,
    enums::{REQUEST_KIND, REQUEST_STATUS},
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
        one("contact", &CONTACT, "contact_id", "The person, if visible for this purpose."),
        one("purpose", &PURPOSE, "purpose_code", "The purpose it is about, where it is about one."),
        choice("kind", Request, "kind", &REQUEST_KIND, "Which right is used.").required().comparable(),
        choice("status", Request, "status", &REQUEST_STATUS, "Where the work stands.")
            .required()
            .comparable(),
        time("receivedAt", Request, "received_at", "When it was received.").required(),
        time("dueAt", Request, "due_at", "End of the period (Art. 12(3)).").required(),
        time("extendedUntil", Request, "extended_until", "End of the extended period."),
        time(
            "identityVerifiedAt",
            Request,
            "identity_verified_at",
            "When the identity was verified (Art. 12(6)).",
        ),
        time("closedAt", Request, "closed_at", "When it was closed."),
        computed("overdue", Request, Read::Overdue, "Whether it is open after the end of its period.")
            .comparable(),
        text("assignee", Request, "assignee", "Who works on it."),
        text("reason", Request, "reason", "Reason of a refusal or an extension."),
        text("note", Request, "note", "What was noted when it came in."),
        created_at(),
    ],
    unserved: &[],
};
