//! Tells those who follow what began or ended without a change of a contact: by another policy, or before there was anybody to
//! follow (floor 4).

use entity::{
    consent::{Column, Entity},
    contact,
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use crate::{
    audit::{self, Author, Changes, Entry},
    context::App,
    error::Error,
    register::{CONSENT_CHANGE, Category},
};

/// Contacts that are looked at together.
const BATCH: u64 = 500;

/// Looks at the consents of every contact and tells what was not told yet; gives how many. To be done when a server starts and
/// when another policy comes into force. It may be done at any time, by several servers at once, and again.
///
/// # Errors
/// `INTERNAL` from the database; what was told before that stays.
pub async fn catch_up(app: &App) -> Result<u64, Error> {
    let (mut told, mut last) = (0, Uuid::nil());
    loop {
        let contacts: Vec<Uuid> = Entity::find()
            .select_only()
            .column(Column::ContactId)
            .distinct()
            .filter(Column::ContactId.gt(last))
            .order_by_asc(Column::ContactId)
            .limit(BATCH)
            .into_tuple()
            .all(&app.db.reader)
            .await?;
        let Some(end) = contacts.last() else { return Ok(told) };
        last = *end;
        if audit::untold(app, &contacts).await? > 0 {
            told += tell(app, &contacts).await?;
        }
    }
}

/// Looks again at `contacts` once they are locked, and tells.
async fn tell(app: &App, contacts: &[Uuid]) -> Result<u64, Error> {
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
    let number = u64::try_from(tx.look_at(contacts).await?).unwrap_or(u64::MAX);
    if number == 0 {
        // Another has told it meanwhile.
        return Ok(0);
    }
    tx.record(Entry {
        action: "tellConsents",
        entity_type: CONSENT_CHANGE.name,
        entity_id: None,
        contact_id: None,
        changes: Changes::one(
            "ConsentChange.kind",
            Category::Consent,
            serde_json::Value::Null,
            number.into(),
        ),
    })
    .await?;
    tx.commit().await?;
    Ok(number)
}
