//! A value of a row, kept or borrowed. Room: engine.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::Value as Bound;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A value of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) enum CellRef<'a> {
    Null,
    Uuid(Uuid),
    Text(&'a str),
    Int(i32),
    Time(DateTime<Utc>),
    Date(NaiveDate),
}

impl CellRef<'_> {
    /// The same, to be kept.
    pub(in crate::engine) fn to_cell(self) -> Cell {
        match self {
            CellRef::Null => Cell::Null,
            CellRef::Uuid(id) => Cell::Uuid(id),
            CellRef::Text(text) => Cell::Text(text.to_owned()),
            CellRef::Int(number) => Cell::Int(number),
            CellRef::Time(instant) => Cell::Time(instant),
            CellRef::Date(date) => Cell::Date(date),
        }
    }
}

impl<'a> From<&'a Cell> for CellRef<'a> {
    fn from(cell: &'a Cell) -> Self {
        match cell {
            Cell::Null => CellRef::Null,
            Cell::Uuid(id) => CellRef::Uuid(*id),
            Cell::Text(text) => CellRef::Text(text),
            Cell::Int(number) => CellRef::Int(*number),
            Cell::Time(instant) => CellRef::Time(*instant),
            Cell::Date(date) => CellRef::Date(*date),
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
    pub(in crate::engine) fn to_value(&self) -> Option<Bound> {
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
