//! The one door for writing: change and audit entry commit together or not at all. Room: audit.
//!
//! Write functions take a [`Transaction`], which nothing else can make: raw `begin` is refused by a lint. Who gets one
//! must record what it did, or cannot commit.

mod beside;
mod consent_changes;
mod diff;
mod entries;
mod held;
mod idempotency;
mod in_use;
mod installation_keys;
mod key_rotation;
mod locks;
mod masters;
mod numbering;
mod openable;
mod owing;
mod probe;
mod retry;
mod row_batch;
mod touched;

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

pub use consent_changes::untold;
pub use diff::{Change, ChangeSet};
pub use entries::{Author, Entry, Recorded};
pub use held::Mode;
pub use idempotency::{Idempotency, sweep};
pub use in_use::refresh;
pub use installation_keys::{known_ring, remake, ring};
pub use key_rotation::{Rotated, rotate};
pub use locks::RECIPIENT_USES_LOCK;
pub use masters::{KeyUse, Keyring, adopt, keyring, unknown_masters};
pub use numbering::number;
pub use openable::{Closed, closed, give_up};
pub use owing::{settle, taken};
pub use probe::{Probed, probe};
pub use retry::{Past, with_retry};
pub use row_batch::Rows;

use entries::Stamp;
use held::Held;
use touched::AffectedContacts;

use crate::{
    app::App,
    auth::actor::Actor,
    base::{
        error::{Code, Error},
        identities::Reader,
        metrics,
    },
    crypto::{installation_keys::InstallationKeys, master_keys::MasterKeys, sealing::Sealer},
    db::{Db, change_feed::Change as Told},
    engine::{self, Scope},
    policy::Policy,
    registry::{ACCESS_TOKEN, Category, ObjectType, SUBSCRIPTIONS},
};

/// The only transaction that write functions take.
pub struct Transaction {
    stamp: Stamp,
    inner: DatabaseTransaction,
    sealer: Sealer,
    keys: MasterKeys,
    /// Keys that outlive a rotation, once anybody has read them.
    ring: Arc<OnceCell<InstallationKeys>>,
    /// The same, where this transaction has made them.
    made: Option<InstallationKeys>,
    entries: Vec<audit_entry::ActiveModel>,
    /// The database, for what is beside the transaction.
    db: Db,
    /// What is told once it is committed.
    told: Vec<Told>,
    /// The policy in force, by which consents are found to begin or to end.
    policy: Arc<Policy>,
    /// Contacts of which that is to be found out.
    touched: AffectedContacts,
    /// How addresses are read.
    reader: Reader,
    /// How long recipients may have kept what they read.
    keep_copy: TimeDelta,
    /// What is locked.
    held: Held,
    /// Whether entries are written now.
    recorded: Recorded,
}

/// Opens the door.
///
/// # Errors
/// `INTERNAL` when the database cannot be reached.
pub async fn begin(app: &App, author: Author) -> Result<Transaction, Error> {
    if app.keys.is_in_doubt() {
        refresh(app).await?;
    }
    let options = TransactionOptions {
        // An upgrade of a deferred transaction fails when another writer was in between.
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let inner = open(app, options).await?;
    // The time is read behind the door: what others wrote before is older.
    let now = app.now();
    let (stamp, sealer) = (Stamp::new(author, now), Sealer::new(&app.keys));
    let db = app.db.clone();
    let (policy, touched) = (app.policy.current(), AffectedContacts::default());
    let (keys, ring, made) = (app.keys.clone(), app.ring.clone(), None);
    let (entries, told) = (Vec::new(), Vec::new());
    Ok(Transaction {
        stamp,
        inner,
        sealer,
        keys,
        ring,
        made,
        entries,
        db,
        told,
        policy,
        touched,
        reader: app.reader,
        keep_copy: app.keep_copy,
        held: Held::default(),
        recorded: Recorded::Now,
    })
}

/// Begins a transaction in a task of its own, which goes on to its end when the caller is dropped: sqlx leaves the connection of a
/// `begin` that is dropped half-way inside the transaction, and whatever the next one writes there is lost.
async fn open(app: &App, options: TransactionOptions) -> Result<DatabaseTransaction, Error> {
    let writer = app.db.writer.clone();
    #[expect(clippy::disallowed_methods, reason = "this is the one door")]
    let begun = tokio::spawn(async move { writer.begin_with_options(options).await }.in_current_span());
    Ok(begun.await.map_err(|_| Error::internal("a transaction that cannot be begun"))??)
}

impl Transaction {
    /// The instant of the transaction.
    pub fn now(&self) -> DateTime<Utc> {
        self.stamp.now
    }

    /// A fresh id of that instant; later ones of the same transaction are greater, so that entries stay in order.
    pub fn new_id(&self) -> Uuid {
        self.stamp.new_id()
    }

    /// A fresh id for a new thing that entries will be about: it has no keys yet.
    pub fn new_subject(&mut self) -> Uuid {
        let id = self.new_id();
        self.sealer.introduce(id);
        id
    }

    /// Who writes.
    pub fn author(&self) -> &Author {
        &self.stamp.author
    }

    /// Names who writes, once that is known: a link tells whose it is only when it is locked.
    ///
    /// # Errors
    /// `INTERNAL` after anything was recorded.
    pub fn act_as(&mut self, author: Author) -> Result<(), Error> {
        if !self.entries.is_empty() {
            return Err(Error::internal("another author of a change that was recorded already"));
        }
        self.stamp.author = author;
        Ok(())
    }

    /// How addresses are read here.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The policy in force.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// Until when a recipient must have read, so that it may have kept nothing of it.
    pub fn kept_since(&self) -> DateTime<Utc> {
        self.now() - self.keep_copy
    }

    /// Where statements run.
    pub fn connection(&self) -> &DatabaseTransaction {
        &self.inner
    }

    /// Whether the row of `object` with this id exists for `actor`, by what the transaction sees.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn sees(&self, actor: &Actor, object: &ObjectType, id: Uuid) -> Result<bool, Error> {
        let scope = Scope::for_actor(actor, self.now(), self.inner.get_database_backend());
        engine::exists(&self.inner, &scope, object, id).await
    }

    /// The row rule of `object` for `actor` as a condition on the row `t` of its table.
    pub fn rule(&self, actor: &Actor, object: &ObjectType) -> Expr {
        engine::row_condition(&Scope::for_actor(actor, self.now(), self.inner.get_database_backend()), object)
    }

    /// Takes keys of `subject` that were read along with what is written, once its contact was locked, so that they are not asked for
    /// again; and categories of which it has none. Whoever destroys keys locks the contact as well: until the end of this transaction
    /// they are there, and they go with it.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE`, should the derivation refuse.
    pub fn take_keys(
        &mut self,
        subject: Uuid,
        keys: &[Result<subject_key::Model, Category>],
    ) -> Result<(), Error> {
        for key in keys {
            match key {
                Ok(key) => self.sealer.take(key).map_err(unavailable)?,
                Err(category) => self.sealer.lacks(subject, *category),
            }
        }
        Ok(())
    }

    /// Records what was done. Values are sealed by data category under keys of the person, or of the thing itself.
    ///
    /// # Errors
    /// `AUDIT_UNAVAILABLE` when keys cannot be had.
    pub async fn record(&mut self, entry: Entry) -> Result<(), Error> {
        let id = self.new_id();
        let (subject, parts) = (entry.subject(), entry.changes.by_category()?);
        let sealed = match self.recorded {
            Recorded::Now => self.sealer.seal(&self.inner, self.now(), id, subject, &parts).await,
            Recorded::Later => self.seal_owed(id, subject, &parts).await,
        };
        let row = self.stamp.row(id, &entry, sealed.map_err(unavailable)?);
        self.add_entry(&entry, row);
        Ok(())
    }

    /// Keeps an entry until all of them are written, and what those who follow are told of it.
    fn add_entry(&mut self, entry: &Entry, row: audit_entry::ActiveModel) {
        let followed = entry.entity_type == ACCESS_TOKEN.name
            || SUBSCRIPTIONS.iter().any(|subscription| subscription.object.name == entry.entity_type);
        if let (Some(id), true) = (entry.entity_id, followed && !entry.changes.is_empty()) {
            self.told.push(Told { entity_type: entry.entity_type, id });
        }
        self.entries.push(row);
    }

    /// Whether anything is recorded by now.
    pub fn is_recorded(&self) -> bool {
        !self.entries.is_empty()
    }

    /// Records that something was done to each of `contacts`, by the coordinate alone: for what is the same for however many there are.
    pub fn record_bare(
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

    /// Writes the entries, tells those who follow which consents began or ended, and commits, with the changes or not at all.
    /// Dropping the transaction rolls it back.
    ///
    /// # Errors
    /// `INTERNAL` when nothing was recorded; `AUDIT_UNAVAILABLE` when an entry cannot be written.
    pub async fn commit(mut self) -> Result<(), Error> {
        if self.entries.is_empty() {
            return Err(Error::internal("a change without an audit entry"));
        }
        let number = self.entries.len();
        let touched = self.touched.take();
        let mut queued = false;
        if touched.is_empty() {
            self.store().await?;
        } else {
            // The entries go along with the question of what began and what ended.
            let along = self.store_but_last().await?;
            let alone = along.is_none();
            let news = self.news(&touched, along.as_ref()).await;
            let news = news.map_err(|error| if alone { error } else { unavailable(error) })?;
            queued = self.tell(news).await?;
        }
        self.inner.commit().await.map_err(Error::of_commit)?;
        // Whoever is answered may rely on it, also after a power failure. Other writers go on meanwhile.
        self.db.flush().await.map_err(|_| Error::unclear())?;
        metrics::entries(number);
        self.told.into_iter().for_each(|change| self.db.feed.tell(change));
        if queued {
            self.db.feed.tell_queued();
        }
        Ok(())
    }

    /// Writes the entries.
    async fn store(&mut self) -> Result<(), Error> {
        if let Some(last) = self.store_but_last().await? {
            self.inner.execute(&last).await.map_err(|error| unavailable(error.into()))?;
        }
        Ok(())
    }

    /// The same but, on PostgreSQL, the last statement of it.
    async fn store_but_last(&mut self) -> Result<Option<InsertStatement>, Error> {
        let stored = match self.recorded {
            Recorded::Now => self.sealer.store(&self.inner).await,
            Recorded::Later => self.store_owed_keys().await,
        };
        stored.map_err(unavailable)?;
        let keeps = self.inner.get_database_backend() == DbBackend::Postgres;
        // SQLite takes 32,766 parameters; an entry has 15.
        while !self.entries.is_empty() {
            let rest = self.entries.split_off(self.entries.len().min(1_000));
            let chunk = std::mem::replace(&mut self.entries, rest);
            let insert = self.destined(audit_entry::Entity::insert_many(chunk).into_query());
            if keeps && self.entries.is_empty() {
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

/// The audit log cannot be written, so nothing may be changed.
fn unavailable(error: Error) -> Error {
    if error.transient {
        return error;
    }
    Error::new(Code::AuditUnavailable, "the audit log cannot be written; nothing was changed")
}
