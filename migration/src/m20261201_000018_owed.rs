//! Entries of the audit log that are owed (floor 0, frozen).

use sea_orm_migration::prelude::*;

use crate::run;

/// A no is taken also while the audit log cannot be written. Its entries wait here, in the columns of `audit_entry`, until they can move
/// there.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &str = "CREATE TABLE audit_owed (
         id {uuid} NOT NULL PRIMARY KEY,
         at {ts} NOT NULL,
         actor {text} NOT NULL,
         roles {text} NOT NULL,
         purpose_code {text},
         action {text} NOT NULL,
         outcome {text} NOT NULL CHECK (outcome IN ('CHANGED', 'UNCHANGED')),
         entity_type {text} NOT NULL,
         entity_id {uuid},
         contact_id {uuid},
         subject_id {uuid} NOT NULL,
         changed_fields {text} NOT NULL,
         sealed {text} NOT NULL,
         policy_revision {text} NOT NULL,
         request_id {text}
     )";

/// What is owed goes to the log before its table does.
const SETTLE: &str = "INSERT INTO audit_entry (id, at, actor, roles, purpose_code, action, outcome, entity_type, entity_id, contact_id, \
     subject_id, changed_fields, sealed, policy_revision, request_id) SELECT id, at, actor, roles, purpose_code, action, outcome, \
     entity_type, entity_id, contact_id, subject_id, changed_fields, sealed, policy_revision, request_id FROM audit_owed";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &[UP]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &[SETTLE, "DROP TABLE audit_owed"]).await
    }
}
