//! Master keys: the database says which is in use; servers that lack it; keys that are lost.

use std::{os::unix::fs::PermissionsExt, sync::Arc};

use chrono::TimeDelta;
use entity::audit_entry;
use sea_orm::{ConnectionTrait, EntityTrait};
use serde_json::{Value, json};
use zweck::{
    app::App,
    audit,
    base::error::{Code, Error},
    crypto::{master_keys::MasterKeys, sealing::Opener},
    db::Db,
    http::{Health, Shutdown},
    policy::PolicyHandle,
};

use crate::{
    reads::{World, worlds},
    support::{
        app::TestApp,
        client::Client,
        dump::number,
        process::{Server, run, text},
    },
    writes::{Staff, mutate, person},
};

pub const OLD: [u8; 32] = [7; 32];
pub const NEW: [u8; 32] = [8; 32];

/// Another server over the same database.
pub async fn server(test: &TestApp, keys: MasterKeys) -> Result<Arc<App>, Error> {
    let db = Db::connect(&test.url, 4).await.unwrap();
    let policy = PolicyHandle::new(test.app.policy.current());
    let app = App::new(db, policy, test.clock.clone(), keys, zweck::auth::oidc::Issuers::default());
    audit::adopt_master_key(&app).await?;
    Ok(Arc::new(app.with_pages(crate::support::app::pages())))
}

pub fn both() -> MasterKeys {
    MasterKeys::with_previous(NEW, vec![OLD])
}

pub fn hex(key: [u8; 32]) -> String {
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The program with the new key, and the old one beside it if `previous`.
fn settings(test: &TestApp, previous: bool) -> Vec<(&'static str, String)> {
    let mut settings =
        vec![("ZWECK__DATABASE__URL", test.url.clone()), ("ZWECK__SECRETS__MASTER_KEY", hex(NEW))];
    if previous {
        settings.push(("ZWECK__SECRETS__PREVIOUS_MASTER_KEY", hex(OLD)));
    }
    settings
}

pub fn command(test: &TestApp, previous: bool, arguments: &[&str]) -> (Option<i32>, String, String) {
    let settings = settings(test, previous);
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let directory = tempfile::tempdir().unwrap();
    let output = run(directory.path(), &settings, arguments);
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
}

/// How many entries hold values, and how many of those values cannot be opened.
pub async fn sealed(app: &App) -> (usize, usize) {
    let entries = audit_entry::Entity::find().all(&app.db.reader).await.unwrap();
    let subjects: std::collections::BTreeSet<_> = entries.iter().map(|entry| entry.subject_id).collect();
    let opener = Opener::load(&app.db.reader, &app.keys, subjects).await.unwrap();
    let (mut held, mut lost) = (0, 0);
    for entry in entries {
        let parts: serde_json::Map<String, Value> = serde_json::from_str(&entry.sealed).unwrap();
        let changed: Vec<String> = serde_json::from_str(&entry.changed_fields).unwrap();
        if parts.is_empty() {
            continue;
        }
        held += 1;
        let opened = opener.open(entry.id, entry.subject_id, &entry.sealed);
        lost += usize::from(!changed.iter().all(|coordinate| opened.contains_key(coordinate)));
    }
    (held, lost)
}

/// A server that was not given the new key wraps nothing under the old one any more, says that it is not ready, and takes every no.
#[tokio::test]
async fn a_server_that_lacks_the_key_in_use_writes_nothing_that_would_be_lost() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        // As at the start of a server.
        audit::installation_keys(&test.app).await.unwrap();
        let health = || Health::new(test.app.clone(), Shutdown::on(std::future::pending()));
        assert!(health().report().await.is_ready());
        let rotating = server(&test, both()).await.unwrap();
        let done = audit::rotate_master_key(&rotating, "cli:test").await.unwrap();
        assert!(done.rewrapped > 0 && done.unknown.is_empty() && done.broken == 0, "{done:?}");
        let neu = json!({ "familyName": "Neu", "source": { "name": "call" }, "ground": { "purpose": "customer_care" } });
        let answer = mutate(&client, &staff.support, "createContact", &neu, "contact { id }").await;
        assert_eq!(code(&answer), "AUDIT_UNAVAILABLE", "{answer}");
        let change = json!({ "contactId": person(1), "jobTitle": "Chefin" });
        let answer = mutate(&client, &staff.support, "updateContact", &change, "contact { id }").await;
        assert_eq!(code(&answer), "AUDIT_UNAVAILABLE", "{answer}");
        let no = json!({ "contactId": person(1), "purpose": "newsletter" });
        let answer = mutate(&client, &staff.consent, "withdrawConsent", &no, "consent { id }").await;
        assert_eq!(answer["errors"][0]["extensions"]["outcome"], "DONE", "{answer}");
        let report = health().report().await;
        assert!(!report.is_ready(), "{report:?}");
        assert_eq!(serde_json::to_value(&report).unwrap()["checks"]["keys"], "failed");
        assert_eq!(
            number(&test.app.db.reader, "SELECT COUNT(DISTINCT wrapped_by) FROM subject_key").await,
            1
        );
        // Restarted with the new key alone, as the page on operating says, it does everything.
        let restarted = server(&test, MasterKeys::new(NEW)).await.unwrap();
        let client = Client::over(restarted.clone());
        for (name, caller, input) in
            [("createContact", &staff.support, &neu), ("updateContact", &staff.support, &change)]
        {
            let answer = mutate(&client, caller, name, input, "contact { id }").await;
            assert!(answer.get("errors").is_none(), "{answer}");
        }
        audit::write_deferred_entries(&restarted).await.unwrap();
        assert_eq!(sealed(&restarted).await.1, 0);
        assert!(Health::new(restarted, Shutdown::on(std::future::pending())).report().await.is_ready());
    }
}

/// Whatever the configuration of a server calls the present key, the one of the database is in use; a running server changes over with
/// its next write.
#[tokio::test]
async fn all_servers_change_over_at_the_same_instant() {
    for World { test, .. } in worlds().await {
        let staff = Staff::of(&test).await;
        let servers = [
            server(&test, both()).await.unwrap(),
            server(&test, MasterKeys::with_previous(OLD, vec![NEW])).await.unwrap(),
        ];
        let before = servers[0].keys.key_id().unwrap();
        assert_eq!(servers[1].keys.key_id().unwrap(), before);
        audit::rotate_master_key(&server(&test, both()).await.unwrap(), "cli:test").await.unwrap();
        for app in &servers {
            let neu = json!({ "familyName": "Neu", "source": { "name": "call" }, "ground": { "purpose": "customer_care" } });
            let client = Client::over(app.clone());
            let answer = mutate(&client, &staff.support, "createContact", &neu, "contact { id }").await;
            assert!(answer.get("errors").is_none(), "{answer}");
            assert_ne!(app.keys.key_id().unwrap(), before);
        }
        assert_eq!(
            number(&test.app.db.reader, "SELECT COUNT(DISTINCT wrapped_by) FROM subject_key").await,
            1
        );
    }
}

/// A key that cannot be opened gets a successor: what was sealed before stays closed, what comes is sealed and opened.
#[tokio::test]
async fn a_key_that_cannot_be_opened_gets_a_successor() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let change = async |title: &str| {
            let input = json!({ "contactId": person(1), "jobTitle": title });
            mutate(&client, &staff.support, "updateContact", &input, "contact { jobTitle }").await
        };
        change("Chefin").await;
        let no = json!({ "contactId": person(1), "purpose": "newsletter", "channel": "EMAIL" });
        let yes = crate::writes::newsletter(1, "2026-11-01T09:00:00Z");
        let answer = mutate(&client, &staff.consent, "recordConsent", &yes, "consent { id }").await;
        assert!(answer.get("errors").is_none(), "{answer}");
        let bend =
            format!("UPDATE subject_key SET wrapped = 'bent' WHERE subject_id = {}", literal(&test, 1));
        let bent = test.app.db.writer.execute_unprepared(&bend).await.unwrap().rows_affected();
        assert!(bent > 1, "{bent}");
        for round in 0..2 {
            let answer = change(&format!("Chefin {round}")).await;
            assert!(answer.get("errors").is_none(), "{answer}");
        }
        let answer = mutate(&client, &staff.consent, "withdrawConsent", &no, "consent { status }").await;
        assert_eq!(answer["data"]["withdrawConsent"]["consent"]["status"], "WITHDRAWN", "{answer}");
        // One successor for each category that was needed, whoever needed it.
        let second = "SELECT COUNT(*) FROM subject_key WHERE generation = 1";
        let more = "SELECT COUNT(*) FROM subject_key WHERE generation > 1";
        assert!(number(&test.app.db.reader, second).await >= 2);
        assert_eq!(number(&test.app.db.reader, more).await, 0);
        let query = "{ auditLog(filter: { action: { eq: \"updateContact\" } }) { nodes { after } } }";
        let nodes = client.data(&staff.dpo, query).await["auditLog"]["nodes"].clone();
        let titles: Vec<&Value> =
            nodes.as_array().unwrap().iter().map(|node| &node["after"]["Contact.jobTitle"]).collect();
        let mut told: Vec<String> =
            titles.iter().filter_map(|title| title.as_str().map(str::to_owned)).collect();
        told.sort();
        assert_eq!(
            (told.as_slice(), titles.len()),
            (["Chefin 0".to_owned(), "Chefin 1".to_owned()].as_slice(), 3)
        );
        // A rotation leaves what it cannot open, and says so.
        let rotating = server(&test, both()).await.unwrap();
        let done = audit::rotate_master_key(&rotating, "cli:test").await.unwrap();
        assert_eq!(done.broken, bent);
    }
}

pub fn literal(test: &TestApp, number: u128) -> String {
    let id = person(number).replace('-', "");
    match test.app.db.backend() {
        sea_orm::DbBackend::Sqlite => format!("x'{id}'"),
        _ => format!("'{id}'"),
    }
}

/// A retry finds what was done also when the master key was rotated in between, and by another server.
#[tokio::test]
async fn a_retry_is_found_across_a_rotation() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let body = json!({
            "query": "mutation($input: CreateContactInput!) { createContact(input: $input) { contact { id } } }",
            "variables": { "input": { "familyName": "Neu", "source": { "name": "call" }, "ground": { "purpose": "customer_care" } } }
        });
        let send = async |client: &Client| {
            client.send(&staff.support, body.clone(), &[("idempotency-key", "key-1")]).await
        };
        let first = send(&client).await;
        assert_eq!(first.0, 200);
        assert!(first.1.contains("\"id\""), "{}", first.1);
        let during = server(&test, both()).await.unwrap();
        assert_eq!(send(&Client::over(during.clone())).await, first);
        audit::rotate_master_key(&during, "cli:test").await.unwrap();
        assert_eq!(send(&Client::over(during)).await, first);
        let contacts = "SELECT COUNT(*) FROM contact WHERE family_name = 'Neu'";
        assert_eq!(number(&test.app.db.reader, contacts).await, 1);
        // The outcome itself was sealed under the old one for a day: without that it cannot be told again, and is not done again.
        let alone = server(&test, MasterKeys::new(NEW)).await.unwrap();
        let answer: Value = serde_json::from_str(&send(&Client::over(alone)).await.1).unwrap();
        assert_eq!(code(&answer), "CONFLICT");
        assert_eq!(number(&test.app.db.reader, contacts).await, 1);
    }
}

#[tokio::test]
async fn a_foreign_master_key_is_told_with_what_to_do() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let input = json!({ "email": "weg@example.com", "purpose": "direct_marketing" });
        mutate(&client, &staff.consent, "recordObjection", &input, "objections { id }").await;
        let error = server(&test, MasterKeys::new(NEW)).await.err().unwrap();
        assert_eq!(error.code, Code::BadUserInput);
        for command_ in [["token", "list"], ["keys", "rotate"]] {
            let (status, _, said) = command(&test, false, &command_);
            assert_eq!(status, Some(2), "{said}");
            assert!(said.contains("previous_master_key"), "{said}");
            assert!(!said.contains("internal error"), "{said}");
        }
        let (status, said, error) = command(&test, false, &["keys", "status"]);
        assert_eq!(status, Some(1), "{said}{error}");
        assert!(said.contains("NOT KNOWN"), "{said}");
        let (status, said, _) = command(&test, true, &["keys", "status", "--format", "json"]);
        assert_eq!(status, Some(0), "{said}");
        let told: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((&told["whole"], &told["masterKeys"][0]["known"]), (&json!(true), &json!(true)), "{told}");
    }
}

/// A database that came back without its keys would make new ones, by which it recognises nobody.
#[tokio::test]
async fn a_database_without_its_keys_is_refused_until_they_are_restored() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let input = json!({ "email": "weg@example.com", "purpose": "direct_marketing" });
        let answer = mutate(&client, &staff.consent, "recordObjection", &input, "objections { id }").await;
        assert!(answer.get("errors").is_none(), "{answer}");
        let db = &test.app.db.writer;
        for statement in ["CREATE TABLE kept AS SELECT * FROM subject_key", "DELETE FROM subject_key"] {
            db.execute_unprepared(statement).await.unwrap();
        }
        let error = server(&test, MasterKeys::new(OLD)).await.err().unwrap();
        assert!(error.message.contains("subject_key"), "{error}");
        let fresh = App::new(
            Db::connect(&test.url, 2).await.unwrap(),
            PolicyHandle::new(test.app.policy.current()),
            test.clock.clone(),
            MasterKeys::new(OLD),
            zweck::auth::oidc::Issuers::default(),
        );
        assert!(audit::installation_keys(&fresh).await.is_err());
        assert_eq!(number(db, "SELECT COUNT(*) FROM subject_key").await, 0, "new keys stand in the way");
        // Restored it goes on.
        db.execute_unprepared("INSERT INTO subject_key SELECT * FROM kept").await.unwrap();
        let restored = server(&test, MasterKeys::new(OLD)).await.unwrap();
        assert_eq!(
            audit::installation_keys(&restored).await.unwrap().suppression,
            audit::installation_keys(&test.app).await.unwrap().suppression
        );
        // Lost for good, an operator may say so; nothing else makes new ones.
        db.execute_unprepared("DELETE FROM subject_key").await.unwrap();
        let made = audit::remake_keys(&restored, "cli:test").await.unwrap();
        assert_eq!(made, ["links", "suppression", "signing", "lookups"]);
        assert!(server(&test, MasterKeys::new(OLD)).await.is_ok());
    }
}

/// One consent that cannot be written holds up nobody else's end, and is told.
#[tokio::test]
async fn a_consent_ends_though_another_cannot_be_written() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let mut ids = Vec::new();
        for number in [1, 2, 3] {
            let mut yes = crate::writes::newsletter(number, "2026-11-01T09:00:00Z");
            yes["expiresAt"] = json!("2026-11-20T09:00:00Z");
            let answer = mutate(&client, &staff.consent, "recordConsent", &yes, "consent { id }").await;
            ids.push(
                answer["data"]["recordConsent"]["consent"]["id"]
                    .as_str()
                    .unwrap_or_else(|| panic!("{answer}"))
                    .to_owned(),
            );
        }
        let bare = ids[1].replace('-', "");
        let refuse: &[String] = &match test.app.db.backend() {
            sea_orm::DbBackend::Sqlite => vec![format!(
                "CREATE TRIGGER refuse BEFORE INSERT ON consent_event WHEN NEW.consent_id = x'{bare}' BEGIN SELECT RAISE(ABORT, 'no'); END"
            )],
            _ => vec![
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$".to_owned(),
                format!("CREATE TRIGGER refuse BEFORE INSERT ON consent_event FOR EACH ROW WHEN (NEW.consent_id = '{bare}') EXECUTE FUNCTION refuse()"),
            ],
        };
        for statement in refuse {
            test.app.db.writer.execute_unprepared(statement).await.unwrap();
        }
        test.clock.advance(TimeDelta::days(30));
        assert!(zweck::domain::consents::expire(&test.app).await.is_err(), "what was passed over is told");
        let ended = "SELECT COUNT(*) FROM consent WHERE status = 'EXPIRED' AND expires_at IS NOT NULL";
        assert!(number(&test.app.db.reader, ended).await >= 2);
        let query = format!("{{ consent(id: \"{}\") {{ status }} }}", ids[2]);
        let staff = Staff::of(&test).await;
        assert_eq!(client.data(&staff.consent, &query).await["consent"]["status"], "EXPIRED");
    }
}

#[test]
fn a_master_key_goes_to_a_file_that_nobody_else_reads() {
    let directory = tempfile::tempdir().unwrap();
    let made = run(directory.path(), &[], &["keys", "generate", "--out", "master.key"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let file = directory.path().join("master.key");
    let key = std::fs::read_to_string(&file).unwrap();
    assert!(key.len() == 65 && !text(&made.stdout).contains(key.trim()), "{}", text(&made.stdout));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let again = run(directory.path(), &[], &["keys", "generate", "--out", "master.key"]);
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), key);
}

/// A rotation is refused while a server runs that could not go on after it.
#[tokio::test]
async fn a_rotation_waits_for_servers_that_lack_the_new_key() {
    let server = Server::start(&[]).await;
    let directory = server.directory.path();
    let key = hex(rand::random());
    let settings = [
        ("ZWECK__SECRETS__MASTER_KEY", key.as_str()),
        ("ZWECK__SECRETS__PREVIOUS_MASTER_KEY", crate::support::process::KEY),
    ];
    let refused = run(directory, &settings, &["keys", "rotate"]);
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("do not know the new master key"), "{}", text(&refused.stderr));
    let status = run(directory, &settings, &["keys", "status"]);
    assert!(text(&status.stdout).contains("server  "), "{}", text(&status.stdout));
    server.terminate();
    let mut server = server;
    assert_eq!(server.ended().await, Some(0));
    let done = run(directory_of(&server), &settings, &["keys", "rotate"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
}

fn directory_of(server: &Server) -> &std::path::Path {
    server.directory.path()
}
