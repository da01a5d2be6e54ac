//! A primary that is lost, and the standby that takes its place: what was answered is there, and what was not is done once.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use entity::contact;
use sea_orm::{EntityTrait, QuerySelect};
use serde_json::{Value, json};
use uuid::Uuid;
use zweck::{app::App, crypto::master_keys::MasterKeys, db::Db, policy::PolicyHandle};

use crate::support::{
    app::TestApp,
    client::{Caller, Client},
    database::{Cluster, TestDatabase},
    dump::number,
};

const CREATE: &str = "mutation { createContact(input: {familyName: \"Saatgut\", source: {name: \"call\"}, ground: {purpose: \"customer_care\"}}) { contact { id } } }";
/// Who writes at once.
const WRITERS: usize = 8;
/// Writes that are answered before the primary goes.
const BEFORE: usize = 200;

/// The contact that a write has made, or what the answer says of its outcome.
async fn write(client: &Client, caller: &Caller, key: &str) -> Result<Uuid, Value> {
    let (_, body) = client.send(caller, json!({ "query": CREATE }), &[("idempotency-key", key)]).await;
    let answer: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{body}"));
    let id = answer["data"]["createContact"]["contact"]["id"].as_str();
    id.map(|id| id.parse().unwrap()).ok_or_else(|| answer["errors"][0]["extensions"].clone())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_that_the_primary_waits_for_has_all_that_was_answered() {
    let Some(mut cluster) = Cluster::own() else { return };
    let test = TestApp::over(TestDatabase::of(&cluster).await).await;
    let client = Client::of(&test);
    let support = test.caller("support", "customer_care").await;
    // The keys of the installation are made with the first.
    write(&client, &support, "the first of all").await.unwrap();
    cluster.tell("standby");
    // Sessions that write wait for it from now on, as soon as they have heard of it.
    let waits = "SELECT COUNT(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
    let begin = Instant::now();
    while number(&test.app.db.reader, waits).await == 0 {
        assert!(begin.elapsed() < Duration::from_secs(20), "nobody waits for the standby");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let answered = Arc::new(AtomicUsize::new(0));
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let (client, support, answered) = (client.clone(), support.clone(), answered.clone());
        writers.push(tokio::spawn(async move {
            let mut told = BTreeSet::new();
            for round in 0.. {
                let key = format!("write {round} of writer {writer}");
                match write(&client, &support, &key).await {
                    Ok(id) => {
                        told.insert(id);
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(outcome) => return (told, key, outcome),
                }
            }
            unreachable!()
        }));
    }
    while answered.load(Ordering::SeqCst) < BEFORE {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    cluster.tell("stop");
    let (mut told, mut open) = (BTreeSet::new(), Vec::new());
    for writer in writers {
        let (done, key, outcome) = writer.await.unwrap();
        told.extend(done);
        open.push((key, outcome));
    }
    assert!(told.len() >= BEFORE);
    cluster.tell("promote");
    let db = Db::connect(&cluster.url_of_standby("postgres"), 4).await.unwrap();
    let rows = async || {
        let ids = contact::Entity::find().select_only().column(contact::Column::Id).into_tuple::<Uuid>();
        ids.all(&db.reader).await.unwrap().into_iter().collect::<BTreeSet<Uuid>>()
    };
    let kept = rows().await;
    let lost: Vec<&Uuid> = told.difference(&kept).collect();
    assert!(lost.is_empty(), "{} of {} writes that were answered are lost", lost.len(), told.len());
    // What was not answered is found out by the same again under the same key, and done once.
    let app = App::new(
        db.clone(),
        PolicyHandle::new(crate::policy::shipped().await),
        test.clock.clone(),
        MasterKeys::new([7; 32]),
        zweck::auth::oidc::Issuers::default(),
    );
    let after = Client::over(Arc::new(app));
    let (mut found, mut made) = (0, 0);
    for (key, outcome) in &open {
        let id = write(&after, &support, key).await.unwrap();
        assert_eq!(write(&after, &support, key).await.unwrap(), id, "{outcome}");
        assert!(!told.contains(&id));
        match kept.contains(&id) {
            true => {
                let told = ["UNKNOWN", "DONE"].iter().any(|word| outcome["outcome"] == *word);
                assert!(told, "a write that was done is told as one that was not: {outcome}");
                found += 1;
            }
            false => made += 1,
        }
    }
    assert_eq!((found + made, rows().await.len()), (WRITERS, kept.len() + made));
    let entries = number(&db.reader, "SELECT COUNT(*) FROM audit_entry WHERE action = 'createContact'").await;
    assert_eq!(usize::try_from(entries).unwrap(), kept.len() + made);
}
