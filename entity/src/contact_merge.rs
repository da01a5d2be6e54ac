//! Table `contact_merge`: which contact became part of which other (floor 0).

use sea_orm::entity::prelude::*;

/// A row of `contact_merge`: a contact that became part of another.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "contact_merge")]
pub struct Model {
    /// Id of the contact that is no more.
    #[sea_orm(primary_key, auto_increment = false)]
    pub duplicate_id: Uuid,
    /// The contact that it is part of by now.
    pub contact_id: Uuid,
    /// When it became part of another.
    pub merged_at: DateTimeUtc,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
