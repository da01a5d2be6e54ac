//! What mutations look at does not grow with the database: each statement of each is explained by PostgreSQL itself while it runs.

use std::{fs, io::Read, io::Seek, path::PathBuf};

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use serde_json::{Value, json};

use super::{
    bulk::{Bulk, Of},
    rows,
};
use crate::{
    support::{
        app::TestApp,
        client::{Caller, Client},
        database::{Cluster, TestDatabase},
        skipped,
    },
    writes::{Staff, mutate},
};

/// Rows that one statement of a mutation may look at in one table, those included that it passes over.
const MOST_ROWS: f64 = 200.0;

async fn setting(test: &TestApp, name: &str) -> String {
    let statement = Statement::from_string(DbBackend::Postgres, format!("SELECT current_setting('{name}')"));
    let row = test.app.db.reader.query_one_raw(statement).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}

/// The log of the cluster, where each statement is explained.
struct Log(PathBuf);

impl Log {
    fn end(&self) -> u64 {
        fs::metadata(&self.0).unwrap().len()
    }

    /// Every scan that was explained since `start`: table and rows that were looked at, with the statement.
    fn scans(&self, start: u64) -> Vec<(String, f64, String)> {
        let mut file = fs::File::open(&self.0).unwrap();
        file.seek(std::io::SeekFrom::Start(start)).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        let mut scans = Vec::new();
        for (_, rest) in text.match_indices("plan:\n").map(|(at, mark)| text.split_at(at + mark.len())) {
            let plan: String =
                rest.lines().take_while(|line| line.starts_with('\t')).collect::<Vec<_>>().join("\n");
            let plan: Value = serde_json::from_str(&plan).unwrap_or_else(|error| panic!("{error}: {plan}"));
            let statement = plan["Query Text"].as_str().unwrap().to_owned();
            nodes(&plan["Plan"], &mut |node| {
                if let Some(table) = node["Relation Name"].as_str() {
                    let number = |name: &str| node[name].as_f64().unwrap_or(0.0);
                    let passed = number("Rows Removed by Filter") + number("Rows Removed by Index Recheck");
                    scans.push((
                        table.to_owned(),
                        (number("Actual Rows") + passed) * number("Actual Loops"),
                        statement.clone(),
                    ));
                }
            });
        }
        scans
    }
}

fn nodes(node: &Value, take: &mut impl FnMut(&Value)) {
    take(node);
    for below in node["Plans"].as_array().into_iter().flatten() {
        nodes(below, take);
    }
}

#[tokio::test]
async fn what_a_mutation_looks_at_does_not_grow_with_the_database() {
    let Some(cluster) = Cluster::own() else { return };
    // One session: settings of a module are known where it was loaded.
    let mut options = sea_orm::ConnectOptions::new(cluster.url("postgres"));
    options.max_connections(1);
    let admin = sea_orm::Database::connect(options).await.unwrap();
    if let Err(error) = admin.execute_unprepared("LOAD 'auto_explain'").await {
        assert!(std::env::var_os("CI").is_none(), "CI needs auto_explain: {error}");
        return skipped(&format!("plans of mutations: {error}"));
    }
    for (name, value) in [
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
        ("auto_explain.log_analyze", "on"),
        ("auto_explain.log_timing", "off"),
        ("auto_explain.log_nested_statements", "on"),
        ("auto_explain.log_format", "json"),
    ] {
        admin.execute_unprepared(&format!("ALTER SYSTEM SET {name} = '{value}'")).await.unwrap();
    }
    admin.execute_unprepared("SELECT pg_reload_conf()").await.unwrap();
    admin.close().await.unwrap();
    // Sessions that begin from here on explain.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let test = TestApp::over(TestDatabase::of(&cluster).await).await;
    rows::fill(&test.app.db.writer).await;
    // As a server does when it starts: once in the life of an installation the log is looked through.
    zweck::audit::installation_keys(&test.app).await.unwrap();
    let data = PathBuf::from(setting(&test, "data_directory").await);
    let log = Log(data.parent().unwrap().join("log"));
    let (client, staff) = (Client::of(&test), Staff::of(&test).await);
    let mut faults = Vec::new();
    let mut seen = 0;
    for (name, caller, input, payload) in cases(&staff) {
        let start = log.end();
        let answer = mutate(&client, caller, name, &input, payload).await;
        assert!(answer.get("errors").is_none(), "{name} {input}: {answer}");
        client.numbered().await;
        for (table, looked_at, statement) in log.scans(start) {
            seen += 1;
            if looked_at > MOST_ROWS {
                faults.push(format!("{name} looks at {looked_at} rows of {table}: {statement:.300}"));
            }
        }
    }
    assert!(seen > 100, "only {seen} scans were explained");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn cases(staff: &Staff) -> Vec<(&'static str, &Caller, Value, &'static str)> {
    let contact = |number: u64| Bulk::uuid(Of::CONTACT, number);
    let consent = |number: u64| Bulk::uuid(Of::CONSENT, 4 * number);
    let phone = |number: u64| format!("+49 30 {}", 20_000_000 + number);
    let object = "objection { id } objections { id }";
    let yes = json!({
        "contactId": contact(4_710), "purpose": "newsletter", "channel": "EMAIL", "textVersion": "2026-1", "language": "de",
        "proof": "signed_paper", "declaredAt": "2026-11-01T09:00:00Z", "source": "fair"
    });
    let new = json!({
        "familyName": "Neu", "email": "neu@example.com", "phone": "+49 30 1234567", "street": "Main Road 7", "postalCode": "10007",
        "city": "Berlin", "source": { "name": "call" }, "ground": { "purpose": "customer_care" }
    });
    let point = json!({ "contactId": contact(4_714), "kind": "EMAIL", "email": "further@example.com" });
    vec![
        ("withdrawConsent", &staff.consent, json!({ "consentId": consent(4_700) }), "consent { status }"),
        (
            "withdrawConsent",
            &staff.consent,
            json!({ "contactId": contact(4_703), "purpose": "newsletter" }),
            "consent { status }",
        ),
        (
            "recordObjection",
            &staff.desk,
            json!({ "contactId": contact(4_706), "purpose": "direct_marketing" }),
            object,
        ),
        (
            "recordObjection",
            &staff.desk,
            json!({ "email": "nobody@example.com", "purpose": "direct_marketing" }),
            object,
        ),
        (
            "recordObjection",
            &staff.desk,
            json!({ "phone": phone(4_708), "purpose": "direct_marketing" }),
            object,
        ),
        ("recordConsent", &staff.consent, yes, "consent { status }"),
        ("createContact", &staff.support, new, "contact { id }"),
        (
            "updateContact",
            &staff.support,
            json!({ "contactId": contact(4_711), "email": "other@example.com", "phone": "+49 30 7654321", "jobTitle": "x" }),
            "contact { id }",
        ),
        ("addContactPoint", &staff.support, point, "__typename"),
        ("openRequest", &staff.desk, json!({ "contactId": contact(4_715), "kind": "ACCESS" }), "__typename"),
        (
            "restrictContact",
            &staff.desk,
            json!({ "contactId": contact(4_716), "limb": "A", "reason": "contested" }),
            "__typename",
        ),
        (
            "mergeContacts",
            &staff.desk,
            json!({ "contactId": contact(4_720), "duplicateId": contact(4_721) }),
            "__typename",
        ),
    ]
}
