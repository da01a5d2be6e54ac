//! Whether the server can do its work: asked of the database, cheaply, at most once a second (floor 6).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use migration::{Migrator, MigratorTrait};
use serde::Serialize;
use tokio::{sync::Mutex, time::timeout};

use super::Ending;
use crate::{
    audit::{self, Probed},
    context::App,
};

/// How long an answer holds.
const FRESH: Duration = Duration::from_secs(1);
/// How long a check may take. An import into SQLite may hold the one writer for a moment.
const PATIENCE: Duration = Duration::from_secs(2);

/// The state of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
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
}

/// The state of every part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Checks {
    /// The pool that reads.
    pub reader: State,
    /// The pool that writes.
    pub writer: State,
    /// Whether the tables are those of this program.
    pub migrations: State,
    /// Whether a policy is in force.
    pub policy: State,
    /// Whether the audit log takes entries.
    pub audit: State,
}

impl Checks {
    fn ok(self) -> bool {
        let Self { reader, writer, migrations, policy, audit } = self;
        [reader, writer, migrations, policy, audit].iter().all(|state| *state == State::Ok)
    }
}

/// What `/readyz` tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `ready`, `unready`, or `stopping`.
    pub status: &'static str,
    /// Part by part.
    pub checks: Checks,
}

impl Report {
    /// Whether requests should be sent here.
    pub fn is_ready(&self) -> bool {
        self.status == "ready"
    }
}

/// Checks, and remembers for a second.
pub struct Health {
    app: Arc<App>,
    ending: Ending,
    last: Mutex<Option<(Instant, Checks)>>,
}

impl Health {
    /// Of the server over `app`, until `ending`.
    pub fn new(app: Arc<App>, ending: Ending) -> Self {
        Self { app, ending, last: Mutex::new(None) }
    }

    /// The state now, or of less than a second ago. Who asks while a check is under way waits for its answer.
    pub async fn report(&self) -> Report {
        let mut last = self.last.lock().await;
        let checks = match *last {
            Some((at, checks)) if at.elapsed() < FRESH => checks,
            _ => {
                let checks = check(&self.app).await;
                *last = Some((Instant::now(), checks));
                checks
            }
        };
        let status = match (self.ending.has_begun(), checks.ok()) {
            (true, _) => "stopping",
            (false, true) => "ready",
            (false, false) => "unready",
        };
        Report { status, checks }
    }
}

async fn check(app: &App) -> Checks {
    let pending = timeout(PATIENCE, Migrator::get_pending_migrations_read_only(&app.db.reader));
    let (pending, probed) = tokio::join!(pending, timeout(PATIENCE, audit::probe(app)));
    let (reader, migrations) = match pending {
        Ok(Ok(pending)) if pending.is_empty() => (State::Ok, State::Ok),
        Ok(Ok(_)) => (State::Ok, State::Pending),
        Ok(Err(_)) => (State::Failed, State::Unknown),
        Err(_) => (State::TimedOut, State::Unknown),
    };
    let (writer, audit) = match probed {
        Ok(Probed::Writable) => (State::Ok, State::Ok),
        Ok(Probed::NoEntry) => (State::Ok, State::Failed),
        Ok(Probed::NoTransaction) => (State::Failed, State::Unknown),
        Err(_) => (State::TimedOut, State::Unknown),
    };
    // Empty policies are not loaded; this tells of one that could not have been.
    let policy = if app.policy.current().revision().is_empty() { State::Failed } else { State::Ok };
    Checks { reader, writer, migrations, policy, audit }
}
