//! Which master key is in use: the database says it, and takes keys under no other. Room: audit.
//!
//! A process knows those of its configuration; the row of `master_key` says which of them wraps new keys, and a
//! trigger of `subject_key` refuses every other, whoever writes. A writer that is refused looks the row up and does
//! it again. A rotation changes the row, waits for transactions that began before (PostgreSQL), and wraps every key
//! anew in batches that may be repeated. Servers say in `server` every few seconds which keys they know. A key that
//! cannot be opened gets a successor of the next generation (`crypto/sealing.rs`); a sealed value names its
//! generation. `audit/unopenable.rs` opens every key and every entry, for `keys status` and `restore --check`.

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

/// How many keys there are under one master key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// Name of the master key.
    pub master: String,
    /// Keys that it wraps.
    pub keys: u64,
    /// Whether the configuration has it.
    pub known: bool,
}

/// What is known of master keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring {
    /// Name of the one in use, and since when; none before the first start.
    pub in_use: Option<(String, DateTime<Utc>)>,
    /// All that wrap any key, by name.
    pub uses: Vec<KeyUse>,
    /// Whether the keys of the installation are all there.
    pub complete: bool,
    /// Names of the keys of the installation that are there and cannot be opened.
    pub unopenable: Vec<String>,
}

impl Keyring {
    /// Whether everything can be opened by the configuration at hand.
    pub fn is_sound(&self) -> bool {
        self.complete && self.unopenable.is_empty() && self.uses.iter().all(|use_| use_.known)
    }
}

/// What is said where the keys of the installation are not there.
const KEYS_LOST: &str = "the database was restored without the keys of the installation (table `subject_key`), though links, the suppression \
                    list or receipts were made with them: nobody who said no would be recognised. Restore `subject_key` first; new keys \
                    would stand in its way. If they are lost for good: `zweck keys remake --accept-loss`";

/// Reads from the database which master key is in use, so that this process wraps new keys by it; where none is said to be yet,
/// the configured one is from now on.
///
/// # Errors
/// `BAD_USER_INPUT` when the one in use is not known here, or keys of the installation cannot be opened or are missing though something
/// was made with them: the text says what to do.
pub async fn adopt_master_key(app: &App) -> Result<(), Error> {
    if !installation_keys::has_all_needed(&app.db.reader).await? {
        return Err(Error::new(Code::BadUserInput, KEYS_LOST));
    }
    with_retry(|| async {
        if let Some(row) = active_row(app).await? {
            return match app.keys.take_in_use(&row.name)? {
                true => Ok(()),
                false => Err(wrong_master_key(app, &row.name)),
            };
        }
        let names = names(&app.db.reader).await?;
        let known = app.keys.names()?;
        if let Some(name) = names.first()
            && !names.iter().any(|name| known.contains(name))
        {
            return Err(wrong_master_key(app, name));
        }
        let configured = app.keys.configured()?;
        app.keys.take_in_use(&configured)?;
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

/// What is said where keys of the installation are there and cannot be opened.
fn unopenable_keys_error(app: &App, unopenable: &[subject_key::Model]) -> Result<Error, Error> {
    let known = app.keys.names()?;
    if let Some(row) = unopenable.iter().find(|row| !known.contains(&row.wrapped_by)) {
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

/// The names of master keys that wrap keys and are not known here: what was sealed under those keys cannot be opened.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn unknown_master_keys(app: &App) -> Result<Vec<String>, Error> {
    let known = app.keys.names()?;
    Ok(names(&app.db.reader).await?.into_iter().filter(|name| !known.contains(name)).collect())
}

/// What is known of master keys.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn keyring(app: &App) -> Result<Keyring, Error> {
    let in_use = active_row(app).await?.map(|row| (row.name, row.since));
    let known = app.keys.names()?;
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
            let known = known.contains(&master);
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

/// The names of all master keys that wrap any key. As many looks at the index as there are names.
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
