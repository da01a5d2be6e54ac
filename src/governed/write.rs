//! Rows become JSON text: a plain loop into one buffer (floor 2).

use std::{collections::HashMap, ops::Range};

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use sea_orm::Value as Bound;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::levels::{Column, ColumnOf, Node, What};
use crate::register::{Mask, Scalar};

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
    pub(super) fn bound(&self) -> Option<Bound> {
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

/// What a level's children wrote: for each parent a part of one text.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) parts: HashMap<Cell, Range<usize>>,
    /// What stands for a parent without a part.
    pub(super) empty: &'static str,
}

impl Written {
    fn part(&self, key: Option<&Cell>) -> &str {
        let range = key.and_then(|key| self.parts.get(key));
        range.and_then(|range| self.text.get(range.clone())).unwrap_or(self.empty)
    }
}

/// Writes `row` as the object that `node` asks for. `withheld` counts values that a missing consent keeps back.
pub(super) fn write_row(
    out: &mut String,
    node: &Node,
    row: &Row,
    children: &[Written],
    context: &mut Context<'_>,
) {
    let cell = |slot: usize| row.get(slot).unwrap_or(&Cell::Null);
    for (index, field) in node.outs.iter().enumerate() {
        out.push(if index == 0 { '{' } else { ',' });
        out.push_str(&field.key);
        match &field.what {
            What::Null => out.push_str("null"),
            What::Typename(name) => write_text(out, name),
            What::Value { slot, scalar, mask, cover } => match cover {
                Some((cover, withheld)) if *cell(*cover) != Cell::Int(1) => {
                    if let Some(count) = context.withheld.get_mut(*withheld) {
                        *count += 1;
                    }
                    out.push_str("null");
                }
                _ => match mask {
                    None => write_cell(out, cell(*slot), *scalar),
                    Some(mask) => write_masked(out, cell(*slot), *mask),
                },
            },
            What::Flag { mask: Some(_), .. } => out.push_str("null"),
            What::Flag { slot, mask: None } => {
                out.push_str(if *cell(*slot) == Cell::Int(1) { "true" } else { "false" });
            }
            What::Child { child, slot } => {
                out.push_str(children.get(*child).map_or("null", |written| written.part(row.get(*slot))));
            }
        }
    }
    out.push_str(if node.outs.is_empty() { "{}" } else { "}" });
}

/// What rows are written under.
pub(super) struct Context<'a> {
    pub(super) withheld: &'a mut [u64],
}

fn write_cell(out: &mut String, cell: &Cell, scalar: Scalar) {
    match cell {
        Cell::Null => out.push_str("null"),
        // Lists are kept as JSON text, written by us and parsed again here: what is no list is null.
        Cell::Text(text) if matches!(scalar, Scalar::TextList | Scalar::EnumList(_)) => {
            match serde_json::from_str::<Vec<String>>(text) {
                Ok(items) => write_list(out, items.iter().map(String::as_str)),
                Err(_) => out.push_str("null"),
            }
        }
        // Opened by the reader: JSON already.
        Cell::Text(json) if matches!(scalar, Scalar::Sealed { .. }) => out.push_str(json),
        Cell::Text(text) => write_text(out, text),
        Cell::Uuid(id) => {
            out.push('"');
            out.push_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
            out.push('"');
        }
        Cell::Int(number) => out.push_str(&number.to_string()),
        Cell::Time(instant) => {
            out.push('"');
            out.push_str(&instant.to_rfc3339_opts(SecondsFormat::AutoSi, true));
            out.push('"');
        }
        Cell::Date(date) => {
            out.push('"');
            out.push_str(&date.to_string());
            out.push('"');
        }
    }
}

/// The masked form: it keeps the type, and tells neither length nor enough to tell two people apart.
fn write_masked(out: &mut String, cell: &Cell, mask: Mask) {
    match (mask, cell) {
        (_, Cell::Null) | (Mask::Null, _) => out.push_str("null"),
        (Mask::Hidden, _) => out.push_str("\"***\""),
        (Mask::Email, _) => out.push_str("\"***@***\""),
        (Mask::Year, Cell::Date(date)) => write_text(out, &date.format("%Y").to_string()),
        (Mask::Year, _) => out.push_str("null"),
        (Mask::Initial, Cell::Text(text)) => {
            let initial: String = text.chars().take(1).chain("***".chars()).collect();
            write_text(out, &initial);
        }
        (Mask::Initial, _) => out.push_str("null"),
    }
}

pub(super) fn write_list<'a>(out: &mut String, items: impl IntoIterator<Item = &'a str>) {
    out.push('[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(out, item);
    }
    out.push(']');
}

/// Writes a JSON string (RFC 8259).
#[inline]
pub fn write_text(out: &mut String, text: &str) {
    out.reserve(text.len() + 2);
    out.push('"');
    // Without a way out in the middle, so that it runs over many bytes at once; texts that need escapes are rare.
    let special = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    if text.bytes().fold(false, |found, byte| found | special(byte)) {
        write_escaped(out, text);
    } else {
        out.push_str(text);
    }
    out.push('"');
}

#[cold]
fn write_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(control))),
            plain => out.push(plain),
        }
    }
}

/// Reads the cells of a result row.
pub(super) fn decode(row: &sea_orm::QueryResult, columns: &[Column]) -> Result<Row, sea_orm::DbErr> {
    columns.iter().enumerate().map(|(index, column)| decode_cell(row, index, column)).collect()
}

fn decode_cell(row: &sea_orm::QueryResult, index: usize, column: &Column) -> Result<Cell, sea_orm::DbErr> {
    if matches!(column.of, ColumnOf::Cover(_) | ColumnOf::Flag(_)) {
        return Ok(Cell::Int(row.try_get_by_index(index)?));
    }
    Ok(match column.scalar {
        Scalar::Id => row.try_get_by_index::<Option<Uuid>>(index)?.map_or(Cell::Null, Cell::Uuid),
        Scalar::Int => row.try_get_by_index::<Option<i32>>(index)?.map_or(Cell::Null, Cell::Int),
        Scalar::DateTime => {
            row.try_get_by_index::<Option<DateTime<Utc>>>(index)?.map_or(Cell::Null, Cell::Time)
        }
        Scalar::Date => row.try_get_by_index::<Option<NaiveDate>>(index)?.map_or(Cell::Null, Cell::Date),
        Scalar::Text
        | Scalar::TextList
        | Scalar::EnumList(_)
        | Scalar::Enum(_)
        | Scalar::Expiring(_)
        | Scalar::Sealed { .. } => {
            row.try_get_by_index::<Option<String>>(index)?.map_or(Cell::Null, Cell::Text)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_written_as_serde_writes_them() {
        for text in ["", "plain", "a\"b\\c\nd\re\tf", "\u{1}\u{1f}", "Ünï \u{7f} 🦀", "\"", "\\"] {
            let mut out = String::new();
            write_text(&mut out, text);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn masks_hide_length_and_keep_null() {
        let masked = |cell: Cell, mask| {
            let mut out = String::new();
            write_masked(&mut out, &cell, mask);
            out
        };
        let text = |text: &str| Cell::Text(text.to_owned());
        assert_eq!(masked(text("a@b.c"), Mask::Email), masked(text("someone.else@example.org"), Mask::Email));
        assert_eq!(masked(text("Stuttgart"), Mask::Initial), "\"S***\"");
        assert_eq!(masked(Cell::Date("1984-02-29".parse().unwrap()), Mask::Year), "\"1984\"");
        assert_eq!(masked(Cell::Null, Mask::Hidden), "null");
        assert_eq!(masked(text("x"), Mask::Null), "null");
    }
}
