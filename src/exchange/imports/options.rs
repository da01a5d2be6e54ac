//! Options for reading a file: encoding, header, and the treatment of invalid values. Room: exchange/imports.

use std::borrow::Cow;

use super::{report::Reason, target::Target};
use crate::base::error::Error;

/// Longest text that is kept with what is imported, in characters.
const MAX_TEXT_CHARS: usize = 500;

/// A region whose national phone numbers are known, by its code (ISO 3166-1), e.g. `DE`.
pub use phonenumber::country::Id as Region;

/// The format of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values (RFC 4180).
    #[default]
    Csv,
    /// vCards 2.1, 3.0 (RFC 2426) and 4.0 (RFC 6350).
    VCard,
    /// An export of Zweck, with one contact as JSON on each line.
    JsonLines,
}

/// Characters of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, with or without a byte order mark. Invalid text is reported.
    #[default]
    Utf8,
    /// Windows-1252, as spreadsheets of Western Europe write it.
    Windows1252,
}

/// The treatment of a value that does not have the format of its field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnInvalid {
    /// The value is kept as given where the field can hold it, else left out; it is reported.
    #[default]
    Keep,
    /// The value is left out and reported.
    SkipValue,
    /// The row is left out and reported.
    SkipRow,
}

/// How a file is read.
#[derive(Clone, Debug)]
pub struct ReadOptions {
    /// The format of a file.
    pub format: Format,
    /// The byte between fields.
    pub delimiter: u8,
    /// Whether the first row names the columns; otherwise they are named by their number, from 1.
    pub header: bool,
    /// Its characters.
    pub encoding: Encoding,
    /// The treatment of invalid values.
    pub on_invalid: OnInvalid,
    /// The region of phone numbers without a country code; with one, every number is kept in the form of ITU-T E.164.
    pub region: Option<Region>,
    /// Targets whose columns may be missing: those of a preset, which covers several kinds of files.
    pub optional: Vec<Target>,
    /// Whether the CSV file is an export of Zweck: contacts keep their ids, contact points and sources.
    pub is_native: bool,
}

impl ReadOptions {
    /// Checks what can be checked before the file is read.
    pub(super) fn check(&self) -> Result<(), Error> {
        if !self.delimiter.is_ascii() || matches!(self.delimiter, b'"' | b'\r' | b'\n') {
            return Err(Error::bad_input("this delimiter cannot be used"));
        }
        Ok(())
    }
}

/// Checks a text that is kept with what is imported, such as the name of the source.
pub(super) fn check_text(name: &str, value: &str) -> Result<(), Error> {
    if value.trim().is_empty()
        || value.chars().count() > MAX_TEXT_CHARS
        || value.chars().any(char::is_control)
    {
        return Err(Error::bad_input(format!(
            "`{name}` must be 1 to {MAX_TEXT_CHARS} characters without control characters"
        )));
    }
    Ok(())
}

/// Parses pairs `field=Column` of the command line, whose fields are among `fields` of `what`, e.g. "a consent".
///
/// # Errors
/// `BAD_USER_INPUT` for a pair of another form and for an unknown field.
pub(super) fn parse_map<'a>(
    pairs: impl IntoIterator<Item = &'a str>,
    fields: &[&'static str],
    what: &str,
) -> Result<Vec<(&'static str, String)>, Error> {
    let parse = |pair: &str| {
        let Some((name, column)) = pair.split_once('=') else {
            return Err(Error::bad_input(format!("`{pair}` is not of the form field=Column")));
        };
        let Some(field) = fields.iter().find(|field| **field == name.trim()) else {
            let known = fields.join(", ");
            return Err(Error::bad_input(format!("`{name}` is not part of {what}; known are {known}")));
        };
        Ok((*field, column.trim().to_owned()))
    };
    pairs.into_iter().map(parse).collect()
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            format: Format::default(),
            delimiter: b',',
            header: true,
            encoding: Encoding::default(),
            on_invalid: OnInvalid::default(),
            region: None,
            optional: Vec::new(),
            is_native: false,
        }
    }
}

/// The text of `bytes`.
///
/// # Errors
/// If they should be UTF-8 and are not.
pub(super) fn decode(encoding: Encoding, bytes: &[u8]) -> Result<Cow<'_, str>, Reason> {
    match encoding {
        Encoding::Utf8 => std::str::from_utf8(bytes).map(Into::into).map_err(|_| Reason::InvalidUtf8),
        Encoding::Windows1252 => Ok(encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0),
    }
}
