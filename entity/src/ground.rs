//! Table `ground`: a recorded fact that makes a purpose lawful for a contact (floor 0).

use sea_orm::entity::prelude::*;

/// A row of `ground`: a recorded fact that makes a purpose lawful for a contact.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ground")]
pub struct Model {
    /// Opaque id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The contact.
    pub contact_id: Uuid,
    /// The purpose.
    #[sea_orm(column_type = "Text")]
    pub purpose_code: String,
    /// Contract number, duty or balancing test.
    #[sea_orm(column_type = "Text", nullable)]
    pub reference: Option<String>,
    /// Since when it holds.
    pub since: DateTimeUtc,
    /// Until when it holds.
    pub until: Option<DateTimeUtc>,
    /// Actor who recorded it.
    #[sea_orm(column_type = "Text")]
    pub recorded_by: String,
    /// When it was recorded.
    pub created_at: DateTimeUtc,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
