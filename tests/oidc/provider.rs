//! Tokens of a real OpenID Connect server: npm `oidc-provider`, in a folder of its own with exact versions.

use std::{
    fs,
    io::{BufRead, BufReader, Lines, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
};

use chrono::TimeDelta;
use http_body_util::BodyExt;
use ring::hmac;
use serde_json::{Value, json};
use zweck::base::clock::{Clock, ManualClock, SystemClock};

use super::{one, takes_soon};
use crate::support::{
    client::Client,
    issuer::{encode, section},
    skipped,
};

const AUDIENCE: &str = "https://crm.example";

/// The server, a process that ends with the test.
struct Provider {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    issuer: String,
    #[expect(dead_code, reason = "the files of the server go with it")]
    directory: tempfile::TempDir,
}

impl Provider {
    /// Installs and starts it; `None`, with a reason printed, where npm is absent or reaches nothing.
    fn start() -> Option<Self> {
        let required = std::env::var_os("ZWECK_REQUIRE_NPM").is_some();
        let directory = tempfile::tempdir().unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oidc");
        for file in ["package.json", "package-lock.json", "server.mjs"] {
            fs::copy(folder.join(file), directory.path().join(file)).unwrap();
        }
        let npm = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(directory.path())
            .output();
        match npm {
            Ok(done) if done.status.success() => {}
            Ok(done) if required => panic!("npm ci: {}", String::from_utf8_lossy(&done.stderr)),
            Err(error) if required => panic!("npm: {error}"),
            _ => {
                skipped("a real OpenID Connect server needs npm and its registry");
                return None;
            }
        }
        let mut child = Command::new("node")
            .arg("server.mjs")
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut provider = Self { child, orders, answers, issuer: String::new(), directory };
        provider.issuer = provider.answer();
        assert!(provider.issuer.starts_with("http://127.0.0.1:"), "{}", provider.issuer);
        Some(provider)
    }

    /// What it says next, but for its notices.
    fn answer(&mut self) -> String {
        self.answers.by_ref().map(Result::unwrap).find(|line| !line.starts_with("oidc-provider ")).unwrap()
    }

    fn obey(&mut self, order: &str) -> String {
        writeln!(self.orders, "{order}").unwrap();
        self.answer()
    }

    fn token(&mut self, algorithm: &str, audience: &str) -> String {
        let token = self.obey(&format!("token {algorithm} {audience}"));
        assert!(token.starts_with("ey"), "{token}");
        token
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the server lists, as anybody may read it.
async fn jwks(issuer: &str) -> Value {
    let address = issuer.strip_prefix("http://").unwrap();
    let stream = hyper_util::rt::TokioIo::new(tokio::net::TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = axum::http::Request::get("/jwks").header("host", address).body(String::new()).unwrap();
    let body = sender.send_request(request).await.unwrap().into_body().collect().await.unwrap();
    serde_json::from_slice(&body.to_bytes()).unwrap()
}

#[tokio::test]
async fn a_real_server_is_understood() {
    let Some(mut provider) = Provider::start() else { return };
    let (test, clock) = (one().await, Arc::new(ManualClock::new(SystemClock.now())));
    let configured = section(&provider.issuer, "key_grace_seconds = 60\nclients = \"desk\"");
    let app = test.with_issuers_at(&configured, clock.clone());
    let client = Client::over(app.clone());
    app.issuers.refresh(app.now()).await;
    let takes = async |token: &str| takes_soon(&app, token).await;

    // Found by discovery, in every algorithm.
    for algorithm in ["ES256", "RS256", "PS256", "EdDSA"] {
        let token = provider.token(algorithm, AUDIENCE);
        let read = json!({ "query": "{ viewer { actorId roles } contacts { totalCount } }" });
        let (status, body) = client.send_bearing(&token, read, &[]).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert!(status == 200 && body.get("errors").is_none(), "{algorithm}: {body}");
        assert_eq!(body["data"]["viewer"]["roles"], json!(["support"]));
        assert_eq!(
            body["data"]["viewer"]["actorId"],
            app.issuers.actor_id("staff", "desk").unwrap().as_str()
        );
    }

    // Forgeries with what the server publishes.
    let token = provider.token("ES256", AUDIENCE);
    let parts: Vec<&str> = token.split('.').collect();
    let kid = |key: &Value| key["kid"].clone();
    let listed = jwks(&provider.issuer).await;
    for key in listed["keys"].as_array().unwrap() {
        let head = encode(json!({ "alg": "HS256", "typ": "at+jwt", "kid": kid(key) }).to_string());
        let message = format!("{head}.{}", parts[1]);
        let tag =
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.to_string().as_bytes()), message.as_bytes());
        assert!(!takes(&format!("{message}.{}", encode(tag))).await);
        let none = encode(json!({ "alg": "none", "typ": "at+jwt", "kid": kid(key) }).to_string());
        assert!(!takes(&format!("{none}.{}.", parts[1])).await);
        // The signature of one key under the name of another.
        let head = encode(json!({ "alg": key["alg"], "typ": "at+jwt", "kid": kid(key) }).to_string());
        assert_eq!(takes(&format!("{head}.{}.{}", parts[1], parts[2])).await, key["alg"] == "ES256");
    }
    assert!(takes(&token).await);
    assert!(!takes(&provider.token("ES256", "https://other.example")).await);
    let stranger = section("https://login.example.com", &format!("jwks_url = \"{}/jwks\"", provider.issuer));
    let stranger = test.with_issuers_at(&stranger, clock.clone());
    assert!(!takes_soon(&stranger, &token).await);

    // A new key counts at once, the old one as long as it is listed, and a moment longer.
    clock.advance(TimeDelta::seconds(30));
    assert_eq!(provider.obey("rotate"), "done");
    let rotated = provider.token("ES256", AUDIENCE);
    assert_ne!(rotated.split('.').next(), token.split('.').next());
    assert!(takes(&rotated).await && takes(&token).await);
    assert_eq!(provider.obey("drop"), "done");
    clock.advance(TimeDelta::minutes(10));
    app.issuers.refresh(app.now()).await;
    // Ten minutes on, every token has ended; by a clock of its own the old key would count.
    assert!(!takes(&rotated).await && !takes(&token).await);
    let now = Arc::new(ManualClock::new(SystemClock.now()));
    let anew = test.with_issuers_at(&configured, now);
    assert!(takes_soon(&anew, &rotated).await);
    assert!(!takes_soon(&anew, &token).await);
}
