//! The schema: the committed file is the schema, everything is described, and its resolvers serve nothing.

use std::collections::BTreeSet;

use async_graphql::{Request, Value};
use zweck::{graphql, registry};

const COMMITTED: &str = include_str!("../schema.graphql");

#[test]
fn the_committed_schema_is_the_schema() {
    assert!(
        graphql::build().unwrap().sdl() == COMMITTED,
        "schema.graphql is stale; to repair: cargo run -- schema > schema.graphql"
    );
}

async fn introspect(query: &str) -> serde_json::Value {
    let answer = graphql::build().unwrap().execute(Request::new(query).only_introspection()).await;
    assert!(answer.errors.is_empty(), "{:?}", answer.errors);
    answer.data.into_json().unwrap()
}

fn names(list: &serde_json::Value) -> Vec<(String, Option<String>)> {
    let empty = Vec::new();
    list.as_array()
        .unwrap_or(&empty)
        .iter()
        .map(|item| {
            let description = item["description"].as_str().filter(|text| !text.is_empty());
            (item["name"].as_str().unwrap().to_owned(), description.map(str::to_owned))
        })
        .collect()
}

#[tokio::test]
async fn every_type_field_argument_and_value_is_described() {
    let data = introspect(
        "{ __schema { types { name description kind fields { name description args { name description } }
           inputFields { name description } enumValues { name description } } } }",
    )
    .await;
    let mut bare = Vec::new();
    let mut seen = 0;
    for ty in data["__schema"]["types"].as_array().unwrap() {
        let name = ty["name"].as_str().unwrap();
        if name.starts_with("__") || ["ID", "String", "Int", "Float", "Boolean"].contains(&name) {
            continue;
        }
        let mut check = |coordinate: String, description: Option<String>| {
            seen += 1;
            if description.is_none() {
                bare.push(coordinate);
            }
        };
        check(name.to_owned(), ty["description"].as_str().map(str::to_owned));
        for kind in ["fields", "inputFields", "enumValues"] {
            names(&ty[kind]).into_iter().for_each(|(item, doc)| check(format!("{name}.{item}"), doc));
        }
        for field in ty["fields"].as_array().into_iter().flatten() {
            for (argument, doc) in names(&field["args"]) {
                check(format!("{name}.{}({argument}:)", field["name"].as_str().unwrap()), doc);
            }
        }
    }
    assert_eq!(bare, Vec::<String>::new());
    assert!(seen > 200, "only {seen} coordinates were looked at");
}

/// Proof 2, the half of the schema: a field is governed, or its type is on this short list of technical ones.
#[tokio::test]
async fn every_object_type_is_governed_or_technical() {
    let data = introspect("{ __schema { types { name kind fields { name } } } }").await;
    let technical: BTreeSet<&str> = [
        "Query",
        "Mutation",
        "Subscription",
        "Viewer",
        "FieldAccess",
        "AccessExplanation",
        // Its one root needs full read of all that it tells.
        "ConsentReceipt",
        "PolicyRule",
        "PageInfo",
    ]
    .into();
    let payloads: BTreeSet<&str> = registry::MUTATIONS.iter().map(|mutation| mutation.payload.name).collect();
    let mut governed = BTreeSet::new();
    for ty in data["__schema"]["types"].as_array().unwrap() {
        let name = ty["name"].as_str().unwrap();
        if ty["kind"] != "OBJECT" || name.starts_with("__") || technical.contains(name) {
            continue;
        }
        if payloads.contains(name) {
            // Governed objects, and a secret that is told to its maker alone.
            let fields = names(&ty["fields"]);
            assert!(fields.len() <= 2, "{name} has more than what was written");
            continue;
        }
        if let Some(plural) = name.strip_suffix("Connection").or_else(|| name.strip_suffix("Edge")) {
            assert!(
                registry::OBJECTS.iter().any(|object| object.plural == Some(plural)),
                "{name} is not governed"
            );
            continue;
        }
        let object = registry::object(name);
        assert!(object.is_some(), "{name} is neither governed nor technical");
        let served: BTreeSet<String> = names(&ty["fields"]).into_iter().map(|(field, _)| field).collect();
        let declared = object.into_iter().flat_map(|object| object.fields).map(|field| field.name.to_owned());
        assert_eq!(served, declared.collect(), "{name}");
        governed.insert(name.to_owned());
    }
    assert_eq!(governed.len(), registry::OBJECTS.len());
    // Every subscription is declared, is about a governed type, and is spoken about in the policy.
    let types = data["__schema"]["types"].as_array().unwrap();
    let root = types.iter().find(|ty| ty["name"] == "Subscription").unwrap();
    let served: Vec<String> = names(&root["fields"]).into_iter().map(|(field, _)| field).collect();
    let declared: Vec<&str> = registry::SUBSCRIPTIONS.iter().map(|subscription| subscription.name).collect();
    assert_eq!(served, declared);
    let objects = registry::policy_objects();
    for name in declared {
        assert!(objects.iter().any(|object| object.name == format!("Subscription.{name}")), "{name}");
    }
}

/// What the engine stands on: async-graphql validates the whole document and answers introspection, and no
/// root resolver runs.
#[tokio::test]
async fn validation_runs_without_resolvers() {
    let schema = graphql::build().unwrap();
    let good = "query($first: Int) { a: contacts(first: $first) { nodes { id ...F } } __typename }
                fragment F on Contact { email }";
    let answer = schema.execute(Request::new(good).only_introspection()).await;
    assert!(answer.errors.is_empty(), "{:?}", answer.errors);
    // The resolver would have refused with an error: that there is none shows that it did not run.
    assert_eq!(
        answer.data,
        Value::from_json(serde_json::json!({ "a": null, "__typename": "Query" })).unwrap()
    );
    for bad in [
        "{ contacts { nodes { secret } } }",
        "{ contacts(first: \"x\") { nodes { id } } }",
        "{ contacts(filter: { emial: { eq: \"a\" } }) { nodes { id } } }",
        "query($unused: Int) { viewer { actorId } }",
        "{ contacts { nodes { ...F } } } fragment F on Contact { consents { nodes { contact { ...F } } } }",
        "{ contact(id: \"1\") { a: email a: phone } }",
        "mutation { createContact { id } }",
    ] {
        let answer = schema.execute(Request::new(bad).only_introspection()).await;
        assert!(!answer.errors.is_empty(), "{bad} was accepted");
        for error in answer.errors {
            assert!(!error.message.contains("Did you mean"), "{}", error.message);
        }
    }
}

#[tokio::test]
async fn the_schema_itself_serves_no_field() {
    let schema = graphql::build().unwrap();
    let answer = schema.execute("{ contacts { nodes { email } } purposes { code } }").await;
    assert!(!answer.errors.is_empty());
    let served = answer.data.into_json().unwrap();
    assert!(
        served.is_null() || served.as_object().unwrap().values().all(serde_json::Value::is_null),
        "{served}"
    );
}
