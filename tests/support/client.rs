//! Asks as a client does: through the router.

use std::sync::Arc;

use axum::{Router, body::Body, http::Request};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use zweck::{
    app::App,
    audit,
    domain::access_tokens::BearerToken,
    graphql::Pipeline,
    http::{Limits, router},
};

use super::app::TestApp;

/// A client of one server.
#[derive(Clone)]
pub struct Client {
    router: Router,
    app: Arc<App>,
}

/// A credential and the purpose it acts for.
#[derive(Clone)]
pub struct Caller {
    pub token: BearerToken,
    pub purpose: String,
}

impl Client {
    pub fn of(test: &TestApp) -> Self {
        Self::over(test.app.clone())
    }

    pub fn over(app: Arc<App>) -> Self {
        let router = router(app.clone(), Arc::new(Pipeline::new().unwrap()), Limits::default());
        Self { router, app }
    }

    /// Waits until every change of a consent that is committed has its place, as a server's own jobs see to.
    pub async fn numbered(&self) {
        while audit::number_changes(&self.app).await.unwrap().is_none() {}
    }

    /// Status and raw body.
    pub async fn send(&self, caller: &Caller, body: Value, headers: &[(&str, &str)]) -> (u16, String) {
        let purpose = [("x-processing-purpose", caller.purpose.as_str())];
        self.send_bearing(caller.token.expose_secret(), body, &[&purpose, headers].concat()).await
    }

    /// The same with any text for a token.
    pub async fn send_bearing(&self, token: &str, body: Value, headers: &[(&str, &str)]) -> (u16, String) {
        let mut request = Request::post("/graphql")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response =
            self.router.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// Status, content type and body of what is fetched by GET; an empty purpose is not sent.
    pub async fn get(&self, path: &str, token: &str, purpose: &str) -> (u16, String, String) {
        let mut request = Request::get(path).header("authorization", format!("Bearer {token}"));
        if !purpose.is_empty() {
            request = request.header("x-processing-purpose", purpose);
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let kind =
            response.headers().get("content-type").map_or("", |kind| kind.to_str().unwrap()).to_owned();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, kind, String::from_utf8(bytes.to_vec()).unwrap())
    }

    pub async fn ask(&self, caller: &Caller, query: &str) -> Value {
        self.ask_with(caller, query, json!({})).await
    }

    pub async fn ask_with(&self, caller: &Caller, query: &str, variables: Value) -> Value {
        let (_, body) = self.send(caller, json!({ "query": query, "variables": variables }), &[]).await;
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    /// The answer's data; any error fails the test.
    pub async fn data(&self, caller: &Caller, query: &str) -> Value {
        let answer = self.ask(caller, query).await;
        assert!(answer.get("errors").is_none(), "{query}: {answer}");
        answer["data"].clone()
    }
}

impl TestApp {
    /// A caller in `role` for `purpose`.
    pub async fn caller(&self, role: &str, purpose: &str) -> Caller {
        Caller { token: self.token(&[role], &[purpose]).await, purpose: purpose.to_owned() }
    }
}

/// `code coordinate` of each error, sorted.
pub fn problems(answer: &Value) -> Vec<String> {
    let mut problems: Vec<String> = answer["errors"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|error| {
            let extensions = &error["extensions"];
            format!(
                "{} {}",
                extensions["code"].as_str().unwrap(),
                extensions["coordinate"].as_str().unwrap_or("-")
            )
        })
        .collect();
    problems.sort();
    problems
}
