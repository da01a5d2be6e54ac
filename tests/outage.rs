//! A database server that goes away and comes back: clean errors meanwhile, and no hand is needed afterwards.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, body::Body, http::Request};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::ServiceExt;
use zweck::{
    db::Db,
    http::{Shutdown, management},
};

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
    let router = management(test.app.clone(), Shutdown::default()).unwrap();
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

/// What becomes of the next commit that comes by.
const LET_THROUGH: u8 = 0;
/// It reaches the database, whose answer is lost.
const LOSE_THE_ANSWER: u8 = 1;
/// It reaches nobody.
const LOSE_THE_COMMIT: u8 = 2;

/// A way to the database that loses a commit, or the answer to one, when it is told to.
struct Lossy {
    address: std::net::SocketAddr,
    next: Arc<AtomicU8>,
}

impl Lossy {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, next) = (listener.local_addr().unwrap(), Arc::new(AtomicU8::new(LET_THROUGH)));
        let told = next.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                tokio::spawn(carry(client, server, told.clone()));
            }
        });
        Self { address, next }
    }
}

/// Carries bytes both ways until either end closes, or a commit is lost.
async fn carry(client: TcpStream, server: TcpStream, next: Arc<AtomicU8>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answers = tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let read = from_client.read(&mut bytes).await.unwrap_or(0);
        if read == 0 {
            break;
        }
        if bytes[..read].windows(6).any(|part| part == b"COMMIT") {
            let what = next.swap(LET_THROUGH, Ordering::SeqCst);
            if what != LET_THROUGH {
                // Nobody hears any more what the database says.
                answers.abort();
                let _ = answers.await;
                if what == LOSE_THE_ANSWER {
                    to_server.write_all(&bytes[..read]).await.unwrap();
                    // It is done before the connection is seen to be gone.
                    tokio::time::sleep(Duration::from_millis(300)).await;
                }
                return;
            }
        }
        if to_server.write_all(&bytes[..read]).await.is_err() {
            break;
        }
    }
    answers.abort();
}

/// A commit whose answer is lost may be done or not: the client is told that nobody knows, and the same again under the same key finds out
/// and does it once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_an_answer_is_told_as_that_and_done_once() {
    let Some(direct) = TestDatabase::postgres().await else { return };
    let (start, name) = direct.url.rsplit_once('/').unwrap();
    let lossy = Lossy::to(start.rsplit(':').next().unwrap().parse().unwrap()).await;
    let url = format!("postgres://postgres@{}/{name}?sslmode=disable", lossy.address);
    let db = Db::connect(&url, 4).await.unwrap();
    let test = TestApp::over(TestDatabase { db, url, directory: None }).await;
    let client = Client::of(&test);
    let support = test.caller("support", "customer_care").await;
    let rows = async || number(&direct.db.reader, "SELECT COUNT(*) FROM contact").await;
    // The keys of the installation are made with the first, by transactions of their own.
    client.send(&support, json!({ "query": CREATE }), &[("idempotency-key", "the first of all")]).await;
    let first = rows().await;
    assert_eq!(first, 1);
    for (round, what, done) in [(1, LOSE_THE_ANSWER, 1), (2, LOSE_THE_COMMIT, 0)] {
        let key = format!("round-{round}-of-the-lost-commit");
        let headers = [("idempotency-key", key.as_str())];
        let before = rows().await;
        lossy.next.store(what, Ordering::SeqCst);
        let (status, body) = client.send(&support, json!({ "query": CREATE }), &headers).await;
        let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(lossy.next.load(Ordering::SeqCst), LET_THROUGH, "no commit came by");
        let error = &answer["errors"][0];
        assert_eq!(
            (&error["extensions"]["code"], &error["extensions"]["outcome"]),
            (&json!("INTERNAL"), &json!("UNKNOWN")),
            "{status} {answer}"
        );
        assert!(error["message"].as_str().unwrap().contains("Idempotency-Key"), "{answer}");
        assert!(answer["data"].is_null() || answer["data"]["createContact"].is_null(), "{answer}");
        // A busy server takes its time.
        let begin = Instant::now();
        while done == 1 && rows().await == before && begin.elapsed() < Duration::from_secs(20) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(rows().await, before + done, "round {round}");
        // Found out by the same again, whichever it was; and a third time.
        let mut ids = Vec::new();
        for _ in 0..2 {
            let (status, body) = client.send(&support, json!({ "query": CREATE }), &headers).await;
            let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
            let id = answer["data"]["createContact"]["contact"]["id"].as_str();
            ids.push(id.unwrap_or_else(|| panic!("{status} {answer}")).to_owned());
        }
        assert_eq!(ids[0], ids[1]);
        assert_eq!(rows().await, before + 1, "round {round}");
    }
    // Entries and rows agree.
    let entries = "SELECT COUNT(*) FROM audit_entry WHERE action = 'createContact'";
    assert_eq!(number(&direct.db.reader, entries).await, rows().await);
}
