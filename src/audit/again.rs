//! One transaction, tried again where other writers were in the way (floor 3).

use std::time::Duration;

use crate::error::Error;

/// Attempts before other writers are given way for good.
const ATTEMPTS: u32 = 8;

/// So many failures one after the other are no longer those of single rows.
const ALIKE: u32 = 5;

/// Work on many rows that goes on past one that fails, and fails for it in the end.
#[derive(Default)]
pub struct Past {
    first: Option<Error>,
    in_a_row: u32,
}

impl Past {
    /// What came of one row, or nothing where that failed.
    ///
    /// # Errors
    /// That of the row, where those before it failed as well.
    pub fn take(
        &mut self,
        what: &'static str,
        row: uuid::Uuid,
        done: Result<u64, Error>,
    ) -> Result<u64, Error> {
        let error = match done {
            Ok(number) => {
                self.in_a_row = 0;
                return Ok(number);
            }
            Err(error) => error,
        };
        self.in_a_row += 1;
        if self.in_a_row >= ALIKE {
            return Err(error);
        }
        tracing::warn!(what, %row, code = error.code.as_str(), "a row is passed over; it is tried again later");
        self.first.get_or_insert(error);
        Ok(0)
    }

    /// How many were done.
    ///
    /// # Errors
    /// The first one that was passed over.
    pub fn end(self, done: u64) -> Result<u64, Error> {
        self.first.map_or(Ok(done), Err)
    }
}

/// Runs `once`, which is one transaction, again where other writers were in the way.
///
/// # Errors
/// Those of `once`; `INTERNAL` when other writers were in the way to the end.
pub async fn again<T, F>(mut once: impl FnMut() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut attempt = 0;
    loop {
        attempt += 1;
        match once().await {
            Err(error) if error.transient && attempt < ATTEMPTS => {
                // Apart from each other, so that the same two do not meet again.
                let millis = rand::random_range(1..=10u64 << attempt.min(5));
                tokio::time::sleep(Duration::from_millis(millis)).await;
            }
            Err(error) if error.transient => {
                return Err(Error::internal("other writers were in the way to the end"));
            }
            done => return done,
        }
    }
}
