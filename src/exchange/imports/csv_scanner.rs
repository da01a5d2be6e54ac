//! Scans a CSV file for the first line of each row and for broken quotes. Room: exchange/imports.

use std::{
    collections::VecDeque,
    io::{self, Read},
};

use crate::base::error::Error;
use crate::exchange::imports::bounded_lines::MAX_RECORD_BYTES;

/// The state of the scanner within a row (RFC 4180).
#[derive(Clone, Copy, PartialEq, Eq)]
enum ScanState {
    FieldStart,
    Plain,
    Quoted,
    /// A quote within quotes: the end of them, or the first of two.
    Quote,
}

/// Passes a file through and records for each row the line on which it begins, and whether its quotes are broken. The
/// CSV reader's own line number is the end of the previous row, which is wrong after empty lines; and it accepts
/// anything after a closing quote, so that two rows may become one.
pub(super) struct LineScanner<R> {
    file: R,
    delimiter: u8,
    read: u64,
    line: u64,
    at_start: bool,
    at: ScanState,
    /// Offset and number of each line read that is not empty and not passed yet.
    starts: VecDeque<(u64, u64)>,
    last_passed: u64,
    /// Offsets at which quotes are broken.
    broken: VecDeque<u64>,
    /// Bytes since the last line that ended a row, and the line after it.
    row: usize,
    row_line: u64,
    /// Whether the last byte was a carriage return, which ends a line, alone or with a line feed.
    returned: bool,
}

/// The byte order mark, which is not part of the first field.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl<R> LineScanner<R> {
    pub(super) fn new(file: R, delimiter: u8) -> Self {
        Self {
            file,
            delimiter,
            read: 0,
            line: 1,
            at_start: true,
            at: ScanState::FieldStart,
            starts: VecDeque::new(),
            last_passed: 1,
            broken: VecDeque::new(),
            row: 0,
            row_line: 1,
            returned: false,
        }
    }

    /// The number of the first line that is not empty at or after the offset `byte`.
    pub(super) fn line_of(&mut self, byte: u64) -> u64 {
        while let Some((start, line)) = self.starts.front().copied() {
            if start >= byte {
                return line;
            }
            self.last_passed = line;
            self.starts.pop_front();
        }
        self.last_passed
    }

    /// The number of the last line that is not empty before the offset `byte`, as far as it was read.
    pub(super) fn last_line_before(&self, byte: u64) -> Option<u64> {
        self.starts.iter().take_while(|(start, _)| *start < byte).last().map(|(_, line)| *line)
    }

    /// The line on which the row begins that is being read.
    pub(super) fn line_of_row(&self) -> u64 {
        self.row_line
    }

    /// Whether quotes are broken before the offset `end`; each is reported once.
    pub(super) fn broken_before(&mut self, end: u64) -> bool {
        let before = self.broken.iter().take_while(|offset| **offset < end).count();
        self.broken.drain(..before);
        before > 0
    }

    fn step(&mut self, byte: u8) {
        let ends = byte == self.delimiter || matches!(byte, b'\n' | b'\r');
        self.at = match (self.at, byte) {
            (ScanState::FieldStart, b'"') => ScanState::Quoted,
            (ScanState::Quoted, b'"') => ScanState::Quote,
            (ScanState::Quoted, _) => ScanState::Quoted,
            (ScanState::Quote, b'"') => ScanState::Quoted,
            (_, _) if ends => ScanState::FieldStart,
            (ScanState::Quote, _) => {
                self.broken.push_back(self.read);
                ScanState::Plain
            }
            _ => ScanState::Plain,
        };
    }
}

impl<R: Read> Read for LineScanner<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if count == 0 && self.at == ScanState::Quoted {
            // The file ends within quotes.
            self.broken.push_back(self.read.saturating_sub(1));
            self.at = ScanState::FieldStart;
        }
        for byte in buffer.iter().take(count) {
            let marks = usize::try_from(self.read).ok().and_then(|at| BYTE_ORDER_MARK.get(at)) == Some(byte);
            if !marks {
                self.step(*byte);
            }
            let ends = *byte == b'\r' || (*byte == b'\n' && !self.returned);
            self.returned = *byte == b'\r';
            self.row += 1;
            if ends {
                self.line += 1;
                self.at_start = true;
                if self.at != ScanState::Quoted {
                    (self.row, self.row_line) = (0, self.line);
                }
            } else if self.at_start && *byte != b'\n' {
                self.starts.push_back((self.read, self.line));
                self.at_start = false;
            }
            self.read += 1;
        }
        if self.row > MAX_RECORD_BYTES {
            // An unclosed quote would read the rest of the file into memory.
            return Err(io::Error::other("a row is too long"));
        }
        Ok(count)
    }
}

pub(super) fn broken_off_error(line: u64) -> Error {
    Error::bad_input(format!(
        "the file cannot be read on from line {line}: it breaks off, or a row there is longer than 16 MiB because a quote is not \
         closed; what was imported before stays"
    ))
}
