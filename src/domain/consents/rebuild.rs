//! Compares each consent with the projection of its events, and repairs it. Room: domain/consents.

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

/// The result of a rebuild.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RebuildReport {
    /// Consents that were compared.
    pub consents: u64,
    /// Ids of those that differed from their events.
    pub differing: Vec<Uuid>,
    /// Consents that began or ended without a recorded change; unless only checking, they are recorded now.
    pub unrecorded: u64,
}

/// Compares every consent with its events and, unless it only checks, writes the projected state. The bound address
/// is not part of the state and stays.
///
/// # Errors
/// `INTERNAL` from the database; what was written before is kept.
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
            // Changes queued by others count as recorded: they only wait for their final ids.
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

/// Whether a consent differs from its events, read again until it was stable for one look: others may write
/// meanwhile.
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

/// Writes the projected state, if the consent still differs.
async fn repair(app: &App, actor: &str, id: Uuid) -> Result<bool, Error> {
    let mut tx = audit::begin(app, Author::command(app, actor, None)).await?;
    // Locked with its contact, as all writers of consents do, and read again: it may have changed since the
    // comparison.
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
