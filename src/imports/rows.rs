//! Reads a CSV file row by row and checks each row (floor 4).

use std::{collections::HashSet, io::Read};

use chrono::NaiveDate;
use csv::{ByteRecord, Reader, ReaderBuilder};
use sha2::{Digest, Sha256};

use super::{Encoding, Import, OnInvalid, Problem, Reason, lines::Lines};
use crate::{
    contacts,
    error::Error,
    register::{Check, Field},
};

/// A row that passed every check.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Id in the source; a digest of the row where the file has none, so that a repeat finds it.
    pub external_id: String,
    /// The values that are not empty.
    pub values: contacts::Values,
}

/// The rows of a file.
pub(super) struct Rows<R> {
    reader: Reader<Lines<R>>,
    record: ByteRecord,
    /// Fields of a row; that of the first row where there is no header.
    width: usize,
    columns: Vec<Column>,
    external_id: Option<(usize, String)>,
    seen: HashSet<[u8; 16]>,
    today: NaiveDate,
    encoding: Encoding,
    on_invalid: OnInvalid,
}

struct Column {
    index: usize,
    name: String,
    field: &'static Field,
    check: Check,
}

/// A row, unless it is left out, and what is wrong with it.
pub(super) type Checked = (Option<Row>, Vec<Problem>);

impl<R: Read> Rows<R> {
    /// Reads the header, if there is one, and finds the mapped columns.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a column that is not there, or there twice, and for a file without the header it should have.
    pub fn open(file: R, import: &Import, today: NaiveDate) -> Result<Self, Error> {
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
        for (field, name) in &import.map {
            let check = field.check.ok_or_else(|| Error::internal("a field that is not given"))?;
            match find(name) {
                Ok(index) => columns.push(Column { index, name: name.clone(), field, check }),
                Err(_) if reading.optional.contains(&field.name) => {}
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
        Ok(Self {
            reader,
            record: ByteRecord::new(),
            width: header.len(),
            columns,
            external_id,
            seen: HashSet::new(),
            today,
            encoding: reading.encoding,
            on_invalid: reading.on_invalid,
        })
    }

    /// The next row with what is wrong with it; `None` at the end of the file.
    pub fn next(&mut self) -> Result<Option<Checked>, Error> {
        if !self.reader.read_byte_record(&mut self.record).map_err(|_| broken_off())? {
            return Ok(None);
        }
        let byte = self.record.position().map_or(0, csv::Position::byte);
        let end = self.reader.position().byte();
        let lines = self.reader.get_mut();
        let line = lines.line_of(byte);
        if lines.broken_before(end) {
            // What belongs to which field, or even row, cannot be told.
            return Ok(Some((None, vec![Problem { line, column: None, reason: Reason::BrokenQuotes }])));
        }
        Ok(Some(self.check(line)))
    }

    fn check(&mut self, line: u64) -> Checked {
        let problem =
            |column: Option<&str>, reason| Problem { line, column: column.map(str::to_owned), reason };
        if self.record.len() != self.width {
            return (None, vec![problem(None, Reason::WrongColumnCount)]);
        }
        let mut problems = Vec::new();
        let mut fatal = false;
        let mut values = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let given = match text(self.encoding, &self.record, column.index) {
                Ok(given) => given,
                Err(reason) => {
                    problems.push(problem(Some(&column.name), reason));
                    fatal |= self.on_invalid == OnInvalid::SkipRow;
                    continue;
                }
            };
            match column.check.check(&given, self.today) {
                Ok(Some(value)) => values.push((column.field, value)),
                Ok(None) => {}
                Err(fault) => {
                    problems.push(problem(Some(&column.name), fault.into()));
                    fatal |= self.on_invalid == OnInvalid::SkipRow;
                    // As given, where the column holds any text and the text itself is sound.
                    let kept = Check::Line.check(&given, self.today).ok().flatten();
                    let shape = matches!(column.check, Check::Email | Check::Phone | Check::Language);
                    if let (OnInvalid::Keep, true, Some(kept)) = (self.on_invalid, shape, kept) {
                        values.push((column.field, kept));
                    }
                }
            }
        }
        let mut column_of_id = None;
        let external_id = match &self.external_id {
            // Of the cells as they are, so that a row is known again whatever becomes of its values.
            None => digest(self.columns.iter().map(|column| {
                (column.field.name, self.record.get(column.index).unwrap_or_default().trim_ascii())
            })),
            Some((index, name)) => {
                column_of_id = Some(name.as_str());
                match text(self.encoding, &self.record, *index).and_then(|text| external_id(&text)) {
                    Ok(id) => id,
                    Err(reason) => {
                        problems.push(problem(Some(name), reason));
                        return (None, problems);
                    }
                }
            }
        };
        if !fatal && !values.iter().any(|(field, _)| field.identifies) {
            problems.push(problem(None, Reason::NoNameOrContact));
            fatal = true;
        }
        if !fatal || column_of_id.is_some() {
            let key = Sha256::digest(&external_id).first_chunk().copied().unwrap_or_default();
            if !self.seen.insert(key) {
                problems.push(problem(column_of_id, Reason::DuplicateRow));
                fatal = true;
            }
        }
        ((!fatal).then_some(Row { external_id, values }), problems)
    }
}

/// The field at `index`, decoded and trimmed.
fn text(encoding: Encoding, record: &ByteRecord, index: usize) -> Result<String, Reason> {
    decoded(encoding, record.get(index).unwrap_or_default()).map(|text| text.trim().to_owned())
}

fn decoded(encoding: Encoding, bytes: &[u8]) -> Result<std::borrow::Cow<'_, str>, Reason> {
    match encoding {
        Encoding::Utf8 => std::str::from_utf8(bytes).map(Into::into).map_err(|_| Reason::InvalidUtf8),
        Encoding::Windows1252 => Ok(encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0),
    }
}

fn external_id(text: &str) -> Result<String, Reason> {
    match text {
        "" => Err(Reason::MissingExternalId),
        text if text.chars().count() > 500 => Err(Reason::TooLong),
        text if text.chars().any(char::is_control) => Err(Reason::ControlCharacter),
        text => Ok(text.to_owned()),
    }
}

/// Stands for the id of a row that has none. It lies beside the values themselves and goes with them.
fn digest<'a>(cells: impl Iterator<Item = (&'static str, &'a [u8])>) -> String {
    let mut sorted: Vec<_> = cells.filter(|(_, cell)| !cell.is_empty()).collect();
    sorted.sort_unstable();
    let mut hash = Sha256::new();
    for (field, cell) in sorted {
        for part in [field.as_bytes(), cell] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
    }
    let bytes = hash.finalize();
    let number = bytes.first_chunk().copied().map_or(0, u128::from_be_bytes);
    format!("row:{number:032x}")
}

fn broken_off() -> Error {
    Error::input("the file cannot be read to its end; what was imported before stays")
}
