//! The HTTP face: statuses, headers, and that the credential comes first.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    http::{Method, Request, StatusCode},
    response::Response,
};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tower::ServiceExt;
use zweck::{graphql::Engine, http::Limits};

use crate::support::app::{TestApp, each};

const VIEWER: &str = r#"{"query":"{ viewer { actorId } }"}"#;
const GRAPHQL: &str = "application/graphql-response+json";

fn router(test: &TestApp) -> Router {
    zweck::http::router(test.app.clone(), Arc::new(Engine::new().unwrap()), Limits { body_bytes: 1024 })
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
        let token = token.reveal();
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
            let response = send(&router, post(token.reveal(), &[("accept", accept)], VIEWER)).await;
            assert_eq!((response.status(), header(&response, "content-type")), (StatusCode::OK, format));
            assert!(json(response).await["data"]["viewer"]["actorId"].is_string());
        }
        let response =
            send(&router, post(token.reveal(), &[("prefer", "return=minimal, strict")], VIEWER)).await;
        assert_eq!(header(&response, "preference-applied"), "strict");
        let response = send(&router, post(token.reveal(), &[], VIEWER)).await;
        assert_eq!(header(&response, "preference-applied"), "");
    }
}

#[tokio::test]
async fn other_methods_and_paths_are_refused() {
    for test in each().await {
        let router = router(&test);
        let token = test.token(&["support"], &["customer_care"]).await;
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::OPTIONS] {
            let mut request = post(token.reveal(), &[], VIEWER);
            *request.method_mut() = method;
            let response = send(&router, request).await;
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
            assert_eq!(header(&response, "allow"), "POST");
            assert!(json(response).await["errors"][0]["message"].is_string());
        }
        let mut request = post(token.reveal(), &[], VIEWER);
        *request.uri_mut() = "/admin".parse().unwrap();
        let response = send(&router, request).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(header(&response, "x-request-id").len(), 36);
        assert_eq!(json(response).await["errors"][0]["extensions"]["code"], "NOT_FOUND");
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_by_the_very_next_request() {
    for test in each().await {
        let router = router(&test);
        let token = test.token(&["support"], &["customer_care"]).await;
        let send_viewer = || send(&router, post(token.reveal(), &[], VIEWER));
        assert_eq!(send_viewer().await.status(), StatusCode::OK);
        let id = zweck::tokens::list(&test.app.db.reader).await.unwrap()[0].id;
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
        let response = send(&router, post(token.reveal(), &[], watched(&read))).await;
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
        let response = send(&router, post(token.reveal(), &[], Body::new(endless))).await;
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}
