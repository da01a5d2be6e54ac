//! Sends statements to the database. Room: engine/executor.

use sea_orm::{
    DatabaseConnection, DbBackend, Statement, Value,
    sea_query::ArrayType,
    sqlx::{self, Arguments as _, AssertSqlSafe, postgres::PgArguments, sqlite::SqliteArguments},
};

use super::rows::RowSet;
use crate::{
    base::error::Error,
    db::connection_cache::{self, ConnectionCache},
    engine::{sql::builder::SqlBuilder, statement_log},
};

impl SqlBuilder {
    /// Runs it on `db`. It is prepared once for each connection.
    ///
    /// # Errors
    /// `INTERNAL` from the database, `TIMED_OUT`.
    pub(in crate::engine) async fn fetch(
        self,
        db: &DatabaseConnection,
        connection_cache: Option<&ConnectionCache>,
    ) -> Result<RowSet, Error> {
        statement_log::record(|| {
            Statement::from_sql_and_values(self.backend, self.text.as_str(), self.values.clone())
        });
        if self.backend == DbBackend::Postgres {
            let mut arguments = PgArguments::default();
            for value in self.values {
                add_to_postgres(&mut arguments, value)?;
            }
            let rows = match connection_cache {
                Some(connection_cache) => connection_cache.fetch(&self.text, arguments).await?,
                None => {
                    let text = AssertSqlSafe(self.text);
                    sqlx::query_with(text, arguments)
                        .fetch_all(db.get_postgres_connection_pool())
                        .await
                        .map_err(connection_cache::told)?
                }
            };
            Ok(RowSet::Postgres(rows))
        } else {
            let mut arguments = SqliteArguments::default();
            for value in self.values {
                add_to_sqlite(&mut arguments, value)?;
            }
            let text = AssertSqlSafe(self.text);
            let rows = sqlx::query_with(text, arguments).fetch_all(db.get_sqlite_connection_pool()).await;
            Ok(RowSet::Sqlite(rows.map_err(connection_cache::told)?))
        }
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
