//! Table `privacy_request`: a data-subject request (Art. 15 to 21) (floor 0).

use sea_orm::entity::prelude::*;

use crate::enums::{RequestKind, RequestStatus};

/// A row of `privacy_request`: a data-subject request (Art. 15 to 21).
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "privacy_request")]
pub struct Model {
    /// Opaque id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The contact, while there is one.
    pub contact_id: Option<Uuid>,
    /// Which right is used.
    pub kind: RequestKind,
    /// Where the work stands.
    pub status: RequestStatus,
    /// The purpose it is about.
    #[sea_orm(column_type = "Text", nullable)]
    pub purpose_code: Option<String>,
    /// When it was received.
    pub received_at: DateTimeUtc,
    /// End of the period.
    pub due_at: DateTimeUtc,
    /// End of the extended period.
    pub extended_until: Option<DateTimeUtc>,
    /// When the identity was verified.
    pub identity_verified_at: Option<DateTimeUtc>,
    /// When it was closed.
    pub closed_at: Option<DateTimeUtc>,
    /// Who works on it.
    #[sea_orm(column_type = "Text", nullable)]
    pub assignee: Option<String>,
    /// Reason of a refusal or extension.
    #[sea_orm(column_type = "Text", nullable)]
    pub reason: Option<String>,
    /// What was noted when it came in.
    #[sea_orm(column_type = "Text", nullable)]
    pub note: Option<String>,
    /// When it was made.
    pub created_at: DateTimeUtc,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
