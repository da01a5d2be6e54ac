//! Rows of a CSV file (floor 4).

use std::io::Read;

use chrono::NaiveDate;
use csv::{ByteRecord, Reader, ReaderBuilder};
use entity::enums::ContactPointKind;

use super::{
    Encoding, Import, Reason, Target,
    drafts::{Checked, Checks, Draft, Seen, digest, external_id},
    lines::Lines,
    own::{self, Told},
    reading::decoded,
};
use crate::error::Error;

/// The rows of a file.
pub(super) struct CsvRows<R> {
    reader: Reader<Lines<R>>,
    record: ByteRecord,
    /// Fields of a row; that of the first row where there is no header.
    width: usize,
    columns: Vec<Column>,
    /// Names of all columns: those of the header, else their numbers.
    heads: Vec<String>,
    /// Columns that hold nothing which is imported.
    unmapped: Vec<usize>,
    external_id: Option<(usize, String)>,
    /// Columns that only an export of Zweck has, where this is one.
    own: Option<OwnColumns>,
    checks: Checks,
    today: NaiveDate,
    encoding: Encoding,
    seen: Seen,
}

struct Column {
    index: usize,
    name: String,
    target: Target,
}

/// The columns of one postal address.
struct PostalColumns<'a> {
    label: &'a str,
    column: &'a str,
    values: Vec<(&'static str, String)>,
}

struct OwnColumns {
    id: usize,
    created_at: Option<usize>,
    state: Option<usize>,
    points: Option<usize>,
    sources: Option<usize>,
}

impl<R: Read> CsvRows<R> {
    /// Reads the header, if there is one, and finds the mapped columns.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a column that is not there, or there twice, and for a file without the header it should have.
    pub fn open(file: R, import: &Import, checks: Checks, today: NaiveDate) -> Result<Self, Error> {
        let reading = &import.reading;
        let mut reader = ReaderBuilder::new()
            .delimiter(reading.delimiter)
            .has_headers(reading.header)
            .flexible(true)
            .from_reader(Lines::new(file, reading.delimiter));
        // Without a header this is the first row, which is read again as such.
        let header =
            reader.byte_headers().map_err(|_| Error::input("the header of the file cannot be read"))?.clone();
        let find = |wanted: &str| {
            if !reading.header {
                let number: Option<usize> = wanted.parse().ok();
                return match number.and_then(|number| number.checked_sub(1)) {
                    Some(index) if index < header.len() => Ok(index),
                    _ => Err(Error::input(format!(
                        "`{wanted}` is not the number of a column, 1 to {}",
                        header.len()
                    ))),
                };
            }
            let named = |name: &[u8]| decoded(reading.encoding, name).is_ok_and(|name| name.trim() == wanted);
            let mut found = header.iter().enumerate().filter(|(_, name)| named(name));
            match (found.next(), found.next()) {
                (Some((index, _)), None) => Ok(index),
                (None, _) => Err(Error::input(format!("the file has no column `{wanted}`"))),
                _ => Err(Error::input(format!("the file has several columns `{wanted}`"))),
            }
        };
        let mut columns = Vec::with_capacity(import.map.len());
        for (target, name) in &import.map {
            match find(name) {
                Ok(index) => columns.push(Column { index, name: name.clone(), target: target.clone() }),
                Err(_) if reading.optional.contains(target) => {}
                Err(error) => return Err(error),
            }
        }
        if columns.is_empty() {
            return Err(Error::input("the file has none of the mapped columns"));
        }
        let external_id = match &import.external_id {
            Some(name) => Some((find(name)?, name.clone())),
            None => None,
        };
        let heads: Vec<String> = header
            .iter()
            .enumerate()
            .map(|(index, name)| match decoded(reading.encoding, name) {
                Ok(name) if reading.header => name.trim().chars().take(60).collect(),
                _ => format!("column {}", index + 1),
            })
            .collect();
        let optional = |name: &str| find(name).ok();
        let own = match (reading.own, &external_id) {
            (true, Some((id, _))) => Some(OwnColumns {
                id: *id,
                created_at: optional("createdAt"),
                state: optional("state"),
                points: optional("contactPoints"),
                sources: optional("provenance"),
            }),
            _ => None,
        };
        let mapped = |index: &usize| {
            columns.iter().any(|column| column.index == *index)
                || external_id.as_ref().is_some_and(|(id, _)| id == index)
        };
        // Zweck's own record tells more than comes in again.
        let unmapped = (0..header.len()).filter(|index| own.is_none() && !mapped(index)).collect();
        Ok(Self {
            reader,
            record: ByteRecord::new(),
            width: header.len(),
            columns,
            heads,
            unmapped,
            external_id,
            own,
            checks,
            today,
            encoding: reading.encoding,
            seen: Seen::new(),
        })
    }

    /// The next row.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` where the file breaks off.
    pub fn next(&mut self) -> Result<Option<Checked>, Error> {
        let start = self.reader.position().byte();
        let Ok(more) = self.reader.read_byte_record(&mut self.record) else {
            return Err(super::broken_off(self.reader.get_ref().line_of_row()));
        };
        let end = self.reader.position().byte();
        let lines = self.reader.get_mut();
        if !more {
            return Ok(None);
        }
        let line = lines.line_of(start);
        if lines.broken_before(end) {
            // What belongs to whom cannot be told.
            let last = lines.last_line_before(end).filter(|last| *last > line);
            return Ok(Some(Checked::refused_to(line, last, Reason::BrokenQuotes)));
        }
        Ok(Some(self.check(line)))
    }

    fn check(&mut self, line: u64) -> Checked {
        if self.record.len() != self.width {
            return Checked::refused(line, Reason::WrongColumnCount);
        }
        let mut draft = Draft::new(self.checks, line);
        let mut postal: Vec<PostalColumns<'_>> = Vec::new();
        for Column { index, name, target } in &self.columns {
            let given = match self.text(*index) {
                Ok(given) => given,
                Err(reason) => {
                    draft.fault(name, reason);
                    continue;
                }
            };
            match target {
                Target::Field(field) => draft.value(field, name, &given),
                Target::Point { kind: ContactPointKind::Postal, field, label } => {
                    // The columns of one address make one contact point.
                    match postal.iter_mut().find(|known| known.label == label) {
                        Some(known) => known.values.push((field, given)),
                        None => {
                            postal.push(PostalColumns { label, column: name, values: vec![(field, given)] })
                        }
                    }
                }
                Target::Point { kind, field, label } => {
                    draft.point(*kind, name, &[(field, &given), ("label", label)], None);
                }
            }
        }
        for PostalColumns { label, column, values } in &postal {
            let mut values: Vec<(&str, &str)> =
                values.iter().map(|(name, value)| (*name, value.as_str())).collect();
            values.push(("label", label));
            draft.point(ContactPointKind::Postal, column, &values, None);
        }
        for index in &self.unmapped {
            let filled = self.record.get(*index).is_some_and(|cell| !cell.trim_ascii().is_empty());
            if let Some(head) = self.heads.get(*index).filter(|_| filled) {
                draft.leave_out(head);
            }
        }
        let told = self.own.as_ref().map(|columns| self.told(columns, &mut draft));
        match &self.external_id {
            None => {
                // Of all cells as they are, so that a row is known again whatever is mapped, and becomes of its values.
                let cells = self.heads.iter().map(|head| head.as_bytes());
                let cells = cells.zip(self.record.iter().map(<[u8]>::trim_ascii));
                draft.finish(digest(cells), None, None, &mut self.seen)
            }
            Some((index, name)) => match self.text(*index).and_then(|text| external_id(&text)) {
                Ok(id) => {
                    let own = told.and_then(|told| told.own(&id, name, &mut draft));
                    draft.finish(id, Some(name), own, &mut self.seen)
                }
                Err(reason) => draft.without_id(name, reason),
            },
        }
    }

    fn told(&self, columns: &OwnColumns, draft: &mut Draft) -> Told {
        let mut text = |index: Option<usize>, name: &str| match index.map(|index| self.text(index)) {
            Some(Ok(text)) if !text.is_empty() => Some(text),
            Some(Err(reason)) => {
                draft.refuse(Some(name), reason);
                None
            }
            _ => None,
        };
        let told = [
            text(columns.created_at, "createdAt"),
            text(columns.state, "state"),
            text(columns.points, "contactPoints"),
            text(columns.sources, "provenance"),
        ];
        Told::of_cells(told, self.today, draft)
    }

    /// The field at `index`, decoded and trimmed.
    fn text(&self, index: usize) -> Result<String, Reason> {
        let text = decoded(self.encoding, self.record.get(index).unwrap_or_default())?;
        Ok(match &self.own {
            Some(own) if own.id != index => own::unguarded(text.trim()),
            _ => text.trim().to_owned(),
        })
    }
}
