//! The rows that plans are made over: the same each time, and few enough that `ANALYZE` looks at each.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend};

use super::bulk::{Bulk, Of, pick};

/// Contacts. PostgreSQL samples 30,000 rows of a table: none has more, so that nothing depends on chance.
pub const CONTACTS: u64 = 10_000;
/// The purposes on consent, on recorded grounds, and on recorded grounds with a right to object.
pub const CONSENT: &str = "newsletter";
pub const RECORDED: &str = "customer_care";
pub const OBJECTED: &str = "direct_mail";

/// Fills every table that grows, and lets the database look at it.
pub async fn fill(writer: &DatabaseConnection) {
    let bulk = Bulk(writer.get_database_backend());
    let mut statements = vec![bulk.contacts(1, CONTACTS), bulk.consents(1, CONTACTS, CONSENT)];
    statements.extend(descendants(bulk));
    statements.extend(told(bulk));
    statements.push(match bulk.0 {
        // The map of what is visible to all decides on scans of indexes alone.
        DbBackend::Postgres => "VACUUM (ANALYZE)".to_owned(),
        // Nobody has SQLite look at its tables elsewhere either.
        _ => "SELECT 1".to_owned(),
    });
    for statement in statements {
        writer.execute_unprepared(&statement).await.unwrap_or_else(|error| panic!("{error}: {statement}"));
    }
}

/// Ids of other things with the number `n`, one block for each table.
fn other(bulk: Bulk, block: u64, n: &str) -> String {
    bulk.id(Of(3), &format!("{n} + {block} * 1000000"))
}

/// `INSERT INTO table (columns) SELECT values` for every n up to the number of contacts.
fn each(bulk: Bulk, table: &str, columns: &[(&str, String)], condition: &str) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let values: Vec<&str> = columns.iter().map(|(_, value)| value.as_str()).collect();
    format!(
        "INSERT INTO {table} ({}) SELECT {} FROM {} WHERE {condition}",
        names.join(", "),
        values.join(", "),
        bulk.numbers(1, CONTACTS)
    )
}

fn word(word: &str) -> String {
    format!("'{word}'")
}

/// What hangs on contacts and consents.
fn descendants(bulk: Bulk) -> Vec<String> {
    let contact = bulk.id(Of::CONTACT, "n");
    let began = bulk.day(0);
    let ground = |block, purpose, condition| {
        let columns = [
            ("id", other(bulk, block, "n")),
            ("contact_id", contact.clone()),
            ("purpose_code", word(purpose)),
            ("reference", "'contract ' || CAST(n AS text)".to_owned()),
            ("since", began.clone()),
            ("recorded_by", word("cli:test")),
            ("created_at", began.clone()),
        ];
        each(bulk, "ground", &columns, condition)
    };
    let objection = [
        ("id", other(bulk, 3, "n")),
        ("contact_id", contact.clone()),
        ("purpose_code", word("direct_marketing")),
        ("objected_at", bulk.day(-100)),
        ("created_at", began.clone()),
    ];
    let point = [
        ("id", other(bulk, 4, "n")),
        ("contact_id", contact.clone()),
        ("kind", word("EMAIL")),
        ("email", "'other.' || CAST(n AS text) || '@example.org'".to_owned()),
        ("email_folded", "'other.' || CAST(n AS text) || '@example.org'".to_owned()),
        ("email_key", "'other.' || CAST(n AS text) || '@example.org'".to_owned()),
        ("created_at", began.clone()),
    ];
    let provenance = [
        ("id", other(bulk, 5, "n")),
        ("contact_id", contact.clone()),
        ("source", word("trade fair")),
        ("external_id", "CAST(n AS text)".to_owned()),
        ("recorded_at", began.clone()),
        ("recorded_by", word("cli:test")),
        ("fields", word("[]")),
    ];
    let restriction = [
        ("id", other(bulk, 6, "n")),
        ("contact_id", contact.clone()),
        ("limb", word("A")),
        ("restricted_at", began.clone()),
        ("lifted_at", bulk.day(1)),
        ("recorded_by", word("cli:test")),
        ("created_at", began.clone()),
    ];
    let event = [
        ("id", other(bulk, 7, "n")),
        ("consent_id", bulk.id(Of::CONSENT, "n * 4")),
        ("kind", word("GRANTED")),
        ("declared_at", bulk.day(-30)),
        ("recorded_at", began.clone()),
        ("actor", word("cli:test")),
    ];
    vec![
        ground(1, RECORDED, "n % 10 < 6"),
        ground(2, OBJECTED, "n % 10 < 3"),
        each(bulk, "objection", &objection, "n % 5 = 0"),
        each(bulk, "contact_point", &point, "n % 3 = 0"),
        each(bulk, "provenance", &provenance, "n > 0"),
        each(bulk, "restriction", &restriction, "n % 4 = 0"),
        each(bulk, "consent_event", &event, "n > 0"),
        // Of all that is restricted, as rarely as it happens.
        "UPDATE contact SET state = 'RESTRICTED' WHERE email_folded LIKE '%.%.%77@example.org'".to_owned(),
    ]
}

/// What is told of contacts: requests, audit entries, changes of consents; and tokens.
fn told(bulk: Bulk) -> Vec<String> {
    let contact = bulk.id(Of::CONTACT, "n");
    let request = [
        ("id", other(bulk, 8, "n")),
        ("contact_id", contact.clone()),
        ("kind", pick(&["ACCESS", "ERASURE", "OBJECTION"], "n")),
        ("status", pick(&["FULFILLED", "FULFILLED", "FULFILLED", "RECEIVED"], "n / 2")),
        ("purpose_code", word(CONSENT)),
        ("received_at", bulk.at("n * 600")),
        ("due_at", bulk.at("n * 600 + 2592000")),
        ("closed_at", format!("CASE WHEN n % 100 <> 2 THEN {} END", bulk.at("n * 600 + 864000"))),
        ("created_at", bulk.at("n * 600")),
    ];
    let entry = [
        ("id", other(bulk, 9, "n")),
        ("at", bulk.at("n * 60")),
        ("actor", "'token:' || CAST(n % 20 AS text)".to_owned()),
        ("roles", word("[]")),
        ("purpose_code", pick(&[RECORDED, CONSENT, "rights_fulfilment"], "n")),
        ("action", pick(&["updateContact", "recordConsent", "withdrawConsent", "openRequest"], "n")),
        ("outcome", word("CHANGED")),
        ("entity_type", word("Contact")),
        ("entity_id", contact.clone()),
        ("contact_id", contact.clone()),
        ("subject_id", contact.clone()),
        ("changed_fields", word("[]")),
        ("sealed", word("{}")),
        ("policy_revision", word("0000000000000000")),
        ("request_id", "'request-' || CAST(n AS text)".to_owned()),
    ];
    let change = [
        ("id", other(bulk, 10, "n")),
        ("contact_id", contact),
        ("purpose_code", pick(&[CONSENT, "event_invitations"], "n")),
        ("channel", word("EMAIL")),
        ("kind", pick(&["GRANTED", "ENDED"], "n / 2")),
        ("at", bulk.at("n * 60")),
    ];
    let token = [
        ("id", other(bulk, 11, "n")),
        ("lookup", "'lookup' || CAST(n AS text)".to_owned()),
        ("name", word("test")),
        ("secret_hash", word("0")),
        ("roles", word("[]")),
        ("purposes", word("[]")),
        ("created_by", word("cli:test")),
        ("created_at", bulk.day(0)),
        ("expires_at", bulk.day(0)),
    ];
    vec![
        each(bulk, "access_token", &token, "n % 5 = 0"),
        each(bulk, "privacy_request", &request, "n % 2 = 0"),
        each(bulk, "audit_entry", &entry, "n > 0"),
        each(bulk, "consent_change", &change, "n > 0"),
    ]
}
