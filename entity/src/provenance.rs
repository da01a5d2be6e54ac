//! Table `provenance`: where data of a contact comes from (floor 0).

use sea_orm::entity::prelude::*;

/// A row of `provenance`: where data of a contact comes from.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "provenance")]
pub struct Model {
    /// Opaque id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The contact.
    pub contact_id: Uuid,
    /// Name of the source.
    #[sea_orm(column_type = "Text")]
    pub source: String,
    /// Id of the person in the source.
    #[sea_orm(column_type = "Text", nullable)]
    pub external_id: Option<String>,
    /// When the source collected it.
    pub collected_at: Option<DateTimeUtc>,
    /// When it was recorded here.
    pub recorded_at: DateTimeUtc,
    /// Actor who recorded it.
    #[sea_orm(column_type = "Text")]
    pub recorded_by: String,
    /// Names of the fields it brought, a JSON array.
    #[sea_orm(column_type = "Text")]
    pub fields: String,
    /// When the person was informed (Art. 14).
    pub informed_at: Option<DateTimeUtc>,
    /// Version of the notice given.
    #[sea_orm(column_type = "Text", nullable)]
    pub notice_version: Option<String>,
    /// The import that brought it, where its source stated it; none where a person or an application did.
    pub import_id: Option<Uuid>,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
