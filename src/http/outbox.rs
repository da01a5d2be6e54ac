//! `GET /outbox/TOKEN`: the mails of the demo, which are never sent. Room: http.
//!
//! Only the demo has this route. It requires a local `Host` and the token of this run; any other request gets 404.

use askama::Template;
use axum::{
    Router,
    extract::{Path, Request, State},
    http::{
        HeaderValue, Method, StatusCode,
        header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY},
    },
    response::{IntoResponse, Response},
    routing::any,
};
use subtle::ConstantTimeEq;

use crate::domain::mail_outbox::demo_outbox::DemoOutbox;

/// Allows only the stylesheet of the public pages.
const CSP: &str =
    "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

#[derive(Clone)]
struct OutboxState {
    outbox: DemoOutbox,
    token: String,
}

#[derive(Template)]
#[template(path = "outbox.html")]
struct Page {
    mails: Vec<Mail>,
}

struct Mail {
    to: String,
    subject: String,
    at: String,
    lines: Vec<Line>,
}

/// A line of a mail; a URL of a page becomes a link.
struct Line {
    text: String,
    link: bool,
}

/// The route, for callers who know `token`.
pub fn outbox(outbox: DemoOutbox, token: String) -> Router {
    Router::new().route("/outbox/{token}", any(page)).with_state(OutboxState { outbox, token })
}

async fn page(State(state): State<OutboxState>, Path(token): Path<String>, request: Request) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let token_matches: bool = token.as_bytes().ct_eq(state.token.as_bytes()).into();
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if !token_matches || !is_read || !is_this_machine(host) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let mails = state.outbox.mails().into_iter().map(|mail| Mail {
        to: mail.to,
        subject: mail.subject,
        at: mail.at.format("%H:%M:%S").to_string(),
        lines: mail
            .text
            .lines()
            .map(|line| Line {
                text: line.to_owned(),
                link: line.starts_with("http://") && !line.contains(' '),
            })
            .collect(),
    });
    match (Page { mails: mails.collect() }).render() {
        Ok(page) => {
            let headers = [
                (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
                (CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP)),
                // The token is in the URL.
                (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            ];
            (headers, page).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Whether a `Host` names this machine. Another name that resolves to it may be a DNS rebinding attack.
fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    ["localhost", "127.0.0.1", "::1"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::is_this_machine;

    #[test]
    fn only_this_machine_is_here() {
        for host in ["localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in
            ["", "crm.example", "localhost.crm.example:80", "127.0.0.1.nip.io", "[::2]:80", "10.0.0.1"]
        {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
