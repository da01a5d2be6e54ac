//! Limits in time and number: operations that take too long, too many at once, connections that are slow or idle.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Body,
    http::{Request, Response},
};
use http_body_util::BodyExt;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::ServiceExt;
use zweck::{
    app::App,
    base::error::{Code, Error},
    crypto::master_keys::MasterKeys,
    db::Db,
    graphql::Pipeline,
    http::{Limits, Shutdown, router, serve_within},
    policy::PolicyHandle,
};

use crate::{
    policy::shipped,
    reads::{World, worlds},
    support::{
        app::{TestApp, each},
        client::{Caller, problems},
        dump::number,
    },
};

#[tokio::test]
async fn the_database_gives_up_statements_that_read_too_long() {
    for test in each().await {
        let db = Db::connect_with_timeout(&test.url, 1, Duration::from_millis(300)).await.unwrap();
        let endless = match db.backend() {
            DbBackend::Sqlite => {
                "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT COUNT(*) FROM c"
            }
            _ => "SELECT pg_sleep(60)",
        };
        let begun = Instant::now();
        for _ in 0..2 {
            let given_up = db.reader.execute_unprepared(endless).await.unwrap_err();
            assert_eq!(Error::from(given_up).code, Code::TimedOut);
        }
        assert!(begun.elapsed() < Duration::from_secs(20));
        // The one connection there is does what comes next.
        assert_eq!(number(&db.reader, "SELECT COUNT(*) FROM contact").await, 0);
        let slow = match db.backend() {
            DbBackend::Sqlite => {
                "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 3000000) SELECT COUNT(*) FROM c"
            }
            _ => "SELECT pg_sleep(0.6)",
        };
        db.writer.execute_unprepared(slow).await.unwrap();
    }
}

/// The application over connections on which reads take a second at most.
async fn within_a_second(test: &TestApp) -> Arc<App> {
    let db = Db::connect_with_timeout(&test.url, 4, Duration::from_secs(1)).await.unwrap();
    let policy = PolicyHandle::new(shipped().await);
    let (clock, issuers) = (test.clock.clone(), zweck::auth::oidc::Issuers::default());
    Arc::new(App::new(db, policy, clock, MasterKeys::new([7; 32]), issuers))
}

fn serving(app: Arc<App>, limits: Limits) -> Router {
    router(app, Arc::new(Pipeline::with_limits(limits).unwrap()), limits)
}

async fn ask(router: &Router, caller: &Caller, query: &str) -> (Response<()>, Value) {
    let request = Request::post("/graphql")
        .header("authorization", format!("Bearer {}", caller.token.expose_secret()))
        .header("x-processing-purpose", &caller.purpose)
        .header("content-type", "application/json")
        .body(Body::from(json!({ "query": query }).to_string()));
    let (head, body) = router.clone().oneshot(request.unwrap()).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (Response::from_parts(head, ()), serde_json::from_slice(&body).unwrap())
}

/// Somebody who keeps others from writing until told to let go.
struct Lock(DatabaseConnection);

impl Lock {
    async fn on(test: &TestApp, postgres: &str) -> Self {
        let mut options = sea_orm::ConnectOptions::new(test.url.clone());
        options.max_connections(1);
        let connection = Database::connect(options).await.unwrap();
        match connection.get_database_backend() {
            DbBackend::Sqlite => connection.execute_unprepared("BEGIN IMMEDIATE").await.unwrap(),
            _ => connection.execute_unprepared(&format!("BEGIN; {postgres}")).await.unwrap(),
        };
        Self(connection)
    }

    async fn release(self) {
        self.0.execute_unprepared("COMMIT").await.unwrap();
    }
}

#[tokio::test]
async fn reads_that_take_too_long_are_given_up() {
    for World { test, .. } in worlds().await {
        // Readers of SQLite wait for nobody.
        if test.app.db.backend() == DbBackend::Sqlite {
            continue;
        }
        let router =
            serving(within_a_second(&test).await, Limits { operation_seconds: 1, ..Limits::default() });
        let caller = test.caller("dpo", "rights_fulfilment").await;
        let lock = Lock::on(&test, "LOCK TABLE contact IN ACCESS EXCLUSIVE MODE").await;
        let query = "{ viewer { actorId } contacts { nodes { id } } later: viewer { actorId } }";
        let begun = Instant::now();
        let (response, answer) = ask(&router, &caller, query).await;
        assert!(begun.elapsed() < Duration::from_secs(10));
        assert_eq!(response.status(), 200);
        assert_eq!(problems(&answer), ["TIMED_OUT -", "TIMED_OUT -"], "{answer}");
        assert!(answer["data"]["viewer"]["actorId"].is_string() && answer["data"]["contacts"].is_null());
        // The database does not go on with it either.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        assert_eq!(number(&test.app.db.writer, waiting).await, 0);
        lock.release().await;
        let (_, answer) = ask(&router, &caller, query).await;
        assert!(answer.get("errors").is_none(), "{answer}");
    }
}

const LOCK_CONTACTS: &str = "LOCK TABLE contact IN EXCLUSIVE MODE";

fn creating(name: &str) -> String {
    format!(
        "createContact(input: {{ familyName: \"{name}\", source: {{ name: \"call\" }}, ground: {{ purpose: \"customer_care\" }} }}) {{ contact {{ familyName }} }}"
    )
}

async fn made(test: &TestApp, name: &str) -> i64 {
    number(&test.app.db.writer, &format!("SELECT COUNT(DISTINCT c.id) FROM contact c JOIN audit_entry e ON e.contact_id = c.id WHERE c.family_name = '{name}'")).await
}

#[tokio::test]
async fn a_mutation_that_was_begun_is_not_cut_in_half() {
    for World { test, .. } in worlds().await {
        let router =
            serving(within_a_second(&test).await, Limits { operation_seconds: 1, ..Limits::default() });
        let caller = test.caller("support", "customer_care").await;
        // It is done late, and said so; what comes after it is not begun.
        let lock = Lock::on(&test, LOCK_CONTACTS).await;
        let query = format!("mutation {{ first: {} second: {} }}", creating("Late"), creating("Never"));
        let (answered, ()) = tokio::join!(ask(&router, &caller, &query), async {
            tokio::time::sleep(Duration::from_secs(2)).await;
            lock.release().await;
        });
        assert_eq!(answered.0.status(), 200);
        assert_eq!(answered.1["data"]["first"]["contact"]["familyName"], "Late", "{}", answered.1);
        assert_eq!(problems(&answered.1), ["TIMED_OUT -"]);
        assert_eq!(answered.1["errors"][0]["path"], json!(["second"]));
        assert_eq!((made(&test, "Late").await, made(&test, "Never").await), (1, 0));
        // It takes still longer: the answer comes before its end.
        let lock = Lock::on(&test, LOCK_CONTACTS).await;
        let (response, answer) =
            ask(&router, &caller, &format!("mutation {{ {} }}", creating("Later"))).await;
        assert_eq!(response.status(), 504, "{answer}");
        assert_eq!(problems(&answer), ["TIMED_OUT -"]);
        assert!(answer["errors"][0]["message"].as_str().unwrap().contains("will still complete"));
        lock.release().await;
        for _ in 0..100 {
            if made(&test, "Later").await == 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(made(&test, "Later").await, 1);
    }
}

#[tokio::test]
async fn too_many_operations_at_once_are_told_so() {
    for World { test, .. } in worlds().await {
        let router =
            serving(within_a_second(&test).await, Limits { concurrent_operations: 1, ..Limits::default() });
        let caller = test.caller("support", "customer_care").await;
        let lock = Lock::on(&test, LOCK_CONTACTS).await;
        let slow = tokio::spawn({
            let (router, caller) = (router.clone(), caller.clone());
            async move { ask(&router, &caller, &format!("mutation {{ {} }}", creating("Slow"))).await }
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        let begun = Instant::now();
        let asked: Vec<_> = (0..20)
            .map(|_| {
                let (router, caller) = (router.clone(), caller.clone());
                tokio::spawn(async move { ask(&router, &caller, "{ viewer { actorId } }").await })
            })
            .collect();
        for answered in asked {
            let (response, answer) = answered.await.unwrap();
            assert_eq!(response.status(), 503, "{answer}");
            assert_eq!(response.headers()["retry-after"], "1");
            assert_eq!(problems(&answer), ["OVERLOADED -"]);
        }
        assert!(begun.elapsed() < Duration::from_secs(10));
        lock.release().await;
        let (response, answer) = slow.await.unwrap();
        assert_eq!((response.status().as_u16(), answer.get("errors")), (200, None), "{answer}");
        assert_eq!(ask(&router, &caller, "{ viewer { actorId } }").await.0.status(), 200);
    }
}

/// A server on a port of its own.
async fn listening(test: &TestApp, limits: Limits) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = serving(test.app.clone(), limits);
    tokio::spawn(async move {
        serve_within(listener, router, &limits, Shutdown::default(), std::time::Duration::from_secs(30)).await
    });
    address
}

/// What comes back for `sent`, to the end of the connection.
async fn exchange(address: std::net::SocketAddr, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that has refused already may close in the midst of it.
    let _ = stream.write_all(sent).await;
    let mut told = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut told)).await.unwrap();
    String::from_utf8(told).unwrap()
}

fn viewer(token: &str) -> String {
    let body = r#"{"query":"{ viewer { actorId } }"}"#;
    format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_slow_connections_stop_nobody() {
    let test = each().await.remove(0);
    let limits = Limits { header_seconds: 5, body_seconds: 5, ..Limits::default() };
    let address = listening(&test, limits).await;
    let token = test.token(&["support"], &["customer_care"]).await;
    let open = "POST /graphql HTTP/1.1\r\nhost: x\r\n";
    let body = viewer(token.expose_secret());
    let (body, _) = body.split_at(body.len() - 10);
    let beginnings = ["", "P", "PRI * HTTP/2.0\r\n\r\n", open, body];
    let begun = Instant::now();
    let mut slow = Vec::new();
    for n in 0..1_000 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(beginnings[n % beginnings.len()].as_bytes()).await.unwrap();
        slow.push(stream);
    }
    for _ in 0..20 {
        let asked = Instant::now();
        assert!(
            exchange(address, viewer(token.expose_secret()).as_bytes()).await.starts_with("HTTP/1.1 200")
        );
        assert!(asked.elapsed() < Duration::from_secs(5));
    }
    // Each is told so, or closed, when its time is over, though it goes on to send now and then.
    for (n, stream) in slow.iter_mut().enumerate() {
        let mut told = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut told)).await;
        let _ = read.unwrap_or_else(|_| panic!("connection {n} is still open"));
        let told = String::from_utf8_lossy(&told);
        if n % beginnings.len() == 4 {
            assert!(told.starts_with("HTTP/1.1 408"), "{told}");
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_and_superfluous_connections_are_closed() {
    let test = each().await.remove(0);
    let address = listening(&test, Limits { connections: 2, header_seconds: 2, ..Limits::default() }).await;
    let token = test.token(&["support"], &["customer_care"]).await;
    // One that was served and stays, and one that says nothing.
    let mut kept = TcpStream::connect(address).await.unwrap();
    let keep = viewer(token.expose_secret()).replace("connection: close\r\n", "");
    kept.write_all(keep.as_bytes()).await.unwrap();
    let mut some = [0; 12];
    kept.read_exact(&mut some).await.unwrap();
    assert_eq!(&some, b"HTTP/1.1 200");
    let idle = TcpStream::connect(address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let told = exchange(address, b"").await;
    assert!(told.starts_with("HTTP/1.1 503") && told.contains("retry-after: 1"), "{told}");
    // Both have their time, and then there is room again.
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(15), kept.read_to_end(&mut rest)).await;
    let _ = closed.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(exchange(address, viewer(token.expose_secret()).as_bytes()).await.starts_with("HTTP/1.1 200"));
    drop(idle);
}

/// Requests whose frame is ambiguous or broken are not guessed at.
#[tokio::test(flavor = "multi_thread")]
async fn broken_frames_are_refused() {
    let test = each().await.remove(0);
    let address = listening(&test, Limits { header_seconds: 2, body_seconds: 2, ..Limits::default() }).await;
    let token = test.token(&["support"], &["customer_care"]).await;
    let good = viewer(token.expose_secret());
    let bent = |from: &str, to: &str| {
        let bent = good.replacen(from, to, 1);
        assert_ne!(bent, good);
        bent
    };
    let frames = [
        (bent("content-length: ", "content-length: 5\r\ncontent-length: "), 400),
        (bent("content-length: ", "content-length: +"), 400),
        (bent("content-length: ", "content-length: -"), 400),
        (bent("host: x", "host : x"), 400),
        (bent("host: x", "host: x\r\nx: a\0b"), 400),
        (bent("host: x", &format!("host: x\r\nx: {}", "a".repeat(200_000))), 431),
        (bent("host: x", &format!("host: x{}", "\r\nx: a".repeat(1_000))), 431),
        (bent("/graphql", &format!("/graphql?{}", "a".repeat(70_000))), 414),
        (bent("HTTP/1.1", "HTTP/9.9"), 400),
        (bent("POST", "PO ST"), 400),
        (bent("content-length: 34", "transfer-encoding: gzip"), 400),
        (bent("content-length: 34", "transfer-encoding: chunked, gzip"), 400),
        (bent("content-length: 34", "transfer-encoding: chunked"), 400),
        ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n".to_owned(), 400),
    ];
    for (frame, status) in &frames {
        let told = exchange(address, frame.as_bytes()).await;
        assert!(told.starts_with(&format!("HTTP/1.1 {status}")), "{frame:.300}: {told}");
        assert!(told.len() < 4_000 && !told.contains("200 OK"));
    }
    assert!(exchange(address, good.as_bytes()).await.starts_with("HTTP/1.1 200"));
}
