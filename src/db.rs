//! Connections: one pool that the database itself holds read-only, one that writes (floor 2).

use std::time::{Duration, Instant};

use crate::{
    feed::Feed,
    kept::{Kept, TRUSTED},
};
use migration::{Migrator, MigratorTrait};
use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DbBackend, DbErr,
    sqlx::{self, ConnectOptions as _, Connection, postgres::PgConnectOptions},
};

/// Steps of SQLite's machine between two looks at the clock.
const STEPS: i32 = 10_000;

/// The two pools of one database.
#[derive(Clone, Debug)]
pub struct Db {
    /// Reads; the database refuses writes on it.
    pub reader: DatabaseConnection,
    /// Connections of the readers that are kept between reads, where it is worth it.
    pub kept: Option<Kept>,
    /// Writes; on SQLite a single connection.
    pub writer: DatabaseConnection,
    /// What was committed by this writer.
    pub feed: Feed,
}

impl Db {
    /// Opens `sqlite://path` (made where it is missing) or `postgres://...` with `max_connections` readers.
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
        if let Some(path) = url.strip_prefix("sqlite://") {
            if path.is_empty() || path.contains(":memory:") || path.contains('?') {
                return Err(DbErr::Custom("a SQLite address is sqlite:// and the path of a file".to_owned()));
            }
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
            return Ok(Self { reader, kept: None, writer, feed: Feed::default() });
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let writer = Database::connect(postgres(url, max_connections.div_ceil(2), None)?).await?;
            let reader = Database::connect(postgres(url, max_connections, Some(time))?).await?;
            let kept = Kept::of(reader.get_postgres_connection_pool());
            return Ok(Self { reader, kept, writer, feed: Feed::default() });
        }
        Err(DbErr::Custom("a database address begins with sqlite:// or postgres://".to_owned()))
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
        let kept = self.kept.as_ref().map_or(0, Kept::idle);
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
    handle.set_progress_handler(STEPS, move || Instant::now() < until);
    Ok(true)
}

/// Connections that read if there is a time for reading, zero for no limit; else connections that write.
fn postgres(url: &str, connections: u32, reading: Option<Duration>) -> Result<ConnectOptions, DbErr> {
    let address: PgConnectOptions =
        url.parse().map_err(|_| DbErr::Custom("the address of the database is not valid".to_owned()))?;
    let address = address.disable_statement_logging();
    // SeaORM's spans tell the address it is given, and with it the password: it is given none.
    let mut options = options("postgres://hidden".to_owned(), connections);
    options.map_sqlx_postgres_opts(move |_| {
        let read_only = if reading.is_some() { "on" } else { "off" };
        // Its notices would be logged, and may quote values.
        let address = address
            .clone()
            .options([("default_transaction_read_only", read_only), ("client_min_messages", "error")]);
        match reading {
            // Zero is no limit to PostgreSQL too.
            Some(time) => address.options([("statement_timeout", time.as_millis().to_string())]),
            None => address,
        }
    });
    options.map_sqlx_postgres_pool_opts(|pool| {
        pool.before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > TRUSTED {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
    });
    Ok(options)
}
