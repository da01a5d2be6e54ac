//! For which purposes recipients got personal data: noted before it leaves (Art. 5(2), 19). Room: domain/recipients.

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

/// How long a note is good for.
const NOTE_TTL: TimeDelta = TimeDelta::days(1);
/// How long this process takes its own note for granted. A database that was restored meanwhile has it again after that.
const CACHE_TTL: TimeDelta = TimeDelta::hours(1);

/// What this process has noted of late: it saves statements and decides nothing.
#[derive(Debug, Default)]
pub struct Uses(Mutex<HashMap<(Uuid, String), DateTime<Utc>>>);

impl Uses {
    /// Notes that the recipient whose credential it is reads for its purpose, before anything is read. Other callers cost nothing.
    ///
    /// A no that is being declared is waited for, so that it is either seen by what is read afterwards or finds the note.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE` when it cannot be noted: then nothing may be told.
    pub async fn note(&self, app: &App, actor: &Actor) -> Result<(), Error> {
        let (Some(recipient), Some(purpose)) = (actor.recipient, &actor.purpose) else { return Ok(()) };
        let (now, key) = (app.now(), (recipient, purpose.code.clone()));
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        // A clock that was set back makes no note older than it is.
        if cached.is_some_and(|at| at <= now && now - at < CACHE_TTL) {
            return Ok(());
        }
        audit::with_retry(|| record_use(app, recipient, &purpose.code, now))
            .await
            .map_err(|_| not_recorded())?;
        // Before the data leaves: a note that is lost with the power would tell nobody a later no.
        app.db.flush().await.map_err(|_| not_recorded())?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key, now);
        Ok(())
    }
}

fn not_recorded() -> Error {
    Error::new(Code::AuditUnavailable, "who gets this cannot be noted; nothing is told")
}

/// One statement, which is a transaction of its own. The row is renewed where it would not outlast what this process takes for granted.
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
