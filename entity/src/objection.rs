//! Table `objection`: what stops a purpose for a contact: an objection (Art. 21), or a block of an address (floor 0).

use sea_orm::entity::prelude::*;

use crate::enums::{Channel, StopKind};

/// A row of `objection`: an objection of a contact (Art. 21).
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "objection")]
pub struct Model {
    /// Opaque id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The contact.
    pub contact_id: Uuid,
    /// The purpose or group.
    #[sea_orm(column_type = "Text")]
    pub purpose_code: String,
    /// When the person objected.
    pub objected_at: DateTimeUtc,
    /// When it ended.
    pub ended_at: Option<DateTimeUtc>,
    /// Where it was declared.
    #[sea_orm(column_type = "Text", nullable)]
    pub source: Option<String>,
    /// When it was recorded.
    pub created_at: DateTimeUtc,
    /// What it is: the person's own objection, or a block of one of the addresses.
    pub kind: StopKind,
    /// The channel that a block closes; every one where there is none.
    pub channel: Option<Channel>,
    /// Whether no channel was named: then a block closes what rests on no consent on every channel.
    pub every_channel: bool,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
