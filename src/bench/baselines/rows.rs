//! What the baselines read: rows as the database has them, columns by their place. Room: bench/baselines.

use chrono::{DateTime, Utc};
use sea_orm::{
    DatabaseConnection, DbBackend,
    sqlx::{self, PgPool, Row, SqlitePool},
};
use uuid::Uuid;

use super::sql;
use crate::bench::policy::PURPOSE;

/// Texts of a contact that the standard queries ask for.
const TEXT_COLUMNS: usize = 7;

/// A pool of either database.
#[derive(Clone)]
pub(super) enum Pool {
    Postgres(PgPool),
    Sqlite(SqlitePool),
}

impl Pool {
    pub(super) fn from_connection(connection: &DatabaseConnection) -> Self {
        match connection.get_database_backend() {
            DbBackend::Sqlite => Self::Sqlite(connection.get_sqlite_connection_pool().clone()),
            _ => Self::Postgres(connection.get_postgres_connection_pool().clone()),
        }
    }
}

/// The same code on either pool.
macro_rules! on {
    ($pool:expr, |$inner:ident| $body:expr) => {
        match $pool {
            $crate::bench::baselines::rows::Pool::Postgres($inner) => $body,
            $crate::bench::baselines::rows::Pool::Sqlite($inner) => $body,
        }
    };
}
pub(super) use on;

/// A contact.
#[derive(Clone)]
pub(super) struct Contact {
    pub(super) id: Uuid,
    /// Given name, family name, e-mail, company, job title, city, country.
    pub(super) texts: [Option<String>; TEXT_COLUMNS],
}

macro_rules! contact {
    ($row:expr) => {{
        let row = $row;
        let mut texts: [Option<String>; TEXT_COLUMNS] = Default::default();
        for (index, text) in texts.iter_mut().enumerate() {
            *text = row.try_get(index + 1)?;
        }
        Ok(Contact { id: row.try_get(0)?, texts })
    }};
}

/// The first contacts.
pub(super) async fn page(pool: &Pool, now: DateTime<Utc>, first: i64) -> Result<Vec<Contact>, sqlx::Error> {
    let text =
        sql::page(first).ok_or_else(|| sqlx::Error::Protocol("no standard query asks for so many".into()))?;
    on!(pool, |pool| {
        let rows = sqlx::query(text).bind(PURPOSE).bind(now).fetch_all(pool).await?;
        rows.iter().map(|row| contact!(row)).collect()
    })
}

/// One contact.
pub(super) async fn one(pool: &Pool, now: DateTime<Utc>, id: Uuid) -> Result<Option<Contact>, sqlx::Error> {
    on!(pool, |pool| {
        let row = sqlx::query(sql::ONE).bind(PURPOSE).bind(now).bind(id).fetch_optional(pool).await?;
        row.map(|row| contact!(&row)).transpose()
    })
}

/// A consent.
#[derive(Clone)]
pub(super) struct Consent {
    pub(super) contact: Uuid,
    pub(super) status: String,
    pub(super) granted_at: Option<DateTime<Utc>>,
    pub(super) purpose: String,
}

macro_rules! consent {
    ($row:expr) => {{
        let row = $row;
        Ok(Consent {
            contact: row.try_get(0)?,
            status: row.try_get(1)?,
            granted_at: row.try_get(2)?,
            purpose: row.try_get(3)?,
        })
    }};
}

/// The consents of `contacts`, ordered by id.
pub(super) async fn consents(
    pool: &Pool,
    now: DateTime<Utc>,
    contacts: Vec<Uuid>,
) -> Result<Vec<Consent>, sqlx::Error> {
    match pool {
        Pool::Postgres(pool) => {
            let found = sqlx::query(sql::CONSENTS_POSTGRES).bind(PURPOSE).bind(now).bind(contacts);
            found.fetch_all(pool).await?.iter().map(|row| consent!(row)).collect()
        }
        Pool::Sqlite(pool) => {
            let list = list(contacts.iter().map(|id| id.simple().to_string()));
            let found = sqlx::query(sql::CONSENTS_SQLITE).bind(PURPOSE).bind(now).bind(list);
            found.fetch_all(pool).await?.iter().map(|row| consent!(row)).collect()
        }
    }
}

/// Those of `codes` that are purposes.
pub(super) async fn purposes(pool: &Pool, codes: Vec<String>) -> Result<Vec<String>, sqlx::Error> {
    match pool {
        Pool::Postgres(pool) => {
            let rows = sqlx::query(sql::PURPOSES_POSTGRES).bind(codes).fetch_all(pool).await?;
            rows.iter().map(|row| row.try_get(0)).collect()
        }
        Pool::Sqlite(pool) => {
            let rows = sqlx::query(sql::PURPOSES_SQLITE).bind(list(codes)).fetch_all(pool).await?;
            rows.iter().map(|row| row.try_get(0)).collect()
        }
    }
}

fn list(words: impl IntoIterator<Item = String>) -> String {
    serde_json::Value::from_iter(words).to_string()
}
