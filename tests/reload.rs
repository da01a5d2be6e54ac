//! A policy that changes while the server runs: each answer agrees with one of both, and a bad one changes nothing.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use serde_json::Value;
use zweck::{policy::Sources, purposes, watch};

use crate::{
    reads::{World, worlds},
    support::dump::number,
};

/// The shipped policy, but that marketing reads the city in full and a partner the country as a mask.
fn other() -> Sources {
    let mut sources = Sources::embedded();
    sources.policy =
        sources.policy.replace("Contact.city, mask, allow", "Contact.city, read, allow").replace(
            "role:partner, purpose:newsletter, Contact.country, read",
            "role:partner, purpose:newsletter, Contact.country, mask",
        );
    sources
}

fn column(answer: &Value, field: &str) -> Vec<String> {
    let nodes = answer["data"]["contacts"]["nodes"].as_array().unwrap_or_else(|| panic!("{answer}"));
    nodes.iter().map(|node| node[field].as_str().unwrap_or("-").to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_load_each_answer_agrees_with_one_policy() {
    for World { test, client } in worlds().await {
        let marketing = test.caller("marketing", "newsletter").await;
        let partner = test.caller("partner", "newsletter").await;
        let done = Arc::new(AtomicBool::new(false));
        let reloads = {
            let (app, done) = (test.app.clone(), done.clone());
            tokio::spawn(async move {
                for round in 0..100 {
                    let sources = if round % 2 == 0 { other() } else { Sources::embedded() };
                    purposes::reload(&app, "cli:test", Ok(sources)).await.unwrap();
                }
                done.store(true, Ordering::SeqCst);
            })
        };
        let (mut asked, mut seen) = (0, std::collections::BTreeSet::new());
        while asked < 2_000 || !done.load(Ordering::SeqCst) {
            let (city, country) = tokio::join!(
                client.ask(&marketing, "{ contacts { nodes { city } } }"),
                client.ask(&partner, "{ contacts { nodes { country } } }")
            );
            for (answer, field, known) in [
                (city, "city", [["Stuttgart", "-"], ["S***", "-"]]),
                (country, "country", [["Germany", "Germany"], ["***", "***"]]),
            ] {
                assert!(answer.get("errors").is_none(), "{answer}");
                let told = column(&answer, field);
                assert!(known.iter().any(|known| told == known), "{told:?}");
                let masked = answer["extensions"]["masked"].is_array();
                assert_eq!(masked, told[0].contains("***"), "{answer}");
                seen.insert(told);
                asked += 1;
            }
        }
        reloads.await.unwrap();
        assert_eq!(seen.len(), 4, "both policies were seen by both");
        let loads = "SELECT COUNT(*) FROM audit_entry WHERE action = 'loadPolicy' AND outcome = 'CHANGED'";
        assert_eq!(number(&test.app.db.writer, loads).await, 101);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_directory_is_taken_over_and_a_bad_one_is_not() {
    for World { test, .. } in worlds().await {
        let directory = tempfile::tempdir().unwrap();
        let write = |sources: &Sources| {
            for (name, text) in [
                ("policy.csv", &sources.policy),
                ("purposes.toml", &sources.purposes),
                ("cases.yaml", &sources.cases),
            ] {
                std::fs::write(directory.path().join(name), text).unwrap();
            }
            for (name, text) in &sources.texts {
                let path = directory.path().join("texts").join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
        };
        write(&Sources::embedded());
        watch::policy(test.app.clone(), directory.path().to_owned()).unwrap();
        let revision = || test.app.policy.current().revision().to_owned();
        let before = revision();
        let wait = async |until: &dyn Fn() -> bool| {
            for _ in 0..200 {
                if until() {
                    return true;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            false
        };
        write(&other());
        assert!(wait(&|| revision() != before).await, "the change was not seen");
        let good = revision();
        let refused = "SELECT COUNT(*) FROM audit_entry WHERE action = 'refusePolicy'";
        // A bad file, then one that cannot be read at all: each is refused once, by an entry too.
        for refusals in 1..=2 {
            if refusals == 1 {
                std::fs::write(directory.path().join("policy.csv"), "p, role:nobody").unwrap();
            } else {
                std::fs::remove_file(directory.path().join("purposes.toml")).unwrap();
            }
            for _ in 0..200 {
                if number(&test.app.db.reader, refused).await >= refusals {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            assert_eq!(number(&test.app.db.reader, refused).await, refusals);
            assert_eq!(revision(), good);
        }
        write(&Sources::embedded());
        assert!(wait(&|| revision() == before).await, "the way back was not seen");
    }
}
