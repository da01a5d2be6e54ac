//! A CSV file as rows of cells, each with the line it begins on. Room: exchange/imports.

use std::io::Read;

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::{Encoding, ReadOptions, Reason};
use crate::base::error::Error;
use crate::exchange::imports::{csv_scanner::LineScanner, options::decode};

/// A file that is read row by row; of all of it only one row is held.
pub(super) struct Table<R> {
    reader: Reader<LineScanner<R>>,
    record: ByteRecord,
    /// The first row, which names the columns where there is a header.
    header: ByteRecord,
    has_header: bool,
    encoding: Encoding,
}

/// A row that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// Where it begins.
    pub line: u64,
    /// The last line of what belongs together no longer, where that is another.
    pub last_line: Option<u64>,
    /// What is wrong.
    pub reason: Reason,
}

impl<R: Read> Table<R> {
    /// Reads the header, if there is one.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a file without the header it should have.
    pub fn open(file: R, read_options: &ReadOptions) -> Result<Self, Error> {
        let mut reader = ReaderBuilder::new()
            .delimiter(read_options.delimiter)
            .has_headers(read_options.header)
            .flexible(true)
            .from_reader(LineScanner::new(file, read_options.delimiter));
        // Without a header this is the first row, which is read again as such.
        let header = reader
            .byte_headers()
            .map_err(|_| Error::bad_input("the header of the file cannot be read"))?
            .clone();
        let (has_header, encoding) = (read_options.header, read_options.encoding);
        Ok(Self { reader, record: ByteRecord::new(), header, has_header, encoding })
    }

    /// How many columns there are.
    pub fn width(&self) -> usize {
        self.header.len()
    }

    /// The column called `wanted`, or with that number from 1 if there is no header.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a column that is not there, or there twice.
    pub fn find(&self, wanted: &str) -> Result<usize, Error> {
        if !self.has_header {
            let number: Option<usize> = wanted.parse().ok();
            return match number.and_then(|number| number.checked_sub(1)) {
                Some(index) if index < self.width() => Ok(index),
                _ => {
                    let width = self.width();
                    Err(Error::bad_input(format!("`{wanted}` is not the number of a column, 1 to {width}")))
                }
            };
        }
        let is_called = |name: &[u8]| decode(self.encoding, name).is_ok_and(|name| name.trim() == wanted);
        let mut found = self.header.iter().enumerate().filter(|(_, name)| is_called(name));
        match (found.next(), found.next()) {
            (Some((index, _)), None) => Ok(index),
            (None, _) => Err(Error::bad_input(format!("the file has no column `{wanted}`"))),
            _ => Err(Error::bad_input(format!("the file has several columns `{wanted}`"))),
        }
    }

    /// Names of all columns: those of the header, else their numbers.
    pub fn header_names(&self) -> Vec<String> {
        let header_name = |(index, name)| match decode(self.encoding, name) {
            Ok(name) if self.has_header => name.trim().chars().take(60).collect(),
            _ => format!("column {}", index + 1),
        };
        self.header.iter().enumerate().map(header_name).collect()
    }

    /// Reads the next row and returns the line on which it begins.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` where the file breaks off.
    pub fn next(&mut self) -> Result<Option<Result<u64, Unreadable>>, Error> {
        let start = self.reader.position().byte();
        let Ok(more) = self.reader.read_byte_record(&mut self.record) else {
            return Err(super::csv_scanner::broken_off_error(self.reader.get_ref().line_of_row()));
        };
        let end = self.reader.position().byte();
        let lines = self.reader.get_mut();
        if !more {
            return Ok(None);
        }
        let line = lines.line_of(start);
        if lines.broken_before(end) {
            // The rows cannot be separated.
            let last_line = lines.last_line_before(end).filter(|last| *last > line);
            return Ok(Some(Err(Unreadable { line, last_line, reason: Reason::BrokenQuotes })));
        }
        if self.record.len() != self.width() {
            return Ok(Some(Err(Unreadable { line, last_line: None, reason: Reason::WrongColumnCount })));
        }
        Ok(Some(Ok(line)))
    }

    /// The cells of the row.
    pub fn cells(&self) -> impl Iterator<Item = &[u8]> {
        self.record.iter()
    }

    /// Whether there is anything in the cell at `index`.
    pub fn is_filled(&self, index: usize) -> bool {
        self.record.get(index).is_some_and(|cell| !cell.trim_ascii().is_empty())
    }

    /// The cell at `index`, decoded and trimmed.
    ///
    /// # Errors
    /// If it should be UTF-8 and is not.
    pub fn text(&self, index: usize) -> Result<String, Reason> {
        let text = decode(self.encoding, self.record.get(index).unwrap_or_default())?;
        Ok(text.trim().to_owned())
    }
}
