//! Policy errors: all errors at once, each with file and line. Room: policy.

use std::fmt;

use crate::base::error::Error;

/// One error in the policy files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyError {
    /// File name as the operator knows it, e.g. `policies/policy.csv`.
    pub file: String,
    /// Line, from 1; 0 if the error concerns the whole file.
    pub line: usize,
    /// Stable code, e.g. `UNKNOWN_ROLE`.
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: String,
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {} [{}]", self.file, self.message, self.code)
        } else {
            write!(f, "{}:{}: {} [{}]", self.file, self.line, self.message, self.code)
        }
    }
}

/// All errors, in the order of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyErrors(pub Vec<PolicyError>);

impl fmt::Display for PolicyErrors {
    /// One line per kind of error, with all its locations.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let same = |left: &PolicyError, right: &PolicyError| {
            left.file == right.file && left.code == right.code && left.message == right.message
        };
        let mut grouped: Vec<(&PolicyError, Vec<String>)> = Vec::new();
        for error in &self.0 {
            match grouped.iter_mut().find(|(first, _)| same(first, error)) {
                Some((_, lines)) => lines.push(error.line.to_string()),
                None => grouped.push((error, Vec::new())),
            }
        }
        for (index, (error, lines)) in grouped.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
            match lines.as_slice() {
                [] => {}
                [line] => write!(f, "; also on line {line}")?,
                lines => write!(f, "; also on lines {}", lines.join(", "))?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for PolicyErrors {}

impl From<PolicyError> for PolicyErrors {
    fn from(error: PolicyError) -> Self {
        Self(vec![error])
    }
}

/// Collects the errors of one file while it is read.
#[derive(Debug)]
pub(super) struct Diagnostics {
    file: String,
    found: Vec<PolicyError>,
}

impl Diagnostics {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), found: Vec::new() }
    }

    pub(super) fn add(&mut self, line: usize, code: &'static str, message: impl Into<String>) {
        self.found.push(PolicyError { file: self.file.clone(), line, code, message: message.into() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn into_vec(self) -> Vec<PolicyError> {
        self.found
    }
}

/// A lookup of something that the policy does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownName {
    /// No such role.
    #[error("there is no role `{0}`")]
    Role(String),
    /// No such purpose.
    #[error("there is no purpose `{0}`")]
    Purpose(String),
    /// A group is never the purpose of an operation.
    #[error("`{0}` is a group of purposes, not a purpose")]
    Group(String),
}

impl From<UnknownName> for Error {
    /// Names come from the client and are not repeated.
    fn from(unknown: crate::policy::UnknownName) -> Self {
        Error::bad_input(match unknown {
            UnknownName::Role(_) => "there is no such role",
            UnknownName::Purpose(_) => "there is no such purpose",
            UnknownName::Group(_) => "a group is not a purpose",
        })
    }
}
