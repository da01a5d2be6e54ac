//! Records which recipients receive personal data for which purpose, before it leaves (Art. 5(2), 19).
//! Room: domain/recipients.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{ConnectionTrait, DbBackend, Statement, Value};
use uuid::Uuid;

use crate::{
    app::App,
    audit::{self, RECIPIENT_USES_LOCK},
    auth::actor::Actor,
    base::error::{Code, Error},
};

/// How long a record covers further reads.
const NOTE_TTL: TimeDelta = TimeDelta::days(1);
/// How long this process relies on its own record. After that, a database restored meanwhile gets it again.
const CACHE_TTL: TimeDelta = TimeDelta::hours(1);

/// Recent records of this process: they save statements and decide nothing.
#[derive(Debug, Default)]
pub struct Uses(Mutex<HashMap<(Uuid, String), DateTime<Utc>>>);

impl Uses {
    /// Records that the recipient of this credential reads for its purpose, before anything is read. For other
    /// callers it does nothing.
    ///
    /// It waits for an opt-out being declared, which is then either visible to the reads that follow, or finds this
    /// record.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE` if it cannot be recorded: then no data may be disclosed.
    pub async fn note(&self, app: &App, actor: &Actor) -> Result<(), Error> {
        let (Some(recipient), Some(purpose)) = (actor.recipient, &actor.purpose) else { return Ok(()) };
        let (now, key) = (app.now(), (recipient, purpose.code.clone()));
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        // A clock that was set back must not extend a record.
        if cached.is_some_and(|at| at <= now && now - at < CACHE_TTL) {
            return Ok(());
        }
        audit::with_retry(|| record_use(app, recipient, &purpose.code, now))
            .await
            .map_err(|_| not_recorded())?;
        // Before the data leaves: a record lost in a power failure would hide this recipient from a later opt-out.
        app.db.flush().await.map_err(|_| not_recorded())?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, now);
        Ok(())
    }
}

fn not_recorded() -> Error {
    Error::new(Code::AuditUnavailable, "the recipient of this data cannot be recorded; no data is disclosed")
}

/// One statement, a transaction of its own. The row is renewed if it would expire before this process's cache.
async fn record_use(app: &App, recipient: Uuid, purpose: &str, now: DateTime<Utc>) -> Result<(), Error> {
    let backend = app.db.backend();
    let columns = "recipient_use (recipient_id, purpose_code, first_at, until_at)";
    let conflict = |last: &str| {
        format!(
            "ON CONFLICT (recipient_id, purpose_code) DO UPDATE SET until_at = excluded.until_at \
             WHERE recipient_use.until_at < {last} RETURNING first_at"
        )
    };
    let sql = match backend {
        DbBackend::Postgres => format!(
            "WITH uses AS MATERIALIZED (SELECT pg_advisory_xact_lock({RECIPIENT_USES_LOCK})) INSERT INTO {columns} \
             SELECT $1, $2, $3, $4 FROM uses {}",
            conflict("$5")
        ),
        _ => format!("INSERT INTO {columns} VALUES (?, ?, ?, ?) {}", conflict("?")),
    };
    let values: [Value; 5] =
        [recipient.into(), purpose.into(), now.into(), (now + NOTE_TTL).into(), (now + CACHE_TTL).into()];
    app.db.writer.query_one_raw(Statement::from_sql_and_values(backend, sql, values)).await?;
    Ok(())
}
