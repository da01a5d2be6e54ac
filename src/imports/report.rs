//! What an import did: counts, and line, column and reason of every problem, but never a value (floor 4).

use std::fmt;

use serde::Serialize;

use crate::register::Fault;

/// Why a row is not imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    /// A field of the row is not UTF-8.
    InvalidUtf8,
    /// A quote is not closed, or something follows a closing quote: what belongs to which row cannot be told.
    BrokenQuotes,
    /// The row has more or fewer fields than the header.
    WrongColumnCount,
    /// The column of the external id is empty.
    MissingExternalId,
    /// An earlier row of the file has the same external id, or is the same row.
    DuplicateRow,
    /// Neither a name nor a contact field.
    NoNameOrContact,
    /// Not the shape of an e-mail address.
    InvalidEmail,
    /// Not digits, `+` and separators.
    InvalidPhone,
    /// Not an ISO 8601 date, or one in the future.
    InvalidBirthDate,
    /// Not a language tag.
    InvalidLanguage,
    /// Not an ISO 8601 date.
    InvalidDate,
    /// Longer than the field allows.
    TooLong,
    /// A control character.
    ControlCharacter,
}

impl Reason {
    /// The word in the report.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::InvalidUtf8 => "INVALID_UTF8",
            Reason::BrokenQuotes => "BROKEN_QUOTES",
            Reason::WrongColumnCount => "WRONG_COLUMN_COUNT",
            Reason::MissingExternalId => "MISSING_EXTERNAL_ID",
            Reason::DuplicateRow => "DUPLICATE_ROW",
            Reason::NoNameOrContact => "NO_NAME_OR_CONTACT",
            Reason::InvalidEmail => "INVALID_EMAIL",
            Reason::InvalidPhone => "INVALID_PHONE",
            Reason::InvalidBirthDate => "INVALID_BIRTH_DATE",
            Reason::InvalidLanguage => "INVALID_LANGUAGE",
            Reason::InvalidDate => "INVALID_DATE",
            Reason::TooLong => "TOO_LONG",
            Reason::ControlCharacter => "CONTROL_CHARACTER",
        }
    }
}

impl From<Fault> for Reason {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::TooLong => Reason::TooLong,
            Fault::ControlCharacter => Reason::ControlCharacter,
            Fault::InvalidEmail => Reason::InvalidEmail,
            Fault::InvalidPhone => Reason::InvalidPhone,
            Fault::InvalidBirthDate => Reason::InvalidBirthDate,
            Fault::InvalidDate => Reason::InvalidDate,
            Fault::InvalidLanguage => Reason::InvalidLanguage,
        }
    }
}

/// One problem of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Line of the file on which the row begins, from 1.
    pub line: u64,
    /// Name of the column, unless the whole row is meant.
    pub column: Option<String>,
    /// What is wrong.
    pub reason: Reason,
}

/// The outcome. `rows = imported + unchanged + rejected`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether nothing was written; the counts then say what would have been.
    pub dry_run: bool,
    /// Rows in the file, without the header.
    pub rows: u64,
    /// Contacts made.
    pub imported: u64,
    /// Rows whose contact an earlier import from the same source has made.
    pub unchanged: u64,
    /// Rows refused.
    pub rejected: u64,
    /// Every problem in the order of the file; a rejected row has at least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.dry_run { "would import" } else { "imported" };
        writeln!(f, "{:<14}{:>10}", "rows", self.rows)?;
        writeln!(f, "{verb:<14}{:>10}", self.imported)?;
        writeln!(f, "{:<14}{:>10}", "unchanged", self.unchanged)?;
        writeln!(f, "{:<14}{:>10}", "rejected", self.rejected)?;
        if !self.problems.is_empty() {
            writeln!(f, "\n{:>8}  {:<24}reason", "line", "column")?;
        }
        for problem in &self.problems {
            let column = problem.column.as_deref().unwrap_or("-");
            writeln!(f, "{:>8}  {column:<24}{}", problem.line, problem.reason.as_str())?;
        }
        Ok(())
    }
}
