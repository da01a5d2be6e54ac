//! Whether the server can do its work: asked of the database, cheaply, at most once a second. Room: http.

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
    db::{Held, Lax},
};

/// How long an answer holds.
const CACHE_TTL: Duration = Duration::from_secs(1);
/// How long a check may take. An import into SQLite may hold the one writer for a moment.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// The state of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckStatus {
    /// It works.
    Ok,
    /// It does not.
    Failed,
    /// It gave no answer in time.
    TimedOut,
    /// Migrations wait to be run.
    Pending,
    /// What it depends on does not work.
    Unknown,
    /// The database would let those write who read.
    NotReadOnly,
    /// The database would let those who read take for ever.
    NoTimeout,
}

/// The state of every part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Checks {
    /// The pool that reads.
    pub reader: CheckStatus,
    /// The pool that writes.
    pub writer: CheckStatus,
    /// Whether the tables are those of this program.
    pub migrations: CheckStatus,
    /// Whether a policy is in force.
    pub policy: CheckStatus,
    /// Whether the audit log takes entries.
    pub audit: CheckStatus,
    /// Whether what is sealed can be opened: the master key in use is known.
    pub keys: CheckStatus,
}

impl Checks {
    fn ok(self) -> bool {
        let Self { reader, writer, migrations, policy, audit, keys } = self;
        [reader, writer, migrations, policy, audit, keys].iter().all(|state| *state == CheckStatus::Ok)
    }
}

/// Something that operators should look at, though requests can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// Keys are wrapped by a master key that is not known here: `zweck keys status`.
    UnknownMasterKey,
    /// A background job failed when it last ran: the log says which and why.
    JobFailing,
    /// A file of the policy was written to and has not been closed for long: the old policy stays in force until it is.
    PolicyHalfWritten,
    /// The suppression list was not looked over for three years: `zweck suppressions status`.
    SuppressionsUnreviewed,
    /// PostgreSQL has `fsync` off: a power failure may damage the whole database.
    FsyncOff,
    /// PostgreSQL has `full_page_writes` off: a power failure may leave pages half written.
    FullPageWritesOff,
    /// PostgreSQL answers commits before they are on the disk (`synchronous_commit`).
    CommitsNotAwaited,
}

impl From<Lax> for Warning {
    fn from(lax: Lax) -> Self {
        match lax {
            Lax::Fsync => Warning::FsyncOff,
            Lax::FullPageWrites => Warning::FullPageWritesOff,
            Lax::SynchronousCommit => Warning::CommitsNotAwaited,
        }
    }
}

/// What `/readyz` tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HealthReport {
    /// `ready`, `unready`, or `stopping`.
    pub status: &'static str,
    /// Part by part.
    pub checks: Checks,
    /// What is to be looked at all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
}

impl HealthReport {
    /// Whether requests should be sent here.
    pub fn is_ready(&self) -> bool {
        self.status == "ready"
    }
}

/// Checks, and remembers for a second.
pub struct Health {
    app: Arc<App>,
    shutdown: Shutdown,
    last: Mutex<Option<(Instant, Checks, Vec<Warning>)>>,
}

impl Health {
    /// Of the server over `app`, until `ending`.
    pub fn new(app: Arc<App>, shutdown: Shutdown) -> Self {
        Self { app, shutdown, last: Mutex::new(None) }
    }

    /// The state now, or of less than a second ago. Who asks while a check is under way waits for its answer.
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
    let (probed, lax) = (timeout(CHECK_TIMEOUT, audit::probe(app)), timeout(CHECK_TIMEOUT, app.db.lax()));
    let (pending, unknown, probed, lax) = tokio::join!(pending, unknown, probed, lax);
    let held = timeout(CHECK_TIMEOUT, app.db.held()).await;
    let (reader, migrations) = match pending {
        Ok(Ok(pending)) if pending.is_empty() => (CheckStatus::Ok, CheckStatus::Ok),
        Ok(Ok(_)) => (CheckStatus::Ok, CheckStatus::Pending),
        Ok(Err(_)) => (CheckStatus::Failed, CheckStatus::Unknown),
        Err(_) => (CheckStatus::TimedOut, CheckStatus::Unknown),
    };
    let reader = match (reader, held) {
        (CheckStatus::Ok, Ok(Ok(Held::NotReadOnly))) => CheckStatus::NotReadOnly,
        (CheckStatus::Ok, Ok(Ok(Held::NoTimeout))) => CheckStatus::NoTimeout,
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
    // Empty policies are not loaded; this tells of one that could not have been.
    let policy =
        if app.policy.current().revision().is_empty() { CheckStatus::Failed } else { CheckStatus::Ok };
    // Whether the reader answers is told by its check.
    let unknown = matches!(unknown, Ok(Ok(names)) if !names.is_empty());
    let warnings = [
        (unknown, Warning::UnknownMasterKey),
        (app.failing.any(), Warning::JobFailing),
        (app.policy.is_half_written(), Warning::PolicyHalfWritten),
        (app.unreviewed.load(Ordering::Relaxed), Warning::SuppressionsUnreviewed),
    ];
    let warnings = warnings.into_iter().filter_map(|(holds, warning)| holds.then_some(warning));
    // Whether the writer answers is told by its check.
    let lax = lax.ok().and_then(Result::ok).unwrap_or_default();
    let warnings = warnings.chain(lax.into_iter().map(Warning::from)).collect();
    (Checks { reader, writer, migrations, policy, audit, keys }, warnings)
}
