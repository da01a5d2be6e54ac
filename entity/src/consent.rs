//! Table `consent`: state of a consent per contact, purpose and channel (floor 0).

use sea_orm::entity::prelude::*;

use crate::enums::{Channel, ConsentStatus};

/// A row of `consent`: state of a consent per contact, purpose and channel.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "consent")]
pub struct Model {
    /// Opaque id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The contact.
    pub contact_id: Uuid,
    /// The purpose.
    #[sea_orm(column_type = "Text")]
    pub purpose_code: String,
    /// The channel.
    pub channel: Channel,
    /// Present state.
    pub status: ConsentStatus,
    /// Folded address it was given for.
    #[sea_orm(column_type = "Text", nullable)]
    pub bound_address: Option<String>,
    /// When the person last declared.
    pub declared_at: Option<DateTimeUtc>,
    /// When it was granted.
    pub granted_at: Option<DateTimeUtc>,
    /// When it was confirmed.
    pub confirmed_at: Option<DateTimeUtc>,
    /// When it was withdrawn.
    pub withdrawn_at: Option<DateTimeUtc>,
    /// When it ends by itself.
    pub expires_at: Option<DateTimeUtc>,
    /// When it is to be reviewed.
    pub review_due_at: Option<DateTimeUtc>,
    /// Where it was declared.
    #[sea_orm(column_type = "Text", nullable)]
    pub source: Option<String>,
    /// The text declared to.
    pub consent_text_id: Option<Uuid>,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When the state last changed.
    pub updated_at: DateTimeUtc,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
