//! `GET /.well-known/zweck/keys.json`: the public keys for verifying receipts. Room: http.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{
        HeaderValue, Method, StatusCode,
        header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE},
    },
    response::Response,
};

use super::{Format, shared::Shared};
use crate::http::response::{self, RequestId};
use crate::{audit, base::error::Error, domain::receipts};

/// One hour: the key only changes with the database.
const CACHE_FOR_AN_HOUR: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// Handles one request. No credential is required: anyone who holds a receipt must be able to verify it.
pub(super) async fn handle(State(shared): State<Shared>, request: Request) -> Response {
    let id = RequestId::from_request(&request);
    let format = Format::negotiate(request.headers()).unwrap_or_default();
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let error = Error::bad_input("the keys are fetched by GET");
        let mut response = response::error_response(format, StatusCode::METHOD_NOT_ALLOWED, &error, &id);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match keys(&shared).await {
        Ok(keys) => {
            let mut response = Response::new(Body::from(keys));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(CACHE_CONTROL, CACHE_FOR_AN_HOUR);
            response
        }
        Err(error) => response::error_response(format, response::status_of(error.code), &error, &id),
    }
}

async fn keys(shared: &Shared) -> Result<String, Error> {
    let installation_keys = audit::installation_keys(&shared.app).await?;
    Ok(receipts::published_keys(installation_keys, &shared.app.pages)?.to_string())
}
