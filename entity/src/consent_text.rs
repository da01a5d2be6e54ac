//! Table `consent_text`: a published consent text (floor 0).

use sea_orm::entity::prelude::*;

/// A row of `consent_text`: a published consent text.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "consent_text")]
pub struct Model {
    /// Opaque id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The purpose.
    #[sea_orm(column_type = "Text")]
    pub purpose_code: String,
    /// Language.
    #[sea_orm(column_type = "Text")]
    pub language: String,
    /// Version.
    #[sea_orm(column_type = "Text")]
    pub version: String,
    /// The text in full.
    #[sea_orm(column_type = "Text")]
    pub text: String,
    /// SHA-256 of the text, hexadecimal.
    #[sea_orm(column_type = "Text")]
    pub sha256: String,
    /// When it was published.
    pub published_at: DateTimeUtc,
    /// How long consents to earlier versions go on to hold, ISO 8601; without end where there is none.
    #[sea_orm(column_type = "Text", nullable)]
    pub renew_within: Option<String>,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
