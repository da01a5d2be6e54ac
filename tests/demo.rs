//! The demo's people: plausible, the same each time, written through the audited door.

use serde_json::Value;
use zweck::demo;

use crate::support::{
    app::each,
    client::{Caller, Client},
    dump::number,
};

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
        assert!(zweck::consents::rebuild(&test.app, "cli:test", true).await.unwrap().differing.is_empty());
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
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
    };
    if Command::new("curl").arg("--version").stdout(Stdio::null()).status().is_err() {
        return crate::support::skipped("what the demo prints needs curl");
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
