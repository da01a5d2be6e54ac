//! One transaction, tried again where other writers were in the way (floor 3).

use std::time::Duration;

use crate::error::Error;

/// Attempts before other writers are given way for good.
const ATTEMPTS: u32 = 8;

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
