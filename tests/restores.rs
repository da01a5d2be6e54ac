//! Backups and what comes back of them: whole, with its keys, its order, and what was acknowledged.

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde_json::json;
use zweck::{audit, crypto::master_keys::MasterKeys, domain::consents};

use crate::{
    keys::server,
    reads::{World, worlds},
    support::{
        client::Client,
        dump::{assert_same, dump},
        process::{IMPORT, KEY, run, text},
        skipped,
    },
    writes::{Staff, mutate, newsletter, person},
};

fn postgres(program: &str) -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let program = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()).join(program);
    program.exists().then_some(program)
}

/// Runs a program of PostgreSQL, which must succeed without a word of complaint.
fn done(program: &str, arguments: &[&str], input: Option<&[u8]>) -> Vec<u8> {
    use std::io::Write;
    let mut command = Command::new(postgres(program).unwrap());
    let mut child = command
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if let Some(input) = input {
        child.stdin.take().unwrap().write_all(input).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program}: {}", text(&output.stderr));
    output.stdout
}

/// What a dump of PostgreSQL brings back, in each of the usual ways, also in the middle of a rotation of the master key.
#[tokio::test]
async fn a_dump_comes_back_whole_in_every_way() {
    if postgres("pg_dump").is_none() {
        return skipped("a dump of PostgreSQL: no pg_dump found (pg_config --bindir)");
    }
    for World { test, client } in worlds().await {
        if !test.url.starts_with("postgres") {
            continue;
        }
        let staff = Staff::of(&test).await;
        // Of those that the world was made with.
        consents::backfill_changes(&test.app).await.unwrap();
        client.numbered().await;
        for number in [1, 2, 3] {
            let yes = newsletter(number, "2026-11-01T09:00:00Z");
            let answer = mutate(&client, &staff.consent, "recordConsent", &yes, "consent { id }").await;
            assert!(answer.get("errors").is_none(), "{answer}");
            client.numbered().await;
            let no = json!({ "contactId": person(number), "purpose": "newsletter" });
            mutate(&client, &staff.consent, "withdrawConsent", &no, "consent { id }").await;
            client.numbered().await;
        }
        // Rows in another order than that of their ids: heaps are dumped as they lie.
        use sea_orm::ConnectionTrait;
        let db = &test.app.db.writer;
        db.execute_unprepared("CLUSTER consent_change USING consent_change_contact_id_idx").await.ok();
        // A key that a rotation has not come to yet.
        let rotating = server(&test, MasterKeys::with_previous([8; 32], vec![[7; 32]])).await.unwrap();
        audit::rotate_master_key(&rotating, "cli:test").await.unwrap();
        for statement in [
            "ALTER TABLE subject_key DISABLE TRIGGER subject_key_in_use",
            "UPDATE subject_key SET wrapped_by = 'feedfeedfeedfeed' WHERE category = 'identity'",
            "ALTER TABLE subject_key ENABLE TRIGGER subject_key_in_use",
        ] {
            db.execute_unprepared(statement).await.unwrap();
        }
        let before = dump(db).await;
        let (base, _) = test.url.rsplit_once('/').unwrap();
        let ways: [(&str, &[&[&str]]); 5] = [
            ("whole", &[&[]]),
            ("schema, then data", &[&["--schema-only"], &["--data-only"]]),
            ("as statements", &[&["--schema-only"], &["--data-only", "--inserts"]]),
            ("an archive", &[&["-Fc"]]),
            ("an archive, schema, then data", &[&["-Fc", "--schema-only"], &["-Fc", "--data-only"]]),
        ];
        for (index, (way, parts)) in ways.into_iter().enumerate() {
            let name = format!("restored_{}_{index}", std::process::id());
            db.execute_unprepared(&format!("CREATE DATABASE {name}")).await.unwrap();
            let url = format!("{base}/{name}");
            for part in parts {
                let dumped = done("pg_dump", &[*part, &[test.url.as_str()]].concat(), None);
                let (program, arguments): (&str, &[&str]) = match part.contains(&"-Fc") {
                    true => ("pg_restore", &["--exit-on-error", "-d", &url]),
                    false => ("psql", &["-q", "-X", "-v", "ON_ERROR_STOP=1", &url]),
                };
                done(program, arguments, Some(&dumped));
            }
            let restored = zweck::db::Db::connect(&url, 2).await.unwrap();
            assert_same(&dump(&restored.writer).await, &before, way);
            restored.close().await.unwrap();
        }
        // What was lost is told.
        db.execute_unprepared("ALTER TABLE consent_change DISABLE TRIGGER ALL").await.unwrap();
        let yes = newsletter(1, "2026-11-02T08:00:00Z");
        let after = Client::over(rotating.clone());
        let answer = mutate(&after, &staff.consent, "recordConsent", &yes, "consent { id }").await;
        assert!(answer.get("errors").is_none(), "{answer}");
        after.numbered().await;
        assert_eq!(consents::rebuild(&rotating, "cli:test", true).await.unwrap().unrecorded, 0);
        db.execute_unprepared("DELETE FROM consent_change").await.unwrap();
        let lost = consents::rebuild(&rotating, "cli:test", true).await.unwrap();
        assert!(lost.unrecorded > 0, "{lost:?}");
        db.execute_unprepared("ALTER TABLE consent_change ENABLE TRIGGER ALL").await.unwrap();
        consents::rebuild(&rotating, "cli:test", false).await.unwrap();
        assert_eq!(consents::rebuild(&rotating, "cli:test", true).await.unwrap().unrecorded, 0);
    }
}

/// Every command leaves one whole file for its owner alone; a backup of it is one too, and says so.
#[test]
fn a_database_of_sqlite_is_one_whole_file_and_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let url = [("ZWECK__DATABASE__URL", "sqlite://crm.db")];
    let done = |settings: &[(&str, &str)], arguments: &[&str]| {
        let output = run(path, settings, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let refused = |settings: &[(&str, &str)], arguments: &[&str]| {
        let output = run(path, settings, arguments);
        assert!(!output.status.success(), "{arguments:?}");
        (output.status.code().unwrap(), text(&output.stderr))
    };
    // Nobody but who migrates makes a file.
    let (code, said) = refused(&url, &["serve"]);
    assert!(code == 2 && said.contains("zweck migrate") && !path.join("crm.db").exists(), "{said}");
    done(&url, &["migrate"]);
    std::fs::write(path.join("a.csv"), "Id,First,Mail\n1,Anna,anna@example.com\n").unwrap();
    let import: Vec<&str> = IMPORT.split_whitespace().chain(["--map", "email=Mail"]).collect();
    done(&url, &import);
    let token = ["token", "create", "--name", "t", "--role", "support", "--purpose", "customer_care"];
    done(&url, &token);
    let files = || -> BTreeMap<String, u32> {
        let entries = std::fs::read_dir(path).unwrap().map(Result::unwrap);
        let entries = entries.filter(|entry| entry.file_name().to_string_lossy().contains(".db"));
        entries
            .map(|entry| {
                let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
                (entry.file_name().to_string_lossy().into_owned(), mode)
            })
            .collect()
    };
    assert_eq!(files(), [("crm.db".to_owned(), 0o600)].into());
    // A copy of the file alone has everything.
    std::fs::copy(path.join("crm.db"), path.join("copy.db")).unwrap();
    let copied = done(&[("ZWECK__DATABASE__URL", "sqlite://copy.db")], &["token", "list"]);
    assert!(copied.contains("support"), "{copied}");
    done(&url, &["backup", "backup.db"]);
    assert_eq!(files()["backup.db"], 0o600);
    let (code, said) = refused(&url, &["backup", "backup.db"]);
    assert!(code == 2 && said.contains("not overwritten"), "{said}");
    assert!(done(&url, &["restore", "backup.db", "--check"]).contains("1 contacts"));
    let (code, said) = refused(&url, &["restore", "backup.db"]);
    assert!(code == 2 && said.contains("never overwritten"), "{said}");
    let elsewhere = [("ZWECK__DATABASE__URL", "sqlite://restored.db")];
    // SQLite would write the old log of another database into the one restored.
    std::fs::write(path.join("restored.db-wal"), b"old").unwrap();
    let (code, said) = refused(&elsewhere, &["restore", "backup.db"]);
    assert!(code == 2 && said.contains("restored.db-wal") && !path.join("restored.db").exists(), "{said}");
    std::fs::remove_file(path.join("restored.db-wal")).unwrap();
    done(&elsewhere, &["restore", "backup.db"]);
    assert_eq!(done(&elsewhere, &["token", "list"]), done(&url, &["token", "list"]));
    assert_eq!(files()["restored.db"], 0o600);
    // Whatever the mode of the backup.
    let listed = done(&url, &["token", "list"]);
    for mode in [0o644, 0o400] {
        std::fs::set_permissions(path.join("backup.db"), std::fs::Permissions::from_mode(mode)).unwrap();
        let name = format!("restored_{mode:o}.db");
        let url = format!("sqlite://{name}");
        let there = [("ZWECK__DATABASE__URL", url.as_str())];
        done(&there, &["restore", "backup.db", "--check"]);
        done(&there, &["restore", "backup.db"]);
        assert_eq!(files()[&name], 0o600);
        assert_eq!(done(&there, &["token", "list"]), listed);
    }
    // One that is damaged, cut off, none at all, or of other keys is told.
    let whole = std::fs::read(path.join("backup.db")).unwrap();
    let mut bent = whole.clone();
    let middle = bent.len() / 2;
    bent[middle..middle + 4096].fill(0xa5);
    for (name, bytes) in
        [("bent.db", bent.as_slice()), ("cut.db", &whole[..whole.len() / 2]), ("none.db", b"text")]
    {
        std::fs::write(path.join(name), bytes).unwrap();
        let (code, said) = refused(&elsewhere, &["restore", name, "--check"]);
        assert_eq!(code, 1, "{name}: {said}");
        assert!(!said.contains("internal error"), "{name}: {said}");
    }
    let other = KEY.replace('9', "8");
    let (code, said) = refused(
        &[("ZWECK__DATABASE__URL", "sqlite://crm.db"), ("ZWECK__SECRETS__MASTER_KEY", &other)],
        &["restore", "backup.db", "--check"],
    );
    assert!(code == 2 && said.contains("another master key"), "{said}");
}
