//! Security headers of every response, and CORS. Room: http.

use std::time::Duration;

use axum::{
    Router,
    extract::State,
    http::{
        HeaderName, HeaderValue, Method,
        header::{
            AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
            STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
        },
    },
    middleware,
    response::Response,
};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::{IDEMPOTENCY_KEY, PREFER, PURPOSE};
use crate::config::Server;

/// How long a browser caches a preflight response: a changed list takes effect after ten minutes.
const PREFLIGHT_MAX_AGE: Duration = Duration::from_secs(600);

/// The default headers of a response. Responses are data: they must not be executed, framed, embedded by other origins
/// or cached.
const HEADERS: [(HeaderName, &str); 7] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CACHE_CONTROL, "no-store"),
    (REFERRER_POLICY, "no-referrer"),
    (X_FRAME_OPTIONS, "DENY"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// One year, for this host only: other hosts of the domain are not this server's concern.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Adds the security headers to every response of `router`, and CORS for pages of `server.cors_origins`. Origins must
/// match exactly; there are no patterns. Credentials are bearer tokens, which no browser sends by itself, so cookies
/// are not allowed.
pub fn with_security_headers(router: Router, server: &Server) -> Router {
    let origins: Vec<HeaderValue> =
        server.cors_origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    let router = if origins.is_empty() {
        router
    } else {
        router.layer(
            CorsLayer::new()
                .allow_origin(AllowOrigin::list(origins))
                .allow_methods([Method::GET, Method::POST])
                .allow_headers([AUTHORIZATION, CONTENT_TYPE, PURPOSE, IDEMPOTENCY_KEY, PREFER])
                .expose_headers([
                    HeaderName::from_static("x-request-id"),
                    HeaderName::from_static("preference-applied"),
                    HeaderName::from_static("retry-after"),
                    HeaderName::from_static("ratelimit"),
                    HeaderName::from_static("ratelimit-policy"),
                ])
                .max_age(PREFLIGHT_MAX_AGE),
        )
    };
    router.layer(middleware::map_response_with_state(server.behind_tls_proxy, set_headers))
}

async fn set_headers(State(tls): State<bool>, mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if tls {
        headers.entry(STRICT_TRANSPORT_SECURITY).or_insert(HSTS);
    }
    response
}
