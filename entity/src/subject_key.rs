//! Table `subject_key`: key of one subject and data category, wrapped by the master key (floor 0).

use sea_orm::entity::prelude::*;

/// A row of `subject_key`: key of one subject and data category, wrapped by the master key.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "subject_key")]
pub struct Model {
    /// Whose values it seals.
    #[sea_orm(primary_key, auto_increment = false)]
    pub subject_id: Uuid,
    /// Data category of the values.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub category: String,
    /// 0 for the first key; each later one is made where none before it could be opened.
    #[sea_orm(primary_key, auto_increment = false)]
    pub generation: i32,
    /// The key, sealed, base64.
    #[sea_orm(column_type = "Text")]
    pub wrapped: String,
    /// Name of the master key it is wrapped by.
    #[sea_orm(column_type = "Text")]
    pub wrapped_by: String,
    /// When it was made.
    pub created_at: DateTimeUtc,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
