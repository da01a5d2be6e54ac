//! SQL statements over all contacts with an identity, with bound values. Room: domain/suppressions.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, QueryResult, Statement, TryGetable, Value};
use uuid::Uuid;

/// A statement under construction.
pub(super) struct SqlText {
    backend: DbBackend,
    sql: String,
    values: Vec<Value>,
}

impl SqlText {
    pub(super) fn new(backend: DbBackend) -> Self {
        Self { backend, sql: String::new(), values: Vec::new() }
    }

    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.sql.push_str(text);
        self
    }

    pub(super) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        match self.backend {
            DbBackend::Postgres => self.sql.push_str(&format!("${}", self.values.len())),
            _ => self.sql.push('?'),
        }
        self
    }

    /// Pushes ` IN (...)` with the values.
    pub(super) fn push_in<V: Into<Value> + Clone>(&mut self, values: &[V]) -> &mut Self {
        self.push(" IN (");
        for (index, value) in values.iter().enumerate() {
            self.push(if index == 0 { "" } else { ", " }).bind(value.clone());
        }
        self.push(")")
    }

    /// The ids in the first column of the result, sorted and without repeats.
    pub(super) async fn ids<C: ConnectionTrait>(self, connection: &C) -> Result<Vec<Uuid>, DbErr> {
        let rows = self.query(connection).await?;
        let mut ids: Vec<Uuid> = rows.iter().map(|row| Uuid::try_get_by(row, 0)).collect::<Result<_, _>>()?;
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// The rows of the result.
    pub(super) async fn query<C: ConnectionTrait>(self, connection: &C) -> Result<Vec<QueryResult>, DbErr> {
        connection.query_all_raw(Statement::from_sql_and_values(self.backend, self.sql, self.values)).await
    }
}
