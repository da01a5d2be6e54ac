//! The HTTP interface: router, GraphQL endpoint, common response headers, and graceful shutdown. Room: http.
//!
//! `base/metrics.rs` only uses labels that are fixed in the program: a root field has the name that the registry gives
//! it. `http/security_headers.rs` wraps every router: security headers, CORS. `http/health.rs` queries the database,
//! and writes an entry to the audit log and rolls it back (`audit::probe`). `http/shutdown.rs`: at the signal the
//! listener accepts connections that are already queued and closes. For half a second open connections may send one
//! more request, whose response announces that it is the last. Then idle connections are closed, and active ones may
//! finish.

mod body;
mod concurrency;
pub mod graphiql;
mod graphql;
mod headers;
mod health;
mod management;
mod outbox;
mod pages;
mod public_keys;
mod query_string;
mod rate_limit;
mod response;
mod root_page;
mod sdl;
mod security_headers;
mod serve;
mod shared;
mod shutdown;
mod socket;

use std::{
    any::Any,
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::Response,
    routing::any,
};
use tokio::net::TcpListener;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use crate::{
    app::App,
    base::{
        error::{Code, Error},
        metrics,
    },
    domain::receipts,
    graphql::Pipeline,
};

use concurrency::ConcurrencyLimit;
use rate_limit::RateLimiter;
use response::not_found;
use shared::Shared;
use socket::connection_limits::Sockets;

pub use crate::base::limits::Limits;
pub use headers::{Format, IDEMPOTENCY_KEY, PREFER, PURPOSE};
pub use health::{CheckStatus, Checks, Health, HealthReport};
pub use management::{management, serve_management};
pub use outbox::outbox;
pub use pages::check_policy_supports_pages;
pub use response::{RequestId, status_of};
pub use security_headers::with_security_headers;
pub use serve::serve_within;
pub use shutdown::Shutdown;
pub use socket::connection_limits::SocketLimits;

/// Settings of the server.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Limits on requests.
    pub limits: Limits,
    /// Whether `GET /graphiql` is served.
    pub graphiql: bool,
    /// Limits on WebSockets.
    pub sockets: SocketLimits,
    /// Whether clients connect through a trusted proxy, which states their addresses.
    pub behind_proxy: bool,
}

impl From<Limits> for Settings {
    fn from(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }
}

/// Every route of the server.
pub fn router(app: Arc<App>, pipeline: Arc<Pipeline>, settings: impl Into<Settings>) -> Router {
    let settings = settings.into();
    let limits = settings.limits;
    let (rate_limiter, concurrency) =
        (RateLimiter::new(limits.cost_per_minute), ConcurrencyLimit::new(limits.concurrent_operations));
    let sockets = Arc::new(Sockets::new(settings.sockets));
    let shared =
        Shared { app, pipeline, limits, rate_limiter, concurrency, sockets, graphiql: settings.graphiql };
    let page = if settings.graphiql { graphiql::routes() } else { Router::new() };
    let public =
        if shared.app.pages.enabled { pages::routes(&shared, settings.behind_proxy) } else { Router::new() };
    Router::new()
        .route("/", any(root_page::handle))
        .route("/graphql", any(socket::handle))
        .merge(page)
        .merge(public)
        .route("/schema.graphql", any(sdl::handle))
        .route(receipts::KEYS_PATH, any(public_keys::handle))
        .fallback(not_found)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(shared.clone(), trace_request))
        // The layer that assigns the request id may panic too.
        .layer(CatchPanicLayer::custom(panicked_outside))
        .with_state(shared)
}

/// Serves `router` within the usual limits on connections until `shutdown` begins, see [`serve_within`].
///
/// # Errors
/// From the listener.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: Shutdown,
    grace: Duration,
) -> io::Result<()> {
    serve_within(listener, router, &Limits::default(), shutdown, grace).await
}

/// Resolves at SIGTERM or SIGINT.
pub async fn stop_signal() {
    let interrupt = async {
        // If no handler can be installed, the signal itself ends the process.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}

/// Assigns the request id, sets the common response headers, and writes the log line of the request.
async fn trace_request(State(shared): State<Shared>, mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let id = RequestId::new(&shared.app);
    let format = Format::negotiate(request.headers()).unwrap_or_default();
    request.extensions_mut().insert(id.clone());
    // At the highest level, so that no filter separates a line from its request.
    let span = tracing::error_span!("request", request_id = id.as_str());
    let mut response = next.run(request).instrument(span.clone()).await;
    if response.extensions().get::<Panicked>().is_some() {
        let error = span.in_scope(|| Error::internal("a request panicked"));
        response = response::error_response(format, StatusCode::INTERNAL_SERVER_ERROR, &error, &id);
    }
    response::set_headers(&mut response, &id);
    let log_fields = response.extensions().get::<response::RequestLogFields>().cloned().unwrap_or_default();
    tracing::info!(
        request_id = id.as_str(),
        actor = log_fields.actor.as_deref(),
        purpose = log_fields.purpose.as_deref(),
        status = response.status().as_u16(),
        code = log_fields.code.map(Code::as_str),
        micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX),
        "request"
    );
    metrics::record_request(response.status().as_u16(), start.elapsed());
    response
}

/// Marks the response of a handler that panicked.
#[derive(Clone)]
struct Panicked;

/// Drops the payload of a panic, because it may quote values.
fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(Panicked);
    response
}

/// The response if even the request id could not be made.
fn panicked_outside(_: Box<dyn Any + Send + 'static>) -> Response {
    let id = RequestId::random();
    let error = Error::internal("a request panicked before it had an id");
    let mut response = response::error_response(Format::Json, StatusCode::INTERNAL_SERVER_ERROR, &error, &id);
    response::set_headers(&mut response, &id);
    tracing::info!(request_id = id.as_str(), status = 500, code = error.code.as_str(), "request");
    response
}
