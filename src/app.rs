//! Application state that outlives a request. Room: app.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicBool},
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::{
    auth::oidc::Issuers,
    base::{clock::Clock, identities::Reader, ids::id_at},
    config::{public_pages::PublicPages, recipients::Recipients},
    crypto::{installation_keys::InstallationKeys, master_keys::MasterKeys},
    db::Db,
    policy::PolicyHandle,
};

/// Application state that outlives a request.
pub struct App {
    /// The reader and writer pools.
    pub db: Db,
    /// The policy in force, replaced as a whole.
    pub policy: PolicyHandle,
    /// The source of time.
    pub clock: Arc<dyn Clock>,
    /// Keys for cursors and digests.
    pub keys: MasterKeys,
    /// Issuers whose user tokens are accepted.
    pub issuers: Issuers,
    /// Settings of the public pages.
    pub pages: PublicPages,
    /// Keys that survive a rotation of the master key, once they are read from the database.
    pub installation_keys: Arc<OnceCell<InstallationKeys>>,
    /// Normalises addresses and phone numbers for this installation.
    pub identity_reader: Reader,
    /// How long recipients may keep a copy of what they read.
    pub keep_copy: TimeDelta,
    /// Background jobs whose last run failed.
    pub failing: FailingJobs,
    /// Whether a review of the suppression list is due, as the daily job last found it.
    pub suppression_review_due: AtomicBool,
}

/// Background jobs whose last run failed, by name. Clones share the set.
#[derive(Clone, Debug, Default)]
pub struct FailingJobs(Arc<Mutex<BTreeSet<&'static str>>>);

impl FailingJobs {
    /// Records how a run of a job ended.
    pub fn note(&self, job: &'static str, failed: bool) {
        let mut failing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failed {
            failing.insert(job);
        } else {
            failing.remove(job);
        }
    }

    /// Whether the last run of any job failed.
    pub fn any(&self) -> bool {
        !self.0.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

impl App {
    /// An application without public pages.
    pub fn new(
        db: Db,
        policy: PolicyHandle,
        clock: Arc<dyn Clock>,
        keys: MasterKeys,
        issuers: Issuers,
    ) -> Self {
        Self {
            db,
            policy,
            clock,
            keys,
            issuers,
            pages: PublicPages::default(),
            installation_keys: Arc::default(),
            identity_reader: Reader::default(),
            keep_copy: Recipients::default().keep_copy(),
            failing: FailingJobs::default(),
            suppression_review_due: AtomicBool::new(false),
        }
    }

    /// Sets the public pages.
    pub fn with_pages(self, pages: PublicPages) -> Self {
        Self { pages, ..self }
    }

    /// Sets how addresses are normalised.
    pub fn with_identity_reader(self, identity_reader: Reader) -> Self {
        Self { identity_reader, ..self }
    }

    /// Sets how long recipients may keep a copy.
    pub fn with_keep_copy(self, keep_copy: TimeDelta) -> Self {
        Self { keep_copy, ..self }
    }

    /// The current instant.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A new UUIDv7 by the application's clock.
    pub fn new_id(&self) -> Uuid {
        id_at(self.now())
    }
}
