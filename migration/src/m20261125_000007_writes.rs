//! What writing needs beside the tables that are read: restrictions, ends of declarations, notes (floor 0, frozen).

use sea_orm_migration::prelude::*;

use crate::run;

/// Restrictions, ends of declarations, notes on requests.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &[&str] = &[
    "CREATE TABLE restriction (
         id {uuid} NOT NULL PRIMARY KEY,
         contact_id {uuid} NOT NULL REFERENCES contact (id),
         limb {text} NOT NULL CHECK (limb IN ('A', 'B', 'C', 'D')),
         reason {text},
         restricted_at {ts} NOT NULL,
         planned_until {ts},
         informed_at {ts},
         lifted_at {ts},
         recorded_by {text} NOT NULL,
         created_at {ts} NOT NULL
     )",
    "CREATE INDEX restriction_contact_id_idx ON restriction (contact_id)",
    "ALTER TABLE contact ADD COLUMN email_key {text}",
    "ALTER TABLE contact ADD COLUMN email_changed_at {ts}",
    "ALTER TABLE contact ADD COLUMN phone_changed_at {ts}",
    "ALTER TABLE contact ADD COLUMN address_changed_at {ts}",
    "ALTER TABLE contact_point ADD COLUMN email_key {text}",
    "UPDATE contact SET email_key = lower(email)",
    "UPDATE contact_point SET email_key = lower(email)",
    "CREATE INDEX contact_email_key_idx ON contact (email_key)",
    "CREATE INDEX contact_point_email_key_idx ON contact_point (email_key)",
    "ALTER TABLE consent_event ADD COLUMN expires_at {ts}",
    "ALTER TABLE privacy_request ADD COLUMN note {text}",
];

const DOWN: &[&str] = &[
    "ALTER TABLE privacy_request DROP COLUMN note",
    "ALTER TABLE consent_event DROP COLUMN expires_at",
    "DROP INDEX contact_point_email_key_idx",
    "DROP INDEX contact_email_key_idx",
    "ALTER TABLE contact_point DROP COLUMN email_key",
    "ALTER TABLE contact DROP COLUMN address_changed_at",
    "ALTER TABLE contact DROP COLUMN phone_changed_at",
    "ALTER TABLE contact DROP COLUMN email_changed_at",
    "ALTER TABLE contact DROP COLUMN email_key",
    "DROP TABLE restriction",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await
    }
}
