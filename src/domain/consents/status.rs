//! The status of a consent at an instant. Room: domain/consents.

use chrono::{DateTime, Utc};
use entity::{
    consent_event::{Column, Entity},
    enums::ConsentStatus,
};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use crate::{base::error::Error, domain::consents::projection};

/// The status of `consent` at the instant `at`, from its events.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn status_at<C: ConnectionTrait>(
    connection: &C,
    consent: Uuid,
    at: DateTime<Utc>,
) -> Result<ConsentStatus, Error> {
    let events = Entity::find().filter(Column::ConsentId.eq(consent)).all(connection).await?;
    Ok(projection::status_at(&events, at))
}
