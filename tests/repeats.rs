//! Documents and plans that are kept serve again: for other ids, callers and values each as if it were the first time.

use serde_json::{Value, json};
use zweck::{domain::purposes, policy::Sources};

use crate::{
    reads::{World, worlds},
    support::{
        client::{Caller, Client, problems},
        world::{id, persons},
    },
};

const BY_ID: &str = "query One($id: ID!) { contact(id: $id) { givenName city phone } }";

async fn ask(client: &Client, caller: &Caller, query: &str, variables: &Value) -> Value {
    client.ask_with(caller, query, variables.clone()).await
}

/// Without what is another for each request.
fn same(mut answer: Value) -> Value {
    for error in answer["errors"].as_array_mut().into_iter().flatten() {
        error["extensions"]["requestId"] = Value::Null;
    }
    answer
}

#[tokio::test]
async fn each_id_gets_its_own_answer() {
    for World { test, client } in worlds().await {
        let caller = test.caller("dpo", "rights_fulfilment").await;
        for _ in 0..3 {
            for person in persons() {
                let answer = ask(&client, &caller, BY_ID, &json!({ "id": id(0, person.number) })).await;
                let fresh =
                    ask(&Client::of(&test), &caller, BY_ID, &json!({ "id": id(0, person.number) })).await;
                assert_eq!(same(answer), same(fresh));
            }
            for nobody in [json!("nobody"), json!(""), json!("x".repeat(200)), json!(7), json!(id(9, 9))] {
                let answer = ask(&client, &caller, BY_ID, &json!({ "id": nobody })).await;
                assert_eq!(answer, json!({ "data": { "contact": null } }), "{nobody}");
            }
        }
    }
}

#[tokio::test]
async fn nobody_gets_the_plan_of_another() {
    let query = "query($id: ID!) { contact(id: $id) { givenName city phone email version } \
                 contacts(first: 3) { totalCount nodes { email consents { nodes { status } } } } }";
    for World { test, client } in worlds().await {
        let variables = json!({ "id": id(0, persons()[0].number) });
        let callers = [
            test.caller("marketing", "newsletter").await,
            test.caller("partner", "newsletter").await,
            test.caller("support", "customer_care").await,
            test.caller("dpo", "rights_fulfilment").await,
            test.caller("marketing", "event_invitations").await,
            test.caller("marketing", "newsletter").await,
        ];
        for _ in 0..3 {
            for caller in &callers {
                let answer = ask(&client, caller, query, &variables).await;
                // A server of its own knows nothing yet.
                let fresh = ask(&Client::of(&test), caller, query, &variables).await;
                assert_eq!(same(answer), same(fresh), "{}", caller.purpose);
            }
        }
    }
}

#[tokio::test]
async fn what_is_decided_anew_counts_at_once() {
    for World { test, client } in worlds().await {
        let caller = test.caller("marketing", "newsletter").await;
        let city = "{ contacts { nodes { city } } }";
        let masked = ask(&client, &caller, city, &json!({})).await;
        assert_eq!(ask(&client, &caller, city, &json!({})).await, masked);
        assert_eq!(masked["extensions"]["masked"], json!(["Contact.city"]));
        let mut sources = Sources::embedded();
        sources.policy = sources.policy.replace("Contact.city, mask, allow", "Contact.city, read, allow");
        purposes::reload(&test.app, "cli:test", Ok(crate::policy::without_cases(sources))).await.unwrap();
        let full = ask(&client, &caller, city, &json!({})).await;
        assert!(full["extensions"]["masked"].is_null(), "{full}");
        assert_ne!(full["data"], masked["data"]);
        purposes::reload(&test.app, "cli:test", Ok(Sources::embedded())).await.unwrap();
        assert_eq!(ask(&client, &caller, city, &json!({})).await, masked);
    }
}

#[tokio::test]
async fn values_that_do_not_fit_are_told_each_time() {
    let documents = [
        (BY_ID, "id", vec![json!([]), json!({}), json!(true), json!(1.5), Value::Null]),
        (
            "query($first: Int) { contacts(first: $first) { nodes { id } } }",
            "first",
            vec![json!("2"), json!(2.5), json!(0), json!(1_001), json!(3_000_000_000_u64), json!([2])],
        ),
        (
            "query($filter: ContactFilter) { contacts(filter: $filter) { nodes { id } } }",
            "filter",
            vec![
                json!({ "nothing": 1 }),
                json!({ "city": { "eq": 7 } }),
                json!({ "city": { "nothing": "x" } }),
                json!({ "and": [{ "city": { "eq": "x" } }, null] }),
                json!("x"),
            ],
        ),
        (
            "query($yes: Boolean!) { contacts { nodes { id city @include(if: $yes) } } }",
            "yes",
            vec![json!("true"), json!(1), Value::Null],
        ),
        (
            "query($order: [ContactOrder!]) { contacts(orderBy: $order) { nodes { id } } }",
            "order",
            vec![json!([{ "field": "NOTHING" }]), json!([{ "field": "FAMILY_NAME", "direction": "UP" }])],
        ),
    ];
    let good = [
        json!(id(0, 1)),
        json!(2),
        json!({ "city": { "eq": "Stuttgart" } }),
        json!(true),
        json!([{ "field": "FAMILY_NAME", "direction": "DESC" }]),
    ];
    let World { test, client } = worlds().await.remove(0);
    let caller = test.caller("dpo", "rights_fulfilment").await;
    for ((query, name, bad), good) in documents.into_iter().zip(good) {
        let first = ask(&client, &caller, query, &json!({ name: good })).await;
        assert!(first.get("errors").is_none(), "{query}: {first}");
        for value in bad {
            let variables = json!({ name: value });
            let answer = ask(&client, &caller, query, &variables).await;
            let fresh = ask(&Client::of(&test), &caller, query, &variables).await;
            assert_eq!(same(answer.clone()), same(fresh), "{query} {variables}");
            assert!(!problems(&answer).is_empty(), "{query} {variables}: {answer}");
            // It did no harm to what is kept.
            assert_eq!(ask(&client, &caller, query, &json!({ name: good })).await, first);
        }
        // Without the variable as well.
        let answer = ask(&client, &caller, query, &json!({})).await;
        assert_eq!(same(answer), same(ask(&Client::of(&test), &caller, query, &json!({})).await));
    }
}

#[tokio::test]
async fn what_steers_a_document_is_looked_at_each_time() {
    let query = "query A($yes: Boolean!, $id: ID!) { contact(id: $id) { givenName city @include(if: $yes) } } \
                 query B($id: ID!) { contact(id: $id) { familyName } same: contact(id: $id) { id } }";
    let World { test, client } = worlds().await.remove(0);
    let caller = test.caller("dpo", "rights_fulfilment").await;
    let person = id(0, persons()[0].number);
    for _ in 0..3 {
        for (name, variables, fields) in [
            ("A", json!({ "yes": true, "id": person }), 2),
            ("A", json!({ "yes": false, "id": person }), 1),
            ("B", json!({ "id": person }), 1),
        ] {
            let body = json!({ "query": query, "operationName": name, "variables": variables });
            let (status, answer) = client.send(&caller, body, &[]).await;
            let answer: Value = serde_json::from_str(&answer).unwrap();
            assert_eq!(
                (status, answer["data"]["contact"].as_object().unwrap().len()),
                (200, fields),
                "{answer}"
            );
        }
        for name in [Value::Null, json!("C")] {
            let body = json!({ "query": query, "operationName": name, "variables": { "id": person } });
            let (_, answer) = client.send(&caller, body, &[]).await;
            assert!(answer.contains("BAD_USER_INPUT"), "{answer}");
        }
    }
}

/// However many are read at once, and from which side: everybody is seen, and each address is kept back, as by its own.
#[tokio::test]
async fn read_side_by_side_or_one_by_one_it_is_the_same() {
    let fields = "id givenName email phone street city";
    for World { test, client } in worlds().await {
        for (role, purpose) in
            [("marketing", "newsletter"), ("partner", "newsletter"), ("dpo", "rights_fulfilment")]
        {
            let caller = test.caller(role, purpose).await;
            let mut alone = Vec::new();
            for person in persons() {
                let query = format!("query($id: ID!) {{ contact(id: $id) {{ {fields} }} }}");
                let answer = ask(&client, &caller, &query, &json!({ "id": id(0, person.number) })).await;
                alone.extend(Some(answer["data"]["contact"].clone()).filter(|contact| !contact.is_null()));
            }
            alone.sort_by_key(|contact| contact["id"].to_string());
            let page = async |arguments: &str| {
                let query = format!(
                    "{{ contacts({arguments}) {{ nodes {{ {fields} }} pageInfo {{ endCursor startCursor }} }} }}"
                );
                let mut answer = ask(&client, &caller, &query, &json!({})).await["data"]["contacts"].take();
                let Value::Array(nodes) = answer["nodes"].take() else { panic!("{arguments}: {answer}") };
                (nodes, answer["pageInfo"].take())
            };
            assert!(alone.len() > 1, "{role}");
            assert_eq!(page("first: 100").await.0, alone, "{role}");
            assert_eq!(page("last: 100").await.0, alone, "{role}");
            for (count, cursor, end) in
                [("first: 2", "after", "endCursor"), ("last: 2", "before", "startCursor")]
            {
                let (mut pages, mut arguments) = (Vec::new(), count.to_owned());
                loop {
                    let (nodes, info) = page(&arguments).await;
                    if nodes.is_empty() {
                        break;
                    }
                    pages.push(nodes);
                    arguments = format!("{count}, {cursor}: {}", info[end]);
                }
                if cursor == "before" {
                    pages.reverse();
                }
                assert_eq!(pages.concat(), alone, "{role} {count}");
            }
        }
    }
}
