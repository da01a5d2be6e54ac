//! Handlers by hand: axum and sqlx, no GraphQL; the same answers byte for byte. Room: bench/baselines.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use chrono::{DateTime, Utc};
use sea_orm::sqlx::{self, Row};
use serde::Serialize;
use uuid::Uuid;

use super::{
    answers::{Answer, Refused, answer, authenticate},
    rows::{self, Pool, on},
    sql,
};
use crate::{app::App, base::ids::id_after, bench::policy::PURPOSE};

struct Handwritten {
    app: Arc<App>,
    reader: Pool,
    writer: Pool,
}

type Shared = State<Arc<Handwritten>>;

pub(super) fn router(app: Arc<App>) -> Router {
    let (reader, writer) = (Pool::from_connection(&app.db.reader), Pool::from_connection(&app.db.writer));
    Router::new()
        .route("/q1", get(contacts_with_consents))
        .route("/q2/{id}", get(contact))
        .route("/q3", get(contacts))
        .route("/m1/{id}", post(withdraw))
        .with_state(Arc::new(Handwritten { app, reader, writer }))
}

#[derive(Serialize)]
struct Body<T> {
    data: T,
}

#[derive(Serialize)]
struct Nodes<T> {
    nodes: Vec<T>,
}

#[derive(Serialize)]
struct Contacts<T> {
    contacts: Nodes<T>,
}

#[derive(Serialize)]
struct One<'a> {
    contact: Option<Flat<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Flat<'a> {
    id: Uuid,
    given_name: &'a Option<String>,
    family_name: &'a Option<String>,
    email: &'a Option<String>,
    company: &'a Option<String>,
    job_title: &'a Option<String>,
    city: &'a Option<String>,
    country: &'a Option<String>,
}

impl<'a> Flat<'a> {
    fn new(contact: &'a rows::Contact) -> Self {
        let [given_name, family_name, email, company, job_title, city, country] = &contact.texts;
        Self { id: contact.id, given_name, family_name, email, company, job_title, city, country }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Nested<'a> {
    id: Uuid,
    given_name: &'a Option<String>,
    family_name: &'a Option<String>,
    email: &'a Option<String>,
    company: &'a Option<String>,
    city: &'a Option<String>,
    country: &'a Option<String>,
    consents: Nodes<Consent<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Consent<'a> {
    status: &'a str,
    granted_at: Option<DateTime<Utc>>,
    purpose: Purpose<'a>,
}

#[derive(Serialize)]
struct Purpose<'a> {
    code: &'a str,
}

impl<'a> Nested<'a> {
    fn new(contact: &'a rows::Contact, consents: Vec<Consent<'a>>) -> Self {
        let [given_name, family_name, email, company, _, city, country] = &contact.texts;
        let consents = Nodes { nodes: consents };
        Self { id: contact.id, given_name, family_name, email, company, city, country, consents }
    }
}

async fn contacts_with_consents(State(state): Shared, head: HeaderMap) -> Answer {
    authenticate(&state.app, &head).await?;
    let now = state.app.now();
    let found = rows::page(&state.reader, now, 100).await?;
    let ids = found.iter().map(|contact| contact.id).collect();
    let consents = rows::consents(&state.reader, now, ids).await?;
    let mut by_contact: HashMap<Uuid, Vec<Consent<'_>>> = HashMap::with_capacity(found.len());
    for consent in &consents {
        by_contact.entry(consent.contact).or_default().push(Consent {
            status: &consent.status,
            granted_at: consent.granted_at,
            purpose: Purpose { code: &consent.purpose },
        });
    }
    let nodes = found.iter().map(|contact| {
        let consents = by_contact.remove(&contact.id).unwrap_or_default();
        Nested::new(contact, consents)
    });
    let contacts = Nodes { nodes: nodes.collect() };
    answer(serde_json::to_vec(&Body { data: Contacts { contacts } })?)
}

async fn contact(State(state): Shared, Path(id): Path<Uuid>, head: HeaderMap) -> Answer {
    authenticate(&state.app, &head).await?;
    let found = rows::one(&state.reader, state.app.now(), id).await?;
    answer(serde_json::to_vec(&Body { data: One { contact: found.as_ref().map(Flat::new) } })?)
}

async fn contacts(State(state): Shared, head: HeaderMap) -> Answer {
    authenticate(&state.app, &head).await?;
    let found = rows::page(&state.reader, state.app.now(), 1_000).await?;
    let contacts = Nodes { nodes: found.iter().map(Flat::new).collect() };
    answer(serde_json::to_vec(&Body { data: Contacts { contacts } })?)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Withdrawal {
    withdraw_consent: Payload,
}

#[derive(Serialize)]
struct Payload {
    consent: Withdrawn,
}

#[derive(Serialize)]
struct Withdrawn {
    id: Uuid,
    status: &'static str,
}

/// Withdraws a consent: the row rule, the state, the event, the entry, and the change for those who follow if they were told that
/// it holds, in one transaction. On PostgreSQL the change is queued, and a task of this process gives it its place, as the server's does.
async fn withdraw(State(state): Shared, Path(id): Path<Uuid>, head: HeaderMap) -> Answer {
    let credential = authenticate(&state.app, &head).await?;
    let actor = credential.actor_id;
    let roles = serde_json::to_string(&credential.roles)?;
    let revision = state.app.policy.current().revision().to_owned();
    // As the server does: a SQLite transaction that reads first could not become one that writes.
    let sqlite = matches!(&state.writer, Pool::Sqlite(_));
    let (begin, update) =
        if sqlite { ("BEGIN IMMEDIATE", sql::WITHDRAW_SQLITE) } else { ("BEGIN", sql::WITHDRAW_POSTGRES) };
    let mut queued = false;
    on!(&state.writer, |pool| {
        let mut tx = pool.begin_with(begin).await?;
        let now = state.app.now();
        let (event, entry) = (state.app.new_id(), state.app.new_id());
        let update = sqlx::query(update).bind(PURPOSE).bind(now).bind(id);
        let Some(row) = update.fetch_optional(&mut *tx).await? else {
            return Err(Refused(StatusCode::NOT_FOUND));
        };
        let (contact, channel): (Uuid, String) = (row.try_get(0)?, row.try_get(1)?);
        let status: Option<String> = row.try_get(2)?;
        sqlx::query(sql::EVENT).bind(event).bind(id).bind(now).bind(&actor).execute(&mut *tx).await?;
        let insert = sqlx::query(sql::ENTRY).bind(entry).bind(now).bind(&actor).bind(&roles);
        insert.bind(PURPOSE).bind(id).bind(contact).bind(&revision).execute(&mut *tx).await?;
        if status.as_deref() == Some("GRANTED") {
            let insert = if sqlite {
                let row = sqlx::query(sql::LAST_CHANGE).fetch_optional(&mut *tx).await?;
                let last = row.map(|row| row.try_get(0)).transpose()?;
                sqlx::query(sql::CHANGE).bind(id_after(last, now))
            } else {
                queued = true;
                sqlx::query(sql::QUEUED)
            };
            insert.bind(contact).bind(PURPOSE).bind(channel).bind(now).execute(&mut *tx).await?;
        }
        tx.commit().await?;
    });
    if queued {
        state.app.db.feed.notify_queued();
    }
    let consent = Withdrawn { id, status: "WITHDRAWN" };
    answer(serde_json::to_vec(&Body { data: Withdrawal { withdraw_consent: Payload { consent } } })?)
}
