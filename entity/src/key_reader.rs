//! Table `key_reader`: which reader made the keys of all rows (floor 0).

use sea_orm::entity::prelude::*;

/// The one row of `key_reader`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "key_reader")]
pub struct Model {
    /// Always 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: i32,
    /// Version of the reader.
    #[sea_orm(column_type = "Text")]
    pub version: String,
}

/// There are no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
