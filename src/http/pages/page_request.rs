//! Somebody who asks for a page, and what every page needs for that. Room: http/pages.

use std::sync::Arc;

use axum::{extract::Request, http::StatusCode};
use uuid::Uuid;

use crate::http::pages::{
    client_limits::{Client, ClientLimits, Peer},
    language::Texts,
    responses::{self, PageResponse},
};
use crate::{
    app::App,
    auth::actor::Actor,
    base::{error::Error, limits::Limits},
    graphql::Pipeline,
    http::{RequestId, concurrency::ConcurrencyLimit},
};

/// Which paper of which consent is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Download {
    pub(super) consent: Uuid,
    pub(super) printed: bool,
}

impl Download {
    /// What an address asks for behind its question mark, if it does: `consent` by its id `as` receipt or record.
    pub(super) fn parse(consent: Option<&str>, kind: Option<&str>) -> Option<Self> {
        let printed = match kind? {
            "receipt" => false,
            "record" => true,
            _ => return None,
        };
        Some(Self { consent: consent?.parse().ok()?, printed })
    }
}

/// State that the handlers share.
#[derive(Clone)]
pub(super) struct PagesState {
    pub(super) app: Arc<App>,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) limits: Limits,
    pub(super) concurrency: ConcurrencyLimit,
    pub(super) client_limits: Option<Arc<ClientLimits>>,
}

/// Somebody who asks for a page.
pub(super) struct PageRequest {
    pub(super) app: Arc<App>,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) texts: Texts,
    /// Whether the person has chosen the language, which links go on to name then.
    pub(super) chosen: bool,
    /// What was done just before, which the page is to tell.
    pub(super) notice: Option<String>,
    /// The receipt or record that is asked for instead of the page.
    pub(super) download: Option<Download>,
    pub(super) request_id: String,
    /// What clients may send, and which of them this one is.
    pub(super) client_limits: Option<Arc<ClientLimits>>,
    pub(super) client: Client,
}

impl PageRequest {
    pub(super) fn from_request(state: &PagesState, request: &Request) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let parameter = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
        };
        let chosen = parameter("lang").and_then(|code| Texts::of(&code));
        let texts = chosen.unwrap_or_else(|| Texts::negotiate(request.headers(), &state.app.pages.language));
        Self {
            app: state.app.clone(),
            pipeline: state.pipeline.clone(),
            texts,
            chosen: chosen.is_some(),
            notice: parameter("done"),
            download: Download::parse(parameter("consent").as_deref(), parameter("as").as_deref()),
            request_id: RequestId::from_request(request).as_str().to_owned(),
            client_limits: state.client_limits.clone(),
            client: state.client_limits.as_ref().map_or(Client::Other, |client_limits| {
                client_limits.identify(request.headers(), request.extensions().get::<Peer>().copied())
            }),
        }
    }

    /// Whether the client may send one more form.
    pub(super) fn may_send(&self) -> bool {
        self.client_limits.as_ref().is_none_or(|client_limits| client_limits.may_send(self.client))
    }

    /// The person `contact` as the engine knows it.
    pub(super) fn subject(&self, contact: uuid::Uuid) -> Result<Actor, Error> {
        let (app, policy) = (&self.app, self.app.policy.current());
        Actor::for_subject(policy, contact, &app.pages.purpose, app.now(), self.request_id.clone())
    }

    /// The page below `/p/` to be fetched next, in the language that was chosen.
    pub(super) fn redirect_to(&self, path: &str) -> PageResponse {
        let language = if self.chosen { format!("?lang={}", self.texts.language) } else { String::new() };
        PageResponse::Redirect(format!("/p/{path}{language}"))
    }

    /// The same page again, which tells what was done. Its address is not repeated: a token stands in it.
    pub(super) fn redirect_back(&self, done: &str) -> PageResponse {
        let language = if self.chosen { format!("lang={}&", self.texts.language) } else { String::new() };
        PageResponse::Redirect(format!("?{language}done={done}"))
    }

    pub(super) fn message(
        &self,
        status: StatusCode,
        name: &str,
        parts: &[&str],
    ) -> Result<PageResponse, Error> {
        responses::message(&self.app.pages, self.texts, status, name, parts)
    }

    /// The one answer for links that are unknown, ended, used or no links at all.
    pub(super) fn invalid_link(&self) -> Result<PageResponse, Error> {
        responses::link_form(&self.app.pages, self.texts, StatusCode::NOT_FOUND, "invalid", None)
    }

    pub(super) fn not_found(&self) -> PageResponse {
        responses::error_page(&self.app.pages, self.texts, StatusCode::NOT_FOUND)
    }
}
