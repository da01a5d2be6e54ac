//! What each caller sees: rows by ground, fields by decision, pages both ways; on both databases, through the router.

use chrono::TimeDelta;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::support::{
    app::{TestApp, each},
    client::{Caller, Client, problems},
    world::{id, persons, seed},
};

pub struct World {
    pub test: TestApp,
    pub client: Client,
}

/// The same small world in each database.
pub async fn worlds() -> Vec<World> {
    let mut worlds = Vec::new();
    for test in each().await {
        seed(&test.app.db.writer, &persons()).await;
        worlds.push(World { client: Client::of(&test), test });
    }
    worlds
}

fn column<'v>(nodes: &'v Value, name: &str) -> Vec<&'v str> {
    nodes.as_array().unwrap().iter().map(|node| node[name].as_str().unwrap_or("-")).collect()
}

async fn names(client: &Client, caller: &Caller) -> Vec<String> {
    let answer = client.data(caller, "{ contacts { nodes { givenName } } }").await;
    column(&answer["contacts"]["nodes"], "givenName").into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn the_ground_decides_who_exists() {
    for World { test, client } in worlds().await {
        for (role, purpose, expected) in [
            // Granted, bound to the address he still has, not objected, not expired, ended objections aside.
            ("marketing", "newsletter", "Anna Jan"),
            ("partner", "newsletter", "Anna Jan"),
            ("marketing", "event_invitations", "Anna Gina Hans"),
            ("marketing", "phone_marketing", ""),
            // A recorded ground that holds now, and no objection to the group.
            ("marketing", "existing_customer_mail", "Jan"),
            // A contract cannot be objected to; a ground ends and begins.
            ("support", "customer_care", "Anna Bernd"),
            ("accounting", "accounting", "Jan Karl"),
            ("marketing", "consent_management", "Anna Bernd Clara Dora Emil Gina Hans Ida Jan"),
            ("dpo", "rights_fulfilment", "Anna Bernd Clara Dora Emil Gina Hans Ida Jan Karl"),
        ] {
            let caller = test.caller(role, purpose).await;
            assert_eq!(names(&client, &caller).await.join(" "), expected, "{role} {purpose}");
            // By id too: who is not in the list does not exist, without an error.
            for person in persons() {
                let query = format!("{{ contact(id: \"{}\") {{ givenName }} }}", id(0, person.number));
                let found = client.data(&caller, &query).await;
                let seen = expected.split(' ').any(|name| name == person.given_name);
                assert_eq!(!found["contact"].is_null(), seen, "{role} {purpose} {}", person.given_name);
            }
            let nobody = client.data(&caller, "{ contact(id: \"nonsense\") { givenName } }").await;
            assert_eq!(nobody, json!({ "contact": null }));
        }
    }
}

#[tokio::test]
async fn time_alone_ends_and_begins_grounds() {
    for World { test, client } in worlds().await {
        let support = test.caller("support", "customer_care").await;
        let events = test.caller("marketing", "event_invitations").await;
        test.clock.advance(TimeDelta::days(4));
        assert_eq!(names(&client, &support).await, ["Anna", "Bernd", "Gina"]);
        test.clock.advance(TimeDelta::days(1));
        // At the instant itself it is over.
        assert_eq!(names(&client, &support).await, ["Anna", "Gina"]);
        test.clock.advance(TimeDelta::days(5));
        assert_eq!(names(&client, &events).await, ["Gina", "Hans"]);
    }
}

#[tokio::test]
async fn fields_of_an_uncovered_channel_are_withheld() {
    for World { test, client } in worlds().await {
        let caller = test.caller("marketing", "event_invitations").await;
        let answer = client.ask(&caller, "{ contacts { nodes { givenName email phone } } }").await;
        assert_eq!(
            answer["data"]["contacts"]["nodes"],
            json!([
                { "givenName": "Anna", "email": null, "phone": "+49 30 23125 001" },
                { "givenName": "Gina", "email": "gina@example.org", "phone": null },
                { "givenName": "Hans", "email": null, "phone": "+49 30 23125 008" },
            ])
        );
        assert_eq!(
            answer["extensions"]["withheld"],
            json!([
                { "coordinate": "Contact.email", "reason": "CONSENT_MISSING", "count": 2 },
                { "coordinate": "Contact.phone", "reason": "CONSENT_MISSING", "count": 1 },
            ])
        );
        assert!(answer.get("errors").is_none());
        // In filter, order and search the value counts as missing.
        for (arguments, expected) in [
            ("filter: { email: { isNull: true } }", vec!["Anna", "Hans"]),
            ("filter: { email: { eq: \"hans@example.org\" } }", vec![]),
            ("filter: { not: { email: { contains: \"@\" } } }", vec!["Anna", "Hans"]),
            ("filter: { email: { startsWith: \"GINA\" } }", vec!["Gina"]),
            ("search: \"example.org\"", vec!["Gina"]),
            ("orderBy: [{ field: EMAIL, direction: ASC }]", vec!["Gina", "Anna", "Hans"]),
            ("orderBy: [{ field: EMAIL, direction: DESC }]", vec!["Hans", "Anna", "Gina"]),
        ] {
            let answer = client
                .data(&caller, &format!("{{ contacts({arguments}) {{ nodes {{ givenName }} }} }}"))
                .await;
            assert_eq!(column(&answer["contacts"]["nodes"], "givenName"), expected, "{arguments}");
        }
    }
}

#[tokio::test]
async fn denials_are_told_once_and_masks_are_listed() {
    for World { test, client } in worlds().await {
        let caller = test.caller("marketing", "newsletter").await;
        let query =
            "{ a: contacts { nodes { phone ...F } } b: contacts { nodes { p: phone city birthDate } } }
                     fragment F on Contact { phone email }";
        let answer = client.ask(&caller, query).await;
        assert_eq!(problems(&answer), ["FORBIDDEN_FIELD Contact.birthDate", "FORBIDDEN_FIELD Contact.phone"]);
        assert_eq!(answer["errors"][0]["locations"].as_array().unwrap().len(), 3);
        assert!(answer["errors"][0].get("path").is_none());
        assert_eq!(answer["extensions"]["masked"], json!(["Contact.city"]));
        assert_eq!(
            answer["data"]["b"]["nodes"],
            json!([{ "p": null, "city": "S***", "birthDate": null }, { "p": null, "city": null, "birthDate": null }])
        );
        // For zero rows as well.
        let none = client.ask(&caller, "{ contacts(search: \"nobody\") { nodes { phone } } }").await;
        assert_eq!(problems(&none), ["FORBIDDEN_FIELD Contact.phone"]);
        let strict = client.send(&caller, json!({ "query": query }), &[("prefer", "strict")]).await;
        assert_eq!(strict.0, 403);
        let strict: Value = serde_json::from_str(&strict.1).unwrap();
        assert!(strict.get("data").is_none() && problems(&strict).len() == 2);
        let support = test.caller("support", "customer_care").await;
        let year = client.ask(&support, "{ contacts(first: 1) { nodes { birthDate } } }").await;
        assert_eq!(year["data"]["contacts"]["nodes"], json!([{ "birthDate": "1984" }]));
    }
}

#[tokio::test]
async fn children_follow_their_own_row_rule() {
    for World { test, client } in worlds().await {
        let query = "{ contacts(first: 3) { nodes { givenName consents { totalCount nodes { channel purpose { code } contact { givenName } } }
                       objections { purpose { code } } } } }";
        let marketing = test.caller("marketing", "consent_management").await;
        let all = client.data(&marketing, query).await;
        let anna = &all["contacts"]["nodes"][0];
        assert_eq!(anna["consents"]["totalCount"], 2);
        assert_eq!(anna["consents"]["nodes"][1]["purpose"]["code"], "event_invitations");
        assert_eq!(anna["consents"]["nodes"][1]["contact"]["givenName"], "Anna");
        let own = test.caller("marketing", "newsletter").await;
        let query = "{ contacts(first: 3) { nodes { givenName consents { totalCount nodes { purpose { code } } } } } consents { totalCount } }";
        let own = client.data(&own, query).await;
        // Only those of the own purpose; only of contacts that exist for it.
        assert_eq!(
            own["contacts"]["nodes"][0]["consents"]["nodes"],
            json!([{ "purpose": { "code": "newsletter" } }])
        );
        assert_eq!(own["consents"]["totalCount"], 2);
        let dpo = test.caller("dpo", "rights_fulfilment").await;
        let query = "{ privacyRequests(orderBy: [{ field: DUE_AT, direction: ASC }]) { totalCount nodes { kind overdue contact { givenName } } }
                       contact(id: \"ID\") { contactPoints { email } provenance { source fields } requests(first: 1) { totalCount nodes { kind } pageInfo { hasNextPage } } } }";
        let answer = client.data(&dpo, &query.replace("ID", &id(0, 1).to_string())).await;
        // A request outlives its contact and then shows none.
        assert_eq!(
            answer["privacyRequests"],
            json!({ "totalCount": 3, "nodes": [
                { "kind": "ERASURE", "overdue": true, "contact": null },
                { "kind": "ERASURE", "overdue": true, "contact": { "givenName": "Anna" } },
                { "kind": "ACCESS", "overdue": false, "contact": { "givenName": "Anna" } },
            ] })
        );
        assert_eq!(
            answer["contact"],
            json!({
                "contactPoints": [{ "email": "anna@work.example" }, { "email": "anna@home.example" }],
                "provenance": [{ "source": "test", "fields": ["email"] }],
                "requests": { "totalCount": 2, "nodes": [{ "kind": "ACCESS" }], "pageInfo": { "hasNextPage": true } },
            })
        );
    }
}

#[tokio::test]
async fn pages_in_any_order_and_direction_make_the_whole() {
    for World { test, client } in worlds().await {
        let caller = test.caller("dpo", "rights_fulfilment").await;
        for order in [
            "[]",
            "[{ field: FAMILY_NAME, direction: ASC }]",
            "[{ field: FAMILY_NAME, direction: DESC }, { field: CREATED_AT, direction: ASC }]",
            "[{ field: CITY, direction: ASC }]",
            "[{ field: CITY, direction: DESC }]",
            "[{ field: RESTRICTED_AT, direction: DESC }]",
            "[{ field: RESTRICTED_AT, direction: ASC }, { field: FAMILY_NAME, direction: ASC }]",
            "[{ field: CITY, direction: DESC }, { field: GIVEN_NAME, direction: ASC }]",
            "[{ field: RESTRICTED_AT, direction: ASC }, { field: STATE, direction: DESC }, { field: ID, direction: DESC }]",
        ] {
            let whole =
                client.data(&caller, &format!("{{ contacts(orderBy: {order}) {{ nodes {{ id }} }} }}")).await;
            let whole = column(&whole["contacts"]["nodes"], "id");
            assert_eq!(whole.len(), 10);
            for (size, bound, start, more) in [
                ("first", "after", "endCursor", "hasNextPage"),
                ("last", "before", "startCursor", "hasPreviousPage"),
            ] {
                let mut seen: Vec<String> = Vec::new();
                let mut cursor = Value::Null;
                loop {
                    let query = format!(
                        "query($c: String) {{ contacts(orderBy: {order}, {size}: 3, {bound}: $c) {{
                           nodes {{ id }} pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} }}"
                    );
                    let answer = client.ask_with(&caller, &query, json!({ "c": cursor })).await;
                    let page = &answer["data"]["contacts"];
                    let ids = column(&page["nodes"], "id").into_iter().map(str::to_owned);
                    seen = if size == "first" {
                        seen.into_iter().chain(ids).collect()
                    } else {
                        ids.chain(seen).collect()
                    };
                    if page["pageInfo"][more] != true {
                        break;
                    }
                    cursor = page["pageInfo"][start].clone();
                }
                assert_eq!(seen, whole, "{order} {size}");
            }
        }
    }
}

#[tokio::test]
async fn filters_nest_and_fold() {
    for World { test, client } in worlds().await {
        let caller = test.caller("dpo", "rights_fulfilment").await;
        for (arguments, expected) in [
            ("filter: { familyName: { eq: \"KOHLER\" } }", "Anna Gina"),
            ("filter: { familyName: { in: [\"kohler\", \"Öztürk\"] } }", "Anna Bernd Gina"),
            (
                "filter: { or: [{ givenName: { startsWith: \"a\" } }, { and: [{ givenName: { contains: \"in\" } }, { not: { city: { isNull: true } } }] }] }",
                "Anna Gina",
            ),
            ("filter: { not: { state: { eq: ACTIVE } } }", "Emil Karl"),
            ("filter: { state: { in: [RESTRICTED] } }", "Emil"),
            ("filter: { city: { isNull: true } }", "Jan"),
            ("filter: { not: { city: { eq: \"stuttgart\" } } }", "Jan"),
            ("filter: { or: [] }", ""),
            ("filter: { and: [] }", "Anna Bernd Clara Dora Emil Gina Hans Ida Jan Karl"),
            ("filter: { email: { in: [] } }", ""),
            ("filter: { email: { contains: \"%\" } }", ""),
            ("filter: { email: { startsWith: \"\" }, givenName: { eq: \"ida\" } }", "Ida"),
            ("search: \"köhler example\"", "Anna Gina"),
            ("search: \"  \"", "Anna Bernd Clara Dora Emil Gina Hans Ida Jan Karl"),
            ("filter: { createdAt: { lt: \"2026-07-25T11:00:00+00:00\" } }", "Anna"),
        ] {
            let answer = client
                .data(&caller, &format!("{{ contacts({arguments}) {{ totalCount nodes {{ givenName }} }} }}"))
                .await;
            let found = column(&answer["contacts"]["nodes"], "givenName");
            assert_eq!(found.join(" "), expected, "{arguments}");
            assert_eq!(answer["contacts"]["totalCount"], found.len(), "{arguments}");
        }
    }
}

/// Proof 5: once a consent is withdrawn, no read that begins afterwards returns the field, while readers run.
#[tokio::test]
async fn a_withdrawal_holds_from_the_next_read_on() {
    for World { test, client } in worlds().await {
        let caller = test.caller("partner", "newsletter").await;
        let query =
            format!("{{ contact(id: \"{}\") {{ email }} contacts {{ nodes {{ email }} }} }}", id(0, 1));
        for round in 0..20 {
            let grant = "UPDATE consent SET status = 'GRANTED' WHERE purpose_code = 'newsletter' AND bound_address = 'anna@example.org'";
            test.app.db.writer.execute_unprepared(grant).await.unwrap();
            assert_eq!(client.data(&caller, &query).await["contact"]["email"], "anna@example.org");
            let readers: Vec<_> = (0..4)
                .map(|_| {
                    let (client, caller, query) = (client.clone(), caller.clone(), query.clone());
                    tokio::spawn(async move { client.data(&caller, &query).await })
                })
                .collect();
            let withdraw = grant.replace("'GRANTED'", "'WITHDRAWN'");
            test.app.db.writer.execute_unprepared(&withdraw).await.unwrap();
            let after = client.data(&caller, &query).await;
            assert_eq!(after["contact"], Value::Null, "round {round}");
            assert_eq!(after["contacts"]["nodes"], json!([{ "email": "jan@example.org" }]));
            for reader in readers {
                // One that began before may have seen either, and nothing else.
                let seen = reader.await.unwrap();
                assert!(seen["contact"].is_null() || seen["contact"]["email"] == "anna@example.org");
            }
        }
    }
}

#[tokio::test]
async fn the_viewer_needs_no_purpose_and_explains_itself() {
    for World { test, client } in worlds().await {
        let token = test.token(&["marketing"], &["newsletter", "consent_management"]).await;
        let query = "{ viewer { roles permittedPurposes { code title(language: \"de\") channels } purpose { code } fields(type: \"Contact\") { coordinate decision } } }";
        let chosen = Caller { token, purpose: "newsletter".to_owned() };
        let data = client.data(&chosen, query).await;
        assert_eq!(data["viewer"]["purpose"]["code"], "newsletter");
        assert_eq!(
            data["viewer"]["permittedPurposes"][1],
            json!({ "code": "newsletter", "title": "Newsletter", "channels": ["EMAIL"] })
        );
        let fields = data["viewer"]["fields"].as_array().unwrap();
        assert!(fields.contains(&json!({ "coordinate": "Contact.city", "decision": "MASK" })));
        let dpo = test.caller("dpo", "rights_fulfilment").await;
        let query = format!(
            "{{ explainAccess(coordinate: \"Contact.email\", purpose: \"newsletter\", roles: [\"partner\"], contactId: \"{}\") {{ decision contactVisible rules {{ text }} }} }}",
            id(0, 2)
        );
        let data = client.data(&dpo, &query).await;
        assert_eq!(data["explainAccess"]["decision"], "ALLOW");
        assert_eq!(data["explainAccess"]["contactVisible"], false);
        let gone = client.data(&dpo, &query.replace(&id(0, 2).to_string(), &id(0, 6).to_string())).await;
        assert_eq!(gone["explainAccess"], Value::Null);
    }
}
