//! Rows become JSON text: a plain loop into one buffer (floor 2).

use std::ops::Range;

use chrono::{DateTime, Datelike, NaiveDate, SecondsFormat, Timelike, Utc};
use sea_orm::Value as Bound;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    fetched::{Line, Seen},
    levels::{Level, Node, What},
};
use crate::{
    error::Error,
    register::{Mask, Scalar},
};

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

/// What a level's children wrote.
#[derive(Debug)]
pub(super) enum Written<'p> {
    /// For each parent a part of one text.
    Parts(Parts),
    /// What is written of the key alone.
    Key(&'p Level),
}

/// Parts of one text, for the parents in order.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) text: String,
    places: Vec<(Cell, Range<usize>)>,
    /// What stands for a parent without a part.
    pub(super) empty: &'static str,
}

impl Parts {
    pub(super) fn new(empty: &'static str) -> Self {
        Self { empty, ..Self::default() }
    }

    /// Notes what was written from `start` on as the part of `key`, which comes behind those noted before.
    pub(super) fn note(&mut self, key: Seen<'_>, start: usize) {
        self.places.push((key.cell(), start..self.text.len()));
    }

    fn part(&self, key: Seen<'_>) -> &str {
        let found = self.places.binary_search_by(|(known, _)| Seen::from(known).cmp(&key)).ok();
        let range = found.and_then(|place| self.places.get(place)).map(|(_, range)| range.clone());
        range.and_then(|range| self.text.get(range)).unwrap_or(self.empty)
    }
}

/// Writes `line` as the object that `node` asks for. `withheld` counts values that a missing consent keeps back.
///
/// # Errors
/// A value cannot be read.
pub(super) fn write_row(
    out: &mut String,
    node: &Node,
    line: Line<'_>,
    children: &[Written<'_>],
    context: &mut Context<'_>,
) -> Result<(), Error> {
    for (index, field) in node.outs.iter().enumerate() {
        out.push(if index == 0 { '{' } else { ',' });
        out.push_str(&field.key);
        match &field.what {
            What::Null => out.push_str("null"),
            What::Typename(name) => write_text(out, name),
            What::Value { slot, scalar, mask, cover } => match cover {
                Some((cover, withheld)) if !line.says(*cover)? => {
                    if let Some(count) = context.withheld.get_mut(*withheld) {
                        *count += 1;
                    }
                    out.push_str("null");
                }
                _ => match mask {
                    None => write_value(out, line.seen(*slot)?, *scalar),
                    Some(mask) => write_masked(out, line.seen(*slot)?, *mask),
                },
            },
            What::Flag { mask: Some(_), .. } => out.push_str("null"),
            What::Flag { slot, mask: None } => out.push_str(if line.says(*slot)? { "true" } else { "false" }),
            What::Child { child, slot } => {
                let key = line.seen(*slot)?;
                match children.get(*child) {
                    Some(Written::Parts(parts)) => out.push_str(parts.part(key)),
                    Some(Written::Key(level)) if key != Seen::Null => match level.nodes.first() {
                        Some(node) => write_row(out, node, Line::of_key(level, key), &[], context)?,
                        None => out.push_str("null"),
                    },
                    _ => out.push_str("null"),
                }
            }
        }
    }
    out.push_str(if node.outs.is_empty() { "{}" } else { "}" });
    Ok(())
}

/// What rows are written under.
pub(super) struct Context<'a> {
    pub(super) withheld: &'a mut [u64],
}

fn write_value(out: &mut String, value: Seen<'_>, scalar: Scalar) {
    match value {
        Seen::Null => out.push_str("null"),
        // Lists are kept as JSON text, written by us and parsed again here: what is no list is null.
        Seen::Text(text) if matches!(scalar, Scalar::TextList | Scalar::EnumList(_)) => {
            match serde_json::from_str::<Vec<String>>(text) {
                Ok(items) => write_list(out, items.iter().map(String::as_str)),
                Err(_) => out.push_str("null"),
            }
        }
        // Opened by the reader: JSON already.
        Seen::Text(json) if matches!(scalar, Scalar::Sealed { .. }) => out.push_str(json),
        Seen::Text(text) => write_text(out, text),
        Seen::Uuid(id) => {
            out.push('"');
            out.push_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
            out.push('"');
        }
        Seen::Int(number) => out.push_str(&number.to_string()),
        Seen::Time(instant) => {
            out.push('"');
            write_instant(out, instant);
            out.push('"');
        }
        Seen::Date(date) => {
            out.push('"');
            out.push_str(&date.to_string());
            out.push('"');
        }
    }
}

/// Writes an instant (RFC 3339, UTC) with as many digits of the second as it has, in threes.
fn write_instant(out: &mut String, instant: DateTime<Utc>) {
    let (year, nanos) = (instant.year(), instant.nanosecond());
    // Leap seconds are told as such by the second of 60.
    if !(0..=9_999).contains(&year) || nanos >= 1_000_000_000 {
        out.push_str(&instant.to_rfc3339_opts(SecondsFormat::AutoSi, true));
        return;
    }
    write_digits(out, year.unsigned_abs(), 4);
    for (sign, number) in [
        ('-', instant.month()),
        ('-', instant.day()),
        ('T', instant.hour()),
        (':', instant.minute()),
        (':', instant.second()),
    ] {
        out.push(sign);
        write_digits(out, number, 2);
    }
    if nanos > 0 {
        let (digits, unit) = match nanos {
            nanos if nanos % 1_000_000 == 0 => (3, 1_000_000),
            nanos if nanos % 1_000 == 0 => (6, 1_000),
            _ => (9, 1),
        };
        out.push('.');
        write_digits(out, nanos / unit, digits);
    }
    out.push('Z');
}

/// Writes the last `digits` digits of `number`.
fn write_digits(out: &mut String, number: u32, digits: u32) {
    for place in (0..digits).rev() {
        let digit = number / 10_u32.pow(place) % 10;
        out.push(char::from_digit(digit, 10).unwrap_or('0'));
    }
}

/// The masked form: it keeps the type, and tells neither length nor enough to tell two people apart.
fn write_masked(out: &mut String, value: Seen<'_>, mask: Mask) {
    match (mask, value) {
        (_, Seen::Null) | (Mask::Null, _) => out.push_str("null"),
        (Mask::Hidden, _) => out.push_str("\"***\""),
        (Mask::Email, _) => out.push_str("\"***@***\""),
        (Mask::Year, Seen::Date(date)) => write_text(out, &date.format("%Y").to_string()),
        (Mask::Year, _) => out.push_str("null"),
        (Mask::Initial, Seen::Text(text)) => {
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
    fn instants_are_written_as_chrono_writes_them() {
        let at = |secs, nanos| DateTime::from_timestamp(secs, nanos).unwrap();
        for instant in [
            at(0, 0),
            at(1_793_610_000, 0),
            at(1_793_610_001, 120_000_000),
            at(1_793_610_059, 123_456_000),
            at(951_782_399, 1),
            at(951_782_399, 999_999_999),
            at(1_793_610_059, 1_500_000_000),
            at(-62_167_219_200, 0),
            at(-62_167_219_201, 0),
            at(253_402_300_800, 7_000),
        ] {
            let mut out = String::new();
            write_instant(&mut out, instant);
            assert_eq!(out, instant.to_rfc3339_opts(SecondsFormat::AutoSi, true));
        }
    }

    #[test]
    fn masks_hide_length_and_keep_null() {
        let masked = |value: Seen<'_>, mask| {
            let mut out = String::new();
            write_masked(&mut out, value, mask);
            out
        };
        let text = Seen::Text;
        assert_eq!(masked(text("a@b.c"), Mask::Email), masked(text("someone.else@example.org"), Mask::Email));
        assert_eq!(masked(text("Stuttgart"), Mask::Initial), "\"S***\"");
        assert_eq!(masked(Seen::Date("1984-02-29".parse().unwrap()), Mask::Year), "\"1984\"");
        assert_eq!(masked(Seen::Null, Mask::Hidden), "null");
        assert_eq!(masked(text("x"), Mask::Null), "null");
    }
}
