//! What a server of PostgreSQL is asked before it is trusted: whether it is there, and whether it holds readers read-only. Room: db.

use std::time::Duration;

use sea_orm::{
    DbErr, RuntimeErr,
    sqlx::{self, ConnectOptions as _, Connection, Row, postgres::PgConnectOptions},
};

/// How a server holds those who read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// It refuses what they write, and gives up what takes too long.
    Fast,
    /// It would let them write.
    NotReadOnly,
    /// It would let a statement run on for ever.
    NoTimeout,
}

/// What a server of PostgreSQL does not do, so that what is answered may be lost with the power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lax {
    /// `fsync` is off: after a power failure the whole database may be damaged.
    Fsync,
    /// `full_page_writes` is off: after a power failure pages may be half written.
    FullPageWrites,
    /// `synchronous_commit` of sessions that write is below `on`: a pooler between does not pass on what they ask for.
    SynchronousCommit,
}

/// What is asked of a session that writes.
pub(super) const DURABILITY_QUERY: &str = "SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit')";

/// What the answer says.
pub(super) fn lax(fsync: &str, full_page_writes: &str, synchronous_commit: &str) -> Vec<Lax> {
    let found = [
        (fsync != "on", Lax::Fsync),
        (full_page_writes != "on", Lax::FullPageWrites),
        (!is_awaited(synchronous_commit), Lax::SynchronousCommit),
    ];
    found.into_iter().filter_map(|(holds, lax)| holds.then_some(lax)).collect()
}

/// Whether a commit waits for the disk, and for the one of a synchronous standby where there is one.
fn is_awaited(synchronous_commit: &str) -> bool {
    matches!(synchronous_commit, "on" | "remote_apply")
}

/// What `synchronous_commit` sessions that write ask for: `on`, or what the server has where that is stronger.
pub(super) async fn synchronous_commit(options: &PgConnectOptions) -> Result<&'static str, DbErr> {
    let fault = |error: sqlx::Error| DbErr::Custom(explained(&error));
    let mut connection = options.connect().await.map_err(fault)?;
    let row = sqlx::query("SELECT current_setting('synchronous_commit')").fetch_one(&mut connection).await;
    let present: String = row.and_then(|row| row.try_get(0)).map_err(fault)?;
    connection.close().await.map_err(fault)?;
    Ok(if present == "remote_apply" { "remote_apply" } else { "on" })
}

/// What is asked: whether a session is read-only, and for how many milliseconds a statement may run (0 for ever).
pub(super) const SESSION_QUERY: &str = "SELECT current_setting('transaction_read_only'), (SELECT setting FROM pg_settings WHERE name = 'statement_timeout')";

/// What the answer says, where a statement may run for `time`; zero for no limit.
pub(super) fn judged(read_only: &str, timeout: &str, time: Duration) -> Held {
    let timeout: u128 = timeout.parse().unwrap_or_default();
    match read_only {
        "on" if time.is_zero() || (1..=time.as_millis()).contains(&timeout) => Held::Fast,
        "on" => Held::NoTimeout,
        _ => Held::NotReadOnly,
    }
}

/// Opens one connection as those that read, and asks. A pool would try for a while and then tell only that it was in vain; a pooler
/// between takes settings of a session and may not pass them on.
pub(super) async fn reader(options: &PgConnectOptions, time: Duration) -> Result<(), DbErr> {
    let fault = |error: sqlx::Error| DbErr::Custom(explained(&error));
    let mut connection = options.connect().await.map_err(fault)?;
    let row = sqlx::query(SESSION_QUERY).fetch_one(&mut connection).await.map_err(fault)?;
    let text = |index: usize| row.try_get::<String, _>(index).map_err(fault);
    let held = judged(&text(0)?, &text(1)?, time);
    connection.close().await.map_err(fault)?;
    match held {
        Held::Fast => Ok(()),
        Held::NotReadOnly => Err(DbErr::Custom(NOT_READ_ONLY.to_owned())),
        Held::NoTimeout => Err(DbErr::Custom(NO_TIMEOUT.to_owned())),
    }
}

const NOT_READ_ONLY: &str = "the database does not hold readers read-only: a pooler between does not pass on `options` of a session. Name \
                             by `database.reader_url` a role for reading with `ALTER ROLE ... SET default_transaction_read_only = on` and \
                             `SET statement_timeout`, or go past the pooler";
const NO_TIMEOUT: &str = "the database does not give up what readers ask for too long: a pooler between does not pass on `options` of a \
                          session. Name by `database.reader_url` a role for reading with `ALTER ROLE ... SET statement_timeout` of at most \
                          `limits.operation_seconds`, or go past the pooler";

/// Why a database cannot be used, in a fixed sentence with the SQLSTATE: neither holds a value.
pub fn explained(error: &sqlx::Error) -> String {
    let refused = |code: &str| match code {
        "28P01" | "28000" => "the database refuses the user or the password",
        "3D000" => "there is no such database",
        "42501" => "the user has not the rights that are needed",
        "42P05" | "26000" => {
            "a pooler is between that does not know prepared statements (PgBouncer before 1.21, or with max_prepared_statements = 0); \
             go past it or raise it"
        }
        "25006" => "the database is read-only; is it a standby?",
        "08P01" => {
            "a pooler is between that refuses settings of a session; name them in its ignore_startup_parameters (options, extra_float_digits)"
        }
        "53300" => "the database has no connection left",
        "57P03" => "the database is starting up or shutting down",
        _ => "the database refuses",
    };
    match error {
        sqlx::Error::Database(inner) => {
            let code = inner.code().unwrap_or_default();
            format!("{} (SQLSTATE {code})", refused(&code))
        }
        // No server has said one of its own: the class of those that were not connected to.
        sqlx::Error::Io(inner) => {
            let why = match inner.kind() {
                std::io::ErrorKind::ConnectionRefused => {
                    "nobody listens at the address of the database".to_owned()
                }
                _ if is_unresolved(inner) => {
                    "the name of the database's host cannot be looked up: there is none, or no DNS".to_owned()
                }
                kind => return format!("the connection to the database failed: {kind} (SQLSTATE 08006)"),
            };
            format!("{why} (SQLSTATE 08001); check `database.url`")
        }
        sqlx::Error::Tls(_) => {
            "the database and this program agree on no TLS; check `sslmode` in `database.url`".to_owned()
        }
        sqlx::Error::PoolTimedOut => "the database gave no connection in time".to_owned(),
        _ => "the database cannot be used; check `database.url`".to_owned(),
    }
}

/// Whether DNS knows no such name. The standard library has no kind for it.
fn is_unresolved(error: &std::io::Error) -> bool {
    error.to_string().starts_with("failed to lookup address information")
}

/// The same of an error of SeaORM.
pub fn explained_of(error: &DbErr) -> String {
    match error {
        DbErr::Custom(text) => text.clone(),
        DbErr::Conn(RuntimeErr::SqlxError(inner))
        | DbErr::Exec(RuntimeErr::SqlxError(inner))
        | DbErr::Query(RuntimeErr::SqlxError(inner)) => explained(inner),
        _ => "the database cannot be used; check `database.url`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_lost_with_the_power_is_told() {
        assert_eq!(lax("on", "on", "on"), []);
        assert_eq!(lax("on", "on", "remote_apply"), []);
        assert_eq!(lax("off", "off", "local"), [Lax::Fsync, Lax::FullPageWrites, Lax::SynchronousCommit]);
    }

    #[test]
    fn a_reader_is_held_where_both_are_set() {
        let second = Duration::from_secs(1);
        assert_eq!(judged("on", "1000", second), Held::Fast);
        assert_eq!(judged("on", "500", second), Held::Fast);
        assert_eq!(judged("on", "0", Duration::ZERO), Held::Fast);
        assert_eq!(judged("on", "0", second), Held::NoTimeout);
        assert_eq!(judged("on", "2000", second), Held::NoTimeout);
        assert_eq!(judged("off", "1000", second), Held::NotReadOnly);
    }
}
