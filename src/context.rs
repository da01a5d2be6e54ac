//! What every operation is given: the application, the clock, ids and keys (floor 2).

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use chrono::{DateTime, SubsecRound, Utc};
use hkdf::Hkdf;
use sha2::Sha256;
use uuid::Uuid;

use crate::{db::Db, error::Error};

/// Where time comes from. Microsecond precision, as PostgreSQL keeps it.
pub trait Clock: Send + Sync {
    /// The present instant, UTC.
    fn now(&self) -> DateTime<Utc>;
}

/// The clock of the machine.
#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now().trunc_subsecs(6)
    }
}

/// A clock that stands still until it is advanced: for tests and reproducible data.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `at`.
    pub fn new(at: DateTime<Utc>) -> Self {
        Self(AtomicU64::new(at.timestamp_micros().max(0).unsigned_abs()))
    }

    /// Moves the clock on.
    pub fn advance(&self, by: chrono::TimeDelta) {
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

/// Keys derived from the master key by HKDF-SHA-256 (RFC 5869), one per use.
#[derive(Clone)]
pub struct Keys {
    master: [u8; 32],
}

impl Keys {
    /// Keys under `master`.
    pub fn new(master: [u8; 32]) -> Self {
        Self { master }
    }

    /// Fresh random keys, which live as long as this value: cursors sealed by them end with the process.
    pub fn random() -> Self {
        Self { master: rand::random() }
    }

    /// The key for one use, e.g. `cursor`.
    pub fn derive(&self, usage: &str) -> Result<[u8; 32], Error> {
        let mut key = [0u8; 32];
        Hkdf::<Sha256>::new(Some(b"zweck"), &self.master)
            .expand(usage.as_bytes(), &mut key)
            .map_err(|_| Error::internal("key derivation"))?;
        Ok(key)
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(***)")
    }
}

/// The application: what outlives a request.
pub struct App {
    /// Reader and writer pools.
    pub db: Db,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Keys for cursors and digests.
    pub keys: Keys,
}

impl App {
    /// The present instant.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A fresh UUIDv7 of the application's own clock.
    pub fn new_id(&self) -> Uuid {
        id_at(self.now())
    }
}

/// A fresh UUIDv7 (RFC 9562) of the instant `at`.
pub fn id_at(at: DateTime<Utc>) -> Uuid {
    let millis = at.timestamp_millis().max(0).unsigned_abs();
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid()
}
