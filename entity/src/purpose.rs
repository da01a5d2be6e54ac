//! Table `purpose`: why data is processed, as the policy declares it (floor 0).

use sea_orm::entity::prelude::*;

use crate::enums::LegalBasis;

/// A row of `purpose`: why data is processed, as the policy declares it.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "purpose")]
pub struct Model {
    /// Code.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub code: String,
    /// German title.
    #[sea_orm(column_type = "Text")]
    pub title_de: String,
    /// English title.
    #[sea_orm(column_type = "Text")]
    pub title_en: String,
    /// German description.
    #[sea_orm(column_type = "Text")]
    pub description_de: String,
    /// English description.
    #[sea_orm(column_type = "Text")]
    pub description_en: String,
    /// Legal basis; none for a group.
    pub legal_basis: Option<LegalBasis>,
    /// How the row rule finds a ground.
    #[sea_orm(column_type = "Text")]
    pub grounds: String,
    /// Channels, a JSON array.
    #[sea_orm(column_type = "Text")]
    pub channels: String,
    /// Group it belongs to.
    #[sea_orm(column_type = "Text", nullable)]
    pub group_code: Option<String>,
    /// Whether it is a group.
    pub is_group: bool,
    /// IRI in the Data Privacy Vocabulary.
    #[sea_orm(column_type = "Text", nullable)]
    pub dpv_iri: Option<String>,
    /// Policy revision that wrote the row.
    #[sea_orm(column_type = "Text")]
    pub revision: String,
    /// When the row was written.
    pub loaded_at: DateTimeUtc,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
