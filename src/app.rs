//! The application: what outlives a request. Room: app.

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

/// The application: what outlives a request.
pub struct App {
    /// Reader and writer pools.
    pub db: Db,
    /// The policy in force, swapped as a whole.
    pub policy: PolicyHandle,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Keys for cursors and digests.
    pub keys: MasterKeys,
    /// Issuers whose users' tokens are taken.
    pub issuers: Issuers,
    /// What the public pages say and where they are.
    pub pages: PublicPages,
    /// Keys that outlive a rotation of the master key, once they were read from the database.
    pub installation_keys: Arc<OnceCell<InstallationKeys>>,
    /// How addresses and numbers are read here.
    pub reader: Reader,
    /// How long recipients may have kept what they read.
    pub keep_copy: TimeDelta,
    /// Which background jobs failed when they last ran.
    pub failing: FailingJobs,
    /// Whether the suppression list is to be looked over, as the daily job found it.
    pub unreviewed: AtomicBool,
}

/// Background jobs that failed when they last ran, by name. All clones know the same.
#[derive(Clone, Debug, Default)]
pub struct FailingJobs(Arc<Mutex<BTreeSet<&'static str>>>);

impl FailingJobs {
    /// Notes how a job ended.
    pub fn note(&self, job: &'static str, failed: bool) {
        let mut failing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failed {
            failing.insert(job);
        } else {
            failing.remove(job);
        }
    }

    /// Whether any failed.
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
            reader: Reader::default(),
            keep_copy: Recipients::default().keep_copy(),
            failing: FailingJobs::default(),
            unreviewed: AtomicBool::new(false),
        }
    }

    /// The same with public pages.
    pub fn with_pages(self, pages: PublicPages) -> Self {
        Self { pages, ..self }
    }

    /// The same, where addresses are read by the rules of another installation.
    pub fn with_reader(self, reader: Reader) -> Self {
        Self { reader, ..self }
    }

    /// The same, where recipients may keep what they read for another time.
    pub fn with_keep_copy(self, keep_copy: TimeDelta) -> Self {
        Self { keep_copy, ..self }
    }

    /// The present instant.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A fresh UUIDv7 of the application's own clock.
    pub fn new_id(&self) -> Uuid {
        id_at(self.now())
    }
}
