//! The log: it has the request on every line, and never a value of a person or a token, whatever is done and however it fails.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use sea_orm::ConnectionTrait;
use serde_json::{Value, json};
use tracing_subscriber::{
    EnvFilter,
    fmt::{MakeWriter, format::FmtSpan},
};
use zweck::{
    auth::actor::Actor,
    domain::access_tokens,
    exchange::{
        exports,
        imports::{ContactImport, Format, ReadOptions},
    },
    graphql::Pipeline,
};

use crate::{
    reads::{World, worlds},
    support::{an_import, client::Caller, import, log},
    writes::{Staff, done, door::block, mutate, newsletter, person},
};

const FILE: &str = "Id,First,Last,Mail,Phone,Born\n\
    1,Saatgut,Großler,saatgut@example.org,030 2312599,1984-02-29\n\
    2,Seedling,X,not an address Seedling@,+49 30 23125 999,Saatgut\n\
    3,\"broken Seedling\n";

fn file() -> ContactImport {
    let map = ["givenName=First", "familyName=Last", "email=Mail", "phone=Phone", "birthDate=Born"];
    let map = ContactImport::map_from(map).unwrap();
    // People of the world have the numbers of the source that imports have by default.
    ContactImport { map, external_id: Some("Id".to_owned()), source: "logs".to_owned(), ..an_import() }
}

const CARD: &str = "BEGIN:VCARD\r\nVERSION:4.0\r\nFN:Seedling Saatgut\r\nN:Saatgut;Seedling;;;\r\nEMAIL:seedling@example.net\r\n\
    TEL:+49 30 2312577\r\nNOTE:likes tea\r\nEND:VCARD\r\n";

/// Reads, writes, imports, exports; then what is refused, and what fails. The whole log is read along by `support::log`, which
/// ends the run at the first line that tells too much.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_tells_a_value_or_a_token() {
    for World { test, client } in worlds().await {
        let before = log::lines();
        let staff = Staff::of(&test).await;
        // Reads, with values in filters, variables and names.
        let all = "query Saatgut($s: String) { contacts(search: $s, filter: {email: {eq: \"anna@example.org\"}}) { nodes { givenName familyName email phone notes birthDate } } }";
        let answer = client.ask_with(&staff.dpo, all, json!({ "s": "Köhler" })).await;
        assert_eq!(answer["data"]["contacts"]["nodes"][0]["notes"], "likes tea", "{answer}");
        client.ask(&staff.support, "{ contacts { nodes { familyName notes birthDate } } }").await;
        // Writes.
        let new = json!({ "familyName": "Saatgut", "givenName": "Seedling", "email": "seedling@example.com", "phone": "+49 30 2312588",
                          "street": "Saatgut 7", "source": { "name": "Seedling fair" }, "ground": { "purpose": "customer_care", "reference": "Saatgut 1" } });
        done(&client, &staff.support, "createContact", new.clone(), "contact { id email }").await;
        done(
            &client,
            &staff.support,
            "updateContact",
            json!({ "contactId": person(1), "email": "anna@new.example" }),
            "contact { email }",
        )
        .await;
        done(
            &client,
            &staff.consent,
            "recordConsent",
            newsletter(1, "2026-11-01T10:00:00Z"),
            "consent { id }",
        )
        .await;
        done(
            &client,
            &staff.desk,
            "mergeContacts",
            json!({ "contactId": person(7), "duplicateId": person(8) }),
            "contact { id }",
        )
        .await;
        let token = json!({ "name": "partner", "roles": ["partner"], "purposes": ["newsletter"], "expiresAt": "2026-11-20T00:00:00Z" });
        done(&client, &staff.admin, "createAccessToken", token, "token { id } secret").await;
        let body = json!({ "query": "mutation($input: CreateContactInput!) { createContact(input: $input) { contact { id } } }", "variables": { "input": new } });
        for _ in 0..2 {
            client.send(&staff.support, body.clone(), &[("idempotency-key", "anna@example.org-0000")]).await;
        }
        // Imports and exports.
        let imported = import(&test.app, FILE.as_bytes(), &file()).await.unwrap();
        assert!(imported.imported > 1 && imported.report.problems > 1, "{imported:?}");
        let read_options = ReadOptions {
            format: Format::VCard,
            region: Some("DE".parse().unwrap()),
            ..ReadOptions::default()
        };
        import(
            &test.app,
            CARD.as_bytes(),
            &ContactImport { source: "cards".to_owned(), read_options, ..an_import() },
        )
        .await
        .unwrap();
        let engine = Pipeline::new().unwrap();
        let actor = async || {
            let credential = access_tokens::authenticate(&test.app, staff.dpo.token.expose_secret()).await?;
            Actor::new(test.app.policy.current(), &credential, Some(&staff.dpo.purpose), "test".to_owned())
        };
        let mut out = Vec::new();
        exports::contacts(&test.app, &engine, actor, exports::Format::Csv, &mut out).await.unwrap();
        assert!(String::from_utf8(out).unwrap().contains("Saatgut"));
        // What is refused.
        for query in [
            "{ contacts(search: \"Köhler { nodes { id } }",
            "{ contacts(search: 5, first: \"Saatgut\") { nodes { id } } }",
            "{ contacts(filter: {email: {eq: {a: \"anna@example.org\"}}}) { nodes { Saatgut } } }",
            "query($x: Int = \"Saatgut\") { contacts(first: $x) { nodes { id } } }",
            "{ contacts(after: \"Saatgut\", orderBy: [{field: NOTES, direction: ASC}]) { nodes { id } } }",
            "{ contacts(filter: {notes: {eq: \"likes tea\"}}) { nodes { id } } }",
            "{ contact(id: \"Saatgut\") { email } }",
        ] {
            let answer = client.ask(&staff.support, query).await;
            assert!(answer["errors"][0]["message"].is_string() || query.contains("(id"), "{query} {answer}");
        }
        mutate(
            &client,
            &staff.support,
            "updateContact",
            &json!({ "contactId": person(1), "email": "Seedling", "Saatgut": 1 }),
            "contact { id }",
        )
        .await;
        mutate(
            &client,
            &staff.support,
            "updateContact",
            &json!({ "contactId": person(1), "birthDate": "1984-02-29 Saatgut" }),
            "contact { id }",
        )
        .await;
        mutate(
            &client,
            &staff.dpo,
            "updateContact",
            &json!({ "contactId": person(1), "notes": "Saatgut" }),
            "contact { id }",
        )
        .await;
        let other = Caller { purpose: "anna@example.org".to_owned(), ..staff.support.clone() };
        client.ask(&other, "{ viewer { actorId } }").await;
        client
            .send(
                &staff.support,
                json!("Saatgut"),
                &[("prefer", "anna@example.org"), ("accept", "text/Saatgut")],
            )
            .await;
        client
            .send(
                &staff.support,
                json!({ "query": "Saatgut" }),
                &[("authorization", "Bearer zwk_0123456789_Saatgut0123456789")],
            )
            .await;
        // What fails: the audit log, a table, the database.
        block(&test, true).await;
        let answer = mutate(&client, &staff.support, "createContact", &new, "contact { id }").await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "AUDIT_UNAVAILABLE");
        let more = "Id,First,Last,Mail,Phone,Born\n9,Seedling,Saatgut,seedling9@example.org,,\n";
        let imported = import(&test.app, more.as_bytes(), &file()).await;
        assert!(imported.is_err(), "{imported:?}");
        block(&test, false).await;
        test.app.db.writer.execute_unprepared("ALTER TABLE contact RENAME TO gone").await.unwrap();
        for caller in [&staff.support, &staff.dpo] {
            let answer = client.ask_with(caller, all, json!({ "s": "Köhler" })).await;
            assert!(answer["errors"].is_array(), "{answer}");
        }
        let answer = mutate(&client, &staff.support, "createContact", &new, "contact { id }").await;
        assert_eq!(answer["errors"][0]["extensions"]["code"], "INTERNAL");
        test.app.db.writer.close_by_ref().await.unwrap();
        mutate(&client, &staff.support, "createContact", &new, "contact { id }").await;
        test.app.db.reader.close_by_ref().await.unwrap();
        client.ask(&staff.support, "{ viewer { actorId } }").await;
        let after = log::lines();
        assert!(after.0 > before.0 + 20, "the log was not read along: {before:?} {after:?}");
    }
    tracing::debug!("talk");
    tracing::trace!(target: "zweck::test", "talk");
    assert!(log::lines().1 >= 2, "the level is not the most talkative one");
}

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn every_line_of_a_request_names_it() {
    for World { test, client } in worlds().await {
        let support = test.caller("support", "customer_care").await;
        test.app.db.writer.execute_unprepared("ALTER TABLE contact RENAME TO gone").await.unwrap();
        let kept = Kept::default();
        let lines = tracing_subscriber::fmt()
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_env_filter(EnvFilter::new("warn,zweck=trace"))
            .with_writer(kept.clone())
            .finish();
        // This test has one thread, the tasks of its requests included.
        let guard = tracing::subscriber::set_default(lines);
        let input = json!({ "familyName": "X", "source": { "name": "call" }, "ground": { "purpose": "customer_care" } });
        let answers = [
            client.ask(&support, "{ contacts { nodes { id } } }").await,
            mutate(&client, &support, "createContact", &input, "contact { id }").await,
            client.ask(&support, "{ contacts { nodes { notes } } }").await,
        ];
        drop(guard);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let named = |line: &Value| {
            let id = line["request_id"].as_str().or(line["span"]["request_id"].as_str());
            id.unwrap_or_else(|| panic!("{line}")).to_owned()
        };
        for answer in &answers {
            let id = answer["errors"][0]["extensions"]["requestId"].as_str().unwrap();
            assert!(lines.iter().filter(|line| named(line) == id).count() >= 2, "{answer}\n{text}");
        }
        assert!(
            lines.iter().any(|line| line["level"] == "ERROR" && line["message"] == "internal error"),
            "{text}"
        );
    }
}

/// The address of a database may hold a password, and what connects tells of itself in spans.
#[tokio::test]
async fn the_password_of_the_database_is_not_told() {
    let Some(database) = crate::support::database::TestDatabase::postgres().await else { return };
    let kept = Kept::default();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new("trace"))
        .with_span_events(FmtSpan::NEW)
        .with_writer(kept.clone())
        .finish();
    let guard = tracing::subscriber::set_default(lines);
    // The server of the tests asks for none, and takes any.
    let url = database.url.replace("postgres@", "postgres:hunter2@");
    assert!(url.contains("hunter2"));
    let db = zweck::db::Db::connect(&url, 2).await.unwrap();
    db.reader.ping().await.unwrap();
    let elsewhere = "postgres://postgres:hunter2@127.0.0.1:1/none";
    let error = zweck::db::Db::connect(elsewhere, 2).await.map(drop).unwrap_err();
    let invalid = zweck::db::Db::connect("postgres://u:hunter2@h:port/d", 2).await.map(drop).unwrap_err();
    drop(guard);
    let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("ConnectOptions"), "connecting told nothing: {text}");
    for told in [text, format!("{error} {error:?}"), format!("{invalid} {invalid:?}")] {
        assert!(!told.contains("hunter2"), "{told}");
    }
}

/// Says to the child that it shall talk.
const TALK: &str = "ZWECK_TEST_TALK";

/// Not a test of its own: what runs in the process that tells too much.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "told by the test that starts this process")]
async fn child() {
    let Ok(what) = std::env::var(TALK) else { return };
    let _ = crate::support::database::TestDatabase::sqlite().await;
    tracing::trace!(target: "sqlx::query", what, "a statement with its values");
}

/// Whoever logs a value ends the whole test run, with the line.
#[test]
fn a_line_that_tells_a_value_ends_the_run() {
    use std::os::unix::process::ExitStatusExt;
    for (what, aborts) in
        [("anna@example.org", true), ("zwk_0123456789ab_0123456789", true), ("SELECT $1", false)]
    {
        let done = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["logs::child", "--exact"])
            .env(TALK, what)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.signal() == Some(6), aborts, "{what}: {told}");
        assert_eq!(told.contains("a line of the log tells"), aborts, "{told}");
    }
}
