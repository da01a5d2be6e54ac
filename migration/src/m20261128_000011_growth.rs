//! Indexes for what is looked up where there are many contacts and requests (floor 0, frozen).

use sea_orm_migration::prelude::*;

use crate::run;

/// Who has this number, who lives there, what changed lately, which requests are late.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &[&str] = &[
    "CREATE INDEX contact_phone_id_idx ON contact (phone_folded, id)",
    "CREATE INDEX contact_postal_code_id_idx ON contact (postal_code_folded, id)",
    "CREATE INDEX contact_updated_at_id_idx ON contact (updated_at, id)",
    // Few are open at a time: it stays small, and closing takes a request out of it.
    "CREATE INDEX privacy_request_open_idx ON privacy_request (COALESCE(extended_until, due_at)) WHERE closed_at IS NULL",
];

const DOWN: &[&str] = &[
    "DROP INDEX privacy_request_open_idx",
    "DROP INDEX contact_updated_at_id_idx",
    "DROP INDEX contact_postal_code_id_idx",
    "DROP INDEX contact_phone_id_idx",
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
