//! The person sees its own rows alone, whatever the purpose sees, by every way there is.

use serde_json::{Value, json};
use zweck::{
    auth::actor::Actor,
    graphql::{Pipeline, Request},
};

use super::{PagesState, sites};
use crate::support::world::id;

/// What the engine answers to the person `number`.
async fn ask(site: &PagesState, number: u128, query: &str) -> Value {
    let app = &site.test.app;
    let (policy, purpose) = (app.policy.current(), &app.pages.purpose);
    let actor = Actor::for_subject(policy, id(0, number), purpose, app.now(), "r".to_owned()).unwrap();
    let request = Request { query: query.to_owned(), ..Request::default() };
    let answer = Pipeline::new().unwrap().execute(app, &actor, request).await;
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn nobody_sees_what_belongs_to_another() {
    for site in sites().await {
        let (own, other) = (id(0, 1).to_string(), id(0, 2).to_string());
        let answer = ask(&site, 1, &format!("{{ contact(id: \"{own}\") {{ id givenName email }} }}")).await;
        let shown = json!({ "id": own, "givenName": "Anna", "email": "anna@example.org" });
        assert_eq!(answer["data"]["contact"], shown);
        let answer = ask(&site, 1, &format!("{{ contact(id: \"{other}\") {{ id givenName email }} }}")).await;
        assert_eq!(answer, json!({ "data": { "contact": null } }));

        let answer =
            ask(&site, 1, "{ consents(first: 100) { nodes { contact { id } events { kind } } } }").await;
        let nodes = answer["data"]["consents"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), 2);
        assert!(nodes.iter().all(|node| node["contact"]["id"] == own.as_str()));
        let answer = ask(&site, 1, "{ privacyRequests(first: 100) { nodes { kind } } }").await;
        assert_eq!(answer["data"]["privacyRequests"]["nodes"].as_array().unwrap().len(), 2);
        let answer = ask(&site, 2, "{ privacyRequests { nodes { kind } } }").await;
        assert_eq!(answer["data"]["privacyRequests"]["nodes"], json!([]));
    }
}

#[tokio::test]
async fn nobody_changes_what_belongs_to_another() {
    for site in sites().await {
        let other = id(0, 2).to_string();
        // Ids of others are ids of nothing.
        for (name, input, payload) in [
            ("withdrawConsent", format!("contactId: \"{other}\", purpose: \"newsletter\""), "consents"),
            ("withdrawConsent", format!("consentId: \"{}\"", id(1, 200)), "consents"),
            ("recordObjection", format!("contactId: \"{other}\", purpose: \"newsletter\""), "objections"),
            ("openRequest", format!("contactId: \"{other}\", kind: ACCESS"), "request"),
        ] {
            let query = format!("mutation {{ {name}(input: {{ {input} }}) {{ {payload} {{ id }} }} }}");
            let answer = ask(&site, 1, &query).await;
            assert_eq!(answer["errors"][0]["extensions"]["code"], "NOT_FOUND", "{query}: {answer}");
        }
        // Every other root is closed.
        for query in [
            "{ contacts { nodes { id } } }",
            "{ auditLog { nodes { id } } }",
            "{ consentChanges { nodes { id } } }",
            "{ accessTokens { id } }",
            "{ recipients { id } }",
            "mutation { endObjection(input: { objectionId: \"01990000-0000-7000-8000-000400000400\" }) { objection { id } } }",
        ] {
            let answer = ask(&site, 1, query).await;
            let code = answer["errors"][0]["extensions"]["code"].as_str().unwrap();
            assert!(code.starts_with("FORBIDDEN"), "{query}: {answer}");
        }
    }
}

/// A token in the role of the persons is nobody's, and sees nobody.
#[tokio::test]
async fn the_role_alone_opens_nothing() {
    let site = sites().await.remove(0);
    let caller = site.test.caller("subject", "consent_management").await;
    let data =
        site.client().data(&caller, "{ consents { nodes { id } } privacyRequests { nodes { id } } }").await;
    assert_eq!(data, json!({ "consents": { "nodes": [] }, "privacyRequests": { "nodes": [] } }));
}
