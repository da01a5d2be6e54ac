//! Table `recipient`: somebody to whom data is disclosed (floor 0).

use sea_orm::entity::prelude::*;

use crate::enums::RecipientKind;

/// A row of `recipient`: somebody to whom data is disclosed.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "recipient")]
pub struct Model {
    /// Opaque id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Name.
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// Role in the processing.
    pub kind: RecipientKind,
    /// Country.
    #[sea_orm(column_type = "Text", nullable)]
    pub country: Option<String>,
    /// Basis of a transfer to a third country.
    #[sea_orm(column_type = "Text", nullable)]
    pub transfer_mechanism: Option<String>,
    /// Until when the contract runs.
    pub contract_until: Option<Date>,
    /// When it was made.
    pub created_at: DateTimeUtc,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
