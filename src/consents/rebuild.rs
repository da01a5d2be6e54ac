//! Compares each consent with the projection of its events, and mends it (floor 4).

use entity::consent::{Column, Entity, Model};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
};
use uuid::Uuid;

use super::events;
use crate::{
    audit::{self, Author, Changes, Entry},
    context::App,
    error::Error,
    register::CONSENT,
};

const BATCH: u64 = 500;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Consents that were looked at.
    pub consents: u64,
    /// Ids of those whose state was not what their events say.
    pub differing: Vec<Uuid>,
}

/// Compares every consent with its events; unless it shall only `check`, writes the state that they make. The address a
/// consent is bound to is no part of its state and stays.
///
/// # Errors
/// `INTERNAL` from the database; what was written before that stays.
pub async fn rebuild(app: &App, actor: &str, check: bool) -> Result<Rebuilt, Error> {
    let mut rebuilt = Rebuilt::default();
    let mut last = Uuid::nil();
    loop {
        let rows = Entity::find()
            .filter(Column::Id.gt(last))
            .order_by_asc(Column::Id)
            .limit(BATCH)
            .all(&app.db.reader)
            .await?;
        let Some(end) = rows.last() else { return Ok(rebuilt) };
        last = end.id;
        for row in rows {
            rebuilt.consents += 1;
            let events = events::of(&app.db.reader, row.id).await?;
            if events::projected(&row, &events) != row {
                rebuilt.differing.push(row.id);
                if !check {
                    mend(app, actor, row.id).await?;
                }
            }
        }
    }
}

async fn mend(app: &App, actor: &str, id: Uuid) -> Result<(), Error> {
    let mut tx = audit::begin(app, Author::command(app, actor, None)).await?;
    // Locked and read again: it may have changed since it was compared.
    let Some(before) = Entity::find_by_id(id).lock_exclusive().one(tx.connection()).await? else {
        return Ok(());
    };
    let events = events::of(tx.connection(), id).await?;
    let after = Model { updated_at: tx.now(), ..events::projected(&before, &events) };
    Entity::update(after.clone().into_active_model().reset_all()).exec(tx.connection()).await?;
    let changes = Changes::between(&CONSENT, Some(&before), Some(&after));
    tx.record(Entry {
        action: "rebuildConsent",
        entity_type: CONSENT.name,
        entity_id: Some(id),
        contact_id: Some(before.contact_id),
        changes,
    })
    .await?;
    tx.commit().await
}
