//! The only way to write: a change and its audit entry commit together or not at all. Room: audit.
//!
//! Write functions take a [`Transaction`], which only this module can create: a lint rejects raw `begin`. A
//! transaction that records nothing cannot commit.

mod active_master_key;
mod affected_contacts;
mod consent_changes;
mod deferred_entries;
mod diff;
mod entries;
mod held_locks;
mod history;
mod idempotency;
mod installation_keys;
mod key_rotation;
mod locks;
mod master_keys;
mod numbering;
mod probe;
mod retry;
mod row_batch;
mod sealed_entries;
mod unopenable;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use entity::{audit_entry, subject_key};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, DbBackend, EntityTrait, QueryTrait, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
    sea_query::{Expr, InsertStatement},
};
use tokio::sync::OnceCell;
use tracing::Instrument;
use uuid::Uuid;

pub use active_master_key::refresh_master_key;
pub use consent_changes::count_unrecorded;
pub use deferred_entries::{with_deferred_entries, write_deferred_entries};
pub use diff::{ChangeSet, FieldChange};
pub use entries::{Author, Entry, EntryTiming};
pub use held_locks::LockMode;
pub use history::{PastEntry, has_owed_entries, past_entries};
pub use idempotency::{Idempotency, delete_expired_outcomes};
pub use installation_keys::{existing_installation_keys, installation_keys, remake_keys};
pub use key_rotation::{RotationReport, rotate_master_key};
pub use locks::RECIPIENT_USES_LOCK;
pub use master_keys::{KeyUse, Keyring, adopt_master_key, keyring, unknown_master_keys};
pub use numbering::number_changes;
pub use probe::{ProbeResult, probe};
pub use retry::{RowFailures, with_retry};
pub use row_batch::RowBatch;
pub use unopenable::{Unopenable, count_unopenable, delete_unopenable_keys};

use affected_contacts::AffectedContacts;
use entries::Stamp;
use held_locks::HeldLocks;

use crate::{
    app::App,
    auth::actor::Actor,
    base::{
        error::{Code, Error},
        identities::Reader,
        metrics,
    },
    crypto::{installation_keys::InstallationKeys, master_keys::MasterKeys, sealing::Sealer},
    db::{Db, change_feed::Change as FeedChange},
    engine::{self, Scope},
    policy::Policy,
    registry::{ACCESS_TOKEN, DataCategory, ObjectType, SUBSCRIPTIONS},
};

/// The only transaction that write functions take.
pub struct Transaction {
    stamp: Stamp,
    inner: DatabaseTransaction,
    sealer: Sealer,
    keys: MasterKeys,
    /// The installation keys of the application, once somebody has read them.
    installation_keys: Arc<OnceCell<InstallationKeys>>,
    /// Installation keys that this transaction has created.
    created_keys: Option<InstallationKeys>,
    entries: Vec<audit_entry::ActiveModel>,
    /// The database, for work outside the transaction.
    db: Db,
    /// Changes to publish after the commit.
    pending_changes: Vec<FeedChange>,
    /// The policy in force, which decides whether consents began or ended.
    policy: Arc<Policy>,
    /// Contacts whose consents may have begun or ended.
    affected_contacts: AffectedContacts,
    /// Reads addresses into identities.
    reader: Reader,
    /// How long recipients may keep what they read.
    keep_copy: TimeDelta,
    /// The locks that are held.
    held_locks: HeldLocks,
    /// Whether entries are written now or later.
    timing: EntryTiming,
}

/// Begins a transaction.
///
/// # Errors
/// `INTERNAL` when the database cannot be reached.
pub async fn begin(app: &App, author: Author) -> Result<Transaction, Error> {
    if app.keys.is_in_doubt() {
        refresh_master_key(app).await?;
    }
    let options = TransactionOptions {
        // Upgrading a deferred transaction fails if another writer got in between.
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let inner = open(app, options).await?;
    // Read inside the transaction: whatever others wrote before is older.
    let now = app.now();
    let (stamp, sealer) = (Stamp::new(author, now), Sealer::new(&app.keys));
    let db = app.db.clone();
    let (policy, affected_contacts) = (app.policy.current(), AffectedContacts::default());
    let (keys, installation_keys, created_keys) = (app.keys.clone(), app.installation_keys.clone(), None);
    let (entries, pending_changes) = (Vec::new(), Vec::new());
    Ok(Transaction {
        stamp,
        inner,
        sealer,
        keys,
        installation_keys,
        created_keys,
        entries,
        db,
        pending_changes,
        policy,
        affected_contacts,
        reader: app.identity_reader,
        keep_copy: app.keep_copy,
        held_locks: HeldLocks::default(),
        timing: EntryTiming::Immediate,
    })
}

/// Begins a transaction in a task of its own, which completes even if the caller is dropped: sqlx leaves the
/// connection of a `begin` dropped half-way inside the transaction, and whatever is written there next is lost.
async fn open(app: &App, options: TransactionOptions) -> Result<DatabaseTransaction, Error> {
    let writer = app.db.writer.clone();
    #[expect(clippy::disallowed_methods, reason = "this is the one door")]
    let transaction = tokio::spawn(async move { writer.begin_with_options(options).await }.in_current_span());
    Ok(transaction.await.map_err(|_| Error::internal("a transaction cannot be begun"))??)
}

impl Transaction {
    /// The instant of the transaction.
    pub fn now(&self) -> DateTime<Utc> {
        self.stamp.now
    }

    /// A new id of that instant. Later ids of the same transaction are greater, so entries stay in order.
    pub fn new_id(&self) -> Uuid {
        self.stamp.new_id()
    }

    /// A new id for a new object that entries will be about: it has no keys yet.
    pub fn new_subject(&mut self) -> Uuid {
        let id = self.new_id();
        self.sealer.add_new_subject(id);
        id
    }

    /// The author.
    pub fn author(&self) -> &Author {
        &self.stamp.author
    }

    /// Replaces the author once it is known: whose link it is turns out only after it is locked.
    ///
    /// # Errors
    /// `INTERNAL` after anything was recorded.
    pub fn act_as(&mut self, author: Author) -> Result<(), Error> {
        if !self.entries.is_empty() {
            return Err(Error::internal("the author cannot change after an entry was recorded"));
        }
        self.stamp.author = author;
        Ok(())
    }

    /// The reader of addresses.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The master keys, which open values in the audit log.
    pub fn keys(&self) -> &MasterKeys {
        &self.keys
    }

    /// The policy in force.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// The instant before which a recipient must have read to have kept nothing of it.
    pub fn copy_cutoff(&self) -> DateTime<Utc> {
        self.now() - self.keep_copy
    }

    /// The connection to run statements on.
    pub fn connection(&self) -> &DatabaseTransaction {
        &self.inner
    }

    /// Whether the row of `object` with this id is visible to `actor`, as the transaction sees it.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn can_see(&self, actor: &Actor, object: &ObjectType, id: Uuid) -> Result<bool, Error> {
        let scope = Scope::for_actor(actor, self.now(), self.inner.get_database_backend());
        engine::exists(&self.inner, &scope, object, id).await
    }

    /// The row rule of `object` for `actor`, as a condition on the row `t` of its table.
    pub fn row_condition(&self, actor: &Actor, object: &ObjectType) -> Expr {
        engine::row_condition(&Scope::for_actor(actor, self.now(), self.inner.get_database_backend()), object)
    }

    /// Adds keys of `subject` that were read together with its locked contact, so that they are not read again, and
    /// the categories it has no key for. Whoever destroys keys locks the contact too, so the keys exist until this
    /// transaction ends.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE`, should the derivation refuse.
    pub fn preload_keys(
        &mut self,
        subject: Uuid,
        keys: &[Result<subject_key::Model, DataCategory>],
    ) -> Result<(), Error> {
        for key in keys {
            match key {
                Ok(key) => self.sealer.add_known(key).map_err(unavailable)?,
                Err(category) => self.sealer.note_missing(subject, *category),
            }
        }
        Ok(())
    }

    /// Records an entry. Its values are sealed by data category, under keys of the person or of the object itself.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE` when keys cannot be had.
    pub async fn record(&mut self, entry: Entry) -> Result<(), Error> {
        let id = self.new_id();
        let (subject, parts) = (entry.subject(), entry.changes.by_category()?);
        let sealed = match self.timing {
            EntryTiming::Immediate => self.sealer.seal(&self.inner, self.now(), id, subject, &parts).await,
            EntryTiming::Deferred => self.seal_deferred(id, subject, &parts).await,
        };
        let row = self.stamp.row(id, &entry, sealed.map_err(unavailable)?);
        self.add_entry(&entry, row);
        Ok(())
    }

    /// Collects an entry until all are written, and the change to publish for it.
    fn add_entry(&mut self, entry: &Entry, row: audit_entry::ActiveModel) {
        let is_announced = entry.entity_type == ACCESS_TOKEN.name
            || SUBSCRIPTIONS.iter().any(|subscription| subscription.object.name == entry.entity_type);
        if let (Some(id), true) = (entry.entity_id, is_announced && !entry.changes.is_empty()) {
            self.pending_changes.push(FeedChange { entity_type: entry.entity_type, id });
        }
        self.entries.push(row);
    }

    /// Whether an entry has been recorded.
    pub fn is_recorded(&self) -> bool {
        !self.entries.is_empty()
    }

    /// Records the same change of each of `contacts` by coordinate only, without values: for bulk changes.
    pub fn record_without_values(
        &mut self,
        action: &'static str,
        entity_type: &'static str,
        contacts: &[Uuid],
        coordinate: &str,
    ) {
        let rows =
            contacts.iter().map(|contact| self.stamp.bare_row(action, entity_type, *contact, coordinate));
        self.entries.extend(rows);
    }

    /// Writes the entries and the consent transitions, and commits all of it with the changes or nothing. Dropping
    /// the transaction rolls it back.
    ///
    /// # Errors
    /// `INTERNAL` when nothing was recorded; `AUDIT_UNAVAILABLE` when an entry cannot be written.
    pub async fn commit(mut self) -> Result<(), Error> {
        if self.entries.is_empty() {
            return Err(Error::internal("a change needs an audit entry"));
        }
        let number = self.entries.len();
        let affected_contacts = self.affected_contacts.take();
        let mut queued = false;
        if affected_contacts.is_empty() {
            self.store().await?;
        } else {
            // The last INSERT of entries runs in the same statement as the query for transitions.
            let last_insert = self.store_all_but_last().await?;
            let is_alone = last_insert.is_none();
            let transitions = self.transitions(&affected_contacts, last_insert.as_ref()).await;
            let transitions =
                transitions.map_err(|error| if is_alone { error } else { unavailable(error) })?;
            queued = self.record_transitions(transitions).await?;
        }
        self.inner.commit().await.map_err(Error::from_commit_error)?;
        // A confirmed change must survive a power failure. Other writers continue meanwhile.
        self.db.flush().await.map_err(|_| Error::unknown_outcome())?;
        metrics::count_audit_entries(number);
        self.pending_changes.into_iter().for_each(|change| self.db.feed.publish(change));
        if queued {
            self.db.feed.notify_queued();
        }
        Ok(())
    }

    /// Writes the entries.
    async fn store(&mut self) -> Result<(), Error> {
        if let Some(last) = self.store_all_but_last().await? {
            self.inner.execute(&last).await.map_err(|error| unavailable(error.into()))?;
        }
        Ok(())
    }

    /// Writes the entries; on PostgreSQL returns the last INSERT instead of running it.
    async fn store_all_but_last(&mut self) -> Result<Option<InsertStatement>, Error> {
        let stored = match self.timing {
            EntryTiming::Immediate => self.sealer.store(&self.inner).await,
            EntryTiming::Deferred => self.store_deferred_keys().await,
        };
        stored.map_err(unavailable)?;
        let keeps_last = self.inner.get_database_backend() == DbBackend::Postgres;
        // SQLite accepts 32,766 parameters; an entry has 15.
        while !self.entries.is_empty() {
            let rest = self.entries.split_off(self.entries.len().min(1_000));
            let chunk = std::mem::replace(&mut self.entries, rest);
            let insert = self.with_target_table(audit_entry::Entity::insert_many(chunk).into_query());
            if keeps_last && self.entries.is_empty() {
                return Ok(Some(insert));
            }
            self.inner.execute(&insert).await.map_err(|error| unavailable(error.into()))?;
        }
        Ok(None)
    }
}

impl std::fmt::Debug for Transaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transaction").field("author", &self.author().actor).finish_non_exhaustive()
    }
}

/// The audit log cannot be written, so nothing may change.
fn unavailable(error: Error) -> Error {
    if error.transient {
        return error;
    }
    Error::new(Code::AuditUnavailable, "the audit log cannot be written; nothing was changed")
}
