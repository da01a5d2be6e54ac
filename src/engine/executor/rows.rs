//! Rows as the database returned them: values are read by position when needed, without a copy.
//! Room: engine/executor.

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
    /// Rows with computed values.
    Owned(Vec<Row>),
}

/// A row of one fetch.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine) struct RowRef<'a> {
    raw: Raw<'a>,
    columns: &'a [Column],
    /// The position of each column; `None` if they are in order.
    positions: Option<&'a [usize]>,
}

#[derive(Clone, Copy, Debug)]
enum Raw<'a> {
    Postgres(&'a PgRow),
    Sqlite(&'a SqliteRow),
    Owned(&'a Row),
    /// Only the key of a row.
    Key(CellRef<'a>),
}

/// Reads the value at a position of a row of either database. The column type is known and not looked up again.
macro_rules! read_cell {
    ($row:expr, $position:expr, $kind:expr) => {{
        let (row, position) = ($row, $position);
        match $kind {
            ColumnType::Text => row
                .try_get_unchecked::<Option<&str>, _>(position)
                .map(|text| text.map_or(CellRef::Null, CellRef::Text)),
            ColumnType::Id => row
                .try_get_unchecked::<Option<Uuid>, _>(position)
                .map(|id| id.map_or(CellRef::Null, CellRef::Uuid)),
            ColumnType::Int => row
                .try_get_unchecked::<Option<i32>, _>(position)
                .map(|n| n.map_or(CellRef::Null, CellRef::Int)),
            ColumnType::Time => row
                .try_get_unchecked::<Option<DateTime<Utc>>, _>(position)
                .map(|instant| instant.map_or(CellRef::Null, CellRef::Time)),
            ColumnType::Date => row
                .try_get_unchecked::<Option<NaiveDate>, _>(position)
                .map(|date| date.map_or(CellRef::Null, CellRef::Date)),
        }
    }};
}

impl<'a> RowRef<'a> {
    /// A row made of its key, of which nothing else is selected.
    pub(in crate::engine) fn from_key(fetch: &'a Fetch, key: CellRef<'a>) -> Self {
        Self { raw: Raw::Key(key), columns: &fetch.columns, positions: None }
    }

    /// The value of the column `slot` of its fetch.
    ///
    /// # Errors
    /// `INTERNAL` for a value of another type than the registry declares.
    pub(in crate::engine) fn get(self, slot: usize) -> Result<CellRef<'a>, Error> {
        let Some(column) = self.columns.get(slot) else { return Ok(CellRef::Null) };
        let position = match self.positions {
            Some(positions) => positions.get(slot).copied().unwrap_or(usize::MAX),
            None => slot,
        };
        let value = match self.raw {
            Raw::Postgres(row) => read_cell!(row, position, column.kind()),
            Raw::Sqlite(row) => read_cell!(row, position, column.kind()),
            Raw::Owned(row) => return Ok(row.get(slot).map_or(CellRef::Null, CellRef::from)),
            Raw::Key(key) => return Ok(if slot == 0 { key } else { CellRef::Null }),
        };
        value.map_err(unreadable)
    }

    /// As [`Self::get`], owned.
    pub(in crate::engine) fn get_owned(self, slot: usize) -> Result<Cell, Error> {
        self.get(slot).map(CellRef::to_cell)
    }

    /// Whether the column `slot` is 1.
    pub(in crate::engine) fn is_true(self, slot: usize) -> Result<bool, Error> {
        Ok(self.get(slot)? == CellRef::Int(1))
    }
}

fn unreadable(_: sqlx::Error) -> Error {
    // The driver's message may quote the value.
    Error::internal("a value of a row cannot be read")
}

/// Columns of a fetch, and their positions.
pub(in crate::engine) type FetchColumns<'a> = (&'a [Column], &'a [usize]);

impl RowSet {
    pub(in crate::engine) fn len(&self) -> usize {
        match self {
            RowSet::Postgres(rows) => rows.len(),
            RowSet::Sqlite(rows) => rows.len(),
            RowSet::Owned(rows) => rows.len(),
        }
    }

    fn raw_rows(&self) -> Vec<Raw<'_>> {
        match self {
            RowSet::Postgres(rows) => rows.iter().map(Raw::Postgres).collect(),
            RowSet::Sqlite(rows) => rows.iter().map(Raw::Sqlite).collect(),
            RowSet::Owned(rows) => rows.iter().map(Raw::Owned).collect(),
        }
    }

    /// Rows from elsewhere, as rows of a fetch.
    pub(in crate::engine) fn row_refs<'a>(rows: &'a [Row], columns: &'a [Column]) -> Vec<RowRef<'a>> {
        rows.iter().map(|row| RowRef { raw: Raw::Owned(row), columns, positions: None }).collect()
    }

    /// The rows of a single fetch, its columns in order.
    pub(in crate::engine) fn rows<'a>(&'a self, columns: &'a [Column]) -> Vec<RowRef<'a>> {
        self.raw_rows().into_iter().map(|raw| RowRef { raw, columns, positions: None }).collect()
    }

    /// The rows of several fetches, distinguished by the number that each row begins with.
    ///
    /// # Errors
    /// `INTERNAL` for an unknown number.
    pub(in crate::engine) fn split_by_fetch<'a>(
        &'a self,
        parts: &[FetchColumns<'a>],
    ) -> Result<Vec<Vec<RowRef<'a>>>, Error> {
        let mut rows: Vec<Vec<RowRef<'a>>> = parts.iter().map(|_| Vec::new()).collect();
        for raw in self.raw_rows() {
            let number: i32 = match raw {
                Raw::Postgres(row) => row.try_get_unchecked(0).map_err(unreadable)?,
                Raw::Sqlite(row) => row.try_get_unchecked(0).map_err(unreadable)?,
                Raw::Owned(_) | Raw::Key(_) => 0,
            };
            let number = usize::try_from(number).unwrap_or(usize::MAX);
            let (Some((columns, positions)), Some(rows)) = (parts.get(number), rows.get_mut(number)) else {
                return Err(Error::internal("a row of an unknown fetch"));
            };
            rows.push(RowRef { raw, columns, positions: Some(positions) });
        }
        Ok(rows)
    }
}

/// Rows grouped by the value they are joined by.
pub(in crate::engine) struct RowGroups<'a> {
    rows: Vec<RowRef<'a>>,
    /// Sorted.
    bounds: Vec<(CellRef<'a>, std::ops::Range<usize>)>,
}

impl<'a> RowGroups<'a> {
    /// Groups `rows` by the value of `slot`. Within a group they keep their order, or are sorted by key.
    ///
    /// # Errors
    /// A value cannot be read.
    pub(in crate::engine) fn group_by(
        rows: Vec<RowRef<'a>>,
        slot: usize,
        by_key: bool,
    ) -> Result<Self, Error> {
        let mut sorted = Vec::with_capacity(rows.len());
        for row in rows {
            sorted.push((row.get(slot)?, if by_key { row.get(0)? } else { CellRef::Null }, row));
        }
        sorted.sort_by(|left, right| (left.0, left.1).cmp(&(right.0, right.1)));
        let mut groups = Self { rows: Vec::with_capacity(sorted.len()), bounds: Vec::new() };
        for (position, (key, _, row)) in sorted.into_iter().enumerate() {
            groups.rows.push(row);
            match groups.bounds.last_mut() {
                Some((last, range)) if *last == key => range.end = position + 1,
                _ => groups.bounds.push((key, position..position + 1)),
            }
        }
        Ok(groups)
    }

    /// The rows of `key`.
    pub(in crate::engine) fn get(&self, key: CellRef<'_>) -> &[RowRef<'a>] {
        let found = self.bounds.binary_search_by(|(candidate, _)| candidate.cmp(&key)).ok();
        let range = found.and_then(|position| self.bounds.get(position)).map(|(_, range)| range.clone());
        range.and_then(|range| self.rows.get(range)).unwrap_or(&[])
    }

    /// All rows, group by group.
    pub(in crate::engine) fn rows(&self) -> &[RowRef<'a>] {
        &self.rows
    }

    /// Each value with its rows, sorted.
    pub(in crate::engine) fn iter(&self) -> impl Iterator<Item = (CellRef<'a>, &[RowRef<'a>])> {
        self.bounds.iter().map(|(key, range)| (*key, self.rows.get(range.clone()).unwrap_or(&[])))
    }
}
