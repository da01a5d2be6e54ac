//! `GET /schema.graphql`: the part of the schema that the credential may use. Room: http.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode,
        header::{ALLOW, CONTENT_TYPE},
    },
    response::Response,
};

use super::{
    Format,
    graphql::{authenticate, log_refusal},
    headers,
    shared::Shared,
};
use crate::http::response::{self, RequestId, RequestLogFields};
use crate::{auth::actor::Actor, base::error::Error};

/// Answers one request.
pub(super) async fn handle(State(shared): State<Shared>, request: Request) -> Response {
    let id = RequestId::from_request(&request);
    let format = Format::negotiate(request.headers()).unwrap_or_default();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let error = Error::bad_input("the schema is fetched by GET");
        let mut response = response::error_response(format, StatusCode::METHOD_NOT_ALLOWED, &error, &id);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let mut log_fields = RequestLogFields::default();
    let mut response = match print(&shared, request.headers(), &id, &mut log_fields).await {
        Ok(sdl) => {
            // As plain text, so that a browser displays it.
            let mut response = Response::new(Body::from(sdl));
            let text = HeaderValue::from_static("text/plain; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, text);
            response
        }
        Err(error) => {
            log_fields.code = Some(error.code);
            log_refusal(&error, log_fields.actor.as_deref(), &id);
            response::error_response(format, response::status_of(error.code), &error, &id)
        }
    };
    response.extensions_mut().insert(log_fields);
    response
}

async fn print(
    shared: &Shared,
    headers: &HeaderMap,
    id: &RequestId,
    log_fields: &mut RequestLogFields,
) -> Result<String, Error> {
    let credential = authenticate(shared, headers).await?;
    log_fields.actor = Some(credential.actor_id.clone());
    let purpose = headers::purpose(headers)?;
    let actor = Actor::new(shared.app.policy.current(), &credential, purpose, id.as_str().to_owned())?;
    log_fields.purpose = actor.purpose.as_ref().map(|purpose| purpose.code.clone());
    shared.pipeline.sdl_for(&actor)
}
