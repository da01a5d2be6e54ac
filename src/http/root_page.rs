//! `GET /`: a page with links, the same for everybody and without any data. Room: http.

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{
        HeaderValue, Method, StatusCode,
        header::{ALLOW, CONTENT_SECURITY_POLICY, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};

use super::{headers::Format, shared::Shared};
use crate::base::error::{Code, Error};
use crate::http::response::{self, RequestId};

/// Allows only the text, without an icon.
const CSP: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

#[derive(Template)]
#[template(path = "root_page.html")]
struct Page {
    graphiql: bool,
    pages: bool,
    version: &'static str,
}

/// Answers a request for the root.
pub(super) async fn handle(State(shared): State<Shared>, request: Request) -> Response {
    let id = RequestId::from_request(&request);
    let format = Format::negotiate(request.headers()).unwrap_or_default();
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let error = Error::new(Code::BadUserInput, "operations go to /graphql");
        let mut response = response::error_response(format, StatusCode::METHOD_NOT_ALLOWED, &error, &id);
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let page = Page {
        graphiql: shared.graphiql,
        pages: shared.app.pages.enabled,
        version: env!("CARGO_PKG_VERSION"),
    };
    match page.render() {
        Ok(page) => {
            let headers = [
                (CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
                (CONTENT_SECURITY_POLICY, HeaderValue::from_static(CSP)),
            ];
            (headers, page).into_response()
        }
        Err(_) => {
            let error = Error::internal("the root page cannot be written");
            response::error_response(format, StatusCode::INTERNAL_SERVER_ERROR, &error, &id)
        }
    }
}
