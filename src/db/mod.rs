//! Connections: one pool that the database itself holds read-only, one that writes. Room: db.
//!
//! Readers are `query_only` (SQLite) or `default_transaction_read_only` (PostgreSQL); SQLite has one writer, WAL,
//! foreign keys and `secure_delete`. A connection that comes back to the pool is asked by sqlx whether it lives,
//! which is a way to PostgreSQL and back after each read: readers of the governed path and the look-up of tokens keep
//! theirs (`src/db/connection_cache.rs`), first come, first served, two of the pool left to others; one that was
//! taken from the pool more than a minute ago goes back to it instead of being used again, as does one whose
//! statement failed or was given up; one that was idle for a second is asked.

mod asked;
pub mod change_feed;
pub mod connection_cache;
pub mod durable;

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    base::error::Error,
    config::{SEVERAL_HOSTS, names_several_hosts},
    db::{
        change_feed::Feed,
        connection_cache::{ConnectionCache, MAX_IDLE_UNCHECKED},
        durable::Flusher,
    },
};
use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, DbErr, Statement,
    sqlx::{self, ConnectOptions as _, Connection, postgres::PgConnectOptions},
};

pub use asked::{Held, Lax, explained_of};

/// Steps of SQLite's machine between two looks at the clock.
const PROGRESS_STEPS: i32 = 10_000;

/// The two pools of one database.
#[derive(Clone, Debug)]
pub struct Db {
    /// Reads; the database refuses writes on it.
    pub reader: DatabaseConnection,
    /// Connections of the readers that are kept between reads, where it is worth it.
    pub kept: Option<ConnectionCache>,
    /// Writes; on SQLite a single connection.
    pub writer: DatabaseConnection,
    /// What was committed by this writer.
    pub feed: Feed,
    /// Sees that what was committed is on the disk, where the database does not wait for that itself.
    flusher: Option<Flusher>,
    /// How long a statement that reads may run; zero for no limit.
    time: Duration,
}

impl Db {
    /// Opens `sqlite://path` (made where it is missing, for its owner alone) or `postgres://...` with `max_connections` readers.
    ///
    /// # Errors
    /// The database cannot be reached, or the address is of another kind, or names an in-memory database
    /// (two pools would see two).
    pub async fn connect(url: &str, max_connections: u32) -> Result<Self, DbErr> {
        Self::connect_within(url, max_connections, Duration::ZERO).await
    }

    /// The same, where the database gives up a statement that reads for longer than `time`; zero for no limit. What is written is
    /// never given up by it.
    ///
    /// # Errors
    /// Those of [`Db::connect`].
    pub async fn connect_within(url: &str, max_connections: u32, time: Duration) -> Result<Self, DbErr> {
        Self::connect_apart(url, None, max_connections, time).await
    }

    /// The same, where PostgreSQL is read by another address, such as that of a role which may only read. The database is asked whether
    /// it holds those who read read-only and gives up what takes too long: a pooler between may not pass that on.
    ///
    /// # Errors
    /// Those of [`Db::connect`]; the database does not hold those who read.
    pub async fn connect_apart(
        url: &str,
        reader_url: Option<&str>,
        max_connections: u32,
        time: Duration,
    ) -> Result<Self, DbErr> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            if path.is_empty() || path.contains(":memory:") || path.contains('?') {
                return Err(DbErr::Custom("a SQLite address is sqlite:// and the path of a file".to_owned()));
            }
            own_alone(Path::new(path))?;
            // One connection: writers wait for each other here.
            let mut writer = sqlite(url, "rwc", 1, false);
            writer.acquire_timeout(Duration::from_secs(15));
            let writer = Database::connect(writer).await?;
            let mut reader = sqlite(url, "rw", max_connections, true);
            if time > Duration::ZERO {
                reader
                    .map_sqlx_sqlite_before_acquire(move |connection, _| Box::pin(give_up(connection, time)));
            }
            let reader = Database::connect(reader).await?;
            let flusher = Some(Flusher::of(Path::new(path)));
            return Ok(Self { reader, kept: None, writer, feed: Feed::default(), flusher, time });
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let read_by = reader_url.unwrap_or(url);
            asked::reader(&session(read_by, Some(time))?, time).await?;
            let writing = session(url, None)?;
            // What is answered must not be lost, whatever the defaults of the database or the role say.
            let commit = asked::synchronous_commit(&writing).await?;
            let writing = writing.options([("synchronous_commit", commit)]);
            let writer = Database::connect(postgres(writing, max_connections.div_ceil(2))).await?;
            let reading = session(read_by, Some(time))?;
            let reader = Database::connect(postgres(reading, max_connections)).await?;
            let kept = ConnectionCache::of(reader.get_postgres_connection_pool());
            return Ok(Self { reader, kept, writer, feed: Feed::default(), flusher: None, time });
        }
        Err(DbErr::Custom("a database address begins with sqlite:// or postgres://".to_owned()))
    }

    /// Waits until what was committed is on the disk. PostgreSQL has waited for that when it answers.
    ///
    /// # Errors
    /// `INTERNAL` when the disk refuses.
    pub async fn flush(&self) -> Result<(), Error> {
        match &self.flusher {
            Some(flusher) => flusher.flush().await,
            None => Ok(()),
        }
    }

    /// How the database holds those who read, asked of one connection of their pool.
    ///
    /// # Errors
    /// From the database.
    pub async fn held(&self) -> Result<Held, DbErr> {
        if self.backend() == DbBackend::Sqlite {
            // Set by this program on each connection, with nobody between.
            return Ok(Held::Fast);
        }
        let statement = Statement::from_string(self.backend(), asked::SESSION_QUERY);
        let row = self.reader.query_one_raw(statement).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("settings".to_owned()))?;
        let (read_only, timeout): (String, String) = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        Ok(asked::judged(&read_only, &timeout, self.time))
    }

    /// What the database does not do, so that what was answered may be lost with the power. SQLite is set by this program.
    ///
    /// # Errors
    /// From the database.
    pub async fn lax(&self) -> Result<Vec<Lax>, DbErr> {
        if self.backend() == DbBackend::Sqlite {
            return Ok(Vec::new());
        }
        let statement = Statement::from_string(self.backend(), asked::DURABILITY_QUERY);
        let row = self.writer.query_one_raw(statement).await?;
        let row = row.ok_or_else(|| DbErr::RecordNotFound("settings".to_owned()))?;
        let setting = |index: usize| row.try_get_by_index::<String>(index);
        Ok(asked::lax(&setting(0)?, &setting(1)?, &setting(2)?))
    }

    /// Whether the disk has refused what was written.
    pub fn disk_has_failed(&self) -> bool {
        self.flusher.as_ref().is_some_and(Flusher::has_failed)
    }

    /// Closes all connections. SQLite then moves its write-ahead log to the database, unless others have it open: the file alone is whole.
    ///
    /// # Errors
    /// From the database.
    pub async fn close(&self) -> Result<(), DbErr> {
        self.reader.close_by_ref().await?;
        self.writer.close_by_ref().await
    }

    /// Writes all that a database of SQLite holds at one instant to `file`, which is missing or empty.
    ///
    /// # Errors
    /// From the database, or the disk.
    pub async fn copy_to(&self, file: &str) -> Result<(), DbErr> {
        let statement = Statement::from_sql_and_values(self.backend(), "VACUUM INTO ?", [file.into()]);
        self.writer.execute_raw(statement).await.map(|_| ())
    }

    /// The check of SQLite that finds a database damaged, if any does.
    ///
    /// # Errors
    /// It cannot be read at all.
    pub async fn damage(&self) -> Result<Option<&'static str>, DbErr> {
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

    /// Gathers the statistics of `tables` by which PostgreSQL plans, and skips tables that are locked. SQLite needs none.
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

    /// How the pools are used now.
    pub fn pools(&self) -> [PoolUse; 2] {
        let mut reader = PoolUse::of("reader", &self.reader);
        let kept = self.kept.as_ref().map_or(0, ConnectionCache::idle);
        let kept = u32::try_from(kept).unwrap_or(u32::MAX).min(reader.in_use);
        (reader.in_use, reader.idle) = (reader.in_use - kept, reader.idle + kept);
        [reader, PoolUse::of("writer", &self.writer)]
    }

    /// Which database this is.
    pub fn backend(&self) -> DbBackend {
        self.reader.get_database_backend()
    }
}

/// How a pool is used.
#[derive(Clone, Copy, Debug)]
pub struct PoolUse {
    /// `reader` or `writer`.
    pub name: &'static str,
    /// Connections that somebody works with.
    pub in_use: u32,
    /// Connections that nobody works with.
    pub idle: u32,
    /// Most connections it may have.
    pub largest: u32,
}

impl PoolUse {
    fn of(name: &'static str, pool: &DatabaseConnection) -> Self {
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

/// Makes the file where it is missing, for its owner alone, whatever the umask says: those beside it, which SQLite makes, are like it.
fn own_alone(path: &Path) -> Result<(), DbErr> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => {
            Err(DbErr::Custom(format!("the file of the database cannot be made: {}", error.kind())))
        }
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

/// Interrupts whatever statement still runs on `connection` after `time`. A connection is taken out of the pool for one statement.
async fn give_up(connection: &mut sqlx::SqliteConnection, time: Duration) -> Result<bool, sqlx::Error> {
    let until = Instant::now() + time;
    let mut handle = connection.lock_handle().await?;
    handle.set_progress_handler(PROGRESS_STEPS, move || Instant::now() < until);
    Ok(true)
}

/// A session that reads if there is a time for reading, zero for no limit; else one that writes.
fn session(url: &str, reading: Option<Duration>) -> Result<PgConnectOptions, DbErr> {
    if names_several_hosts(url) {
        return Err(DbErr::Custom(format!("the address of the database {SEVERAL_HOSTS}")));
    }
    let address: PgConnectOptions =
        url.parse().map_err(|_| DbErr::Custom("the address of the database is not valid".to_owned()))?;
    let read_only = if reading.is_some() { "on" } else { "off" };
    // Its notices would be logged, and may quote values.
    let address = address
        .disable_statement_logging()
        .options([("default_transaction_read_only", read_only), ("client_min_messages", "error")]);
    Ok(match reading {
        // Zero is no limit to PostgreSQL too.
        Some(time) => address.options([("statement_timeout", time.as_millis().to_string())]),
        None => address,
    })
}

/// Connections of such sessions.
fn postgres(session: PgConnectOptions, connections: u32) -> ConnectOptions {
    // SeaORM's spans tell the address it is given, and with it the password: it is given none.
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
