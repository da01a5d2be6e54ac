//! Proof 3: every mutation of the SDL leaves an audit entry, and none goes through when the entry cannot be written.

use std::collections::BTreeSet;

use async_graphql::Request;
use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::{Value, json};
use zweck::graphql;

use super::{Staff, newsletter, person};
use crate::{
    reads::{World, worlds},
    support::{
        app::TestApp,
        client::{Caller, Client},
        dump::{assert_same, dump, number},
        world::id,
    },
};

/// A call of each mutation that changes something in the test world: who, arguments, payload.
pub fn calls<'s>(
    staff: &'s Staff,
    token: &str,
    point: &str,
    (recipient, batch): (uuid::Uuid, uuid::Uuid),
) -> Vec<(&'static str, &'s Caller, Value, &'static str)> {
    let input = |value: Value| json!({ "input": value });
    let contact = "contact { id }";
    vec![
        (
            "createContact",
            &staff.support,
            input(
                json!({ "familyName": "Neu", "source": { "name": "call" }, "ground": { "purpose": "customer_care", "reference": "C" } }),
            ),
            contact,
        ),
        (
            "updateContact",
            &staff.support,
            input(json!({ "contactId": person(1), "phone": "+49 30 23125 999" })),
            contact,
        ),
        (
            "addContactPoint",
            &staff.support,
            input(json!({ "contactId": person(1), "kind": "EMAIL", "email": "anna@third.example" })),
            contact,
        ),
        ("removeContactPoint", &staff.support, input(json!({ "contactPointId": point })), contact),
        (
            "recordGround",
            &staff.support,
            input(json!({ "contactId": person(1), "purpose": "customer_care", "reference": "another" })),
            "ground { id }",
        ),
        ("endGround", &staff.desk, input(json!({ "groundId": id(3, 200) })), "ground { id }"),
        (
            "recordObjection",
            &staff.consent,
            input(json!({ "contactId": person(1), "purpose": "direct_marketing" })),
            "objection { id }",
        ),
        ("endObjection", &staff.consent, input(json!({ "objectionId": id(4, 400) })), "objection { id }"),
        ("liftBlock", &staff.consent, input(json!({ "blockId": id(4, 399) })), "block { id }"),
        ("recordConsent", &staff.consent, input(newsletter(3, "2026-11-01T09:00:00Z")), "consent { id }"),
        (
            "requestConsent",
            &staff.consent,
            input(
                json!({ "contactId": person(7), "purpose": "newsletter", "language": "de", "form": "fair", "declaredAt": "2026-11-02T08:00:00Z" }),
            ),
            "consent { id }",
        ),
        (
            "renewConsent",
            &staff.consent,
            input(
                json!({ "consentId": id(1, 700), "textVersion": "2026-1", "language": "de", "proof": "signed_paper", "declaredAt": "2026-11-01T09:00:00Z", "source": "fair" }),
            ),
            "consent { id }",
        ),
        ("withdrawConsent", &staff.consent, input(json!({ "consentId": id(1, 100) })), "consent { id }"),
        (
            "openRequest",
            &staff.desk,
            input(json!({ "contactId": person(2), "kind": "ACCESS" })),
            "request { id }",
        ),
        ("cancelRequest", &staff.desk, input(json!({ "privacyRequestId": id(5, 100) })), "request { id }"),
        (
            "restrictContact",
            &staff.desk,
            input(json!({ "contactId": person(2), "limb": "A", "reason": "contested" })),
            contact,
        ),
        (
            "liftRestriction",
            &staff.desk,
            input(json!({ "contactId": person(5), "informedAt": "2026-11-01T00:00:00Z" })),
            contact,
        ),
        (
            "createRecipient",
            &staff.admin,
            input(json!({ "name": "Mailing house", "kind": "PROCESSOR" })),
            "recipient { id }",
        ),
        (
            "acknowledgeStops",
            &staff.desk,
            input(json!({ "recipientId": recipient, "batchId": batch })),
            "recipient { id }",
        ),
        (
            "createAccessToken",
            &staff.admin,
            input(
                json!({ "name": "partner", "roles": ["partner"], "purposes": ["newsletter"], "expiresAt": "2026-11-20T00:00:00Z" }),
            ),
            "token { id } secret",
        ),
        ("revokeAccessToken", &staff.admin, input(json!({ "accessTokenId": token })), "token { id }"),
        (
            "mergeContacts",
            &staff.desk,
            input(json!({ "contactId": person(7), "duplicateId": person(1) })),
            contact,
        ),
    ]
}

/// Names of the SDL's mutations with the type of their argument.
async fn declared() -> Vec<(String, String)> {
    let query =
        "{ __schema { mutationType { fields { name args { name type { name ofType { name } } } } } } }";
    let answer = graphql::build().unwrap().execute(Request::new(query).only_introspection()).await;
    let data = answer.data.into_json().unwrap();
    let fields = data["__schema"]["mutationType"]["fields"].as_array().unwrap().clone();
    let argument = |field: &Value| {
        let ty = &field["args"][0]["type"];
        ty["name"].as_str().or(ty["ofType"]["name"].as_str()).unwrap().to_owned()
    };
    fields.iter().map(|field| (field["name"].as_str().unwrap().to_owned(), argument(field))).collect()
}

/// Makes the database refuse audit entries, or take them again.
pub async fn block(test: &TestApp, blocked: bool) {
    let db = &test.app.db.writer;
    let statements: &[&str] = match (db.get_database_backend(), blocked) {
        (DbBackend::Postgres, true) => {
            &["ALTER TABLE audit_entry ADD CONSTRAINT blocked CHECK (false) NOT VALID"]
        }
        (DbBackend::Postgres, false) => &["ALTER TABLE audit_entry DROP CONSTRAINT blocked"],
        (_, true) => {
            &["CREATE TRIGGER blocked BEFORE INSERT ON audit_entry BEGIN SELECT RAISE(ABORT, 'full'); END"]
        }
        (_, false) => &["DROP TRIGGER blocked"],
    };
    for statement in statements {
        db.execute_unprepared(statement).await.unwrap();
    }
}

async fn call(
    client: &Client,
    caller: &Caller,
    name: &str,
    ty: &str,
    arguments: &Value,
    payload: &str,
) -> Value {
    let argument = arguments.as_object().unwrap().keys().next().unwrap();
    let query = format!("mutation($a: {ty}!) {{ {name}({argument}: $a) {{ {payload} }} }}");
    client.ask_with(caller, &query, json!({ "a": arguments[argument] })).await
}

#[tokio::test]
async fn every_mutation_leaves_an_entry_in_its_own_transaction_or_does_nothing() {
    let declared = declared().await;
    for world in worlds().await {
        let db = &world.test.app.db.writer;
        let staff = Staff::of(&world.test).await;
        let spare = world.test.caller("partner", "newsletter").await;
        let tokens = zweck::domain::access_tokens::list(&world.test.app.db.reader).await.unwrap();
        let token = tokens.iter().find(|row| row.lookup == spare.token.lookup()).unwrap().id.to_string();
        super::blocked(&world.test).await;
        let owed = super::owed(&world.test).await;
        let calls = calls(&staff, &token, &id(6, 100).to_string(), owed);
        let called: BTreeSet<&str> = calls.iter().map(|(name, ..)| *name).collect();
        let names: BTreeSet<&str> = declared.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(called, names, "every mutation of the SDL is called here");
        for (name, caller, arguments, payload) in calls {
            let (_, ty) = declared.iter().find(|(declared, _)| declared == name).unwrap();
            block(&world.test, true).await;
            let before = dump(db).await;
            let refused = call(&world.client, caller, name, ty, &arguments, payload).await;
            assert_eq!(super::refusal(&refused, name), "AUDIT_UNAVAILABLE");
            let entries = "SELECT COUNT(*) FROM audit_entry";
            let own =
                format!("{entries} WHERE action = '{name}' AND outcome = 'CHANGED' AND sealed <> '{{}}'");
            let known = number(db, &own).await;
            let outcome = &refused["errors"][0]["extensions"]["outcome"];
            if ["withdrawConsent", "recordObjection"].contains(&name) {
                // A no is taken, and its entry follows.
                assert_eq!((outcome, number(db, &own).await), (&json!("DONE"), known), "{refused}");
                block(&world.test, false).await;
                assert!(zweck::audit::write_deferred_entries(&world.test.app).await.unwrap() > 0);
                assert_eq!(number(db, &own).await, known + 1, "{name}");
                continue;
            }
            assert_eq!(outcome, &Value::Null, "{refused}");
            assert_same(&dump(db).await, &before, name);
            block(&world.test, false).await;
            let count = number(db, entries).await;
            let answer = call(&world.client, caller, name, ty, &arguments, payload).await;
            assert!(answer.get("errors").is_none(), "{name}: {answer}");
            assert!(
                answer["data"][name].as_object().unwrap().values().all(|value| !value.is_null()),
                "{answer}"
            );
            assert!(number(db, entries).await > count, "{name} left no entry");
            match name {
                // One for each row that moved or changed.
                "mergeContacts" => assert!(number(db, &own).await > known + 10, "{name}"),
                _ => assert_eq!(number(db, &own).await, known + 1, "{name}"),
            }
        }
    }
}

/// The transaction of an entry is that of the change itself: PostgreSQL tells it by the rows.
#[tokio::test]
async fn entry_and_change_share_their_transaction() {
    for world in worlds().await {
        let db = &world.test.app.db.writer;
        if db.get_database_backend() != DbBackend::Postgres {
            continue;
        }
        let staff = Staff::of(&world.test).await;
        let input = json!({ "contactId": person(1), "phone": "call me" });
        super::mutate(&world.client, &staff.support, "updateContact", &input, "contact { id }").await;
        let together = "SELECT COUNT(*) FROM audit_entry e JOIN contact c ON c.id = e.contact_id
                        WHERE e.action = 'updateContact' AND e.xmin::text = c.xmin::text";
        // The number is not a phone number: nothing was changed, so nothing is there to share.
        assert_eq!(number(db, together).await, 0);
        let input = json!({ "contactId": person(1), "phone": "+49 30 23125 321" });
        super::done(&world.client, &staff.support, "updateContact", input, "contact { id }").await;
        assert_eq!(number(db, together).await, 1);
    }
}

#[tokio::test]
async fn the_audit_log_is_append_only_for_the_database_itself() {
    for world in worlds().await {
        let db = &world.test.app.db.writer;
        assert!(number(db, "SELECT COUNT(*) FROM audit_entry").await > 0);
        let before = dump(db).await;
        let mut statements = vec![
            "UPDATE audit_entry SET actor = 'nobody'".to_owned(),
            "DELETE FROM audit_entry".to_owned(),
            "UPDATE consent_event SET actor = 'nobody'".to_owned(),
        ];
        for table in ["audit_entry", "consent_event"] {
            statements.push(match db.get_database_backend() {
                DbBackend::Postgres => format!("INSERT INTO {table} SELECT * FROM {table} ON CONFLICT (id) DO UPDATE SET actor = 'nobody'"),
                _ => format!("INSERT OR REPLACE INTO {table} SELECT * FROM {table}"),
            });
        }
        for statement in statements {
            assert!(db.execute_unprepared(&statement).await.is_err(), "{statement}");
        }
        assert_same(&dump(db).await, &before, "an attempt to rewrite");
    }
}

/// A repeat that changes nothing leaves an entry that says so.
#[tokio::test]
async fn what_is_as_asked_for_already_is_no_change() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        // Withdrawn at this very instant; later it would be said anew.
        super::done(
            &client,
            &staff.consent,
            "withdrawConsent",
            json!({ "consentId": id(1, 200) }),
            "consent { id }",
        )
        .await;
        // The test world's objection is on no list yet.
        let objection = json!({ "contactId": person(4), "purpose": "direct_marketing" });
        super::done(&client, &staff.consent, "recordObjection", objection, "objection { id }").await;
        let unchanged =
            "SELECT COUNT(*) FROM audit_entry WHERE outcome = 'UNCHANGED' AND changed_fields = '[]'";
        let known = number(&test.app.db.writer, unchanged).await;
        let grounds =
            json!({ "contactId": person(1), "purpose": "customer_care", "reference": "contract 1" });
        for (index, (caller, name, input, payload)) in [
            (
                &staff.support,
                "updateContact",
                json!({ "contactId": person(1), "givenName": "Anna", "clear": ["COMPANY"] }),
                "contact { id }",
            ),
            (
                &staff.support,
                "addContactPoint",
                json!({ "contactId": person(1), "kind": "EMAIL", "email": "anna@work.example" }),
                "contact { id }",
            ),
            (&staff.support, "recordGround", grounds, "ground { id }"),
            (
                &staff.consent,
                "recordObjection",
                json!({ "contactId": person(4), "purpose": "direct_marketing" }),
                "objection { id }",
            ),
            (&staff.consent, "withdrawConsent", json!({ "consentId": id(1, 200) }), "consent { id }"),
            (
                &staff.desk,
                "liftRestriction",
                json!({ "contactId": person(1), "informedAt": "2026-11-01T00:00:00Z" }),
                "contact { id }",
            ),
        ]
        .into_iter()
        .enumerate()
        {
            let before = dump(&test.app.db.writer).await;
            super::done(&client, caller, name, input, payload).await;
            let mut after = dump(&test.app.db.writer).await;
            let entries = after.insert("audit_entry".to_owned(), before["audit_entry"].clone()).unwrap();
            assert_eq!(entries.len(), before["audit_entry"].len() + 1, "{name}");
            assert_same(&after, &before, name);
            assert_eq!(
                number(&test.app.db.writer, unchanged).await - known,
                i64::try_from(index + 1).unwrap(),
                "{name}"
            );
        }
    }
}
