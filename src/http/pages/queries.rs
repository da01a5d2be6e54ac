//! Queries of the pages, run by the engine like those of a client. Room: http/pages.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use super::page_request::PageRequest;
use crate::{
    auth::actor::Actor,
    base::error::{Code, Error, Outcome},
    engine::{self, Scope},
    graphql::Request,
    policy::{Action, Channel, PurposeDef},
    registry::CONTACT,
};

/// The query of the preference page, which a forwarded mail may open.
const PREFERENCES_QUERY: &str = "query($contact: ID!) { contact(id: $contact) { email objections { purpose { code } channel endedAt } \
    consents(first: 200) { nodes { id purpose { code } channel status } } } }";

/// The query of the account page, opened by a magic link.
const ACCOUNT_QUERY: &str = "query($contact: ID!) { contact(id: $contact) { givenName familyName email createdAt \
    objections { purpose { code } channel endedAt } grounds { purpose { code } since until } \
    consents(first: 200) { nodes { id purpose { code } channel status grantedAt declaredAt \
    events { kind declaredAt recordedAt source text { language version text } } } } \
    requests(first: 200) { nodes { kind status receivedAt dueAt extendedUntil } } } }";

/// Who may currently fetch data, and for which purposes.
const ACCESSES_QUERY: &str = "{ accesses { purposes recipient { name kind country } } }";

/// The data that a person may see. Denied fields are absent.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Person {
    pub(super) given_name: Option<String>,
    pub(super) family_name: Option<String>,
    pub(super) email: Option<String>,
    pub(super) created_at: Option<DateTime<Utc>>,
    pub(super) grounds: Option<Vec<Ground>>,
    pub(super) objections: Option<Vec<Objection>>,
    pub(super) consents: Option<Nodes<Consent>>,
    pub(super) requests: Option<Nodes<PrivacyRequest>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Nodes<T> {
    pub(super) nodes: Vec<T>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Purpose {
    pub(super) code: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Objection {
    pub(super) purpose: Option<Purpose>,
    /// The channel that it concerns; every channel if `None`.
    pub(super) channel: Option<String>,
    pub(super) ended_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Ground {
    pub(super) purpose: Option<Purpose>,
    pub(super) since: Option<DateTime<Utc>>,
    pub(super) until: Option<DateTime<Utc>>,
}

/// A recipient with the purposes for which it may fetch data.
#[derive(Debug, Deserialize)]
pub(super) struct Access {
    #[serde(default)]
    pub(super) purposes: Option<Vec<String>>,
    pub(super) recipient: Option<Recipient>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Recipient {
    pub(super) name: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) country: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Consent {
    pub(super) id: Uuid,
    pub(super) purpose: Option<Purpose>,
    pub(super) channel: Option<String>,
    pub(super) status: Option<String>,
    pub(super) granted_at: Option<DateTime<Utc>>,
    pub(super) declared_at: Option<DateTime<Utc>>,
    pub(super) events: Option<Vec<Event>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Event {
    pub(super) kind: Option<String>,
    pub(super) declared_at: Option<DateTime<Utc>>,
    pub(super) recorded_at: Option<DateTime<Utc>>,
    pub(super) source: Option<String>,
    pub(super) text: Option<Text>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) language: Option<String>,
    pub(super) version: Option<String>,
    pub(super) text: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PrivacyRequest {
    pub(super) kind: Option<String>,
    pub(super) status: Option<String>,
    pub(super) received_at: Option<DateTime<Utc>>,
    pub(super) due_at: Option<DateTime<Utc>>,
    pub(super) extended_until: Option<DateTime<Utc>>,
}

impl Person {
    /// Whether current objections to the purpose or group `code` end it on each of `channels`; if these are empty, on
    /// every channel.
    pub(super) fn objects(&self, code: &str, channels: &[Channel]) -> bool {
        let objected: Vec<Option<&str>> = self
            .objections
            .iter()
            .flatten()
            .filter(|objection| {
                objection.ended_at.is_none()
                    && objection.purpose.as_ref().is_some_and(|purpose| purpose.code == code)
            })
            .map(|objection| objection.channel.as_deref())
            .collect();
        let is_ended = |channel: &Channel| objected.contains(&Some(channel.as_str()));
        objected.contains(&None) || (!channels.is_empty() && channels.iter().all(is_ended))
    }

    /// Whether a consent to the purpose `code` is granted, in use or not.
    pub(super) fn has_given(&self, code: &str) -> bool {
        let consents = self.consents.iter().flat_map(|consents| &consents.nodes);
        consents.into_iter().any(|consent| {
            consent.status.as_deref() == Some("GRANTED")
                && consent.purpose.as_ref().is_some_and(|purpose| purpose.code == code)
        })
    }
}

/// The response to an operation.
#[derive(Deserialize)]
struct Body<T> {
    data: Option<T>,
    #[serde(default)]
    errors: Vec<ResponseError>,
}

#[derive(Deserialize)]
struct ResponseError {
    message: String,
    extensions: ErrorExtensions,
}

#[derive(Deserialize)]
struct ErrorExtensions {
    code: String,
    outcome: Option<String>,
}

#[derive(Deserialize)]
struct PersonData {
    contact: Option<Person>,
}

/// Executes `document` for `actor`.
///
/// # Errors
/// The first error of the response, except for denied fields, which are absent.
pub(super) async fn execute<T: DeserializeOwned>(
    request: &PageRequest,
    actor: &Actor,
    document: &str,
    variables: Json,
) -> Result<T, Error> {
    let variables = match variables {
        Json::Object(variables) => variables,
        _ => Map::new(),
    };
    let operation = Request { query: document.to_owned(), variables, ..Request::default() };
    let answer = request.pipeline.execute(&request.app, actor, operation).await;
    let error = || Error::internal("an answer of the engine to a page");
    let body: Body<T> = serde_json::from_slice(&answer.body).map_err(|_| error())?;
    for ResponseError { message, extensions } in body.errors {
        let code = Code::parse(&extensions.code).unwrap_or(Code::Internal);
        if code != Code::ForbiddenField {
            let outcome = extensions.outcome.as_deref().and_then(Outcome::parse);
            return Err(Error::new(code, message).with_outcome(outcome));
        }
    }
    body.data.ok_or_else(error)
}

/// The person's own data, either in `full` or as far as a forwarded mail may show it; `None` if there is no such
/// person.
///
/// # Errors
/// Those of the engine.
pub(super) async fn person(
    request: &PageRequest,
    actor: &Actor,
    contact: Uuid,
    full: bool,
) -> Result<Option<Person>, Error> {
    let document = if full { ACCOUNT_QUERY } else { PREFERENCES_QUERY };
    let PersonData { contact } = execute(request, actor, document, json!({ "contact": contact })).await?;
    Ok(contact)
}

#[derive(Deserialize)]
struct AccessesData {
    accesses: Option<Vec<Access>>,
}

/// Recipients that may currently fetch data, as far as `actor` may see them; `None` if the policy denies them.
///
/// # Errors
/// Those of the engine.
pub(super) async fn load_accesses(
    request: &PageRequest,
    actor: &Actor,
) -> Result<Option<Vec<Access>>, Error> {
    if !actor.can("Query.accesses", Action::Execute) {
        return Ok(None);
    }
    let AccessesData { accesses: load_accesses } =
        execute(request, actor, ACCESSES_QUERY, Json::Null).await?;
    Ok(load_accesses)
}

/// Whether anybody may currently be written to at the mailbox with this key for `purpose`, by the row rule of that
/// purpose.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn reaches(
    request: &PageRequest,
    key: &str,
    purpose: &Arc<PurposeDef>,
) -> Result<bool, Error> {
    let db = &request.app.db;
    let (now, backend) = (request.app.now(), db.backend());
    let scope = Scope { purpose: Some(purpose.clone()), now, backend, subject: None };
    engine::is_reachable_mailbox(&db.reader, &scope, key).await
}

/// Whether the person may currently be processed for `purpose`, by the row rule of that purpose, which every read
/// applies.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn is_in_force(
    request: &PageRequest,
    contact: Uuid,
    purpose: &Arc<PurposeDef>,
) -> Result<bool, Error> {
    let (app, policy) = (&request.app, request.app.policy.current());
    let actor = Actor::for_subject(policy, contact, &purpose.code, app.now(), request.request_id.clone())?;
    let scope = Scope::for_actor(&actor, app.now(), app.db.backend());
    engine::exists(&app.db.reader, &scope, &CONTACT, contact).await
}
