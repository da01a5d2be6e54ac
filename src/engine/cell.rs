//! A value of a row, kept or borrowed. Room: engine.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::Value as Bound;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) enum Seen<'a> {
    Null,
    Uuid(Uuid),
    Text(&'a str),
    Int(i32),
    Time(DateTime<Utc>),
    Date(NaiveDate),
}

impl Seen<'_> {
    /// The same, to be kept.
    pub(in crate::engine) fn cell(self) -> Cell {
        match self {
            Seen::Null => Cell::Null,
            Seen::Uuid(id) => Cell::Uuid(id),
            Seen::Text(text) => Cell::Text(text.to_owned()),
            Seen::Int(number) => Cell::Int(number),
            Seen::Time(instant) => Cell::Time(instant),
            Seen::Date(date) => Cell::Date(date),
        }
    }
}

impl<'a> From<&'a Cell> for Seen<'a> {
    fn from(cell: &'a Cell) -> Self {
        match cell {
            Cell::Null => Seen::Null,
            Cell::Uuid(id) => Seen::Uuid(*id),
            Cell::Text(text) => Seen::Text(text),
            Cell::Int(number) => Seen::Int(*number),
            Cell::Time(instant) => Seen::Time(*instant),
            Cell::Date(date) => Seen::Date(*date),
        }
    }
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Cell {
    /// No value.
    Null,
    /// An id.
    Uuid(Uuid),
    /// Text, an enum's name, or a JSON array as text.
    Text(String),
    /// A number, or a truth value as 0 and 1.
    Int(i32),
    /// An instant.
    Time(DateTime<Utc>),
    /// A date.
    Date(NaiveDate),
}

impl Cell {
    /// The value to bind in a statement.
    pub(in crate::engine) fn bound(&self) -> Option<Bound> {
        Some(match self {
            Cell::Null => return None,
            Cell::Uuid(id) => (*id).into(),
            Cell::Text(text) => text.as_str().into(),
            Cell::Int(number) => (*number).into(),
            Cell::Time(instant) => (*instant).into(),
            Cell::Date(date) => (*date).into(),
        })
    }
}

/// The cells of a row, in the order of the level's columns.
pub type Row = Vec<Cell>;
