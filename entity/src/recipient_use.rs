//! Table `recipient_use`: for which purposes a recipient got personal data (floor 0).

use sea_orm::entity::prelude::*;

/// A row of `recipient_use`: a recipient that read for a purpose.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recipient_use")]
pub struct Model {
    /// The recipient.
    #[sea_orm(primary_key, auto_increment = false)]
    pub recipient_id: Uuid,
    /// The purpose that it read for.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub purpose_code: String,
    /// When it read first.
    pub first_at: DateTimeUtc,
    /// Until when it may have read: the end of the day that the last note is good for.
    pub until_at: DateTimeUtc,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
