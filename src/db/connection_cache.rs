//! Connections of PostgreSQL that are kept between reads. Room: db.
//!
//! A connection that comes back to the pool of sqlx is asked whether it lives: a way to the server and back beside each read. These
//! are not given back while they are in use again and again.

use std::{
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};

use sea_orm::{
    ConnAcquireErr, DbErr, RuntimeErr,
    sqlx::{
        self, AssertSqlSafe, Connection as _, PgPool, Postgres,
        pool::PoolConnection,
        postgres::{PgArguments, PgRow},
    },
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::{Dispatch, instrument::WithSubscriber};

/// How long a connection may have been idle and be used without asking whether its server is there still: under load nothing is
/// asked, and after a restart of the server few requests meet a dead connection.
pub(crate) const MAX_IDLE_UNCHECKED: Duration = Duration::from_secs(1);
/// How long one is kept until the pool sees it again, which ends those that have lived for long.
const MAX_CACHED_TIME: Duration = Duration::from_secs(60);
/// Connections of the pool that are left to others.
const RESERVED: u32 = 2;

/// Connections that read one statement after the other.
#[derive(Clone, Debug)]
pub struct ConnectionCache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    /// For those that read, first come, first served. Nobody takes a connection from the pool past those who wait.
    places: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

/// A connection that waits for its next statement.
#[derive(Debug)]
struct Idle {
    connection: PoolConnection<Postgres>,
    /// When it was taken from the pool.
    taken: Instant,
    /// Since when it has been idle.
    since: Instant,
}

impl ConnectionCache {
    /// Of a pool that has enough connections for others beside.
    pub(crate) fn of(pool: &PgPool) -> Option<Self> {
        let places = pool.options().get_max_connections().saturating_sub(RESERVED);
        if places < RESERVED {
            return None;
        }
        let places = Semaphore::new(usize::try_from(places).ok()?);
        let inner = Arc::new(Inner { pool: pool.clone(), places, idle: Mutex::default() });
        tokio::spawn(clear_when_closed(pool.clone(), Arc::downgrade(&inner)));
        Some(Self(inner))
    }

    /// How many connections wait for their next statement: they count as used for the pool.
    pub fn idle(&self) -> usize {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Runs a statement that reads. It is prepared once for each connection. One that is given up midway leaves its connection to
    /// the pool.
    ///
    /// # Errors
    /// From the database; `ConnectionAcquire` when there is no connection in time.
    pub(crate) async fn fetch(&self, text: &str, arguments: PgArguments) -> Result<Vec<PgRow>, DbErr> {
        let _place = self.place().await.map_err(told)?;
        let (mut connection, taken) = self.take().await.map_err(told)?;
        let rows = sqlx::query_with(AssertSqlSafe(text), arguments).fetch_all(&mut *connection);
        // Nothing is logged of a statement that runs, and the driver would enter the span of the request for every row.
        let rows = rows.with_subscriber(Dispatch::none()).await.map_err(told)?;
        if taken.elapsed() < MAX_CACHED_TIME && !self.0.pool.is_closed() {
            let idle = Idle { connection, taken, since: Instant::now() };
            self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).push(idle);
        }
        Ok(rows)
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>, sqlx::Error> {
        if let Ok(place) = self.0.places.try_acquire() {
            return Ok(place);
        }
        let patience = self.0.pool.options().get_acquire_timeout();
        match tokio::time::timeout(patience, self.0.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(sqlx::Error::PoolTimedOut),
        }
    }

    /// A connection, and when it was taken from the pool.
    async fn take(&self) -> Result<(PoolConnection<Postgres>, Instant), sqlx::Error> {
        loop {
            let idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(Idle { mut connection, taken, since }) = idle else {
                return Ok((self.0.pool.acquire().await?, Instant::now()));
            };
            if since.elapsed() < MAX_IDLE_UNCHECKED {
                return Ok((connection, taken));
            }
            // One that does not answer is for the pool to end.
            if taken.elapsed() < MAX_CACHED_TIME && connection.ping().await.is_ok() {
                return Ok((connection, taken));
            }
        }
    }
}

/// An error of the driver in the words of SeaORM.
pub(crate) fn told(error: sqlx::Error) -> DbErr {
    match error {
        sqlx::Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        sqlx::Error::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        error => DbErr::Query(RuntimeErr::SqlxError(error.into())),
    }
}

/// Gives back what is idle when the pool is closed, which waits for all connections to come back.
async fn clear_when_closed(pool: PgPool, inner: Weak<Inner>) {
    let closed = pool.close_event();
    drop(pool);
    closed.await;
    if let Some(inner) = inner.upgrade() {
        inner.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
