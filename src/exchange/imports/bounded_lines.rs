//! Lines of a file, with a maximum length. Room: exchange/imports.

use std::io::{self, BufRead, Read};

/// Maximum bytes of a row or a card: enough for a card with a picture.
pub(super) const MAX_RECORD_BYTES: usize = 16 << 20;

/// Reads lines with their numbers, from 1.
pub(super) struct BoundedLines<R> {
    file: io::BufReader<R>,
    max_bytes: usize,
    read: u64,
}

/// A line that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number.
    pub number: u64,
    /// Whether it exceeds the maximum length; then it is returned empty.
    pub too_long: bool,
}

impl<R: Read> BoundedLines<R> {
    /// Lines of at most `max_bytes` bytes.
    pub fn new(file: R, max_bytes: usize) -> Self {
        Self { file: io::BufReader::with_capacity(1 << 16, file), max_bytes, read: 0 }
    }

    /// How many lines were read.
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Reads the next line into `line`, including its end; `None` at the end of the file. Drops a leading byte order
    /// mark.
    ///
    /// # Errors
    /// Of the file.
    pub fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Option<Line>> {
        line.clear();
        let most = u64::try_from(self.max_bytes).unwrap_or(u64::MAX);
        if self.file.by_ref().take(most).read_until(b'\n', line)? == 0 {
            return Ok(None);
        }
        self.read += 1;
        let too_long = line.len() == self.max_bytes && !line.ends_with(b"\n");
        if too_long {
            line.clear();
            self.file.skip_until(b'\n')?;
        }
        if self.read == 1 && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        Ok(Some(Line { number: self.read, too_long }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_passed_over() {
        let mut text = b"\xef\xbb\xbfone\n".to_vec();
        text.resize(text.len() + MAX_RECORD_BYTES + 5, b'x');
        text.extend(b"\nthree");
        let (mut lines, mut line) = (BoundedLines::new(text.as_slice(), MAX_RECORD_BYTES), Vec::new());
        assert_eq!(lines.next(&mut line).unwrap(), Some(Line { number: 1, too_long: false }));
        assert_eq!(line, b"one\n");
        assert_eq!(lines.next(&mut line).unwrap(), Some(Line { number: 2, too_long: true }));
        assert!(line.is_empty());
        assert_eq!(lines.next(&mut line).unwrap(), Some(Line { number: 3, too_long: false }));
        assert_eq!(line, b"three");
        assert_eq!(lines.next(&mut line).unwrap(), None);
    }
}
