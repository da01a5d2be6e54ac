//! Proof 3, the hard way: the process is killed between each pair of statements of a mutation, and afterwards there is neither
//! change nor entry, or both.

use std::{
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde_json::{Value, json};
use zweck::{
    app::App, base::clock::ManualClock, crypto::master_keys::MasterKeys, db::Db,
    domain::access_tokens::BearerToken, policy::PolicyHandle,
};

use super::{Staff, person};
use crate::{
    reads::worlds,
    support::{
        app::start,
        client::{Caller, Client},
        dump::{assert_same, dump, number},
        world::id,
    },
};

const VARIABLE: &str = "ZWECK_CRASH";

/// Whether Hans is part of Gina, by what came of his number and his consent.
const MERGED: &str = "SELECT COUNT(*) FROM contact c JOIN contact_point p ON p.contact_id = c.id
    JOIN consent k ON k.contact_id = c.id WHERE c.given_name = 'Gina' AND p.phone = '+49 30 23125 008' AND k.channel = 'PHONE'
    AND NOT EXISTS (SELECT 1 FROM contact h WHERE h.given_name = 'Hans')";
const GONE: &str = "SELECT COUNT(*) FROM audit_entry WHERE action = 'mergeContacts' AND entity_type = 'Contact' AND entity_id <> contact_id";

/// Ends the process as a power failure would: nothing is unwound, nothing flushed.
fn kill() {
    Command::new("kill").args(["-9", &std::process::id().to_string()]).status().unwrap();
    loop {
        std::thread::park();
    }
}

/// Not a test of its own: what runs in the process that is killed. It sends one mutation through the router, and counts the
/// statements that run for it, those of looking up the token aside.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "told by the test that starts this process")]
async fn child() {
    let Ok(told) = std::env::var(VARIABLE) else { return };
    let told: Value = serde_json::from_str(&told).unwrap();
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    let at = usize::try_from(told["at"].as_u64().unwrap()).unwrap();
    let mut db = Db::connect(&text("url"), 2).await.unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    for pool in [&mut db.writer, &mut db.reader] {
        let seen = seen.clone();
        // It does not hear of what is read for the answer, behind the commit.
        pool.set_metric_callback(move |info| {
            if !info.statement.sql.contains("access_token") && seen.fetch_add(1, Ordering::SeqCst) + 1 == at {
                kill();
            }
        });
    }
    let policy = PolicyHandle::new(crate::policy::shipped().await);
    let clock = Arc::new(ManualClock::new(start()));
    let app = App::new(db, policy, clock, MasterKeys::new([7; 32]), zweck::auth::oidc::Issuers::default());
    let caller = Caller { token: BearerToken::parse(&text("token")).unwrap(), purpose: text("purpose") };
    let client = Client::over(Arc::new(app));
    let (status, body) =
        client.send(&caller, told["body"].clone(), &[("idempotency-key", &text("key"))]).await;
    assert!(status == 200 && !body.contains("errors"), "{body}");
    // All is written, and nobody has the answer yet.
    if at > seen.load(Ordering::SeqCst) {
        kill();
    }
}

/// Runs the mutation in a process that is killed after the statement number `at`, or before its answer is sent where there are fewer,
/// and tells whether it lived to its end; with 0 it does.
fn survives(url: &str, caller: &Caller, body: &Value, key: &str, at: usize) -> bool {
    let told = json!({ "url": url, "token": caller.token.expose_secret(), "purpose": caller.purpose, "body": body, "key": key, "at": at });
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["writes::crash::child", "--exact", "--nocapture"])
        .env(VARIABLE, told.to_string())
        .env("ZWECK_REQUIRE_POSTGRES", "")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    use std::os::unix::process::ExitStatusExt;
    match done.status.signal() {
        Some(9) => false,
        _ => {
            let output = String::from_utf8_lossy(&done.stdout);
            assert!(done.status.success() && output.contains("1 passed"), "{output}");
            true
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_leaves_neither_change_nor_entry_or_both() {
    for world in worlds().await {
        let db = &world.test.app.db.writer;
        let staff = Staff::of(&world.test).await;
        // As at the start of a server.
        zweck::audit::installation_keys(&world.test.app).await.unwrap();
        let contact = json!({ "familyName": "Killed", "email": "k@example.org", "source": { "name": "call" }, "ground": { "purpose": "customer_care" } });
        let scenarios = [
            (
                &staff.support,
                json!({ "query": "mutation($i: CreateContactInput!) { createContact(input: $i) { contact { id } } }", "variables": { "i": contact } }),
                "SELECT COUNT(*) FROM contact c JOIN provenance p ON p.contact_id = c.id JOIN ground g ON g.contact_id = c.id WHERE c.family_name = 'Killed'",
                "createContact",
            ),
            (
                &staff.support,
                json!({ "query": "mutation($i: UpdateContactInput!) { updateContact(input: $i) { contact { id } } }", "variables": { "i": { "contactId": person(1), "email": "killed@example.org" } } }),
                "SELECT COUNT(*) FROM contact c JOIN consent k ON k.contact_id = c.id WHERE c.email = 'killed@example.org' AND k.status = 'INVALIDATED'",
                "updateContact",
            ),
            (
                &staff.consent,
                json!({ "query": "mutation($i: WithdrawConsentInput!) { withdrawConsent(input: $i) { consent { id } } }", "variables": { "i": { "consentId": id(1, 1000) } } }),
                "SELECT COUNT(*) FROM consent k JOIN consent_event e ON e.consent_id = k.id WHERE k.status = 'WITHDRAWN' AND e.kind = 'WITHDRAWN'",
                "withdrawConsent",
            ),
            (
                &staff.desk,
                json!({ "query": "mutation($i: MergeContactsInput!) { mergeContacts(input: $i) { contact { id } } }", "variables": { "i": { "contactId": person(7), "duplicateId": person(8) } } }),
                MERGED,
                "mergeContacts",
            ),
        ];
        for (caller, body, changed, action) in scenarios {
            // A merge leaves an entry for each row; that of the contact that goes comes last.
            let entries = match action {
                "mergeContacts" => GONE.to_owned(),
                _ => format!("SELECT COUNT(*) FROM audit_entry WHERE action = '{action}'"),
            };
            let before = dump(db).await;
            let mut at = 0;
            let lived = loop {
                at += 1;
                let lived = survives(&world.test.url, caller, &body, action, at);
                let now = (number(db, changed).await, number(db, &entries).await);
                if now == (0, 0) {
                    assert!(!lived, "{action} did nothing and told of no error");
                    assert_same(&dump(db).await, &before, &format!("{action} after statement {at}"));
                    continue;
                }
                assert_eq!(now, (1, 1), "{action} is half done after statement {at}");
                break lived;
            };
            // Killed behind the commit: both are there, and a retry under the same key tells of them without doing it again.
            assert!(at > 6, "{action} was killed only {} times", at - 1);
            assert!(!lived, "{action}: the answer was sent");
            assert!(survives(&world.test.url, caller, &body, action, 0));
            assert_eq!((number(db, changed).await, number(db, &entries).await), (1, 1), "{action}");
        }
    }
}
