//! SQL with its bound values. Room: engine/sql.

use sea_orm::{DbBackend, Statement, Value, sea_query::Expr};
use uuid::Uuid;

use crate::engine::{cell::Cell, statement_log};

/// A statement in the making.
#[derive(Debug)]
pub struct SqlBuilder {
    pub(in crate::engine) text: String,
    pub(in crate::engine) values: Vec<Value>,
    pub(in crate::engine) backend: DbBackend,
}

impl SqlBuilder {
    /// Begins with `text`.
    pub fn new(backend: DbBackend, text: &str) -> Self {
        let mut sql = String::with_capacity(1024);
        sql.push_str(text);
        Self { text: sql, values: Vec::with_capacity(16), backend }
    }

    /// Begins behind a statement that writes, which is executed along with this one. PostgreSQL alone knows that; what is written by
    /// it is not seen yet.
    pub(in crate::engine) fn with_write(backend: DbBackend, write: Statement) -> Self {
        let values = write.values.map(|values| values.0).unwrap_or_default();
        Self { text: format!("WITH written AS ({}) ", write.sql), values, backend }
    }

    pub(in crate::engine) fn push(&mut self, text: &str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub(in crate::engine) fn push_number(&mut self, number: u64) -> &mut Self {
        self.push(&number.to_string())
    }

    /// Puts in a value, bound; one that is bound already is not bound again.
    pub(in crate::engine) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        let value = value.into();
        let existing = self.values.iter().position(|existing| *existing == value);
        let index = existing.unwrap_or_else(|| {
            self.values.push(value);
            self.values.len() - 1
        });
        self.text.push('$');
        self.push_number(index as u64 + 1)
    }

    /// Puts in the value of a cell, bound; what has none is null, which equals nothing.
    pub(in crate::engine) fn bind_cell(&mut self, cell: &Cell) -> &mut Self {
        match cell.to_value() {
            Some(value) => self.bind(value),
            None => self.push("NULL"),
        }
    }

    /// `column IN (keys)` as one bound value, so that the statement stays the same for any number of keys.
    pub(in crate::engine) fn push_in(&mut self, column: &str, keys: &[Cell]) -> &mut Self {
        self.push(column).push_in_values(keys)
    }

    /// What stands before is one of `keys`, as one bound value.
    pub(in crate::engine) fn push_in_values(&mut self, keys: &[Cell]) -> &mut Self {
        let uuids = matches!(keys.first(), Some(Cell::Uuid(_)));
        if self.backend == DbBackend::Postgres {
            let (list, ty) = if uuids {
                let id = |key: &Cell| if let Cell::Uuid(id) = key { *id } else { Uuid::nil() };
                (Value::from(keys.iter().map(id).collect::<Vec<_>>()), "::uuid[])))")
            } else {
                (Value::from(keys.iter().map(key_text).collect::<Vec<_>>()), "::text[])))")
            };
            // Not planned by how many there are: a few times looking into an index is never much more than reading all, and mostly
            // much less.
            return self.push(" = ANY (ARRAY(SELECT unnest(").bind(list).push(ty);
        }
        let list = serde_json::Value::from_iter(keys.iter().map(key_text)).to_string();
        let select = if uuids {
            " IN (SELECT unhex(value) FROM json_each("
        } else {
            " IN (SELECT value FROM json_each("
        };
        self.push(select).bind(list).push("))")
    }

    /// The statement so far between `before` and `after`.
    pub(in crate::engine) fn wrap(mut self, before: &str, after: &str) -> Self {
        self.text.insert_str(0, before);
        self.text.push_str(after);
        self
    }

    /// The text so far as a condition of a statement that is built elsewhere.
    pub(in crate::engine) fn into_expr(self) -> Expr {
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
            let index = number.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
            values.extend(index.and_then(|index| self.values.get(index)).cloned());
            text.push('?');
            text.push_str(rest);
        }
        Expr::cust_with_values(text, values)
    }

    /// The statement.
    pub fn into_statement(self) -> Statement {
        let statement = Statement::from_sql_and_values(self.backend, self.text, self.values);
        statement_log::record(|| statement.clone());
        statement
    }
}

/// A key as a word of a list.
fn key_text(key: &Cell) -> String {
    match key {
        Cell::Uuid(id) => id.simple().to_string(),
        Cell::Text(text) => text.clone(),
        _ => String::new(),
    }
}
