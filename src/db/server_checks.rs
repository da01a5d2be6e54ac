//! What a PostgreSQL server is asked before it is trusted: whether it is reachable and keeps readers read-only.
//! Room: db.

use std::time::Duration;

use sea_orm::{
    DbErr, RuntimeErr,
    sqlx::{self, ConnectOptions as _, Connection, Row, postgres::PgConnectOptions},
};

/// How a server enforces the reader session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReaderGuard {
    /// It rejects writes and cancels statements that take too long.
    Fast,
    /// It would accept writes.
    NotReadOnly,
    /// It would let a statement run forever.
    NoTimeout,
}

/// Server settings that may lose acknowledged transactions in a power failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurabilityGap {
    /// `fsync` is off: a power failure may damage the whole database.
    Fsync,
    /// `full_page_writes` is off: a power failure may leave half-written pages.
    FullPageWrites,
    /// `synchronous_commit` of writer sessions is below `on`: a pooler in between does not pass on the session
    /// setting.
    SynchronousCommit,
}

/// The query sent in a writer session.
pub(super) const DURABILITY_QUERY: &str = "SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')";

/// Evaluates the answer to [`DURABILITY_QUERY`].
pub(super) fn durability_gaps(
    fsync: &str,
    full_page_writes: &str,
    synchronous_commit: &str,
) -> Vec<DurabilityGap> {
    let found = [
        (fsync != "on", DurabilityGap::Fsync),
        (full_page_writes != "on", DurabilityGap::FullPageWrites),
        (!is_awaited(synchronous_commit), DurabilityGap::SynchronousCommit),
    ];
    found.into_iter().filter_map(|(holds, lax)| holds.then_some(lax)).collect()
}

/// Whether a commit waits for the local disk, and for the disk of a synchronous standby if there is one.
fn is_awaited(synchronous_commit: &str) -> bool {
    matches!(synchronous_commit, "on" | "remote_apply")
}

/// The `synchronous_commit` that writer sessions request: `on`, or the server's setting if it is stronger.
pub(super) async fn synchronous_commit(options: &PgConnectOptions) -> Result<&'static str, DbErr> {
    let db_error = |error: sqlx::Error| DbErr::Custom(describe_error(&error));
    let mut connection = options.connect().await.map_err(db_error)?;
    let row = sqlx::query("SELECT current_setting('synchronous_commit')").fetch_one(&mut connection).await;
    let present: String = row.and_then(|row| row.try_get(0)).map_err(db_error)?;
    connection.close().await.map_err(db_error)?;
    Ok(if present == "remote_apply" { "remote_apply" } else { "on" })
}

/// Asks whether a session is read-only and for how many milliseconds a statement may run (0 for no limit).
pub(super) const SESSION_QUERY: &str = "SELECT current_setting('transaction_read_only'), (SELECT setting FROM pg_settings WHERE name = 'statement_timeout')";

/// Evaluates the answer to [`SESSION_QUERY`] for a statement timeout of `time`; zero for no limit.
pub(super) fn evaluate(read_only: &str, timeout: &str, time: Duration) -> ReaderGuard {
    let timeout: u128 = timeout.parse().unwrap_or_default();
    match read_only {
        "on" if time.is_zero() || (1..=time.as_millis()).contains(&timeout) => ReaderGuard::Fast,
        "on" => ReaderGuard::NoTimeout,
        _ => ReaderGuard::NotReadOnly,
    }
}

/// Opens one reader connection and queries it. A pool would retry for a while and then report only a timeout; a
/// pooler in between accepts session settings but may not pass them on.
pub(super) async fn reader(options: &PgConnectOptions, time: Duration) -> Result<(), DbErr> {
    let db_error = |error: sqlx::Error| DbErr::Custom(describe_error(&error));
    let mut connection = options.connect().await.map_err(db_error)?;
    let row = sqlx::query(SESSION_QUERY).fetch_one(&mut connection).await.map_err(db_error)?;
    let text = |index: usize| row.try_get::<String, _>(index).map_err(db_error);
    let held = evaluate(&text(0)?, &text(1)?, time);
    connection.close().await.map_err(db_error)?;
    match held {
        ReaderGuard::Fast => Ok(()),
        ReaderGuard::NotReadOnly => Err(DbErr::Custom(NOT_READ_ONLY.to_owned())),
        ReaderGuard::NoTimeout => Err(DbErr::Custom(NO_TIMEOUT.to_owned())),
    }
}

const NOT_READ_ONLY: &str = "the database does not keep readers read-only: a pooler in between does not pass on the `options` of a session. Set \
                             `database.reader_url` to a role for reading with `ALTER ROLE ... SET default_transaction_read_only = on` and \
                             `SET statement_timeout`, or bypass the pooler";
const NO_TIMEOUT: &str = "the database does not cancel slow statements of readers: a pooler in between does not pass on the `options` of a \
                          session. Set `database.reader_url` to a role for reading with `ALTER ROLE ... SET statement_timeout` of at most \
                          `limits.operation_seconds`, or bypass the pooler";

/// Why a database cannot be used, as a fixed sentence with the SQLSTATE; neither holds a value.
pub fn describe_error(error: &sqlx::Error) -> String {
    let refused = |code: &str| match code {
        "28P01" | "28000" => "the database rejects the user or the password",
        "3D000" => "there is no such database",
        "42501" => "the user lacks the necessary privileges",
        "42P05" | "26000" => {
            "a pooler in between does not support prepared statements (PgBouncer before 1.21, or with max_prepared_statements = 0); \
             bypass or upgrade it"
        }
        "25006" => "the database is read-only; is it a standby?",
        "08P01" => {
            "a pooler in between rejects session settings; add them to its ignore_startup_parameters (options, extra_float_digits)"
        }
        "53300" => "the database has no free connection",
        "57P03" => "the database is starting up or shutting down",
        _ => "the database reports an error",
    };
    match error {
        sqlx::Error::Database(inner) => {
            let code = inner.code().unwrap_or_default();
            format!("{} (SQLSTATE {code})", refused(&code))
        }
        // No server sent an SQLSTATE, so this is the class for connection failures.
        sqlx::Error::Io(inner) => {
            let why = match inner.kind() {
                std::io::ErrorKind::ConnectionRefused => {
                    "nothing listens at the address of the database".to_owned()
                }
                _ if is_unresolved(inner) => {
                    "the database host name cannot be resolved: it does not exist, or DNS is unavailable"
                        .to_owned()
                }
                kind => return format!("the connection to the database failed: {kind} (SQLSTATE 08006)"),
            };
            format!("{why} (SQLSTATE 08001); check `database.url`")
        }
        sqlx::Error::Tls(_) => {
            "the TLS handshake with the database failed; check `sslmode` in `database.url`".to_owned()
        }
        sqlx::Error::PoolTimedOut => "the database provided no connection in time".to_owned(),
        _ => "the database cannot be used; check `database.url`".to_owned(),
    }
}

/// Whether DNS does not know the name. The standard library has no error kind for it.
fn is_unresolved(error: &std::io::Error) -> bool {
    error.to_string().starts_with("failed to lookup address information")
}

/// Like [`describe_error`], for an error of SeaORM.
pub fn describe_db_error(error: &DbErr) -> String {
    match error {
        DbErr::Custom(text) => text.clone(),
        DbErr::Conn(RuntimeErr::SqlxError(inner))
        | DbErr::Exec(RuntimeErr::SqlxError(inner))
        | DbErr::Query(RuntimeErr::SqlxError(inner)) => describe_error(inner),
        _ => "the database cannot be used; check `database.url`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_lost_with_the_power_is_told() {
        assert_eq!(durability_gaps("on", "on", "on"), []);
        assert_eq!(durability_gaps("on", "on", "remote_apply"), []);
        assert_eq!(
            durability_gaps("off", "off", "local"),
            [DurabilityGap::Fsync, DurabilityGap::FullPageWrites, DurabilityGap::SynchronousCommit]
        );
    }

    #[test]
    fn a_reader_is_held_where_both_are_set() {
        let second = Duration::from_secs(1);
        assert_eq!(evaluate("on", "1000", second), ReaderGuard::Fast);
        assert_eq!(evaluate("on", "500", second), ReaderGuard::Fast);
        assert_eq!(evaluate("on", "0", Duration::ZERO), ReaderGuard::Fast);
        assert_eq!(evaluate("on", "0", second), ReaderGuard::NoTimeout);
        assert_eq!(evaluate("on", "2000", second), ReaderGuard::NoTimeout);
        assert_eq!(evaluate("off", "1000", second), ReaderGuard::NotReadOnly);
    }
}
