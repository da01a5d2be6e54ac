//! Responses of the public pages: layout, headers and common pages. Room: http/pages.

use std::sync::LazyLock;

use askama::Template;
use axum::{
    body::Body,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{
            ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY,
            CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS,
            X_FRAME_OPTIONS,
        },
    },
    response::Response,
};
use sha2::{Digest, Sha256};

use crate::http::pages::language::{NAMES, Texts};
use crate::{base::error::Error, config::public_pages::PublicPages};

/// Allows only the own stylesheet, no scripts, and forms only to this server.
const CSP: &str =
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// A printable record contains its own style, so that it looks the same when saved.
const RECORD_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";
/// The supported methods.
const METHODS: &str = "GET, HEAD, OPTIONS, POST";

const STYLE: &str = include_str!("style.css");
/// A digest of the stylesheet, used in its URL so that browsers may cache it forever.
static STYLE_DIGEST: LazyLock<String> =
    LazyLock::new(|| Sha256::digest(STYLE).first_chunk::<8>().map(hex::encode).unwrap_or_default());

/// A response of a page.
#[derive(Debug)]
pub(super) enum PageResponse {
    /// A page.
    Page(StatusCode, String),
    /// A redirect to another page (303).
    Redirect(String),
    /// Plain text, for a program.
    PlainText(String),
    /// The receipt of a consent for download, as JSON-LD.
    Receipt(String),
    /// The printable record of a consent, as HTML.
    Record(String),
    /// The stylesheet, and whether its URL contains the digest.
    Style(bool),
    /// The supported methods.
    Methods,
}

impl PageResponse {
    /// The same page with status 422, for a form that it does not have.
    pub(super) fn into_unprocessable(self) -> Self {
        match self {
            Self::Page(StatusCode::OK, html) => Self::Page(StatusCode::UNPROCESSABLE_ENTITY, html),
            other => other,
        }
    }
}

/// The layout around the content of every page.
pub(super) struct Layout<'p> {
    pub(super) texts: Texts,
    pub(super) title: String,
    pub(super) controller: &'p str,
    pub(super) controller_address: Option<&'p str>,
    pub(super) controller_contact: Option<&'p str>,
    pub(super) notice: Option<&'p str>,
}

impl<'p> Layout<'p> {
    pub(super) fn new(pages: &'p PublicPages, texts: Texts, title: String) -> Self {
        Self {
            texts,
            title,
            controller: pages.controller.as_deref().unwrap_or_default(),
            controller_address: pages.controller_address.as_deref(),
            controller_contact: pages.controller_contact.as_deref(),
            notice: pages.privacy_url.as_deref(),
        }
    }

    /// The text for `key`.
    pub(super) fn t(&self, key: &str) -> String {
        self.texts.say(key)
    }

    pub(super) fn language(&self) -> &'static str {
        self.texts.language
    }

    #[expect(clippy::unused_self, reason = "templates ask the frame for everything around the content")]
    pub(super) fn languages(&self) -> &'static [(&'static str, &'static str)] {
        &NAMES
    }

    #[expect(clippy::unused_self, reason = "templates ask the frame for everything around the content")]
    pub(super) fn style(&self) -> &'static str {
        &STYLE_DIGEST
    }
}

/// An input error with its field.
#[derive(Debug)]
pub(super) struct FieldError {
    pub(super) field: &'static str,
    pub(super) text: String,
}

/// The error text for a field.
pub(super) fn error_of<'f>(errors: &'f [FieldError], field: &str) -> Option<&'f str> {
    errors.iter().find(|error| error.field == field).map(|error| error.text.as_str())
}

/// Whether the first error is that of `field`, which gets the focus.
pub(super) fn is_first(errors: &[FieldError], field: &str) -> bool {
    errors.first().is_some_and(|error| error.field == field)
}

/// A page with only text, and optionally the form that requests a link.
#[derive(Template)]
#[template(path = "message.html")]
struct Message<'p> {
    layout: &'p Layout<'p>,
    paragraphs: Vec<String>,
    asks_for_link: bool,
    error: Option<String>,
    typed: &'p str,
}

/// Renders a page.
///
/// # Errors
/// `INTERNAL` where a template cannot be written.
pub(super) fn page(status: StatusCode, template: &impl Template) -> Result<PageResponse, Error> {
    let html = template.render().map_err(|_| Error::internal("a page cannot be written"))?;
    Ok(PageResponse::Page(status, html))
}

/// A page with the texts `page-<name>-title` and `page-<name>-<part>` for each of `parts`.
pub(super) fn message(
    pages: &PublicPages,
    texts: Texts,
    status: StatusCode,
    name: &str,
    parts: &[&str],
) -> Result<PageResponse, Error> {
    let layout = Layout::new(pages, texts, texts.say(&format!("page-{name}-title")));
    let paragraphs = parts.iter().map(|part| texts.say(&format!("page-{name}-{part}"))).collect();
    page(status, &Message { layout: &layout, paragraphs, asks_for_link: false, error: None, typed: "" })
}

/// A page with the texts `page-<name>-title` and `-lead`, and the form that requests a link.
pub(super) fn link_form(
    pages: &PublicPages,
    texts: Texts,
    status: StatusCode,
    name: &str,
    invalid: Option<(&str, String)>,
) -> Result<PageResponse, Error> {
    let layout = Layout::new(pages, texts, texts.say(&format!("page-{name}-title")));
    let paragraphs = vec![texts.say(&format!("page-{name}-lead"))];
    let (typed, error) = invalid.map_or(("", None), |(typed, error)| (typed, Some(error)));
    page(status, &Message { layout: &layout, paragraphs, asks_for_link: true, error, typed })
}

/// The error page for a status.
pub(super) fn error_page(pages: &PublicPages, texts: Texts, status: StatusCode) -> PageResponse {
    let name = match status.as_u16() {
        status @ (400 | 404 | 405 | 408 | 413 | 415 | 429 | 503) => format!("error-{status}"),
        _ => "error-500".to_owned(),
    };
    // If even that fails, the page is empty.
    message(pages, texts, status, &name, &["lead"]).unwrap_or(PageResponse::Page(status, String::new()))
}

/// Builds the HTTP response with the common headers.
pub(super) fn into_response(answer: PageResponse, texts: Texts) -> Response {
    let fixed = HeaderValue::from_static;
    let mut response = Response::default();
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, CSP),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
        (VARY, "Accept-Language"),
        (CONTENT_LANGUAGE, texts.language),
    ] {
        headers.insert(name, fixed(value));
    }
    let (status, kind, body) = match answer {
        PageResponse::Page(status, html) => {
            match status {
                StatusCode::METHOD_NOT_ALLOWED => headers.insert(ALLOW, fixed(METHODS)),
                StatusCode::TOO_MANY_REQUESTS => headers.insert(RETRY_AFTER, fixed("60")),
                StatusCode::SERVICE_UNAVAILABLE => headers.insert(RETRY_AFTER, fixed("1")),
                _ => None,
            };
            (status, Some("text/html; charset=utf-8"), html)
        }
        PageResponse::Redirect(location) => {
            headers.extend(HeaderValue::from_str(&location).ok().map(|location| (LOCATION, location)));
            (StatusCode::SEE_OTHER, None, String::new())
        }
        PageResponse::PlainText(text) => (StatusCode::OK, Some("text/plain; charset=utf-8"), text),
        PageResponse::Receipt(document) => {
            headers.insert(CONTENT_DISPOSITION, fixed("attachment; filename=\"consent-receipt.json\""));
            (StatusCode::OK, Some("application/ld+json"), document)
        }
        PageResponse::Record(html) => {
            headers.insert(CONTENT_SECURITY_POLICY, fixed(RECORD_POLICY));
            (StatusCode::OK, Some("text/html; charset=utf-8"), html)
        }
        PageResponse::Style(immutable) => {
            let cache = if immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
            headers.insert(CACHE_CONTROL, fixed(cache));
            headers.remove(CONTENT_LANGUAGE);
            headers.remove(VARY);
            (StatusCode::OK, Some("text/css; charset=utf-8"), STYLE.to_owned())
        }
        PageResponse::Methods => {
            headers.insert(ALLOW, fixed(METHODS));
            (StatusCode::NO_CONTENT, None, String::new())
        }
    };
    headers.extend(kind.map(|kind| (CONTENT_TYPE, fixed(kind))));
    *response.status_mut() = status;
    *response.body_mut() = Body::from(body);
    response
}

/// The stylesheet, cacheable if `query` is its digest.
pub(super) fn style(query: &str) -> PageResponse {
    PageResponse::Style(query == *STYLE_DIGEST)
}
