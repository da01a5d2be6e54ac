//! SQL with its bound values (floor 2).

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::{
    DatabaseConnection, DbBackend, Statement, Value,
    sea_query::{ArrayType, Expr},
    sqlx::{self, Arguments as _, AssertSqlSafe, postgres::PgArguments, sqlite::SqliteArguments},
};
use uuid::Uuid;

use super::{covering::Covering, fetched::Fetched};
use crate::{
    context::Actor,
    error::Error,
    kept::{self, Kept},
    policy::{Grounds, PurposeDef},
};

/// What every statement is about: the purpose, the instant, the database.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The purpose of the operation; without one no row of a person is visible.
    pub purpose: Option<Arc<PurposeDef>>,
    /// Now, by the application's clock; never the database's.
    pub now: DateTime<Utc>,
    /// The database.
    pub backend: DbBackend,
    /// The records of the person who calls, where it is one: nobody else's rows are visible then.
    pub subject: Option<Arc<[Uuid]>>,
}

impl Scope {
    /// The scope of `actor` at the instant `now`.
    pub fn of(actor: &Actor, now: DateTime<Utc>, backend: DbBackend) -> Self {
        Self { purpose: actor.purpose.clone(), now, backend, subject: actor.subject.clone() }
    }

    /// Whether fields of a channel need a consent for it.
    pub(super) fn on_consent(&self) -> bool {
        self.purpose.as_ref().is_some_and(|purpose| purpose.grounds == Grounds::Consent)
    }
}

/// A statement in the making.
#[derive(Debug)]
pub struct Sql {
    text: String,
    values: Vec<Value>,
    backend: DbBackend,
    /// How the live consents of the contact `t` are found.
    pub(super) covering: Covering,
}

impl Sql {
    /// Begins with `text`.
    pub fn new(backend: DbBackend, text: &str) -> Self {
        let mut whole = String::with_capacity(1024);
        whole.push_str(text);
        Self { text: whole, values: Vec::with_capacity(16), backend, covering: Covering::Asked }
    }

    /// Begins behind a statement that writes, which is executed along with this one. PostgreSQL alone knows that; what is written by
    /// it is not seen yet.
    pub(super) fn along(backend: DbBackend, write: Statement) -> Self {
        let values = write.values.map(|values| values.0).unwrap_or_default();
        Self { text: format!("WITH written AS ({}) ", write.sql), values, backend, covering: Covering::Asked }
    }

    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub(super) fn push_number(&mut self, number: u64) -> &mut Self {
        self.push(&number.to_string())
    }

    /// Puts in a value, bound; one that is bound already is not bound again.
    pub(super) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        let value = value.into();
        let known = self.values.iter().position(|known| *known == value);
        let place = known.unwrap_or_else(|| {
            self.values.push(value);
            self.values.len() - 1
        });
        self.text.push('$');
        self.push_number(place as u64 + 1)
    }

    /// `column IN (keys)` as one bound value, so that the statement stays the same for any number of keys.
    pub(super) fn among(&mut self, column: &str, keys: &[super::Cell]) -> &mut Self {
        self.push(column).within(keys)
    }

    /// What stands before is one of `keys`, as one bound value.
    pub(super) fn within(&mut self, keys: &[super::Cell]) -> &mut Self {
        let uuids = matches!(keys.first(), Some(super::Cell::Uuid(_)));
        if self.backend == DbBackend::Postgres {
            let (list, ty) = if uuids {
                let id = |key: &super::Cell| if let super::Cell::Uuid(id) = key { *id } else { Uuid::nil() };
                (Value::from(keys.iter().map(id).collect::<Vec<_>>()), "::uuid[])))")
            } else {
                (Value::from(keys.iter().map(word).collect::<Vec<_>>()), "::text[])))")
            };
            // Not planned by how many there are: a few times looking into an index is never much more than reading all, and mostly
            // much less.
            return self.push(" = ANY (ARRAY(SELECT unnest(").bind(list).push(ty);
        }
        let list = serde_json::Value::from_iter(keys.iter().map(word)).to_string();
        let select = if uuids {
            " IN (SELECT unhex(value) FROM json_each("
        } else {
            " IN (SELECT value FROM json_each("
        };
        self.push(select).bind(list).push("))")
    }

    /// The statement so far between `before` and `after`.
    pub(super) fn wrap(mut self, before: &str, after: &str) -> Self {
        self.text.insert_str(0, before);
        self.text.push_str(after);
        self
    }

    /// The text so far as a condition of a statement that is built elsewhere.
    pub(super) fn condition(self) -> Expr {
        if self.backend == DbBackend::Postgres {
            return Expr::cust_with_values(self.text, self.values);
        }
        // The builder takes the values in their order, each as often as it stands there.
        let mut parts = self.text.split('$');
        let mut text = parts.next().unwrap_or_default().to_owned();
        let mut values = Vec::with_capacity(self.values.len());
        for part in parts {
            let digits = part.chars().take_while(char::is_ascii_digit).count();
            let (number, rest) = part.split_at(digits);
            let place = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            values.extend(place.and_then(|place| self.values.get(place)).cloned());
            text.push('?');
            text.push_str(rest);
        }
        Expr::cust_with_values(text, values)
    }

    /// The statement.
    pub fn statement(self) -> Statement {
        let statement = Statement::from_sql_and_values(self.backend, self.text, self.values);
        super::overhear::note(|| statement.clone());
        statement
    }

    /// Runs it on `db`. It is prepared once for each connection.
    ///
    /// # Errors
    /// `INTERNAL` from the database, `TIMED_OUT`.
    pub(super) async fn fetch(self, db: &DatabaseConnection, kept: Option<&Kept>) -> Result<Fetched, Error> {
        super::overhear::note(|| {
            Statement::from_sql_and_values(self.backend, self.text.as_str(), self.values.clone())
        });
        if self.backend == DbBackend::Postgres {
            let mut arguments = PgArguments::default();
            for value in self.values {
                add_to_postgres(&mut arguments, value)?;
            }
            let rows = match kept {
                Some(kept) => kept.fetch(&self.text, arguments).await?,
                None => {
                    let text = AssertSqlSafe(self.text);
                    sqlx::query_with(text, arguments)
                        .fetch_all(db.get_postgres_connection_pool())
                        .await
                        .map_err(kept::told)?
                }
            };
            Ok(Fetched::Postgres(rows))
        } else {
            let mut arguments = SqliteArguments::default();
            for value in self.values {
                add_to_sqlite(&mut arguments, value)?;
            }
            let text = AssertSqlSafe(self.text);
            let rows = sqlx::query_with(text, arguments).fetch_all(db.get_sqlite_connection_pool()).await;
            Ok(Fetched::Sqlite(rows.map_err(kept::told)?))
        }
    }
}

/// A key as a word of a list.
fn word(key: &super::Cell) -> String {
    match key {
        super::Cell::Uuid(id) => id.simple().to_string(),
        super::Cell::Text(text) => text.clone(),
        _ => String::new(),
    }
}

fn unbound<E>(_: E) -> Error {
    Error::internal("a value of a statement cannot be bound")
}

fn add_to_postgres(arguments: &mut PgArguments, value: Value) -> Result<(), Error> {
    let added = match value {
        Value::String(text) => arguments.add(text),
        Value::Uuid(id) => arguments.add(id),
        Value::ChronoDateTimeUtc(instant) => arguments.add(instant),
        Value::ChronoDate(date) => arguments.add(date),
        Value::Int(number) => arguments.add(number),
        Value::BigInt(number) => arguments.add(number),
        Value::Bool(yes) => arguments.add(yes),
        Value::Array(ArrayType::Uuid, Some(items)) => {
            let id = |item| if let Value::Uuid(id) = item { id } else { None };
            arguments.add(items.into_iter().map(id).collect::<Vec<_>>())
        }
        Value::Array(ArrayType::String, Some(items)) => {
            let text = |item| if let Value::String(text) = item { text } else { None };
            arguments.add(items.into_iter().map(text).collect::<Vec<_>>())
        }
        _ => return Err(unbound(())),
    };
    added.map_err(unbound)
}

fn add_to_sqlite(arguments: &mut SqliteArguments, value: Value) -> Result<(), Error> {
    let added = match value {
        Value::String(text) => arguments.add(text),
        Value::Uuid(id) => arguments.add(id),
        Value::ChronoDateTimeUtc(instant) => arguments.add(instant),
        Value::ChronoDate(date) => arguments.add(date),
        Value::Int(number) => arguments.add(number),
        Value::BigInt(number) => arguments.add(number),
        Value::Bool(yes) => arguments.add(yes),
        _ => return Err(unbound(())),
    };
    added.map_err(unbound)
}
