//! Table `consent_change`: a consent that began or ceased to hold, for those who follow; it outlives the contact (floor 0).

use sea_orm::entity::prelude::*;

use crate::enums::{Channel, ConsentChangeKind};

/// A row of `consent_change`: a consent that began or ceased to hold, for those who follow; it outlives the contact.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "consent_change")]
pub struct Model {
    /// Opaque id; ids are in the order of the commits.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The contact, which may be gone.
    pub contact_id: Uuid,
    /// The purpose.
    #[sea_orm(column_type = "Text")]
    pub purpose_code: String,
    /// The channel.
    pub channel: Channel,
    /// Whether it holds from then on.
    pub kind: ConsentChangeKind,
    /// When.
    pub at: DateTimeUtc,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
