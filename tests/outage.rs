//! A database server that goes away and comes back: clean errors meanwhile, and no hand is needed afterwards.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, body::Body, http::Request};
use serde_json::json;
use tower::ServiceExt;
use zweck::http::{Ending, management};

use crate::support::{
    app::TestApp,
    client::{Caller, Client},
    database::{Cluster, TestDatabase},
    dump::number,
};

const CREATE: &str = "mutation { createContact(input: {familyName: \"Saatgut\", source: {name: \"call\"}, ground: {purpose: \"customer_care\"}}) { contact { id } } }";
const READ: &str = "{ contacts(first: 5) { nodes { familyName } } }";

/// Answers, whole and clean; how many of each kind.
#[derive(Default)]
struct Seen {
    done: AtomicUsize,
    failed: AtomicUsize,
    read: AtomicUsize,
}

async fn ask(client: &Client, caller: &Caller, query: &str, seen: &Seen) -> bool {
    let (status, body) = client.send(caller, json!({ "query": query }), &[]).await;
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{body}"));
    let Some(errors) = answer["errors"].as_array() else {
        assert_eq!(status, 200, "{answer}");
        let count = if query == CREATE { &seen.done } else { &seen.read };
        count.fetch_add(1, Ordering::SeqCst);
        return true;
    };
    for error in errors {
        let code = error["extensions"]["code"].as_str().unwrap();
        assert!(["INTERNAL", "AUDIT_UNAVAILABLE", "OVERLOADED"].contains(&code), "{answer}");
        assert_eq!(error["extensions"]["requestId"].as_str().unwrap().len(), 36);
        let message = error["message"].as_str().unwrap();
        assert!(
            !message.contains("SQL") && !message.contains("sqlx") && !message.contains("127.0.0.1"),
            "{message}"
        );
    }
    assert!(status == 200 || status >= 500, "{status} {answer}");
    if query == CREATE {
        seen.failed.fetch_add(1, Ordering::SeqCst);
    }
    false
}

async fn ready(router: &Router) -> u16 {
    let request = Request::get("/readyz").body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap().status().as_u16()
}

async fn until(router: &Router, status: u16) {
    let begin = Instant::now();
    while ready(router).await != status {
        assert!(begin.elapsed() < Duration::from_secs(40), "/readyz is not {status}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_may_go_and_come_back_under_load() {
    let Some(mut cluster) = Cluster::own() else { return };
    let test = TestApp::over(TestDatabase::of(&cluster).await).await;
    let client = Client::of(&test);
    let router = management(test.app.clone(), Ending::default()).unwrap();
    let support = test.caller("support", "customer_care").await;
    let (over, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Seen::default()));
    let mut load = Vec::new();
    for query in [READ, CREATE, READ, CREATE, READ, CREATE] {
        let (client, support, over, seen) = (client.clone(), support.clone(), over.clone(), seen.clone());
        load.push(tokio::spawn(async move {
            while !over.load(Ordering::SeqCst) {
                if !ask(&client, &support, query, &seen).await {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }));
    }
    for round in 1..=2 {
        until(&router, 200).await;
        let before = seen.done.load(Ordering::SeqCst);
        while seen.done.load(Ordering::SeqCst) < before + 20 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let failed = seen.failed.load(Ordering::SeqCst);
        cluster.tell("stop");
        until(&router, 503).await;
        while seen.failed.load(Ordering::SeqCst) == failed {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cluster.tell("start");
        until(&router, 200).await;
        let again = seen.done.load(Ordering::SeqCst);
        let begin = Instant::now();
        while seen.done.load(Ordering::SeqCst) < again + 20 {
            assert!(begin.elapsed() < Duration::from_secs(40), "round {round}: writing does not recover");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    over.store(true, Ordering::SeqCst);
    for client in load {
        client.await.unwrap();
    }
    // What was told as done is there. What failed may have been done where the server went between commit and answer.
    let count = async |sql| usize::try_from(number(&test.app.db.reader, sql).await).unwrap();
    let rows = count("SELECT COUNT(*) FROM contact").await;
    let (done, failed) = (seen.done.load(Ordering::SeqCst), seen.failed.load(Ordering::SeqCst));
    assert!(rows >= done && rows <= done + failed, "{rows} {done} {failed}");
    assert_eq!(rows, count("SELECT COUNT(*) FROM audit_entry WHERE action = 'createContact'").await);
}
