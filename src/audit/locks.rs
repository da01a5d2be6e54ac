//! Locks of identities (addresses), which are taken before those of contacts. Room: audit.
//!
//! A writer that adds an address to a contact locks its identity SHARED, one that declares something about it
//! EXCLUSIVE: so an opt-out and an address that arrives at the same instant meet. SQLite has one writer, which
//! holds everything.

use std::sync::atomic::Ordering;

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::{LockMode, Transaction};
use crate::base::error::Error;

/// The number of the advisory lock on all uses by recipients.
pub const RECIPIENT_USES_LOCK: i64 = 134_653_220_711_170;

impl Transaction {
    /// Locks identities until the end of the transaction, in numerical order. Look-ups about them must be later
    /// statements.
    ///
    /// # Errors
    /// `INTERNAL` from the database, and if contacts are already locked: two transactions could then wait for each
    /// other.
    pub async fn lock_identities(
        &mut self,
        locks: impl IntoIterator<Item = u64>,
        mode: LockMode,
    ) -> Result<(), Error> {
        let mut missing: Vec<u64> = locks
            .into_iter()
            .filter(|lock| self.held_locks.identities.get(lock).is_none_or(|held| *held < mode))
            .collect();
        missing.sort_unstable();
        missing.dedup();
        if missing.is_empty() {
            return Ok(());
        }
        if self.held_locks.contacts.load(Ordering::Relaxed) {
            return Err(Error::internal("an identity must be locked before contacts"));
        }
        if self.inner.get_database_backend() == DbBackend::Postgres {
            let name = mode.function();
            // An opt-out may create duties for recipients who read: the lock on their uses comes first, in the same
            // statement.
            let (uses, from) = match (mode, self.held_locks.uses) {
                (LockMode::Exclusive, None) => {
                    self.held_locks.uses = Some(LockMode::Shared);
                    let shared = LockMode::Shared.function();
                    (format!("uses AS MATERIALIZED (SELECT {shared}({RECIPIENT_USES_LOCK})), "), "uses, ")
                }
                _ => (String::new(), ""),
            };
            // Materialised, so that they are locked in this order.
            let sql = format!(
                "WITH {uses}wanted AS MATERIALIZED (SELECT k FROM {from}unnest($1::bigint[]) WITH ORDINALITY AS u (k, n) \
                 ORDER BY n) SELECT COUNT({name}(k)) FROM wanted"
            );
            let numbers: Vec<i64> = missing.iter().map(|lock| lock.cast_signed()).collect();
            let statement = Statement::from_sql_and_values(DbBackend::Postgres, sql, [numbers.into()]);
            self.inner.query_one_raw(statement).await?;
        }
        self.held_locks.identities.extend(missing.into_iter().map(|lock| (lock, mode)));
        Ok(())
    }

    /// Locks the recorded uses by recipients until the end of the transaction: SHARED by a writer that creates
    /// duties, so that no recipient starts to read in between; EXCLUSIVE by one that exports them.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn lock_uses(&mut self, mode: LockMode) -> Result<(), Error> {
        if self.held_locks.uses.is_some_and(|held| held >= mode) {
            return Ok(());
        }
        if self.inner.get_database_backend() == DbBackend::Postgres {
            let sql = format!("SELECT COUNT({}({RECIPIENT_USES_LOCK}))", mode.function());
            self.inner.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
        }
        self.held_locks.uses = Some(mode);
        Ok(())
    }

    /// Makes PostgreSQL plan each further statement of this transaction again if `anew`, or lets it reuse plans. A
    /// reused plan fits the tables as they were: an import into an empty database would keep scanning what it has
    /// filled since.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn use_custom_plans(&self, anew: bool) -> Result<(), Error> {
        if self.inner.get_database_backend() == DbBackend::Postgres {
            let mode = if anew { "force_custom_plan" } else { "auto" };
            let sql = format!("SELECT set_config('plan_cache_mode', '{mode}', true)");
            self.inner.query_one_raw(Statement::from_string(DbBackend::Postgres, sql)).await?;
        }
        Ok(())
    }

    /// Whether all of `locks` are held, in `mode` or a stronger one.
    pub fn has_locks(&self, locks: impl IntoIterator<Item = u64>, mode: LockMode) -> bool {
        locks.into_iter().all(|lock| self.held_locks.identities.get(&lock).is_some_and(|held| *held >= mode))
    }

    /// Notes that contacts are about to be locked: identities that are not locked by then need another attempt.
    pub fn note_contact_locks(&self) {
        self.held_locks.contacts.store(true, Ordering::Relaxed);
    }
}
