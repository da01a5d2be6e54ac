//! What is refused says what was expected, as far as the caller may know it, and tells no value back.

use serde_json::{Value, json};
use zweck::{domain::purposes, policy::Sources};

use crate::{
    policy::without_cases,
    reads::{World, worlds},
    support::{
        app::each,
        client::{Caller, Client},
    },
    writes::{Staff, person},
};

/// Code, place and message of the one error of an answer.
fn told(answer: &Value) -> [String; 3] {
    let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(errors.len(), 1, "{answer}");
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let extensions = &errors[0]["extensions"];
    [text(&extensions["code"]), text(&extensions["inputPath"]), text(&errors[0]["message"])]
}

async fn asked(client: &Client, caller: &Caller, query: &str, variables: Value) -> [String; 3] {
    told(&client.ask_with(caller, query, variables).await)
}

const GROUND: &str = "mutation($i: RecordGroundInput!) { recordGround(input: $i) { ground { id } } }";
const TOKEN: &str = "mutation($i: CreateAccessTokenInput!) { createAccessToken(input: $i) { secret } }";

/// A document that does not fit is told where, and what was meant, of what the caller is shown.
#[tokio::test]
async fn documents_that_do_not_fit_say_what_was_expected() {
    let test = each().await.remove(0);
    let client = Client::of(&test);
    let support = test.caller("support", "customer_care").await;
    let point = "mutation($i: AddContactPointInput!) { addContactPoint(input: $i) { contact { id } } }";
    let update = "mutation($i: UpdateContactInput!) { updateContact(input: $i) { contact { id } } }";
    for (query, variables, place, message) in [
        (
            "{ contacts { nodes { id } }\n  contact(id: ) { id } }",
            json!({}),
            "-",
            "the document does not parse: unexpected token at line 2, column 15",
        ),
        (
            "{ contacts { nodes { familyNam } } }",
            json!({}),
            "-",
            "Unknown field \"familyNam\" on type \"Contact\". Did you mean \"familyName\"?",
        ),
        (
            "{ contacts { nodes { shoeSize } } }",
            json!({}),
            "-",
            "Unknown field \"shoeSize\" on type \"Contact\".",
        ),
        (
            "{ contacts(serch: \"x\") { nodes { id } } }",
            json!({}),
            "-",
            "Unknown argument \"serch\" on field \"contacts\" of type \"Query\". Did you mean \"search\"?",
        ),
        (
            update,
            json!({ "i": { "contactId": person(1), "familyNam": "x" } }),
            "input.familyNam",
            "there is no such input field; did you mean `familyName`?",
        ),
        (
            point,
            json!({ "i": { "contactId": person(1), "kind": "EMAIL", "shoeSize": "x" } }),
            "input.shoeSize",
            "there is no such input field; expected one of `contactId`, `kind`, `label`, `email`, `phone`, `street`, `postalCode`, `city`, `country`",
        ),
        (
            point,
            json!({ "i": { "contactId": person(1), "kind": "FAX" } }),
            "input.kind",
            "this value has the wrong type: expected one of `EMAIL`, `PHONE`, `POSTAL`",
        ),
        (
            point,
            json!({ "i": { "kind": "EMAIL" } }),
            "input.contactId",
            "`contactId` is missing: it must be an id, a UUID",
        ),
        (
            update,
            json!({ "i": { "expectedVersion": "x" } }),
            "input.expectedVersion",
            "this value has the wrong type: expected Int",
        ),
        (
            update,
            json!({ "i": { "contactId": "x" } }),
            "input.contactId",
            "`contactId` must be an id, a UUID",
        ),
        (
            update,
            json!({ "i": { "phone": "+49 30 23125 1" } }),
            "input.contactId",
            "`contactId` is missing: it must be an id, a UUID",
        ),
        (
            "query($t: String!) { viewer { fields(type: $t) { coordinate } } }",
            json!({ "t": "Contac" }),
            "-",
            "there is no such governed type; did you mean `Contact`?",
        ),
    ] {
        assert_eq!(
            asked(&client, &support, query, variables.clone()).await,
            ["BAD_USER_INPUT", place, message],
            "{query} {variables}"
        );
    }
    let body = json!({ "query": "query Two { viewer { actorId } } query One { viewer { actorId } }", "operationName": "Three" });
    let (_, answer) = client.send(&support, body, &[]).await;
    let message = "the document has no operation of this name; it has `One`, `Two`";
    assert_eq!(told(&serde_json::from_str(&answer).unwrap()), ["BAD_USER_INPUT", "operationName", message]);
}

/// Whom a member is hidden from, it is not suggested to, nor listed.
#[tokio::test]
async fn what_is_hidden_is_not_suggested() {
    let test = each().await.remove(0);
    let client = Client::of(&test);
    let partner = test.caller("partner", "newsletter").await;
    for (query, variables) in [
        ("{ contacts { nodes { birthDat } } }", json!({})),
        ("{ contacts { nodes { givenNam familyNam } } }", json!({})),
        ("{ accessToken { id } }", json!({})),
        ("{ contacts(filter: { birthDat: {} }) { nodes { id } } }", json!({})),
        (
            "query($f: ContactFilter) { contacts(filter: $f) { nodes { id } } }",
            json!({ "f": { "phon": {} } }),
        ),
        ("query($f: AuditFilter) { auditLog(filter: $f) { nodes { id } } }", json!({ "f": { "acto": {} } })),
        (
            "query($f: AuditFilter) { auditLog(filter: $f) { nodes { id } } }",
            json!({ "f": { "outcome": { "eq": "X" } } }),
        ),
        (
            "mutation($i: RestrictContactInput!) { restrictContact(input: $i) { contact { id } } }",
            json!({ "i": { "limb": "X" } }),
        ),
        (
            "mutation($i: RestrictContactInput!) { restrictContact(input: $i) { contact { id } } }",
            json!({ "i": { "reason": "x" } }),
        ),
        ("query($t: String!) { viewer { fields(type: $t) { coordinate } } }", json!({ "t": "AuditEntr" })),
    ] {
        let answer = client.ask_with(&partner, query, variables.clone()).await.to_string();
        assert!(answer.contains("BAD_USER_INPUT"), "{answer}");
        for hidden in [
            "birthDate",
            "familyName",
            "accessTokens",
            "`phone`",
            "`actor`",
            "CHANGED",
            "`A`",
            "RestrictionLimb",
            "AuditEntry",
            "AuditOutcome",
        ] {
            assert!(!answer.contains(hidden), "{query} {variables} told {hidden}: {answer}");
        }
    }
    // What it may use is suggested to it as to anybody.
    let answer = client.ask(&partner, "{ contacts { nodes { givenNam } } }").await;
    assert_eq!(
        told(&answer)[2],
        "Unknown field \"givenNam\" on type \"Contact\". Did you mean \"givenName\"?"
    );
}

/// Purposes and roles that are not there: what was meant, or what there is, as far as the caller may know.
#[tokio::test]
async fn purposes_and_roles_are_told_to_who_may_know_them() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let ground =
            |purpose: &str| json!({ "i": { "contactId": person(1), "purpose": purpose, "reference": "C" } });
        let [code, place, message] = asked(&client, &staff.support, GROUND, ground("customer_car")).await;
        assert_eq!((code.as_str(), place.as_str()), ("BAD_USER_INPUT", "input.purpose"));
        assert_eq!(message, "there is no purpose `customer_car`; did you mean `customer_care`?");
        // Here everybody may list the purposes.
        let [_, _, message] = asked(&client, &staff.support, GROUND, ground("Grossler")).await;
        assert!(
            message.starts_with("there is no such purpose; expected one of `")
                && message.contains("`accounting`"),
            "{message}"
        );
        assert!(!message.contains("Grossler"));
        let token = |roles: &[&str], purposes: &[&str]| json!({ "i": { "name": "t", "roles": roles, "purposes": purposes } });
        let [code, place, message] =
            asked(&client, &staff.admin, TOKEN, token(&["partner", "pirate"], &["newsletter"])).await;
        assert_eq!((code.as_str(), place.as_str()), ("BAD_USER_INPUT", "input.roles.1"));
        assert!(message.starts_with("there is no such role; expected one of `"), "{message}");
        let [_, place, message] =
            asked(&client, &staff.admin, TOKEN, token(&["partner"], &["newsleter"])).await;
        assert_eq!(place, "input.purposes.0");
        assert_eq!(message, "there is no purpose `newsleter`; did you mean `newsletter`?");
        let explain = "query($c: String!, $p: String!, $r: [String!]) { explainAccess(coordinate: $c, purpose: $p, roles: $r) { decision } }";
        for (variables, place, message) in [
            (
                json!({ "c": "Contact.emial", "p": "newsletter" }),
                "coordinate",
                "there is no such coordinate; did you mean `Contact.email`?",
            ),
            (
                json!({ "c": "Contact.email", "p": "newsleter" }),
                "purpose",
                "there is no purpose `newsleter`; did you mean `newsletter`?",
            ),
            (
                json!({ "c": "Contact.email", "p": "newsletter", "r": ["partner", "suport"] }),
                "roles.1",
                "there is no role `suport`; did you mean `support`?",
            ),
        ] {
            assert_eq!(
                asked(&client, &staff.dpo, explain, variables).await,
                ["BAD_USER_INPUT", place, message]
            );
        }
    }
}

/// Where the policy shows purposes to nobody, a caller is told its own and no other; without a credential nothing is told.
#[tokio::test]
async fn who_may_not_know_purposes_is_told_its_own() {
    let test = each().await.remove(0);
    let client = Client::of(&test);
    let mut sources = Sources::embedded();
    let lists = "p, role:anyone, purpose:any, Query.purposes, execute, allow\n";
    assert!(sources.policy.contains(lists));
    sources.policy = sources.policy.replace(lists, "");
    purposes::reload(&test.app, "cli:test", Ok(without_cases(sources))).await.unwrap();
    let support = test.caller("support", "customer_care").await;
    for given in ["newsleter", "Grossler", "accountin"] {
        let variables = json!({ "i": { "contactId": person(1), "purpose": given, "reference": "C" } });
        let [_, place, message] = asked(&client, &support, GROUND, variables).await;
        assert_eq!(place, "input.purpose");
        assert_eq!(message, "there is no such purpose; expected one of `customer_care`");
    }
    // A user who may make tokens is told the roles that it may grant, and its own.
    let new = "p, role:support, purpose:customer_care, Mutation.createAccessToken, execute, allow\n\
               p, role:support, purpose:customer_care, data:administration, create, allow\n\
               p, role:support, purpose:customer_care, token:role:partner, grant, allow\n\
               p, role:support, purpose:customer_care, token:purpose:customer_care, grant, allow\n";
    let mut sources = Sources::embedded();
    sources.policy = sources.policy.replace(lists, "") + new;
    purposes::reload(&test.app, "cli:test", Ok(without_cases(sources))).await.unwrap();
    let variables = json!({ "i": { "name": "t", "roles": ["admn"], "purposes": ["customer_care"] } });
    let [code, place, message] = asked(&client, &support, TOKEN, variables).await;
    assert_eq!((code.as_str(), place.as_str()), ("BAD_USER_INPUT", "input.roles.0"));
    assert_eq!(message, "there is no such role; expected one of `support`, `partner`");
    purposes::reload(&test.app, "cli:test", Ok(Sources::embedded())).await.unwrap();
    for query in [
        "{ contacts { nodes { familyNam } } }",
        "{ contacts(",
        "{ explainAccess(coordinate: \"x\", purpose: \"newsleter\") { decision } }",
    ] {
        let (status, body) = client.send_bearing("zwk_nobody", json!({ "query": query }), &[]).await;
        assert_eq!(status, 401);
        for known in ["newsletter", "familyName", "expected", "did you mean", "Did you mean", "line"] {
            assert!(!body.contains(known), "{query} told {known}: {body}");
        }
    }
}
