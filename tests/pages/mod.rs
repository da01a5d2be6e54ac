//! The public pages, asked through the router as a browser asks.

mod account;
mod acts;
mod answers;
pub mod browser;
mod complete;
mod enumeration;
mod mailbox;
mod persons;
mod preferences;
mod sign_up;
mod subjects;
mod waiting;

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, body::Body, http::Request};
use http_body_util::BodyExt;
use sea_orm::EntityTrait;
use tower::ServiceExt;
use uuid::Uuid;
use zweck::{
    audit,
    base::fold::email_key,
    crypto::link_tokens,
    domain::signups,
    graphql::Pipeline,
    http::{Settings, router},
};

use crate::support::{
    app::{TestApp, each},
    client::Client,
    world::{persons, seed},
};

/// A server with its pages.
pub struct PagesState {
    pub test: TestApp,
    router: Router,
}

/// An answer, without what differs from request to request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Where it leads.
    pub fn location(&self) -> &str {
        self.header("location")
    }
}

impl PagesState {
    /// The pages over `test`, with so many forms a minute.
    pub fn over(mut test: TestApp, posts_per_minute: u32) -> Self {
        Arc::get_mut(&mut test.app).unwrap().pages.posts_per_minute = posts_per_minute;
        let engine = Arc::new(Pipeline::new().unwrap());
        let router = router(test.app.clone(), engine, Settings::default());
        Self { test, router }
    }

    pub fn client(&self) -> Client {
        Client::over(self.test.app.clone())
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap().to_owned()));
        let headers = headers.filter(|(name, _)| name != "x-request-id").collect();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Reply { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// Fetches a page in English.
    pub async fn get(&self, path: &str) -> Reply {
        let request = Request::get(path).header("accept-language", "en");
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// Sends a form in English.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        self.send(post(path, fields)).await
    }

    /// The link in the mails of `purpose` to a contact with this address.
    pub async fn preference(&self, contact: Uuid, purpose: &str, email: &str) -> String {
        let ring = audit::installation_keys(&self.test.app).await.unwrap();
        let mailbox = link_tokens::Mailbox::from_key(ring, &email_key(email)).unwrap();
        link_tokens::preference(
            ring,
            &link_tokens::Preference { contact, purpose: purpose.to_owned(), mailbox },
        )
        .unwrap()
    }

    /// The same as it was made before links named the mailbox.
    pub async fn old_preference(&self, contact: Uuid, purpose: &str, email: &str) -> String {
        let ring = audit::installation_keys(&self.test.app).await.unwrap();
        let mailbox =
            link_tokens::Mailbox::Digest(link_tokens::short_digest(ring, &email_key(email)).unwrap());
        link_tokens::preference(
            ring,
            &link_tokens::Preference { contact, purpose: purpose.to_owned(), mailbox },
        )
        .unwrap()
    }

    /// A link that opens what is kept of the contact, as it is mailed.
    pub async fn fresh(&self, contact: Uuid) -> String {
        signups::send_magic_link_to_contact(&self.test.app, contact, None, "r").await.unwrap();
        crate::signups::tokens(&self.test).await.pop().unwrap()
    }

    /// How many rows there are.
    pub async fn count<E: EntityTrait>(&self) -> usize {
        E::find().all(&self.test.app.db.reader).await.unwrap().len()
    }
}

/// A request that sends a form.
pub fn post(path: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(fields);
    Request::post(path)
        .header("accept-language", "en")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form.finish()))
        .unwrap()
}

/// One server per database, with the persons of the world and without a limit on forms.
pub async fn sites() -> Vec<PagesState> {
    let mut sites = Vec::new();
    for test in each().await {
        seed(&test.app.db.writer, &persons()).await;
        sites.push(PagesState::over(test, 0));
    }
    sites
}

/// The values of an attribute in a page.
pub fn values<'h>(html: &'h str, attribute: &str) -> Vec<&'h str> {
    let start = format!(" {attribute}=\"");
    html.match_indices(&start).map(|(at, _)| html[at + start.len()..].split('"').next().unwrap()).collect()
}
