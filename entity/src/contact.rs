//! Table `contact`: a natural person whose data is kept (floor 0).

use sea_orm::entity::prelude::*;

use crate::enums::ContactState;

/// A row of `contact`: a natural person whose data is kept.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "contact")]
pub struct Model {
    /// Opaque id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Given names.
    #[sea_orm(column_type = "Text", nullable)]
    pub given_name: Option<String>,
    /// Family name.
    #[sea_orm(column_type = "Text", nullable)]
    pub family_name: Option<String>,
    /// Primary e-mail address.
    #[sea_orm(column_type = "Text", nullable)]
    pub email: Option<String>,
    /// Primary phone number.
    #[sea_orm(column_type = "Text", nullable)]
    pub phone: Option<String>,
    /// Birth date.
    pub birth_date: Option<Date>,
    /// Company.
    #[sea_orm(column_type = "Text", nullable)]
    pub company: Option<String>,
    /// Job title.
    #[sea_orm(column_type = "Text", nullable)]
    pub job_title: Option<String>,
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
    /// Preferred language.
    #[sea_orm(column_type = "Text", nullable)]
    pub language: Option<String>,
    /// Notes by staff.
    #[sea_orm(column_type = "Text", nullable)]
    pub notes: Option<String>,
    /// State of the record.
    pub state: ContactState,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it was last changed.
    pub updated_at: DateTimeUtc,
    /// Since when processing is restricted.
    pub restricted_at: Option<DateTimeUtc>,
    /// Version for optimistic locking.
    pub version: i32,
    /// Folded given name.
    #[sea_orm(column_type = "Text", nullable)]
    pub given_name_folded: Option<String>,
    /// Folded family name.
    #[sea_orm(column_type = "Text", nullable)]
    pub family_name_folded: Option<String>,
    /// Folded e-mail address.
    #[sea_orm(column_type = "Text", nullable)]
    pub email_folded: Option<String>,
    /// Folded phone number.
    #[sea_orm(column_type = "Text", nullable)]
    pub phone_folded: Option<String>,
    /// Folded company.
    #[sea_orm(column_type = "Text", nullable)]
    pub company_folded: Option<String>,
    /// Folded job title.
    #[sea_orm(column_type = "Text", nullable)]
    pub job_title_folded: Option<String>,
    /// Folded street.
    #[sea_orm(column_type = "Text", nullable)]
    pub street_folded: Option<String>,
    /// Folded postal code.
    #[sea_orm(column_type = "Text", nullable)]
    pub postal_code_folded: Option<String>,
    /// Folded city.
    #[sea_orm(column_type = "Text", nullable)]
    pub city_folded: Option<String>,
    /// Folded country.
    #[sea_orm(column_type = "Text", nullable)]
    pub country_folded: Option<String>,
    /// Folded language.
    #[sea_orm(column_type = "Text", nullable)]
    pub language_folded: Option<String>,
    /// Key of the postal address.
    #[sea_orm(column_type = "Text", nullable)]
    pub postal_key: Option<String>,
    /// Key of the family name, as letter boxes are told apart by it.
    #[sea_orm(column_type = "Text", nullable)]
    pub family_name_key: Option<String>,
    /// Key of the mailbox.
    #[sea_orm(column_type = "Text", nullable)]
    pub email_key: Option<String>,
    /// Key of the number.
    #[sea_orm(column_type = "Text", nullable)]
    pub phone_key: Option<String>,
    /// Version of the reader that made the keys.
    #[sea_orm(column_type = "Text")]
    pub key_version: String,
    /// When the e-mail address last became another.
    pub email_changed_at: Option<DateTimeUtc>,
    /// When the phone number last became another.
    pub phone_changed_at: Option<DateTimeUtc>,
    /// When the postal address last became another.
    pub address_changed_at: Option<DateTimeUtc>,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
