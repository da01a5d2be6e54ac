//! GraphQL over HTTP by the word of others: every audit of npm's graphql-http passes against a server that runs.

use std::{path::Path, process::Command, sync::Arc};

use tokio::net::TcpListener;
use zweck::{
    graphql::Pipeline,
    http::{Limits, Shutdown, router, serve_within},
};

use crate::support::{app::each, skipped};

#[expect(clippy::disallowed_methods, reason = "CI says by an environment variable that npm must be there")]
fn required() -> bool {
    std::env::var("ZWECK_REQUIRE_NPM").is_ok_and(|value| value == "1")
}

/// The folder with its packages, in a copy of its own; `None`, with the reason printed, where they cannot be had.
fn packages() -> Option<tempfile::TempDir> {
    let copy = tempfile::tempdir().unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/graphql-http");
    for file in ["package.json", "package-lock.json", "audit.mjs"] {
        std::fs::copy(folder.join(file), copy.path().join(file)).unwrap();
    }
    let lock = std::fs::read_to_string(folder.join("package-lock.json")).unwrap();
    for line in lock.lines().filter(|line| line.contains("\"resolved\"")) {
        assert!(line.contains("\"https://registry.npmjs.org/"), "{line}");
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(copy.path());
    let reason = match npm.output() {
        Ok(output) if output.status.success() => return Some(copy),
        Ok(output) => format!("npm ci failed: {}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => format!("npm cannot be run: {error}"),
    };
    assert!(!required(), "{reason}");
    skipped(&format!("the audits of graphql-http: {reason}"));
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn every_audit_of_graphql_http_passes() {
    let Some(packages) = tokio::task::spawn_blocking(packages).await.unwrap() else { return };
    for test in each().await {
        let token = test.token(&["support"], &["customer_care"]).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/graphql", listener.local_addr().unwrap());
        let limits = Limits::default();
        let router = router(test.app.clone(), Arc::new(Pipeline::new().unwrap()), limits);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let server = tokio::spawn(async move {
            serve_within(listener, router, &limits, Shutdown::on(stopped), std::time::Duration::from_secs(30))
                .await
        });
        let mut node = Command::new("node");
        node.arg("audit.mjs").current_dir(packages.path());
        node.env("ZWECK_URL", url).env("ZWECK_TOKEN", token.expose_secret());
        let output = tokio::task::spawn_blocking(move || node.output()).await.unwrap().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        let faults = String::from_utf8_lossy(&output.stderr);
        assert_eq!(told, "61 of 61 audits pass\n", "{faults}");
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
    }
}
