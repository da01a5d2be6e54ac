//! Keeps PostgreSQL connections checked out between reads. Room: db.
//!
//! The pool of sqlx pings every connection that is returned, which costs one round trip per read. Connections in this
//! cache are not returned while they are in constant use.

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

/// How long a connection may be idle and still be used without a ping: under load there is no ping, and after a
/// server restart few requests hit a dead connection.
pub(crate) const MAX_IDLE_UNCHECKED: Duration = Duration::from_secs(1);
/// How long a connection is kept before it goes back to the pool, which enforces its maximum lifetime.
const MAX_CACHED_TIME: Duration = Duration::from_secs(60);
/// Connections of the pool that the cache leaves to others.
const RESERVED: u32 = 2;

/// A cache of reader connections.
#[derive(Clone, Debug)]
pub struct ConnectionCache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    pool: PgPool,
    /// Permits for readers, first come, first served, so that nobody overtakes those who wait for the pool.
    permits: Semaphore,
    idle: Mutex<Vec<Idle>>,
}

/// An idle connection.
#[derive(Debug)]
struct Idle {
    connection: PoolConnection<Postgres>,
    /// When it was taken from the pool.
    taken: Instant,
    /// When it became idle.
    since: Instant,
}

impl ConnectionCache {
    /// A cache on `pool`, if the pool has enough connections for others as well.
    pub(crate) fn try_new(pool: &PgPool) -> Option<Self> {
        let permits = pool.options().get_max_connections().saturating_sub(RESERVED);
        if permits < RESERVED {
            return None;
        }
        let permits = Semaphore::new(usize::try_from(permits).ok()?);
        let inner = Arc::new(Inner { pool: pool.clone(), permits, idle: Mutex::default() });
        tokio::spawn(clear_when_closed(pool.clone(), Arc::downgrade(&inner)));
        Some(Self(inner))
    }

    /// Number of idle connections; the pool counts them as in use.
    pub fn idle(&self) -> usize {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Runs a read statement, prepared once per connection. A cancelled call leaves its connection to the pool.
    ///
    /// # Errors
    /// From the database; `ConnectionAcquire` if no connection becomes free in time.
    pub(crate) async fn fetch(&self, text: &str, arguments: PgArguments) -> Result<Vec<PgRow>, DbErr> {
        let _place = self.permit().await.map_err(into_db_err)?;
        let (mut connection, taken) = self.checkout().await.map_err(into_db_err)?;
        let rows = sqlx::query_with(AssertSqlSafe(text), arguments).fetch_all(&mut *connection);
        // Statements are not logged, and the driver would enter the request's span for every row.
        let rows = rows.with_subscriber(Dispatch::none()).await.map_err(into_db_err)?;
        if taken.elapsed() < MAX_CACHED_TIME && !self.0.pool.is_closed() {
            let idle = Idle { connection, taken, since: Instant::now() };
            self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).push(idle);
        }
        Ok(rows)
    }

    async fn permit(&self) -> Result<SemaphorePermit<'_>, sqlx::Error> {
        if let Ok(permit) = self.0.permits.try_acquire() {
            return Ok(permit);
        }
        let patience = self.0.pool.options().get_acquire_timeout();
        match tokio::time::timeout(patience, self.0.permits.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(sqlx::Error::PoolTimedOut),
        }
    }

    /// A connection and the time when it was taken from the pool.
    async fn checkout(&self) -> Result<(PoolConnection<Postgres>, Instant), sqlx::Error> {
        loop {
            let idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(Idle { mut connection, taken, since }) = idle else {
                return Ok((self.0.pool.acquire().await?, Instant::now()));
            };
            if since.elapsed() < MAX_IDLE_UNCHECKED {
                return Ok((connection, taken));
            }
            // The pool closes a connection that does not answer.
            if taken.elapsed() < MAX_CACHED_TIME && connection.ping().await.is_ok() {
                return Ok((connection, taken));
            }
        }
    }
}

/// Converts a driver error to SeaORM's type.
pub(crate) fn into_db_err(error: sqlx::Error) -> DbErr {
    match error {
        sqlx::Error::PoolTimedOut => DbErr::ConnectionAcquire(ConnAcquireErr::Timeout),
        sqlx::Error::PoolClosed => DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed),
        error => DbErr::Query(RuntimeErr::SqlxError(error.into())),
    }
}

/// Returns idle connections when the pool is closed, because closing waits for all connections.
async fn clear_when_closed(pool: PgPool, inner: Weak<Inner>) {
    let closed = pool.close_event();
    drop(pool);
    closed.await;
    if let Some(inner) = inner.upgrade() {
        inner.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
