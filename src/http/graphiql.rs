//! `GET /graphiql`: the page built from `web/`, embedded in the binary, under a strict content security policy.
//! Room: http.

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{
            CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::{IntoResponse, Response},
    routing::get,
};
use rust_embed::{EmbeddedFile, RustEmbed};
use tower_http::compression::CompressionLayer;

/// The path of the page.
pub const PATH: &str = "/graphiql";

/// The output of `npm run build` in `web/`; empty if it was not run before this program was built.
#[derive(RustEmbed)]
#[folder = "web/dist"]
#[allow_missing = true]
struct GraphiqlFiles;

const PAGE: &str = "index.html";

/// Shown instead of the page if it was not built.
const ABSENT: &str = include_str!("graphiql_absent.html");

/// Allows only files of this server. Workers are files too, so neither `blob:` nor `eval` is needed. Only styles may be
/// inline: Monaco puts line positions into `style` attributes and theme colours into a `style` element. Because images
/// and fonts must come from this server as well, styles cannot exfiltrate data.
const CSP: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; \
    style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Whether this build contains the page.
pub fn is_built() -> bool {
    GraphiqlFiles::get(PAGE).is_some()
}

/// Routes of the page and its files. They are the same for everybody and hold no secret: without a token there is no
/// data.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/graphiql", get(page))
        .route("/graphiql/", get(page))
        .route("/graphiql/{*file}", get(file))
        // The editor is large. Compression is safe here: no secret is compressed together with attacker-chosen data.
        .layer(CompressionLayer::new().no_br().no_deflate().no_zstd())
}

async fn page() -> Response {
    match GraphiqlFiles::get(PAGE) {
        Some(page) => file_response(PAGE, page.data.into(), "no-store"),
        None => file_response(PAGE, ABSENT.into(), "no-store"),
    }
}

/// Serves one file. The name is looked up among the embedded files as sent, so path traversal is impossible.
async fn file(request: Request) -> Response {
    let name = request.uri().path().strip_prefix("/graphiql/").unwrap_or_default().to_owned();
    match GraphiqlFiles::get(&name).filter(|_| name != PAGE) {
        Some(EmbeddedFile { data, .. }) => {
            // The name of an asset holds a digest of it.
            let hashed = name.starts_with("assets/");
            file_response(
                &name,
                data.into(),
                if hashed { "public, max-age=31536000, immutable" } else { "no-store" },
            )
        }
        None => crate::http::response::not_found(request).await,
    }
}

fn file_response(name: &str, body: Body, cache: &'static str) -> Response {
    let fixed = |name: HeaderName, value: &'static str| (name, HeaderValue::from_static(value));
    let headers = [
        fixed(CONTENT_TYPE, content_type(name)),
        fixed(CACHE_CONTROL, cache),
        fixed(CONTENT_SECURITY_POLICY, CSP),
        fixed(X_CONTENT_TYPE_OPTIONS, "nosniff"),
        fixed(REFERRER_POLICY, "no-referrer"),
        fixed(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        fixed(HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    (StatusCode::OK, axum::response::AppendHeaders(headers), body).into_response()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("md") => "text/plain; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("ttf") => "font/ttf",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}
