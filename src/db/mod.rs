//! Connections: one read-only pool, enforced by the database, and one writer pool. Room: db.
//!
//! Readers are `query_only` (SQLite) or `default_transaction_read_only` (PostgreSQL); SQLite has one writer, WAL,
//! foreign keys and `secure_delete`. The pool of sqlx pings every connection that is returned, which costs a round
//! trip to PostgreSQL after each read. The engine's reads and the token lookup therefore keep their connections
//! (`src/db/connection_cache.rs`), first come, first served, and leave two of the pool to others. A connection goes
//! back to the pool when it was taken more than a minute ago or when its statement failed or was cancelled; one that
//! was idle for a second is pinged.

pub mod change_feed;
pub mod connection_cache;
pub mod durable;
mod server_checks;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    base::error::Error,
    config::{SEVERAL_HOSTS, names_several_hosts},
    db::{
        change_feed::ChangeFeed,
        connection_cache::{ConnectionCache, MAX_IDLE_UNCHECKED},
        durable::Flusher,
    },
};
use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, Statement,
    sqlx::{self, ConnectOptions as _, Connection, postgres::PgConnectOptions},
};

pub use server_checks::{DurabilityGap, ReaderGuard, describe_db_error};

/// SQLite virtual machine steps between two checks of the deadline.
const PROGRESS_STEPS: i32 = 10_000;

/// The two pools of one database.
#[derive(Clone, Debug)]
pub struct Db {
    /// Reads; the database rejects writes on it.
    pub reader: DatabaseConnection,
    /// Reader connections kept between reads, if the pool is large enough.
    pub connection_cache: Option<ConnectionCache>,
    /// Writes; on SQLite a single connection.
    pub writer: DatabaseConnection,
    /// Changes committed by this writer.
    pub feed: ChangeFeed,
    /// Flushes commits to disk, if the database does not do that itself.
    flusher: Option<Flusher>,
    /// Time limit of read statements; zero for no limit.
    read_timeout: Duration,
}

impl Db {
    /// Opens `sqlite://path` (created if missing, readable only by its owner) or `postgres://...` with
    /// `max_connections` readers.
    ///
    /// # Errors
    /// The database cannot be reached, or the URL has an unsupported scheme or names an in-memory database (two pools
    /// would see two databases).
    pub async fn connect(url: &str, max_connections: u32) -> Result<Self, DbErr> {
        Self::connect_with_timeout(url, max_connections, Duration::ZERO).await
    }

    /// Like [`Db::connect`], but the database cancels read statements that run longer than `read_timeout`; zero for no limit.
    /// Writes are never cancelled.
    ///
    /// # Errors
    /// Those of [`Db::connect`].
    pub async fn connect_with_timeout(
        url: &str,
        max_connections: u32,
        read_timeout: Duration,
    ) -> Result<Self, DbErr> {
        Self::connect_with_reader(url, None, max_connections, read_timeout).await
    }

    /// Like [`Db::connect_with_timeout`], but PostgreSQL is read through another URL, such as that of a read-only
    /// role. The database is asked whether it keeps readers read-only and cancels slow statements, because a pooler
    /// in between may not pass these settings on.
    ///
    /// # Errors
    /// Those of [`Db::connect`]; the database does not enforce the reader session.
    pub async fn connect_with_reader(
        url: &str,
        reader_url: Option<&str>,
        max_connections: u32,
        read_timeout: Duration,
    ) -> Result<Self, DbErr> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            if path.is_empty() || path.contains(":memory:") || path.contains('?') {
                return Err(DbErr::Custom(
                    "a SQLite URL is sqlite:// followed by the path of a file".to_owned(),
                ));
            }
            create_private(Path::new(path))?;
            // One connection: writers queue here.
            let mut writer = sqlite(url, "rwc", 1, false);
            writer.acquire_timeout(Duration::from_secs(15));
            let writer = Database::connect(writer).await?;
            let mut reader = sqlite(url, "rw", max_connections, true);
            if read_timeout > Duration::ZERO {
                reader.map_sqlx_sqlite_before_acquire(move |connection, _| {
                    Box::pin(interrupt_after(connection, read_timeout))
                });
            }
            let reader = Database::connect(reader).await?;
            let flusher = Some(Flusher::new(Path::new(path)));
            return Ok(Self {
                reader,
                connection_cache: None,
                writer,
                feed: ChangeFeed::default(),
                flusher,
                read_timeout,
            });
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let read_by = reader_url.unwrap_or(url);
            server_checks::reader(&session(read_by, Some(read_timeout))?, read_timeout).await?;
            let writing = session(url, None)?;
            // Acknowledged writes must not be lost, whatever the defaults of the database or the role are.
            let commit = server_checks::synchronous_commit(&writing).await?;
            let writing = writing.options([("synchronous_commit", commit)]);
            let writer = Database::connect(postgres(writing, max_connections.div_ceil(2))).await?;
            let reading = session(read_by, Some(read_timeout))?;
            let reader = Database::connect(postgres(reading, max_connections)).await?;
            let connection_cache = ConnectionCache::try_new(reader.get_postgres_connection_pool());
            return Ok(Self {
                reader,
                connection_cache,
                writer,
                feed: ChangeFeed::default(),
                flusher: None,
                read_timeout,
            });
        }
        Err(DbErr::Custom("a database URL begins with sqlite:// or postgres://".to_owned()))
    }

    /// Waits until committed changes are on disk. PostgreSQL has already waited when it answers.
    ///
    /// # Errors
    /// `INTERNAL` if the disk fails.
    pub async fn flush(&self) -> Result<(), Error> {
        match &self.flusher {
            Some(flusher) => flusher.flush().await,
            None => Ok(()),
        }
    }

    /// Asks one connection of the reader pool how the database enforces reader sessions.
    ///
    /// # Errors
    /// From the database.
    pub async fn reader_guard(&self) -> Result<ReaderGuard, DbErr> {
        if self.backend() == DbBackend::Sqlite {
            // This program sets it on each connection directly.
            return Ok(ReaderGuard::Fast);
        }
        let statement = Statement::from_string(self.backend(), server_checks::SESSION_QUERY);
        let row = self.reader.query_one_raw(statement).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("settings".to_owned()))?;
        let (read_only, timeout): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        Ok(server_checks::evaluate(&read_only, &timeout, self.read_timeout))
    }

    /// The database settings that may lose acknowledged commits in a power failure. For SQLite this program sets them
    /// itself.
    ///
    /// # Errors
    /// From the database.
    pub async fn durability_gaps(&self) -> Result<Vec<DurabilityGap>, DbErr> {
        if self.backend() == DbBackend::Sqlite {
            return Ok(Vec::new());
        }
        let statement = Statement::from_string(self.backend(), server_checks::DURABILITY_QUERY);
        let row = self.writer.query_one_raw(statement).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("settings".to_owned()))?;
        let setting = |index: usize| row.try_get_by_index::<String>(index);
        Ok(server_checks::durability_gaps(&setting(0)?, &setting(1)?, &setting(2)?))
    }

    /// Whether a flush to disk has failed.
    pub fn disk_has_failed(&self) -> bool {
        self.flusher.as_ref().is_some_and(Flusher::has_failed)
    }

    /// Closes all connections. SQLite then moves its write-ahead log into the database file, unless another process
    /// has it open; the file alone is then complete.
    ///
    /// # Errors
    /// From the database.
    pub async fn close(&self) -> Result<(), DbErr> {
        self.reader.close_by_ref().await?;
        self.writer.close_by_ref().await
    }

    /// Writes a snapshot of a SQLite database to `file`, which must be missing or empty.
    ///
    /// # Errors
    /// From the database or the disk.
    pub async fn copy_to(&self, file: &str) -> Result<(), DbErr> {
        let statement = Statement::from_sql_and_values(self.backend(), "VACUUM INTO ?", [file.into()]);
        self.writer.execute_raw(statement).await.map(|_| ())
    }

    /// The SQLite check that finds the database damaged, if any.
    ///
    /// # Errors
    /// The database cannot be read at all.
    pub async fn failed_check(&self) -> Result<Option<&'static str>, DbErr> {
        for (check, expected) in [("integrity_check", Some("ok")), ("foreign_key_check", None)] {
            let statement = Statement::from_string(self.backend(), format!("PRAGMA {check}"));
            let rows = self.reader.query_all_raw(statement).await?;
            let first: Option<String> = rows.first().map(|row| row.try_get_by_index(0)).transpose()?;
            if first.as_deref() != expected {
                return Ok(Some(check));
            }
        }
        Ok(None)
    }

    /// Updates the planner statistics of `tables` on PostgreSQL and skips locked tables. SQLite needs none.
    ///
    /// # Errors
    /// From the database.
    pub async fn gather_statistics(&self, tables: &[&str]) -> Result<(), DbErr> {
        if self.backend() == DbBackend::Postgres {
            let tables = tables.join(", ");
            self.writer.execute_unprepared(&format!("ANALYZE (SKIP_LOCKED) {tables}")).await?;
        }
        Ok(())
    }

    /// Runs the pending migrations.
    ///
    /// # Errors
    /// A statement fails.
    pub async fn migrate(&self) -> Result<(), DbErr> {
        Migrator::up(&self.writer, None).await
    }

    /// The current state of the pools.
    pub fn pools(&self) -> [PoolStats; 2] {
        let mut reader = PoolStats::new("reader", &self.reader);
        let connection_cache = self.connection_cache.as_ref().map_or(0, ConnectionCache::idle);
        let connection_cache = u32::try_from(connection_cache).unwrap_or(u32::MAX).min(reader.in_use);
        (reader.in_use, reader.idle) = (reader.in_use - connection_cache, reader.idle + connection_cache);
        [reader, PoolStats::new("writer", &self.writer)]
    }

    /// The database backend.
    pub fn backend(&self) -> DbBackend {
        self.reader.get_database_backend()
    }
}

/// The state of a pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolStats {
    /// `reader` or `writer`.
    pub name: &'static str,
    /// Connections in use.
    pub in_use: u32,
    /// Idle connections.
    pub idle: u32,
    /// Maximum number of connections.
    pub largest: u32,
}

impl PoolStats {
    fn new(name: &'static str, pool: &DatabaseConnection) -> Self {
        let (size, idle, largest) = if pool.get_database_backend() == DbBackend::Sqlite {
            let pool = pool.get_sqlite_connection_pool();
            (pool.size(), pool.num_idle(), pool.options().get_max_connections())
        } else {
            let pool = pool.get_postgres_connection_pool();
            (pool.size(), pool.num_idle(), pool.options().get_max_connections())
        };
        let idle = u32::try_from(idle).unwrap_or(u32::MAX).min(size);
        Self { name, in_use: size - idle, idle, largest }
    }
}

/// Creates the file if it is missing, accessible only to its owner whatever the umask is. SQLite gives the files
/// beside it the same mode.
fn create_private(path: &Path) -> Result<(), DbErr> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(DbErr::Custom(format!("the database file cannot be created: {}", error.kind()))),
    }
}

fn options(url: String, connections: u32) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections.max(1))
        .acquire_timeout(Duration::from_secs(3))
        .test_before_acquire(false)
        .sqlx_logging(false);
    options
}

fn sqlite(url: &str, mode: &str, connections: u32, read_only: bool) -> ConnectOptions {
    let mut options = options(format!("{url}?mode={mode}"), connections);
    options.map_sqlx_sqlite_opts(move |sqlite| {
        let sqlite = sqlite
            .busy_timeout(Duration::from_secs(10))
            .foreign_keys(true)
            .pragma("journal_mode", "WAL")
            .pragma("synchronous", "NORMAL")
            .pragma("secure_delete", "ON");
        if read_only { sqlite.pragma("query_only", "ON") } else { sqlite }
    });
    options
}

/// Interrupts a statement on `connection` that runs longer than `read_timeout`. A connection is taken from the pool for one
/// statement.
async fn interrupt_after(
    connection: &mut sqlx::SqliteConnection,
    read_timeout: Duration,
) -> Result<bool, sqlx::Error> {
    let until = Instant::now() + read_timeout;
    let mut handle = connection.lock_handle().await?;
    handle.set_progress_handler(PROGRESS_STEPS, move || Instant::now() < until);
    Ok(true)
}

/// A reader session with a statement timeout (zero for no limit), or a writer session for `None`.
fn session(url: &str, reading: Option<Duration>) -> Result<PgConnectOptions, DbErr> {
    if names_several_hosts(url) {
        return Err(DbErr::Custom(format!("the database URL {SEVERAL_HOSTS}")));
    }
    let address: PgConnectOptions =
        url.parse().map_err(|_| DbErr::Custom("the database URL is invalid".to_owned()))?;
    let read_only = if reading.is_some() { "on" } else { "off" };
    // Server notices would be logged and may quote values.
    let address = address
        .disable_statement_logging()
        .options([("default_transaction_read_only", read_only), ("client_min_messages", "error")]);
    Ok(match reading {
        // Zero means no limit for PostgreSQL as well.
        Some(read_timeout) => address.options([("statement_timeout", read_timeout.as_millis().to_string())]),
        None => address,
    })
}

/// Pool options for such sessions.
fn postgres(session: PgConnectOptions, connections: u32) -> ConnectOptions {
    // SeaORM's spans record the URL including its password, so it gets a placeholder.
    let mut options = options("postgres://hidden".to_owned(), connections);
    options.map_sqlx_postgres_opts(move |_| session.clone());
    options.map_sqlx_postgres_pool_opts(|pool| {
        pool.before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > MAX_IDLE_UNCHECKED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
    });
    options
}
