//! Table `suppression`: an address that must not be advertised to, as a keyed digest (floor 0).

use sea_orm::entity::prelude::*;

use crate::enums::{Channel, SuppressionKind};

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
    /// Version of the reader that made the key which the digest is of.
    #[sea_orm(column_type = "Text")]
    pub key_version: String,
    /// The channel that was named; EMAIL, PHONE or POST by the kind of address where none was.
    pub channel: Channel,
    /// Whether no channel was named.
    pub every_channel: bool,
    /// The purpose or group it is blocked for.
    #[sea_orm(column_type = "Text")]
    pub purpose_code: String,
    /// What was declared, or what else stands against it.
    pub kind: SuppressionKind,
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
