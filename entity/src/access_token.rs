//! Table `access_token`: a credential of a partner system or a person (floor 0).

use sea_orm::entity::prelude::*;

/// A row of `access_token`: a credential of a partner system or a person.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "access_token")]
pub struct Model {
    /// Opaque id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Public part of the token.
    #[sea_orm(column_type = "Text")]
    pub lookup: String,
    /// Name given by its maker.
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// SHA-256 of the secret, hexadecimal.
    #[sea_orm(column_type = "Text")]
    pub secret_hash: String,
    /// Roles, a JSON array.
    #[sea_orm(column_type = "Text")]
    pub roles: String,
    /// Codes of purposes, a JSON array.
    #[sea_orm(column_type = "Text")]
    pub purposes: String,
    /// Coordinates it is narrowed to, a JSON array.
    #[sea_orm(column_type = "Text", nullable)]
    pub fields: Option<String>,
    /// The recipient that uses it.
    pub recipient_id: Option<Uuid>,
    /// Actor who made it.
    #[sea_orm(column_type = "Text")]
    pub created_by: String,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it ends.
    pub expires_at: DateTimeUtc,
    /// When it was revoked.
    pub revoked_at: Option<DateTimeUtc>,
    /// When it was last used.
    pub last_used_at: Option<DateTimeUtc>,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
