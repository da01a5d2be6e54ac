//! The page for people: served where it is switched on, from this server alone, and as a person uses it in a browser.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, StatusCode},
    response::Response,
};
use serde_json::json;
use tower::ServiceExt;
use zweck::{
    demo,
    graphql::Pipeline,
    http::{self, Settings, graphiql},
};

use crate::{
    pages::browser::run_driver,
    support::{
        app::{TestApp, each},
        client::{Client, problems},
        skipped,
    },
};

fn router(test: &TestApp, graphiql: bool) -> Router {
    let settings = Settings { graphiql, ..Settings::default() };
    http::router(test.app.clone(), Arc::new(Pipeline::new().unwrap()), settings)
}

async fn send(router: &Router, method: Method, uri: &str) -> Response {
    let request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn text(response: Response) -> String {
    String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
}

/// What elements of the page load or lead to.
fn addresses(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    for name in [" src=\"", " href=\""] {
        for (at, _) in html.match_indices(name) {
            found.push(html[at + name.len()..].split('"').next().unwrap().to_owned());
        }
    }
    found
}

#[tokio::test]
async fn it_is_not_there_unless_switched_on() {
    let test = each().await.remove(0);
    for uri in ["/graphiql", "/graphiql/", "/graphiql/licences.md", "/graphiql/index.html"] {
        assert_eq!(send(&router(&test, false), Method::GET, uri).await.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn the_page_comes_under_a_strict_policy() {
    let test = each().await.remove(0);
    let router = router(&test, true);
    for uri in ["/graphiql", "/graphiql/"] {
        let page = send(&router, Method::GET, uri).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
        assert_eq!(header(&page, "cache-control"), "no-store");
        assert_eq!(header(&page, "x-content-type-options"), "nosniff");
        assert_eq!(header(&page, "referrer-policy"), "no-referrer");
        assert_eq!(header(&page, "cross-origin-opener-policy"), "same-origin");
        assert_eq!(header(&page, "x-request-id").len(), 36);
        let policy: Vec<&str> = header(&page, "content-security-policy").split("; ").collect();
        assert_eq!(
            policy,
            [
                "default-src 'none'",
                "script-src 'self'",
                "worker-src 'self'",
                "connect-src 'self'",
                "style-src 'self' 'unsafe-inline'",
                "img-src 'self' data:",
                "font-src 'self'",
                "frame-ancestors 'none'",
                "base-uri 'none'",
                "form-action 'none'",
            ]
        );
        let length: usize = header(&page, "content-length").parse().unwrap();
        let html = text(page).await;
        assert_eq!(html.len(), length);
        assert_eq!(html.contains("not in this build"), !graphiql::is_built());
        for address in addresses(&html) {
            assert!(address.starts_with("/graphiql/") || address.starts_with("data:"), "{address}");
        }
        let head = send(&router, Method::HEAD, uri).await;
        assert_eq!((head.status(), header(&head, "content-length")), (StatusCode::OK, &*length.to_string()));
        assert_eq!(text(head).await, "");
        assert_eq!(send(&router, Method::POST, uri).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}

#[tokio::test]
async fn files_are_served_by_their_name_alone() {
    let test = each().await.remove(0);
    let router = router(&test, true);
    for uri in [
        "/graphiql/../Cargo.toml",
        "/graphiql/../../Cargo.toml",
        "/graphiql/..%2f..%2fCargo.toml",
        "/graphiql/%2e%2e/%2e%2e/Cargo.toml",
        "/graphiql/..%5c..%5cCargo.toml",
        "/graphiql/assets/../../package.json",
        "/graphiql/%2fetc%2fpasswd",
        "/graphiql//etc/passwd",
        "/graphiql/assets",
        "/graphiql/assets/",
        "/graphiql/index.html",
        "/graphiql/%00",
        "/graphiql/%ff",
        "/graphiqlx",
    ] {
        let response = send(&router, Method::GET, uri).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{uri}");
        assert_eq!(header(&response, "cache-control"), "no-store");
    }
    if !graphiql::is_built() {
        return absent("the page is not in this build; to have it: cd web && npm ci && npm run build");
    }
    let html = text(send(&router, Method::GET, "/graphiql").await).await;
    let assets: Vec<String> =
        addresses(&html).into_iter().filter(|address| address.contains("/assets/")).collect();
    assert!(assets.len() >= 2, "{html}");
    for uri in &assets {
        let file = send(&router, Method::GET, uri).await;
        assert_eq!(file.status(), StatusCode::OK, "{uri}");
        assert_eq!(header(&file, "cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(header(&file, "vary"), "accept-encoding");
        assert_eq!(header(&file, "x-content-type-options"), "nosniff");
        assert!(
            header(&file, "content-security-policy").starts_with("default-src 'none'; script-src 'self'")
        );
        let expected = if uri.ends_with(".js") { "text/javascript" } else { "text/css" };
        assert_eq!(header(&file, "content-type"), format!("{expected}; charset=utf-8"));
        let head = send(&router, Method::HEAD, uri).await;
        assert_eq!((head.status(), text(head).await), (StatusCode::OK, String::new()));
        let request =
            Request::get(uri.as_str()).header("accept-encoding", "gzip").body(Body::empty()).unwrap();
        let small = router.clone().oneshot(request).await.unwrap();
        assert_eq!(header(&small, "content-encoding"), "gzip");
        let small = to_bytes(small.into_body(), usize::MAX).await.unwrap();
        assert!(small.len() < text(file).await.len());
    }
    let licences = send(&router, Method::GET, "/graphiql/licences.md").await;
    assert_eq!(header(&licences, "content-type"), "text/plain; charset=utf-8");
    let licences = text(licences).await;
    for shipped in
        ["## graphiql - ", "## react-dom - ", "## monaco-editor - ", "THIRD-PARTY SOFTWARE NOTICES"]
    {
        assert!(licences.contains(shipped), "{shipped} is missing");
    }
}

/// The queries that the page offers are queries of this schema, and each is answered for somebody.
#[tokio::test]
async fn its_examples_are_answered() {
    let test = each().await.remove(0);
    demo::seed(&test.app, 20).await.unwrap();
    let client = Client::of(&test);
    let officer = test.caller("dpo", "rights_fulfilment").await;
    let directory = root().join("web/src/examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let query = std::fs::read_to_string(&path).unwrap();
        client.data(&officer, &query).await;
        seen += 1;
        if path.ends_with("contacts.graphql") {
            let support = test.caller("support", "customer_care").await;
            assert_eq!(problems(&client.ask(&support, &query).await), ["FORBIDDEN_FIELD Contact.notes"]);
        }
    }
    assert!(seen >= 7);
}

#[test]
fn packages_come_from_the_registry_in_exact_versions() {
    for directory in ["web", "tests/browser"] {
        let lock = std::fs::read_to_string(root().join(directory).join("package-lock.json")).unwrap();
        let lock: serde_json::Value = serde_json::from_str(&lock).unwrap();
        for (name, package) in
            lock["packages"].as_object().unwrap().iter().filter(|(name, _)| !name.is_empty())
        {
            let resolved = package["resolved"].as_str().unwrap_or_default();
            assert!(
                resolved.starts_with("https://registry.npmjs.org/"),
                "{directory}: {name} comes from `{resolved}`; to repair: npm install --ignore-scripts \
                 --omit-lockfile-registry-resolved=false --registry=https://registry.npmjs.org/"
            );
            assert!(package["integrity"].as_str().unwrap().starts_with("sha512-"), "{directory}: {name}");
        }
        for group in ["dependencies", "devDependencies"] {
            for (name, version) in lock["packages"][""][group].as_object().into_iter().flatten() {
                let version = version.as_str().unwrap();
                assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{directory}: {name} {version}");
            }
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Skips, unless whoever runs the tests says that a browser is there.
#[expect(clippy::disallowed_methods, reason = "the environment tells what must not be skipped")]
fn absent(reason: &str) {
    assert!(std::env::var("ZWECK_REQUIRE_BROWSER").is_err(), "ZWECK_REQUIRE_BROWSER is set, but {reason}");
    skipped(&format!("GraphiQL in a browser: {reason}"));
}

fn chromium() -> Option<PathBuf> {
    let known = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
    known.iter().map(PathBuf::from).find(|path| path.exists())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_uses_it_in_a_browser() {
    if !graphiql::is_built() {
        return absent("the page is not in this build; to have it: cd web && npm ci && npm run build");
    }
    let Some(executable) = chromium() else { return absent("there is no Chromium") };
    let driver = root().join("tests/browser");
    if !driver.join("node_modules/playwright-core").is_dir() {
        return absent(
            "its driver is not installed; to have it: cd tests/browser && npm ci --ignore-scripts",
        );
    }
    if Command::new("node").arg("--version").stdout(Stdio::null()).status().is_err() {
        return absent("there is no Node.js");
    }
    let test = each().await.remove(0);
    let made = demo::seed(&test.app, 120).await.unwrap();
    let token = |role: &str| {
        let found = made.tokens.iter().find(|token| token.role == role).unwrap();
        found.token.expose_secret().to_owned()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shutdown = http::Shutdown::on(async {
        let _ = stopped.await;
    });
    let server = tokio::spawn(http::serve(
        listener,
        router(&test, true),
        shutdown,
        std::time::Duration::from_secs(30),
    ));
    let pictures = root().join("target/graphiql");
    std::fs::create_dir_all(&pictures).unwrap();
    let input = json!({
        "url": url, "executable": executable, "pictures": pictures,
        "tokens": {
            "support": token("support"), "marketing": token("marketing"), "auditor": token("auditor"),
            "privacy_desk": token("privacy_desk"), "admin": token("admin"),
        },
    });
    let driven = tokio::task::spawn_blocking(move || run_driver("graphiql.mjs", &driver, &input)).await;
    stop.send(()).unwrap();
    server.await.unwrap().unwrap();
    driven.unwrap();
}
