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
    working: Arc<Semaphore>,
    /// For those and for those that wait.
    present: Arc<Semaphore>,
}

/// A place. It is free again when this is dropped.
pub(super) struct Place {
    _present: OwnedSemaphorePermit,
    _working: OwnedSemaphorePermit,
}

impl ConcurrencyLimit {
    /// Places for `operations` at once.
    pub(super) fn new(operations: u64) -> Self {
        let most = Semaphore::MAX_PERMITS / (WAITERS_PER_PERMIT + 1);
        let operations = usize::try_from(operations).unwrap_or(most).clamp(1, most);
        let places = |count| Arc::new(Semaphore::new(count));
        Self { working: places(operations), present: places(operations * (WAITERS_PER_PERMIT + 1)) }
    }

    /// A place, after a second at the latest.
    ///
    /// # Errors
    /// `OVERLOADED`
    pub(super) async fn enter(&self) -> Result<Place, Error> {
        let overloaded =
            || Error::new(Code::Overloaded, "more is under way than can be done at once; try again");
        let present = self.present.clone().try_acquire_owned().map_err(|_| overloaded())?;
        if let Ok(working) = self.working.clone().try_acquire_owned() {
            return Ok(Place { _present: present, _working: working });
        }
        match tokio::time::timeout(QUEUE_TIMEOUT, self.working.clone().acquire_owned()).await {
            Ok(Ok(working)) => Ok(Place { _present: present, _working: working }),
            _ => Err(overloaded()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_who_find_no_place_are_told_so() {
        let admission = ConcurrencyLimit::new(1);
        let place = admission.enter().await.unwrap();
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                tokio::spawn({
                    let admission = admission.clone();
                    async move { admission.enter().await.map(drop) }
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        // Nobody waits behind those who wait.
        let at = std::time::Instant::now();
        assert!(admission.enter().await.is_err_and(|error| error.code == Code::Overloaded));
        assert!(at.elapsed() < Duration::from_millis(500));
        drop(place);
        for waited in waiting {
            waited.await.unwrap().unwrap();
        }
        let _place = admission.enter().await.unwrap();
        assert!(admission.enter().await.is_err());
    }
}
