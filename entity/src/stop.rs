//! Table `stop`: what a recipient is to be told to stop (floor 0).

use sea_orm::entity::prelude::*;

use crate::enums::{Channel, ContactPointKind};

/// A row of `stop`: a no that a recipient is to be told.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "stop")]
pub struct Model {
    /// Opaque id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Who is to be told.
    pub recipient_id: Uuid,
    /// The contact, which may be gone.
    pub contact_id: Uuid,
    /// The purpose, never a group.
    #[sea_orm(column_type = "Text")]
    pub purpose_code: String,
    /// On which channel; on all where it is null.
    pub channel: Option<Channel>,
    /// Kind of the address that it is about, where it is about one.
    pub address_kind: Option<ContactPointKind>,
    /// SHA-256 of the key of that mailbox or number, hexadecimal.
    #[sea_orm(column_type = "Text", nullable)]
    pub address_sha256: Option<String>,
    /// When it was declared.
    pub since: DateTimeUtc,
    /// When the duty was made, at last.
    pub made_at: DateTimeUtc,
    /// The batch of the file that told it first.
    pub batch_id: Option<Uuid>,
    /// When a file told it first.
    pub exported_at: Option<DateTimeUtc>,
    /// When the recipient acknowledged it.
    pub acknowledged_at: Option<DateTimeUtc>,
    /// Actor who recorded that.
    #[sea_orm(column_type = "Text", nullable)]
    pub acknowledged_by: Option<String>,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
