//! Table `idempotency`: outcome of a mutation, kept for retries (floor 0).

use sea_orm::entity::prelude::*;

/// A row of `idempotency`: outcome of a mutation, kept for retries.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "idempotency")]
pub struct Model {
    /// Who sent the key.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub actor: String,
    /// Keyed digest of the client's key.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub key_hash: String,
    /// Digest of the response key; empty for the request as a whole.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub root: String,
    /// Keyed digest of purpose and body.
    #[sea_orm(column_type = "Text")]
    pub body_hash: String,
    /// The outcome, sealed.
    #[sea_orm(column_type = "Text")]
    pub sealed: String,
    /// When it was made.
    pub created_at: DateTimeUtc,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
