//! Connections: one pool that the database itself holds read-only, one that writes (floor 2).

use std::time::Duration;

use crate::feed::Feed;
use migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectOptions, Database, DatabaseConnection, DbBackend, DbErr};

/// The two pools of one database.
#[derive(Debug)]
pub struct Db {
    /// Reads; the database refuses writes on it.
    pub reader: DatabaseConnection,
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
        if let Some(path) = url.strip_prefix("sqlite://") {
            if path.is_empty() || path.contains(":memory:") || path.contains('?') {
                return Err(DbErr::Custom("a SQLite address is sqlite:// and the path of a file".to_owned()));
            }
            // One connection: writers wait for each other here.
            let mut writer = sqlite(url, "rwc", 1, false);
            writer.acquire_timeout(Duration::from_secs(15));
            let writer = Database::connect(writer).await?;
            let reader = Database::connect(sqlite(url, "rw", max_connections, true)).await?;
            return Ok(Self { reader, writer, feed: Feed::default() });
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            let writer = Database::connect(postgres(url, max_connections.div_ceil(2), false)).await?;
            let reader = Database::connect(postgres(url, max_connections, true)).await?;
            return Ok(Self { reader, writer, feed: Feed::default() });
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

    /// Which database this is.
    pub fn backend(&self) -> DbBackend {
        self.reader.get_database_backend()
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

fn postgres(url: &str, connections: u32, read_only: bool) -> ConnectOptions {
    let mut options = options(url.to_owned(), connections);
    options.map_sqlx_postgres_opts(move |postgres| {
        let read_only = if read_only { "on" } else { "off" };
        postgres.options([("default_transaction_read_only", read_only)])
    });
    options
}
