//! Compares each consent with the projection of its events, and mends it. Room: domain/consents.

use entity::{
    consent::{Column, Entity, Model},
    contact,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::events;
use crate::domain::consents::backfill::{backfill_changes, count_unrecorded};
use crate::{
    app::App,
    audit::{self, Author, Entry},
    base::error::Error,
    registry::CONSENT,
};

const BATCH_SIZE: u64 = 500;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RebuildReport {
    /// Consents that were looked at.
    pub consents: u64,
    /// Ids of those whose state was not what their events say.
    pub differing: Vec<Uuid>,
    /// Consents whose beginning or end those who follow were not told of; without a check they were told now.
    pub unrecorded: u64,
}

/// Compares every consent with its events; unless it shall only `check`, writes the state that they make. The address a
/// consent is bound to is no part of its state and stays.
///
/// # Errors
/// `INTERNAL` from the database; what was written before that stays.
pub async fn rebuild(app: &App, actor: &str, check: bool) -> Result<RebuildReport, Error> {
    let mut report = RebuildReport::default();
    let mut last = Uuid::nil();
    loop {
        let rows = Entity::find()
            .filter(Column::Id.gt(last))
            .order_by_asc(Column::Id)
            .limit(BATCH_SIZE)
            .all(&app.db.reader)
            .await?;
        let Some(end) = rows.last() else {
            // What others have queued counts as told: it waits for its place alone.
            report.unrecorded =
                if check { count_unrecorded(app).await? } else { backfill_changes(app).await? };
            return Ok(report);
        };
        last = end.id;
        for row in rows {
            report.consents += 1;
            let id = row.id;
            if differs(app, row).await? && (check || repair(app, actor, id).await?) {
                report.differing.push(id);
            }
        }
    }
}

/// Whether a consent is not what its events say, looked at until it stood still for a look: others may write meanwhile.
async fn differs(app: &App, row: Model) -> Result<bool, Error> {
    let mut previous = row;
    loop {
        let events = events::events_of(&app.db.reader, previous.id).await?;
        if events::with_projection(&previous, &events) == previous {
            return Ok(false);
        }
        match Entity::find_by_id(previous.id).one(&app.db.reader).await? {
            Some(now) if now != previous => previous = now,
            now => return Ok(now.is_some()),
        }
    }
}

/// Writes the state that the events make, if the consent still differs from it.
async fn repair(app: &App, actor: &str, id: Uuid) -> Result<bool, Error> {
    let mut tx = audit::begin(app, Author::command(app, actor, None)).await?;
    // Locked with its contact, as by all who write consents, and read again: it may have changed since it was compared.
    let before = loop {
        let Some(previous) = Entity::find_by_id(id).one(tx.connection()).await? else { return Ok(false) };
        contact::Entity::find_by_id(previous.contact_id).lock_exclusive().one(tx.connection()).await?;
        match Entity::find_by_id(id).lock_exclusive().one(tx.connection()).await? {
            // A merge has moved it.
            Some(found) if found.contact_id != previous.contact_id => {}
            Some(found) => break found,
            None => return Ok(false),
        }
    };
    let after = events::with_projection(&before, &events::events_of(tx.connection(), id).await?);
    if after == before {
        return Ok(false);
    }
    let after = Model { updated_at: tx.now(), ..after };
    let changes = tx.update::<Entity>(&CONSENT, &before, &after).await?;
    tx.record(Entry {
        action: "rebuildConsent",
        entity_type: CONSENT.name,
        entity_id: Some(id),
        contact_id: Some(before.contact_id),
        changes,
    })
    .await?;
    tx.commit().await?;
    Ok(true)
}
