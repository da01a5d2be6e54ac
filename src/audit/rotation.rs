//! A new master key: every subject key is wrapped anew, no value is sealed anew (floor 3).

use entity::subject_key::{Column, Entity};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{Author, Changes, Entry, begin};
use crate::{context::App, error::Error, register::Category, sealing::rewrapped};

/// Keys that are wrapped anew in one transaction.
const BATCH: u64 = 500;

/// Wraps every key anew that is not under the present master key, and gives their number. May be repeated after an
/// interruption.
///
/// # Errors
/// `INTERNAL` when a key is wrapped by a master key that is not known; what was wrapped before that stays so.
pub async fn rewrap(app: &App, actor: &str) -> Result<u64, Error> {
    let (mut done, name) = (0, app.keys.name()?);
    loop {
        let mut tx = begin(app, Author::command(app, actor, None)).await?;
        let rows = Entity::find()
            .filter(Column::WrappedBy.ne(&name))
            .order_by_asc(Column::SubjectId)
            .limit(BATCH)
            .all(tx.connection())
            .await?;
        let Some(before) = rows.first().map(|row| row.wrapped_by.clone()) else { return Ok(done) };
        done += rows.len() as u64;
        for row in rows {
            Entity::update(rewrapped(&app.keys, row)?).exec(tx.connection()).await?;
        }
        tx.record(Entry {
            action: "rotateKeys",
            entity_type: "MasterKey",
            entity_id: None,
            contact_id: None,
            changes: Changes::one("MasterKey.name", Category::Technical, before.into(), name.as_str().into()),
        })
        .await?;
        tx.commit().await?;
    }
}
