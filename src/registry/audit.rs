//! The audit log. Room: registry.

use super::{CONTACT, ObjectType, RowRule, enums::AUDIT_OUTCOME};
use super::{
    field::{choice, id, list, reference, sealed, text, time, to_one},
    kinds::DataCategory::Audit,
};

/// A record of a change.
pub static AUDIT_ENTRY: ObjectType = ObjectType {
    name: "AuditEntry",
    doc: "A record of a change, written in the same transaction as the change. It outlives the contact.",
    table: "audit_entry",
    key: "id",
    rows: RowRule::Audit,
    plural: Some("Audit"),
    fields: &[
        id(),
        time("at", Audit, "at", "When it happened.").required(),
        text("actor", Audit, "actor", "Who did it.").required().filterable(),
        list("roles", Audit, "roles", "The actor's roles."),
        text("purpose", Audit, "purpose_code", "The purpose of the operation.").filterable(),
        text("action", Audit, "action", "The action: the name of a mutation or command.")
            .required()
            .filterable(),
        choice("outcome", Audit, "outcome", &AUDIT_OUTCOME, "Whether anything changed.")
            .required()
            .filterable(),
        text("entityType", Audit, "entity_type", "Type of the affected object.").required().filterable(),
        reference("entityId", Audit, "entity_id", "Id of the affected object."),
        to_one("contact", &CONTACT, "contact_id", "The person concerned, if visible for this purpose.")
            .filterable_as("contactId"),
        list(
            "changedFields",
            Audit,
            "changed_fields",
            "Coordinates of the changed fields, each a type and a field.",
        ),
        text("policyRevision", Audit, "policy_revision", "Revision of the policy in force."),
        text("requestId", Audit, "request_id", "Id of the request.").filterable(),
        sealed(
            "before",
            false,
            "Values before the change, by coordinate: only those that the caller may read in full and whose keys still exist.",
        ),
        sealed(
            "after",
            true,
            "Values after the change, by coordinate: only those that the caller may read in full and whose keys still exist.",
        ),
    ],
    unexposed_columns: &[("subject_id", "the subject under whose keys the values are sealed")],
};

/// A table with its columns, each with the reason why no type exposes it.
type UnexposedTable = (&'static str, &'static [(&'static str, &'static str)]);

/// Tables that no type exposes: column by column, with the reason.
pub static UNEXPOSED_TABLES: &[UnexposedTable] = &[
    (
        "sign_up",
        &[
            ("id", "id of an unconfirmed sign-up; the row is deleted after `pages.unconfirmed_days`"),
            ("contact_id", "the contact, if the sign-up is for a known one"),
            ("address", "e-mail address as given, for the mail and the evidence"),
            ("address_key", "key of the mailbox"),
            ("given_name", "given name, kept until it is confirmed"),
            ("family_name", "family name, kept until it is confirmed"),
            ("language", "language of the texts and of the mail"),
            ("source", "the form; becomes the source of the consent"),
            ("recorded_by", "actor who recorded it"),
            ("choices", "purposes, channels and texts that the person agreed to"),
            ("notice_version", "version of the privacy notice shown"),
            ("signed_up_at", "when the person signed up; becomes the time of the event"),
            ("created_at", "when it was recorded"),
        ],
    ),
    (
        "link",
        &[
            ("id", "id of a link that was mailed"),
            ("kind", "what it is for"),
            ("token_hash", "SHA-256 of its token, which is not stored"),
            ("sign_up_id", "the sign-up it confirms"),
            ("contact_id", "the contact it was mailed to"),
            ("consent_id", "the consent it renews"),
            ("consent_text_id", "the text that the person is asked to agree to again"),
            ("address_key", "key of the mailbox: the link ends when the address changes"),
            ("created_at", "when it was made"),
            ("expires_at", "when it ends"),
            ("used_at", "when it was used"),
            (
                "opened_id",
                "the contact whose record it opens, once the person has answered the question about it",
            ),
            ("tries", "number of wrong answers"),
        ],
    ),
    (
        "mail",
        &[
            ("id", "id of a mail; the evidence of a confirmation refers to it"),
            ("link_id", "the link it carries"),
            ("kind", "what it is about"),
            ("contact_id", "the contact, where one is known"),
            ("recipient", "the address, cleared once the mail is delivered or abandoned"),
            ("address_digest", "keyed digest of the mailbox, for counting the mails to it"),
            ("period", "kind and number of the period in which the mailbox gets only this mail"),
            ("language", "language of the mail"),
            ("purposes", "purposes it is about"),
            ("created_at", "when it was queued"),
            ("due_at", "earliest time of delivery"),
            ("next_attempt_at", "time of the next attempt"),
            ("attempts", "attempts so far"),
            ("leased_until", "until when a sender holds it"),
            ("sent_at", "when it was delivered"),
            ("failed_at", "when it was abandoned"),
            ("fault", "code of the last error"),
        ],
    ),
    (
        "contact_merge",
        &[
            ("duplicate_id", "id of a contact merged into another, so that its links continue to work"),
            ("contact_id", "the contact into which it was merged"),
            ("merged_at", "when it was merged"),
        ],
    ),
    (
        "import_run",
        &[
            ("id", "id of an import of contacts, which entries of the audit log name as their request"),
            ("source", "name of the source, as in the provenance of each contact"),
            ("purpose_code", "purpose that the contacts are kept for"),
            ("actor", "actor who ran it"),
            ("started_at", "when it began"),
            ("last_at", "when it wrote its last batch"),
            ("imported", "number of contacts that it created"),
            ("updated", "number of contacts that it updated"),
            ("undone_at", "when it was undone"),
        ],
    ),
    (
        "suppression",
        &[
            ("id", "id of an entry of the suppression list"),
            ("digest", "keyed digest of an address: it can be recognised, not read"),
            ("key_version", "version of the reader that made the digest's key"),
            ("channel", "the channel that was named, otherwise the kind of address"),
            ("every_channel", "whether no channel was named"),
            ("purpose_code", "what it is blocked for"),
            ("kind", "what was declared, or the other reason for the entry"),
            ("since", "since when"),
            ("source", "where the person declared it"),
            ("recorded_by", "actor who recorded it"),
            ("created_at", "when it was recorded"),
        ],
    ),
    (
        "recipient_use",
        &[
            ("recipient_id", "a recipient that read personal data"),
            ("purpose_code", "the purpose for which it read"),
            ("first_at", "time of its first read"),
            ("until_at", "expiry of its latest note: at most a day after its last read"),
        ],
    ),
    (
        "key_reader",
        &[("id", "always 1"), ("version", "version of the reader that made the keys of all rows")],
    ),
    (
        "audit_owed",
        &[
            (
                "id",
                "id of an audit entry that could not be written together with the withdrawal or objection it records",
            ),
            ("at", "when it happened"),
            ("actor", "who did it"),
            ("roles", "the actor's roles"),
            ("purpose_code", "purpose of the operation"),
            ("action", "what was done"),
            ("outcome", "whether anything changed"),
            ("entity_type", "type of the affected object"),
            ("entity_id", "id of the affected object"),
            ("contact_id", "the person concerned"),
            ("subject_id", "the subject under whose keys the values are sealed"),
            ("changed_fields", "names of changed fields"),
            ("sealed", "values before and after, sealed"),
            ("policy_revision", "revision of the policy in force"),
            ("request_id", "id of the request; the row moves to `audit_entry` and is served from there"),
        ],
    ),
    (
        "consent_change_queue",
        &[
            ("number", "sequence number of one contact's changes, assigned by the database"),
            ("contact_id", "the contact, which may no longer exist"),
            ("purpose_code", "purpose of the consent"),
            ("channel", "channel of the consent"),
            ("kind", "whether the consent holds from then on"),
            ("at", "when; the row moves to `consent_change` at once and is served from there"),
        ],
    ),
    (
        "subject_key",
        &[
            ("subject_id", "subject whose audit values the key seals"),
            ("category", "data category of those values"),
            (
                "generation",
                "0 for the first key, higher for one made because the previous ones could not be opened",
            ),
            ("wrapped", "the key, sealed under the master key; never served"),
            ("wrapped_by", "id of the master key"),
            ("created_at", "when the key was created"),
        ],
    ),
    (
        "master_key",
        &[
            ("id", "the one row"),
            ("name", "id of the master key in use, which reveals nothing about it"),
            ("since", "since when it is in use"),
        ],
    ),
    (
        "server",
        &[
            ("id", "id of a running server, random at each start"),
            ("version", "version of the program"),
            ("master_keys", "ids of the master keys that it knows"),
            ("started_at", "when it was started"),
            ("seen_at", "time of its last heartbeat; the row is deleted at most a day later"),
        ],
    ),
    (
        "idempotency",
        &[
            ("actor", "who sent the key"),
            ("key_hash", "keyed digest of the client's key"),
            ("root", "digest of the mutation's response key; empty for the request as a whole"),
            ("body_hash", "keyed digest of purpose and body"),
            (
                "sealed",
                "ids of what was written and the secret that was returned, sealed; deleted after a day",
            ),
            ("created_at", "when it was done"),
        ],
    ),
];
