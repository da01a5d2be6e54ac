//! Proof 6 for mutations: no write tells what its caller may not read.

use serde_json::json;

use super::person;
use crate::{
    noninterference::compare,
    support::world::{Person, id},
};

fn mutation(name: &str, input: &serde_json::Value, payload: &str) -> String {
    // JSON is GraphQL but for the quotes around names, and around the words of enums.
    let mut text = input.to_string();
    for name in
        input.as_object().unwrap().keys().chain(["name", "purpose", "reference"].map(String::from).iter())
    {
        text = text.replace(&format!("\"{name}\":"), &format!("{name}:"));
    }
    for word in ["EMAIL", "ACCESS", "FAMILY_NAME", "GIVEN_NAME", "PHONE"] {
        text = text.replace(&format!("\"{word}\""), word);
    }
    format!("mutation {{ {name}(input: {text}) {{ {payload} }} }}")
}

const CONTACT: &str =
    "contact { id givenName familyName email phone version updatedAt grounds { reference } }";

/// What support could try: addresses that others have, persons whom it does not see, versions that are wrong.
fn support() -> Vec<String> {
    let source = json!({ "name": "call" });
    let mut queries = Vec::new();
    for email in ["clara@example.org", "dora@example.org", "secret@example.org", "nobody@example.org"] {
        let ground = json!({ "purpose": "customer_care", "reference": "C" });
        let new = json!({ "familyName": "Neu", "email": email, "source": source, "ground": ground });
        queries.push(mutation("createContact", &new, CONTACT));
        queries.push(mutation("updateContact", &json!({ "contactId": person(1), "email": email }), CONTACT));
        let point = json!({ "contactId": person(1), "kind": "EMAIL", "email": email });
        queries.push(mutation("addContactPoint", &point, CONTACT));
    }
    // Visible, invisible, restricted, erased, kept, never there.
    for number in [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 99] {
        let contact = person(number);
        for change in [
            json!({ "contactId": contact, "phone": "+49 30 23125 777" }),
            json!({ "contactId": contact, "phone": "+49 30 23125 778", "expectedVersion": 1 }),
            json!({ "contactId": contact, "phone": "+49 30 23125 779", "expectedVersion": 7 }),
            json!({ "contactId": contact, "phone": "bad" }),
            json!({ "contactId": contact, "birthDate": "1984-02-29" }),
            json!({ "contactId": contact, "clear": ["PHONE"] }),
        ] {
            queries.push(mutation("updateContact", &change, CONTACT));
        }
        let point = json!({ "contactId": contact, "kind": "EMAIL", "email": "a@b.example" });
        queries.push(mutation("addContactPoint", &point, CONTACT));
        let ground = json!({ "contactId": contact, "purpose": "customer_care" });
        queries.push(mutation("recordGround", &ground, "ground { id }"));
        queries.push(mutation(
            "endGround",
            &json!({ "groundId": id(3, number * 100 + 1) }),
            "ground { until }",
        ));
        queries.push(format!(
            "mutation {{ removeContactPoint(input: {{contactPointId: \"{}\"}}) {{ {CONTACT} }} }}",
            id(6, number * 100)
        ));
        let request = json!({ "contactId": contact, "kind": "ACCESS" });
        queries.push(mutation("openRequest", &request, "request { id }"));
    }
    queries.push("{ contacts(orderBy: [{ field: EMAIL, direction: ASC }]) { totalCount nodes { email phone version } } }".to_owned());
    queries
}

#[tokio::test]
async fn support_learns_nothing_by_writing() {
    compare("support", "customer_care", &support(), |persons| {
        for person in persons.iter_mut() {
            // What support may not read of those it sees.
            person.birth_date = Some("1901-01-01");
            person.notes = Some("secret");
            person.consents.clear();
            person.objections.clear();
            person.requests.clear();
        }
        // Whom it does not see.
        persons.retain(|person| !["Clara", "Hans", "Fritz", "Karl"].contains(&person.given_name));
        let dora = persons.iter_mut().find(|person| person.given_name == "Dora").unwrap();
        (dora.given_name, dora.email, dora.phone) = ("Secretia", Some("secret@example.org"), None);
    })
    .await;
}

/// What who records consents could try on persons who are only kept, or erased.
fn consents() -> Vec<String> {
    let mut queries = Vec::new();
    for number in [6, 11, 99] {
        let contact = person(number);
        for purpose in ["newsletter", "direct_marketing"] {
            let withdrawal = json!({ "contactId": contact, "purpose": purpose });
            queries.push(mutation("withdrawConsent", &withdrawal, "consents { status }"));
            queries.push(mutation("recordObjection", &withdrawal, "objections { id }"));
        }
        let mut consent = super::newsletter(number, "2026-11-01T10:00:00Z");
        queries.push(mutation("recordConsent", &consent, "consent { status }"));
        consent["textVersion"] = json!("1999-1");
        queries.push(mutation("recordConsent", &consent, "consent { status }"));
        queries.push(mutation(
            "withdrawConsent",
            &json!({ "consentId": id(1, number * 100) }),
            "consent { status }",
        ));
        queries.push(mutation(
            "endObjection",
            &json!({ "objectionId": id(4, number * 100) }),
            "objection { id }",
        ));
    }
    for email in ["karl@example.org", "fritz@example.org", "nobody@example.org"] {
        let objection = json!({ "email": email, "purpose": "direct_marketing" });
        queries.push(mutation("recordObjection", &objection, "objections { id }"));
    }
    queries
}

#[tokio::test]
async fn who_records_consents_learns_nothing_of_who_is_only_kept() {
    compare("marketing", "consent_management", &consents(), |persons| {
        persons.retain(|person| !["Fritz", "Karl"].contains(&person.given_name));
        for person in persons.iter_mut() {
            person.notes = Some("secret");
            person.birth_date = None;
        }
    })
    .await;
    compare("marketing", "newsletter", &consents(), |persons: &mut Vec<Person>| {
        persons.retain(|person| ["Anna", "Jan"].contains(&person.given_name));
    })
    .await;
}

/// What the desk, which sees all but the erased, could try on these.
fn merges() -> Vec<String> {
    let mut queries = Vec::new();
    for erased in [6, 99] {
        for (stays, goes) in [(1, erased), (erased, 1), (erased, erased), (erased, 98)] {
            let merge = json!({ "contactId": person(stays), "duplicateId": person(goes) });
            queries.push(mutation("mergeContacts", &merge, CONTACT));
            let merge = json!({ "contactId": person(stays), "duplicateId": person(goes), "expectedVersion": 7, "take": ["EMAIL"] });
            queries.push(mutation("mergeContacts", &merge, CONTACT));
        }
    }
    queries
}

#[tokio::test]
async fn who_merges_learns_nothing_of_who_is_erased() {
    compare("privacy_desk", "rights_fulfilment", &merges(), |persons| {
        persons.retain(|person| person.given_name != "Fritz");
    })
    .await;
}

/// What a caller may not read does not count where a contact must stay recognisable.
#[tokio::test]
async fn emptying_what_one_sees_does_not_tell_what_one_does_not_see() {
    let policy = |text: &str| {
        let mut sources = zweck::policy::Sources::embedded();
        sources.policy.push_str(text);
        sources
    };
    let deny = "\np, role:support, purpose:customer_care, Contact.email, read, deny\np, role:support, purpose:customer_care, Contact.phone, read, deny\np, role:support, purpose:customer_care, data:postal, read, deny\n";
    for hidden in [true, false] {
        for test in crate::support::app::each().await {
            let mut persons = crate::support::world::persons();
            persons.truncate(1);
            if !hidden {
                (persons[0].email, persons[0].phone, persons[0].city) = (None, None, None);
            }
            crate::support::world::seed(&test.app.db.writer, &persons).await;
            test.app.policy.reload(&policy(deny), &zweck::registry::policy_objects()).await.unwrap();
            let client = crate::support::client::Client::of(&test);
            let caller = test.caller("support", "customer_care").await;
            let query = mutation(
                "updateContact",
                &json!({ "contactId": person(1), "clear": ["FAMILY_NAME", "GIVEN_NAME"] }),
                "contact { id }",
            );
            let answer = client.ask(&caller, &query).await;
            assert_eq!(super::refusal(&answer, "updateContact"), "BAD_USER_INPUT", "hidden {hidden}");
        }
    }
}
