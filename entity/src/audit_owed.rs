//! Table `audit_owed`: record of a no that was taken while the audit log could not be written (floor 0).

use sea_orm::entity::prelude::*;

use crate::enums::AuditOutcome;

/// A row of `audit_owed`: record of a no that was taken while the audit log could not be written.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_owed")]
pub struct Model {
    /// Opaque id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// When it happened.
    pub at: DateTimeUtc,
    /// Who did it.
    #[sea_orm(column_type = "Text")]
    pub actor: String,
    /// In which roles, a JSON array.
    #[sea_orm(column_type = "Text")]
    pub roles: String,
    /// For which purpose.
    #[sea_orm(column_type = "Text", nullable)]
    pub purpose_code: Option<String>,
    /// What was done.
    #[sea_orm(column_type = "Text")]
    pub action: String,
    /// Whether anything changed.
    pub outcome: AuditOutcome,
    /// Type of what it was done to.
    #[sea_orm(column_type = "Text")]
    pub entity_type: String,
    /// Id of what it was done to.
    pub entity_id: Option<Uuid>,
    /// The person it is about.
    pub contact_id: Option<Uuid>,
    /// Whose keys the values are sealed under.
    pub subject_id: Uuid,
    /// Names of changed fields, a JSON array.
    #[sea_orm(column_type = "Text")]
    pub changed_fields: String,
    /// Values before and after, sealed, a JSON object by data category.
    #[sea_orm(column_type = "Text")]
    pub sealed: String,
    /// Revision of the policy in force.
    #[sea_orm(column_type = "Text")]
    pub policy_revision: String,
    /// Id of the request.
    #[sea_orm(column_type = "Text", nullable)]
    pub request_id: Option<String>,
}

/// Relations are read by the governed engine, not through the entities.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
