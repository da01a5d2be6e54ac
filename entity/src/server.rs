//! Table `server`: which servers run over this database (floor 0).

use sea_orm::entity::prelude::*;

/// A row of `server`: a server that runs, or that ended without a word.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "server")]
pub struct Model {
    /// Drawn anew at each start.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Version of the program.
    #[sea_orm(column_type = "Text")]
    pub version: String,
    /// Names of the master keys that it knows, JSON.
    #[sea_orm(column_type = "Text")]
    pub master_keys: String,
    /// When it was started.
    pub started_at: DateTimeUtc,
    /// When it last said that it runs.
    pub seen_at: DateTimeUtc,
}

/// There are no relations.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
