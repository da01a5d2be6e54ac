//! The security log: who was refused what and why, by target; and no log line holds a value of a person or a token.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

use super::{Staff, mutate, person};
use crate::{
    reads::{World, worlds},
    support::client::Caller,
};

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn refusals_are_logged_with_who_what_and_why_and_no_value() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(lines.clone())
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        let forbidden =
            json!({ "contactId": person(1), "notes": "secret note", "email": "secret@example.org" });
        mutate(&client, &staff.support, "updateContact", &forbidden, "contact { notes }").await;
        let nobody = json!({ "contactId": person(3), "email": "secret@example.org" });
        mutate(&client, &staff.support, "updateContact", &nobody, "contact { email }").await;
        let wide = json!({ "name": "secret name", "roles": ["dpo"], "purposes": ["newsletter"], "expiresAt": "2026-11-20T00:00:00Z" });
        mutate(&client, &staff.admin, "createAccessToken", &wide, "secret").await;
        let good =
            json!({ "contactId": person(1), "email": "secret@example.org", "familyName": "Secretname" });
        mutate(&client, &staff.support, "updateContact", &good, "contact { email familyName }").await;
        client.ask(&staff.support, "{ contacts(search: \"secretname\") { nodes { notes email } } }").await;
        let foreign = Caller { token: staff.support.token.clone(), purpose: "newsletter".to_owned() };
        client.ask(&foreign, "{ contacts { totalCount } }").await;
        let unknown = Caller {
            token: zweck::domain::access_tokens::BearerToken::generate(),
            purpose: "newsletter".to_owned(),
        };
        client.ask(&unknown, "{ contacts { totalCount } }").await;
        drop(guard);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let refused: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|line| line["target"] == "zweck::security")
            .map(|line| line["fields"].clone())
            .collect();
        let told: Vec<String> = refused
            .iter()
            .map(|line| {
                let word = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
                let target = format!("{} {}", word("mutation"), word("target_id"));
                format!("{} {} {} {target}", word("code"), word("coordinate"), word("input"))
            })
            .collect();
        assert_eq!(
            told,
            [
                "FORBIDDEN_FIELD Contact.notes input.notes - -".to_owned(),
                format!("NOT_FOUND - - updateContact {}", person(3)),
                "FORBIDDEN token:role:dpo input.roles createAccessToken -".to_owned(),
                "FORBIDDEN_FIELD Contact.notes - - -".to_owned(),
                "PURPOSE_NOT_PERMITTED - - - -".to_owned(),
                "UNAUTHENTICATED - - - -".to_owned(),
            ]
        );
        assert!(refused.iter().take(5).all(|line| line["actor"].as_str().unwrap().starts_with("token:")));
        assert!(refused.iter().all(|line| line["request_id"].as_str().unwrap().len() == 36));
        assert!(text.lines().count() > refused.len(), "the requests themselves are logged too");
        for value in ["secret", "Secretname", "anna@", "Köhler", "zwk_"] {
            assert!(!text.contains(value), "a log line holds {value}");
        }
    }
}

/// A client that hangs up leaves nothing half done: what has begun goes on to its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_leaves_nothing_half_done() {
    use crate::support::dump::number;
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        for micros in (0..40).map(|step| step * 500) {
            let input = json!({ "familyName": "Weg", "source": { "name": "call" }, "ground": { "purpose": "customer_care" } });
            let call = mutate(&client, &staff.support, "createContact", &input, "contact { id }");
            // Dropped where it stands when the time is over.
            let _ = tokio::time::timeout(std::time::Duration::from_micros(micros), call).await;
        }
        // A last one waits its turn behind those that are still under way.
        let last = json!({ "familyName": "Weg", "source": { "name": "call" }, "ground": { "purpose": "customer_care" } });
        super::done(&client, &staff.support, "createContact", last, "contact { id }").await;
        let db = &test.app.db.writer;
        let complete = "SELECT COUNT(*) FROM contact c JOIN ground g ON g.contact_id = c.id JOIN provenance p ON p.contact_id = c.id
                        JOIN audit_entry e ON e.contact_id = c.id WHERE c.family_name = 'Weg' AND e.action = 'createContact'";
        // Nobody waits for those that were hung up on: look until two looks agree.
        let mut seen = -1;
        loop {
            let made = number(db, "SELECT COUNT(*) FROM contact WHERE family_name = 'Weg'").await;
            if made == seen {
                break;
            }
            seen = made;
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
        assert_eq!(number(db, complete).await, seen);
        assert!(seen >= 1);
    }
}
