//! The master key in use: the database names it and accepts keys under no other. Room: audit.
//!
//! A process knows the master keys of its configuration. The row of `master_key` names the one that wraps new keys,
//! and a trigger on `subject_key` rejects every other, whoever writes. A rejected writer looks the row up and tries
//! again. A rotation changes the row, waits for older transactions (PostgreSQL) and wraps every key again in
//! repeatable batches. Servers report in `server` every few seconds which keys they know. A key that cannot be
//! opened gets a successor of the next generation (`crypto/sealing.rs`); a sealed value names its generation.
//! `audit/unopenable.rs` tries to open every key and every entry, for `keys status` and `restore --check`.

use chrono::{DateTime, Utc};
use entity::{master_key, subject_key};
use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use super::{Author, ChangeSet, Entry, active_master_key::active_row, begin};
use crate::audit::{installation_keys, retry::with_retry};
use crate::{
    app::App,
    base::error::{Code, Error},
    registry::DataCategory,
};

/// The number of keys under one master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// Name of the master key.
    pub master: String,
    /// Keys that it wraps.
    pub keys: u64,
    /// Whether it is configured here.
    pub known: bool,
}

/// The state of all keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    /// Name of the one in use, and since when; none before the first start.
    pub in_use: Option<(String, DateTime<Utc>)>,
    /// All master keys that wrap any key, by name.
    pub uses: Vec<KeyUse>,
    /// Whether no needed installation key is missing.
    pub complete: bool,
    /// Names of the installation keys that cannot be opened.
    pub unopenable: Vec<String>,
}

impl Keyring {
    /// Whether everything can be opened with the present configuration.
    pub fn is_sound(&self) -> bool {
        self.complete && self.unopenable.is_empty() && self.uses.iter().all(|use_| use_.known)
    }
}

/// The error if installation keys are missing.
const KEYS_LOST: &str = "the database was restored without the keys of the installation (table `subject_key`), though links, the suppression \
                    list or receipts were made with them: nobody who said no would be recognised. Restore `subject_key` first; new keys \
                    would stand in its way. If they are lost for good: `zweck keys remake --accept-loss`";

/// Reads the master key in use from the database, so that this process wraps new keys with it. If none is set yet,
/// the configured one is from now on.
///
/// # Errors
/// `BAD_USER_INPUT` if the one in use is not known here, or installation keys cannot be opened, or are missing
/// though something was made with them: the message says what to do.
pub async fn adopt_master_key(app: &App) -> Result<(), Error> {
    if !installation_keys::has_all_needed(&app.db.reader).await? {
        return Err(Error::new(Code::BadUserInput, KEYS_LOST));
    }
    with_retry(|| async {
        if let Some(row) = active_row(app).await? {
            return match app.keys.set_in_use(&row.name)? {
                true => Ok(()),
                false => Err(wrong_master_key(app, &row.name)),
            };
        }
        let names = names(&app.db.reader).await?;
        let known_names = app.keys.names()?;
        if let Some(name) = names.first()
            && !names.iter().any(|name| known_names.contains(name))
        {
            return Err(wrong_master_key(app, name));
        }
        let configured = app.keys.configured()?;
        app.keys.set_in_use(&configured)?;
        let mut tx = begin(app, Author::command(app, "server", None)).await?;
        let row = master_key::ActiveModel { id: Set(1), name: Set(configured.clone()), since: Set(tx.now()) };
        master_key::Entity::insert(row).exec_without_returning(tx.connection()).await?;
        tx.record(Entry {
            action: "useMasterKey",
            entity_type: "MasterKey",
            entity_id: None,
            contact_id: None,
            changes: ChangeSet::single(
                "MasterKey.name",
                DataCategory::Technical,
                serde_json::Value::Null,
                configured.as_str().into(),
            ),
        })
        .await?;
        tx.commit().await
    })
    .await?;
    let unopenable = installation_keys::unopenable(&app.db.reader, &app.keys).await?;
    if unopenable.is_empty() { Ok(()) } else { Err(unopenable_keys_error(app, &unopenable)?) }
}

/// The error if installation keys cannot be opened.
fn unopenable_keys_error(app: &App, unopenable: &[subject_key::Model]) -> Result<Error, Error> {
    let known_names = app.keys.names()?;
    if let Some(row) = unopenable.iter().find(|row| !known_names.contains(&row.wrapped_by)) {
        return Ok(Error::new(
            Code::BadUserInput,
            format!(
                "keys of the installation are wrapped by the master key {}, which is not known here: set it as \
                 `secrets.previous_master_key` and run `zweck keys rotate`",
                row.wrapped_by
            ),
        ));
    }
    let names: Vec<&str> = unopenable.iter().map(|row| row.category.as_str()).collect();
    Ok(Error::new(
        Code::BadUserInput,
        format!(
            "keys of the installation are not what was wrapped and cannot be opened: {}. Restore their rows of the table `subject_key` \
             (subject_id of zeros); if they are lost for good: `zweck keys remake --accept-loss`",
            names.join(", ")
        ),
    ))
}

/// Names of unknown master keys that wrap keys: what was sealed under those keys cannot be opened.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn unknown_master_keys(app: &App) -> Result<Vec<String>, Error> {
    let known_names = app.keys.names()?;
    Ok(names(&app.db.reader).await?.into_iter().filter(|name| !known_names.contains(name)).collect())
}

/// The state of all keys.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn keyring(app: &App) -> Result<Keyring, Error> {
    let in_use = active_row(app).await?.map(|row| (row.name, row.since));
    let known_names = app.keys.names()?;
    let counts: Vec<(String, i64)> = subject_key::Entity::find()
        .select_only()
        .column(subject_key::Column::WrappedBy)
        .column_as(subject_key::Column::WrappedBy.count(), "keys")
        .group_by(subject_key::Column::WrappedBy)
        .into_tuple()
        .all(&app.db.reader)
        .await?;
    let mut uses: Vec<KeyUse> = counts
        .into_iter()
        .map(|(master, keys)| {
            let known = known_names.contains(&master);
            KeyUse { master, keys: keys.unsigned_abs(), known }
        })
        .collect();
    uses.sort_by(|left, right| left.master.cmp(&right.master));
    let unopenable = installation_keys::unopenable(&app.db.reader, &app.keys)
        .await?
        .into_iter()
        .map(|row| row.category)
        .collect();
    Ok(Keyring {
        in_use,
        uses,
        complete: installation_keys::has_all_needed(&app.db.reader).await?,
        unopenable,
    })
}

/// Names of all master keys that wrap any key: one index look-up for each name.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn names<C: ConnectionTrait>(connection: &C) -> Result<Vec<String>, Error> {
    use subject_key::Column::WrappedBy;
    let mut names: Vec<String> = Vec::new();
    loop {
        let mut next = subject_key::Entity::find().select_only().column_as(WrappedBy.min(), "name");
        if let Some(last) = names.last() {
            next = next.filter(WrappedBy.gt(last));
        }
        let name: Option<Option<String>> = next.into_tuple().one(connection).await?;
        match name.flatten() {
            Some(name) => names.push(name),
            None => return Ok(names),
        }
    }
}

fn wrong_master_key(app: &App, name: &str) -> Error {
    let configured = app.keys.configured().unwrap_or_default();
    Error::new(
        Code::BadUserInput,
        format!(
            "this database was set up with another master key: the one in use is called {name}, `secrets.master_key` {configured}. Set the \
             one that it was set up with; to change over to a new one set the old one as `secrets.previous_master_key` beside it and \
             run `zweck keys rotate`"
        ),
    )
}
