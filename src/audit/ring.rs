//! Keys that outlive a rotation of the master key: made once, wrapped in the database (floor 3).

use entity::subject_key::{self, Column, Entity};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::{Author, Changes, Entry, Transaction, begin};
use crate::{
    context::{App, Keys, Ring},
    error::Error,
    register::Category,
    sealing,
};

/// The key belongs to no person.
const NOBODY: Uuid = Uuid::nil();
const LINKS: &str = "links";
const SUPPRESSION: &str = "suppression";
const SIGNING: &str = "signing";

/// The keys of this installation. Those that are missing are made, in a transaction of its own; of two servers that come at the
/// same time one makes them, and both read what is there then.
///
/// # Errors
/// `INTERNAL` from the database, or where a key is wrapped by a master key that is not known.
pub async fn ring(app: &App) -> Result<&Ring, Error> {
    app.ring
        .get_or_try_init(async || {
            if let Some(ring) = read(&app.db.reader, &app.keys).await? {
                return Ok(ring);
            }
            match make(app).await {
                // Another server was in between.
                Err(error) if !error.transient => return Err(error),
                _ => {}
            }
            read(&app.db.reader, &app.keys).await?.ok_or_else(missing)
        })
        .await
}

/// The keys of this installation, if they were made already.
///
/// # Errors
/// As [`ring`].
pub async fn known_ring(app: &App) -> Result<Option<&Ring>, Error> {
    if app.ring.get().is_none()
        && let Some(ring) = read(&app.db.reader, &app.keys).await?
    {
        // Whoever was faster has read the same.
        _ = app.ring.set(ring);
    }
    Ok(app.ring.get())
}

impl Transaction {
    /// The keys of the installation, if they were made already.
    ///
    /// # Errors
    /// As [`ring`].
    pub async fn known_ring(&self) -> Result<Option<Ring>, Error> {
        if let Some(ring) = self.made.as_ref().or(self.ring.get()) {
            return Ok(Some(ring.clone()));
        }
        let found = read(&self.inner, &self.keys).await?;
        if let Some(ring) = &found {
            _ = self.ring.set(ring.clone());
        }
        Ok(found)
    }

    /// The keys of the installation, made in this transaction where they are missing.
    ///
    /// # Errors
    /// As [`ring`]; transient where another server makes them at the same time.
    pub async fn ring(&mut self) -> Result<Ring, Error> {
        if let Some(ring) = self.known_ring().await? {
            return Ok(ring);
        }
        fill(self).await?;
        let ring = read(&self.inner, &self.keys).await?.ok_or_else(missing)?;
        // Not kept beyond the transaction: it may be rolled back.
        self.made = Some(ring.clone());
        Ok(ring)
    }
}

fn missing() -> Error {
    Error::internal("the keys of the installation")
}

async fn read<C: ConnectionTrait>(connection: &C, keys: &Keys) -> Result<Option<Ring>, Error> {
    let rows: Vec<subject_key::Model> =
        Entity::find().filter(Column::SubjectId.eq(NOBODY)).all(connection).await?;
    let key = |name: &str| {
        let row = rows.iter().find(|row| row.category == name);
        row.map(|row| sealing::unwrapped(keys, row)).transpose()
    };
    let (links, suppression, signing) = (key(LINKS)?, key(SUPPRESSION)?, key(SIGNING)?);
    Ok(match (links, suppression, signing) {
        (Some(links), Some(suppression), Some(signing)) => Some(Ring { links, suppression, signing }),
        _ => None,
    })
}

async fn make(app: &App) -> Result<(), Error> {
    let mut tx = begin(app, Author::command(app, "server", None)).await?;
    fill(&mut tx).await?;
    tx.commit().await
}

/// Makes the keys that are missing.
async fn fill(tx: &mut Transaction) -> Result<(), Error> {
    let known = Entity::find().filter(Column::SubjectId.eq(NOBODY)).all(tx.connection()).await?;
    let names = [LINKS, SUPPRESSION, SIGNING];
    let missing: Vec<&str> =
        names.into_iter().filter(|name| !known.iter().any(|row| row.category == *name)).collect();
    for name in &missing {
        let fresh = sealing::wrapped(&tx.keys, NOBODY, name, &rand::random(), tx.now())?;
        Entity::insert(fresh).exec_without_returning(tx.connection()).await?;
    }
    tx.record(Entry {
        action: "makeKeys",
        entity_type: "Keys",
        entity_id: None,
        contact_id: None,
        changes: Changes::one("Keys.names", Category::Technical, serde_json::Value::Null, missing.into()),
    })
    .await
}
