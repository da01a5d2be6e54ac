//! Locks of reachable identities, which come before those of contacts. Room: audit.
//!
//! Whoever brings an address to a contact locks its identity SHARED, whoever declares something about it EXCLUSIVE: so a no and an
//! address that comes in at the same instant meet. SQLite has one writer, which holds everything.

use std::sync::atomic::Ordering;

use sea_orm::{ConnectionTrait, DbBackend, Statement};

use super::{LockMode, Transaction};
use crate::base::error::Error;

/// The number of the lock of all uses by recipients.
pub const RECIPIENT_USES_LOCK: i64 = 134_653_220_711_170;

impl Transaction {
    /// Locks identities until the end of the transaction, in the order of their numbers. What is looked up of them is looked up by a
    /// later statement.
    ///
    /// # Errors
    /// `INTERNAL` from the database, and where contacts are locked already: two transactions could wait for each other then.
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
            return Err(Error::internal("an identity that is locked after a contact"));
        }
        if self.inner.get_database_backend() == DbBackend::Postgres {
            let name = mode.function();
            // Who declares something may owe it to those who read: their uses come first, by the same statement.
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

    /// Locks what is noted of uses by recipients until the end of the transaction: SHARED by who owes a no to those who read, so that
    /// none begins to read in between; EXCLUSIVE by who tells them.
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

    /// Says whether PostgreSQL plans each further statement of this transaction `anew`, for the values and tables at hand, or keeps plans.
    /// A kept plan is made for the tables as they were: an import into an empty database would go on scanning what it has filled since.
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

    /// Notes that contacts are about to be locked: identities that are not locked by now are locked by another attempt.
    pub fn note_contact_locks(&self) {
        self.held_locks.contacts.store(true, Ordering::Relaxed);
    }
}
