//! The audit log, the keys its values are sealed under, and outcomes kept for retries (floor 0, frozen).

use sea_orm_migration::prelude::*;

use crate::{append_only, no_replacing, run};

/// The audit log, subject keys and idempotency.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &[&str] = &[
    // No foreign keys: an entry outlives what it tells about.
    "CREATE TABLE audit_entry (
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
     )",
    "CREATE INDEX audit_entry_at_id_idx ON audit_entry (at, id)",
    "CREATE INDEX audit_entry_contact_id_id_idx ON audit_entry (contact_id, id)",
    "CREATE INDEX audit_entry_entity_id_id_idx ON audit_entry (entity_id, id)",
    // Apart from the entries, so that keys can be destroyed class by class and backed up for a shorter time.
    "CREATE TABLE subject_key (
         subject_id {uuid} NOT NULL,
         category {text} NOT NULL,
         wrapped {text} NOT NULL,
         wrapped_by {text} NOT NULL,
         created_at {ts} NOT NULL,
         PRIMARY KEY (subject_id, category)
     )",
    "CREATE INDEX subject_key_wrapped_by_idx ON subject_key (wrapped_by)",
    "CREATE TABLE idempotency (
         actor {text} NOT NULL,
         key_hash {text} NOT NULL,
         root {text} NOT NULL,
         body_hash {text} NOT NULL,
         sealed {text} NOT NULL,
         created_at {ts} NOT NULL,
         PRIMARY KEY (actor, key_hash, root)
     )",
    "CREATE INDEX idempotency_created_at_idx ON idempotency (created_at)",
];

const DOWN: &[&str] = &["DROP TABLE idempotency", "DROP TABLE subject_key", "DROP TABLE audit_entry"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, UP).await?;
        append_only(manager, "audit_entry").await?;
        no_replacing(manager, "audit_entry").await?;
        no_replacing(manager, "consent_event").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        if manager.get_database_backend() != sea_orm_migration::sea_orm::DatabaseBackend::Postgres {
            run(manager, &["DROP TRIGGER consent_event_no_replace"]).await?;
        }
        run(manager, DOWN).await
    }
}
