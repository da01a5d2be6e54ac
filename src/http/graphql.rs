//! `/graphql`: GraphQL over HTTP; checks the credential before it reads the body. Room: http.

use std::{sync::Arc, time::Duration};

use axum::{
    body::{Body, HttpBody},
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{ALLOW, CONTENT_LENGTH},
        request::Parts,
    },
    response::Response,
};

use tracing::Instrument;

use super::{Format, body, headers, shared::Shared};
use crate::http::{
    query_string,
    rate_limit::RateAccount,
    response::{self, RequestId, RequestLogFields},
};
use crate::{
    audit::{self, Idempotency},
    auth::{actor::Actor, credential::Credential},
    base::error::{Code, Error},
    domain::access_tokens,
    graphql::CostMeter,
};

/// How long to wait for a response beyond the time limit of an operation: reads end in time by themselves, but a write
/// is read back afterwards.
const RESPONSE_GRACE: Duration = Duration::from_secs(3);
/// The supported methods.
const METHODS: &str = "GET, HEAD, OPTIONS, POST";

/// Answers one request.
pub(super) async fn handle(State(shared): State<Shared>, request: Request) -> Response {
    let method = request.method().clone();
    let mut response = match method {
        Method::POST | Method::GET | Method::HEAD => answer_operation(&shared, request).await,
        Method::OPTIONS => {
            let mut response = Response::default();
            *response.status_mut() = StatusCode::NO_CONTENT;
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
            response
        }
        _ => {
            let error = Error::bad_input("send operations by POST, or queries by GET");
            let format = Format::negotiate(request.headers()).unwrap_or_default();
            let id = RequestId::from_request(&request);
            let mut response = response::error_response(format, StatusCode::METHOD_NOT_ALLOWED, &error, &id);
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
            response
        }
    };
    if method == Method::HEAD {
        // The same headers as for GET, including the length, without the content.
        let length = response.body().size_hint().exact().map(HeaderValue::from);
        response.headers_mut().extend(length.map(|length| (CONTENT_LENGTH, length)));
        *response.body_mut() = Body::empty();
    }
    response
}

/// Handles a request by POST or GET.
async fn answer_operation(shared: &Shared, request: Request) -> Response {
    let id = RequestId::from_request(&request);
    let accepted = Format::negotiate(request.headers());
    let format = accepted.unwrap_or_default();
    let (head, payload) = request.into_parts();
    let credential = match authenticate(shared, &head.headers).await {
        Ok(credential) => credential,
        Err(error) => {
            log_refusal(&error, None, &id);
            return response::error_response(format, response::status_of(error.code), &error, &id);
        }
    };
    let account = shared
        .rate_limiter
        .clone()
        .map(|rate_limiter| Arc::new(RateAccount::new(rate_limiter, &credential.actor_id)));
    let mut log_fields =
        RequestLogFields { actor: Some(credential.actor_id.clone()), ..RequestLogFields::default() };
    let authenticated = AuthenticatedRequest { head, payload, accepted, id: &id, account: account.clone() };
    let mut response = match operate(shared, authenticated, &credential, &mut log_fields).await {
        Ok(response) => response,
        Err((status, error)) => {
            if error.code == Code::PurposeNotPermitted {
                log_refusal(&error, Some(&credential.actor_id), &id);
            }
            response::error_response(format, status, &error, &id)
        }
    };
    if let Some(account) = account {
        account.set_headers(&mut response);
    }
    log_fields.code = response.extensions().get::<RequestLogFields>().and_then(|inner| inner.code);
    response.extensions_mut().insert(log_fields);
    response
}

/// A request with a verified credential.
struct AuthenticatedRequest<'r> {
    head: Parts,
    payload: Body,
    accepted: Option<Format>,
    id: &'r RequestId,
    account: Option<Arc<RateAccount>>,
}

/// Writes to the security log what was refused before an operation was known.
pub(super) fn log_refusal(error: &Error, actor: Option<&str>, id: &RequestId) {
    let (code, request_id) = (error.code.as_str(), id.as_str());
    tracing::info!(target: "zweck::security", actor, request_id, code, "refused");
}

/// Looks up the credential of a request.
pub(super) async fn authenticate(shared: &Shared, head: &HeaderMap) -> Result<Credential, Error> {
    let bearer = headers::bearer(head)?;
    // Only a database lookup needs a permit.
    let _permit = match access_tokens::is_looked_up(bearer) {
        true => Some(shared.concurrency.acquire().await?),
        false => None,
    };
    access_tokens::authenticate(&shared.app, bearer).await.map_err(|error| match error.transient {
        // There was no connection: nothing was done, and a retry may succeed.
        true => Error::new(Code::Overloaded, "too many concurrent operations; try again"),
        false => error,
    })
}

/// Whether a document may write: without this keyword it cannot.
fn may_write(document: &str) -> bool {
    document.contains("mutation")
}

/// Handles everything after the credential check.
async fn operate(
    shared: &Shared,
    request: AuthenticatedRequest<'_>,
    credential: &Credential,
    log_fields: &mut RequestLogFields,
) -> Result<Response, (StatusCode, Error)> {
    let with_status = |error: Error| (response::status_of(error.code), error);
    // Refused requests are charged too.
    if let Some(account) = &request.account {
        account.charge(1).map_err(with_status)?;
    }
    let head = &request.head.headers;
    let Some(format) = request.accepted else {
        let error =
            Error::bad_input("the response can be application/graphql-response+json or application/json");
        return Err((StatusCode::NOT_ACCEPTABLE, error));
    };
    let is_post = request.head.method == Method::POST;
    if is_post && (!headers::has_json_body(head) || headers::has_encoded_body(head)) {
        let error =
            Error::bad_input("the body must be application/json in UTF-8, without a content encoding");
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
    }
    let purpose = headers::purpose(head).map_err(with_status)?;
    let actor = Actor::new(shared.app.policy.current(), credential, purpose, request.id.as_str().to_owned())
        .map_err(with_status)?;
    log_fields.purpose = actor.purpose.as_ref().map(|purpose| purpose.code.clone());
    let strict = headers::strict(head);
    let mut operation = if is_post {
        let bytes = body::read(head, request.payload, &shared.limits).await?;
        let key = headers::idempotency_key(head).map_err(with_status)?;
        let mut operation = body::parse(&bytes, strict).map_err(with_status)?;
        let purpose = log_fields.purpose.as_deref().unwrap_or_default();
        if let Some(key) = key {
            let installation_keys = audit::installation_keys(&shared.app).await.map_err(with_status)?;
            operation.idempotency =
                Some(Idempotency::new(installation_keys, key, purpose, &bytes).map_err(with_status)?);
        }
        operation
    } else {
        let query = request.head.uri.query().unwrap_or_default();
        if query.len() > shared.limits.body_bytes {
            let error = Error::bad_input("the URL is too long; send the operation by POST");
            return Err((StatusCode::URI_TOO_LONG, error));
        }
        query_string::parse(query, strict).map_err(with_status)?
    };
    operation.meter = request.account.map(|account| account as Arc<dyn CostMeter>);
    // After the body is read, so that a slow client does not hold a permit.
    let permit = shared.concurrency.acquire().await.map_err(with_status)?;
    if !may_write(&operation.query) {
        // A read is cancelled when the client disconnects and this future is dropped.
        let answer = Box::pin(shared.pipeline.execute(&shared.app, &actor, operation)).await;
        drop(permit);
        return Ok(response::graphql_response(format, answer, strict));
    }
    // A separate task, so that a write completes when the client disconnects.
    let (app, pipeline) = (shared.app.clone(), shared.pipeline.clone());
    let task = tokio::spawn(
        async move {
            let answer = pipeline.execute(&app, &actor, operation).await;
            drop(permit);
            answer
        }
        .in_current_span(),
    );
    match tokio::time::timeout(shared.limits.operation_time() + RESPONSE_GRACE, task).await {
        Ok(Ok(answer)) => Ok(response::graphql_response(format, answer, strict)),
        Ok(Err(_)) => Err(with_status(Error::internal("an operation panicked"))),
        Err(_) => {
            let message = "the operation takes too long; a mutation that has started will still complete";
            Err(with_status(Error::new(Code::TimedOut, message)))
        }
    }
}
