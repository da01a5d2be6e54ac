//! Readiness of the server: cheap checks of the database, at most once a second. Room: http.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use migration::{Migrator, MigratorTrait};
use serde::Serialize;
use tokio::{sync::Mutex, time::timeout};

use super::Shutdown;
use crate::{
    app::App,
    audit::{self, ProbeResult},
    db::{DurabilityGap, ReaderGuard},
};

/// How long a result is cached.
const CACHE_TTL: Duration = Duration::from_secs(1);
/// How long a check may take. An import into SQLite may hold the only writer for a moment.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// The result of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// It works.
    Ok,
    /// It does not.
    Failed,
    /// It did not answer in time.
    TimedOut,
    /// Migrations are pending.
    Pending,
    /// Something it depends on does not work.
    Unknown,
    /// The database lets reading connections write.
    NotReadOnly,
    /// The database sets no timeout for reading connections.
    NoTimeout,
}

/// The results of all checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Checks {
    /// The read pool.
    pub reader: CheckStatus,
    /// The write pool.
    pub writer: CheckStatus,
    /// Whether the schema of the database is that of this program.
    pub migrations: CheckStatus,
    /// Whether a policy is in force.
    pub policy: CheckStatus,
    /// Whether the audit log accepts entries.
    pub audit: CheckStatus,
    /// Whether sealed values can be opened: the master key in use is known.
    pub keys: CheckStatus,
}

impl Checks {
    fn ok(self) -> bool {
        let Self { reader, writer, migrations, policy, audit, keys } = self;
        [reader, writer, migrations, policy, audit, keys].iter().all(|state| *state == CheckStatus::Ok)
    }
}

/// Something that operators should look at, although the server works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// Keys are wrapped by a master key that is not configured: `zweck keys status`.
    UnknownMasterKey,
    /// The last run of a background job failed: the log says which and why.
    JobFailing,
    /// A policy file has been open for writing for long: the old policy stays in force until it is closed.
    PolicyHalfWritten,
    /// The suppression list has not been reviewed for three years: `zweck suppressions status`.
    SuppressionsUnreviewed,
    /// PostgreSQL has `fsync` off: a power failure may damage the whole database.
    FsyncOff,
    /// PostgreSQL has `full_page_writes` off: a power failure may leave pages half written.
    FullPageWritesOff,
    /// PostgreSQL acknowledges commits before they are on disk (`synchronous_commit`).
    CommitsNotAwaited,
}

impl From<DurabilityGap> for Warning {
    fn from(lax: DurabilityGap) -> Self {
        match lax {
            DurabilityGap::Fsync => Warning::FsyncOff,
            DurabilityGap::FullPageWrites => Warning::FullPageWritesOff,
            DurabilityGap::SynchronousCommit => Warning::CommitsNotAwaited,
        }
    }
}

/// The response of `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthReport {
    /// `ready`, `unready`, or `stopping`.
    pub status: &'static str,
    /// The result of each check.
    pub checks: Checks,
    /// Warnings, which do not affect the status.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

impl HealthReport {
    /// Whether requests should be sent here.
    pub fn is_ready(&self) -> bool {
        self.status == "ready"
    }
}

/// Runs the checks and caches their results for a second.
pub struct Health {
    app: Arc<App>,
    shutdown: Shutdown,
    last: Mutex<Option<(Instant, Checks, Vec<Warning>)>>,
}

impl Health {
    /// The health of the server over `app`, until `shutdown`.
    pub fn new(app: Arc<App>, shutdown: Shutdown) -> Self {
        Self { app, shutdown, last: Mutex::new(None) }
    }

    /// The current result, at most a second old. Concurrent callers wait for the running check.
    pub async fn report(&self) -> HealthReport {
        let mut last = self.last.lock().await;
        let (checks, warnings) = match &*last {
            Some((at, checks, warnings)) if at.elapsed() < CACHE_TTL => (*checks, warnings.clone()),
            _ => {
                let (checks, warnings) = check(&self.app).await;
                *last = Some((Instant::now(), checks, warnings.clone()));
                (checks, warnings)
            }
        };
        let status = match (self.shutdown.is_triggered(), checks.ok()) {
            (true, _) => "stopping",
            (false, true) => "ready",
            (false, false) => "unready",
        };
        HealthReport { status, checks, warnings }
    }
}

async fn check(app: &App) -> (Checks, Vec<Warning>) {
    let pending = timeout(CHECK_TIMEOUT, Migrator::get_pending_migrations_read_only(&app.db.reader));
    let unknown = timeout(CHECK_TIMEOUT, audit::unknown_master_keys(app));
    let (probed, lax) =
        (timeout(CHECK_TIMEOUT, audit::probe(app)), timeout(CHECK_TIMEOUT, app.db.durability_gaps()));
    let (pending, unknown, probed, lax) = tokio::join!(pending, unknown, probed, lax);
    let held = timeout(CHECK_TIMEOUT, app.db.reader_guard()).await;
    let (reader, migrations) = match pending {
        Ok(Ok(pending)) if pending.is_empty() => (CheckStatus::Ok, CheckStatus::Ok),
        Ok(Ok(_)) => (CheckStatus::Ok, CheckStatus::Pending),
        Ok(Err(_)) => (CheckStatus::Failed, CheckStatus::Unknown),
        Err(_) => (CheckStatus::TimedOut, CheckStatus::Unknown),
    };
    let reader = match (reader, held) {
        (CheckStatus::Ok, Ok(Ok(ReaderGuard::NotReadOnly))) => CheckStatus::NotReadOnly,
        (CheckStatus::Ok, Ok(Ok(ReaderGuard::NoTimeout))) => CheckStatus::NoTimeout,
        (CheckStatus::Ok, Ok(Err(_))) => CheckStatus::Failed,
        (CheckStatus::Ok, Err(_)) => CheckStatus::TimedOut,
        (reader, _) => reader,
    };
    let (writer, audit, keys) = match probed {
        Ok(ProbeResult::Writable) => (CheckStatus::Ok, CheckStatus::Ok, CheckStatus::Ok),
        Ok(ProbeResult::NoKey) => (CheckStatus::Ok, CheckStatus::Failed, CheckStatus::Failed),
        Ok(ProbeResult::NoEntry) => (CheckStatus::Ok, CheckStatus::Failed, CheckStatus::Unknown),
        Ok(ProbeResult::NoTransaction) => (CheckStatus::Failed, CheckStatus::Unknown, CheckStatus::Unknown),
        Err(_) => (CheckStatus::TimedOut, CheckStatus::Unknown, CheckStatus::Unknown),
    };
    let writer = if app.db.disk_has_failed() { CheckStatus::Failed } else { writer };
    // An empty policy is never loaded, so an empty revision means that there is no policy.
    let policy =
        if app.policy.current().revision().is_empty() { CheckStatus::Failed } else { CheckStatus::Ok };
    // A failure of the reader shows in its own check.
    let unknown = matches!(unknown, Ok(Ok(names)) if !names.is_empty());
    let warnings = [
        (unknown, Warning::UnknownMasterKey),
        (app.failing.any(), Warning::JobFailing),
        (app.policy.is_half_written(), Warning::PolicyHalfWritten),
        (app.suppression_review_due.load(Ordering::Relaxed), Warning::SuppressionsUnreviewed),
    ];
    let warnings = warnings.into_iter().filter_map(|(holds, warning)| holds.then_some(warning));
    // A failure of the writer shows in its own check.
    let lax = lax.ok().and_then(Result::ok).unwrap_or_default();
    let warnings = warnings.chain(lax.into_iter().map(Warning::from)).collect();
    (Checks { reader, writer, migrations, policy, audit, keys }, warnings)
}
