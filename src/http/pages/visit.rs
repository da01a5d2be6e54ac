//! Somebody who asks for a page, and what every page needs for that. Room: http/pages.

use std::sync::Arc;

use axum::{extract::Request, http::StatusCode};
use uuid::Uuid;

use crate::http::pages::{
    client_limits::{Client, Clients, Peer},
    language::Texts,
    responses::{self, Answer},
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
    pub(super) fn of(consent: Option<&str>, kind: Option<&str>) -> Option<Self> {
        let printed = match kind? {
            "receipt" => false,
            "record" => true,
            _ => return None,
        };
        Some(Self { consent: consent?.parse().ok()?, printed })
    }
}

/// What the handlers share.
#[derive(Clone)]
pub(super) struct PagesState {
    pub(super) app: Arc<App>,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) limits: Limits,
    pub(super) concurrency: ConcurrencyLimit,
    pub(super) clients: Option<Arc<Clients>>,
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
    pub(super) paper: Option<Download>,
    pub(super) request_id: String,
    /// What clients may send, and which of them this one is.
    pub(super) clients: Option<Arc<Clients>>,
    pub(super) client: Client,
}

impl PageRequest {
    pub(super) fn of(site: &PagesState, request: &Request) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let given = |name: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
        };
        let chosen = given("lang").and_then(|code| Texts::of(&code));
        let texts = chosen.unwrap_or_else(|| Texts::negotiate(request.headers(), &site.app.pages.language));
        Self {
            app: site.app.clone(),
            pipeline: site.pipeline.clone(),
            texts,
            chosen: chosen.is_some(),
            notice: given("done"),
            paper: Download::of(given("consent").as_deref(), given("as").as_deref()),
            request_id: RequestId::from_request(request).as_str().to_owned(),
            clients: site.clients.clone(),
            client: site.clients.as_ref().map_or(Client::Other, |clients| {
                clients.who(request.headers(), request.extensions().get::<Peer>().copied())
            }),
        }
    }

    /// Whether the client may send one more form.
    pub(super) fn may_send(&self) -> bool {
        self.clients.as_ref().is_none_or(|clients| clients.may_send(self.client))
    }

    /// The person `contact` as the engine knows it.
    pub(super) fn subject(&self, contact: uuid::Uuid) -> Result<Actor, Error> {
        let (app, policy) = (&self.app, self.app.policy.current());
        Actor::of_subject(policy, contact, &app.pages.purpose, app.now(), self.request_id.clone())
    }

    /// The page below `/p/` to be fetched next, in the language that was chosen.
    pub(super) fn see(&self, path: &str) -> Answer {
        let language = if self.chosen { format!("?lang={}", self.texts.language) } else { String::new() };
        Answer::See(format!("/p/{path}{language}"))
    }

    /// The same page again, which tells what was done. Its address is not repeated: a token stands in it.
    pub(super) fn back(&self, done: &str) -> Answer {
        let language = if self.chosen { format!("lang={}&", self.texts.language) } else { String::new() };
        Answer::See(format!("?{language}done={done}"))
    }

    pub(super) fn message(&self, status: StatusCode, name: &str, parts: &[&str]) -> Result<Answer, Error> {
        responses::message(&self.app.pages, self.texts, status, name, parts)
    }

    /// The one answer for links that are unknown, ended, used or no links at all.
    pub(super) fn invalid(&self) -> Result<Answer, Error> {
        responses::asking(&self.app.pages, self.texts, StatusCode::NOT_FOUND, "invalid", None)
    }

    pub(super) fn nowhere(&self) -> Answer {
        responses::refusal(&self.app.pages, self.texts, StatusCode::NOT_FOUND)
    }
}
