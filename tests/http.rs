//! The HTTP face: statuses, headers, and that the credential comes first.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Router,
    body::{Body, Bytes, HttpBody, to_bytes},
    http::{Method, Request, StatusCode},
    response::Response,
};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::ServiceExt;
use zweck::{graphql::Pipeline, http::Limits};

use crate::support::app::{TestApp, each};

const VIEWER: &str = r#"{"query":"{ viewer { actorId } }"}"#;
const GRAPHQL: &str = "application/graphql-response+json";

fn router(test: &TestApp) -> Router {
    let limits = Limits { body_bytes: 1024, ..Limits::default() };
    zweck::http::router(test.app.clone(), Arc::new(Pipeline::new().unwrap()), limits)
}

/// A request with headers; a later pair of the same name is sent beside the earlier one.
fn post(token: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::builder().method(Method::POST).uri("/graphql");
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).unwrap()
}

async fn send(router: &Router, request: Request<Body>) -> Response {
    router.clone().oneshot(request).await.unwrap()
}

async fn json(response: Response) -> Value {
    serde_json::from_slice(&to_bytes(response.into_body(), usize::MAX).await.unwrap()).unwrap()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

/// Token, further headers, body; status and code of the answer.
type Case<'a> = (&'a str, Vec<(&'a str, &'a str)>, &'a str, u16, &'a str);

#[tokio::test]
async fn each_mistake_has_its_status() {
    for test in each().await {
        let router = router(&test);
        let token = test.token(&["support"], &["customer_care", "newsletter"]).await;
        let token = token.expose_secret();
        let large = format!("{{\"query\":\"{}\"}}", "x".repeat(2000));
        let care = ("x-processing-purpose", "customer_care");
        let cases: Vec<Case<'_>> = vec![
            ("", vec![], VIEWER, 401, "UNAUTHENTICATED"),
            ("nonsense", vec![], VIEWER, 401, "UNAUTHENTICATED"),
            (
                "nonsense",
                vec![("content-type", "text/plain"), ("accept", "text/html")],
                "[",
                401,
                "UNAUTHENTICATED",
            ),
            (token, vec![("authorization", "Bearer x")], VIEWER, 401, "UNAUTHENTICATED"),
            (token, vec![("accept", "text/html")], VIEWER, 406, "BAD_USER_INPUT"),
            (token, vec![("content-type", "text/plain")], VIEWER, 415, "BAD_USER_INPUT"),
            (
                token,
                vec![("content-type", "application/json; charset=latin1")],
                VIEWER,
                415,
                "BAD_USER_INPUT",
            ),
            (token, vec![], &large, 413, "BAD_USER_INPUT"),
            (token, vec![], "{", 400, "BAD_USER_INPUT"),
            (token, vec![("accept", GRAPHQL)], "{", 400, "BAD_USER_INPUT"),
            (token, vec![], "", 400, "BAD_USER_INPUT"),
            (token, vec![], "[{\"query\":\"{ viewer { actorId } }\"}]", 400, "BAD_USER_INPUT"),
            (token, vec![], "{\"query\":7}", 400, "BAD_USER_INPUT"),
            (token, vec![], "{\"query\":\"{a}\",\"variables\":[]}", 400, "BAD_USER_INPUT"),
            (token, vec![], "{\"query\":\"{a}\",\"operationName\":{}}", 400, "BAD_USER_INPUT"),
            (token, vec![], "{\"query\":\"{a}\",\"extensions\":1}", 400, "BAD_USER_INPUT"),
            (token, vec![care, ("x-processing-purpose", "newsletter")], VIEWER, 400, "BAD_USER_INPUT"),
            (
                token,
                vec![("x-processing-purpose", "customer_care, newsletter")],
                VIEWER,
                400,
                "BAD_USER_INPUT",
            ),
            (token, vec![("x-processing-purpose", "accounting")], VIEWER, 403, "PURPOSE_NOT_PERMITTED"),
            (token, vec![("x-processing-purpose", "no_such")], VIEWER, 403, "PURPOSE_NOT_PERMITTED"),
            (token, vec![care], "{\"query\":\"{\"}", 200, "BAD_USER_INPUT"),
            (token, vec![care, ("accept", GRAPHQL)], "{\"query\":\"{\"}", 400, "BAD_USER_INPUT"),
        ];
        for (token, headers, body, status, code) in cases {
            let response = send(&router, post(token, &headers, body.to_owned())).await;
            assert_eq!(response.status().as_u16(), status, "{headers:?} {body:.60}");
            assert_eq!(header(&response, "cache-control"), "no-store");
            assert_eq!(header(&response, "x-content-type-options"), "nosniff");
            assert!(header(&response, "vary").contains("X-Processing-Purpose"));
            assert_eq!(header(&response, "www-authenticate") == "Bearer", status == 401);
            let id = header(&response, "x-request-id").to_owned();
            assert_eq!(id.len(), 36);
            let body = json(response).await;
            let extensions = &body["errors"][0]["extensions"];
            assert_eq!(extensions["code"], code, "{headers:?} {body}");
            assert_eq!(extensions["requestId"], id.as_str());
        }
    }
}

#[tokio::test]
async fn formats_are_negotiated() {
    for test in each().await {
        let router = router(&test);
        let token = test.token(&["support"], &["customer_care"]).await;
        for (accept, format) in [
            ("*/*", "application/json; charset=utf-8"),
            ("application/json", "application/json; charset=utf-8"),
            (GRAPHQL, "application/graphql-response+json; charset=utf-8"),
            // Apollo Client and urql.
            (
                "application/graphql-response+json,application/json;q=0.9",
                "application/graphql-response+json; charset=utf-8",
            ),
            (
                "application/graphql-response+json, application/graphql+json, application/json, text/event-stream, multipart/mixed",
                "application/graphql-response+json; charset=utf-8",
            ),
        ] {
            let response = send(&router, post(token.expose_secret(), &[("accept", accept)], VIEWER)).await;
            assert_eq!((response.status(), header(&response, "content-type")), (StatusCode::OK, format));
            assert!(json(response).await["data"]["viewer"]["actorId"].is_string());
        }
        let response =
            send(&router, post(token.expose_secret(), &[("prefer", "return=minimal, strict")], VIEWER)).await;
        assert_eq!(header(&response, "preference-applied"), "strict");
        let response = send(&router, post(token.expose_secret(), &[], VIEWER)).await;
        assert_eq!(header(&response, "preference-applied"), "");
    }
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    for test in each().await {
        let router = router(&test);
        let token = test.token(&["support"], &["customer_care"]).await;
        for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::TRACE, Method::CONNECT] {
            let mut request = post(token.expose_secret(), &[], VIEWER);
            *request.method_mut() = method;
            let response = send(&router, request).await;
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(header(&response, "allow"), "GET, HEAD, OPTIONS, POST");
            assert!(json(response).await["errors"][0]["message"].is_string());
        }
        let mut request = post("", &[], VIEWER);
        *request.method_mut() = Method::OPTIONS;
        let response = send(&router, request).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        assert_eq!(header(&response, "allow"), "GET, HEAD, OPTIONS, POST");
        let mut request = post(token.expose_secret(), &[], VIEWER);
        *request.uri_mut() = "/admin".parse().unwrap();
        let response = send(&router, request).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(header(&response, "x-request-id").len(), 36);
        assert_eq!(json(response).await["errors"][0]["extensions"]["code"], "NOT_FOUND");
    }
}

fn get(method: Method, token: &str, address: &str) -> Request<Body> {
    let mut request = post(token, &[], Body::empty());
    *request.method_mut() = method;
    *request.uri_mut() = format!("/graphql?{address}").parse().unwrap();
    request
}

#[tokio::test]
async fn queries_come_by_get_and_mutations_do_not() {
    for test in each().await {
        let router = router(&test);
        let token = test.token(&["support"], &["customer_care"]).await;
        let token = token.expose_secret();
        let query = "query=query($type:String!)%7Bviewer%7Bfields(type:$type)%7Bcoordinate%7D%7D%7D&variables=%7B%22type%22:%22Contact%22%7D";
        let response = send(&router, get(Method::GET, token, query)).await;
        assert_eq!(response.status(), StatusCode::OK);
        let length = response.body().size_hint().exact().unwrap().to_string();
        let answer = json(response).await;
        assert!(answer["data"]["viewer"]["fields"].as_array().unwrap().len() > 5, "{answer}");
        let response = send(&router, get(Method::HEAD, token, query)).await;
        assert_eq!((response.status(), header(&response, "content-length")), (StatusCode::OK, &*length));
        assert!(to_bytes(response.into_body(), usize::MAX).await.unwrap().is_empty());
        // What changes something is refused before anything else is known of it, whichever operation is chosen.
        for mutation in [
            "query=mutation%7BrevokeAccessToken(input:%7BaccessTokenId:%22x%22%7D)%7BaccessToken%7Bid%7D%7D%7D",
            "query=mutation%7B__typename%7D",
            "query=query+A%7B__typename%7Dmutation+B%7B__typename%7D&operationName=B",
        ] {
            let response = send(&router, get(Method::GET, token, mutation)).await;
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{mutation}");
            assert_eq!(header(&response, "allow"), "POST");
            assert_eq!(json(response).await["errors"][0]["extensions"]["code"], "BAD_USER_INPUT");
        }
        for (address, status) in [("", 400), ("query=%7B", 200), ("query=a&query=b", 400)] {
            let response = send(&router, get(Method::GET, token, address)).await;
            assert_eq!(response.status().as_u16(), status, "{address}");
        }
        let long = format!("query=%7B__typename%7D&x={}", "x".repeat(1024));
        assert_eq!(send(&router, get(Method::GET, token, &long)).await.status(), StatusCode::URI_TOO_LONG);
        // Nothing that a page of another site can send by itself: the credential is in a header.
        assert_eq!(send(&router, get(Method::GET, "", query)).await.status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn each_credential_spends_no_more_than_it_may() {
    for test in each().await {
        let limits = Limits { cost_per_minute: 30, ..Limits::default() };
        let router = zweck::http::router(test.app.clone(), Arc::new(Pipeline::new().unwrap()), limits);
        let token = test.token(&["dpo"], &["rights_fulfilment"]).await;
        let page = |first| {
            format!(
                "{{\"query\":\"{{ contacts(first: {first}) {{ nodes {{ id givenName familyName email }} }} }}\"}}"
            )
        };
        let response = send(&router, post(token.expose_secret(), &[], page(1000))).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "ratelimit-policy"), "\"credential\";q=30;w=60");
        // 1, and 1 for every 1,000 of 4,000 values.
        assert_eq!(header(&response, "ratelimit"), "\"credential\";r=25;t=10");
        assert_eq!(header(&response, "retry-after"), "");
        let many = "{\"query\":\"{ a: contacts(first: 1000) { nodes { id email phone city street company birthDate notes givenName } } b: contacts(first: 1000) { nodes { id email phone city street company birthDate notes givenName } } c: contacts(first: 1000) { nodes { id email phone city street company birthDate notes givenName } } }\"}";
        let response = send(&router, post(token.expose_secret(), &[], many)).await;
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!((1..=60).contains(&header(&response, "retry-after").parse::<u32>().unwrap()));
        assert_eq!(json(response).await["errors"][0]["extensions"]["code"], "RATE_LIMITED");
        // What is refused costs too: at last not even the body is read.
        for _ in 0..40 {
            send(&router, post(token.expose_secret(), &[], "[")).await;
        }
        let read = Arc::new(AtomicBool::new(false));
        let response = send(&router, post(token.expose_secret(), &[], watched(&read))).await;
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(header(&response, "ratelimit").starts_with("\"credential\";r=0;"));
        assert!(!read.load(Ordering::SeqCst));
        // Nobody else waits for it.
        let other = test.token(&["dpo"], &["rights_fulfilment"]).await;
        assert_eq!(send(&router, post(other.expose_secret(), &[], page(10))).await.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_by_the_very_next_request() {
    for test in each().await {
        let router = router(&test);
        let token = test.token(&["support"], &["customer_care"]).await;
        let send_viewer = || send(&router, post(token.expose_secret(), &[], VIEWER));
        assert_eq!(send_viewer().await.status(), StatusCode::OK);
        let id = zweck::domain::access_tokens::list(&test.app.db.reader).await.unwrap()[0].id;
        test.revoke_token(id).await.unwrap();
        assert_eq!(send_viewer().await.status(), StatusCode::UNAUTHORIZED);
    }
}

/// A body that notes whether it was asked for.
fn watched(read: &Arc<AtomicBool>) -> Body {
    let read = read.clone();
    Body::new(Full::new(Bytes::from("{")).map_frame(move |frame| {
        read.store(true, Ordering::SeqCst);
        frame
    }))
}

#[tokio::test]
async fn without_a_credential_the_body_is_not_read() {
    for test in each().await {
        let router = router(&test);
        let read = Arc::new(AtomicBool::new(false));
        let response = send(&router, post("zwk_x", &[], watched(&read))).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert!(!read.load(Ordering::SeqCst));
        let token = test.token(&["support"], &["customer_care"]).await;
        let response = send(&router, post(token.expose_secret(), &[], watched(&read))).await;
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert!(read.load(Ordering::SeqCst));
    }
}

#[tokio::test]
async fn a_body_without_a_declared_length_is_limited_too() {
    for test in each().await {
        let router = router(&test);
        let token = test.token(&["support"], &["customer_care"]).await;
        let endless = Full::new(Bytes::from(vec![b' '; 5000]));
        let response = send(&router, post(token.expose_secret(), &[], Body::new(endless))).await;
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}
