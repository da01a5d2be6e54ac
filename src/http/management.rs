//! The management listener: liveness, readiness and metrics. Room: http.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;

use super::{Shutdown, health::Health};
use crate::http::security_headers::with_security_headers;
use crate::{
    app::App,
    base::{
        error::{Code, Error},
        metrics,
    },
    config::Server,
};

/// How often recorded samples are aggregated even if nobody scrapes them; otherwise they would pile up.
const METRICS_UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

#[derive(Clone)]
struct Shared {
    app: Arc<App>,
    health: Arc<Health>,
    recorder: &'static PrometheusHandle,
    /// The policy revision that was reported last.
    reported_revision: Arc<Mutex<Option<String>>>,
}

/// `/livez`, `/readyz` and `/metrics`. No credential is required: nothing here is personal data.
///
/// # Errors
/// `INTERNAL` if there is no metrics recorder.
pub fn management(app: Arc<App>, shutdown: Shutdown) -> Result<Router, Error> {
    let health = Arc::new(Health::new(app.clone(), shutdown));
    let recorder = metrics::install_recorder().ok_or_else(|| Error::internal("the registry of measures"))?;
    metrics::start_at_zero(Code::ALL.into_iter().map(Code::as_str));
    let shared = Shared { app, health, recorder, reported_revision: Arc::default() };
    let router = Router::new()
        .route("/livez", get(async || json(StatusCode::OK, "{\"status\":\"alive\"}".to_owned())))
        .route("/readyz", get(ready))
        .route("/metrics", get(render_metrics))
        .with_state(shared);
    Ok(with_security_headers(router, &Server::default()))
}

/// Serves `router`, built by [`management`], as long as the process runs.
pub async fn serve_management(listener: TcpListener, router: Router) {
    if let Some(recorder) = metrics::install_recorder() {
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(METRICS_UPKEEP_INTERVAL).await;
                recorder.run_upkeep();
            }
        });
    }
    if axum::serve(listener, router).await.is_err() {
        tracing::error!("the management listener has ended");
    }
}

async fn ready(State(shared): State<Shared>) -> Response {
    let report = shared.health.report().await;
    let status = if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_string(&report) {
        Ok(text) => json(status, text),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn json(status: StatusCode, text: String) -> Response {
    let format = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (status, [format], text).into_response()
}

async fn render_metrics(State(shared): State<Shared>) -> Response {
    for pool in shared.app.db.pools() {
        metrics::set_pool(pool.name, pool.in_use, pool.idle, pool.largest);
    }
    let revision = shared.app.policy.current().revision().to_owned();
    {
        let mut reported = shared.reported_revision.lock().unwrap_or_else(PoisonError::into_inner);
        metrics::set_policy(&revision, reported.as_deref());
        *reported = Some(revision);
    }
    let text = shared.recorder.render();
    let format = (CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    ([format], text).into_response()
}
