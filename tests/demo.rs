//! The demo's people: plausible, the same each time, written through the audited door.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use zweck::demo;

use crate::support::{
    app::each,
    client::{Caller, Client},
    dump::number,
    process, skipped,
};

/// How `cargo demo` builds the page.
#[path = "../xtask/src/web.rs"]
#[expect(dead_code, reason = "where `web/` is does not matter here: a copy is built")]
mod web;

const PEOPLE: usize = 150;

#[tokio::test]
async fn the_demo_shows_the_point() {
    let mut seen: Vec<Vec<Value>> = Vec::new();
    for test in each().await {
        let made = demo::seed(&test.app, PEOPLE).await.unwrap();
        let client = Client::of(&test);
        let caller = |role: &str, purpose: &str| {
            let token = made.tokens.iter().find(|token| token.role == role).unwrap();
            assert!(token.purposes.contains(&purpose));
            Caller { token: token.token.clone(), purpose: purpose.to_owned() }
        };
        // Each role sees some, for each of its purposes that is about people.
        let mut totals = std::collections::BTreeMap::new();
        for token in &made.tokens {
            for purpose in token
                .purposes
                .iter()
                .filter(|purpose| !["security_audit", "administration"].contains(purpose))
            {
                let query = "{ contacts(first: 1000) { nodes { id } } }";
                let answer = client.data(&caller(token.role, purpose), query).await;
                totals.insert(*purpose, answer["contacts"]["nodes"].as_array().unwrap().len());
            }
        }
        assert_eq!(totals["rights_fulfilment"], PEOPLE);
        for (purpose, total) in &totals {
            assert!(*total > 0 || *purpose == "direct_mail", "nobody for {purpose}: {totals:?}");
            assert!(*total <= PEOPLE);
        }
        assert!(totals["newsletter"] < totals["customer_care"]);
        // Every state that the data set promises, each written with its entry.
        let db = &test.app.db.writer;
        for sql in [
            "SELECT COUNT(*) FROM objection",
            "SELECT COUNT(*) FROM restriction",
            "SELECT COUNT(*) FROM consent WHERE status = 'WITHDRAWN'",
            "SELECT COUNT(*) FROM consent WHERE status = 'INVALIDATED'",
            "SELECT COUNT(*) FROM privacy_request WHERE status = 'RECEIVED'",
            "SELECT COUNT(*) FROM privacy_request WHERE closed_at IS NOT NULL",
        ] {
            assert!(number(db, sql).await > 0, "{sql}");
        }
        let entries =
            "SELECT COUNT(*) FROM audit_entry WHERE action = 'createContact' AND actor = 'cli:demo'";
        assert_eq!(number(db, entries).await, i64::try_from(PEOPLE).unwrap());
        let unaudited = "SELECT COUNT(*) FROM contact WHERE id NOT IN (SELECT contact_id FROM audit_entry WHERE contact_id IS NOT NULL)";
        assert_eq!(number(db, unaudited).await, 0);
        assert!(
            zweck::domain::consents::rebuild(&test.app, "cli:test", true).await.unwrap().differing.is_empty()
        );
        // The third query of the demo: seen, withdrawn, seen no more.
        let (partner, marketing) =
            (caller("partner", "newsletter"), caller("marketing", "consent_management"));
        let contact = made.consenting.unwrap();
        let query = format!("{{ contact(id: \"{contact}\") {{ email }} }}");
        assert!(client.data(&partner, &query).await["contact"]["email"].is_string());
        let withdraw = format!(
            "mutation {{ withdrawConsent(input: {{contactId: \"{contact}\", purpose: \"newsletter\"}}) {{ consent {{ status }} }} }}"
        );
        client.data(&marketing, &withdraw).await;
        assert!(client.data(&partner, &query).await["contact"].is_null());
        let names = "{ contacts(first: 1000, orderBy: [{field: PHONE, direction: ASC}, {field: FAMILY_NAME, direction: ASC}]) { nodes { givenName familyName phone city birthDate } } }";
        let answer = client.data(&caller("dpo", "rights_fulfilment"), names).await;
        seen.push(answer["contacts"]["nodes"].as_array().unwrap().clone());
    }
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "the same people each time");
}

/// What the demo prints is what a newcomer copies: it is run here as it stands.
#[test]
fn the_lines_that_the_demo_prints_answer() {
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        return skipped("what the demo prints needs curl");
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_zweck"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ZWECK")) {
        command.env_remove(name);
    }
    let mut demo = command
        .args(["demo", "--people", "60", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Stopped whatever comes.
    struct Stop<'a>(&'a mut std::process::Child);
    impl Drop for Stop<'_> {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }
    let out = BufReader::new(demo.stdout.take().unwrap());
    let _stop = Stop(&mut demo);
    let mut printed = Vec::new();
    let mut lines = out.lines();
    // Four calls, each of two lines.
    while printed.iter().filter(|line: &&String| line.trim().starts_with("-H 'X-Processing-Purpose")).count()
        < 4
    {
        printed.push(lines.next().expect("the demo ended").unwrap());
    }
    let text = printed.join("\n");
    for role in ["marketing", "support", "partner", "dpo", "privacy_desk"] {
        assert!(text.contains(&format!("\n  {role} ")), "{text}");
    }
    // What examples/spa reads, as docs/spa.md says.
    let exported = |name: &str| {
        let line = format!("  export {name}=");
        let found = printed.iter().find_map(|printed| printed.strip_prefix(&line));
        found.unwrap_or_else(|| panic!("{name}: {text}")).to_owned()
    };
    let read = fs::read_to_string("examples/spa/proofs.ts").unwrap();
    assert!(read.contains("process.env[\"ZWECK_URL\"]") && read.contains("`ZWECK_TOKEN_${role}`"), "{read}");
    let roles: Vec<&str> =
        read.split("session(\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(roles.len() > 1, "{read}");
    for role in roles {
        let call = format!(
            "curl -s {}/graphql -H 'Content-Type: application/json' -H 'Authorization: Bearer {}' -d '{{\"query\":\"{{ viewer {{ roles }} }}\"}}'",
            exported("ZWECK_URL"),
            exported(&format!("ZWECK_TOKEN_{role}")),
        );
        let done = Command::new("bash").args(["-c", &call]).output().unwrap();
        let answer: Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!(answer["data"]["viewer"]["roles"][0], role.to_lowercase(), "{answer}");
    }
    let calls: Vec<String> = printed
        .windows(2)
        .filter(|pair| pair[0].trim().starts_with("curl "))
        .map(|pair| format!("{}\n{}", pair[0], pair[1]))
        .collect();
    let run = |call: &str| -> Value {
        let done = Command::new("bash").args(["-c", call]).output().unwrap();
        serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}: {call}"))
    };
    let [marketing, support, one, withdraw] = calls.as_slice() else { panic!("{text}") };
    let seen = |answer: &Value| answer["data"]["contacts"]["totalCount"].as_i64().unwrap();
    let (marketing, support) = (run(marketing), run(support));
    assert!(seen(&marketing) > 0 && seen(&marketing) < seen(&support), "{marketing} {support}");
    let first = |answer: &Value| answer["data"]["contacts"]["nodes"][0].clone();
    assert!(
        first(&marketing)["phone"].is_null() && first(&support)["city"].is_string(),
        "{marketing} {support}"
    );
    assert!(run(one)["data"]["contact"]["email"].is_string());
    assert_eq!(run(withdraw)["data"]["withdrawConsent"]["consent"]["status"], "WITHDRAWN");
    assert!(run(one)["data"]["contact"].is_null());
    // The public pages are there, and the mails that they send lie where the demo says, for this machine alone.
    let address = |mark: &str| {
        let line = printed.iter().find(|line| line.contains(mark)).unwrap_or_else(|| panic!("{text}"));
        line.split_whitespace()
            .find(|word| word.contains(mark))
            .unwrap()
            .trim_end_matches(['.', ','])
            .to_owned()
    };
    let (form, outbox) = (address("/p/signup/newsletter"), address("/outbox/"));
    let fetch = |arguments: &[&str]| {
        let done =
            Command::new("curl").args(["-s", "-w", "\n%{http_code}"]).args(arguments).output().unwrap();
        let body = String::from_utf8(done.stdout).unwrap();
        let (body, status) = body.rsplit_once('\n').unwrap();
        (status.to_owned(), body.to_owned())
    };
    let mut typed = vec![];
    for field in FIELDS {
        typed.extend(["--data-urlencode", field]);
    }
    typed.push(&form);
    assert_eq!(fetch(&typed).0, "303");
    let seen = (0..100).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let (status, page) = fetch(&[&outbox]);
        assert_eq!(status, "200");
        page.contains("neu@example.com").then_some(page)
    });
    let page = seen.expect("no mail was written");
    let link = page
        .split("<a href=\"")
        .map(|part| part.split('"').next().unwrap())
        .find(|link| link.contains("/p/"));
    assert_eq!(fetch(&[link.unwrap()]).0, "200");
    let base = outbox.split("/outbox").next().unwrap();
    for stranger in [
        vec![format!("{base}/outbox/0123456789abcdef")],
        vec![format!("{base}/outbox")],
        vec!["-H".to_owned(), "Host: crm.example".to_owned(), outbox.clone()],
        vec!["-X".to_owned(), "POST".to_owned(), outbox.clone()],
        vec!["-X".to_owned(), "PUT".to_owned(), format!("{base}/outbox/0123456789abcdef")],
    ] {
        let arguments: Vec<&str> = stranger.iter().map(String::as_str).collect();
        assert_eq!(fetch(&arguments).0, "404", "{stranger:?}");
    }
    let (status, signpost) = fetch(&[&format!("{base}/")]);
    assert!(status == "200" && signpost.contains("/graphql") && signpost.contains("/p/link"), "{signpost}");
    crate::pages::browser::glance(&[
        ("signpost", format!("{base}/"), None),
        ("outbox", outbox.clone(), None),
        ("signup", form.clone(), None),
    ]);
}

/// What a person types into the form.
const FIELDS: [&str; 4] =
    ["email=neu@example.com", "choice=newsletter", "version-newsletter=2026-1", "language=en"];

/// A demo that runs until the test ends.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Demo {
    /// Starts it with nothing of this shell, and gives what it prints up to the last line.
    fn start(home: &Path, more: &[&str]) -> (Self, String) {
        let mut child = process::zweck(home, &[])
            .env("HOME", home)
            .args(["demo", "--people", "20", "--listen", "127.0.0.1:0"])
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = String::new();
        for line in lines {
            printed.push_str(&format!("{}\n", line.unwrap()));
            if printed.contains("withdrawConsent") {
                break;
            }
        }
        (Self(child), printed)
    }
}

/// Says to the child what it builds.
const BUILD: &str = "ZWECK_TEST_WEB";

/// Not a test of its own: what runs in the process that has another home.
#[test]
#[expect(clippy::disallowed_methods, reason = "told by the test that starts this process")]
fn child() {
    let Ok(copy) = std::env::var(BUILD) else { return };
    web::build(Path::new(&copy), |line| println!("{line}")).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true if path.ends_with("node_modules") || path.ends_with("dist") => {}
            true => copy(&path, &target),
            false => _ = fs::copy(&path, &target).unwrap(),
        }
    }
}

/// A machine that has npm and nothing else: no home, no cache, no build of before. The page is built as `cargo demo` builds it, and a demo
/// serves it with its script.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "CI says by an environment variable that npm must be there")]
async fn a_fresh_machine_gets_graphiql() {
    let required = std::env::var("ZWECK_REQUIRE_NPM").is_ok_and(|value| value == "1");
    let Ok(registry) = Command::new("npm").args(["config", "get", "registry"]).output() else {
        assert!(!required, "npm is required and not installed");
        return skipped("the demo on a fresh machine: no npm found");
    };
    let directory = tempfile::tempdir().unwrap();
    let (web, home) = (directory.path().join("web"), directory.path().join("home"));
    copy(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("web"), &web);
    fs::create_dir_all(home.join("cache")).unwrap();
    let built = Command::new(std::env::current_exe().unwrap())
        .args(["demo::child", "--exact", "--nocapture"])
        .env(BUILD, &web)
        .env("HOME", &home)
        .env("npm_config_cache", home.join("cache"))
        .env("npm_config_registry", process::text(&registry.stdout).trim())
        .output()
        .unwrap();
    let said = format!("{}{}", process::text(&built.stdout), process::text(&built.stderr));
    if !built.status.success() && !required {
        return skipped("the demo on a fresh machine: packages cannot be fetched");
    }
    assert!(built.status.success(), "{said}");
    assert!(said.contains("Building GraphiQL"), "{said}");
    let page = fs::read_to_string(web.join("dist/index.html")).unwrap();
    if !zweck::http::graphiql::is_built() {
        assert!(!required, "build web/ before the program");
        return skipped("the demo on a fresh machine: this program was built without the page");
    }
    let (_demo, printed) = Demo::start(&home, &[]);
    let line = printed.lines().find(|line| line.starts_with("Open GraphiQL at http://127.0.0.1:")).unwrap();
    let port: u16 = line.split(':').nth(2).unwrap().split('/').next().unwrap().parse().unwrap();
    assert_eq!(
        process::get(port, "/graphiql").await,
        Some((200, page.clone())),
        "the page of this program is old"
    );
    let scripts: Vec<&str> =
        page.split(" src=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(!scripts.is_empty(), "{page}");
    for script in scripts {
        let (status, text) = process::get(port, script).await.unwrap();
        assert!(status == 200 && text.len() > 10_000, "{script}: {status}");
    }
}

/// Why GraphiQL is not there stands under the tokens, with the reason.
#[test]
fn what_is_missing_is_told_under_the_tokens() {
    let home = tempfile::tempdir().unwrap();
    let why = "npm is not installed (it comes with Node.js)";
    let (_demo, printed) = Demo::start(home.path(), &["--page", why]);
    let at = |mark: &str| printed.find(mark).unwrap_or_else(|| panic!("{mark}: {printed}"));
    assert!(at("\n  privacy_desk ") < at(why) && at(why) < at("To paste into a shell"), "{printed}");
    assert_eq!(printed.matches("GraphiQL").count(), 1, "{printed}");
}
