//! The yardsticks: the same data with the same look-up of the token and the same row rule, and no rights on fields (floor 6).
//!
//! They are measured against and serve nobody: what they lack is what the product is. They use the pools of the application as they
//! are, so that connections differ in nothing.

mod hand;
mod rows;
mod sql;
mod stock;

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode, header::AUTHORIZATION, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    serve::ListenerExt,
};
use sea_orm::sqlx;
use tokio::net::TcpListener;

use crate::{
    context::{App, Credential},
    http::stop_signal,
    jobs, tokens,
};

/// Which yardstick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Yardstick {
    /// Stock async-graphql with DataLoader.
    Stock,
    /// Handlers written by hand.
    Hand,
}

/// Serves a yardstick until it is told to stop.
///
/// # Errors
/// From the listener.
pub async fn serve(yardstick: Yardstick, app: Arc<App>, listener: TcpListener) -> std::io::Result<()> {
    let router: Router = match yardstick {
        Yardstick::Stock => stock::router(app),
        Yardstick::Hand => {
            let numbering = app.clone();
            tokio::spawn(async move { jobs::order(&numbering).await });
            hand::router(app)
        }
    };
    // As the server does: answers are written at once.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).with_graceful_shutdown(stop_signal()).await
}

/// Why there is no answer.
struct Refused(StatusCode);

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

type Answer = Result<Response, Refused>;

fn answer(json: Vec<u8>) -> Answer {
    Ok(([(CONTENT_TYPE, "application/json")], Bytes::from(json)).into_response())
}

/// The credential of a request, looked up in the database as the server does.
async fn authenticate(app: &App, head: &HeaderMap) -> Result<Credential, Refused> {
    let bearer = head.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let refused = || Refused(StatusCode::UNAUTHORIZED);
    tokens::authenticate(app, bearer.ok_or_else(refused)?).await.map_err(|_| refused())
}
