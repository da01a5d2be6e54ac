//! Table `contact_point`: a further address of a contact (floor 0).

use sea_orm::entity::prelude::*;

use crate::enums::ContactPointKind;

/// A row of `contact_point`: a further address of a contact.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "contact_point")]
pub struct Model {
    /// Opaque id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The contact.
    pub contact_id: Uuid,
    /// What kind of address.
    pub kind: ContactPointKind,
    /// What it is used for.
    #[sea_orm(column_type = "Text", nullable)]
    pub label: Option<String>,
    /// E-mail address.
    #[sea_orm(column_type = "Text", nullable)]
    pub email: Option<String>,
    /// Folded e-mail address.
    #[sea_orm(column_type = "Text", nullable)]
    pub email_folded: Option<String>,
    /// Phone number.
    #[sea_orm(column_type = "Text", nullable)]
    pub phone: Option<String>,
    /// Folded phone number.
    #[sea_orm(column_type = "Text", nullable)]
    pub phone_folded: Option<String>,
    /// Street and house number.
    #[sea_orm(column_type = "Text", nullable)]
    pub street: Option<String>,
    /// Postal code.
    #[sea_orm(column_type = "Text", nullable)]
    pub postal_code: Option<String>,
    /// City.
    #[sea_orm(column_type = "Text", nullable)]
    pub city: Option<String>,
    /// Country.
    #[sea_orm(column_type = "Text", nullable)]
    pub country: Option<String>,
    /// Key of the postal address.
    #[sea_orm(column_type = "Text", nullable)]
    pub postal_key: Option<String>,
    /// Key of the mailbox.
    #[sea_orm(column_type = "Text", nullable)]
    pub email_key: Option<String>,
    /// Key of the number.
    #[sea_orm(column_type = "Text", nullable)]
    pub phone_key: Option<String>,
    /// Version of the reader that made the keys.
    #[sea_orm(column_type = "Text")]
    pub key_version: String,
    /// When it was made.
    pub created_at: DateTimeUtc,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
