//! Why something was not measured. Room: bench.

use crate::base::error::Error;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// Wrong arguments or configuration.
    #[error("{0}")]
    Usage(String),
    /// Something did not work.
    #[error("{0}")]
    Failed(String),
    /// Answers differ.
    #[error("the answers differ: {0}")]
    Differs(String),
}

impl From<std::io::Error> for BenchError {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<Error> for BenchError {
    fn from(error: Error) -> Self {
        Self::Failed(error.message)
    }
}
