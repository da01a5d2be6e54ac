//! Hostile documents: each gets its documented answer, and no value escapes.

use serde_json::{Value, json};

use crate::{
    reads::{World, worlds},
    support::{
        client::{Caller, problems},
        world::id,
    },
};

/// A document and the codes that it must be answered with, sorted.
struct Hostile(&'static str, &'static [&'static str]);

const HOSTILE: &[Hostile] = &[
    // Forbidden fields through every door.
    Hostile("{ contacts { nodes { notes } } }", &["FORBIDDEN_FIELD Contact.notes"]),
    Hostile("{ contacts { nodes { email: notes } } }", &["FORBIDDEN_FIELD Contact.notes"]),
    Hostile(
        "{ contacts { nodes { ...F } } } fragment F on Contact { x: notes }",
        &["FORBIDDEN_FIELD Contact.notes"],
    ),
    Hostile(
        "{ contacts { nodes { ... on Contact { ... { notes } } } } }",
        &["FORBIDDEN_FIELD Contact.notes"],
    ),
    Hostile(
        "{ contacts { nodes { ... @include(if: true) { notes @skip(if: false) } } } }",
        &["FORBIDDEN_FIELD Contact.notes"],
    ),
    Hostile(
        "{ contacts { edges { node { notes } } nodes { notes phone } } }",
        &["FORBIDDEN_FIELD Contact.notes", "FORBIDDEN_FIELD Contact.phone"],
    ),
    Hostile("{ contacts { nodes { consents { nodes { id } } } } }", &["FORBIDDEN_FIELD Contact.consents"]),
    Hostile("{ contacts { nodes { contactPoints { email } } } }", &["FORBIDDEN_FIELD Contact.contactPoints"]),
    Hostile("{ contacts { totalCount } }", &["FORBIDDEN_FIELD ContactConnection.totalCount"]),
    Hostile(
        "{ contacts(filter: { phone: { startsWith: \"+49\" } }) { nodes { id } } }",
        &["FORBIDDEN_FIELD Contact.phone"],
    ),
    Hostile(
        "{ contacts(filter: { and: [{ or: [{ not: { phone: { isNull: true } } }] }] }) { nodes { id } } }",
        &["FORBIDDEN_FIELD Contact.phone"],
    ),
    Hostile(
        "{ contacts(filter: { or: [{}, { familyName: { eq: \"x\" } }] }) { nodes { id } } }",
        &["FORBIDDEN_FIELD Contact.familyName"],
    ),
    Hostile(
        "{ contacts(filter: { city: { eq: \"Stuttgart\" } }) { nodes { id } } }",
        &["FORBIDDEN_FIELD Contact.city"],
    ),
    Hostile(
        "{ contacts(orderBy: [{ field: PHONE, direction: ASC }]) { nodes { id } } }",
        &["FORBIDDEN_FIELD Contact.phone"],
    ),
    Hostile(
        "{ contacts(orderBy: [{ field: EMAIL, direction: ASC }, { field: STATE, direction: ASC }]) { nodes { id } } }",
        &["FORBIDDEN_FIELD Contact.state"],
    ),
    Hostile("{ consents { nodes { id } } }", &["FORBIDDEN Query.consents"]),
    Hostile(
        "{ privacyRequests { totalCount } accessTokens { name } recipients { name } }",
        &["FORBIDDEN Query.accessTokens", "FORBIDDEN Query.privacyRequests", "FORBIDDEN Query.recipients"],
    ),
    Hostile(
        "{ explainAccess(coordinate: \"Contact.email\", purpose: \"newsletter\") { decision } }",
        &["FORBIDDEN Query.explainAccess"],
    ),
    // Wrong arguments.
    Hostile("{ contacts(first: 0) { nodes { id } } }", &["BAD_USER_INPUT -"]),
    Hostile("{ contacts(first: -1) { nodes { id } } }", &["BAD_USER_INPUT -"]),
    Hostile("{ contacts(first: 1001) { nodes { id } } }", &["BAD_USER_INPUT -"]),
    Hostile("{ contacts(first: 1, last: 1) { nodes { id } } }", &["BAD_USER_INPUT -"]),
    Hostile("{ contacts(after: \"nonsense\") { nodes { id } } }", &["BAD_USER_INPUT -"]),
    Hostile("{ contacts(filter: { email: { eq: null } }) { nodes { id } } }", &["BAD_USER_INPUT -"]),
    Hostile("{ contacts(filter: { id: { eq: \"x' OR 1=1 --\" } }) { nodes { id } } }", &["BAD_USER_INPUT -"]),
    Hostile(
        "{ contacts(orderBy: [{ field: EMAIL, direction: ASC }, { field: EMAIL, direction: DESC }]) { nodes { id } } }",
        &["BAD_USER_INPUT -"],
    ),
    Hostile("{ purposes { title(language: \"fr\") } }", &["BAD_USER_INPUT Purpose.title"]),
    // Documents that are none.
    Hostile(
        "{ contacts { nodes { ...F } } } fragment F on Contact { ...G } fragment G on Contact { ...F }",
        &["BAD_USER_INPUT -"],
    ),
    Hostile("{ contacts { nodes { ...F } } } fragment F on Contact { ...F }", &["BAD_USER_INPUT -"]),
    Hostile("{ contacts { nodes { ...Missing } } }", &["BAD_USER_INPUT -"]),
    Hostile("{ contacts { nodes { x: email x: givenName } } }", &["BAD_USER_INPUT -"]),
    Hostile(
        "{ c: contacts(first: 1) { nodes { id } } c: contacts(first: 2) { nodes { id } } }",
        &["BAD_USER_INPUT -"],
    ),
    Hostile(
        "{ c: contacts(first: 1) { nodes { id } } ...F } fragment F on Query { c: contacts { nodes { id } } }",
        &["BAD_USER_INPUT -"],
    ),
    Hostile("{ contacts { nodes { secretHash } } }", &["BAD_USER_INPUT -"]),
    Hostile("{ contacts { nodes { email { x } } } }", &["BAD_USER_INPUT -", "BAD_USER_INPUT -"]),
    Hostile("{ contacts { nodes } }", &["BAD_USER_INPUT -"]),
    Hostile("{ contacts(where: \"1=1\") { nodes { id } } }", &["BAD_USER_INPUT -"]),
    Hostile("mutation { createContact { id } }", &["BAD_USER_INPUT -"]),
    Hostile("subscription { contacts { nodes { id } } }", &["BAD_USER_INPUT -"]),
    Hostile("query A { viewer { actorId } } query B { viewer { actorId } }", &["BAD_USER_INPUT -"]),
    Hostile("{ contacts(filter: { email: { contains: \"anna@example.org", &["BAD_USER_INPUT -"]),
    Hostile("", &["BAD_USER_INPUT -"]),
    Hostile("{ contacts { nodes { id @skip } } }", &["BAD_USER_INPUT -"]),
    Hostile("{ contacts { nodes { id @unknown } } }", &["BAD_USER_INPUT -"]),
    Hostile("{ __typename(x: 1) }", &["BAD_USER_INPUT -"]),
    Hostile("{ __typename @unknown }", &["BAD_USER_INPUT -"]),
    Hostile("{ __typename { secret } }", &["BAD_USER_INPUT -"]),
    Hostile("{ contacts { nodes { id } } } fragment Unused on Contact { notes }", &["BAD_USER_INPUT -"]),
    Hostile("query($id: ID!) { contact(id: $id) { id } }", &["BAD_USER_INPUT -"]),
    Hostile("{ viewer { fields(type: \"Nothing\") { coordinate } } }", &["BAD_USER_INPUT -"]),
    // One error for a coordinate, however often it is denied after a whole field was refused for it.
    Hostile(
        "{ a: contacts(filter: { phone: { isNull: true } }) { nodes { id } } b: contacts { nodes { phone } } c: contacts { nodes { phone x: phone } } }",
        &["FORBIDDEN_FIELD Contact.phone", "FORBIDDEN_FIELD Contact.phone"],
    ),
];

#[tokio::test]
async fn hostile_documents_get_their_documented_answer() {
    assert!(HOSTILE.len() >= 40);
    for World { test, client } in worlds().await {
        let caller = test.caller("partner", "newsletter").await;
        for Hostile(document, expected) in HOSTILE {
            let (_, body) = client.send(&caller, json!({ "query": document }), &[]).await;
            let answer: Value = serde_json::from_str(&body).unwrap();
            let told = problems(&answer);
            if expected.iter().all(|code| code.starts_with("BAD_USER_INPUT -")) {
                assert!(
                    !told.is_empty() && told.iter().all(|code| code == expected[0]),
                    "{document}: {answer}"
                );
            } else {
                assert_eq!(told, *expected, "{document}: {answer}");
            }
            for value in ["likes tea", "+49 30", "Stuttgart", "S***", "\"1984", "Köhler", "SELECT", ".rs"] {
                assert!(!body.contains(value), "{document} told {value}: {body}");
            }
            assert!(body.len() < 4_000, "{document}: {} bytes", body.len());
        }
    }
}

/// Documents that would cost much are refused before anything is walked twice.
#[tokio::test]
async fn overload_is_refused_before_execution() {
    let bomb = {
        let mut text = String::from("{ contacts { nodes { ...F0 } } }");
        for level in 0..25 {
            text.push_str(&format!(
                " fragment F{level} on Contact {{ ...F{} ...F{} }}",
                level + 1,
                level + 1
            ));
        }
        text + " fragment F25 on Contact { id }"
    };
    let nested = |times: usize| {
        format!(
            "{{ consents {{ nodes {{ {} id {} }} }} }}",
            "contact { consents { nodes { ".repeat(times),
            "} } }".repeat(times)
        )
    };
    let aliases: String = (0..5_000).map(|n| format!("a{n}: __typename ")).collect();
    let directives: String = "@skip(if: false) ".repeat(500);
    let variables: String = (0..2_000).map(|n| format!("$v{n}: Int ")).collect();
    let documents = [
        bomb,
        nested(8),
        nested(200),
        format!("{{ {aliases} }}"),
        format!("{{ contacts {{ nodes {{ {aliases} }} }} }}"),
        format!("{{ contacts {{ nodes {{ id {directives} }} }} }}"),
        format!("query({variables}) {{ viewer {{ actorId }} }}"),
        "{ a: contacts(first: 1000) { nodes { consents(first: 1000) { nodes { id } } } } }".to_owned(),
        format!(
            "{{ contacts(filter: {}{{}}{}) {{ nodes {{ id }} }} }}",
            "{ not: ".repeat(30),
            " }".repeat(30)
        ),
    ];
    let fan = |last: &str| {
        let mut text = String::from("{ contacts { nodes { ...F0 } } }");
        for level in 0..25 {
            text.push_str(&format!(
                " fragment F{level} on Contact {{ {} }}",
                format!("...F{} ", level + 1).repeat(3)
            ));
        }
        format!("{text} fragment F25 on Contact {{ {last} }}")
    };
    let unreached: String = (0..90)
        .map(|n| {
            format!(
                " fragment U{n} on Contact {{ {} ...U{} {} }}",
                "... { ".repeat(50),
                n + 1,
                "} ".repeat(50)
            )
        })
        .collect();
    let types = |times: usize| {
        format!(
            "{{ __schema {{ types {{ {} name {} }} }} }}",
            "fields { type { ".repeat(times),
            "} } ".repeat(times)
        )
    };
    let words = format!("[{}]", vec![format!("\"{}\"", "w".repeat(900)); 500].join(","));
    let roots: String = (0..20)
        .map(|n| format!("r{n}: contacts(filter: {{ email: {{ in: {words} }} }}) {{ totalCount }} "))
        .collect();
    let documents: Vec<String> = documents
        .into_iter()
        .chain([
            fan("...Missing"),
            fan("id"),
            format!("{{ __typename }} {unreached} fragment U90 on Contact {{ id }}"),
            types(3),
            format!("{{ contacts(filter: {{ or: [{}] }}) {{ nodes {{ id }} }} }}", "{} ".repeat(1_500)),
            format!("{{ {roots} }}"),
        ])
        .collect();
    for World { test, client } in worlds().await {
        let caller = test.caller("dpo", "rights_fulfilment").await;
        for document in &documents {
            let (_, body) = client.send(&caller, json!({ "query": document }), &[]).await;
            let answer: Value = serde_json::from_str(&body).unwrap();
            let shown: String = document.chars().take(60).collect();
            let told = problems(&answer);
            let refused = ["QUERY_TOO_COMPLEX -", "BAD_USER_INPUT -"];
            assert!(
                !told.is_empty() && told.iter().all(|code| refused.contains(&code.as_str())),
                "{shown}: {told:?}"
            );
            assert!(body.len() < 4_000, "{shown}: {} bytes", body.len());
        }
    }
}

#[tokio::test]
async fn cursors_serve_their_caller_purpose_place_and_order_alone() {
    for World { test, client } in worlds().await {
        let caller = test.caller("marketing", "newsletter").await;
        let page = "{ contacts(first: 1, ORDER) { edges { cursor } } }";
        let plain = page.replace(", ORDER", "");
        let answer = client.data(&caller, &plain).await;
        let cursor = answer["contacts"]["edges"][0]["cursor"].as_str().unwrap().to_owned();
        let take = |root: &str, order: &str, cursor: &str| {
            format!("{{ {root}(first: 1, after: \"{cursor}\"{order}) {{ nodes {{ id }} }} }}")
        };
        let good = client.data(&caller, &take("contacts", "", &cursor)).await;
        assert_eq!(good["contacts"]["nodes"][0]["id"], id(0, 10).to_string());
        let other = test.caller("marketing", "newsletter").await;
        let two = test.token(&["marketing"], &["newsletter", "consent_management"]).await;
        let own = Caller { token: two.clone(), purpose: "newsletter".to_owned() };
        let own_cursor =
            client.data(&own, &plain).await["contacts"]["edges"][0]["cursor"].as_str().unwrap().to_owned();
        let switched = Caller { token: two, purpose: "consent_management".to_owned() };
        let mut attempts = vec![
            (other, take("contacts", "", &cursor)),
            (switched, take("contacts", "", &own_cursor)),
            (caller.clone(), take("consents", "", &cursor)),
            (caller.clone(), take("contacts", ", orderBy: [{ field: EMAIL, direction: ASC }]", &cursor)),
            (caller.clone(), take("contacts", "", "")),
            (caller.clone(), take("contacts", "", &cursor[..cursor.len() - 2])),
        ];
        for at in (0..cursor.len()).step_by(7) {
            let mut bent = cursor.clone().into_bytes();
            bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
            attempts.push((caller.clone(), take("contacts", "", &String::from_utf8(bent).unwrap())));
        }
        for (caller, query) in attempts {
            let answer = client.ask(&caller, &query).await;
            assert_eq!(problems(&answer), ["BAD_USER_INPUT -"], "{query}: {answer}");
            assert_eq!(
                answer["errors"][0]["message"],
                "this cursor is not valid here: it belongs to another list, order, purpose or caller, or was changed"
            );
            assert!(answer["data"].as_object().unwrap().values().all(Value::is_null));
        }
    }
}

/// What tools of the field ask first is answered.
#[tokio::test]
async fn the_standard_introspection_is_answered() {
    let types = format!("{} kind name {}", "kind name ofType { ".repeat(9), "} ".repeat(9));
    let query = format!(
        "query IntrospectionQuery {{ __schema {{ queryType {{ name }} mutationType {{ name }} subscriptionType {{ name }}
           types {{ ...FullType }} directives {{ name description locations args {{ ...InputValue }} }} }} }}
         fragment FullType on __Type {{ kind name description
           fields(includeDeprecated: true) {{ name description args {{ ...InputValue }} type {{ ...TypeRef }} isDeprecated deprecationReason }}
           inputFields {{ ...InputValue }} interfaces {{ ...TypeRef }}
           enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }} possibleTypes {{ ...TypeRef }} }}
         fragment InputValue on __InputValue {{ name description type {{ ...TypeRef }} defaultValue }}
         fragment TypeRef on __Type {{ {types} }}"
    );
    for World { test, client } in worlds().await {
        let caller = test.caller("dpo", "rights_fulfilment").await;
        let data = client.data(&caller, &query).await;
        assert!(data["__schema"]["types"].as_array().unwrap().len() > 50);
        // Who may use little is told of little.
        let caller = test.caller("partner", "newsletter").await;
        let data = client.data(&caller, &query).await;
        assert!((20..50).contains(&data["__schema"]["types"].as_array().unwrap().len()));
    }
}

/// Large but honest: both databases answer the same.
#[tokio::test]
async fn what_is_large_but_within_limits_is_answered() {
    use sea_orm::ConnectionTrait;
    let many: Vec<String> = (0..1_000).map(|n| format!("\"n{n}@example.org\"")).collect();
    let tests: Vec<String> =
        (0..40).map(|_| format!("{{ email: {{ in: [{}] }} }}", many.join(","))).collect();
    let any = format!(
        "{{ contacts(filter: {{ or: [{}, {{ email: {{ in: [\"ANNA@example.org\"] }} }}] }}) {{ nodes {{ givenName }} }} }}",
        tests.join(",")
    );
    for World { test, client } in worlds().await {
        let caller = test.caller("dpo", "rights_fulfilment").await;
        let found = client.data(&caller, &any).await;
        assert_eq!(found["contacts"]["nodes"], json!([{ "givenName": "Anna" }]));
        // By the ids of a link too, which are no text.
        let log = client.data(&caller, "{ auditLog(first: 2, orderBy: [{ field: CONTACT, direction: ASC }]) { nodes { id } pageInfo { endCursor } } }").await;
        let cursor = log["auditLog"]["pageInfo"]["endCursor"].as_str().unwrap();
        client.data(&caller, &format!("{{ auditLog(first: 2, after: \"{cursor}\", orderBy: [{{ field: CONTACT, direction: ASC }}]) {{ nodes {{ id }} }} }}")).await;
        // A cursor is as long as the values it holds.
        let long = "Ы".repeat(400);
        let widen = format!(
            "UPDATE contact SET company = '{long}', company_folded = '{long}', street_folded = '{long}'"
        );
        test.app.db.writer.execute_unprepared(&widen).await.unwrap();
        let order = "orderBy: [{ field: COMPANY, direction: ASC }, { field: STREET, direction: ASC }]";
        let page = client
            .data(&caller, &format!("{{ contacts(first: 3, {order}) {{ pageInfo {{ endCursor }} }} }}"))
            .await;
        let cursor = page["contacts"]["pageInfo"]["endCursor"].as_str().unwrap();
        let rest = client
            .data(&caller, &format!("{{ contacts(after: \"{cursor}\", {order}) {{ nodes {{ id }} }} }}"))
            .await;
        assert_eq!(rest["contacts"]["nodes"].as_array().unwrap().len(), 7);
    }
}

/// The list of fields narrows counts and explanations too.
#[tokio::test]
async fn a_narrowed_token_counts_and_explains_no_more_than_it_reads() {
    for World { test, client } in worlds().await {
        let new = |fields: &[&str]| zweck::domain::access_tokens::NewToken {
            name: "narrow".to_owned(),
            roles: vec!["dpo".to_owned()],
            purposes: vec!["rights_fulfilment".to_owned()],
            fields: Some(fields.iter().map(|field| (*field).to_owned()).collect()),
            expires_at: test.app.now() + chrono::TimeDelta::days(1),
            recipient_id: None,
        };
        let (_, token) = test.make_token(new(&["Contact.givenName", "Consent.status"])).await.unwrap();
        let caller = Caller { token, purpose: "rights_fulfilment".to_owned() };
        let answer = client.ask(&caller, "{ contacts { totalCount } }").await;
        assert_eq!(problems(&answer), ["FORBIDDEN_FIELD ContactConnection.totalCount"]);
        let own =
            "{ explainAccess(coordinate: \"Contact.email\", purpose: \"rights_fulfilment\") { decision } }";
        assert_eq!(client.data(&caller, own).await["explainAccess"]["decision"], "DENY");
        let state = |at: &str| {
            format!(
                "{{ consentState(contactId: \"{}\", purpose: \"newsletter\", channel: EMAIL{at}) }}",
                id(0, 1)
            )
        };
        client.data(&caller, &state("")).await;
        let answer = client.ask(&caller, &state(", at: \"2026-11-01T00:00:00Z\"")).await;
        assert_eq!(problems(&answer), ["FORBIDDEN_FIELD Consent.declaredAt"]);
        for field in ["Query.contacts", "Mutation.updateContact"] {
            assert!(test.make_token(new(&[field])).await.is_err(), "{field}");
        }
    }
}
