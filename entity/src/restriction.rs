//! Table `restriction`: restriction of the processing of a contact (Art. 18) (floor 0).

use sea_orm::entity::prelude::*;

use crate::enums::RestrictionLimb;

/// A row of `restriction`: restriction of the processing of a contact (Art. 18).
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "restriction")]
pub struct Model {
    /// Opaque id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The contact.
    pub contact_id: Uuid,
    /// Point of Art. 18(1).
    pub limb: RestrictionLimb,
    /// Why.
    #[sea_orm(column_type = "Text", nullable)]
    pub reason: Option<String>,
    /// Since when.
    pub restricted_at: DateTimeUtc,
    /// When it is to be looked at again.
    pub planned_until: Option<DateTimeUtc>,
    /// When the person was told of the lifting.
    pub informed_at: Option<DateTimeUtc>,
    /// When it was lifted.
    pub lifted_at: Option<DateTimeUtc>,
    /// Actor who recorded it.
    #[sea_orm(column_type = "Text")]
    pub recorded_by: String,
    /// When it was made.
    pub created_at: DateTimeUtc,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
