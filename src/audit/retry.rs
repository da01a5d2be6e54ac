//! One transaction, tried again where other writers were in the way. Room: audit.

use std::time::Duration;

use super::{ProbeResult, probe};
use crate::{app::App, base::error::Error};

/// Attempts before other writers are given way for good.
const MAX_ATTEMPTS: u32 = 8;

/// After so many failures one after the other it is asked whether anything can be written at all.
const PROBE_EVERY: u32 = 5;
/// So many are no longer those of single rows.
const MAX_CONSECUTIVE_FAILURES: u32 = 200;

/// Work on many rows that goes on past those that fail, and fails for them in the end.
#[derive(Default)]
pub struct RowFailures {
    first: Option<Error>,
    consecutive: u32,
}

impl RowFailures {
    /// What came of one row, or nothing where that failed.
    ///
    /// # Errors
    /// That of the row, where those before it failed as well and nothing can be written, or where there are too many of them.
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
        let is_general = self.consecutive.is_multiple_of(PROBE_EVERY)
            && (self.consecutive >= MAX_CONSECUTIVE_FAILURES || probe(app).await != ProbeResult::Writable);
        if is_general {
            return Err(error);
        }
        tracing::warn!(what, %row, code = error.code.as_str(), "a row is passed over; it is tried again later");
        self.first.get_or_insert(error);
        Ok(T::default())
    }

    /// What was done.
    ///
    /// # Errors
    /// The first one that was passed over.
    pub fn finish<T>(self, result: T) -> Result<T, Error> {
        self.first.map_or(Ok(result), Err)
    }
}

/// Runs `once`, which is one transaction, again where other writers were in the way.
///
/// # Errors
/// Those of `once`; `INTERNAL` when other writers were in the way to the end.
pub async fn with_retry<T, F>(mut once: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut attempt = 0;
    loop {
        attempt += 1;
        match once().await {
            Err(error) if error.transient && attempt < MAX_ATTEMPTS => {
                // Apart from each other, so that the same two do not meet again.
                let millis = rand::random_range(1..=10u64 << attempt.min(5));
                tokio::time::sleep(Duration::from_millis(millis)).await;
            }
            Err(error) if error.transient => {
                return Err(Error::internal("other writers were in the way to the end"));
            }
            result => return result,
        }
    }
}
