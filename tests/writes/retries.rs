//! Idempotency keys: done once, told again, and never more than a read may tell by then.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Staff, person};
use crate::{
    reads::{World, worlds},
    support::{client::Caller, dump::number},
};

const CREATE: &str =
    "mutation($input: CreateContactInput!) { createContact(input: $input) { contact { id familyName } } }";

fn neu(name: &str) -> Value {
    json!({ "input": { "familyName": name, "source": { "name": "call" }, "ground": { "purpose": "customer_care" } } })
}

async fn send(world: &World, caller: &Caller, key: &str, query: &str, variables: &Value) -> (u16, Value) {
    let body = json!({ "query": query, "variables": variables });
    let (status, body) = world.client.send(caller, body, &[("idempotency-key", key)]).await;
    (status, serde_json::from_str(&body).unwrap())
}

fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
}

#[tokio::test]
async fn the_same_key_and_body_is_done_once_and_told_again() {
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let contacts = "SELECT COUNT(*) FROM contact WHERE family_name_folded = 'neu'";
        let (_, first) = send(&world, &staff.support, "k-1", CREATE, &neu("Neu")).await;
        let (_, again) = send(&world, &staff.support, "k-1", CREATE, &neu("Neu")).await;
        assert!(first.get("errors").is_none(), "{first}");
        assert_eq!(again, first);
        let db = &world.test.app.db.writer;
        assert_eq!(number(db, contacts).await, 1);
        assert_eq!(number(db, "SELECT COUNT(*) FROM audit_entry WHERE action = 'createContact'").await, 1);
        // Another body under the same key is a conflict; another key or another caller is another request.
        let (_, other) = send(&world, &staff.support, "k-1", CREATE, &neu("Anders")).await;
        assert_eq!(code(&other), "CONFLICT");
        // So is another mutation, or the same one under another response key.
        let renamed = CREATE.replace("createContact(", "other: createContact(");
        let (_, other) = send(&world, &staff.support, "k-1", &renamed, &neu("Neu")).await;
        assert_eq!(code(&other), "CONFLICT");
        send(&world, &staff.support, "k-2", CREATE, &neu("Neu")).await;
        let colleague = world.test.caller("support", "customer_care").await;
        send(&world, &colleague, "k-1", CREATE, &neu("Neu")).await;
        assert_eq!(number(db, contacts).await, 3);
        // Two root fields are kept apart.
        let two = "mutation($input: CreateContactInput!) { a: createContact(input: $input) { contact { id } } b: createContact(input: $input) { contact { id } } }";
        let (_, first) = send(&world, &staff.support, "k-3", two, &neu("Zwei")).await;
        let (_, again) = send(&world, &staff.support, "k-3", two, &neu("Zwei")).await;
        assert_eq!(first, again);
        assert_ne!(first["data"]["a"], first["data"]["b"]);
        assert_eq!(number(db, "SELECT COUNT(*) FROM contact WHERE family_name_folded = 'zwei'").await, 2);
        // After a day the key is forgotten.
        world.test.clock.advance(TimeDelta::days(1));
        send(&world, &staff.support, "k-1", CREATE, &neu("Neu")).await;
        assert_eq!(number(db, contacts).await, 4);
    }
}

#[tokio::test]
async fn what_failed_may_be_tried_again_under_its_key() {
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let update = "mutation($id: ID!, $v: Int) { updateContact(input: {contactId: $id, expectedVersion: $v, jobTitle: \"Chef\"}) { contact { version } } }";
        let variables = json!({ "id": person(1), "v": 2 });
        let (_, refused) = send(&world, &staff.support, "k", update, &variables).await;
        assert_eq!(code(&refused), "CONFLICT");
        let input = json!({ "contactId": person(1), "jobTitle": "Chefin" });
        super::done(&world.client, &staff.support, "updateContact", input, "contact { version }").await;
        let (_, done) = send(&world, &staff.support, "k", update, &variables).await;
        assert_eq!(done["data"]["updateContact"]["contact"]["version"], 3, "{done}");
    }
}

/// A secret that was told once is told again to the same caller under the same key, and lies sealed meanwhile.
#[tokio::test]
async fn the_secret_of_a_token_comes_again_and_is_not_kept_open() {
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let create = "mutation { createAccessToken(input: {name: \"p\", roles: [\"partner\"], purposes: [\"newsletter\"], expiresAt: \"2026-11-20T00:00:00Z\"}) { secret token { name } } }";
        let (_, first) = send(&world, &staff.admin, "k", create, &json!({})).await;
        let (_, again) = send(&world, &staff.admin, "k", create, &json!({})).await;
        let secret = first["data"]["createAccessToken"]["secret"].as_str().unwrap();
        assert_eq!(again["data"]["createAccessToken"]["secret"], secret);
        let dumped = format!("{:?}", crate::support::dump::dump(&world.test.app.db.writer).await);
        assert!(!dumped.contains(&secret[21..64]));
    }
}

/// A repeat does not tell what a withdrawal has closed meanwhile.
#[tokio::test]
async fn a_repeat_is_no_side_door() {
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let update = "mutation($id: ID!) { updateContact(input: {contactId: $id, jobTitle: \"Chefin\"}) { contact { email } } }";
        let variables = json!({ "id": person(1) });
        let (_, first) = send(&world, &staff.support, "k", update, &variables).await;
        assert_eq!(first["data"]["updateContact"]["contact"]["email"], "anna@example.org");
        let restrict = json!({ "contactId": person(1), "limb": "B", "reason": "unlawful" });
        super::done(&world.client, &staff.desk, "restrictContact", restrict, "contact { state }").await;
        let (_, again) = send(&world, &staff.support, "k", update, &variables).await;
        assert_eq!(again["data"]["updateContact"], json!({ "contact": null }));
        assert!(again.get("errors").is_none(), "{again}");
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_is_refused() {
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let long = "k".repeat(256);
        for key in ["", " ", long.as_str(), "k\tk"] {
            let (status, answer) = send(&world, &staff.support, key, CREATE, &neu("Neu")).await;
            assert_eq!((status, code(&answer)), (400, "BAD_USER_INPUT"), "{key:?}");
        }
        let body = json!({ "query": CREATE, "variables": neu("Neu") });
        let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
        let (status, _) = world.client.send(&staff.support, body, &twice).await;
        assert_eq!(status, 400);
        assert_eq!(number(&world.test.app.db.writer, "SELECT COUNT(*) FROM idempotency").await, 0);
    }
}

/// What was kept for a day is gone after it, also where no other mutation comes by.
#[tokio::test]
async fn outcomes_are_swept_away() {
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let db = &world.test.app.db.writer;
        send(&world, &staff.support, "k", CREATE, &neu("Neu")).await;
        let kept = "SELECT COUNT(*) FROM idempotency";
        zweck::audit::delete_expired_outcomes(&world.test.app).await.unwrap();
        assert_eq!(number(db, kept).await, 2);
        world.test.clock.advance(TimeDelta::days(1));
        zweck::audit::delete_expired_outcomes(&world.test.app).await.unwrap();
        assert_eq!(number(db, kept).await, 0);
    }
}
