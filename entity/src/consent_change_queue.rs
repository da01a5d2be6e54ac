//! Table `consent_change_queue`: a consent that began or ceased to hold and has no place among the changes yet; empty on SQLite (floor 0).

use sea_orm::entity::prelude::*;

use crate::enums::{Channel, ConsentChangeKind};

/// A row of `consent_change_queue`: it is committed with what made it so, and moves to `consent_change` afterwards.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "consent_change_queue")]
pub struct Model {
    /// Given by the database; of one contact a later change has the greater one.
    #[sea_orm(primary_key)]
    pub number: i64,
    /// The contact, which may be gone.
    pub contact_id: Uuid,
    /// The purpose.
    #[sea_orm(column_type = "Text")]
    pub purpose_code: String,
    /// The channel.
    pub channel: Channel,
    /// Whether it holds from then on.
    pub kind: ConsentChangeKind,
    /// When.
    pub at: DateTimeUtc,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
