//! Retries a transaction that collided with other writers. Room: audit.

use std::time::Duration;

use super::{ProbeResult, probe};
use crate::{app::App, base::error::Error};

/// Maximum number of attempts.
const MAX_ATTEMPTS: u32 = 8;

/// After this many consecutive failures, probe whether anything can be written at all.
const PROBE_EVERY_FAILURES: u32 = 5;
/// This many consecutive failures are not due to single rows.
const MAX_CONSECUTIVE_FAILURES: u32 = 200;

/// Failures of work on many rows: it continues past rows that fail, and fails in the end.
#[derive(Default)]
pub struct RowFailures {
    first: Option<Error>,
    consecutive: u32,
}

impl RowFailures {
    /// Returns the result of one row, or the default if the row failed and the work can continue.
    ///
    /// # Errors
    /// The row's error, if rows before it failed too and nothing can be written, or if too many failed.
    pub async fn tolerate<T: Default>(
        &mut self,
        app: &App,
        what: &'static str,
        row: uuid::Uuid,
        result: Result<T, Error>,
    ) -> Result<T, Error> {
        let error = match result {
            Ok(result) => {
                self.consecutive = 0;
                return Ok(result);
            }
            Err(error) => error,
        };
        self.consecutive += 1;
        let is_general = self.consecutive.is_multiple_of(PROBE_EVERY_FAILURES)
            && (self.consecutive >= MAX_CONSECUTIVE_FAILURES || probe(app).await != ProbeResult::Writable);
        if is_general {
            return Err(error);
        }
        tracing::warn!(what, %row, code = error.code.as_str(), "a row is skipped; it is tried again later");
        self.first.get_or_insert(error);
        Ok(T::default())
    }

    /// Returns `result`.
    ///
    /// # Errors
    /// The first tolerated error.
    pub fn finish<T>(self, result: T) -> Result<T, Error> {
        self.first.map_or(Ok(result), Err)
    }
}

/// Runs `once`, one transaction, and repeats it if it collided with other writers.
///
/// # Errors
/// Those of `once`; `INTERNAL` if it still collides in the last attempt.
pub async fn with_retry<T, F>(mut once: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut attempt = 0;
    loop {
        attempt += 1;
        match once().await {
            Err(error) if error.transient && attempt < MAX_ATTEMPTS => {
                // At random, so that the same two do not collide again.
                let millis = rand::random_range(1..=10u64 << attempt.min(5));
                tokio::time::sleep(Duration::from_millis(millis)).await;
            }
            Err(error) if error.transient => {
                return Err(Error::internal("other writers were in the way in every attempt"));
            }
            result => return result,
        }
    }
}
