//! Table `mail`: a mail to be handed over, and what became of it (floor 0).

use sea_orm::entity::prelude::*;

use crate::enums::LinkKind;

/// A row of `mail`: a mail to be handed over, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "mail")]
pub struct Model {
    /// Opaque id; also in the Message-ID.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The link it carries: one mail per event.
    pub link_id: Uuid,
    /// What it is about.
    pub kind: LinkKind,
    /// The contact, where one is known.
    pub contact_id: Option<Uuid>,
    /// The address; gone once the mail was handed over or given up.
    #[sea_orm(column_type = "Text", nullable)]
    pub recipient: Option<String>,
    /// Keyed digest of the mailbox, for the number of mails to it.
    #[sea_orm(column_type = "Text")]
    pub address_digest: String,
    /// Kind and number of the period in which it is the only one to that mailbox; none where it is not to be sent.
    #[sea_orm(column_type = "Text", nullable)]
    pub period: Option<String>,
    /// Language.
    #[sea_orm(column_type = "Text")]
    pub language: String,
    /// Codes of the purposes it is about, a JSON array.
    #[sea_orm(column_type = "Text")]
    pub purposes: String,
    /// When it was queued.
    pub created_at: DateTimeUtc,
    /// When its mailbox may have it, at the earliest; none where it is not to be sent.
    pub due_at: Option<DateTimeUtc>,
    /// When it is tried next; none when nothing is left to be done.
    pub next_attempt_at: Option<DateTimeUtc>,
    /// Attempts so far.
    pub attempts: i32,
    /// Until when a sender has it.
    pub leased_until: Option<DateTimeUtc>,
    /// When it was handed over.
    pub sent_at: Option<DateTimeUtc>,
    /// When it was given up.
    pub failed_at: Option<DateTimeUtc>,
    /// Code of the last fault.
    #[sea_orm(column_type = "Text", nullable)]
    pub fault: Option<String>,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
