//! Table `import_run`: imports of contacts (floor 0).

use sea_orm::entity::prelude::*;

/// A row of `import_run`: an import of contacts that has written something.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "import_run")]
pub struct Model {
    /// Opaque id; the entries of the audit log name it as their request.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Name of the source.
    #[sea_orm(column_type = "Text")]
    pub source: String,
    /// The purpose that the contacts are kept for.
    #[sea_orm(column_type = "Text")]
    pub purpose_code: String,
    /// Actor who ran it.
    #[sea_orm(column_type = "Text")]
    pub actor: String,
    /// When it began.
    pub started_at: DateTimeUtc,
    /// When it wrote its last batch.
    pub last_at: DateTimeUtc,
    /// Contacts that it created.
    pub imported: i64,
    /// Contacts that it updated.
    pub updated: i64,
    /// When it was undone.
    pub undone_at: Option<DateTimeUtc>,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
