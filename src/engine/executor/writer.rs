//! Writes rows as JSON text: a plain loop into one buffer. Room: engine/executor.

use chrono::{Datelike as _, Timelike as _};
use std::ops::Range;

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use super::rows::RowRef;
use crate::{
    base::error::Error,
    engine::{
        cell::{Cell, CellRef},
        json::{write_list, write_text},
        plan::selection::{Fetch, OutputObject, OutputValue},
    },
    registry::{Mask, Scalar},
};

/// The JSON of the children of one relation.
#[derive(Debug)]
pub(in crate::engine) enum ChildJson<'p> {
    /// One fragment for each parent.
    JsonFragments(JsonFragments),
    /// Written from the key of the row.
    Key(&'p Fetch),
}

/// Fragments of one text, in order of the parents' keys.
#[derive(Debug, Default)]
pub(in crate::engine) struct JsonFragments {
    pub(in crate::engine) text: String,
    ranges: Vec<(Cell, Range<usize>)>,
    /// The JSON for a parent without a fragment.
    pub(in crate::engine) empty: &'static str,
}

impl JsonFragments {
    pub(in crate::engine) fn new(empty: &'static str) -> Self {
        Self { empty, ..Self::default() }
    }

    /// Adds the text from `start` on as the fragment of `key`, which must follow those added before.
    pub(in crate::engine) fn add(&mut self, key: CellRef<'_>, start: usize) {
        self.ranges.push((key.to_cell(), start..self.text.len()));
    }

    fn get(&self, key: CellRef<'_>) -> &str {
        let found = self.ranges.binary_search_by(|(candidate, _)| CellRef::from(candidate).cmp(&key)).ok();
        let range = found.and_then(|index| self.ranges.get(index)).map(|(_, range)| range.clone());
        range.and_then(|range| self.text.get(range)).unwrap_or(self.empty)
    }
}

/// Writes `row` as the object `output`. `context` counts the values withheld for lack of consent.
///
/// # Errors
/// A value cannot be read.
pub(in crate::engine) fn write_row(
    out: &mut String,
    output: &OutputObject,
    row: RowRef<'_>,
    children: &[ChildJson<'_>],
    context: &mut WriteContext<'_>,
) -> Result<(), Error> {
    for (index, field) in output.fields.iter().enumerate() {
        out.push(if index == 0 { '{' } else { ',' });
        out.push_str(&field.key);
        match &field.value {
            OutputValue::Null => out.push_str("null"),
            OutputValue::Typename(name) => write_text(out, name),
            OutputValue::Value { slot, scalar, mask, coverage } => match coverage {
                Some((slot, withheld)) if !row.is_true(*slot)? => {
                    if let Some(count) = context.withheld.get_mut(*withheld) {
                        *count += 1;
                    }
                    out.push_str("null");
                }
                _ => match mask {
                    None => write_value(out, row.get(*slot)?, *scalar),
                    Some(mask) => write_masked(out, row.get(*slot)?, *mask),
                },
            },
            OutputValue::Flag { mask: Some(_), .. } => out.push_str("null"),
            OutputValue::Flag { slot, mask: None } => {
                out.push_str(if row.is_true(*slot)? { "true" } else { "false" })
            }
            OutputValue::Child { child, slot } => {
                let key = row.get(*slot)?;
                match children.get(*child) {
                    Some(ChildJson::JsonFragments(parts)) => out.push_str(parts.get(key)),
                    Some(ChildJson::Key(fetch)) if key != CellRef::Null => match fetch.outputs.first() {
                        Some(output) => write_row(out, output, RowRef::from_key(fetch, key), &[], context)?,
                        None => out.push_str("null"),
                    },
                    _ => out.push_str("null"),
                }
            }
        }
    }
    out.push_str(if output.fields.is_empty() { "{}" } else { "}" });
    Ok(())
}

/// Counters while rows are written.
pub(in crate::engine) struct WriteContext<'a> {
    pub(in crate::engine) withheld: &'a mut [u64],
}

fn write_value(out: &mut String, value: CellRef<'_>, scalar: Scalar) {
    match value {
        CellRef::Null => out.push_str("null"),
        // Lists are stored as JSON text and parsed again here; anything else is null.
        CellRef::Text(text) if matches!(scalar, Scalar::TextList | Scalar::EnumList(_)) => {
            match serde_json::from_str::<Vec<String>>(text) {
                Ok(items) => write_list(out, items.iter().map(String::as_str)),
                Err(_) => out.push_str("null"),
            }
        }
        // Already JSON, opened by the executor.
        CellRef::Text(json) if matches!(scalar, Scalar::Sealed { .. }) => out.push_str(json),
        CellRef::Text(text) => write_text(out, text),
        CellRef::Uuid(id) => {
            out.push('"');
            out.push_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
            out.push('"');
        }
        CellRef::Int(number) => out.push_str(&number.to_string()),
        CellRef::Time(instant) => {
            out.push('"');
            write_instant(out, instant);
            out.push('"');
        }
        CellRef::Date(date) => {
            out.push('"');
            out.push_str(&date.to_string());
            out.push('"');
        }
    }
}

/// Writes an instant (RFC 3339, UTC) with as many digits of the second as it has, in threes.
fn write_instant(out: &mut String, instant: DateTime<Utc>) {
    let (year, nanos) = (instant.year(), instant.nanosecond());
    // Leap seconds: the nanoseconds exceed one second.
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
    for index in (0..digits).rev() {
        let digit = number / 10_u32.pow(index) % 10;
        out.push(char::from_digit(digit, 10).unwrap_or('0'));
    }
}

/// Writes the masked form: it keeps the type and reveals neither the length nor enough to tell two people apart.
fn write_masked(out: &mut String, value: CellRef<'_>, mask: Mask) {
    match (mask, value) {
        (_, CellRef::Null) | (Mask::Null, _) => out.push_str("null"),
        (Mask::Hidden, _) => out.push_str("\"***\""),
        (Mask::Email, _) => out.push_str("\"***@***\""),
        (Mask::Year, CellRef::Date(date)) => write_text(out, &date.format("%Y").to_string()),
        (Mask::Year, _) => out.push_str("null"),
        (Mask::Initial, CellRef::Text(text)) => {
            let initial: String = text.chars().take(1).chain("***".chars()).collect();
            write_text(out, &initial);
        }
        (Mask::Initial, _) => out.push_str("null"),
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
        let masked = |value: CellRef<'_>, mask| {
            let mut out = String::new();
            write_masked(&mut out, value, mask);
            out
        };
        let text = CellRef::Text;
        assert_eq!(masked(text("a@b.c"), Mask::Email), masked(text("someone.else@example.org"), Mask::Email));
        assert_eq!(masked(text("Stuttgart"), Mask::Initial), "\"S***\"");
        assert_eq!(masked(CellRef::Date("1984-02-29".parse().unwrap()), Mask::Year), "\"1984\"");
        assert_eq!(masked(CellRef::Null, Mask::Hidden), "null");
        assert_eq!(masked(text("x"), Mask::Null), "null");
    }
}
