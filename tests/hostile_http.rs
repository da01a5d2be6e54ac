//! Hostile requests: whatever is wrong with method, headers, encoding, JSON or document, each gets its documented status and code,
//! soon and shortly, and no value escapes.

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body, http::Request, response::Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use zweck::{
    graphql::Pipeline,
    http::{Limits, router},
};

use crate::{
    reads::{World, worlds},
    support::client::problems,
};

const GRAPHQL: &str = "application/graphql-response+json";
const JSON: &str = "application/json";

/// A request and what it must be answered with; an empty code stands for an answer without errors.
struct Case {
    name: String,
    method: &'static str,
    address: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    status: u16,
    code: &'static str,
}

impl Case {
    fn post(name: &str, body: impl Into<Vec<u8>>, status: u16, code: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            method: "POST",
            address: "/graphql".to_owned(),
            headers: Vec::new(),
            body: body.into(),
            status,
            code,
        }
    }

    /// A document under `application/graphql-response+json`.
    fn document(name: &str, document: &str, code: &'static str) -> Self {
        let status = if code.is_empty() || code.starts_with("FORBIDDEN") { 200 } else { 400 };
        Self::post(name, json!({ "query": document }).to_string(), status, code).with("accept", GRAPHQL)
    }

    /// A harmless query with a header.
    fn header(name: &'static str, value: impl Into<String>, status: u16, code: &'static str) -> Self {
        let value = value.into();
        let shown: String = value.chars().take(40).collect();
        Self::post(&format!("{name}: {shown}"), HARMLESS, status, code).with(name, value)
    }

    fn by(method: &'static str, address: impl Into<String>, status: u16, code: &'static str) -> Self {
        let address = address.into();
        let name = format!("{method} {address:.60}");
        Self { method, address, ..Self::post(&name, "", status, code) }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Without a value a header that is sent otherwise is left out.
    fn without(self, name: &'static str) -> Self {
        self.with(name, "")
    }

    fn request(&self, token: &str) -> Request<Body> {
        let mut request = Request::builder().method(self.method).uri(&self.address);
        let usual = [("authorization", format!("Bearer {token}")), ("content-type", JSON.to_owned())];
        for (name, value) in usual {
            // Those of the case stand in the place of the usual ones.
            if !self.headers.iter().any(|(own, _)| *own == name) {
                request = request.header(name, value);
            }
        }
        for (name, value) in self.headers.iter().filter(|(_, value)| !value.is_empty()) {
            let value = value.replace("TOKEN", token);
            // Characters up to U+00FF stand for bytes.
            let bytes: Vec<u8> = value.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
            request = request.header(*name, bytes);
        }
        request.body(Body::from(self.body.clone())).unwrap()
    }
}

const HARMLESS: &str = r#"{"query":"{ __typename }"}"#;
/// What the caller may not read.
const NOTES: &str = r#"{"query":"{ contacts { nodes { notes } } }"}"#;
const BAD: &str = "BAD_USER_INPUT";
const COMPLEX: &str = "QUERY_TOO_COMPLEX";
const NOBODY: &str = "UNAUTHENTICATED";

fn methods() -> Vec<Case> {
    let mutation = "/graphql?query=mutation%7BcreateContact(input:%7B%7D)%7Bcontact%7Bid%7D%7D%7D";
    let mut cases: Vec<Case> = ["PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "post", "QUERY"]
        .map(|method| Case::by(method, "/graphql", 405, BAD))
        .into();
    cases.extend([
        Case::by("OPTIONS", "/graphql", 204, "").without("authorization"),
        Case::by("GET", "/graphql", 400, BAD),
        Case::by("GET", "/graphql?query=%7B__typename%7D", 200, ""),
        Case::by("GET", mutation, 405, BAD),
        Case::by("HEAD", mutation, 405, ""),
        Case::by("GET", "/graphql?query=%7Ba%7D&query=%7Bb%7D", 400, BAD),
        Case::by("GET", "/graphql?query=%FF%FE", 400, BAD),
        Case::by("GET", "/graphql?query=%7B__typename%7D&variables=%5B%5D", 400, BAD),
        Case::by("GET", "/graphql?query=%7B__typename%7D&variables=%7B%22a%22:1,%22a%22:2%7D", 400, BAD),
        Case::by("GET", format!("/graphql?query={}", "%7Ba".repeat(15_000)), 200, COMPLEX),
        // The body of a GET is nothing.
        Case { body: HARMLESS.into(), ..Case::by("GET", "/graphql", 400, BAD) },
        Case::by("POST", "/graphql?query=%7B__typename%7D", 400, BAD),
        Case::by("POST", "/graphql/", 404, "NOT_FOUND"),
        Case::by("POST", "/GraphQL", 404, "NOT_FOUND"),
        Case::by("GET", "/graphql/../../etc/passwd", 404, "NOT_FOUND"),
        Case::by("GET", "/.env", 404, "NOT_FOUND"),
    ]);
    cases
}

/// What a page of another site can make a browser send.
fn forgeries() -> Vec<Case> {
    let kind = |value: &str, status, code| Case::header("content-type", value, status, code);
    let multipart = "multipart/form-data; boundary=x";
    let mut cases: Vec<Case> = [
        "text/plain",
        "application/x-www-form-urlencoded",
        multipart,
        "application/graphql",
        "application/jsonx",
        "text/plain, application/json",
        "text/plain; application/json",
        "application/json, text/plain",
        "application/json; charset=utf-7",
        "application/json; charset=utf-16",
        "application/json; charset=utf-8; charset=utf-16",
        "application/json\u{e9}",
    ]
    .map(|value| kind(value, 415, BAD))
    .into();
    cases.extend([
        Case::post("no content type", HARMLESS, 415, BAD).without("content-type"),
        kind(JSON, 415, BAD).with("content-type", "text/plain"),
        kind("text/plain", 401, NOBODY).without("authorization"),
        kind(multipart, 401, NOBODY).without("authorization"),
        Case::by("GET", "/graphql?query=%7B__typename%7D", 401, NOBODY).without("authorization"),
        Case::by("GET", "/graphql?query=%7B__typename%7D&access_token=TOKEN", 401, NOBODY)
            .without("authorization"),
        Case::header("cookie", "token=TOKEN; authorization=Bearer TOKEN", 401, NOBODY)
            .without("authorization"),
    ]);
    cases
}

fn headers() -> Vec<Case> {
    let who = |value: &str| Case::header("authorization", value, 401, NOBODY);
    let purpose = |value: &str, status, code| Case::header("x-processing-purpose", value, status, code);
    // What makes others of other proxies and servers means nothing here.
    let ignored = [
        ("x-hasura-role", "admin"),
        ("x-hasura-admin-secret", "TOKEN"),
        ("x-role", "dpo"),
        ("x-roles", "dpo, administrator"),
        ("x-user-id", "token:1"),
        ("x-forwarded-user", "root"),
        ("x-forwarded-for", "127.0.0.1"),
        ("forwarded", "for=127.0.0.1;proto=https"),
        ("x-http-method-override", "DELETE"),
        ("x-original-url", "/admin"),
        ("x-purpose", "rights_fulfilment"),
        ("x-processing-purposes", "rights_fulfilment"),
        ("proxy-authorization", "Bearer TOKEN"),
    ];
    let mut cases: Vec<Case> = ignored
        .map(|(name, value)| Case { body: NOTES.into(), ..Case::header(name, value, 200, "FORBIDDEN_FIELD") })
        .into();
    cases.extend([
        who("Bearer TOKEN").with("authorization", "Bearer TOKEN"),
        who("Bearer TOKEN, Bearer TOKEN"),
        who("Basic TOKEN"),
        who("TOKEN"),
        who("Bearer"),
        who("Bearer zwk_\u{ff}"),
        who("Bearer TOKEN' OR '1'='1"),
        who("Bearer TOKENx"),
        who(&format!("Bearer {}", "a".repeat(50_000))),
        Case::header("authorization", "bEARER  TOKEN", 200, ""),
        purpose("newsletter", 200, ""),
        purpose("newsletter", 400, BAD).with("x-processing-purpose", "newsletter"),
        purpose("newsletter", 400, BAD).with("x-processing-purpose", "rights_fulfilment"),
        purpose("newsletter,rights_fulfilment", 400, BAD),
        purpose(" ", 400, BAD),
        purpose("\u{ff}\u{fe}", 400, BAD),
        purpose("rights_fulfilment", 403, "PURPOSE_NOT_PERMITTED"),
        purpose("direct_marketing", 403, "PURPOSE_NOT_PERMITTED"),
        purpose("NEWSLETTER", 403, "PURPOSE_NOT_PERMITTED"),
        purpose("purpose:newsletter", 403, "PURPOSE_NOT_PERMITTED"),
        purpose("newsletter' OR '1'='1", 403, "PURPOSE_NOT_PERMITTED"),
        purpose(&"n".repeat(50_000), 403, "PURPOSE_NOT_PERMITTED"),
        Case::header("accept", "text/html", 406, BAD),
        Case::header("accept", "application/json;q=0", 406, BAD),
        Case::header("accept", "\u{ff}", 406, BAD),
        Case::header("accept", "text/html,".repeat(5_000) + "*/*", 200, ""),
        Case::header("prefer", "strict,".repeat(5_000), 200, ""),
        Case::header("idempotency-key", "k".repeat(256), 400, BAD),
        Case::header("idempotency-key", "k", 400, BAD).with("idempotency-key", "k"),
        Case::header("idempotency-key", "\u{e9}", 400, BAD),
        Case::header("x-request-id", "' OR 1=1 --", 200, ""),
        Case::header("content-length", "99999999", 413, BAD),
    ]);
    cases
}

fn encodings() -> Vec<Case> {
    let deep =
        |open: &str| format!(r#"{{"query":"{{ __typename }}","variables":{{"x":{}"#, open.repeat(50_000));
    let mut cases: Vec<Case> = ["gzip", "deflate", "br", "zstd", "identity, gzip", "x"]
        .map(|coding| Case::header("content-encoding", coding, 415, BAD))
        .into();
    cases.push(Case::header("content-encoding", "identity", 200, ""));
    let bodies: [(&str, Vec<u8>); 26] = [
        ("nothing", vec![]),
        ("white space", b" \n\t ".to_vec()),
        ("null", b"null".to_vec()),
        ("a string", b"\"{ __typename }\"".to_vec()),
        ("a batch", format!("[{HARMLESS},{HARMLESS}]").into()),
        ("a large batch", format!("[{}{HARMLESS}]", format!("{HARMLESS},").repeat(10_000)).into()),
        ("an empty batch", b"[]".to_vec()),
        ("a byte order mark", format!("\u{feff}{HARMLESS}").into()),
        ("UTF-16", HARMLESS.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("gzip that says nothing of it", vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0]),
        ("invalid UTF-8", b"{\"query\":\"{ __typename } # \xff\"}".to_vec()),
        ("overlong UTF-8", b"{\"query\":\"{ __typename } # \xc0\xaf\"}".to_vec()),
        ("a lone surrogate", br#"{"query":"{ __typename } # \ud800"}"#.to_vec()),
        ("a control character", b"{\"query\":\"{ __typename }\x00\"}".to_vec()),
        ("two queries", br#"{"query":"{ __typename }","query":"{ viewer { actorId } }"}"#.to_vec()),
        ("two variables", br#"{"query":"{ __typename }","variables":{"x":1,"x":2}}"#.to_vec()),
        ("two variables, escaped", br#"{"query":"{ __typename }","variables":{"x":1,"\u0078":2}}"#.to_vec()),
        (
            "two members deep down",
            br#"{"query":"{ __typename }","variables":{"x":[{"a":[{"b":1,"b":1}]}]}}"#.to_vec(),
        ),
        ("a number beyond all", br#"{"query":"{ __typename }","variables":{"x":1e999}}"#.to_vec()),
        (
            "a long number",
            format!(r#"{{"query":"{{ __typename }}","variables":{{"x":{}}}}}"#, "9".repeat(10_000)).into(),
        ),
        ("not a number", br#"{"query":"{ __typename }","variables":{"x":NaN}}"#.to_vec()),
        ("deep lists", deep("[").into()),
        ("deep objects", deep("{\"x\":").into()),
        ("variables as text", br#"{"query":"{ __typename }","variables":"{}"}"#.to_vec()),
        ("a form", b"query=%7B__typename%7D".to_vec()),
        ("trailing text", format!("{HARMLESS}{HARMLESS}").into()),
    ];
    cases.extend(bodies.map(|(name, body)| Case::post(name, body, 400, BAD)));
    cases.push(Case::post("too much", " ".repeat(1024 * 1024 + 1), 413, BAD));
    let unused = (0..20_000).map(|n| format!("\"v{n}\":{n}")).collect::<Vec<_>>().join(",");
    let unused = format!(r#"{{"query":"{{ __typename }}","variables":{{{unused}}}}}"#);
    cases.push(Case::post("members that no variable takes", unused, 200, ""));
    cases.push(Case::post(
        "a persisted query",
        br#"{"extensions":{"persistedQuery":{"sha256Hash":"00"}}}"#,
        400,
        BAD,
    ));
    cases
}

/// Fragments that spread the next one `times` times each.
fn fan(times: usize, last: &str) -> String {
    let spread = |level: usize| format!("...F{level} ").repeat(times);
    let fragments: String =
        (0..25).map(|level| format!("fragment F{level} on Contact {{ {}}} ", spread(level + 1))).collect();
    format!("{{ contacts {{ nodes {{ ...F0 }} }} }} {fragments}fragment F25 on Contact {{ {last} }}")
}

fn documents() -> Vec<Case> {
    let many = |count: usize, of: fn(usize) -> String| (0..count).map(of).collect::<String>();
    let aliases = many(5_000, |n| format!("a{n}: __typename "));
    let some_aliases = many(201, |n| format!("a{n}: id "));
    let nested = |times: usize, open: &str| format!("{{ contacts(filter: {}", open.repeat(times));
    vec![
        Case::document("aliases of the root", &format!("{{ {aliases} }}"), COMPLEX),
        Case::document("aliases", &format!("{{ contacts {{ nodes {{ {some_aliases} }} }} }}"), COMPLEX),
        Case::document(
            "aliases by fragments",
            &format!("{{ contacts {{ nodes {{ {} }} }} }} fragment F on Contact {{ a: id b: id }}", "...F ".repeat(101)),
            COMPLEX,
        ),
        Case::document(
            "roots by a fragment",
            &format!("{{ ...F }} fragment F on Query {{ {} }}", many(31, |n| format!("r{n}: viewer {{ actorId }} "))),
            COMPLEX,
        ),
        Case::document("the same field over and over", &format!("{{ {} }}", "__typename ".repeat(5_000)), COMPLEX),
        Case::document("fragments that multiply", &fan(2, "id"), COMPLEX),
        Case::document("fragments that multiply by three", &fan(3, "id"), COMPLEX),
        Case::document("fragments that multiply nothing", &fan(9, "...None"), BAD),
        Case::document("a cycle", &fan(2, "...F0"), BAD),
        Case::document("a fragment of itself", "{ ...F } fragment F on Query { ...F }", BAD),
        Case::document("many fragments", &format!("{{ a }} {}", many(200, |n| format!("fragment F{n} on Query {{ a }} "))), COMPLEX),
        Case::document("many operations", &many(5_000, |n| format!("query Q{n} {{ __typename }} ")), BAD),
        Case::post(
            "many operations, one named",
            json!({ "query": many(5_000, |n| format!("query Q{n} {{ __typename }} ")), "operationName": "Q7" }).to_string(),
            200,
            COMPLEX,
        ),
        Case::document("directives", &format!("{{ __typename {} }}", "@skip(if: false) ".repeat(500)), COMPLEX),
        Case::document("unknown directives", &format!("{{ __typename {} }}", "@x ".repeat(50)), BAD),
        Case::document(
            "directives by fragments",
            &format!("{{ {} }} fragment F on Query {{ __typename @skip(if: false) }}", "...F @skip(if: false) ".repeat(60)),
            COMPLEX,
        ),
        Case::document("unused variables", &format!("query({}) {{ __typename }}", many(20_000, |n| format!("$v{n}:ID"))), COMPLEX),
        Case::document("few unused variables", &format!("query({}) {{ __typename }}", many(100, |n| format!("$v{n}:ID"))), BAD),
        Case::document("deep lists", &nested(100_000, "["), COMPLEX),
        Case::document("deep objects", &nested(100_000, "{ not: "), COMPLEX),
        Case::document("deep types", &format!("query($x: {}", "[".repeat(100_000)), COMPLEX),
        Case::document("deep selections", &"{ a ".repeat(100_000), COMPLEX),
        Case::document("deep after a text", &format!("{{ a(x: \"\"\" \\\"\"\" \"\"\", y: {}", "[".repeat(10_000)), COMPLEX),
        Case::document("tokens", &format!("{{ {} }}", "a ".repeat(100_000)), COMPLEX),
        Case::document("punctuation", &"!".repeat(100_000), COMPLEX),
        Case::document("a long name", &format!("{{ {}: __typename }}", "a".repeat(500_000)), BAD),
        Case::document("a long comment", &format!("#{}\n{{ __typename }}", "{".repeat(500_000)), ""),
        Case::document("commas", &format!("{{ __typename {} }}", ",".repeat(500_000)), ""),
        Case::document("nested introspection", &format!("{{ __schema {{ types {{ {} name {} }} }} }}", "fields { type { ".repeat(3), "} } ".repeat(3)), COMPLEX),
        Case::document("a whole number beyond all", "{ contacts(first: 99999999999999999999) { nodes { id } } }", BAD),
        Case::document("a number beyond all", "{ contacts(first: 1e999) { nodes { id } } }", BAD),
        Case::document("a fraction", "{ contacts(first: 1.5) { nodes { id } } }", BAD),
        Case::document("a text without an end", "{ contacts(search: \"anna@example.org", BAD),
        Case::document("a zero byte", "{ __typename \u{0} }", BAD),
        Case::document("a subscription", "subscription { __typename }", BAD),
        Case::document("a definition of a type", "type Query { x: Int }", BAD),
        Case::document("an extension of a type", "extend type Query { x: Int }", BAD),
        Case::post("an operation that is not there", r#"{"query":"{ __typename }","operationName":"X"}"#, 200, BAD),
        Case::post("a document that is none", r#"{"query":"}"}"#, 200, BAD),
        Case::post("too complex", json!({ "query": fan(2, "id") }).to_string(), 200, COMPLEX),
    ]
}

#[tokio::test]
async fn hostile_requests_get_their_documented_answer() {
    let cases: Vec<Case> =
        [methods(), forgeries(), headers(), encodings(), documents()].into_iter().flatten().collect();
    assert!(cases.len() >= 80, "{}", cases.len());
    for World { test, .. } in worlds().await {
        let router = router(test.app.clone(), Arc::new(Pipeline::new().unwrap()), Limits::default());
        let caller = test.caller("partner", "newsletter").await;
        let token = caller.token.expose_secret();
        for case in &cases {
            let (response, body) = answered(&router, case.request(token), &case.name).await;
            let name = &case.name;
            assert_eq!(response.status().as_u16(), case.status, "{name}: {body}");
            assert_eq!(response.headers()["cache-control"], "no-store", "{name}");
            let id = response.headers()["x-request-id"].to_str().unwrap();
            assert_eq!(id.len(), 36, "{name}");
            if case.code.is_empty() {
                assert!(!body.contains("errors"), "{name}: {body}");
            } else {
                let answer: Value = serde_json::from_str(&body).unwrap();
                let told = problems(&answer);
                let fits = |code: &String| code.split(' ').next() == Some(case.code);
                assert!(!told.is_empty() && told.iter().all(fits), "{name}: {body}");
                assert_eq!(answer["errors"][0]["extensions"]["requestId"], id, "{name}");
            }
            for value in ["likes tea", "anna@", "SELECT", ".rs", "serde", token] {
                assert!(!body.contains(value), "{name} told {value}: {body}");
            }
            assert!(body.len() < 4_000, "{name}: {} bytes", body.len());
        }
        // And the server serves.
        let (response, _) =
            answered(&router, Case::post("", HARMLESS, 200, "").request(token), "at last").await;
        assert_eq!(response.status(), 200);
    }
}

async fn answered(router: &Router, request: Request<Body>, name: &str) -> (Response<()>, String) {
    // Many times what is needed by a machine that does other things too.
    let answered = tokio::time::timeout(Duration::from_secs(10), async {
        let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
        (Response::from_parts(head, ()), body.collect().await.unwrap().to_bytes())
    });
    let (head, body) = answered.await.unwrap_or_else(|_| panic!("{name} takes too long"));
    (head, String::from_utf8(body.to_vec()).unwrap())
}

/// What would be read by pages in pages, by one who may read it all.
#[tokio::test]
async fn pages_multiply_within_limits_alone() {
    let page = |inner: usize, fields: &str| {
        format!(
            "{{ contacts(first: 1000) {{ nodes {{ consents(first: {inner}) {{ nodes {{ {fields} }} }} }} }} }}"
        )
    };
    for World { test, client } in worlds().await {
        let caller = test.caller("dpo", "rights_fulfilment").await;
        for (document, told) in [
            (page(98, "id"), vec![]),
            (page(100, "id"), vec!["QUERY_TOO_COMPLEX -"]),
            (
                page(
                    90,
                    "id status channel grantedAt withdrawnAt expiresAt declaredAt a: id b: id c: id d: id e: id",
                ),
                vec!["QUERY_TOO_COMPLEX -"],
            ),
        ] {
            assert_eq!(problems(&client.ask(&caller, &document).await), told, "{document}");
        }
    }
}
