//! What a fresh link has opened, and how often its question was answered wrong (floor 0, frozen).

use sea_orm_migration::prelude::*;

use crate::run;

/// A link proves a mailbox; which record of it was opened lasts for that link alone.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &[&str] = &[
    "ALTER TABLE link ADD COLUMN opened_id {uuid} REFERENCES contact (id)",
    "ALTER TABLE link ADD COLUMN tries {int} NOT NULL DEFAULT 0",
    "CREATE INDEX link_opened_id_idx ON link (opened_id) WHERE opened_id IS NOT NULL",
];

const DOWN: &[&str] = &[
    "DROP INDEX link_opened_id_idx",
    "ALTER TABLE link DROP COLUMN tries",
    "ALTER TABLE link DROP COLUMN opened_id",
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
