//! What each mutation does: values, provenance, rights, grants, and what the audit log then tells to whom.

use serde_json::{Value, json};
use zweck::crypto::master_keys::MasterKeys;

use super::{Staff, done, mutate, person, refusal};
use crate::{
    reads::{World, worlds},
    support::{
        client::{Caller, problems},
        dump::{assert_same, dump, number},
        world::id,
    },
};

#[tokio::test]
async fn a_contact_is_made_with_source_and_ground() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let input = json!({
            "givenName": "  Jo\u{0308}rg ", "familyName": "Größler", "email": "joerg@example.org", "language": "de",
            "source": { "name": "trade fair", "collectedAt": "2026-10-30T12:00:00Z", "informedAt": "2026-11-01T00:00:00Z", "noticeVersion": "3" },
            "ground": { "purpose": "customer_care", "reference": "C-17", "until": "2030-01-01T00:00:00Z" },
        });
        let payload = "contact { id givenName familyName email city state version createdAt provenance { source collectedAt recordedAt recordedBy fields externalId informedAt noticeVersion } grounds { purpose { code } reference since until recordedBy } }";
        let made = done(&client, &staff.support, "createContact", input, payload).await;
        let contact = &made["contact"];
        let actor = contact["provenance"][0]["recordedBy"].as_str().unwrap();
        assert!(actor.starts_with("token:"));
        assert_eq!(
            *contact,
            json!({
                "id": contact["id"], "givenName": "Jörg", "familyName": "Größler", "email": "joerg@example.org",
                "city": null, "state": "ACTIVE", "version": 1, "createdAt": "2026-11-02T09:00:00Z",
                "provenance": [{ "source": "trade fair", "collectedAt": "2026-10-30T12:00:00Z", "recordedAt": "2026-11-02T09:00:00Z",
                    "recordedBy": actor, "fields": ["givenName", "familyName", "email", "language"], "externalId": null,
                    "informedAt": "2026-11-01T00:00:00Z", "noticeVersion": "3" }],
                "grounds": [{ "purpose": { "code": "customer_care" }, "reference": "C-17", "since": "2026-11-02T09:00:00Z",
                    "until": "2030-01-01T00:00:00Z", "recordedBy": actor }],
            })
        );
        let found =
            client.data(&staff.support, "{ contacts(search: \"grossler jorg\") { totalCount } }").await;
        assert_eq!(found["contacts"]["totalCount"], 1);
        // The same address again is nobody's business.
        let twin = json!({ "familyName": "Zwilling", "email": "joerg@example.org", "source": { "name": "call" }, "ground": { "purpose": "customer_care" } });
        done(&client, &staff.support, "createContact", twin, "contact { id }").await;
        // A purpose that holds for every contact needs no ground.
        let subject = json!({ "familyName": "Fragt", "source": { "name": "letter" } });
        done(&client, &staff.desk, "createContact", subject, "contact { id }").await;
    }
}

#[tokio::test]
async fn a_rectification_keeps_where_each_value_comes_from() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let input = json!({ "contactId": person(1), "expectedVersion": 1, "familyName": "Kühn", "city": "Ulm", "clear": ["PHONE"], "source": { "name": "letter" } });
        let payload = "contact { familyName city phone version updatedAt provenance { source fields } }";
        let changed = done(&client, &staff.support, "updateContact", input, payload).await;
        assert_eq!(
            changed["contact"],
            json!({ "familyName": "Kühn", "city": "Ulm", "phone": null, "version": 2, "updatedAt": "2026-11-02T09:00:00Z",
                    "provenance": changed["contact"]["provenance"] })
        );
        let sources = changed["contact"]["provenance"].as_array().unwrap();
        assert!(
            sources.contains(&json!({ "source": "letter", "fields": ["familyName", "phone", "city"] })),
            "{sources:?}"
        );
        // The folded companions moved along.
        let found = client
            .data(&staff.support, "{ contacts(filter: { familyName: { eq: \"KUHN\" } }) { totalCount } }")
            .await;
        assert_eq!(found["contacts"]["totalCount"], 1);
        let stale = json!({ "contactId": person(1), "expectedVersion": 1, "city": "Bonn" });
        let answer = mutate(&client, &staff.support, "updateContact", &stale, payload).await;
        assert_eq!(refusal(&answer, "updateContact"), "CONFLICT");
    }
}

/// Each right is checked before anything is done, and the coordinate and the place are told.
#[tokio::test]
async fn rights_are_checked_field_by_field() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let news = test.caller("marketing", "newsletter").await;
        let before = dump(&test.app.db.writer).await;
        let cases: Vec<(&Caller, &str, Value, &str, &str)> = vec![
            // Masked is not readable, so it cannot be saved back.
            (
                &staff.support,
                "updateContact",
                json!({ "contactId": person(1), "birthDate": "1984-02-29" }),
                "FORBIDDEN_FIELD Contact.birthDate",
                "input.birthDate",
            ),
            (
                &staff.support,
                "updateContact",
                json!({ "contactId": person(1), "clear": ["NOTES"] }),
                "FORBIDDEN_FIELD Contact.notes",
                "input.clear.0",
            ),
            (
                &staff.support,
                "updateContact",
                json!({ "contactId": person(1), "phone": "bad", "notes": "x" }),
                "FORBIDDEN_FIELD Contact.notes",
                "input.notes",
            ),
            (
                &staff.sales,
                "recordGround",
                json!({ "contactId": person(1), "purpose": "accounting" }),
                "NOT_FOUND -",
                "-",
            ),
            (
                &staff.support,
                "recordGround",
                json!({ "contactId": person(1), "purpose": "accounting" }),
                "FORBIDDEN ground:purpose:accounting",
                "input.purpose",
            ),
            (
                &staff.support,
                "createContact",
                json!({ "familyName": "N", "source": { "name": "x" }, "ground": { "purpose": "accounting" } }),
                "FORBIDDEN ground:purpose:accounting",
                "input.ground.purpose",
            ),
            (
                &staff.support,
                "openRequest",
                json!({ "contactId": person(1), "kind": "ACCESS" }),
                "FORBIDDEN Mutation.openRequest",
                "-",
            ),
            (
                &staff.dpo,
                "updateContact",
                json!({ "contactId": person(1), "phone": "+49 30 1234" }),
                "FORBIDDEN Mutation.updateContact",
                "-",
            ),
            (
                &news,
                "withdrawConsent",
                json!({ "consentId": id(1, 100) }),
                "FORBIDDEN Mutation.withdrawConsent",
                "-",
            ),
            (
                &staff.admin,
                "createAccessToken",
                json!({ "name": "t", "roles": ["privacy_desk"], "purposes": ["newsletter"], "expiresAt": "2026-11-20T00:00:00Z" }),
                "FORBIDDEN token:role:privacy_desk",
                "input.roles",
            ),
            (
                &staff.admin,
                "createAccessToken",
                json!({ "name": "t", "roles": ["partner"], "purposes": ["rights_fulfilment"], "expiresAt": "2026-11-20T00:00:00Z" }),
                "FORBIDDEN token:purpose:rights_fulfilment",
                "input.purposes",
            ),
            (
                &staff.admin,
                "createAccessToken",
                json!({ "name": "t", "roles": ["partner"], "purposes": ["newsletter"], "expiresAt": "2026-12-20T00:00:00Z" }),
                "FORBIDDEN -",
                "input.expiresAt",
            ),
        ];
        for (caller, name, input, expected, place) in cases {
            let answer = mutate(&client, caller, name, &input, "__typename").await;
            refusal(&answer, name);
            assert_eq!(problems(&answer), [expected], "{name} {input}");
            assert_eq!(
                answer["errors"][0]["extensions"]["inputPath"].as_str().unwrap_or("-"),
                place,
                "{answer}"
            );
        }
        // A payload that may not be read is no reason not to write, unless the client prefers failure.
        let query =
            "mutation { updateContact(input: {contactId: \"ID\", city: \"Ulm\"}) { contact { city notes } } }"
                .replace("ID", &person(1));
        let (status, strict) =
            client.send(&staff.support, json!({ "query": query }), &[("prefer", "strict")]).await;
        assert_eq!(status, 403, "{strict}");
        assert_same(&dump(&test.app.db.writer).await, &before, "a refusal");
        let answer = client.ask(&staff.support, &query).await;
        assert_eq!(answer["data"]["updateContact"]["contact"], json!({ "city": "Ulm", "notes": null }));
        assert_eq!(problems(&answer), ["FORBIDDEN_FIELD Contact.notes"]);
    }
}

/// A token never makes a wider or longer one.
#[tokio::test]
async fn a_narrowed_token_makes_no_wider_one() {
    for World { test, client } in worlds().await {
        let own = [
            "AccessToken.name",
            "AccessToken.roles",
            "AccessToken.purposes",
            "AccessToken.fields",
            "AccessToken.expiresAt",
            "Contact.email",
        ];
        let new = zweck::domain::access_tokens::NewToken {
            name: "narrow".to_owned(),
            roles: vec!["admin".to_owned()],
            purposes: vec!["administration".to_owned()],
            fields: Some(own.map(str::to_owned).to_vec()),
            expires_at: test.app.now() + chrono::TimeDelta::days(10),
            recipient_id: None,
        };
        let (_, token) = test.make_token(new).await.unwrap();
        let caller = Caller { token, purpose: "administration".to_owned() };
        let input = |fields: Value| json!({ "name": "t", "roles": ["partner"], "purposes": ["newsletter"], "expiresAt": "2026-11-05T00:00:00Z", "fields": fields });
        for (fields, code) in [(Value::Null, "FORBIDDEN"), (json!(["Contact.phone"]), "FORBIDDEN")] {
            let answer = mutate(&client, &caller, "createAccessToken", &input(fields), "secret").await;
            assert_eq!(refusal(&answer, "createAccessToken"), code);
        }
        let made = done(
            &client,
            &caller,
            "createAccessToken",
            input(json!(["Contact.email"])),
            "secret token { name }",
        )
        .await;
        assert_eq!(made["secret"].as_str().unwrap().len(), 70);
        let minted =
            zweck::domain::access_tokens::BearerToken::parse(made["secret"].as_str().unwrap()).unwrap();
        let minted = Caller { token: minted, purpose: "newsletter".to_owned() };
        let seen = client.ask(&minted, "{ contacts { nodes { email givenName } } }").await;
        assert_eq!(problems(&seen), ["FORBIDDEN_FIELD Contact.givenName"]);
    }
}

#[tokio::test]
async fn the_audit_log_tells_each_reader_what_it_may_read() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let input = json!({ "contactId": person(1), "email": "anna@new.example" });
        done(&client, &staff.support, "updateContact", input, "contact { id }").await;
        let query = "{ auditLog(filter: { action: { eq: \"updateContact\" }, entityType: { eq: \"Contact\" } }) { totalCount nodes { actor roles purpose action outcome entityId contact { familyName } changedFields policyRevision requestId before after } } }";
        let seen = client.data(&staff.dpo, query).await;
        let entry = &seen["auditLog"]["nodes"][0];
        assert_eq!(seen["auditLog"]["totalCount"], 1);
        assert_eq!(
            json!({ "purpose": entry["purpose"], "roles": entry["roles"], "outcome": entry["outcome"], "entityId": entry["entityId"], "contact": entry["contact"] }),
            json!({ "purpose": "customer_care", "roles": ["support"], "outcome": "CHANGED", "entityId": person(1), "contact": { "familyName": "Köhler" } })
        );
        assert_eq!(entry["before"]["Contact.email"], "anna@example.org");
        assert_eq!(entry["after"]["Contact.email"], "anna@new.example");
        assert_eq!(entry["after"]["Provenance.fields"], json!(["email"]));
        assert!(entry["changedFields"].as_array().unwrap().contains(&json!("Contact.email")));
        assert_eq!(entry["requestId"].as_str().unwrap().len(), 36);
        // The auditor sees that it happened, and no value.
        let auditor = test.caller("auditor", "security_audit").await;
        let answer = client.ask(&auditor, query).await;
        assert_eq!(
            problems(&answer),
            [
                "FORBIDDEN_FIELD AuditEntry.after",
                "FORBIDDEN_FIELD AuditEntry.before",
                "FORBIDDEN_FIELD AuditEntry.contact"
            ]
        );
        assert_eq!(answer["data"]["auditLog"]["nodes"][0]["actor"], entry["actor"]);
        assert!(!answer.to_string().contains("anna@"));
        // Who reads values of entries still reads only values of fields that it may read.
        let mut sources = zweck::policy::Sources::embedded();
        sources.policy.push_str("\np, role:dpo, purpose:rights_fulfilment, Contact.email, read, deny\n");
        test.app.policy.reload(&sources, &zweck::registry::policy_objects()).await.unwrap();
        let narrowed = client.ask(&staff.dpo, query).await;
        let entry = &narrowed["data"]["auditLog"]["nodes"][0];
        assert!(
            entry["after"].get("Contact.email").is_none() && !narrowed.to_string().contains("anna@new"),
            "{entry}"
        );
        assert_eq!(entry["after"]["Provenance.fields"], json!(["email"]));
        // Nobody else has the log at all.
        let marketing = test.caller("marketing", "newsletter").await;
        assert_eq!(problems(&client.ask(&marketing, query).await), ["FORBIDDEN Query.auditLog"]);
    }
}

/// Values lie sealed; with the key they are gone, and the entry stays.
#[tokio::test]
async fn values_are_sealed_by_person_and_category_and_end_with_their_key() {
    use sea_orm::ConnectionTrait;
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let input =
            json!({ "contactId": person(1), "email": "sealed@secret.example", "familyName": "Sealedname" });
        done(&client, &staff.support, "updateContact", input, "contact { id }").await;
        let db = &test.app.db.writer;
        let dumped = dump(db).await;
        for table in ["audit_entry", "subject_key", "idempotency"] {
            let text = dumped[table].join("\n");
            assert!(!text.contains("sealed@secret") && !text.contains("Sealedname"), "{table}");
        }
        let keys = "SELECT COUNT(*) FROM subject_key WHERE category IN ('identity', 'email', 'provenance')";
        assert_eq!(number(db, keys).await, 3);
        db.execute_unprepared("DELETE FROM subject_key WHERE category = 'email'").await.unwrap();
        let query = "{ auditLog(filter: { action: { eq: \"updateContact\" } }) { nodes { changedFields before after } } }";
        let entry = client.data(&staff.dpo, query).await["auditLog"]["nodes"][0].clone();
        assert!(entry["after"].get("Contact.email").is_none());
        assert_eq!(entry["after"]["Contact.familyName"], "Sealedname");
        assert!(entry["changedFields"].as_array().unwrap().contains(&json!("Contact.email")));
    }
}

#[tokio::test]
async fn a_new_master_key_opens_what_the_old_one_wrapped() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let input = json!({ "contactId": person(1), "familyName": "Neu" });
        done(&client, &staff.support, "updateContact", input, "contact { id }").await;
        let open = async |keys: MasterKeys| {
            let db = zweck::db::Db::connect(&test.url, 2).await.unwrap();
            let policy = zweck::policy::PolicyHandle::new(test.app.policy.current());
            zweck::app::App::new(db, policy, test.clock.clone(), keys, zweck::auth::oidc::Issuers::default())
        };
        let rotating = open(MasterKeys::with_previous([8; 32], vec![[7; 32]])).await;
        let stale = number(&rotating.db.reader, "SELECT COUNT(*) FROM subject_key").await;
        assert!(stale > 0);
        assert_eq!(
            zweck::audit::rotate_master_key(&rotating, "cli:test").await.unwrap().rewrapped,
            u64::try_from(stale).unwrap()
        );
        assert_eq!(zweck::audit::rotate_master_key(&rotating, "cli:test").await.unwrap().rewrapped, 0);
        // The old one is not needed any more, and opens nothing.
        for (key, opens) in [([8; 32], true), ([7; 32], false), ([9; 32], false)] {
            let app = open(MasterKeys::new(key)).await;
            let rows = "SELECT COUNT(*) FROM audit_entry WHERE action = 'updateContact'";
            assert_eq!(number(&app.db.reader, rows).await, 1);
            let world = crate::support::client::Client::over(std::sync::Arc::new(app));
            let query = "{ auditLog(filter: { action: { eq: \"updateContact\" } }) { nodes { after } } }";
            let after = world.data(&staff.dpo, query).await["auditLog"]["nodes"][0]["after"].clone();
            assert_eq!(after.get("Contact.familyName").is_some(), opens, "{after}");
        }
    }
}

/// Entries outlive what they tell about.
#[tokio::test]
async fn entries_of_vanished_contacts_stay() {
    use sea_orm::ConnectionTrait;
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let made = json!({ "familyName": "Weg", "source": { "name": "letter" } });
        let made = done(&client, &staff.desk, "createContact", made, "contact { id }").await;
        let contact = made["contact"]["id"].as_str().unwrap();
        let db = &test.app.db.writer;
        for statement in [
            "DELETE FROM provenance WHERE source = 'letter'",
            "DELETE FROM contact WHERE family_name = 'Weg'",
        ] {
            db.execute_unprepared(statement).await.unwrap();
        }
        let query = format!(
            "{{ auditLog(filter: {{ contactId: {{ eq: \"{contact}\" }} }}) {{ nodes {{ action entityId contact {{ id }} after }} }} }}"
        );
        let seen = client.data(&staff.dpo, &query).await;
        let entry = &seen["auditLog"]["nodes"][0];
        assert_eq!((entry["action"].as_str(), &entry["contact"]), (Some("createContact"), &Value::Null));
        assert_eq!(entry["after"]["Contact.familyName"], "Weg");
    }
}

#[tokio::test]
async fn requests_are_opened_with_their_period_and_cancelled_once() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let input = json!({ "contactId": person(2), "kind": "PORTABILITY", "receivedAt": "2026-10-29T12:00:00Z", "purpose": "newsletter", "note": "by letter\nof two pages" });
        let payload =
            "request { id kind status receivedAt dueAt overdue note purpose { code } contact { givenName } }";
        let opened = done(&client, &staff.desk, "openRequest", input, payload).await;
        let request = &opened["request"];
        assert_eq!(request["dueAt"], "2026-12-01T00:00:00Z");
        assert_eq!(
            (request["status"].as_str(), request["overdue"].as_bool()),
            (Some("RECEIVED"), Some(false))
        );
        let cancel = json!({ "privacyRequestId": request["id"], "reason": "taken back by phone" });
        let payload = "request { status closedAt reason }";
        let cancelled = done(&client, &staff.desk, "cancelRequest", cancel.clone(), payload).await;
        assert_eq!(
            cancelled["request"],
            json!({ "status": "CANCELLED", "closedAt": "2026-11-02T09:00:00Z", "reason": "taken back by phone" })
        );
        assert_eq!(done(&client, &staff.desk, "cancelRequest", cancel, payload).await, cancelled);
        let unknown = json!({ "privacyRequestId": person(77) });
        let answer = mutate(&client, &staff.desk, "cancelRequest", &unknown, payload).await;
        assert_eq!(refusal(&answer, "cancelRequest"), "NOT_FOUND");
    }
}

/// Several mutations of a document run in its order, each for itself; equal response keys run once.
#[tokio::test]
async fn a_document_runs_in_order_and_each_field_once() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let query = format!(
            "mutation M($yes: Boolean!) {{ first: updateContact(input: {{contactId: \"{0}\", city: \"Ulm\"}}) {{ ...F }}
               second: updateContact(input: {{contactId: \"{0}\", expectedVersion: 1, city: \"Bonn\"}}) {{ ...F }}
               third: updateContact(input: {{contactId: \"{0}\", expectedVersion: 2, city: \"Köln\"}}) {{ ...F }}
               first: updateContact(input: {{contactId: \"{0}\", city: \"Ulm\"}}) {{ contact {{ version }} }}
               skipped: updateContact(input: {{contactId: \"{0}\", city: \"Trier\"}}) @skip(if: $yes) {{ ...F }}
               ...G __typename }}
             fragment F on ContactPayload {{ contact {{ city }} }}
             fragment G on Mutation {{ first: updateContact(input: {{contactId: \"{0}\", city: \"Ulm\"}}) {{ __typename }} }}",
            person(1)
        );
        let answer = client.ask_with(&staff.support, &query, json!({ "yes": true })).await;
        assert_eq!(
            answer["data"],
            json!({ "first": { "contact": { "city": "Ulm", "version": 2 }, "__typename": "ContactPayload" }, "second": null,
                    "third": { "contact": { "city": "Köln" } }, "__typename": "Mutation" })
        );
        assert_eq!(answer["errors"].as_array().unwrap().len(), 1);
        assert_eq!(answer["errors"][0]["path"], json!(["second"]));
        let entries = "SELECT COUNT(*) FROM audit_entry WHERE action = 'updateContact'";
        assert_eq!(number(&test.app.db.writer, entries).await, 2);
    }
}

/// What cannot be read back is found out before anything is done.
#[tokio::test]
async fn a_bad_cursor_in_a_payload_stops_the_mutation() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let before = dump(&test.app.db.writer).await;
        let query = format!(
            "mutation {{ updateContact(input: {{contactId: \"{}\", city: \"Ulm\"}}) {{ contact {{ consents(after: \"garbage\") {{ nodes {{ id }} }} }} }} }}",
            person(1)
        );
        let answer = client.ask(&staff.desk, &query).await;
        assert_eq!(refusal(&answer, "updateContact"), "BAD_USER_INPUT");
        assert_same(&dump(&test.app.db.writer).await, &before, "a refusal");
    }
}

/// A token narrowed to fields that tell nobody apart can still change those.
#[tokio::test]
async fn a_narrowed_token_changes_what_it_may() {
    for World { test, client } in worlds().await {
        let new = zweck::domain::access_tokens::NewToken {
            name: "narrow".to_owned(),
            roles: vec!["support".to_owned()],
            purposes: vec!["customer_care".to_owned()],
            fields: Some(vec!["Contact.company".to_owned()]),
            expires_at: test.app.now() + chrono::TimeDelta::days(10),
            recipient_id: None,
        };
        let (_, token) = test.make_token(new).await.unwrap();
        let caller = Caller { token, purpose: "customer_care".to_owned() };
        let input = json!({ "contactId": person(1), "company": "Werk" });
        let changed = done(&client, &caller, "updateContact", input, "contact { company }").await;
        assert_eq!(changed["contact"]["company"], "Werk");
    }
}
