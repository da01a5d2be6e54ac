//! Stock async-graphql: objects by derive, children by DataLoader, no rights on fields. Room: bench/baselines.
//!
//! Names are those of the schema. It is given what helps it: only the columns of the standard queries are fetched, and times are
//! written as text once, not through a scalar.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{
    ComplexObject, Context, EmptyMutation, EmptySubscription, ID, Object, Request, Result, Schema,
    SimpleObject,
    dataloader::{DataLoader, Loader},
};
use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use super::{
    answers::{Answer, answer, authenticate},
    rows::{self, Pool},
};
use crate::app::App;

type PlainSchema = Schema<Query, EmptyMutation, EmptySubscription>;

struct PlainAsyncGraphql {
    app: Arc<App>,
    pool: Pool,
    schema: PlainSchema,
}

pub(super) fn router(app: Arc<App>) -> Router {
    let pool = Pool::from_connection(&app.db.reader);
    let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
    let state = Arc::new(PlainAsyncGraphql { app, pool, schema });
    Router::new().route("/graphql", post(graphql)).with_state(state)
}

async fn graphql(State(state): State<Arc<PlainAsyncGraphql>>, head: HeaderMap, body: Bytes) -> Answer {
    authenticate(&state.app, &head).await?;
    let request: Request = serde_json::from_slice(&body)?;
    let rows = Rows { pool: state.pool.clone(), now: state.app.now() };
    // One loader for each request: rows of one caller are not another's.
    let loader = DataLoader::new(rows.clone(), tokio::spawn);
    let response = state.schema.execute(request.data(rows).data(loader)).await;
    answer(serde_json::to_vec(&response)?)
}

/// Where rows come from, as of one instant.
#[derive(Clone)]
struct Rows {
    pool: Pool,
    now: DateTime<Utc>,
}

/// The consents of a contact.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct ConsentsOf(Uuid);

impl Loader<ConsentsOf> for Rows {
    type Value = Vec<rows::Consent>;
    type Error = String;

    async fn load(&self, keys: &[ConsentsOf]) -> Result<HashMap<ConsentsOf, Self::Value>, String> {
        let ids = keys.iter().map(|key| key.0).collect();
        let found = rows::consents(&self.pool, self.now, ids).await.map_err(|error| error.to_string())?;
        let mut all: HashMap<ConsentsOf, Self::Value> = HashMap::with_capacity(keys.len());
        for consent in found {
            all.entry(ConsentsOf(consent.contact)).or_default().push(consent);
        }
        Ok(all)
    }
}

impl Loader<String> for Rows {
    type Value = Purpose;
    type Error = String;

    async fn load(&self, keys: &[String]) -> Result<HashMap<String, Purpose>, String> {
        let found = rows::purposes(&self.pool, keys.to_vec()).await.map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|code| (code.clone(), Purpose { code })).collect())
    }
}

struct Query;

#[Object]
impl Query {
    async fn contacts(&self, context: &Context<'_>, first: Option<i32>) -> Result<ContactConnection> {
        let rows = context.data::<Rows>()?;
        let found = rows::page(&rows.pool, rows.now, first.unwrap_or(50).into()).await?;
        Ok(ContactConnection { nodes: found.into_iter().map(Contact::from).collect() })
    }

    async fn contact(&self, context: &Context<'_>, id: ID) -> Result<Option<Contact>> {
        let rows = context.data::<Rows>()?;
        Ok(rows::one(&rows.pool, rows.now, Uuid::try_parse(&id)?).await?.map(Contact::from))
    }
}

#[derive(SimpleObject)]
struct ContactConnection {
    nodes: Vec<Contact>,
}

#[derive(SimpleObject)]
#[graphql(complex)]
struct Contact {
    #[graphql(skip)]
    key: Uuid,
    id: ID,
    given_name: Option<String>,
    family_name: Option<String>,
    email: Option<String>,
    company: Option<String>,
    job_title: Option<String>,
    city: Option<String>,
    country: Option<String>,
}

impl From<rows::Contact> for Contact {
    fn from(row: rows::Contact) -> Self {
        let [given_name, family_name, email, company, job_title, city, country] = row.texts;
        let id = row.id.to_string().into();
        Self { key: row.id, id, given_name, family_name, email, company, job_title, city, country }
    }
}

#[ComplexObject]
impl Contact {
    async fn consents(&self, context: &Context<'_>) -> Result<ConsentConnection> {
        let loader = context.data::<DataLoader<Rows>>()?;
        let found = loader.load_one(ConsentsOf(self.key)).await?.unwrap_or_default();
        Ok(ConsentConnection { nodes: found.into_iter().map(Consent::from).collect() })
    }
}

#[derive(SimpleObject)]
struct ConsentConnection {
    nodes: Vec<Consent>,
}

#[derive(SimpleObject)]
#[graphql(complex)]
struct Consent {
    #[graphql(skip)]
    purpose_code: String,
    status: String,
    granted_at: Option<String>,
}

impl From<rows::Consent> for Consent {
    fn from(row: rows::Consent) -> Self {
        let text = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        Self { purpose_code: row.purpose, status: row.status, granted_at: row.granted_at.map(text) }
    }
}

#[ComplexObject]
impl Consent {
    async fn purpose(&self, context: &Context<'_>) -> Result<Option<Purpose>> {
        Ok(context.data::<DataLoader<Rows>>()?.load_one(self.purpose_code.clone()).await?)
    }
}

#[derive(SimpleObject, Clone)]
struct Purpose {
    code: String,
}
