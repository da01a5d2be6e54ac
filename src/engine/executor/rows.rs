//! Rows as the database gave them: values are read by their place when they are needed, without a copy. Room: engine/executor.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::sqlx::{self, Row as _, postgres::PgRow, sqlite::SqliteRow};
use uuid::Uuid;

use crate::{
    base::error::Error,
    engine::{
        cell::{Cell, Row, Seen},
        plan::selection::{Column, Kind, Level},
    },
};

/// The rows of one statement.
#[derive(Debug)]
pub(in crate::engine) enum Fetched {
    Postgres(Vec<PgRow>),
    Sqlite(Vec<SqliteRow>),
    /// Some values of which were made anew.
    Made(Vec<Row>),
}

/// A row of one level.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct Line<'a> {
    raw: Raw<'a>,
    columns: &'a [Column],
    /// Where each column stands; without it in their order.
    places: Option<&'a [usize]>,
}

#[derive(Clone, Copy, Debug)]
enum Raw<'a> {
    Postgres(&'a PgRow),
    Sqlite(&'a SqliteRow),
    Made(&'a Row),
    /// Nothing but the key of a row.
    Key(Seen<'a>),
}

/// Reads the value at a place of a row of either database. What a column holds is known: it is not looked up again.
macro_rules! seen {
    ($row:expr, $place:expr, $kind:expr) => {{
        let (row, place) = ($row, $place);
        match $kind {
            Kind::Text => row
                .try_get_unchecked::<Option<&str>, _>(place)
                .map(|text| text.map_or(Seen::Null, Seen::Text)),
            Kind::Id => {
                row.try_get_unchecked::<Option<Uuid>, _>(place).map(|id| id.map_or(Seen::Null, Seen::Uuid))
            }
            Kind::Int => {
                row.try_get_unchecked::<Option<i32>, _>(place).map(|n| n.map_or(Seen::Null, Seen::Int))
            }
            Kind::Time => row
                .try_get_unchecked::<Option<DateTime<Utc>>, _>(place)
                .map(|instant| instant.map_or(Seen::Null, Seen::Time)),
            Kind::Date => row
                .try_get_unchecked::<Option<NaiveDate>, _>(place)
                .map(|date| date.map_or(Seen::Null, Seen::Date)),
        }
    }};
}

impl<'a> Line<'a> {
    /// A row that is made of its key alone: what is asked of it is nothing else.
    pub(in crate::engine) fn of_key(level: &'a Level, key: Seen<'a>) -> Self {
        Self { raw: Raw::Key(key), columns: &level.columns, places: None }
    }

    /// The value of the column `slot` of its level.
    ///
    /// # Errors
    /// `INTERNAL` for a value of another kind than the register says.
    pub(in crate::engine) fn seen(self, slot: usize) -> Result<Seen<'a>, Error> {
        let Some(column) = self.columns.get(slot) else { return Ok(Seen::Null) };
        let place = match self.places {
            Some(places) => places.get(slot).copied().unwrap_or(usize::MAX),
            None => slot,
        };
        let seen = match self.raw {
            Raw::Postgres(row) => seen!(row, place, column.kind()),
            Raw::Sqlite(row) => seen!(row, place, column.kind()),
            Raw::Made(row) => return Ok(row.get(slot).map_or(Seen::Null, Seen::from)),
            Raw::Key(key) => return Ok(if slot == 0 { key } else { Seen::Null }),
        };
        seen.map_err(unreadable)
    }

    /// The same, to be kept.
    pub(in crate::engine) fn cell(self, slot: usize) -> Result<Cell, Error> {
        self.seen(slot).map(Seen::cell)
    }

    /// Whether the column `slot` says yes.
    pub(in crate::engine) fn says(self, slot: usize) -> Result<bool, Error> {
        Ok(self.seen(slot)? == Seen::Int(1))
    }
}

fn unreadable(_: sqlx::Error) -> Error {
    // It may quote the value.
    Error::internal("a value of a row cannot be read")
}

/// Columns of a level, and where they stand.
pub(in crate::engine) type Part<'a> = (&'a [Column], &'a [usize]);

impl Fetched {
    pub(in crate::engine) fn len(&self) -> usize {
        match self {
            Fetched::Postgres(rows) => rows.len(),
            Fetched::Sqlite(rows) => rows.len(),
            Fetched::Made(rows) => rows.len(),
        }
    }

    fn raw(&self) -> Vec<Raw<'_>> {
        match self {
            Fetched::Postgres(rows) => rows.iter().map(Raw::Postgres).collect(),
            Fetched::Sqlite(rows) => rows.iter().map(Raw::Sqlite).collect(),
            Fetched::Made(rows) => rows.iter().map(Raw::Made).collect(),
        }
    }

    /// Rows that come from elsewhere, as those of a level.
    pub(in crate::engine) fn made<'a>(rows: &'a [Row], columns: &'a [Column]) -> Vec<Line<'a>> {
        rows.iter().map(|row| Line { raw: Raw::Made(row), columns, places: None }).collect()
    }

    /// The rows as those of a level, its columns in their order.
    pub(in crate::engine) fn lines<'a>(&'a self, columns: &'a [Column]) -> Vec<Line<'a>> {
        self.raw().into_iter().map(|raw| Line { raw, columns, places: None }).collect()
    }

    /// The rows of several levels, told apart by the number they begin with.
    ///
    /// # Errors
    /// `INTERNAL` for a number without a part.
    pub(in crate::engine) fn parted<'a>(&'a self, parts: &[Part<'a>]) -> Result<Vec<Vec<Line<'a>>>, Error> {
        let mut lines: Vec<Vec<Line<'a>>> = parts.iter().map(|_| Vec::new()).collect();
        for raw in self.raw() {
            let number: i32 = match raw {
                Raw::Postgres(row) => row.try_get_unchecked(0).map_err(unreadable)?,
                Raw::Sqlite(row) => row.try_get_unchecked(0).map_err(unreadable)?,
                Raw::Made(_) | Raw::Key(_) => 0,
            };
            let number = usize::try_from(number).unwrap_or(usize::MAX);
            let (Some((columns, places)), Some(lines)) = (parts.get(number), lines.get_mut(number)) else {
                return Err(Error::internal("a row of no level"));
            };
            lines.push(Line { raw, columns, places: Some(places) });
        }
        Ok(lines)
    }
}

/// Rows by what they hang on: equal values side by side.
pub(in crate::engine) struct Groups<'a> {
    lines: Vec<Line<'a>>,
    /// In order.
    bounds: Vec<(Seen<'a>, std::ops::Range<usize>)>,
}

impl<'a> Groups<'a> {
    /// Groups `lines` by the value of `slot`. Within a group they stay in their order, or get that of their keys.
    ///
    /// # Errors
    /// A value cannot be read.
    pub(in crate::engine) fn of(lines: Vec<Line<'a>>, slot: usize, by_key: bool) -> Result<Self, Error> {
        let mut keyed = Vec::with_capacity(lines.len());
        for line in lines {
            keyed.push((line.seen(slot)?, if by_key { line.seen(0)? } else { Seen::Null }, line));
        }
        keyed.sort_by(|one, other| (one.0, one.1).cmp(&(other.0, other.1)));
        let mut groups = Self { lines: Vec::with_capacity(keyed.len()), bounds: Vec::new() };
        for (place, (key, _, line)) in keyed.into_iter().enumerate() {
            groups.lines.push(line);
            match groups.bounds.last_mut() {
                Some((last, range)) if *last == key => range.end = place + 1,
                _ => groups.bounds.push((key, place..place + 1)),
            }
        }
        Ok(groups)
    }

    /// The rows that hang on `key`.
    pub(in crate::engine) fn get(&self, key: Seen<'_>) -> &[Line<'a>] {
        let found = self.bounds.binary_search_by(|(known, _)| known.cmp(&key)).ok();
        let range = found.and_then(|place| self.bounds.get(place)).map(|(_, range)| range.clone());
        range.and_then(|range| self.lines.get(range)).unwrap_or(&[])
    }

    /// All of them.
    pub(in crate::engine) fn lines(&self) -> &[Line<'a>] {
        &self.lines
    }

    /// Each value with its rows, in order.
    pub(in crate::engine) fn iter(&self) -> impl Iterator<Item = (Seen<'a>, &[Line<'a>])> {
        self.bounds.iter().map(|(key, range)| (*key, self.lines.get(range.clone()).unwrap_or(&[])))
    }
}
