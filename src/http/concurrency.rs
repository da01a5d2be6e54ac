//! How many operations are under way at once; what is too much is told so instead of waiting without end. Room: http.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::error::{Code, Error};

/// How long an operation waits for its turn.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(1);
/// How many wait for each that is under way.
const WAITERS_PER_PERMIT: usize = 4;

/// The places there are.
#[derive(Clone)]
pub(super) struct ConcurrencyLimit {
    /// For those under way.
    running: Arc<Semaphore>,
    /// For those and for those that wait.
    admitted: Arc<Semaphore>,
}

/// A place. It is free again when this is dropped.
pub(super) struct Permit {
    _admitted: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
}

impl ConcurrencyLimit {
    /// Places for `operations` at once.
    pub(super) fn new(operations: u64) -> Self {
        let max = Semaphore::MAX_PERMITS / (WAITERS_PER_PERMIT + 1);
        let operations = usize::try_from(operations).unwrap_or(max).clamp(1, max);
        let semaphore = |count| Arc::new(Semaphore::new(count));
        Self { running: semaphore(operations), admitted: semaphore(operations * (WAITERS_PER_PERMIT + 1)) }
    }

    /// A place, after a second at the latest.
    ///
    /// # Errors
    /// `OVERLOADED`
    pub(super) async fn acquire(&self) -> Result<Permit, Error> {
        let overloaded =
            || Error::new(Code::Overloaded, "more is under way than can be done at once; try again");
        let admitted = self.admitted.clone().try_acquire_owned().map_err(|_| overloaded())?;
        if let Ok(running) = self.running.clone().try_acquire_owned() {
            return Ok(Permit { _admitted: admitted, _running: running });
        }
        match tokio::time::timeout(QUEUE_TIMEOUT, self.running.clone().acquire_owned()).await {
            Ok(Ok(running)) => Ok(Permit { _admitted: admitted, _running: running }),
            _ => Err(overloaded()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_who_find_no_place_are_told_so() {
        let limit = ConcurrencyLimit::new(1);
        let permit = limit.acquire().await.unwrap();
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                tokio::spawn({
                    let limit = limit.clone();
                    async move { limit.acquire().await.map(drop) }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        // Nobody waits behind those who wait.
        let start = std::time::Instant::now();
        assert!(limit.acquire().await.is_err_and(|error| error.code == Code::Overloaded));
        assert!(start.elapsed() < Duration::from_millis(500));
        drop(permit);
        for task in waiting {
            task.await.unwrap().unwrap();
        }
        let _permit = limit.acquire().await.unwrap();
        assert!(limit.acquire().await.is_err());
    }
}
