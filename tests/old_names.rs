//! Ids and their siblings are called alike in all inputs; the names of the version before still serve, and lead to the very same.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::parser::{
    parse_schema,
    types::{InputValueDefinition, TypeKind, TypeSystemDefinition},
};
use chrono::{DateTime, TimeDelta};
use serde_json::{Map, Value, json};
use zweck::{
    domain::access_tokens::NewToken,
    graphql::Pipeline,
    policy::{Policy, Sources},
    registry::{self, InputField, MUTATIONS, Mutation, OBJECTS, ROOTS, RootKind},
};

use crate::{
    reads::{World, worlds},
    support::{
        app::{TestApp, each},
        client::{Caller, Client, problems},
        dump::{assert_same, dump, number},
        world::id,
    },
    writes::{Staff, blocked, door::calls, owed, person},
};

/// Everything that is given: input fields and arguments, each with its place.
struct Given {
    /// `Type` or `Type.field`.
    of: String,
    name: String,
    ty: String,
    /// The reason why it is deprecated.
    deprecated: Option<String>,
}

fn given() -> Vec<Given> {
    let mut all = Vec::new();
    let mut note = |of: &str, value: &InputValueDefinition| {
        let deprecated = value.directives.iter().find(|one| one.node.name.node == "deprecated");
        let reason = deprecated.and_then(|one| one.node.get_argument("reason"));
        all.push(Given {
            of: of.to_owned(),
            name: value.name.node.to_string(),
            ty: value.ty.node.to_string(),
            deprecated: reason.map(|reason| reason.node.to_string().trim_matches('"').to_owned()),
        });
    };
    for definition in parse_schema(Pipeline::new().unwrap().sdl()).unwrap().definitions {
        let TypeSystemDefinition::Type(ty) = definition else { continue };
        let name = ty.node.name.node.as_str();
        match &ty.node.kind {
            TypeKind::Object(object) => {
                for field in &object.fields {
                    let of = format!("{name}.{}", field.node.name);
                    field.node.arguments.iter().for_each(|argument| note(&of, &argument.node));
                }
            }
            TypeKind::InputObject(input) => input.fields.iter().for_each(|field| note(name, &field.node)),
            _ => {}
        }
    }
    all
}

fn capital(name: &str) -> String {
    format!("{}{}", name[..1].to_uppercase(), &name[1..])
}

/// A root field that gives one row takes its key by the name that the row itself has for it, and so does a filter of rows; the
/// operators of the filter for ids take nothing but ids. All else is called by what it names.
#[test]
fn ids_are_called_by_what_they_name() {
    let keys: BTreeSet<String> = ROOTS
        .iter()
        .filter(|root| matches!(root.kind, RootKind::One(_)))
        .flat_map(|root| [Some(root.name), root.was].into_iter().flatten())
        .map(|name| format!("Query.{name}"))
        .collect();
    let filters: BTreeSet<String> =
        OBJECTS.iter().filter_map(|object| object.plural).map(|plural| format!("{plural}Filter")).collect();
    let all = given();
    for Given { of, name, ty, .. } in all.iter().filter(|given| given.deprecated.is_none()) {
        let own = name == "id" && (keys.contains(of) || filters.contains(of));
        let names_one =
            ty.trim_end_matches('!') == "ID" || ty == "IdFilter" || name.eq_ignore_ascii_case("id");
        if names_one && !own && of != "IdFilter" {
            assert!(name.ends_with("Id") && name.len() > 2, "{of}.{name} does not say what it names");
        }
        if of.ends_with("Input") {
            for vague in ["at", "batch", "signedUpAt", "role"] {
                assert_ne!(name, vague, "{of}.{name} has siblings of another name");
            }
        }
    }
    // What is old says what it is called now, and that is there beside it, and not old.
    let mut old = 0;
    for Given { of, name, deprecated, .. } in &all {
        let Some(reason) = deprecated else { continue };
        old += 1;
        let now = reason.split('`').nth(1).unwrap();
        assert_eq!(*reason, format!("Use `{now}`; this name goes with the next version."), "{of}.{name}");
        let known = |other: &Given| other.of == *of && other.name == now && other.deprecated.is_none();
        assert!(all.iter().any(known), "{of}.{name} is called {now}, which is not there");
    }
    let declared: usize = MUTATIONS
        .iter()
        .map(|mutation| renamed(mutation).len() + usize::from(mutation.was.is_some()))
        .sum::<usize>()
        + OBJECTS
            .iter()
            .filter(|object| object.plural.is_some())
            .flat_map(|object| object.fields)
            .filter(|field| field.filter_name.is_some())
            .count()
        + [&registry::RECEIPT_CONSENT_ID, &registry::EXPLAINED_ROLES]
            .iter()
            .filter(|one| one.deprecated.is_some())
            .count();
    assert_eq!(old, declared, "what the registry calls old is what the schema calls old");
}

/// Introspection tells the same of what is old as the SDL, and nothing of it unless asked.
#[tokio::test]
async fn introspection_tells_what_is_old() {
    let schema = zweck::graphql::build().unwrap();
    let ask = |arguments: &'static str| {
        let schema = schema.clone();
        async move {
            let value = "{ name isDeprecated deprecationReason }";
            let query = format!(
                "{{ __schema {{ types {{ name inputFields{arguments} {value} \
                 fields{arguments} {{ name isDeprecated deprecationReason args{arguments} {value} }} }} }} }}"
            );
            let request = async_graphql::Request::new(query).only_introspection();
            schema.execute(request).await.data.into_json().unwrap()
        }
    };
    let old = |data: &Value| -> BTreeMap<String, String> {
        let mut old = BTreeMap::new();
        let mut note = |of: &str, value: &Value| {
            if value["isDeprecated"] == true {
                let reason = value["deprecationReason"].as_str().unwrap().to_owned();
                old.insert(format!("{of}.{}", value["name"].as_str().unwrap()), reason);
            }
        };
        for ty in data["__schema"]["types"].as_array().unwrap() {
            let name = ty["name"].as_str().unwrap();
            ty["inputFields"].as_array().into_iter().flatten().for_each(|field| note(name, field));
            for field in ty["fields"].as_array().into_iter().flatten() {
                note(name, field);
                let of = format!("{name}.{}", field["name"].as_str().unwrap());
                field["args"].as_array().unwrap().iter().for_each(|argument| note(&of, argument));
            }
        }
        old
    };
    let mut told = old(&ask("(includeDeprecated: true)").await);
    for (old, new) in
        [("tokens", "accessTokens"), ("requests", "privacyRequests"), ("request", "privacyRequest")]
    {
        let reason = format!("Use `{new}`; this name goes with the next version.");
        assert_eq!(told.remove(&format!("Query.{old}")), Some(reason));
    }
    let expected: BTreeMap<String, String> = given()
        .into_iter()
        .filter_map(|given| Some((format!("{}.{}", given.of, given.name), given.deprecated?)))
        .collect();
    assert_eq!(told, expected);
    assert!(old(&ask("").await).is_empty());
}

/// The fields of a mutation's input that have an old name.
fn renamed(mutation: &Mutation) -> Vec<InputField> {
    mutation.input.all().into_iter().filter(|field| field.deprecated.is_some()).collect()
}

fn mutation(name: &str) -> &'static Mutation {
    MUTATIONS.iter().find(|mutation| mutation.name == name).unwrap()
}

/// A value for an instant or another id that a call leaves out.
fn sample(mutation: &str, field: &str) -> Value {
    match (mutation, field) {
        ("restrictContact", "plannedUntil") => json!("2026-12-24T00:00:00Z"),
        (_, "endedAt" | "declaredAt") => json!("2026-11-02T08:59:00Z"),
        other => panic!("{other:?} has no sample"),
    }
}

/// A request of `name` with `input`, whose fields are all called as they are now.
fn now(name: &str, input: &Value, payload: &str) -> Value {
    let ty = mutation(name).input.name;
    json!({ "query": format!("mutation($input: {ty}!) {{ {name}(input: $input) {{ {payload} }} }}"), "variables": { "input": input } })
}

/// The same by the old names.
fn before(name: &str, input: &Value, payload: &str) -> Value {
    let mutation = mutation(name);
    let mut old: Map<String, Value> = input.as_object().unwrap().clone();
    for field in renamed(mutation) {
        if let Some(value) = old.remove(field.name) {
            old.insert(field.deprecated.unwrap().name.to_owned(), value);
        }
    }
    match mutation.was {
        None => now(name, &Value::Object(old), payload),
        Some(argument) => {
            let value = old.into_values().next().unwrap();
            let query = format!("mutation($value: ID!) {{ {name}({argument}: $value) {{ {payload} }} }}");
            json!({ "query": query, "variables": { "value": value } })
        }
    }
}

async fn send(client: &Client, caller: &Caller, body: Value) -> Value {
    serde_json::from_str(&client.send(caller, body, &[]).await.1).unwrap()
}

/// What is told of the one error of `answer`: code, place, message.
fn refused(answer: &Value) -> (String, String, String) {
    let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(errors.len(), 1, "{answer}");
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let extensions = &errors[0]["extensions"];
    (text(&extensions["code"]), text(&extensions["inputPath"]), text(&errors[0]["message"]))
}

/// Every call of a mutation that has something with an old name, with all of that given: name, caller, input, payload.
async fn old_calls(test: &TestApp, staff: &Staff) -> Vec<(&'static str, Caller, Value, &'static str)> {
    let spare = test.caller("partner", "newsletter").await;
    let tokens = zweck::domain::access_tokens::list(&test.app.db.reader).await.unwrap();
    let token = tokens.iter().find(|row| row.lookup == spare.token.lookup()).unwrap().id.to_string();
    blocked(test).await;
    let owed = owed(test).await;
    let mut all = Vec::new();
    for (name, caller, arguments, payload) in calls(staff, &token, &id(6, 100).to_string(), owed) {
        let mutation = mutation(name);
        let mut input = arguments["input"].clone();
        for field in renamed(mutation) {
            if input.get(field.name).is_none() {
                input[field.name] = sample(name, field.name);
            }
        }
        if mutation.was.is_some() || !renamed(mutation).is_empty() {
            all.push((name, caller.clone(), input, payload));
        }
    }
    let called: BTreeSet<&str> = all.iter().map(|(name, ..)| *name).collect();
    let with_old_names = |mutation: &&Mutation| mutation.was.is_some() || !renamed(mutation).is_empty();
    let declared = MUTATIONS.iter().filter(with_old_names).map(|mutation| mutation.name).collect();
    assert_eq!(called, declared);
    all
}

/// By the old names the same is done, with the same entries; one name after the other and all at once.
#[tokio::test]
async fn old_names_do_the_same() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let db = &test.app.db.writer;
        for (name, caller, input, payload) in old_calls(&test, &staff).await {
            let entries =
                format!("SELECT COUNT(*) FROM audit_entry WHERE action = '{name}' AND outcome = 'CHANGED'");
            let known = number(db, &entries).await;
            let answer = send(&client, &caller, before(name, &input, payload)).await;
            assert!(answer.get("errors").is_none(), "{name}: {answer}");
            assert!(!answer["data"][name].is_null(), "{answer}");
            assert!(number(db, &entries).await > known, "{name} left no entry");
        }
        // What was given under the old names was taken for what it is.
        let told = client
            .data(
                &staff.desk,
                &format!(
                    "{{ contact(id: \"{}\") {{ restrictions {{ plannedUntil }} }} ended: contact(id: \"{}\") {{ objections {{ endedAt }} }} \
                       lifted: contact(id: \"{}\") {{ blocks {{ endedAt }} }} }}",
                    person(2),
                    person(4),
                    person(3)
                ),
            )
            .await;
        assert_eq!(told["contact"]["restrictions"][0]["plannedUntil"], "2026-12-24T00:00:00Z", "{told}");
        assert_eq!(told["ended"]["objections"][0]["endedAt"], "2026-11-02T08:59:00Z", "{told}");
        let lifted = told["lifted"]["blocks"].to_string();
        assert!(lifted.contains("2026-11-02T08:59:00Z"), "{told}");
    }
}

/// Both names, neither, and what is no value under the old one: refused with the place as the caller has named it, and nothing done.
#[tokio::test]
async fn one_of_two_names_is_given() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let calls = old_calls(&test, &staff).await;
        let kept = dump(&test.app.db.writer).await;
        for (name, caller, input, payload) in calls {
            let mutation = mutation(name);
            for field in renamed(mutation) {
                let old = field.deprecated.unwrap().name;
                let mut both = input.clone();
                both[old] = input[field.name].clone();
                let (code, place, message) =
                    refused(&send(&client, &caller, now(name, &both, payload)).await);
                assert_eq!((code.as_str(), place), ("BAD_USER_INPUT", format!("input.{old}")), "{name}");
                assert_eq!(message, format!("`{old}` is the old name of `{}`: give one of them", field.name));
                // A null is nothing given.
                let mut wrong = input.clone();
                wrong[field.name] = Value::Null;
                wrong[old] = json!("nonsense");
                let (code, place, message) =
                    refused(&send(&client, &caller, now(name, &wrong, payload)).await);
                assert_eq!((code.as_str(), place), ("BAD_USER_INPUT", format!("input.{old}")), "{name}");
                assert!(message.starts_with(&format!("`{old}` must be an ")), "{message}");
                if field.required {
                    let mut neither = input.clone();
                    neither.as_object_mut().unwrap().remove(field.name);
                    let (code, place, message) =
                        refused(&send(&client, &caller, now(name, &neither, payload)).await);
                    assert_eq!((code.as_str(), place), ("BAD_USER_INPUT", format!("input.{}", field.name)));
                    let missing = format!("`{}` is missing: it must be an ", field.name);
                    assert!(message.starts_with(&missing), "{message}");
                }
            }
            if let Some(argument) = mutation.was {
                let value = input.as_object().unwrap().values().next().unwrap();
                let field = mutation.input.fields[0].name;
                let ask = |arguments: String| json!({ "query": format!("mutation {{ {name}{arguments} {{ {payload} }} }}") });
                for (arguments, place, told) in [
                    (
                        format!("({argument}: {value}, input: {{{field}: {value}}})"),
                        argument,
                        "`id` is the old name of `input`",
                    ),
                    (format!("({argument}: null)"), "input", "`input` is missing"),
                    (String::new(), "input", field),
                    (format!("({argument}: \"nonsense\")"), argument, "`id` must be an id"),
                    (format!("(input: {{{field}: \"nonsense\"}})"), &format!("input.{field}"), field),
                ] {
                    let (code, told_place, message) = refused(&send(&client, &caller, ask(arguments)).await);
                    assert_eq!((code.as_str(), told_place.as_str()), ("BAD_USER_INPUT", place), "{name}");
                    assert!(message.contains(told), "{message}");
                }
            }
        }
        assert_same(&dump(&test.app.db.writer).await, &kept, "a refusal");
    }
}

/// What a rule finds wrong is told by the name that the caller has used.
#[tokio::test]
async fn faults_are_told_by_the_name_that_was_used() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let late = "2026-11-02T09:00:01Z";
        let consent = id(1, 100).to_string();
        for (name, caller, input, place, told) in [
            (
                "endGround",
                &staff.desk,
                json!({ "groundId": id(3, 100), "endedAt": "2020-01-01T00:00:00Z" }),
                "endedAt",
                None,
            ),
            (
                "endObjection",
                &staff.consent,
                json!({ "objectionId": id(4, 400), "endedAt": late }),
                "endedAt",
                None,
            ),
            (
                "recordObjection",
                &staff.consent,
                json!({ "contactId": person(1), "purpose": "direct_marketing", "declaredAt": late }),
                "declaredAt",
                Some("is in the future"),
            ),
            (
                "withdrawConsent",
                &staff.consent,
                json!({ "consentId": consent, "declaredAt": late }),
                "declaredAt",
                Some("is in the future"),
            ),
            (
                "withdrawConsent",
                &staff.consent,
                json!({ "consentId": consent, "purpose": "newsletter" }),
                "consentId",
                Some("give "),
            ),
            (
                "requestConsent",
                &staff.consent,
                json!({ "contactId": person(7), "purpose": "newsletter", "language": "de", "form": "fair", "declaredAt": late }),
                "declaredAt",
                Some("is in the future"),
            ),
            (
                "restrictContact",
                &staff.desk,
                json!({ "contactId": person(1), "limb": "A", "reason": "x", "plannedUntil": "2026-11-02T09:00:00Z" }),
                "plannedUntil",
                Some("is in the past"),
            ),
        ] {
            let new = refused(&send(&client, caller, now(name, &input, "__typename")).await);
            assert_eq!((new.0.as_str(), new.1), ("BAD_USER_INPUT", format!("input.{place}")), "{name}");
            let fields = renamed(mutation(name));
            let used = fields.iter().find(|field| field.name == place).unwrap().deprecated.unwrap().name;
            let old = refused(&send(&client, caller, before(name, &input, "__typename")).await);
            assert_eq!((old.0.as_str(), old.1), ("BAD_USER_INPUT", format!("input.{used}")), "{name}");
            assert_eq!(old.2, new.2.replace(&format!("`{place}`"), &format!("`{used}`")));
            if let Some(told) = told {
                assert!(new.2.contains(told) && new.2.contains(&format!("`{place}`")), "{}", new.2);
            }
        }
    }
}

/// An old name needs the same right, and who lacks it is told so, by the name that was used, before anything else is.
#[tokio::test]
async fn an_old_name_needs_the_same_right() {
    for World { test, client } in worlds().await {
        let narrowed = NewToken {
            name: "narrow".to_owned(),
            roles: vec!["privacy_desk".to_owned()],
            purposes: vec!["rights_fulfilment".to_owned()],
            fields: Some(vec![
                "Restriction.limb".to_owned(),
                "Restriction.reason".to_owned(),
                "Contact.email".to_owned(),
            ]),
            expires_at: test.app.now() + TimeDelta::days(1),
            recipient_id: None,
        };
        let (_, token) = test.make_token(narrowed).await.unwrap();
        let narrow = Caller { token, purpose: "rights_fulfilment".to_owned() };
        let support = test.caller("support", "customer_care").await;
        let kept = dump(&test.app.db.writer).await;
        for (caller, name, input, coordinate, places) in [
            (
                &narrow,
                "restrictContact",
                json!({ "contactId": person(1), "limb": "A", "reason": "x", "plannedUntil": "nonsense" }),
                "FORBIDDEN_FIELD Restriction.plannedUntil",
                ["input.plannedUntil", "input.until"],
            ),
            (
                &narrow,
                "endGround",
                json!({ "groundId": id(3, 100) }),
                "FORBIDDEN_FIELD Ground.until",
                ["input.groundId", "input.id"],
            ),
            (
                &narrow,
                "removeContactPoint",
                json!({ "contactPointId": id(6, 100) }),
                "FORBIDDEN_FIELD Contact.contactPoints",
                ["input.contactPointId", "id"],
            ),
            (
                &support,
                "revokeAccessToken",
                json!({ "accessTokenId": id(6, 100) }),
                "FORBIDDEN Mutation.revokeAccessToken",
                ["-", "-"],
            ),
        ] {
            for (body, place) in
                [now, before].map(|make| make(name, &input, "__typename")).into_iter().zip(places)
            {
                let answer = send(&client, caller, body).await;
                assert_eq!(problems(&answer), [coordinate], "{name}");
                assert_eq!(refused(&answer).1, place, "{name}");
            }
        }
        assert_same(&dump(&test.app.db.writer).await, &kept, "a refusal");
    }
}

/// A key stands for one request as it was written: the same under other names is another, and is refused as such.
#[tokio::test]
async fn a_key_does_not_stand_for_both_names() {
    for World { test, client } in worlds().await {
        let staff = Staff::of(&test).await;
        let input = json!({ "contactId": person(1), "jobTitle": "Chefin" });
        let (old, new) = (
            before("updateContact", &input, "contact { version }"),
            now("updateContact", &input, "contact { version }"),
        );
        let send = |body: Value| {
            let (client, caller) = (client.clone(), staff.support.clone());
            async move {
                let (_, body) = client.send(&caller, body, &[("idempotency-key", "k")]).await;
                serde_json::from_str::<Value>(&body).unwrap()
            }
        };
        let first = send(old.clone()).await;
        assert!(first.get("errors").is_none(), "{first}");
        assert_eq!(refused(&send(new).await).0, "CONFLICT");
        assert_eq!(send(old).await, first);
        let entries = "SELECT COUNT(*) FROM audit_entry WHERE action = 'updateContact'";
        assert_eq!(number(&test.app.db.writer, entries).await, 1);
    }
}

/// Both names of a root field are the same field: rows, cursors, rights, refusals.
#[tokio::test]
async fn both_names_of_a_root_field_are_one_field() {
    for World { test, client } in worlds().await {
        let desk = test.caller("privacy_desk", "rights_fulfilment").await;
        let dpo = test.caller("dpo", "rights_fulfilment").await;
        let support = test.caller("support", "customer_care").await;
        let fields = "(first: 1, orderBy: [{ field: DUE_AT }], filter: { overdue: false }) { totalCount nodes { id kind } pageInfo { endCursor } }";
        let both = format!("{{ old: requests{fields} new: privacyRequests{fields} }}");
        let told = client.data(&desk, &both).await;
        assert_eq!(told["old"], told["new"]);
        // A cursor of one is a cursor of the other.
        let cursor = &told["old"]["pageInfo"]["endCursor"];
        let next = format!(
            "{{ old: requests(first: 1, after: {cursor}, orderBy: [{{ field: DUE_AT }}], filter: {{ overdue: false }}) {{ nodes {{ id }} }} \
               new: privacyRequests(first: 1, after: {cursor}, orderBy: [{{ field: DUE_AT }}], filter: {{ overdue: false }}) {{ nodes {{ id }} }} }}"
        );
        let next = client.data(&desk, &next).await;
        assert_eq!(next["old"], next["new"]);
        let one = "query($id: ID!) { old: request(id: $id) { id kind contact { email } } new: privacyRequest(id: $id) { id kind contact { email } } }";
        // Again and again, so that kept documents and plans serve too.
        for number in [100, 999, 100, 999] {
            let told = client.ask_with(&desk, one, json!({ "id": id(5, number) })).await;
            assert_eq!(told["data"]["old"], told["data"]["new"]);
            assert_eq!(told["data"]["old"].is_null(), number == 999, "{told}");
        }
        let tokens = client.data(&dpo, "{ old: tokens { id name } new: accessTokens { id name } }").await;
        assert!(tokens["old"] == tokens["new"] && tokens["old"].as_array().unwrap().len() > 2);
        for (old, new) in [
            ("{ tokens { id } }", "{ accessTokens { id } }"),
            ("{ requests { totalCount } }", "{ privacyRequests { totalCount } }"),
            ("{ request(id: \"x\") { id } }", "{ privacyRequest(id: \"x\") { id } }"),
        ] {
            let (old, new) = (client.ask(&support, old).await, client.ask(&support, new).await);
            assert_eq!(problems(&old), problems(&new));
            assert!(problems(&new)[0].starts_with("FORBIDDEN Query."), "{new}");
        }
        // One response key for both is two fields, as for any two.
        let merged = client.ask(&dpo, "{ a: tokens { id } a: accessTokens { id } }").await;
        assert!(merged.get("data").is_none(), "{merged}");
        assert!(problems(&merged).iter().all(|problem| problem == "BAD_USER_INPUT -"), "{merged}");
    }
}

/// Arguments and filters by either name, by both, by neither.
#[tokio::test]
async fn both_names_of_arguments_and_filters_are_one() {
    for World { test, client } in worlds().await {
        let dpo = test.caller("dpo", "rights_fulfilment").await;
        let auditor = test.caller("auditor", "security_audit").await;
        owed(&test).await;
        let staff = Staff::of(&test).await;
        let change = json!({ "contactId": person(1), "jobTitle": "Chefin" });
        crate::writes::done(&client, &staff.support, "updateContact", change, "contact { id }").await;
        for (caller, query, old, new) in [
            (
                &dpo,
                "{ auditLog(first: 5, filter: { FILTER }) { totalCount nodes { id } } }",
                format!("contact: {{ eq: \"{}\" }}", person(1)),
                format!("contactId: {{ eq: \"{}\" }}", person(1)),
            ),
            (
                &dpo,
                "{ stops(filter: { FILTER }) { nodes { id batch } } }",
                format!("batch: {{ eq: \"{}\" }}", id(9, 2)),
                format!("batchId: {{ eq: \"{}\" }}", id(9, 2)),
            ),
        ] {
            let told = client.data(caller, &query.replace("FILTER", &old)).await;
            assert_eq!(client.data(caller, &query.replace("FILTER", &new)).await, told);
            assert!(told.to_string().contains("\"id\":"), "{told}");
            let (code, _, message) =
                refused(&client.ask(caller, &query.replace("FILTER", &format!("{old}, {new}"))).await);
            assert!(code == "BAD_USER_INPUT" && message.contains("is the old name of"), "{message}");
        }
        let receipt = |argument: &str| format!("{{ consentReceipt{argument} {{ __typename }} }}");
        for argument in ["id", "consentId"] {
            let argument = format!("({argument}: \"{}\")", id(1, 100));
            let told = client.data(&dpo, &receipt(&argument)).await;
            assert_eq!(told["consentReceipt"]["__typename"], "ConsentReceipt");
        }
        for (argument, place) in
            [("", "consentId"), ("(id: null)", "consentId"), ("(id: \"x\", consentId: \"x\")", "id")]
        {
            let (code, told, _) = refused(&client.ask(&dpo, &receipt(argument)).await);
            assert_eq!((code.as_str(), told.as_str()), ("BAD_USER_INPUT", place), "{argument}");
        }
        let explain = |arguments: &str| {
            format!(
                "{{ explainAccess(coordinate: \"Contact.email\", purpose: \"newsletter\"{arguments}) {{ decision roles rules {{ text }} }} }}"
            )
        };
        let old = client.data(&auditor, &explain(", role: \"partner\"")).await;
        assert_eq!(client.data(&auditor, &explain(", roles: [\"partner\"]")).await, old);
        assert_eq!(client.data(&auditor, &explain(", roles: \"partner\"")).await, old);
        // Several roles are one credential: what one of them may, it may.
        let both = client.data(&auditor, &explain(", roles: [\"accounting\", \"partner\"]")).await;
        assert_eq!(both["explainAccess"]["roles"], json!(["accounting", "partner"]));
        assert_eq!(both["explainAccess"]["decision"], old["explainAccess"]["decision"]);
        for (arguments, place) in [
            (", role: \"partner\", roles: [\"partner\"]", "role"),
            (", role: \"pirate\"", "role"),
            (", roles: [\"partner\", \"pirate\"]", "roles.1"),
            (", roles: []", "roles"),
        ] {
            let (code, told, _) = refused(&client.ask(&auditor, &explain(arguments)).await);
            assert_eq!((code.as_str(), told.as_str()), ("BAD_USER_INPUT", place), "{arguments}");
        }
        let old = client.data(&auditor, "{ explainAccess(coordinate: \"Query.tokens\", purpose: \"administration\", role: \"admin\") { decision rules { text } } }").await;
        let new = client.data(&auditor, "{ explainAccess(coordinate: \"Query.accessTokens\", purpose: \"administration\", roles: [\"admin\"]) { decision rules { text } } }").await;
        assert_eq!(old, new);
        assert_eq!(new["explainAccess"]["decision"], "ALLOW");
    }
}

/// A policy that uses the old names decides the same, and is told which they are.
#[tokio::test]
async fn policies_may_use_the_old_names() {
    let objects = registry::policy_objects();
    let new = Policy::load(&Sources::embedded(), &objects).await.unwrap();
    let mut sources = Sources::embedded();
    for (name, old) in
        [("accessTokens", "tokens"), ("privacyRequests", "requests"), ("privacyRequest", "request")]
    {
        let (name, old) = (format!("Query.{name},"), format!("Query.{old},"));
        assert!(sources.policy.contains(&name));
        sources.policy = sources.policy.replace(&name, &old);
        assert!(
            !new.cells().any(|(cell, _)| format!("{cell},") == old),
            "{old} is not counted beside the other"
        );
    }
    let old = Policy::load(&sources, &objects).await.unwrap();
    let part = zweck::policy::PermissionFilter::default();
    assert_eq!(old.permissions(&part), new.permissions(&part));
    let told: Vec<String> =
        old.warnings().iter().filter(|warning| warning.code == "OLD_NAME").map(ToString::to_string).collect();
    assert!(
        told.len() >= 6
            && told.iter().any(|told| told.contains("`Query.tokens` is now called `Query.accessTokens`")),
        "{told:?}"
    );
    assert!(new.warnings().iter().all(|warning| warning.code != "OLD_NAME"));
    // So may its cases: they hold, they are counted as what they speak about, and they are told.
    for (name, old) in [("Query.accessTokens", "Query.tokens"), ("Query.privacyRequests", "Query.requests")] {
        assert!(sources.cases.contains(name));
        sources.cases = sources.cases.replace(name, old);
    }
    let proved = Policy::load_proved(&sources, &objects).await.unwrap();
    let told: Vec<String> = proved
        .warnings()
        .iter()
        .filter(|warning| warning.code == "OLD_NAME")
        .map(ToString::to_string)
        .collect();
    assert!(told.iter().any(|told| told.contains("`cases.yaml`, line ")), "{told:?}");
    let spoken = |policy: &Policy, sources: &Sources| {
        let cases = zweck::policy::cases::read(sources).unwrap();
        let rights = policy.permissions(&part);
        rights.iter().filter(|right| cases.iter().any(|case| case.covers(policy, right))).count()
    };
    assert_eq!(spoken(&proved, &sources), spoken(&new, &Sources::embedded()));
    // A rule under both names is the same rule twice.
    let mut twice = Sources::embedded();
    twice.policy.push_str("p, role:admin, purpose:administration, Query.tokens, execute, allow\n");
    let faults = Policy::load(&twice, &objects).await.unwrap_err();
    let told: Vec<String> = faults.0.iter().map(ToString::to_string).collect();
    assert!(told.len() == 1 && told[0].contains("`Query.tokens` is `Query.accessTokens`"), "{told:?}");
}

/// A token of which no end is said ends in 90 days, and not after the credential that makes it.
#[tokio::test]
async fn a_token_ends_in_ninety_days() {
    for test in each().await {
        let client = Client::of(&test);
        for (days, expected) in [(366, 90), (30, 30)] {
            let new = NewToken {
                name: "maker".to_owned(),
                roles: vec!["admin".to_owned()],
                purposes: vec!["administration".to_owned()],
                fields: None,
                expires_at: test.app.now() + TimeDelta::days(days),
                recipient_id: None,
            };
            let (_, token) = test.make_token(new).await.unwrap();
            let caller = Caller { token, purpose: "administration".to_owned() };
            let input = json!({ "name": "t", "roles": ["partner"], "purposes": ["newsletter"] });
            let made =
                crate::writes::done(&client, &caller, "createAccessToken", input, "token { expiresAt }")
                    .await;
            let ends: DateTime<chrono::Utc> = made["token"]["expiresAt"].as_str().unwrap().parse().unwrap();
            assert_eq!(ends, test.app.now() + TimeDelta::days(expected));
        }
        // Who may not say when a token ends makes none without saying it either.
        let narrowed = ["name", "roles", "purposes"].map(|name| format!("AccessToken.{name}"));
        let maker = NewToken {
            name: "narrow".to_owned(),
            roles: vec!["admin".to_owned()],
            purposes: vec!["administration".to_owned()],
            fields: Some(narrowed.to_vec()),
            expires_at: test.app.now() + TimeDelta::days(30),
            recipient_id: None,
        };
        let (_, token) = test.make_token(maker).await.unwrap();
        let caller = Caller { token, purpose: "administration".to_owned() };
        let input = "{ name: \"t\", roles: [\"partner\"], purposes: [\"newsletter\"] }";
        let query = format!("mutation {{ createAccessToken(input: {input}) {{ __typename }} }}");
        let answer = client.ask(&caller, &query).await;
        let (code, place, _) = refused(&answer);
        assert_eq!((code.as_str(), place.as_str()), ("FORBIDDEN_FIELD", "input.expiresAt"), "{answer}");
    }
}

#[test]
fn names_of_types_follow_those_of_mutations() {
    for mutation in MUTATIONS {
        assert_eq!(mutation.input.name, format!("{}Input", capital(mutation.name)));
        if mutation.was.is_some() {
            // What one argument stood for is one field.
            assert_eq!(mutation.input.all().len(), 1, "{}", mutation.name);
        }
    }
}

/// What the sources say of a place in an input is a place that there is, by the name that it has now.
#[test]
fn places_in_the_sources_are_called_as_the_inputs_call_them() {
    let mut known: BTreeSet<&str> =
        MUTATIONS.iter().flat_map(|mutation| mutation.input.all()).map(|field| field.name).collect();
    known.insert("ground");
    let mut found = BTreeSet::new();
    for (file, text) in crate::floors::all() {
        let code = text.split("#[cfg(test)]").next().unwrap();
        let faults = code.split("fault(\"").skip(1).filter(|_| {
            !file.starts_with("exchange/imports/")
                && !file.starts_with("http/")
                && !file.starts_with("bench/")
        });
        for place in code.split("\"input.").skip(1).chain(faults) {
            let name: String = place.chars().take_while(char::is_ascii_alphanumeric).collect();
            assert!(name.is_empty() || known.contains(name.as_str()), "{file} names input.{name}");
            found.insert(name);
        }
    }
    assert!(found.len() > 10, "{found:?}");
}
