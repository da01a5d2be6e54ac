//! The error type of the product: a stable code, a message without personal values, and the location. Room: base.

use std::fmt;

/// Stable error codes that clients see in `extensions.code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// No credential, or an unknown, expired or revoked one.
    Unauthenticated,
    /// The credential permits several purposes and the request names none.
    PurposeRequired,
    /// The credential does not permit the requested purpose.
    PurposeNotPermitted,
    /// The role may not use the field for this purpose.
    ForbiddenField,
    /// The role may not execute the operation for this purpose.
    Forbidden,
    /// The object does not exist for this caller.
    NotFound,
    /// An argument or the document is invalid.
    BadUserInput,
    /// The state has changed in the meantime.
    Conflict,
    /// A hold forbids the change.
    Held,
    /// Too many requests.
    RateLimited,
    /// The document exceeds a limit.
    QueryTooComplex,
    /// The operation exceeded its time limit.
    TimedOut,
    /// The server has too many concurrent operations.
    Overloaded,
    /// The audit log cannot be written.
    AuditUnavailable,
    /// An internal error; the log has the request id.
    Internal,
}

impl Code {
    /// Every code, for the documentation and its test.
    pub const ALL: [Code; 15] = [
        Code::Unauthenticated,
        Code::PurposeRequired,
        Code::PurposeNotPermitted,
        Code::ForbiddenField,
        Code::Forbidden,
        Code::NotFound,
        Code::BadUserInput,
        Code::Conflict,
        Code::Held,
        Code::RateLimited,
        Code::QueryTooComplex,
        Code::TimedOut,
        Code::Overloaded,
        Code::AuditUnavailable,
        Code::Internal,
    ];

    /// The value in `extensions.code`.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::Unauthenticated => "UNAUTHENTICATED",
            Code::PurposeRequired => "PURPOSE_REQUIRED",
            Code::PurposeNotPermitted => "PURPOSE_NOT_PERMITTED",
            Code::ForbiddenField => "FORBIDDEN_FIELD",
            Code::Forbidden => "FORBIDDEN",
            Code::NotFound => "NOT_FOUND",
            Code::BadUserInput => "BAD_USER_INPUT",
            Code::Conflict => "CONFLICT",
            Code::Held => "HELD",
            Code::RateLimited => "RATE_LIMITED",
            Code::QueryTooComplex => "QUERY_TOO_COMPLEX",
            Code::TimedOut => "TIMED_OUT",
            Code::Overloaded => "OVERLOADED",
            Code::AuditUnavailable => "AUDIT_UNAVAILABLE",
            Code::Internal => "INTERNAL",
        }
    }

    /// The limit that this error reports, as named in the metrics.
    pub fn limit(self) -> Option<&'static str> {
        match self {
            Code::QueryTooComplex => Some("document"),
            Code::RateLimited => Some("rate"),
            _ => None,
        }
    }

    /// Parses a value of `extensions.code`.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == word)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An error: code, message (lower case, no personal value, no SQL, no type name) and, if known, the schema
/// coordinate.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    /// The kind of error.
    pub code: Code,
    /// The message for people.
    pub message: String,
    /// The schema coordinate that caused it, e.g. `Contact.phone`.
    pub coordinate: Option<String>,
    /// The path in the input that caused it, e.g. `input.source.name`.
    pub input_path: Option<String>,
    /// Whether a retry may succeed because another writer interfered.
    pub transient: bool,
    /// The outcome of the requested change, unless it was simply rolled back.
    pub outcome: Option<Outcome>,
    /// Whether a retry in a second may succeed because something missing is being fetched.
    pub retry_soon: bool,
}

/// The outcome of a change whose response is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The change was committed despite the error.
    Done,
    /// Unknown: the database did not answer the commit. A retry with the same `Idempotency-Key` finds out.
    Unknown,
}

impl Outcome {
    /// Both values, for parsing responses.
    const ALL: [Outcome; 2] = [Outcome::Done, Outcome::Unknown];

    /// The value in `extensions.outcome`.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Done => "DONE",
            Outcome::Unknown => "UNKNOWN",
        }
    }

    /// Parses a value of `extensions.outcome`.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

impl Error {
    /// An error with a code and a message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            coordinate: None,
            input_path: None,
            transient: false,
            outcome: None,
            retry_soon: false,
        }
    }

    /// Adds the schema coordinate that caused the error.
    pub fn with_coordinate(mut self, coordinate: impl Into<String>) -> Self {
        self.coordinate = Some(coordinate.into());
        self
    }

    /// Adds the path in the input that caused the error.
    pub fn with_input_path(mut self, path: impl Into<String>) -> Self {
        self.input_path = Some(path.into());
        self
    }

    /// Marks the error as one that a retry in a second may avoid.
    pub fn with_retry_soon(self) -> Self {
        Self { retry_soon: true, ..self }
    }

    /// Marks the error as one of a change that was committed.
    pub fn after_commit(self) -> Self {
        self.with_outcome(Some(Outcome::Done))
    }

    /// Sets the outcome of the change.
    pub fn with_outcome(mut self, outcome: Option<Outcome>) -> Self {
        self.outcome = outcome;
        self
    }

    /// The error of a commit that the database did not answer, or whose bytes may not be on disk.
    pub fn unknown_outcome() -> Self {
        let message = "it is unknown whether this was done: repeat the request with the same Idempotency-Key, or check the data";
        Self::internal("the outcome of a commit is unknown")
            .with_message(message)
            .with_outcome(Some(Outcome::Unknown))
    }

    fn with_message(mut self, message: &str) -> Self {
        message.clone_into(&mut self.message);
        self
    }

    /// The error of a failed commit. If the database answered, the transaction was rolled back.
    pub fn from_commit_error(error: sea_orm::DbErr) -> Self {
        if is_answered(&error) { error.into() } else { Self::unknown_outcome() }
    }

    /// A `BAD_USER_INPUT` error.
    pub fn bad_input(message: impl Into<String>) -> Self {
        Self::new(Code::BadUserInput, message)
    }

    /// Another writer interfered; a retry sees the current state.
    pub fn retry() -> Self {
        Self { transient: true, ..Self::new(Code::Internal, "internal error") }
    }

    /// Whether a later attempt may succeed: nothing was refused, but the database, the log, an issuer's key or a
    /// permit was unavailable.
    pub fn is_temporary(&self) -> bool {
        self.transient
            || self.retry_soon
            || matches!(
                self.code,
                Code::Overloaded | Code::TimedOut | Code::Internal | Code::AuditUnavailable
            )
    }

    /// The caller may not read this field.
    pub fn not_readable(coordinate: &str) -> Self {
        Self::new(Code::ForbiddenField, format!("{coordinate} is not readable for this purpose"))
            .with_coordinate(coordinate)
    }

    /// The operation exceeded its time limit.
    pub fn timed_out() -> Self {
        Self::new(Code::TimedOut, "this took too long and was cancelled")
    }

    /// An internal error. `what` goes to the log only and must hold no personal value.
    pub fn internal(what: &str) -> Self {
        tracing::error!(what, "internal error");
        Self::new(Code::Internal, "internal error")
    }
}

impl From<sea_orm::DbErr> for Error {
    /// Database errors may quote values, so only their kind is logged.
    fn from(error: sea_orm::DbErr) -> Self {
        if is_cancelled(&error) {
            return Self::timed_out();
        }
        if is_transient(&error) {
            tracing::debug!("database: another transaction interfered");
            if matches!(error, sea_orm::DbErr::ConnectionAcquire(_)) {
                crate::base::metrics::count_pool_timeout();
            }
            return Self::retry();
        }
        let kind = match &error {
            sea_orm::DbErr::Conn(_) => "database: connection",
            sea_orm::DbErr::Exec(_) => "database: statement",
            sea_orm::DbErr::Query(_) => "database: query",
            _ => "database",
        };
        // The SQLSTATE class (SQL:2023 and PostgreSQL); it never holds a value.
        let sqlstate = code_of(&error);
        tracing::error!(what = kind, sqlstate, "internal error");
        Self::new(Code::Internal, "internal error")
    }
}

/// No free connection, a serialization failure or deadlock in PostgreSQL, a busy SQLite, or a row that another writer
/// inserted concurrently.
fn is_transient(error: &sea_orm::DbErr) -> bool {
    use sea_orm::{DbErr, SqlErr};
    if matches!(error, DbErr::ConnectionAcquire(_))
        || matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
    {
        return true;
    }
    // SQLITE_BUSY, SQLITE_BUSY_SNAPSHOT.
    has_code(error, &["40001", "40P01", "5", "517"])
}

/// A statement that the database cancelled because it took too long: query_canceled in PostgreSQL, SQLITE_INTERRUPT.
fn is_cancelled(error: &sea_orm::DbErr) -> bool {
    has_code(error, &["57014", "9"])
}

/// Whether the database itself reported the error, rather than the connection to it.
fn is_answered(error: &sea_orm::DbErr) -> bool {
    use sea_orm::{DbErr, RuntimeErr, sqlx};
    let (DbErr::Exec(RuntimeErr::SqlxError(inner)) | DbErr::Query(RuntimeErr::SqlxError(inner))) = error
    else {
        return false;
    };
    // A server that shuts down (57P01) ends the session either before or after the commit.
    matches!(&**inner, sqlx::Error::Database(inner) if inner.code().is_none_or(|code| !code.starts_with("57P")))
}

/// A key wrapped by a master key that is not in use: the trigger on `subject_key` rejects it.
pub fn is_out_of_use(error: &sea_orm::DbErr) -> bool {
    // SQLite uses one code for every trigger error, so we compare the message of our trigger.
    has_code(error, &["ZK001"])
        || (has_code(error, &["1811"]) && error.to_string().contains("another master key is in use"))
}

fn has_code(error: &sea_orm::DbErr, codes: &[&str]) -> bool {
    code_of(error).is_some_and(|code| codes.contains(&code.as_str()))
}

/// The error code that the database reports.
fn code_of(error: &sea_orm::DbErr) -> Option<String> {
    use sea_orm::{DbErr, RuntimeErr, sqlx};
    let (DbErr::Exec(RuntimeErr::SqlxError(inner)) | DbErr::Query(RuntimeErr::SqlxError(inner))) = error
    else {
        return None;
    };
    let sqlx::Error::Database(inner) = &**inner else { return None };
    inner.code().map(|code| code.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_lists_every_code_and_no_other() {
        let page = include_str!("../../docs/reference/errors.md");
        let table = page.split("| code | HTTP status | meaning |\n|---|---|---|\n").nth(1).unwrap();
        let rows = table.lines().take_while(|line| line.starts_with('|'));
        let documented: Vec<&str> =
            rows.flat_map(|row| row.split('|').nth(1).unwrap().split(',')).map(str::trim).collect();
        let codes: Vec<&str> = Code::ALL.into_iter().map(Code::as_str).collect();
        assert!(codes.iter().all(|code| documented.contains(code)), "{documented:?}");
        assert!(documented.iter().all(|code| codes.contains(code)), "{documented:?}");
    }
}
