//! The statements of the baselines, written by hand: the row rule in each that finds contacts. Room: bench/baselines.
//!
//! `$1` is the purpose and `$2` the instant in all of them.

/// Contacts with a live consent that no objection has ended, bound to the address that the contact has: the rule of
/// `engine::rows`, as one would write it for this one purpose.
macro_rules! visible {
    () => {
        "c.state = 'ACTIVE' AND EXISTS (SELECT 1 FROM consent g WHERE g.contact_id = c.id AND g.purpose_code = $1 \
         AND g.status = 'GRANTED' AND g.withdrawn_at IS NULL AND (g.expires_at IS NULL OR g.expires_at > $2) \
         AND NOT EXISTS (SELECT 1 FROM objection o WHERE o.contact_id = g.contact_id AND o.purpose_code = $1 \
         AND (o.ended_at IS NULL OR o.ended_at > o.objected_at) \
         AND (g.declared_at IS NULL OR o.objected_at >= g.declared_at) \
         AND (o.channel IS NULL OR o.channel = g.channel) AND o.kind <> 'EXTERNAL_LIST') \
         AND (g.bound_address IS NULL OR g.bound_address = CASE g.channel WHEN 'EMAIL' THEN c.email_key \
         WHEN 'POST' THEN c.postal_key ELSE c.phone_key END))"
    };
}

/// Reading a contact: the columns that the standard queries ask for.
macro_rules! contacts {
    () => {
        concat!(
            "SELECT c.id, c.given_name, c.family_name, c.email, c.company, c.job_title, c.city, c.country \
             FROM contact c WHERE ",
            visible!()
        )
    };
}

/// A page of `first`, if the standard queries ask for so many. The number stands in it: were it bound, PostgreSQL would plan the
/// statement each time anew.
pub(super) fn page(first: i64) -> Option<&'static str> {
    match first {
        100 => Some(concat!(contacts!(), " ORDER BY c.id LIMIT 100")),
        1_000 => Some(concat!(contacts!(), " ORDER BY c.id LIMIT 1000")),
        _ => None,
    }
}

/// One contact: `$3` is its id.
pub(super) const ONE: &str = concat!(contacts!(), " AND c.id = $3");

/// Reading consents; one that has ended by time is told as such.
macro_rules! consents {
    () => {
        "SELECT k.contact_id, CASE WHEN k.status = 'GRANTED' AND k.expires_at <= $2 THEN 'EXPIRED' ELSE k.status END, \
         k.granted_at, k.purpose_code FROM consent k WHERE k.purpose_code = $1 AND k.contact_id "
    };
}

/// Consents of the contacts in `$3`, a list of ids.
pub(super) const CONSENTS_POSTGRES: &str = concat!(consents!(), "= ANY($3) ORDER BY k.id");

/// Consents of the contacts in `$3`, a JSON list of ids without hyphens. The sign keeps SQLite from going through all of the purpose
/// for their order.
pub(super) const CONSENTS_SQLITE: &str =
    concat!(consents!(), "IN (SELECT unhex(value) FROM json_each($3)) ORDER BY +k.id");

/// Purposes in `$1`, a list of codes.
pub(super) const PURPOSES_POSTGRES: &str = "SELECT p.code FROM purpose p WHERE p.code = ANY($1)";

/// Purposes in `$1`, a JSON list of codes.
pub(super) const PURPOSES_SQLITE: &str =
    "SELECT p.code FROM purpose p WHERE p.code IN (SELECT value FROM json_each($1))";

/// The kind of what was told last of a consent, by a table and the order of its rows.
macro_rules! queue_change {
    ($table:literal, $order:literal) => {
        concat!(
            "(SELECT h.kind FROM ",
            $table,
            " h WHERE h.contact_id = consent.contact_id AND h.purpose_code = consent.purpose_code \
             AND h.channel = consent.channel ORDER BY h.",
            $order,
            " DESC LIMIT 1)"
        )
    };
}

macro_rules! withdraw {
    () => {
        concat!(
            "UPDATE consent SET status = 'WITHDRAWN', declared_at = $2, withdrawn_at = $2, review_due_at = NULL, \
             source = NULL, updated_at = $2 WHERE id = $3 AND purpose_code = $1 \
             AND EXISTS (SELECT 1 FROM contact c WHERE c.id = consent.contact_id AND ",
            visible!(),
            ") RETURNING contact_id, channel, "
        )
    };
}

/// Withdraws the consent `$3`, if its contact is visible. Gives its contact and channel, and what those who follow were told last of it:
/// what waits in the queue is newer than all that has its place.
pub(super) const WITHDRAW_POSTGRES: &str = concat!(
    withdraw!(),
    "COALESCE(",
    queue_change!("consent_change_queue", "number"),
    ", ",
    queue_change!("consent_change", "id"),
    ")"
);

/// The same on SQLite, where nothing is queued.
pub(super) const WITHDRAW_SQLITE: &str = concat!(withdraw!(), queue_change!("consent_change", "id"));

/// Appends the event `$1` of the consent `$2`, at `$3`, by `$4`.
pub(super) const EVENT: &str = "INSERT INTO consent_event (id, consent_id, kind, declared_at, recorded_at, actor) \
     VALUES ($1, $2, 'WITHDRAWN', $3, $3, $4)";

/// Records it: the entry `$1`, at `$2`, by `$3` in the roles `$4` for `$5`, about the consent `$6` of `$7`, under the policy `$8`.
pub(super) const ENTRY: &str = "INSERT INTO audit_entry (id, at, actor, roles, purpose_code, action, outcome, entity_type, entity_id, contact_id, \
     subject_id, changed_fields, sealed, policy_revision) \
     VALUES ($1, $2, $3, $4, $5, 'withdrawConsent', 'CHANGED', 'Consent', $6, $7, $7, \
     '[\"Consent.status\",\"Consent.withdrawnAt\"]', '{}', $8)";

/// The greatest id of a change, which SQLite's one writer puts a new one behind.
pub(super) const LAST_CHANGE: &str = "SELECT id FROM consent_change ORDER BY id DESC LIMIT 1";

/// Tells those who follow that the consent of the contact `$2` for `$3` on the channel `$4` has ended at `$5`, by the change `$1`.
pub(super) const CHANGE: &str = "INSERT INTO consent_change (id, contact_id, purpose_code, channel, kind, at) \
     VALUES ($1, $2, $3, $4, 'ENDED', $5)";

/// Queues on PostgreSQL that the consent of the contact `$1` for `$2` on the channel `$3` has ended at `$4`.
pub(super) const QUEUED: &str = "INSERT INTO consent_change_queue (contact_id, purpose_code, channel, kind, at) \
     VALUES ($1, $2, $3, 'ENDED', $4)";
