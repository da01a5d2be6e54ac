//! Table `sign_up`: a sign-up that the person has not confirmed yet (floor 0).

use sea_orm::entity::prelude::*;

/// A row of `sign_up`: a sign-up that the person has not confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sign_up")]
pub struct Model {
    /// Opaque id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The contact, where it was asked for one that is known.
    pub contact_id: Option<Uuid>,
    /// E-mail address as given.
    #[sea_orm(column_type = "Text")]
    pub address: String,
    /// Key of the mailbox.
    #[sea_orm(column_type = "Text")]
    pub address_key: String,
    /// Given name, if given.
    #[sea_orm(column_type = "Text", nullable)]
    pub given_name: Option<String>,
    /// Family name, if given.
    #[sea_orm(column_type = "Text", nullable)]
    pub family_name: Option<String>,
    /// Language of the texts and of the mail.
    #[sea_orm(column_type = "Text")]
    pub language: String,
    /// The form it was made by.
    #[sea_orm(column_type = "Text")]
    pub source: String,
    /// Actor who recorded it.
    #[sea_orm(column_type = "Text")]
    pub recorded_by: String,
    /// What was declared to: a JSON array of purpose, channel and id of the text.
    #[sea_orm(column_type = "Text")]
    pub choices: String,
    /// Version of the privacy notice shown.
    #[sea_orm(column_type = "Text", nullable)]
    pub notice_version: Option<String>,
    /// When the person signed up.
    pub signed_up_at: DateTimeUtc,
    /// When it was recorded.
    pub created_at: DateTimeUtc,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
