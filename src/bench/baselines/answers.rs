//! What both baselines answer with, and who may ask. Room: bench/baselines.

use axum::{
    body::Bytes,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use sea_orm::sqlx;

use crate::{app::App, auth::credential::Credential, domain::access_tokens};

/// Why there is no answer.
pub(super) struct Refused(pub StatusCode);

impl From<sqlx::Error> for Refused {
    fn from(_: sqlx::Error) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<serde_json::Error> for Refused {
    fn from(_: serde_json::Error) -> Self {
        Self(StatusCode::BAD_REQUEST)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        self.0.into_response()
    }
}

pub(super) type Answer = Result<Response, Refused>;

pub(super) fn answer(json: Vec<u8>) -> Answer {
    Ok(([(CONTENT_TYPE, "application/json")], Bytes::from(json)).into_response())
}

/// The credential of a request, looked up in the database as the server does.
pub(super) async fn authenticate(app: &App, head: &HeaderMap) -> Result<Credential, Refused> {
    let bearer = head.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let refused = || Refused(StatusCode::UNAUTHORIZED);
    access_tokens::authenticate(app, bearer.ok_or_else(refused)?).await.map_err(|_| refused())
}
