//! The client that pages in browsers use, npm's `graphql-ws`, follows requests until its credential ends.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::sync::mpsc;
use zweck::http::SocketLimits;

use crate::{
    reads::worlds,
    sockets::{Server, open_request},
    support::{client::Caller, skipped},
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/graphql-ws");
const QUERY: &str = "subscription { requestChanged { id note contact { familyName } } }";

/// The packages of the lock file, installed beside a copy of the client; `None`, with the reason printed, where npm is absent.
#[expect(clippy::disallowed_methods, reason = "CI says by an environment variable that npm must be there")]
fn installed() -> Option<tempfile::TempDir> {
    let directory = tempfile::tempdir().unwrap();
    for file in ["package.json", "package-lock.json", "client.mjs"] {
        std::fs::copy(Path::new(FOLDER).join(file), directory.path().join(file)).unwrap();
    }
    let npm = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(directory.path())
        .output();
    let fault = match npm {
        Ok(output) if output.status.success() => return Some(directory),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    assert!(std::env::var("ZWECK_REQUIRE_NPM").is_err(), "npm is required: {fault}");
    skipped("the client graphql-ws: npm cannot install it");
    None
}

/// A running client.
struct Following {
    child: Child,
    lines: mpsc::UnboundedReceiver<String>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Following {
    fn start(directory: &Path, server: &Server, caller: &Caller, query: &str) -> Self {
        let mut child = Command::new("node")
            .arg("client.mjs")
            .current_dir(directory)
            .env("SOCKET", format!("ws://{}/graphql", server.address))
            .env("TOKEN", caller.token.expose_secret())
            .env("PURPOSE", &caller.purpose)
            .env("QUERY", query)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).all(|line| tell.send(line).is_ok()));
        Self { child, lines }
    }

    /// The next line, if one comes in time.
    async fn line(&mut self, patience: Duration) -> Option<Value> {
        let line = tokio::time::timeout(patience, self.lines.recv()).await.ok()?;
        Some(serde_json::from_str(&line?).unwrap())
    }

    async fn hear(&mut self, kind: &str) -> Value {
        let line = self.line(Duration::from_secs(20)).await.unwrap_or_else(|| panic!("no {kind}"));
        assert_eq!(line["kind"], kind, "{line}");
        line["value"].clone()
    }
}

#[tokio::test]
async fn the_client_of_browsers_follows_until_its_credential_ends() {
    let Some(directory) = installed() else { return };
    let world = worlds().await.remove(0);
    let (test, client) = (world.test, world.client);
    let server = Server::over(&test, SocketLimits::default()).await;
    let desk = test.caller("privacy_desk", "rights_fulfilment").await;
    let new = zweck::domain::access_tokens::NewToken {
        name: "browser".to_owned(),
        roles: vec!["dpo".to_owned()],
        purposes: vec!["rights_fulfilment".to_owned(), "newsletter".to_owned()],
        fields: None,
        expires_at: test.app.now() + chrono::TimeDelta::days(1),
        recipient_id: None,
    };
    let (id, token) = test.make_token(new).await.unwrap();
    let officer = Caller { token, purpose: "rights_fulfilment".to_owned() };
    let mut following = Following::start(directory.path(), &server, &officer, QUERY);
    following.hear("connected").await;
    // The protocol does not tell when a subscription is taken up: until then nothing is told.
    let mut told = None;
    for number in 0..20 {
        open_request(&client, &desk, 1, &format!("note {number}")).await;
        told = following.line(Duration::from_secs(1)).await;
        if told.is_some() {
            break;
        }
    }
    let told = told.unwrap_or_else(|| panic!("nothing was told"));
    assert_eq!(told["kind"], "next", "{told}");
    assert_eq!(told["value"]["data"]["requestChanged"]["contact"]["familyName"], "Köhler");
    test.revoke_token(id).await.unwrap();
    let errors = following.hear("error").await;
    assert_eq!(errors[0]["extensions"]["code"], "UNAUTHENTICATED", "{errors}");
    let closed = following.hear("closed").await;
    assert_eq!(closed["code"], 4403, "{closed}");
    // What may not be followed, and who is not known.
    let newsletter = test.caller("marketing", "newsletter").await;
    let mut refused = Following::start(directory.path(), &server, &newsletter, QUERY);
    refused.hear("connected").await;
    assert_eq!(refused.hear("error").await[0]["extensions"]["code"], "FORBIDDEN");
    let mut unknown = Following::start(directory.path(), &server, &officer, QUERY);
    let mut codes = Vec::new();
    for _ in 0..2 {
        codes.push(unknown.line(Duration::from_secs(20)).await.unwrap()["value"]["code"].clone());
    }
    assert_eq!(codes, [4403, 4403]);
}

/// What is installed is what was looked at.
#[test]
fn the_packages_come_from_the_registry_of_npm_alone() {
    let lock = std::fs::read_to_string(Path::new(FOLDER).join("package-lock.json")).unwrap();
    let lock: Value = serde_json::from_str(&lock).unwrap();
    for (name, package) in lock["packages"].as_object().unwrap().iter().filter(|(name, _)| !name.is_empty()) {
        let resolved = package["resolved"].as_str().unwrap();
        assert!(resolved.starts_with("https://registry.npmjs.org/"), "{name} comes from {resolved}");
        assert!(package["integrity"].as_str().unwrap().starts_with("sha512-"), "{name}");
        assert_eq!(package["license"], "MIT", "{name}");
    }
}
