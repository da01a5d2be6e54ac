//! Responses: bodies, status codes and common headers. Room: http.

use axum::{
    body::Body,
    http::{
        HeaderName, HeaderValue, Request, StatusCode,
        header::{
            ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, VARY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::Response,
};

use super::Format;
use crate::{
    app::App,
    base::error::{Code, Error},
    graphql::{self, Outcome},
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// The id of a request: a UUIDv7 of this server; an id sent by the client is ignored.
#[derive(Clone, Debug)]
pub struct RequestId(String);

impl RequestId {
    /// A fresh id.
    pub fn new(app: &App) -> Self {
        Self(app.new_id().to_string())
    }

    /// A random id that does not depend on the application, for when it fails.
    pub(super) fn random() -> Self {
        Self(uuid::Builder::from_random_bytes(rand::random()).into_uuid().to_string())
    }

    /// The id that was assigned to `request`.
    pub fn from_request<B>(request: &Request<B>) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_else(|| Self(String::new()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Ids and codes for the log line of a request.
#[derive(Clone, Default)]
pub(super) struct RequestLogFields {
    pub actor: Option<String>,
    pub purpose: Option<String>,
    pub code: Option<Code>,
}

/// The response to a request that is refused before the engine sees it.
pub(super) fn error_response(format: Format, status: StatusCode, error: &Error, id: &RequestId) -> Response {
    let mut response = build(format, status, graphql::error_body(error, id.as_str()));
    let header = match error.code {
        Code::Unauthenticated => Some((WWW_AUTHENTICATE, "Bearer")),
        Code::Overloaded => Some((RETRY_AFTER, "1")),
        _ => None,
    };
    let soon = error.retry_soon.then_some((RETRY_AFTER, "1"));
    let headers = header.into_iter().chain(soon);
    response.headers_mut().extend(headers.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
        .extensions_mut()
        .insert(RequestLogFields { code: Some(error.code), ..RequestLogFields::default() });
    response
}

/// The HTTP response for a GraphQL response. For a document that was not executed, the status is 400 under
/// `application/graphql-response+json` and 200 under `application/json` (GraphQL over HTTP, 6.4).
pub(super) fn graphql_response(format: Format, answer: graphql::Response, strict: bool) -> Response {
    let (status, code) = match answer.outcome {
        Outcome::Executed => (StatusCode::OK, None),
        Outcome::Invalid => match format {
            Format::GraphQl => (StatusCode::BAD_REQUEST, None),
            Format::Json => (StatusCode::OK, None),
        },
        Outcome::Unsafe => (StatusCode::METHOD_NOT_ALLOWED, Some(Code::BadUserInput)),
        Outcome::Refused(code) => (status_of(code), Some(code)),
    };
    let mut response = build(format, status, answer.body);
    if answer.outcome == Outcome::Unsafe {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    }
    if strict {
        response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static("strict"));
    }
    response.extensions_mut().insert(RequestLogFields { code, ..RequestLogFields::default() });
    response
}

/// The status code for an operation that is refused as a whole.
pub fn status_of(code: Code) -> StatusCode {
    match code {
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PurposeNotPermitted | Code::ForbiddenField | Code::Forbidden => StatusCode::FORBIDDEN,
        Code::PurposeRequired | Code::BadUserInput | Code::QueryTooComplex => StatusCode::BAD_REQUEST,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Conflict | Code::Held => StatusCode::CONFLICT,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::AuditUnavailable | Code::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        // Unlike 503, it does not claim that nothing was done.
        Code::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Sets the common headers. Responses depend on the caller and the purpose, so caches must not store them, except for
/// responses that are the same for everybody and set their own `Cache-Control`.
pub(super) fn set_headers(response: &mut Response, id: &RequestId) {
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(VARY, HeaderValue::from_static("Accept, Authorization, Prefer, X-Processing-Purpose"));
    }
}

fn build(format: Format, status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    response
}

/// The response for an unknown path.
pub(super) async fn not_found(request: axum::extract::Request) -> Response {
    let id = RequestId::from_request(&request);
    let format = Format::negotiate(request.headers()).unwrap_or_default();
    let error = Error::new(Code::NotFound, "there is nothing at this path");
    error_response(format, StatusCode::NOT_FOUND, &error, &id)
}
