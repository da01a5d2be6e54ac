//! Records consent changes that no write to a contact caused: by another policy, or before changes were recorded.
//! Room: domain/consents.

use entity::{
    consent::{Column, Entity},
    contact,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::{
    app::App,
    audit::{self, Author, ChangeSet, Entry, RowFailures},
    base::error::Error,
    registry::{CONSENT_CHANGE, DataCategory},
};

/// Contacts in one batch.
const BATCH_SIZE: u64 = 500;

/// Compares the consents of every contact with the recorded changes and records the difference; returns how many.
/// It runs when a server starts and when another policy comes into force, at any time, on several servers, and
/// again.
///
/// # Errors
/// `INTERNAL` from the database; changes recorded before that are kept.
pub async fn backfill_changes(app: &App) -> Result<u64, Error> {
    let (mut recorded, mut last, mut failures) = (0, Uuid::nil(), RowFailures::default());
    while let Some(contacts) = next_batch(app, last).await? {
        last = contacts.last().copied().unwrap_or(last);
        if audit::count_unrecorded(app, &contacts).await? == 0 {
            continue;
        }
        match record_batch(app, &contacts).await {
            Ok(number) => recorded += number,
            Err(_) => {
                for contact in &contacts {
                    let result = record_batch(app, std::slice::from_ref(contact)).await;
                    recorded +=
                        failures.tolerate(app, "consents that were not told", *contact, result).await?;
                }
            }
        }
    }
    failures.finish(recorded)
}

/// The number of consents that began or ended without a recorded change.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn count_unrecorded(app: &App) -> Result<u64, Error> {
    let (mut count, mut last) = (0, Uuid::nil());
    while let Some(contacts) = next_batch(app, last).await? {
        last = contacts.last().copied().unwrap_or(last);
        count += u64::try_from(audit::count_unrecorded(app, &contacts).await?).unwrap_or(u64::MAX);
    }
    Ok(count)
}

/// The next batch of contacts with consents, after `last`.
async fn next_batch(app: &App, last: Uuid) -> Result<Option<Vec<Uuid>>, Error> {
    let contacts: Vec<Uuid> = Entity::find()
        .select_only()
        .column(Column::ContactId)
        .distinct()
        .filter(Column::ContactId.gt(last))
        .order_by_asc(Column::ContactId)
        .limit(BATCH_SIZE)
        .into_tuple()
        .all(&app.db.reader)
        .await?;
    Ok((!contacts.is_empty()).then_some(contacts))
}

/// Compares `contacts` again once they are locked, and records the difference.
async fn record_batch(app: &App, contacts: &[Uuid]) -> Result<u64, Error> {
    let mut tx = audit::begin(app, Author::command(app, "server", None)).await?;
    contact::Entity::find()
        .select_only()
        .column(contact::Column::Id)
        .filter(contact::Column::Id.is_in(contacts.iter().copied()))
        .order_by_asc(contact::Column::Id)
        .lock_exclusive()
        .into_tuple::<Uuid>()
        .all(tx.connection())
        .await?;
    let number = u64::try_from(tx.recheck(contacts).await?).unwrap_or(u64::MAX);
    if number == 0 {
        // Another server has recorded it meanwhile.
        return Ok(0);
    }
    tx.record(Entry {
        action: "tellConsents",
        entity_type: CONSENT_CHANGE.name,
        entity_id: None,
        contact_id: None,
        changes: ChangeSet::single(
            "ConsentChange.kind",
            DataCategory::Consent,
            serde_json::Value::Null,
            number.into(),
        ),
    })
    .await?;
    tx.commit().await?;
    Ok(number)
}
