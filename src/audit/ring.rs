//! Keys that outlive a rotation of the master key: made once, wrapped in the database (floor 3).

use entity::subject_key::{self, Column, Entity};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::{Author, Changes, Entry, begin};
use crate::{
    context::{App, Ring},
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
            if let Some(ring) = read(app).await? {
                return Ok(ring);
            }
            match make(app).await {
                // Another server was in between.
                Err(error) if !error.transient => return Err(error),
                _ => {}
            }
            read(app).await?.ok_or_else(|| Error::internal("the keys of the installation"))
        })
        .await
}

async fn read(app: &App) -> Result<Option<Ring>, Error> {
    let rows: Vec<subject_key::Model> =
        Entity::find().filter(Column::SubjectId.eq(NOBODY)).all(&app.db.reader).await?;
    let key = |name: &str| {
        let row = rows.iter().find(|row| row.category == name);
        row.map(|row| sealing::unwrapped(&app.keys, row)).transpose()
    };
    let (links, suppression, signing) = (key(LINKS)?, key(SUPPRESSION)?, key(SIGNING)?);
    Ok(match (links, suppression, signing) {
        (Some(links), Some(suppression), Some(signing)) => Some(Ring { links, suppression, signing }),
        _ => None,
    })
}

async fn make(app: &App) -> Result<(), Error> {
    let mut tx = begin(app, Author::command(app, "server", None)).await?;
    let known = Entity::find().filter(Column::SubjectId.eq(NOBODY)).all(tx.connection()).await?;
    let names = [LINKS, SUPPRESSION, SIGNING];
    let missing: Vec<&str> =
        names.into_iter().filter(|name| !known.iter().any(|row| row.category == *name)).collect();
    for name in &missing {
        let fresh = sealing::wrapped(&app.keys, NOBODY, name, &rand::random(), tx.now())?;
        Entity::insert(fresh).exec_without_returning(tx.connection()).await?;
    }
    tx.record(Entry {
        action: "makeKeys",
        entity_type: "Keys",
        entity_id: None,
        contact_id: None,
        changes: Changes::one("Keys.names", Category::Technical, serde_json::Value::Null, missing.into()),
    })
    .await?;
    tx.commit().await
}
