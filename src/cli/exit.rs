//! Errors of commands and their exit codes. Room: cli.

use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Why a command failed.
pub(crate) enum CliError {
    /// It failed.
    Failed(anyhow::Error),
    /// Wrong arguments or configuration.
    Usage(String),
    /// The policy is invalid.
    Policy(String),
    /// A test case of the policy failed.
    PolicyTest(String),
    /// The reader of the output closed the pipe.
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
            // As with `| head`: not an error.
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
    /// Prints the reason and returns the exit code.
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

/// Prints an error to standard error.
pub(crate) fn complain(text: &str) {
    note(&format!("error: {text}"));
}

pub(crate) fn note(text: &str) {
    // Nothing can be printed if standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
