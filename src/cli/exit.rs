//! How commands end when they did not do their work. Room: cli.

use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Why a command did not do its work.
pub(crate) enum CliError {
    /// It failed.
    Failed(anyhow::Error),
    /// It was called in a wrong way.
    Usage(String),
    /// The policy is wrong.
    Policy(String),
    /// A named decision does not hold.
    PolicyTest(String),
    /// Whoever was to read the output has enough of it.
    Unread,
}

impl From<anyhow::Error> for CliError {
    fn from(error: anyhow::Error) -> Self {
        CliError::Failed(error)
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            // As by `| head`: nothing went wrong.
            std::io::ErrorKind::BrokenPipe => CliError::Unread,
            _ => CliError::Failed(error.into()),
        }
    }
}

impl From<serde_json::Error> for CliError {
    fn from(error: serde_json::Error) -> Self {
        CliError::Failed(error.into())
    }
}

impl CliError {
    /// Says why, and gives the exit code.
    pub(crate) fn exit(self) -> ExitCode {
        let (code, text) = match self {
            CliError::Failed(error) => (1, format!("{error:#}")),
            CliError::Usage(text) => (2, text),
            CliError::Policy(text) => (3, text),
            CliError::PolicyTest(text) => (4, text),
            CliError::Unread => return ExitCode::SUCCESS,
        };
        complain(&text);
        ExitCode::from(code)
    }
}

/// Says on standard error why a command did not do its work.
pub(crate) fn complain(text: &str) {
    note(&format!("error: {text}"));
}

pub(crate) fn note(text: &str) {
    // Nothing can be said when standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
