//! Rows as the database gave them: values are read by their place when they are needed, without a copy. Room: engine/executor.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::sqlx::{self, Row as _, postgres::PgRow, sqlite::SqliteRow};
use uuid::Uuid;

use crate::{
    base::error::Error,
    engine::{
        cell::{Cell, CellRef, Row},
        plan::selection::{Column, ColumnType, Fetch},
    },
};

/// The rows of one statement.
#[derive(Debug)]
pub(in crate::engine) enum RowSet {
    Postgres(Vec<PgRow>),
    Sqlite(Vec<SqliteRow>),
    /// Some values of which were made anew.
    Owned(Vec<Row>),
}

/// A row of one level.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct RowRef<'a> {
    raw: Raw<'a>,
    columns: &'a [Column],
    /// Where each column stands; without it in their order.
    places: Option<&'a [usize]>,
}

#[derive(Clone, Copy, Debug)]
enum Raw<'a> {
    Postgres(&'a PgRow),
    Sqlite(&'a SqliteRow),
    Owned(&'a Row),
    /// Nothing but the key of a row.
    Key(CellRef<'a>),
}

/// Reads the value at a place of a row of either database. What a column holds is known: it is not looked up again.
macro_rules! seen {
    ($row:expr, $place:expr, $kind:expr) => {{
        let (row, place) = ($row, $place);
        match $kind {
            ColumnType::Text => row
                .try_get_unchecked::<Option<&str>, _>(place)
                .map(|text| text.map_or(CellRef::Null, CellRef::Text)),
            ColumnType::Id => row
                .try_get_unchecked::<Option<Uuid>, _>(place)
                .map(|id| id.map_or(CellRef::Null, CellRef::Uuid)),
            ColumnType::Int => {
                row.try_get_unchecked::<Option<i32>, _>(place).map(|n| n.map_or(CellRef::Null, CellRef::Int))
            }
            ColumnType::Time => row
                .try_get_unchecked::<Option<DateTime<Utc>>, _>(place)
                .map(|instant| instant.map_or(CellRef::Null, CellRef::Time)),
            ColumnType::Date => row
                .try_get_unchecked::<Option<NaiveDate>, _>(place)
                .map(|date| date.map_or(CellRef::Null, CellRef::Date)),
        }
    }};
}

impl<'a> RowRef<'a> {
    /// A row that is made of its key alone: what is asked of it is nothing else.
    pub(in crate::engine) fn of_key(level: &'a Fetch, key: CellRef<'a>) -> Self {
        Self { raw: Raw::Key(key), columns: &level.columns, places: None }
    }

    /// The value of the column `slot` of its level.
    ///
    /// # Errors
    /// `INTERNAL` for a value of another kind than the registry says.
    pub(in crate::engine) fn seen(self, slot: usize) -> Result<CellRef<'a>, Error> {
        let Some(column) = self.columns.get(slot) else { return Ok(CellRef::Null) };
        let place = match self.places {
            Some(places) => places.get(slot).copied().unwrap_or(usize::MAX),
            None => slot,
        };
        let seen = match self.raw {
            Raw::Postgres(row) => seen!(row, place, column.kind()),
            Raw::Sqlite(row) => seen!(row, place, column.kind()),
            Raw::Owned(row) => return Ok(row.get(slot).map_or(CellRef::Null, CellRef::from)),
            Raw::Key(key) => return Ok(if slot == 0 { key } else { CellRef::Null }),
        };
        seen.map_err(unreadable)
    }

    /// The same, to be kept.
    pub(in crate::engine) fn cell(self, slot: usize) -> Result<Cell, Error> {
        self.seen(slot).map(CellRef::cell)
    }

    /// Whether the column `slot` says yes.
    pub(in crate::engine) fn says(self, slot: usize) -> Result<bool, Error> {
        Ok(self.seen(slot)? == CellRef::Int(1))
    }
}

fn unreadable(_: sqlx::Error) -> Error {
    // It may quote the value.
    Error::internal("a value of a row cannot be read")
}

/// Columns of a level, and where they stand.
pub(in crate::engine) type Part<'a> = (&'a [Column], &'a [usize]);

impl RowSet {
    pub(in crate::engine) fn len(&self) -> usize {
        match self {
            RowSet::Postgres(rows) => rows.len(),
            RowSet::Sqlite(rows) => rows.len(),
            RowSet::Owned(rows) => rows.len(),
        }
    }

    fn raw(&self) -> Vec<Raw<'_>> {
        match self {
            RowSet::Postgres(rows) => rows.iter().map(Raw::Postgres).collect(),
            RowSet::Sqlite(rows) => rows.iter().map(Raw::Sqlite).collect(),
            RowSet::Owned(rows) => rows.iter().map(Raw::Owned).collect(),
        }
    }

    /// Rows that come from elsewhere, as those of a level.
    pub(in crate::engine) fn made<'a>(rows: &'a [Row], columns: &'a [Column]) -> Vec<RowRef<'a>> {
        rows.iter().map(|row| RowRef { raw: Raw::Owned(row), columns, places: None }).collect()
    }

    /// The rows as those of a level, its columns in their order.
    pub(in crate::engine) fn lines<'a>(&'a self, columns: &'a [Column]) -> Vec<RowRef<'a>> {
        self.raw().into_iter().map(|raw| RowRef { raw, columns, places: None }).collect()
    }

    /// The rows of several levels, told apart by the number they begin with.
    ///
    /// # Errors
    /// `INTERNAL` for a number without a part.
    pub(in crate::engine) fn parted<'a>(&'a self, parts: &[Part<'a>]) -> Result<Vec<Vec<RowRef<'a>>>, Error> {
        let mut lines: Vec<Vec<RowRef<'a>>> = parts.iter().map(|_| Vec::new()).collect();
        for raw in self.raw() {
            let number: i32 = match raw {
                Raw::Postgres(row) => row.try_get_unchecked(0).map_err(unreadable)?,
                Raw::Sqlite(row) => row.try_get_unchecked(0).map_err(unreadable)?,
                Raw::Owned(_) | Raw::Key(_) => 0,
            };
            let number = usize::try_from(number).unwrap_or(usize::MAX);
            let (Some((columns, places)), Some(lines)) = (parts.get(number), lines.get_mut(number)) else {
                return Err(Error::internal("a row of no level"));
            };
            lines.push(RowRef { raw, columns, places: Some(places) });
        }
        Ok(lines)
    }
}

/// Rows by what they hang on: equal values side by side.
pub(in crate::engine) struct RowGroups<'a> {
    lines: Vec<RowRef<'a>>,
    /// In order.
    bounds: Vec<(CellRef<'a>, std::ops::Range<usize>)>,
}

impl<'a> RowGroups<'a> {
    /// Groups `lines` by the value of `slot`. Within a group they stay in their order, or get that of their keys.
    ///
    /// # Errors
    /// A value cannot be read.
    pub(in crate::engine) fn of(lines: Vec<RowRef<'a>>, slot: usize, by_key: bool) -> Result<Self, Error> {
        let mut keyed = Vec::with_capacity(lines.len());
        for line in lines {
            keyed.push((line.seen(slot)?, if by_key { line.seen(0)? } else { CellRef::Null }, line));
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
    pub(in crate::engine) fn get(&self, key: CellRef<'_>) -> &[RowRef<'a>] {
        let found = self.bounds.binary_search_by(|(known, _)| known.cmp(&key)).ok();
        let range = found.and_then(|place| self.bounds.get(place)).map(|(_, range)| range.clone());
        range.and_then(|range| self.lines.get(range)).unwrap_or(&[])
    }

    /// All of them.
    pub(in crate::engine) fn lines(&self) -> &[RowRef<'a>] {
        &self.lines
    }

    /// Each value with its rows, in order.
    pub(in crate::engine) fn iter(&self) -> impl Iterator<Item = (CellRef<'a>, &[RowRef<'a>])> {
        self.bounds.iter().map(|(key, range)| (*key, self.lines.get(range.clone()).unwrap_or(&[])))
    }
}
