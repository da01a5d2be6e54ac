//! The one error of the product: a stable code, a message without personal values, where it is wrong. Room: base.

use std::fmt;

/// Stable codes of refusals, as clients see them in `extensions.code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    /// No credential, or one that is unknown, expired or revoked.
    Unauthenticated,
    /// The credential permits several purposes and the request names none.
    PurposeRequired,
    /// The named purpose is not among those the credential permits.
    PurposeNotPermitted,
    /// The field may not be used for this purpose by this role.
    ForbiddenField,
    /// The operation may not be executed for this purpose by this role.
    Forbidden,
    /// There is no such thing for this caller.
    NotFound,
    /// An argument or a document is wrong.
    BadUserInput,
    /// The state has changed meanwhile.
    Conflict,
    /// A hold forbids it.
    Held,
    /// Too many requests.
    RateLimited,
    /// The document is larger than the limits allow.
    QueryTooComplex,
    /// The operation took longer than it may.
    TimedOut,
    /// More is under way than can be done at once.
    Overloaded,
    /// The audit log cannot be written.
    AuditUnavailable,
    /// A fault of ours; the log has the request id.
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

    /// The word clients see.
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

    /// The limit that a request with this error has hit, as metrics name it.
    pub fn limit(self) -> Option<&'static str> {
        match self {
            Code::QueryTooComplex => Some("document"),
            Code::RateLimited => Some("rate"),
            _ => None,
        }
    }

    /// The code that clients see as `word`.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == word)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal: code, message (lower case, no personal value, no SQL, no type name) and, where known, the coordinate.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    /// What kind of refusal.
    pub code: Code,
    /// What a person reads.
    pub message: String,
    /// The schema coordinate it is about, e.g. `Contact.phone`.
    pub coordinate: Option<String>,
    /// The place in the input it is about, e.g. `input.source.name`.
    pub input: Option<String>,
    /// Whether the same again may succeed: other writers were in the way.
    pub transient: bool,
    /// What became of what was asked for, where it is not simply undone.
    pub outcome: Option<Outcome>,
    /// Whether the same again may be taken in a second: what is missing is being fetched.
    pub soon: bool,
}

/// What became of a change that is answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done all the same.
    Done,
    /// Nobody can tell: the database did not answer to the commit. The same again under its `Idempotency-Key` finds out.
    Unknown,
}

impl Outcome {
    /// Both, for those who read answers.
    const ALL: [Outcome; 2] = [Outcome::Done, Outcome::Unknown];

    /// The word clients see in `extensions.outcome`.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Done => "DONE",
            Outcome::Unknown => "UNKNOWN",
        }
    }

    /// What clients see as `word`.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

impl Error {
    /// An error of `code` saying `message`.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            coordinate: None,
            input: None,
            transient: false,
            outcome: None,
            soon: false,
        }
    }

    /// The same error, naming the schema coordinate it is about.
    pub fn at(mut self, coordinate: impl Into<String>) -> Self {
        self.coordinate = Some(coordinate.into());
        self
    }

    /// The same error, naming the place in the input it is about.
    pub fn in_input(mut self, path: impl Into<String>) -> Self {
        self.input = Some(path.into());
        self
    }

    /// The same error of what may be taken in a second.
    pub fn soon(self) -> Self {
        Self { soon: true, ..self }
    }

    /// The same error of what was done all the same.
    pub fn but_done(self) -> Self {
        self.with_outcome(Some(Outcome::Done))
    }

    /// The same error of what became of it.
    pub fn with_outcome(mut self, outcome: Option<Outcome>) -> Self {
        self.outcome = outcome;
        self
    }

    /// A commit that the database did not answer, or whose bytes may not be on the disk.
    pub fn unclear() -> Self {
        let message =
            "it is not known whether this was done: repeat it with the same Idempotency-Key, or look";
        Self::internal("the outcome of a commit is not known")
            .with_message(message)
            .with_outcome(Some(Outcome::Unknown))
    }

    fn with_message(mut self, message: &str) -> Self {
        message.clone_into(&mut self.message);
        self
    }

    /// Of a commit that failed: where the database has answered it was taken back.
    pub fn of_commit(error: sea_orm::DbErr) -> Self {
        if is_answered(&error) { error.into() } else { Self::unclear() }
    }

    /// Bad input.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(Code::BadUserInput, message)
    }

    /// Somebody else was in between: the same again finds what there is now.
    pub fn repeat() -> Self {
        Self { transient: true, ..Self::new(Code::Internal, "internal error") }
    }

    /// Whether another time may do: nothing was refused, but the database, the log, a key of an issuer or a place among many could not
    /// be had.
    pub fn may_pass(&self) -> bool {
        self.transient
            || self.soon
            || matches!(
                self.code,
                Code::Overloaded | Code::TimedOut | Code::Internal | Code::AuditUnavailable
            )
    }

    /// A field that the caller may not read.
    pub fn not_readable(coordinate: &str) -> Self {
        Self::new(Code::ForbiddenField, format!("{coordinate} is not readable for this purpose"))
            .at(coordinate)
    }

    /// What was asked took too long.
    pub fn timed_out() -> Self {
        Self::new(Code::TimedOut, "this took too long and was given up")
    }

    /// A fault of ours. `what` goes to the log only; it must hold no personal value.
    pub fn internal(what: &str) -> Self {
        tracing::error!(what, "internal error");
        Self::new(Code::Internal, "internal error")
    }
}

impl From<sea_orm::DbErr> for Error {
    /// Database errors may quote values: only their kind is logged.
    fn from(error: sea_orm::DbErr) -> Self {
        if is_cancelled(&error) {
            return Self::timed_out();
        }
        if is_transient(&error) {
            tracing::debug!("database: others were in the way");
            if matches!(error, sea_orm::DbErr::ConnectionAcquire(_)) {
                crate::base::metrics::no_connection();
            }
            return Self::repeat();
        }
        let kind = match &error {
            sea_orm::DbErr::Conn(_) => "database: connection",
            sea_orm::DbErr::Exec(_) => "database: statement",
            sea_orm::DbErr::Query(_) => "database: query",
            _ => "database",
        };
        // The class of what went wrong, by SQL:2023 and PostgreSQL; it never holds a value.
        let sqlstate = code_of(&error);
        tracing::error!(what = kind, sqlstate, "internal error");
        Self::new(Code::Internal, "internal error")
    }
}

/// No free connection, serialization failures and deadlocks of PostgreSQL, a busy SQLite, and rows that another writer made
/// in between.
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

/// A statement that the database gave up since it took too long: query_canceled of PostgreSQL, SQLITE_INTERRUPT.
fn is_cancelled(error: &sea_orm::DbErr) -> bool {
    has_code(error, &["57014", "9"])
}

/// Whether the database itself says so, and not the way to it.
fn is_answered(error: &sea_orm::DbErr) -> bool {
    use sea_orm::{DbErr, RuntimeErr, sqlx};
    let (DbErr::Exec(RuntimeErr::SqlxError(inner)) | DbErr::Query(RuntimeErr::SqlxError(inner))) = error
    else {
        return false;
    };
    // A server that shuts down (57P01) ends the session before or behind the commit.
    matches!(&**inner, sqlx::Error::Database(inner) if inner.code().is_none_or(|code| !code.starts_with("57P")))
}

/// A key that is wrapped by another master key than the one in use: the trigger of `subject_key` refuses it.
pub fn is_out_of_use(error: &sea_orm::DbErr) -> bool {
    // SQLite has one code for all that triggers refuse; its text is the one of our trigger.
    has_code(error, &["ZK001"])
        || (has_code(error, &["1811"]) && error.to_string().contains("another master key is in use"))
}

fn has_code(error: &sea_orm::DbErr, codes: &[&str]) -> bool {
    code_of(error).is_some_and(|code| codes.contains(&code.as_str()))
}

/// The code of the database for what went wrong.
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
        let told: Vec<&str> =
            rows.flat_map(|row| row.split('|').nth(1).unwrap().split(',')).map(str::trim).collect();
        let codes: Vec<&str> = Code::ALL.into_iter().map(Code::as_str).collect();
        assert!(codes.iter().all(|code| told.contains(code)), "{told:?}");
        assert!(told.iter().all(|code| codes.contains(code)), "{told:?}");
    }
}
