//! When mails are due, and which contacts became part of others (floor 0, frozen).

use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

use crate::run;

/// A mail may be put off until its mailbox may get one; what a merge has joined stands in a table that nothing else writes.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &[&str] = &[
    "ALTER TABLE mail ADD COLUMN due_at {ts}",
    "UPDATE mail SET due_at = created_at WHERE period IS NOT NULL",
    "DROP INDEX mail_address_digest_idx",
    "CREATE INDEX mail_address_digest_idx ON mail (address_digest, kind, due_at)",
    "CREATE TABLE contact_merge (
         duplicate_id {uuid} NOT NULL PRIMARY KEY,
         contact_id {uuid} NOT NULL REFERENCES contact (id),
         merged_at {ts} NOT NULL
     )",
    "CREATE INDEX contact_merge_contact_id_idx ON contact_merge (contact_id)",
];

const DOWN: &[&str] = &[
    "DROP TABLE contact_merge",
    "DROP INDEX mail_address_digest_idx",
    "ALTER TABLE mail DROP COLUMN due_at",
    "CREATE INDEX mail_address_digest_idx ON mail (address_digest, kind, created_at)",
];

/// The traces that merges have left so far, each on the contact that stays by now. What an import says of a contact that is there is
/// none; a source names an id once.
fn traces(backend: DatabaseBackend) -> String {
    let id = match backend {
        DatabaseBackend::Postgres => {
            "CASE WHEN p.external_id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN p.external_id::uuid END"
        }
        _ => {
            "CASE WHEN p.external_id = lower(p.external_id) AND length(p.external_id) = 36 \
             AND length(replace(p.external_id, '-', '')) = 32 THEN unhex(replace(p.external_id, '-', '')) END"
        }
    };
    format!(
        "INSERT INTO contact_merge (duplicate_id, contact_id, merged_at) \
         SELECT t.duplicate_id, t.contact_id, t.recorded_at FROM \
         (SELECT {id} AS duplicate_id, p.contact_id, p.recorded_at FROM provenance p \
         WHERE p.source = 'mergeContacts') t WHERE t.duplicate_id IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM contact c WHERE c.id = t.duplicate_id) ON CONFLICT DO NOTHING"
    )
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, UP).await?;
        run(manager, &[&traces(manager.get_database_backend())]).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await
    }
}
