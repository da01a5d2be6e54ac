//! The source of time. Room: base.

use std::sync::atomic::{AtomicU64, Ordering};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// The source of time, with microsecond precision as PostgreSQL stores it.
pub trait Clock: Send + Sync {
    /// The current instant, UTC.
    fn now(&self) -> DateTime<Utc>;
}

/// The system clock.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}

/// A clock that only moves when it is advanced, for tests and reproducible data.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `at`.
    pub fn new(at: DateTime<Utc>) -> Self {
        Self(AtomicU64::new(at.timestamp_micros().max(0).unsigned_abs()))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: TimeDelta) {
        let micros = by.num_microseconds().unwrap_or(0).max(0).unsigned_abs();
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> DateTime<Utc> {
        let micros = i64::try_from(self.0.load(Ordering::SeqCst)).unwrap_or(0);
        DateTime::from_timestamp_micros(micros).unwrap_or_default()
    }
}
