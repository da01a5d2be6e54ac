//! A hundred bad inputs: each is BAD_USER_INPUT with its place in the input, and leaves nothing behind.

use serde_json::{Value, json};

use super::{Staff, mutate, newsletter, person};
use crate::{
    reads::{World, worlds},
    support::{
        client::Caller,
        dump::{assert_same, dump},
        world::id,
    },
};

/// A good input of each mutation, as a base; `None` for the mutations that take an id alone.
fn base(name: &str) -> Value {
    match name {
        "createContact" => {
            json!({ "familyName": "Neu", "source": { "name": "call" }, "ground": { "purpose": "customer_care" } })
        }
        "updateContact" => json!({ "contactId": person(1), "phone": "+49 30 23125 999" }),
        "mergeContacts" => json!({ "contactId": person(7), "duplicateId": person(8) }),
        "addContactPoint" => json!({ "contactId": person(1), "kind": "EMAIL", "email": "a@b.example" }),
        "recordGround" => json!({ "contactId": person(1), "purpose": "customer_care", "reference": "C" }),
        "endGround" => json!({ "groundId": id(3, 100) }),
        "recordObjection" => json!({ "contactId": person(1), "purpose": "direct_marketing" }),
        "endObjection" => json!({ "objectionId": id(4, 400) }),
        "liftBlock" => json!({ "blockId": id(4, 399) }),
        "recordConsent" => newsletter(2, "2026-11-01T10:00:00Z"),
        "withdrawConsent" => json!({ "contactId": person(1), "purpose": "newsletter" }),
        "openRequest" => json!({ "contactId": person(1), "kind": "ACCESS" }),
        "restrictContact" => json!({ "contactId": person(1), "limb": "A", "reason": "contested" }),
        "liftRestriction" => json!({ "contactId": person(5), "informedAt": "2026-11-01T10:00:00Z" }),
        "createRecipient" => json!({ "name": "R", "kind": "PROCESSOR" }),
        "createAccessToken" => {
            json!({ "name": "t", "roles": ["partner"], "purposes": ["newsletter"], "expiresAt": "2026-11-20T00:00:00Z" })
        }
        other => panic!("{other}"),
    }
}

/// Mutation, what is put over its good input (null takes away), and the place that is to be named.
fn cases() -> Vec<(&'static str, Value, &'static str)> {
    let long = "x".repeat(501);
    let mut cases = vec![
        // Missing and of the wrong type.
        ("createContact", json!({ "source": null }), "input.source"),
        ("createContact", json!({ "source": {} }), "input.source.name"),
        ("createContact", json!({ "source": "call" }), "input.source"),
        ("createContact", json!({ "ground": null }), "input.ground"),
        ("createContact", json!({ "ground": {} }), "input.ground.purpose"),
        ("createContact", json!({ "familyName": null }), "input"),
        ("createContact", json!({ "familyName": 7 }), "input.familyName"),
        ("createContact", json!({ "familyName": ["x"] }), "input.familyName"),
        ("createContact", json!({ "familyName": { "x": 1 } }), "input.familyName"),
        ("createContact", json!({ "shoeSize": "44" }), "input.shoeSize"),
        ("createContact", json!({ "state": "ERASED" }), "input.state"),
        ("createContact", json!({ "id": person(1) }), "input.id"),
        // Texts.
        ("createContact", json!({ "familyName": "" }), "input.familyName"),
        ("createContact", json!({ "familyName": " \t " }), "input.familyName"),
        ("createContact", json!({ "familyName": long }), "input.familyName"),
        ("createContact", json!({ "familyName": "a\u{0}b" }), "input.familyName"),
        ("createContact", json!({ "familyName": "a\nb" }), "input.familyName"),
        ("createContact", json!({ "familyName": "a\u{202e}b" }), "input.familyName"),
        ("createContact", json!({ "givenName": "a\u{feff}" }), "input.givenName"),
        ("createContact", json!({ "email": "nobody" }), "input.email"),
        ("createContact", json!({ "email": "a@b" }), "input.email"),
        ("createContact", json!({ "email": "a b@example.org" }), "input.email"),
        ("createContact", json!({ "email": "a@example.org, b@example.org" }), "input.email"),
        ("createContact", json!({ "phone": "call me" }), "input.phone"),
        ("createContact", json!({ "phone": "12" }), "input.phone"),
        ("createContact", json!({ "language": "german" }), "input.language"),
        ("createContact", json!({ "language": "de_DE" }), "input.language"),
        ("createContact", json!({ "source": { "name": "" } }), "input.source.name"),
        (
            "createContact",
            json!({ "source": { "name": "x", "collectedAt": "yesterday" } }),
            "input.source.collectedAt",
        ),
        (
            "createContact",
            json!({ "source": { "name": "x", "collectedAt": "2026-11-03T00:00:00Z" } }),
            "input.source.collectedAt",
        ),
        (
            "createContact",
            json!({ "source": { "name": "x", "informedAt": "2026-11-03T00:00:00Z" } }),
            "input.source.informedAt",
        ),
        ("createContact", json!({ "source": { "name": "x", "externalId": "1" } }), "input.source.externalId"),
        // Grounds.
        ("createContact", json!({ "ground": { "purpose": "nothing" } }), "input.ground.purpose"),
        ("createContact", json!({ "ground": { "purpose": "direct_marketing" } }), "input.ground.purpose"),
        ("createContact", json!({ "ground": { "purpose": "newsletter" } }), "input.ground.purpose"),
        ("createContact", json!({ "ground": { "purpose": " customer_care" } }), "input.ground.purpose"),
        (
            "createContact",
            json!({ "ground": { "purpose": "customer_care", "since": "2026-11-01T00:00:00Z", "until": "2026-10-01T00:00:00Z" } }),
            "input.ground.until",
        ),
        (
            "createContact",
            json!({ "ground": { "purpose": "customer_care", "until": "2026-11-02T09:00:00Z" } }),
            "input.ground.until",
        ),
        (
            "createContact",
            json!({ "ground": { "purpose": "customer_care", "since": 7 } }),
            "input.ground.since",
        ),
        // Updates.
        ("updateContact", json!({ "contactId": null }), "input.contactId"),
        ("updateContact", json!({ "contactId": "nonsense" }), "input.contactId"),
        ("updateContact", json!({ "contactId": 7 }), "input.contactId"),
        ("updateContact", json!({ "phone": null }), "input"),
        ("updateContact", json!({ "phone": "" }), "input.phone"),
        ("updateContact", json!({ "expectedVersion": "1" }), "input.expectedVersion"),
        ("updateContact", json!({ "expectedVersion": 1.5 }), "input.expectedVersion"),
        ("updateContact", json!({ "expectedVersion": 9_999_999_999_i64 }), "input.expectedVersion"),
        ("updateContact", json!({ "clear": ["PHONE"] }), "input.clear.0"),
        ("updateContact", json!({ "clear": ["SHOE_SIZE"] }), "input.clear.0"),
        ("updateContact", json!({ "clear": ["STATE"] }), "input.clear.0"),
        ("updateContact", json!({ "clear": ["CITY", "CITY"] }), "input.clear.1"),
        ("updateContact", json!({ "source": { "name": long } }), "input.source.name"),
        (
            "updateContact",
            json!({ "phone": null, "clear": ["GIVEN_NAME", "FAMILY_NAME", "EMAIL", "PHONE", "STREET", "POSTAL_CODE", "CITY"] }),
            "input.clear",
        ),
        // Merges.
        ("mergeContacts", json!({ "contactId": null }), "input.contactId"),
        ("mergeContacts", json!({ "duplicateId": null }), "input.duplicateId"),
        ("mergeContacts", json!({ "duplicateId": "nonsense" }), "input.duplicateId"),
        ("mergeContacts", json!({ "duplicateId": person(7) }), "input.duplicateId"),
        ("mergeContacts", json!({ "expectedVersion": "1" }), "input.expectedVersion"),
        ("mergeContacts", json!({ "take": ["SHOE_SIZE"] }), "input.take.0"),
        ("mergeContacts", json!({ "take": ["EMAIL", "STATE"] }), "input.take.1"),
        ("mergeContacts", json!({ "take": ["EMAIL", "EMAIL"] }), "input.take.1"),
        ("mergeContacts", json!({ "familyName": "x" }), "input.familyName"),
        // Contact points.
        ("addContactPoint", json!({ "kind": "FAX" }), "input.kind"),
        ("addContactPoint", json!({ "kind": null }), "input.kind"),
        ("addContactPoint", json!({ "email": null }), "input.email"),
        ("addContactPoint", json!({ "phone": "+49 30 23125" }), "input.phone"),
        ("addContactPoint", json!({ "kind": "PHONE", "email": null }), "input.phone"),
        ("addContactPoint", json!({ "kind": "POSTAL", "email": null }), "input.street"),
        ("addContactPoint", json!({ "kind": "POSTAL" }), "input.email"),
        ("addContactPoint", json!({ "email": "a@b" }), "input.email"),
        ("addContactPoint", json!({ "label": long }), "input.label"),
        ("recordGround", json!({ "purpose": "newsletter" }), "input.purpose"),
        ("recordGround", json!({ "purpose": "" }), "input.purpose"),
        ("recordGround", json!({ "until": "2020-01-01T00:00:00Z" }), "input.until"),
        ("recordGround", json!({ "contactId": "x" }), "input.contactId"),
        ("recordGround", json!({ "since": "2026-13-01T00:00:00Z" }), "input.since"),
        ("endGround", json!({ "endedAt": "2020-01-01T00:00:00Z" }), "input.endedAt"),
        ("endGround", json!({ "groundId": "" }), "input.groundId"),
        // Objections.
        ("recordObjection", json!({ "contactId": null }), "input.contactId"),
        ("recordObjection", json!({ "email": "a@example.org" }), "input.contactId"),
        ("recordObjection", json!({ "contactId": null, "email": "nobody" }), "input.email"),
        ("recordObjection", json!({ "purpose": "customer_care" }), "input.purpose"),
        ("recordObjection", json!({ "purpose": "accounting" }), "input.purpose"),
        ("recordObjection", json!({ "purpose": "nothing" }), "input.purpose"),
        ("recordObjection", json!({ "declaredAt": "2026-11-02T09:00:01Z" }), "input.declaredAt"),
        ("endObjection", json!({ "endedAt": "2026-11-02T09:00:01Z" }), "input.endedAt"),
        ("endObjection", json!({ "endedAt": "2020-01-01T00:00:00Z" }), "input.endedAt"),
        // Consents.
        ("recordConsent", json!({ "purpose": "direct_marketing" }), "input.purpose"),
        ("recordConsent", json!({ "purpose": "customer_care" }), "input.purpose"),
        ("recordConsent", json!({ "purpose": "nothing" }), "input.purpose"),
        ("recordConsent", json!({ "channel": "PHONE" }), "input.channel"),
        ("recordConsent", json!({ "channel": "FAX" }), "input.channel"),
        ("recordConsent", json!({ "channel": null }), "input.channel"),
        ("recordConsent", json!({ "textVersion": "1999-1" }), "input.textVersion"),
        ("recordConsent", json!({ "language": "fr" }), "input.textVersion"),
        ("recordConsent", json!({ "language": "" }), "input.language"),
        ("recordConsent", json!({ "proof": "recorded_call" }), "input.proof"),
        ("recordConsent", json!({ "proof": null }), "input.proof"),
        ("recordConsent", json!({ "declaredAt": "2026-11-02T09:00:01Z" }), "input.declaredAt"),
        ("recordConsent", json!({ "declaredAt": "2026-11-01" }), "input.declaredAt"),
        ("recordConsent", json!({ "declaredAt": null }), "input.declaredAt"),
        ("recordConsent", json!({ "expiresAt": "2026-11-01T10:00:00Z" }), "input.expiresAt"),
        ("recordConsent", json!({ "expiresAt": "2028-11-01T10:00:01Z" }), "input.expiresAt"),
        ("recordConsent", json!({ "source": "" }), "input.source"),
        ("recordConsent", json!({ "status": "GRANTED" }), "input.status"),
        ("withdrawConsent", json!({ "contactId": null, "purpose": null }), "input.consentId"),
        ("withdrawConsent", json!({ "purpose": null }), "input.purpose"),
        ("withdrawConsent", json!({ "consentId": id(1, 100) }), "input.consentId"),
        ("withdrawConsent", json!({ "purpose": "customer_care" }), "input.purpose"),
        ("withdrawConsent", json!({ "channel": "POST" }), "input.channel"),
        ("withdrawConsent", json!({ "declaredAt": "2026-11-02T09:00:01Z" }), "input.declaredAt"),
        // Requests and restrictions.
        ("openRequest", json!({ "kind": "COMPLAINT" }), "input.kind"),
        ("openRequest", json!({ "receivedAt": "2026-11-03T00:00:00Z" }), "input.receivedAt"),
        ("openRequest", json!({ "receivedAt": "0000-00-00T00:00:00Z" }), "input.receivedAt"),
        ("openRequest", json!({ "purpose": "nothing" }), "input.purpose"),
        ("openRequest", json!({ "note": "x".repeat(10_001) }), "input.note"),
        ("restrictContact", json!({ "limb": "E" }), "input.limb"),
        ("restrictContact", json!({ "reason": null }), "input.reason"),
        ("restrictContact", json!({ "plannedUntil": "2026-11-02T09:00:00Z" }), "input.plannedUntil"),
        ("liftRestriction", json!({ "informedAt": "2026-11-03T00:00:00Z" }), "input.informedAt"),
        ("liftRestriction", json!({ "informedAt": null }), "input.informedAt"),
        ("recordGround", json!({ "until": "9999-12-31T23:59:59-12:00" }), "input.until"),
        ("recordGround", json!({ "since": "0000-01-01T00:00:00Z" }), "input.since"),
        (
            "updateContact",
            json!({ "source": { "name": "x", "informedAt": "2026-11-03T00:00:00Z" } }),
            "input.source.informedAt",
        ),
        // Administration.
        ("createRecipient", json!({ "kind": "FRIEND" }), "input.kind"),
        ("createRecipient", json!({ "contractUntil": "2026-02-30" }), "input.contractUntil"),
        ("createRecipient", json!({ "contractUntil": "2026-02-20T10:00" }), "input.contractUntil"),
        ("createAccessToken", json!({ "roles": [] }), "input.roles"),
        ("createAccessToken", json!({ "roles": ["emperor"] }), "input.roles.0"),
        ("createAccessToken", json!({ "roles": ["partner", "partner"] }), "input.roles.1"),
        ("createAccessToken", json!({ "purposes": ["direct_marketing"] }), "input.purposes.0"),
        ("createAccessToken", json!({ "purposes": ["nothing"] }), "input.purposes.0"),
        ("createAccessToken", json!({ "fields": [] }), "input.fields"),
        ("createAccessToken", json!({ "fields": ["Contact.shoeSize"] }), "input.fields.0"),
        ("createAccessToken", json!({ "expiresAt": "2026-11-02T09:00:00Z" }), "input.expiresAt"),
        ("createAccessToken", json!({ "recipientId": person(1) }), "input.recipientId"),
        ("createAccessToken", json!({ "name": "a\u{7f}" }), "input.name"),
    ];
    cases.extend([("createContact", json!(null), "input"), ("updateContact", json!("x"), "input")]);
    cases
}

fn caller<'s>(staff: &'s Staff, name: &str) -> &'s Caller {
    match name {
        "recordObjection" | "endObjection" | "liftBlock" | "recordConsent" | "withdrawConsent" => {
            &staff.consent
        }
        "openRequest" | "restrictContact" | "liftRestriction" | "mergeContacts" => &staff.desk,
        "createRecipient" | "createAccessToken" => &staff.admin,
        _ => &staff.support,
    }
}

/// The base with `changes` put over it.
fn over(base: &Value, changes: &Value) -> Value {
    let (Some(base), Some(changes)) = (base.as_object(), changes.as_object()) else { return changes.clone() };
    let mut input = base.clone();
    for (name, value) in changes {
        input.insert(name.clone(), value.clone());
    }
    Value::Object(input)
}

#[tokio::test]
async fn each_bad_input_is_refused_with_its_place_and_leaves_nothing_behind() {
    let cases = cases();
    assert!(cases.len() >= 100, "only {} cases", cases.len());
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let before = dump(&test.app.db.writer).await;
        for (name, changes, place) in &cases {
            let input = over(&base(name), changes);
            let answer = mutate(&client, caller(&staff, name), name, &input, "__typename").await;
            let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{name} {changes}: {answer}"));
            assert_eq!(errors.len(), 1, "{name} {changes}: {answer}");
            let extensions = &errors[0]["extensions"];
            assert_eq!(extensions["code"], "BAD_USER_INPUT", "{name} {changes}: {answer}");
            assert_eq!(extensions["inputPath"], *place, "{name} {changes}: {answer}");
            assert!(answer.get("data").is_none_or(|data| data[*name].is_null()), "{answer}");
            assert!(answer.to_string().len() < 1_000, "{answer}");
        }
        assert_same(&dump(&test.app.db.writer).await, &before, "a refusal");
        // The bases themselves are good: what was refused was refused for the change alone.
        let mut names: Vec<&str> = cases.iter().map(|(name, ..)| *name).collect();
        names.sort_unstable();
        names.dedup();
        // Restrictions last: they close the contact for the others.
        names.sort_by_key(|name| *name == "restrictContact" || *name == "endGround");
        for name in names {
            let answer = mutate(&client, caller(&staff, name), name, &base(name), "__typename").await;
            assert!(answer.get("errors").is_none(), "{name}: {answer}");
        }
    }
}

/// What a client wrote at the wrong place is not told back: it may be a value of a person.
#[tokio::test]
async fn no_error_quotes_a_value() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        for (name, changes, _) in cases() {
            let marked: Value = serde_json::from_str(
                &over(&base(name), &changes)
                    .to_string()
                    .replace("\"x\"", "\"secret-marker\"")
                    .replace("FAX", "SECRET"),
            )
            .unwrap();
            let body = mutate(&client, caller(&staff, name), name, &marked, "__typename").await.to_string();
            for value in
                ["secret-marker", "SECRET", "call me", "nobody", "yesterday", "a@b", "emperor", "1999-1"]
            {
                assert!(!body.contains(value), "{name} {changes} told {value}: {body}");
            }
        }
    }
}
