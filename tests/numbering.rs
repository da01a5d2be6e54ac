//! Changes of consents wait in a queue of PostgreSQL for their places: nobody waits for another, none is lost, none is told twice.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::timeout};
use zweck::{
    app::App, audit, auth::oidc::Issuers, base::clock::ManualClock, crypto::master_keys::MasterKeys, db::Db,
    jobs, policy::PolicyHandle,
};

use crate::{
    changes::{Follower, followed},
    reads::{World, worlds},
    support::{
        app::{TestApp, start},
        client::{Caller, Client},
        dump::number,
    },
    writes::{Staff, done, newsletter, person},
};

/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What waits and what is told, at one instant.
const ALL: &str =
    "SELECT (SELECT COUNT(*) FROM consent_change_queue) + (SELECT COUNT(*) FROM consent_change)";
const WAITING: &str = "SELECT COUNT(*) FROM consent_change_queue";
/// Changes that are told later than one that was queued after them for the same contact.
const DISORDERED: &str = "SELECT COUNT(*) FROM consent_change a JOIN consent_change b \
    ON b.contact_id = a.contact_id AND b.id > a.id AND b.at <= a.at";

/// The world on PostgreSQL, where there is one.
fn on_postgres(worlds: Vec<World>) -> Option<World> {
    worlds.into_iter().find(|world| world.test.url.starts_with("postgres"))
}

/// Another server over the database of `test`, whose clock is an hour behind.
async fn behind(test: &TestApp) -> Arc<App> {
    let clock = Arc::new(ManualClock::new(start() - TimeDelta::hours(1)));
    let db = Db::connect(&test.url, 4).await.unwrap();
    let policy = PolicyHandle::new(test.app.policy.current());
    Arc::new(App::new(db, policy, clock, MasterKeys::new([7; 32]), Issuers::default()))
}

/// A server that panics behind its statement with this number.
async fn falling(test: &TestApp, number: usize) -> App {
    let mut db = Db::connect(&test.url, 2).await.unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    for pool in [&mut db.writer, &mut db.reader] {
        let seen = seen.clone();
        pool.set_metric_callback(move |_| {
            assert!(seen.fetch_add(1, Ordering::SeqCst) + 1 != number, "the server falls");
        });
    }
    let policy = PolicyHandle::new(test.app.policy.current());
    App::new(db, policy, test.clock.clone(), MasterKeys::new([7; 32]), Issuers::default())
}

/// Queues `count` changes of some contacts, each with an instant of its own, in their order.
async fn queue(db: &DatabaseConnection, count: u32) {
    let sql = format!(
        "CREATE SEQUENCE IF NOT EXISTS instants; INSERT INTO consent_change_queue (contact_id, purpose_code, channel, kind, at) \
         SELECT ('00000000-0000-0000-0000-00000000000' || n % 7)::uuid, 'newsletter', 'EMAIL', \
         CASE n / 7 % 2 WHEN 0 THEN 'GRANTED' ELSE 'ENDED' END, \
         timestamptz '2026-11-02' + nextval('instants') * interval '1 second' FROM generate_series(1, {count}) n"
    );
    db.execute_unprepared(&sql).await.unwrap();
}

/// Waits until `sql` gives `expected`.
async fn until(db: &DatabaseConnection, sql: &str, expected: i64) {
    let waiting = async {
        while number(db, sql).await != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("never {expected}: {sql}"));
}

/// Restricts a contact, which ends its consents for as long, or lifts that again.
async fn restrict(client: &Client, desk: &Caller, contact: &Value) {
    let input = json!({ "contactId": contact, "limb": "A", "reason": "disputed" });
    done(client, desk, "restrictContact", input, "__typename").await;
}

async fn lift(client: &Client, desk: &Caller, contact: &Value, test: &TestApp) {
    let input = json!({ "contactId": contact, "informedAt": test.app.now().to_rfc3339() });
    done(client, desk, "liftRestriction", input, "__typename").await;
}

/// Eight write, by two servers whose clocks are an hour apart, both of which number; who follows sees what has its place alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_follows_two_servers_misses_nothing() {
    let Some(World { test, client }) = on_postgres(worlds().await) else { return };
    let (staff, other) = (Arc::new(Staff::of(&test).await), behind(&test).await);
    let (test, late) = (Arc::new(test), Client::over(other.clone()));
    let servers = [tokio::spawn(jobs::run(test.app.clone(), None)), tokio::spawn(jobs::run(other, None))];
    let partner = test.caller("partner", "newsletter").await;
    // What was in force from the beginning is told by the servers as they start.
    until(&test.app.db.writer, "SELECT COUNT(*) FROM consent_change", 5).await;
    let mut feed = Follower::default();
    assert_eq!(feed.news_now(&client, &partner).await.len(), 2);
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let input = json!({ "familyName": "Viel", "email": format!("w{writer}@example.org"), "source": { "name": "letter" } });
        let made = done(&client, &staff.desk, "createContact", input, "contact { id }").await;
        let contact = made["contact"]["id"].clone();
        let (client, late, staff, test) = (client.clone(), late.clone(), staff.clone(), test.clone());
        writers.spawn(async move {
            let mut input = newsletter(1, &test.app.now().to_rfc3339());
            input["contactId"] = contact.clone();
            done(&client, &staff.consent, "recordConsent", input, "__typename").await;
            for _ in 0..6 {
                restrict(&late, &staff.desk, &contact).await;
                lift(&client, &staff.desk, &contact, &test).await;
            }
        });
    }
    let began = Instant::now();
    while feed.told.len() < 2 + 8 * 13 {
        assert!(began.elapsed() < PATIENCE, "told of {} changes", feed.told.len());
        feed.news_now(&client, &partner).await;
    }
    writers.join_all().await;
    assert_eq!(number(&test.app.db.writer, WAITING).await, 0);
    let ids = |feed: &Follower| -> Vec<Value> { feed.told.iter().map(|node| node["id"].clone()).collect() };
    let text = |id: &Value| id.as_str().unwrap().to_owned();
    assert!(ids(&feed).iter().map(text).is_sorted());
    // Each contact by itself in the order in which it was written, or this would not come out.
    assert_eq!(feed.holding().len(), 2 + 8);
    let mut whole = Follower::default();
    whole.news_now(&client, &partner).await;
    assert_eq!(ids(&feed), ids(&whole));
    servers.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn of_one_contact_the_order_is_kept_whatever_the_clocks_say() {
    let Some(World { test, client }) = on_postgres(followed().await) else { return };
    let (staff, late) = (Staff::of(&test).await, Client::over(behind(&test).await));
    let partner = test.caller("partner", "newsletter").await;
    let mut feed = Follower::default();
    feed.news(&client, &partner).await;
    let anna = json!(person(1));
    for (round, who_numbers) in [&late, &client, &late].into_iter().enumerate() {
        // None of them has its place before the last one is written.
        restrict(&late, &staff.desk, &anna).await;
        lift(&client, &staff.desk, &anna, &test).await;
        restrict(&late, &staff.desk, &anna).await;
        assert_eq!(feed.news_now(&client, &partner).await, [""; 0], "round {round}");
        who_numbers.numbered().await;
        let told = ["ENDED 1 EMAIL", "GRANTED 1 EMAIL", "ENDED 1 EMAIL"];
        assert_eq!(feed.news_now(&client, &partner).await, told, "round {round}");
        lift(&client, &staff.desk, &anna, &test).await;
        who_numbers.numbered().await;
        assert_eq!(feed.news_now(&client, &partner).await, ["GRANTED 1 EMAIL"], "round {round}");
    }
    assert!(feed.holding().contains(&(person(1), "EMAIL".to_owned())));
}

/// A commit that takes long holds up neither those who write nor those who follow; its own change comes with the next.
#[tokio::test]
async fn a_writer_who_takes_long_keeps_nobody_waiting() {
    let Some(World { test, client }) = on_postgres(followed().await) else { return };
    let db = &test.app.db.writer;
    // The commit waits for a lock that the test has.
    let slow = format!(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN PERFORM pg_advisory_xact_lock(42); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON consent_change_queue DEFERRABLE INITIALLY DEFERRED
         FOR EACH ROW WHEN (NEW.contact_id = '{}') EXECUTE FUNCTION slow()",
        person(1)
    );
    db.execute_unprepared(&slow).await.unwrap();
    let holder = Database::connect(&test.url).await.unwrap();
    holder.execute_unprepared("BEGIN; SELECT pg_advisory_xact_lock(42)").await.unwrap();
    let staff = Staff::of(&test).await;
    let partner = test.caller("partner", "newsletter").await;
    let mut feed = Follower::default();
    feed.news(&client, &partner).await;
    let writer = {
        let (client, desk) = (client.clone(), staff.desk.clone());
        tokio::spawn(async move { restrict(&client, &desk, &json!(person(1))).await })
    };
    let stuck = "SELECT COUNT(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
                 WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted";
    until(&test.app.db.reader, stuck, 1).await;
    let others = async {
        let mut told = Vec::new();
        for contact in [7, 8] {
            let input = newsletter(contact, &test.app.now().to_rfc3339());
            done(&client, &staff.consent, "recordConsent", input, "__typename").await;
            told.extend(feed.news(&client, &partner).await);
        }
        told
    };
    let told = timeout(PATIENCE, others).await.expect("others wait for the one who takes long");
    assert_eq!(told, ["GRANTED 7 EMAIL", "GRANTED 8 EMAIL"]);
    assert!(!writer.is_finished());
    holder.execute_unprepared("COMMIT").await.unwrap();
    writer.await.unwrap();
    assert_eq!(feed.news(&client, &partner).await, ["ENDED 1 EMAIL"]);
}

/// Polls `future` so many times and lets it fall: at once, or when what it waits for has come.
async fn let_fall<F: Future>(future: F, polls: usize, at_once: bool) -> Option<F::Output> {
    let (mut future, mut left) = (pin!(future), polls);
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 && at_once => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// The server ends behind each statement, then at any instant whatever.
#[tokio::test]
async fn who_numbers_may_fall_at_any_step() {
    let Some(World { test, .. }) = on_postgres(worlds().await) else { return };
    let db = &test.app.db.writer;
    let mut queued = 0;
    for statement in 1.. {
        queue(db, 9).await;
        queued += 9;
        let falling = falling(&test, statement).await;
        let ended = tokio::spawn(async move { audit::number_changes(&falling).await }).await;
        assert_eq!(number(db, ALL).await, queued, "behind statement {statement}");
        if let Ok(numbered) = ended {
            // Whether any waits, whose turn it is, what waits, behind what, and where it goes.
            assert_eq!(statement, 6);
            assert_eq!(numbered.unwrap(), Some(u64::try_from(queued).unwrap()));
            break;
        }
        assert_eq!(number(db, WAITING).await, queued, "behind statement {statement}");
    }
    for at_once in [true, false].into_iter().cycle().take(20) {
        for polls in 1.. {
            queue(db, 9).await;
            queued += 9;
            let ended = let_fall(audit::number_changes(&test.app), polls, at_once).await;
            assert_eq!(number(db, ALL).await, queued, "after {polls} polls");
            // One that fell before may have its turn still.
            if matches!(ended, Some(Ok(Some(_)))) {
                break;
            }
        }
    }
    while audit::number_changes(&test.app).await.unwrap().is_none() {}
    assert_eq!(number(db, WAITING).await, 0);
    assert_eq!(number(db, "SELECT COUNT(DISTINCT at) FROM consent_change").await, queued);
    assert_eq!(number(db, DISORDERED).await, 0);
}

/// A server that falls silent while it is its turn has lost it some seconds later, and what it took is numbered by another.
#[tokio::test]
async fn the_turn_of_a_silent_server_ends() {
    let Some(World { test, .. }) = on_postgres(worlds().await) else { return };
    let (db, other) = (&test.app.db.writer, behind(&test).await);
    queue(db, 9).await;
    let turns = "SELECT COUNT(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
                 WHERE d.datname = current_database() AND l.locktype = 'advisory'";
    let mut silent = pin!(audit::number_changes(&other));
    while number(db, turns).await == 0 {
        let polled = poll_fn(|context| Poll::Ready(silent.as_mut().poll(context).is_ready())).await;
        assert!(!polled, "it was done before it fell silent");
    }
    assert_eq!(audit::number_changes(&test.app).await.unwrap(), None, "there is one at a time");
    let began = Instant::now();
    while audit::number_changes(&test.app).await.unwrap().is_none() {
        assert!(began.elapsed() < PATIENCE, "the turn of the silent one does not end");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!((number(db, WAITING).await, number(db, ALL).await), (0, 9));
    assert!(silent.await.is_err(), "the silent one goes on");
    assert_eq!(number(db, ALL).await, 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_servers_at_once_number_each_change_once() {
    let Some(World { test, .. }) = on_postgres(worlds().await) else { return };
    let db = &test.app.db.writer;
    let servers = [test.app.clone(), behind(&test).await];
    let (mut tasks, mut queued) = (JoinSet::new(), 0);
    // More than one batch at first, then as it comes.
    queue(db, 2_500).await;
    queued += 2_500;
    for server in servers.iter().chain(&servers) {
        let server = server.clone();
        tasks.spawn(async move {
            let (mut numbered, began) = (0, Instant::now());
            while began.elapsed() < Duration::from_secs(2) {
                numbered += audit::number_changes(&server).await.unwrap().unwrap_or_default();
                tokio::task::yield_now().await;
            }
            numbered
        });
    }
    for _ in 0..40 {
        queue(db, 21).await;
        queued += 21;
    }
    tasks.join_all().await;
    while audit::number_changes(&test.app).await.unwrap().is_none() {}
    assert_eq!((number(db, WAITING).await, number(db, ALL).await), (0, queued));
    assert_eq!(number(db, "SELECT COUNT(DISTINCT at) FROM consent_change").await, queued);
    assert_eq!(number(db, DISORDERED).await, 0);
}

/// What a command queues while no server runs waits for one; what a server queues itself is told without waiting for its beat.
#[tokio::test]
async fn a_server_numbers_what_it_finds_and_at_once_what_it_writes() {
    let Some(World { test, client }) = on_postgres(followed().await) else { return };
    let (db, staff) = (&test.app.db.writer, Staff::of(&test).await);
    let partner = test.caller("partner", "newsletter").await;
    let mut feed = Follower::default();
    feed.news(&client, &partner).await;
    let record = |number| newsletter(number, &test.app.now().to_rfc3339());
    done(&client, &staff.consent, "recordConsent", record(7), "__typename").await;
    assert_eq!(feed.news_now(&client, &partner).await, [""; 0]);
    let other = behind(&test).await;
    let late = Client::over(other.clone());
    let server = tokio::spawn(jobs::run(other, None));
    until(db, WAITING, 0).await;
    assert_eq!(feed.news_now(&client, &partner).await, ["GRANTED 7 EMAIL"]);
    // By another process, while it runs.
    done(&client, &staff.consent, "recordConsent", record(8), "__typename").await;
    until(db, WAITING, 0).await;
    assert_eq!(feed.news_now(&client, &partner).await, ["GRANTED 8 EMAIL"]);
    let mut soonest = PATIENCE;
    for _ in 0..5 {
        restrict(&late, &staff.desk, &json!(person(1))).await;
        let began = Instant::now();
        until(db, WAITING, 0).await;
        soonest = soonest.min(began.elapsed());
        lift(&client, &staff.desk, &json!(person(1)), &test).await;
        until(db, WAITING, 0).await;
    }
    assert!(soonest < Duration::from_millis(500), "told after {soonest:?}");
    // It goes on after what fails.
    let refusing = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
                    CREATE TRIGGER refuse BEFORE INSERT ON consent_change FOR EACH ROW EXECUTE FUNCTION refuse()";
    db.execute_unprepared(refusing).await.unwrap();
    restrict(&late, &staff.desk, &json!(person(7))).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    // That to events ends as well.
    assert_eq!(number(db, WAITING).await, 2);
    db.execute_unprepared("DROP TRIGGER refuse ON consent_change").await.unwrap();
    until(db, WAITING, 0).await;
    assert_eq!(feed.news_now(&client, &partner).await.last().unwrap(), "ENDED 7 EMAIL");
    assert!(!feed.holding().contains(&(person(7), "EMAIL".to_owned())));
    server.abort();
}

/// What waits is told when the migration that made the queue is taken back.
#[tokio::test]
async fn no_change_goes_with_the_queue() {
    let Some(World { test, .. }) = on_postgres(worlds().await) else { return };
    let db = &test.app.db.writer;
    queue(db, 20).await;
    while audit::number_changes(&test.app).await.unwrap().is_none() {}
    queue(db, 20).await;
    let all = Migrator::migrations();
    let place = all.iter().position(|migration| migration.name().ends_with("_queue")).unwrap();
    let back = u32::try_from(all.len() - place).unwrap();
    Migrator::down(db, Some(back)).await.unwrap();
    assert_eq!(number(db, "SELECT COUNT(DISTINCT at) FROM consent_change").await, 40);
    assert_eq!(number(db, DISORDERED).await, 0);
    Migrator::up(db, None).await.unwrap();
    assert_eq!((number(db, WAITING).await, number(db, ALL).await), (0, 40));
}
