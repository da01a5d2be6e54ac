//! Table `master_key`: which master key is in use (floor 0).

use sea_orm::entity::prelude::*;

/// The one row of `master_key`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "master_key")]
pub struct Model {
    /// Always 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// Name of the master key, which tells nothing of it.
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// Since when it is in use.
    pub since: DateTimeUtc,
}

/// There are no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
