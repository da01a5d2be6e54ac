//! Table `suppression`: an address that must not be advertised to, as a keyed digest (floor 0).

use sea_orm::entity::prelude::*;

use crate::enums::Channel;

/// A row of `suppression`: an address that must not be advertised to, as a keyed digest.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "suppression")]
pub struct Model {
    /// Opaque id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Keyed digest of the address.
    #[sea_orm(column_type = "Text")]
    pub digest: String,
    /// What kind of address.
    pub channel: Channel,
    /// The purpose or group it is blocked for.
    #[sea_orm(column_type = "Text")]
    pub purpose_code: String,
    /// Since when; what was declared until then does not count.
    pub since: DateTimeUtc,
    /// Where the person declared it.
    #[sea_orm(column_type = "Text", nullable)]
    pub source: Option<String>,
    /// Actor who recorded it.
    #[sea_orm(column_type = "Text")]
    pub recorded_by: String,
    /// When it was recorded.
    pub created_at: DateTimeUtc,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
