//! SQL with its bound values (floor 2).

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::{DbBackend, Statement, Value, sea_query::Expr};
use uuid::Uuid;

use crate::{
    context::Actor,
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
    /// The person who calls, where it is one: nobody else's rows are visible then.
    pub subject: Option<Uuid>,
}

impl Scope {
    /// The scope of `actor` at the instant `now`.
    pub fn of(actor: &Actor, now: DateTime<Utc>, backend: DbBackend) -> Self {
        Self { purpose: actor.purpose.clone(), now, backend, subject: actor.subject }
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
}

impl Sql {
    /// Begins with `text`.
    pub fn new(backend: DbBackend, text: &str) -> Self {
        Self { text: text.to_owned(), values: Vec::new(), backend }
    }

    /// Begins behind a statement that writes, which is executed along with this one. PostgreSQL alone knows that; what is written by
    /// it is not seen yet.
    pub(super) fn along(backend: DbBackend, write: Statement) -> Self {
        let values = write.values.map(|values| values.0).unwrap_or_default();
        Self { text: format!("WITH written AS ({}) ", write.sql), values, backend }
    }

    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    /// Puts in a value, bound.
    pub(super) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        self.text.push('$');
        self.text.push_str(&self.values.len().to_string());
        self
    }

    /// `column IN (keys)` as one bound value, so that the statement stays the same for any number of keys.
    pub(super) fn among(&mut self, column: &str, keys: &[super::Cell]) -> &mut Self {
        self.push(column).within(keys)
    }

    /// What stands before is one of `keys`, as one bound value.
    pub(super) fn within(&mut self, keys: &[super::Cell]) -> &mut Self {
        let uuids = matches!(keys.first(), Some(super::Cell::Uuid(_)));
        let words = keys.iter().map(|key| match key {
            super::Cell::Uuid(id) => id.simple().to_string(),
            super::Cell::Text(text) => text.clone(),
            _ => String::new(),
        });
        let list = serde_json::Value::from_iter(words).to_string();
        let select = match (self.backend, uuids) {
            (DbBackend::Postgres, true) => {
                (" = ANY (ARRAY(SELECT jsonb_array_elements_text(", "::jsonb)::uuid))")
            }
            (DbBackend::Postgres, false) => (" = ANY (ARRAY(SELECT jsonb_array_elements_text(", "::jsonb)))"),
            (_, true) => (" IN (SELECT unhex(value) FROM json_each(", "))"),
            (_, false) => (" IN (SELECT value FROM json_each(", "))"),
        };
        self.push(select.0).bind(list).push(select.1)
    }

    /// The statement so far between `before` and `after`.
    pub(super) fn wrap(mut self, before: &str, after: &str) -> Self {
        self.text = format!("{before}{}{after}", self.text);
        self
    }

    /// The text so far as a condition of a statement that is built elsewhere.
    pub(super) fn condition(self) -> Expr {
        if self.backend == DbBackend::Postgres {
            return Expr::cust_with_values(self.text, self.values);
        }
        // The builder takes the values in their order, and each is bound once.
        let mut text = String::with_capacity(self.text.len());
        for (index, part) in self.text.split('$').enumerate() {
            text.push_str(if index == 0 { "" } else { "?" });
            text.push_str(if index == 0 {
                part
            } else {
                part.trim_start_matches(|c: char| c.is_ascii_digit())
            });
        }
        Expr::cust_with_values(text, self.values)
    }

    /// The statement.
    pub fn statement(self) -> Statement {
        Statement::from_sql_and_values(self.backend, self.text, self.values)
    }
}
