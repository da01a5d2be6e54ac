//! A server that is told to stop loses no request that it has taken.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Barrier, mpsc},
};
use zweck::db::Db;

use crate::support::{
    dump::number,
    log::leak,
    process::{Server, get},
};

/// A connection that is kept.
struct Connection(TcpStream);

/// What came back.
#[derive(Debug, PartialEq)]
enum Came {
    /// A whole answer: status, whether it is the last one, body.
    Whole(u16, bool, String),
    /// The connection was closed before a byte of an answer.
    Closed,
    /// It broke off within an answer.
    Part(String),
}

impl Connection {
    async fn open(port: u16) -> Self {
        Self(TcpStream::connect(("127.0.0.1", port)).await.unwrap())
    }

    async fn send(&mut self, token: &str, query: &str) -> std::io::Result<()> {
        let body = serde_json::json!({ "query": query }).to_string();
        let head = format!(
            "POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.0.write_all(format!("{head}{body}").as_bytes()).await
    }

    async fn receive(&mut self) -> Came {
        let mut read = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&read).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let head = head.to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
                if body.len() >= length.parse::<usize>().unwrap() {
                    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                    return Came::Whole(status, head.contains("connection: close"), body.to_owned());
                }
            }
            match self.0.read(&mut chunk).await {
                Ok(0) | Err(_) if read.is_empty() => return Came::Closed,
                Ok(0) | Err(_) => return Came::Part(text),
                Ok(length) => read.extend_from_slice(&chunk[..length]),
            }
        }
    }
}

const CLIENTS: usize = 200;
const CREATE: &str = "mutation { createContact(input: {familyName: \"Saatgut\", source: {name: \"call\"}, ground: {purpose: \"customer_care\"}}) { contact { id } } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_requests_under_way_are_answered() {
    let mut server = Server::start(&[
        ("ZWECK__LOG__FORMAT", "json"),
        ("ZWECK__LOG__FILTER", "debug"),
        ("ZWECK__SERVER__GRACE_SECONDS", "50"),
        // All of them are under way at once: none waits to be let in, however slow the machine is.
        ("ZWECK__LIMITS__OPERATIONS", "256"),
    ])
    .await;
    let token: Arc<str> = server.token("support", "customer_care").into();
    let port = server.port;
    let connected = Arc::new(Barrier::new(CLIENTS + 1));
    let sent = Arc::new(Barrier::new(CLIENTS + 1));
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let (token, connected, sent, tell) = (token.clone(), connected.clone(), sent.clone(), tell.clone());
        clients.push(tokio::spawn(async move {
            let mut connection = Connection::open(port).await;
            connection.send(&token, "{ viewer { actorId } }").await.unwrap();
            let first = connection.receive().await;
            assert!(matches!(first, Came::Whole(200, false, _)), "{first:?}");
            connected.wait().await;
            connection.send(&token, CREATE).await.unwrap();
            sent.wait().await;
            let second = connection.receive().await;
            let at = Instant::now();
            tell.send(()).unwrap();
            // The client goes on, as it does not know: it gets an answer, or nothing at all.
            let third = match (&second, connection.send(&token, "{ viewer { actorId } }").await) {
                (Came::Whole(_, false, _), Ok(())) => connection.receive().await,
                _ => Came::Closed,
            };
            (second, third, at)
        }));
    }
    connected.wait().await;
    sent.wait().await;
    told.recv().await.unwrap();
    server.terminate();
    let stopped = Instant::now();
    // Nobody new is let in.
    while TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
        assert!(stopped.elapsed() < Duration::from_secs(20), "connections are taken still");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let refused = Instant::now();
    let unready = get(server.management, "/readyz").await;
    let (mut after, mut last) = (0, 0);
    for client in clients {
        let (second, third, at) = client.await.unwrap();
        let Came::Whole(200, closing, body) = &second else { panic!("{second:?}") };
        let answer: Value = serde_json::from_str(body).unwrap();
        assert!(answer["data"]["createContact"]["contact"]["id"].is_string(), "{answer}");
        assert!(matches!(third, Came::Closed | Came::Whole(200, ..)), "{third:?}");
        after += usize::from(at > refused);
        last += usize::from(*closing);
    }
    assert!(after > 0, "nothing was under way any more when connections were refused");
    assert!(last > 0, "no answer said that it is the last one");
    assert!(unready.is_none_or(|(status, body)| status == 503 && body.contains("stopping")));
    assert_eq!(server.ended().await, Some(0), "{}", server.log());
    assert!(stopped.elapsed() < Duration::from_secs(50));
    let db = Db::connect(&format!("sqlite://{}", server.directory.path().join("zweck.db").display()), 1)
        .await
        .unwrap();
    let rows = number(&db.reader, "SELECT COUNT(*) FROM contact").await;
    assert_eq!(rows, i64::try_from(CLIENTS).unwrap());
    let log = server.log();
    assert!(log.lines().count() > 2 * CLIENTS && log.contains("\"message\":\"stopped\""), "{log}");
    // The program itself at debug, the libraries that it has and this process has not included.
    assert_eq!(log.lines().find_map(leak), None);
    assert!(!log.contains(&*token));
}

#[tokio::test]
async fn an_idle_server_ends_at_once() {
    let mut server = Server::start(&[]).await;
    let idle = Connection::open(server.port).await;
    let stopped = Instant::now();
    server.terminate();
    assert_eq!(server.ended().await, Some(0));
    assert!(stopped.elapsed() < Duration::from_secs(10), "an idle connection held the server");
    drop(idle);
}

#[tokio::test]
async fn who_does_not_come_to_an_end_is_not_waited_for() {
    let mut server = Server::start(&[("ZWECK__SERVER__GRACE_SECONDS", "1")]).await;
    let token = server.token("support", "customer_care");
    let mut slow = TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
    // A body that never comes.
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{"
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let stopped = Instant::now();
    server.terminate();
    assert_eq!(server.ended().await, Some(0));
    assert!((1..20).contains(&stopped.elapsed().as_secs()), "{:?}", stopped.elapsed());
    assert!(server.log().contains("requests were still running"), "{}", server.log());
}
