//! Rotation of the master key beside running servers, killed at any instant.

use std::{
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, TransactionTrait};
use serde_json::{Value, json};
use zweck::{app::App, audit, crypto::master_keys::MasterKeys, db::Db};

use crate::{
    keys::{NEW, OLD, both, command, hex, sealed, server},
    reads::{World, worlds},
    support::{app::TestApp, client::Client, dump::number, process::zweck},
    writes::{Staff, mutate, person},
};

/// The order that the page on operating gives: both keys on every server, rotation, the old key away. Killed at any instant it is done
/// again; nobody who writes meanwhile is refused, and nothing is sealed under what goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_is_killed_at_any_instant_beside_two_servers_that_write() {
    for World { test, .. } in worlds().await {
        let staff = Staff::of(&test).await;
        let servers = [server(&test, both()).await.unwrap(), server(&test, both()).await.unwrap()];
        let (over, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..16_usize {
            let client = Client::over(servers[writer % 2].clone());
            let (staff, over, written) = (staff.clone(), over.clone(), written.clone());
            writers.spawn(async move {
                let mut refused = Vec::new();
                let mut round = 0;
                while !over.load(Ordering::SeqCst) {
                    round += 1;
                    let answer = write(&client, &staff, writer, round).await;
                    if answer.get("errors").is_some() {
                        refused.push(answer);
                    }
                    written.fetch_add(1, Ordering::SeqCst);
                }
                refused
            });
        }
        let rotations = killed_rotations(&test, &servers[0]).await;
        assert!(rotations.between >= 3, "{rotations:?}");
        let (status, _, said) = tokio::task::block_in_place(|| command(&test, true, &["keys", "rotate"]));
        assert_eq!(status, Some(0), "{}: {said}", test.url);
        // They go on under the new one.
        tokio::time::sleep(Duration::from_millis(300)).await;
        over.store(true, Ordering::SeqCst);
        while let Some(refused) = writers.join_next().await {
            let refused = refused.unwrap();
            assert!(refused.is_empty(), "{} were refused, e.g. {}", refused.len(), refused[0]);
        }
        assert!(written.load(Ordering::SeqCst) > 100, "{written:?} were written");
        let (status, said, error) = command(&test, false, &["keys", "status"]);
        assert_eq!((status, error.as_str()), (Some(0), ""), "{said}");
        let names = "SELECT COUNT(DISTINCT wrapped_by) FROM subject_key";
        assert_eq!(number(&test.app.db.reader, names).await, 1);
        let alone = server(&test, MasterKeys::new(NEW)).await.unwrap();
        let (held, lost) = sealed(&alone).await;
        assert!(held > 100 && lost == 0, "{lost} of {held} entries cannot be opened");
    }
}

/// What the transaction of another writer has done when the rotation takes the new master key in use.
#[derive(Clone, Copy, Debug)]
enum Writer {
    /// It began after the rotation had written, and wrote its key before the rotation ended.
    BesideTheRotation,
    /// It has written nothing: its first statement has asked which key is in use, and goes on afterwards.
    BeforeItsFirstRow,
}

/// PostgreSQL: a transaction may see the old key in use and end long after the new one is taken in use. The rotation waits for it and
/// wraps its key as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_waits_for_transactions_that_saw_the_old_key() {
    for writer in [Writer::BesideTheRotation, Writer::BeforeItsFirstRow] {
        for World { test, .. } in worlds().await {
            // SQLite has one writer.
            if test.app.db.backend() == DbBackend::Postgres {
                audit::installation_keys(&test.app).await.unwrap();
                rotate_beside_a_writer(&test, writer).await;
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "another program writes beside the rotation")]
async fn rotate_beside_a_writer(test: &TestApp, writer: Writer) {
    // Whoever asks for it waits between the question for the key in use and the first row.
    let pause = "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF current_setting('test.pause', true) = 'on' THEN PERFORM pg_advisory_xact_lock_shared(4711); END IF;
             RETURN NULL;
         END $$;
         CREATE TRIGGER z_pause BEFORE INSERT ON subject_key FOR EACH STATEMENT EXECUTE FUNCTION pause()";
    let [rotating, other] = [server(test, both()).await.unwrap(), server(test, both()).await.unwrap()];
    let (blocker, reader) = (test.app.db.writer.begin().await.unwrap(), &test.app.db.reader);
    let subject = uuid::Uuid::from_u128(rand::random());
    let key = zweck::crypto::sealing::wrap_first(
        &other.keys,
        subject,
        "identity",
        zweck::base::secret::SecretKey::random(),
        other.now(),
    );
    let writing = async |pauses: bool| {
        let transaction = other.db.writer.begin().await.unwrap();
        if pauses {
            transaction.execute_unprepared("SET LOCAL test.pause = 'on'").await.unwrap();
        }
        let rows = [key.clone().unwrap()];
        zweck::crypto::sealing::insert(&transaction, &other.keys, &rows).await.unwrap();
        transaction
    };
    let rotate = tokio::spawn({
        let (rotating, url) = (rotating.clone(), test.url.clone());
        async move {
            if matches!(writer, Writer::BeforeItsFirstRow) {
                wait_for_lock(
                    &Db::connect(&url, 1).await.unwrap().reader,
                    "locktype = 'advisory' AND objid = 4711",
                )
                .await;
            }
            audit::rotate_master_key(&rotating, "cli:test").await
        }
    });
    let transaction = match writer {
        Writer::BesideTheRotation => {
            blocker.execute_unprepared("LOCK TABLE audit_entry IN SHARE MODE").await.unwrap();
            wait_for_lock(reader, "relation = 'audit_entry'::regclass").await;
            let transaction = writing(false).await;
            blocker.rollback().await.unwrap();
            wait_until_in_use(reader, &rotating).await;
            transaction
        }
        Writer::BeforeItsFirstRow => {
            blocker.execute_unprepared(pause).await.unwrap();
            blocker.commit().await.unwrap();
            let blocker = test.app.db.writer.begin().await.unwrap();
            blocker.execute_unprepared("SELECT pg_advisory_xact_lock(4711)").await.unwrap();
            let released = async {
                wait_until_in_use(reader, &rotating).await;
                // The rotation has begun to wait by then.
                tokio::time::sleep(Duration::from_millis(300)).await;
                blocker.rollback().await.unwrap();
            };
            tokio::join!(writing(true), released).0
        }
    };
    // A rotation that does not wait is over by then.
    tokio::time::sleep(Duration::from_millis(500)).await;
    transaction.commit().await.unwrap();
    let rotated = rotate.await.unwrap().unwrap();
    let left = number(reader, "SELECT COUNT(DISTINCT wrapped_by) FROM subject_key").await;
    assert_eq!(left, 1, "{writer:?}: {rotated:?}");
}

/// Waits until somebody waits for the lock of which `lock` holds.
async fn wait_for_lock(reader: &DatabaseConnection, lock: &str) {
    let waiting = format!("SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND {lock}");
    while number(reader, &waiting).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the configured master key is in use.
async fn wait_until_in_use(reader: &DatabaseConnection, app: &App) {
    let name = app.keys.configured().unwrap();
    let in_use = format!("SELECT COUNT(*) FROM master_key WHERE name = '{name}'");
    while number(reader, &in_use).await == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// In which states rotations were killed.
#[derive(Debug, Default)]
struct Killed {
    /// Before the new key was in use.
    before: u32,
    /// With the new key in use, some batches done and some not.
    between: u32,
    /// When all was done, or in the first batch.
    other: u32,
}

/// Twenty rotations, to and fro, each killed: at any instant, or when a number of keys that was drawn is wrapped anew.
async fn killed_rotations(test: &TestApp, server: &App) -> Killed {
    const MORE: i64 = 2_500;
    let rows: Vec<_> = (0..MORE)
        .map(|_| {
            let (subject, key) =
                (uuid::Uuid::from_u128(rand::random()), zweck::base::secret::SecretKey::random());
            zweck::crypto::sealing::wrap_first(&server.keys, subject, "identity", key, server.now()).unwrap()
        })
        .collect();
    for rows in rows.chunks(500) {
        // Other writers are in the way for a moment.
        zweck::crypto::sealing::insert(&server.db.writer, &server.keys, rows).await.unwrap();
    }
    let names = [OLD, NEW].map(|key| MasterKeys::new(key).configured().unwrap());
    let under = async |name: &str| {
        let sql = format!("SELECT COUNT(*) FROM subject_key WHERE wrapped_by = '{name}'");
        number(&test.app.db.reader, &sql).await
    };
    let directory = tempfile::tempdir().unwrap();
    let mut killed = Killed::default();
    for round in 0..20 {
        let (to, from) = if round % 2 == 0 { (1, 0) } else { (0, 1) };
        let keys = [hex(OLD), hex(NEW)];
        let settings = [
            ("ZWECK__DATABASE__URL", test.url.as_str()),
            ("ZWECK__SECRETS__MASTER_KEY", keys[to].as_str()),
            ("ZWECK__SECRETS__PREVIOUS_MASTER_KEY", keys[from].as_str()),
        ];
        let (begun, left) = (under(&names[to]).await, under(&names[from]).await);
        let mut rotating = zweck(directory.path(), &settings);
        let rotating = rotating.args(["keys", "rotate"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut rotating = rotating.spawn().unwrap();
        if round % 4 < 2 {
            tokio::time::sleep(Duration::from_millis(rand::random_range(0..400))).await;
        } else {
            let wanted = begun + rand::random_range(0..=left / 3);
            // Other writers may be in the way for long.
            let until = Instant::now() + Duration::from_secs(5);
            let goes_on = |moved: i64| moved <= wanted && Instant::now() < until;
            while goes_on(under(&names[to]).await) && rotating.try_wait().unwrap().is_none() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        // It may have ended by itself.
        let _ = rotating.kill();
        tokio::task::block_in_place(|| rotating.wait().unwrap());
        let in_use = format!("SELECT COUNT(*) FROM master_key WHERE name = '{}'", names[to]);
        let in_use = number(&test.app.db.reader, &in_use).await == 1;
        // What others have written meanwhile is less than a batch.
        let (moved, rest) = (under(&names[to]).await - begun, under(&names[from]).await);
        match (in_use, moved >= 400 && rest > 0) {
            (false, _) => killed.before += 1,
            (true, true) => killed.between += 1,
            (true, false) => killed.other += 1,
        }
    }
    killed
}

async fn write(client: &Client, staff: &Staff, writer: usize, round: u64) -> Value {
    match round % 3 {
        0 => {
            let input = json!({
                "familyName": "Neu", "email": format!("neu-{writer}-{round}@example.com"),
                "source": { "name": "call" }, "ground": { "purpose": "customer_care" }
            });
            mutate(client, &staff.support, "createContact", &input, "contact { id }").await
        }
        1 => {
            let input = json!({ "email": format!("weg-{writer}-{round}@example.com"), "purpose": "direct_marketing" });
            mutate(client, &staff.consent, "recordObjection", &input, "objections { id }").await
        }
        _ => {
            let input = json!({ "contactId": person(1 + writer as u128 % 3), "purpose": "newsletter" });
            mutate(client, &staff.consent, "withdrawConsent", &input, "consent { status }").await
        }
    }
}
