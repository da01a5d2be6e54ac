//! `POST /graphql`: GraphQL over HTTP, the credential checked before anything is read (floor 6).

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header::ALLOW},
    response::Response,
};

use tracing::Instrument;

use super::{
    Format, Shared,
    answer::{self, Noted, RequestId},
    body, headers,
};
use crate::{
    audit::Replay,
    context::{Actor, Credential},
    error::{Code, Error},
    tokens,
};

/// Answers one request.
pub(super) async fn handle(State(shared): State<Shared>, request: Request) -> Response {
    let id = RequestId::of(&request);
    let accepted = Format::negotiate(request.headers());
    let format = accepted.unwrap_or_default();
    if request.method() != Method::POST {
        let error = Error::input("operations are sent by POST");
        let mut response = answer::refuse(format, StatusCode::METHOD_NOT_ALLOWED, &error, &id);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let (head, payload) = request.into_parts();
    let credential = match authenticate(&shared, &head.headers).await {
        Ok(credential) => credential,
        Err(error) => {
            log_refusal(&error, None, &id);
            return answer::refuse(format, answer::status_of(error.code), &error, &id);
        }
    };
    let mut noted = Noted { actor: Some(credential.actor_id.clone()), ..Noted::default() };
    let mut response =
        match operate(&shared, &head.headers, payload, &credential, accepted, &id, &mut noted).await {
            Ok(response) => response,
            Err((status, error)) => {
                if error.code == Code::PurposeNotPermitted {
                    log_refusal(&error, Some(&credential.actor_id), &id);
                }
                answer::refuse(format, status, &error, &id)
            }
        };
    noted.code = response.extensions().get::<Noted>().and_then(|inner| inner.code);
    response.extensions_mut().insert(noted);
    response
}

/// The security log: what was refused before an operation was known.
pub(super) fn log_refusal(error: &Error, actor: Option<&str>, id: &RequestId) {
    let (code, request_id) = (error.code.as_str(), id.as_str());
    tracing::info!(target: "zweck::security", actor, request_id, code, "refused");
}

/// The credential of a request, looked up anew.
pub(super) async fn authenticate(shared: &Shared, head: &HeaderMap) -> Result<Credential, Error> {
    tokens::authenticate(&shared.app, headers::bearer(head)?).await
}

/// Everything after the credential.
async fn operate(
    shared: &Shared,
    head: &HeaderMap,
    payload: Body,
    credential: &Credential,
    accepted: Option<Format>,
    id: &RequestId,
    noted: &mut Noted,
) -> Result<Response, (StatusCode, Error)> {
    let Some(format) = accepted else {
        let error = Error::input("answers come as application/graphql-response+json or application/json");
        return Err((StatusCode::NOT_ACCEPTABLE, error));
    };
    if !headers::has_json_body(head) {
        let error = Error::input("the body must be application/json in UTF-8");
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
    }
    let refused = |error: Error| (answer::status_of(error.code), error);
    let purpose = headers::purpose(head).map_err(refused)?;
    let actor = Actor::new(shared.app.policy.current(), credential, purpose, id.as_str().to_owned())
        .map_err(refused)?;
    noted.purpose = actor.purpose.as_ref().map(|purpose| purpose.code.clone());
    let strict = headers::strict(head);
    let bytes = body::read(head, payload, shared.limits.body_bytes).await?;
    let key = headers::idempotency_key(head).map_err(refused)?;
    let mut operation = body::parse(&bytes, strict).map_err(refused)?;
    let purpose = noted.purpose.as_deref().unwrap_or_default();
    let replay = key.map(|key| Replay::new(&shared.app.keys, key, purpose, &bytes)).transpose();
    operation.replay = replay.map_err(refused)?;
    // A task of its own: it goes on to its end when the client hangs up and this future is dropped.
    let (app, engine) = (shared.app.clone(), shared.engine.clone());
    let task = tokio::spawn(async move { engine.execute(&app, &actor, operation).await }.in_current_span());
    match task.await {
        Ok(done) => Ok(answer::deliver(format, done, strict)),
        Err(_) => Err(refused(Error::internal("an operation panicked"))),
    }
}
