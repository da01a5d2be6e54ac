//! Limits concurrent operations; rejects excess ones instead of letting them wait without end. Room: http.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::base::error::{Code, Error};

/// How long an operation waits for a permit.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(1);
/// How many operations may wait for each running one.
const WAITERS_PER_PERMIT: usize = 4;

/// The permits for running and waiting operations.
#[derive(Clone)]
pub(super) struct ConcurrencyLimit {
    /// Permits of running operations.
    running: Arc<Semaphore>,
    /// Permits of running and waiting operations.
    admitted: Arc<Semaphore>,
}

/// A permit to run an operation, released on drop.
pub(super) struct Permit {
    _admitted: OwnedSemaphorePermit,
    _running: OwnedSemaphorePermit,
}

impl ConcurrencyLimit {
    /// Permits for `operations` at once.
    pub(super) fn new(operations: u64) -> Self {
        let max = Semaphore::MAX_PERMITS / (WAITERS_PER_PERMIT + 1);
        let operations = usize::try_from(operations).unwrap_or(max).clamp(1, max);
        let semaphore = |count| Arc::new(Semaphore::new(count));
        Self { running: semaphore(operations), admitted: semaphore(operations * (WAITERS_PER_PERMIT + 1)) }
    }

    /// Waits at most a second for a permit.
    ///
    /// # Errors
    /// `OVERLOADED`
    pub(super) async fn acquire(&self) -> Result<Permit, Error> {
        let overloaded = || Error::new(Code::Overloaded, "too many concurrent operations; try again");
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
