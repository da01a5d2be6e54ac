//! Keys that cannot be opened, and entries that lack a key: every command that looks says so, and what to do.

use std::path::Path;

use entity::subject_key;
use sea_orm::{ActiveValue::Set, ConnectionTrait, DbBackend, EntityTrait};
use serde_json::{Value, json};
use uuid::Uuid;
use zweck::{audit, base::error::Code, crypto::master_keys::MasterKeys, db::Db};

use crate::{
    keys::{command, literal, server},
    reads::{World, worlds},
    support::{
        app::TestApp,
        dump::number,
        process::{IMPORT, Server, run, text},
    },
    writes::{Staff, mutate, person},
};

const OLD: [u8; 32] = [7; 32];

/// A no, by which all keys of the installation are made, and a change of a person.
async fn written(test: &TestApp, client: &crate::support::client::Client) {
    let staff = Staff::of(test).await;
    let no = json!({ "email": "weg@example.com", "purpose": "direct_marketing" });
    let answer = mutate(client, &staff.consent, "recordObjection", &no, "objections { id }").await;
    assert!(answer.get("errors").is_none(), "{answer}");
    let change = json!({ "contactId": person(1), "jobTitle": "Chefin" });
    let answer = mutate(client, &staff.support, "updateContact", &change, "contact { id }").await;
    assert!(answer.get("errors").is_none(), "{answer}");
}

fn told(test: &TestApp) -> (Option<i32>, Value) {
    let (status, said, error) = command(test, true, &["keys", "status", "--format", "json"]);
    (status, serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{error}")))
}

/// Each command that needs the keys of the installation says which cannot be opened; an operator may have new ones made.
#[tokio::test]
async fn a_bent_key_of_the_installation_is_told_and_made_anew() {
    for World { test, client } in worlds().await {
        written(&test, &client).await;
        for name in ["links", "suppression", "signing", "lookups"] {
            let bend = format!("UPDATE subject_key SET wrapped = 'bent' WHERE category = '{name}'");
            let bent = test.app.db.writer.execute_unprepared(&bend).await.unwrap().rows_affected();
            assert_eq!(bent, 1, "{name}");
            let error = server(&test, MasterKeys::new(OLD)).await.err().unwrap();
            assert_eq!(error.code, Code::BadUserInput);
            for arguments in [["token", "list"], ["keys", "rotate"]] {
                let (status, _, said) = command(&test, true, &arguments);
                assert_eq!(status, Some(2), "{arguments:?}: {said}");
                assert!(said.contains(name) && said.contains("zweck keys remake --accept-loss"), "{said}");
                assert!(!said.contains("internal error"), "{said}");
            }
            let (status, told) = told(&test);
            assert_eq!((status, &told["closedInstallationKeys"]), (Some(1), &json!([name])), "{told}");
            let (status, said, error) = command(&test, true, &["keys", "remake", "--accept-loss"]);
            assert_eq!(
                (status, said.as_str()),
                (Some(0), format!("made anew: {name}\n").as_str()),
                "{error}"
            );
            let (status, said, _) = command(&test, true, &["keys", "status"]);
            assert_eq!(status, Some(0), "{said}");
            assert!(server(&test, MasterKeys::new(OLD)).await.is_ok());
        }
        let (status, _, said) = command(&test, true, &["keys", "remake", "--accept-loss"]);
        assert!(status == Some(2) && said.contains("nothing was changed"), "{said}");
        // One that is wrapped by a master key which is not known is another case.
        let db = &test.app.db.writer;
        db.execute_unprepared(match test.app.db.backend() {
            DbBackend::Postgres => "DROP TRIGGER subject_key_in_use ON subject_key",
            _ => "DROP TRIGGER subject_key_in_use_update",
        })
        .await
        .unwrap();
        let foreign = "UPDATE subject_key SET wrapped_by = 'feedfeedfeedfeed' WHERE category = 'links'";
        db.execute_unprepared(foreign).await.unwrap();
        let error = server(&test, MasterKeys::new(OLD)).await.err().unwrap();
        assert!(error.message.contains("feedfeedfeedfeed, which is not known here"), "{error}");
    }
}

/// A server does not start with such a key, and whoever asks before learns of it.
#[tokio::test]
async fn a_server_with_a_bent_key_says_what_to_do() {
    let mut server = Server::start(&[]).await;
    server.terminate();
    assert_eq!(server.ended().await, Some(0));
    let path = server.directory.path();
    change(&path.join("zweck.db"), "UPDATE subject_key SET wrapped = 'bent' WHERE category = 'suppression'")
        .await;
    std::fs::copy(path.join("zweck.db"), path.join("backup.db")).unwrap();
    for arguments in [&["serve"][..], &["config", "check", "--online"], &["restore", "backup.db", "--check"]]
    {
        let output = run(path, &[], arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains("opened: suppression") && said.contains("keys remake --accept-loss"), "{said}");
        assert!(!said.contains("internal error"), "{said}");
    }
}

/// Keys of persons are opened, each of them; so are entries, whose keys may be gone.
#[tokio::test]
async fn keys_and_entries_that_cannot_be_opened_are_counted() {
    for World { test, client } in worlds().await {
        written(&test, &client).await;
        let (status, before) = told(&test);
        assert_eq!(
            (status, &before["closedKeys"], &before["closedEntries"], &before["endedEntries"]),
            (Some(0), &json!(0), &json!(0), &json!(0)),
            "{before}"
        );
        // More than are looked at together.
        let bent: Vec<subject_key::ActiveModel> = (0..1_100)
            .map(|number| subject_key::ActiveModel {
                subject_id: Set(Uuid::from_u128(number + 1)),
                category: Set("identity".to_owned()),
                generation: Set(0),
                wrapped: Set("bent".to_owned()),
                wrapped_by: Set(test.app.keys.key_id().unwrap()),
                created_at: Set(test.app.now()),
            })
            .collect();
        for rows in bent.chunks(100) {
            let rows = subject_key::Entity::insert_many(rows.iter().cloned());
            rows.exec_without_returning(&test.app.db.writer).await.unwrap();
        }
        let of_anna = format!("subject_id = {}", literal(&test, 1));
        let bend = format!("UPDATE subject_key SET wrapped = 'bent' WHERE {of_anna}");
        let own = test.app.db.writer.execute_unprepared(&bend).await.unwrap().rows_affected();
        assert!(own > 0);
        let (status, found) = told(&test);
        assert_eq!((status, &found["closedKeys"]), (Some(1), &json!(1_100 + own)), "{found}");
        let closed = found["closedEntries"].as_u64().unwrap();
        assert!(closed > 0, "{found}");
        let (_, said, _) = command(&test, true, &["keys", "status"]);
        assert!(said.contains(&format!("{closed} entries of the audit log lack a key")), "{said}");
        // Given up, they stand in nobody's way; what they sealed stays closed, and is told.
        let (status, said, error) = command(&test, true, &["keys", "remake", "--accept-loss"]);
        assert_eq!(status, Some(0), "{error}");
        assert!(said.contains(&format!("given up: {} keys of persons", 1_100 + own)), "{said}");
        assert_eq!(
            number(&test.app.db.reader, "SELECT COUNT(*) FROM subject_key WHERE wrapped = 'bent'").await,
            0
        );
        let (status, found) = told(&test);
        assert_eq!(
            (status, &found["closedKeys"], found["closedEntries"].as_u64()),
            (Some(0), &json!(0), Some(closed)),
            "{found}"
        );
        written(&test, &client).await;
        // Of those who are there no more keys are destroyed on purpose.
        let erase = format!("UPDATE contact SET state = 'ERASED' WHERE id = {}", literal(&test, 1));
        test.app.db.writer.execute_unprepared(&erase).await.unwrap();
        let (_, found) = told(&test);
        assert_eq!(
            (found["closedEntries"].as_u64(), found["endedEntries"].as_u64()),
            (Some(0), Some(closed)),
            "{found}"
        );
    }
}

/// A backup whose keys cannot be opened, or are not there, is none to rely on.
#[tokio::test]
async fn a_backup_without_its_keys_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let done = |arguments: &[&str]| {
        let output = run(path, &[], arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    };
    done(&["migrate"]);
    std::fs::write(path.join("a.csv"), "Id,First\n1,Anna\n").unwrap();
    done(&IMPORT.split_whitespace().collect::<Vec<_>>());
    let nobody = "x'00000000000000000000000000000000'";
    for (name, statement, says) in [
        (
            "bent.db",
            format!("UPDATE subject_key SET wrapped = 'bent' WHERE subject_id <> {nobody}"),
            "keys cannot be opened",
        ),
        (
            "gone.db",
            format!("DELETE FROM subject_key WHERE subject_id <> {nobody}"),
            "lack a key that opens them",
        ),
    ] {
        done(&["backup", name]);
        done(&["restore", name, "--check"]);
        change(&path.join(name), &statement).await;
        let checked = run(path, &[], &["restore", name, "--check"]);
        let said = text(&checked.stderr);
        assert_eq!(checked.status.code(), Some(1), "{name}: {said}");
        assert!(said.contains(says) && !said.contains("internal error"), "{name}: {said}");
    }
}

async fn change(file: &Path, statement: &str) {
    let db = Db::connect(&format!("sqlite://{}", file.display()), 1).await.unwrap();
    assert!(db.writer.execute_unprepared(statement).await.unwrap().rows_affected() > 0, "{statement}");
    db.close().await.unwrap();
}

/// What is owed moves to the log though some of it is refused, and more of it in a row than other work goes on past.
#[tokio::test]
async fn entries_that_the_log_refuses_hold_up_no_other() {
    use crate::writes::door::block;
    const OWED: &str = "SELECT COUNT(*) FROM audit_owed";
    for World { test, client } in worlds().await {
        let (db, staff) = (&test.app.db.writer, Staff::of(&test).await);
        audit::installation_keys(&test.app).await.unwrap();
        block(&test, true).await;
        for number in 0..12 {
            let no = json!({ "email": format!("weg-{number}@example.com"), "purpose": "direct_marketing" });
            let answer = mutate(&client, &staff.consent, "recordObjection", &no, "objections { id }").await;
            assert_eq!(answer["errors"][0]["extensions"]["outcome"], "DONE", "{answer}");
        }
        block(&test, false).await;
        let owed = number(db, OWED).await;
        assert!(owed >= 12, "{owed}");
        // The first eight of them are refused.
        let mark = "UPDATE audit_owed SET actor = 'refused' WHERE id IN (SELECT id FROM audit_owed ORDER BY id LIMIT 8)";
        assert_eq!(db.execute_unprepared(mark).await.unwrap().rows_affected(), 8);
        db.execute_unprepared(match test.app.db.backend() {
            DbBackend::Postgres => "ALTER TABLE audit_entry ADD CONSTRAINT refused CHECK (actor <> 'refused') NOT VALID",
            _ => "CREATE TRIGGER refused BEFORE INSERT ON audit_entry WHEN NEW.actor = 'refused' BEGIN SELECT RAISE(ABORT, 'no'); END",
        })
        .await
        .unwrap();
        assert!(audit::write_deferred_entries(&test.app).await.is_err(), "what was passed over is told");
        assert_eq!(number(db, OWED).await, 8);
        db.execute_unprepared(match test.app.db.backend() {
            DbBackend::Postgres => "ALTER TABLE audit_entry DROP CONSTRAINT refused",
            _ => "DROP TRIGGER refused",
        })
        .await
        .unwrap();
        assert_eq!(audit::write_deferred_entries(&test.app).await.unwrap(), 8);
        assert_eq!(number(db, OWED).await, 0);
    }
}

/// Sign-ups and links that cannot be deleted hold up no others.
#[tokio::test]
async fn sign_ups_that_cannot_be_deleted_hold_up_no_other() {
    use entity::sign_up;
    for World { test, .. } in worlds().await {
        let db = &test.app.db.writer;
        for number in 0..10_u128 {
            let row = sign_up::ActiveModel {
                id: Set(Uuid::from_u128(number + 1)),
                contact_id: Set(None),
                address: Set(format!("{}-{number}@example.org", if number < 7 { "stuck" } else { "free" })),
                address_key: Set(String::new()),
                given_name: Set(None),
                family_name: Set(None),
                language: Set("de".to_owned()),
                source: Set("page".to_owned()),
                recorded_by: Set("test".to_owned()),
                choices: Set("[]".to_owned()),
                notice_version: Set(None),
                signed_up_at: Set(test.app.now()),
                created_at: Set(
                    test.app.now() - chrono::TimeDelta::days(400) + chrono::TimeDelta::minutes(number as i64)
                ),
            };
            sign_up::Entity::insert(row).exec_without_returning(db).await.unwrap();
        }
        let refuse: &[&str] = match test.app.db.backend() {
            DbBackend::Postgres => &[
                "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$",
                "CREATE TRIGGER refuse BEFORE DELETE ON sign_up FOR EACH ROW WHEN (OLD.address LIKE 'stuck%') EXECUTE FUNCTION refuse()",
            ],
            _ => &[
                "CREATE TRIGGER refuse BEFORE DELETE ON sign_up WHEN OLD.address LIKE 'stuck%' BEGIN SELECT RAISE(ABORT, 'no'); END",
            ],
        };
        for statement in refuse {
            db.execute_unprepared(statement).await.unwrap();
        }
        assert!(
            zweck::domain::signups::delete_expired(&test.app).await.is_err(),
            "what was passed over is told"
        );
        assert_eq!(number(db, "SELECT COUNT(*) FROM sign_up").await, 7);
    }
}
