//! The installation keys: created once, stored wrapped in the database, and kept across rotations of the master
//! key. Room: audit.
//!
//! They serve links, the suppression list, receipts and the digests of retries. They are random and wrapped by the
//! master key under the nil subject. If keys that something was made with are missing or cannot be opened, only an
//! operator can have new ones made.

use entity::{
    audit_entry, link,
    subject_key::{self, Column, Entity},
    suppression,
};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::{Author, ChangeSet, Entry, Transaction, begin};
use crate::audit::retry::with_retry;
use crate::{
    app::App,
    base::{error::Error, secret::SecretKey},
    crypto::{installation_keys::InstallationKeys, master_keys::MasterKeys, sealing},
    registry::DataCategory,
};

/// The subject of keys that belong to no person.
const SYSTEM_SUBJECT: Uuid = Uuid::nil();
const LINKS: &str = "links";
const SUPPRESSION: &str = "suppression";
const SIGNING: &str = "signing";
const LOOKUPS: &str = "lookups";
/// Keys that are needed as long as anything made with them exists.
const PERMANENT_KEYS: [&str; 3] = [LINKS, SUPPRESSION, SIGNING];
/// All installation keys.
const ALL: [&str; 4] = [LINKS, SUPPRESSION, SIGNING, LOOKUPS];
/// The audit action of creating them.
const ACTION: &str = "makeKeys";

/// The keys of this installation. Missing ones are created in a separate transaction; if two servers do so at the
/// same time, one wins and both read the result.
///
/// # Errors
/// `INTERNAL` from the database, or if a key is wrapped by an unknown master key.
pub async fn installation_keys(app: &App) -> Result<&InstallationKeys, Error> {
    app.installation_keys
        .get_or_try_init(async || {
            if let Some(installation_keys) = read(&app.db.reader, &app.keys).await? {
                return Ok(installation_keys);
            }
            match create(app).await {
                // Another server was faster.
                Err(error) if !error.transient => return Err(error),
                _ => {}
            }
            read(&app.db.reader, &app.keys).await?.ok_or_else(missing)
        })
        .await
}

/// The keys of this installation, if they exist.
///
/// # Errors
/// As [`installation_keys`].
pub async fn existing_installation_keys(app: &App) -> Result<Option<&InstallationKeys>, Error> {
    if app.installation_keys.get().is_none()
        && let Some(installation_keys) = read(&app.db.reader, &app.keys).await?
    {
        // A concurrent reader has set the same keys.
        _ = app.installation_keys.set(installation_keys);
    }
    Ok(app.installation_keys.get())
}

impl Transaction {
    /// The keys of this installation, if they exist.
    ///
    /// # Errors
    /// As [`installation_keys`].
    pub async fn existing_installation_keys(&self) -> Result<Option<InstallationKeys>, Error> {
        if let Some(installation_keys) = self.created_keys.as_ref().or(self.installation_keys.get()) {
            return Ok(Some(installation_keys.clone()));
        }
        let found = read(&self.inner, &self.keys).await?;
        if let Some(installation_keys) = &found {
            _ = self.installation_keys.set(installation_keys.clone());
        }
        Ok(found)
    }

    /// The keys of this installation; missing ones are created in this transaction.
    ///
    /// # Errors
    /// As [`installation_keys`]; transient where another server makes them at the same time.
    pub async fn installation_keys(&mut self) -> Result<InstallationKeys, Error> {
        if let Some(installation_keys) = self.existing_installation_keys().await? {
            return Ok(installation_keys);
        }
        if !has_all_needed(&self.inner).await? {
            return Err(missing());
        }
        // Another transaction may have created them meanwhile.
        if let Some(installation_keys) = self.existing_installation_keys().await? {
            return Ok(installation_keys);
        }
        create_missing(self, &[]).await?;
        let installation_keys = read(&self.inner, &self.keys).await?.ok_or_else(missing)?;
        // Not shared beyond the transaction: it may be rolled back.
        self.created_keys = Some(installation_keys.clone());
        Ok(installation_keys)
    }
}

fn missing() -> Error {
    Error::internal("the keys of the installation")
}

async fn read<C: ConnectionTrait>(
    connection: &C,
    keys: &MasterKeys,
) -> Result<Option<InstallationKeys>, Error> {
    let rows = key_rows(connection).await?;
    let key = |name: &str| {
        let row = rows.iter().find(|row| row.category == name);
        row.map(|row| sealing::unwrap_key(keys, row)).transpose()
    };
    Ok(match (key(LINKS)?, key(SUPPRESSION)?, key(SIGNING)?, key(LOOKUPS)?) {
        (Some(links), Some(suppression), Some(signing), Some(lookups)) => {
            Some(InstallationKeys { links, suppression, signing, lookups })
        }
        _ => None,
    })
}

async fn key_rows<C: ConnectionTrait>(connection: &C) -> Result<Vec<subject_key::Model>, Error> {
    Ok(Entity::find().filter(Column::SubjectId.eq(SYSTEM_SUBJECT)).all(connection).await?)
}

/// Whether `row` is one of the installation keys.
pub(super) fn is_of_installation(row: &subject_key::Model) -> bool {
    row.subject_id == SYSTEM_SUBJECT && ALL.contains(&row.category.as_str())
}

/// The installation keys that cannot be opened: their content was altered, or their master key is unknown.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn unopenable<C: ConnectionTrait>(
    connection: &C,
    keys: &MasterKeys,
) -> Result<Vec<subject_key::Model>, Error> {
    let mut unopenable = Vec::new();
    for row in key_rows(connection).await?.into_iter().filter(is_of_installation) {
        if !sealing::can_open(keys, &row)? {
            unopenable.push(row);
        }
    }
    Ok(unopenable)
}

/// Whether no installation key is missing that something was made with. A database restored without them would
/// otherwise create new ones, recognise nobody on the suppression list, and stand in the way of restoring the old
/// ones.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn has_all_needed<C: ConnectionTrait>(connection: &C) -> Result<bool, Error> {
    let missing_names = async || {
        let existing = existing_names(connection).await?;
        Ok::<_, Error>(
            PERMANENT_KEYS
                .into_iter()
                .filter(|name| !existing.iter().any(|existing| existing == name))
                .collect::<Vec<_>>(),
        )
    };
    let missing = missing_names().await?;
    if missing.is_empty() || !was_used(connection, &missing).await? {
        return Ok(true);
    }
    // Checked once more: another transaction may have created them meanwhile, and the evidence with them.
    Ok(missing_names().await?.is_empty())
}

/// Whether something was made with the `missing` keys.
async fn was_used<C: ConnectionTrait>(connection: &C, missing: &[&str]) -> Result<bool, Error> {
    let made = audit_entry::Entity::find().filter(audit_entry::Column::Action.eq(ACTION));
    let listed = suppression::Entity::find().select_only().column(suppression::Column::Id);
    let linked = link::Entity::find().select_only().column(link::Column::Id);
    Ok(exists(connection, made.select_only().column(audit_entry::Column::Id)).await?
        || (missing.contains(&SUPPRESSION) && exists(connection, listed).await?)
        || (missing.contains(&LINKS) && exists(connection, linked).await?))
}

async fn exists<C: ConnectionTrait, E: EntityTrait>(
    connection: &C,
    ids: sea_orm::Select<E>,
) -> Result<bool, Error> {
    Ok(ids.limit(1).into_tuple::<Uuid>().one(connection).await?.is_some())
}

async fn existing_names<C: ConnectionTrait>(connection: &C) -> Result<Vec<String>, Error> {
    let of_nobody =
        Entity::find().select_only().column(Column::Category).filter(Column::SubjectId.eq(SYSTEM_SUBJECT));
    Ok(of_nobody.into_tuple().all(connection).await?)
}

async fn create(app: &App) -> Result<(), Error> {
    let mut tx = begin(app, Author::command(app, "server", None)).await?;
    if !has_all_needed(tx.connection()).await? {
        return Err(Error::internal("installation keys are missing, although something was made with them"));
    }
    create_missing(&mut tx, &[]).await?;
    tx.commit().await
}

/// Creates the installation keys that are missing or cannot be opened, although something was made with them: links
/// in mails stop working, the suppression list no longer recognises anybody, receipts are signed with another key.
/// Returns the names of the new keys.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn remake_keys(app: &App, actor: &str) -> Result<Vec<&'static str>, Error> {
    with_retry(|| async {
        let mut tx = begin(app, Author::command(app, actor, None)).await?;
        let unopenable: Vec<String> =
            unopenable(tx.connection(), &app.keys).await?.into_iter().map(|row| row.category).collect();
        let is_unopenable = Column::Category.is_in(unopenable.iter().map(String::as_str));
        let lost = Entity::delete_many().filter(Column::SubjectId.eq(SYSTEM_SUBJECT)).filter(is_unopenable);
        lost.exec(tx.connection()).await?;
        let made = create_missing(&mut tx, &unopenable).await?;
        tx.commit().await?;
        Ok(made)
    })
    .await
}

/// Creates the missing keys, including those that were `lost`, and returns their names.
async fn create_missing(tx: &mut Transaction, lost: &[String]) -> Result<Vec<&'static str>, Error> {
    let existing = existing_names(tx.connection()).await?;
    let missing: Vec<&str> =
        ALL.into_iter().filter(|name| !existing.iter().any(|existing| existing == name)).collect();
    for name in &missing {
        // An earlier version derived these digests from the master key: retries that it stored are still found.
        let is_new_kind = *name == LOOKUPS && !missing.contains(&LINKS);
        let is_inherited = is_new_kind && !lost.iter().any(|lost| lost == name);
        let key = if is_inherited { tx.keys.derive("idempotency-digest")? } else { SecretKey::random() };
        let key_row = sealing::wrap_first(&tx.keys, SYSTEM_SUBJECT, name, key, tx.now())?;
        sealing::insert(tx.connection(), &tx.keys, &[key_row]).await?;
    }
    tx.record(Entry {
        action: ACTION,
        entity_type: "Keys",
        entity_id: None,
        contact_id: None,
        changes: ChangeSet::single(
            "Keys.names",
            DataCategory::Technical,
            serde_json::Value::Null,
            missing.as_slice().into(),
        ),
    })
    .await?;
    Ok(missing)
}
