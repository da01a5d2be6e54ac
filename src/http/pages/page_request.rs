//! The context of a page request. Room: http/pages.

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

/// The requested document of a consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Download {
    pub(super) consent: Uuid,
    pub(super) printed: bool,
}

impl Download {
    /// Parses the query parameters `consent` (an id) and `as` (`receipt` or `record`).
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

/// A request for a page.
pub(super) struct PageRequest {
    pub(super) app: Arc<App>,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) texts: Texts,
    /// Whether the person chose the language, so that links keep it.
    pub(super) chosen: bool,
    /// The last action, for the notice on the page.
    pub(super) notice: Option<String>,
    /// The receipt or record that is requested instead of the page.
    pub(super) download: Option<Download>,
    pub(super) request_id: String,
    /// The limits of clients, and this client.
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
        let chosen = parameter("lang").and_then(|code| Texts::for_language(&code));
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

    /// The actor for the person `contact`.
    pub(super) fn subject(&self, contact: uuid::Uuid) -> Result<Actor, Error> {
        let (app, policy) = (&self.app, self.app.policy.current());
        Actor::for_subject(policy, contact, &app.pages.purpose, app.now(), self.request_id.clone())
    }

    /// A redirect to a page below `/p/`, in the chosen language.
    pub(super) fn redirect_to(&self, path: &str) -> PageResponse {
        let language = if self.chosen { format!("?lang={}", self.texts.language) } else { String::new() };
        PageResponse::Redirect(format!("/p/{path}{language}"))
    }

    /// A redirect to the same page with a notice. It is relative, because the URL contains a token.
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

    /// The response to links that are unknown, expired, used or malformed.
    pub(super) fn invalid_link(&self) -> Result<PageResponse, Error> {
        responses::link_form(&self.app.pages, self.texts, StatusCode::NOT_FOUND, "invalid", None)
    }

    pub(super) fn not_found(&self) -> PageResponse {
        responses::error_page(&self.app.pages, self.texts, StatusCode::NOT_FOUND)
    }
}
