//! A fault in the midst of an operation: the client gets its answer, nothing is half done, and the server goes on.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use zweck::{
    app::App,
    base::clock::{Clock, ManualClock},
    crypto::master_keys::MasterKeys,
    policy::PolicyHandle,
};

use super::{Staff, done};
use crate::{
    policy::shipped,
    reads::{World, worlds},
    support::{client::Client, dump::number},
};

/// A clock that panics when it is read for the time that it was told to.
struct Bomb {
    clock: Arc<ManualClock>,
    left: AtomicI64,
}

impl Clock for Bomb {
    fn now(&self) -> DateTime<Utc> {
        assert_ne!(self.left.fetch_sub(1, Ordering::SeqCst), 1, "a fault with a secret name in it");
        self.clock.now()
    }
}

const MADE: &str = "SELECT COUNT(*) FROM contact WHERE family_name = 'Panne'";
const COMPLETE: &str = "SELECT COUNT(*) FROM contact c JOIN ground g ON g.contact_id = c.id JOIN provenance p ON p.contact_id = c.id
                        JOIN audit_entry e ON e.contact_id = c.id WHERE c.family_name = 'Panne' AND e.action = 'createContact'";

#[tokio::test]
async fn a_panic_is_an_internal_error_and_leaves_nothing_half_done() {
    for World { test, .. } in worlds().await {
        let staff = Staff::of(&test).await;
        let bomb = Arc::new(Bomb { clock: test.clock.clone(), left: AtomicI64::new(0) });
        let db = test.app.db.clone();
        let policy = PolicyHandle::new(shipped().await);
        let client = Client::over(Arc::new(App::new(
            db,
            policy,
            bomb.clone(),
            MasterKeys::new([7; 32]),
            zweck::auth::oidc::Issuers::default(),
        )));
        let input = json!({ "familyName": "Panne", "source": { "name": "call" }, "ground": { "purpose": "customer_care" } });
        let query =
            "mutation($input: CreateContactInput!) { createContact(input: $input) { contact { id } } }";
        let mut panics = 0;
        // The first reading is for the id of the request, before anything is asked: a fault there is answered too.
        for read in 1..50 {
            let key = format!("panic-{read}");
            bomb.left.store(read, Ordering::SeqCst);
            let body = json!({ "query": query, "variables": { "input": input } });
            let (status, answer) = client.send(&staff.support, body, &[("idempotency-key", &key)]).await;
            let unread = bomb.left.swap(0, Ordering::SeqCst);
            let parsed: Value = serde_json::from_str(&answer).unwrap();
            if unread > 0 {
                assert_eq!((status, parsed.get("errors")), (200, None), "{answer}");
                break;
            }
            panics += 1;
            assert_eq!(status, 500, "{answer}");
            assert_eq!(parsed["errors"][0]["extensions"]["code"], "INTERNAL", "{answer}");
            assert!(!answer.contains("secret"), "{answer}");
            let (made, complete) =
                (number(&test.app.db.writer, MADE).await, number(&test.app.db.writer, COMPLETE).await);
            assert_eq!(made, complete, "at reading {read}");
        }
        assert!(panics >= 4, "only {panics} places");
        let before = number(&test.app.db.writer, MADE).await;
        done(&client, &staff.support, "createContact", input, "contact { id }").await;
        assert_eq!(number(&test.app.db.writer, MADE).await, before + 1);
        assert_eq!(number(&test.app.db.writer, COMPLETE).await, before + 1);
    }
}
