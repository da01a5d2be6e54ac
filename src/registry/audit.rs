//! The audit log. Room: registry.

use super::{CONTACT, ObjectType, RowRule, enums::AUDIT_OUTCOME};
use super::{
    field::{choice, id, list, one, reference, sealed, text, time},
    kinds::DataCategory::Audit,
};

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
        text("actor", Audit, "actor", "Who did it.").required().filterable(),
        list("roles", Audit, "roles", "In which roles."),
        text("purpose", Audit, "purpose_code", "For which purpose.").filterable(),
        text("action", Audit, "action", "What was done: the name of a mutation or of a command.")
            .required()
            .filterable(),
        choice("outcome", Audit, "outcome", &AUDIT_OUTCOME, "Whether anything changed.")
            .required()
            .filterable(),
        text("entityType", Audit, "entity_type", "Type of what it was done to.").required().filterable(),
        reference("entityId", Audit, "entity_id", "Id of what it was done to."),
        one("contact", &CONTACT, "contact_id", "The person it is about, if visible for this purpose.")
            .filterable_as("contactId"),
        list("changedFields", Audit, "changed_fields", "Coordinates of what changed: type and field."),
        text("policyRevision", Audit, "policy_revision", "Revision of the policy in force."),
        text("requestId", Audit, "request_id", "Id of the request.").filterable(),
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
    unexposed_columns: &[("subject_id", "whose keys the values are sealed under")],
};

/// A table with its columns, each with the reason why no type serves it.
type UnexposedTable = (&'static str, &'static [(&'static str, &'static str)]);

/// Tables that no type serves: column by column, with the reason.
pub static UNEXPOSED_TABLES: &[UnexposedTable] = &[
    (
        "sign_up",
        &[
            ("id", "id of a sign-up that was not confirmed yet; the row goes after `pages.unconfirmed_days`"),
            ("contact_id", "the contact, where it was asked for one that is known"),
            ("address", "e-mail address as given, for the mail and the evidence"),
            ("address_key", "key of the mailbox"),
            ("given_name", "given name, kept until it is confirmed"),
            ("family_name", "family name, kept until it is confirmed"),
            ("language", "language of the texts and of the mail"),
            ("source", "the form; becomes the source of the consent"),
            ("recorded_by", "actor who recorded it"),
            ("choices", "purposes, channels and texts that were declared to"),
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
            ("token_hash", "SHA-256 of its token, which is kept nowhere"),
            ("sign_up_id", "the sign-up it confirms"),
            ("contact_id", "the contact it was mailed to"),
            ("consent_id", "the consent it renews"),
            ("consent_text_id", "the text it asks to declare to anew"),
            ("address_key", "key of the mailbox: the link ends when the address becomes another"),
            ("created_at", "when it was made"),
            ("expires_at", "when it ends"),
            ("used_at", "when it was used"),
            (
                "opened_id",
                "the contact whose record it opens, once the person has told something that it knows",
            ),
            ("tries", "how often something else was told"),
        ],
    ),
    (
        "mail",
        &[
            ("id", "id of a mail; the evidence of a confirmation names it"),
            ("link_id", "the link it carries"),
            ("kind", "what it is about"),
            ("contact_id", "the contact, where one is known"),
            ("recipient", "the address, emptied once the mail was handed over or given up"),
            ("address_digest", "keyed digest of the mailbox, for the number of mails to it"),
            ("period", "kind and number of the period in which it is the only mail to the mailbox"),
            ("language", "language of the mail"),
            ("purposes", "purposes it is about"),
            ("created_at", "when it was queued"),
            ("due_at", "when its mailbox may have it, at the earliest"),
            ("next_attempt_at", "when it is tried next"),
            ("attempts", "attempts so far"),
            ("leased_until", "until when a sender has it"),
            ("sent_at", "when it was handed over"),
            ("failed_at", "when it was given up"),
            ("fault", "code of the last fault"),
        ],
    ),
    (
        "contact_merge",
        &[
            (
                "duplicate_id",
                "id of a contact that became part of another, so that links of it go on to work",
            ),
            ("contact_id", "the contact that it is part of"),
            ("merged_at", "when it became so"),
        ],
    ),
    (
        "suppression",
        &[
            ("id", "id of an entry of the suppression list"),
            ("digest", "keyed digest of an address: it can be recognised, not read"),
            ("key_version", "reader that made the key which the digest is of"),
            ("channel", "the channel that was named, else the kind of address"),
            ("every_channel", "whether no channel was named"),
            ("purpose_code", "what it is blocked for"),
            ("kind", "what was declared, or what else stands against it"),
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
            ("purpose_code", "the purpose that it read for"),
            ("first_at", "when it read first"),
            ("until_at", "until when the last note of it is good: a day at most after it read last"),
        ],
    ),
    ("key_reader", &[("id", "always 1"), ("version", "reader that made the keys of all rows")]),
    (
        "audit_owed",
        &[
            ("id", "id of an entry of the audit log that could not be written with the no that it tells of"),
            ("at", "when it happened"),
            ("actor", "who did it"),
            ("roles", "in which roles"),
            ("purpose_code", "for which purpose"),
            ("action", "what was done"),
            ("outcome", "whether anything changed"),
            ("entity_type", "type of what it was done to"),
            ("entity_id", "id of what it was done to"),
            ("contact_id", "the person it is about"),
            ("subject_id", "whose keys the values are sealed under"),
            ("changed_fields", "names of changed fields"),
            ("sealed", "values before and after, sealed"),
            ("policy_revision", "revision of the policy in force"),
            ("request_id", "id of the request; the row moves to `audit_entry` and is served from there"),
        ],
    ),
    (
        "consent_change_queue",
        &[
            ("number", "order of the changes of one contact, given by the database"),
            ("contact_id", "the contact, which may be gone"),
            ("purpose_code", "what the consent is for"),
            ("channel", "for which channel"),
            ("kind", "whether it holds from then on"),
            ("at", "when; the row moves to `consent_change` at once and is served from there"),
        ],
    ),
    (
        "subject_key",
        &[
            ("subject_id", "whose values of the audit log the key seals"),
            ("category", "data category of those values"),
            (
                "generation",
                "0 for the first key, more for one that was made since those before could not be opened",
            ),
            ("wrapped", "the key, sealed under the master key; never served"),
            ("wrapped_by", "name of the master key"),
            ("created_at", "when the key was made"),
        ],
    ),
    (
        "master_key",
        &[
            ("id", "the one row"),
            ("name", "name of the master key in use, which tells nothing of it"),
            ("since", "since when it is in use"),
        ],
    ),
    (
        "server",
        &[
            ("id", "a server that runs, drawn anew at each start"),
            ("version", "version of the program"),
            ("master_keys", "names of the master keys that it knows"),
            ("started_at", "when it was started"),
            ("seen_at", "when it last said that it runs; the row is gone a day later at the latest"),
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
