//! Table `link`: a link that was mailed to one address, by the hash of its token (floor 0).

use sea_orm::entity::prelude::*;

use crate::enums::LinkKind;

/// A row of `link`: a link that was mailed to one address, by the hash of its token.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "link")]
pub struct Model {
    /// Opaque id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// What it is for.
    pub kind: LinkKind,
    /// SHA-256 of the token, hexadecimal.
    #[sea_orm(column_type = "Text")]
    pub token_hash: String,
    /// The sign-up it confirms.
    pub sign_up_id: Option<Uuid>,
    /// The contact it was mailed to.
    pub contact_id: Option<Uuid>,
    /// The consent it renews.
    pub consent_id: Option<Uuid>,
    /// The text it asks to declare to anew.
    pub consent_text_id: Option<Uuid>,
    /// Key of the mailbox it was mailed to.
    #[sea_orm(column_type = "Text")]
    pub address_key: String,
    /// When it was made.
    pub created_at: DateTimeUtc,
    /// When it ends.
    pub expires_at: DateTimeUtc,
    /// When it was used.
    pub used_at: Option<DateTimeUtc>,
    /// The contact whose record it opens, once the person has told something that it knows.
    pub opened_id: Option<Uuid>,
    /// How often something else was told.
    pub tries: i32,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
