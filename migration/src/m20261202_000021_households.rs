//! The family name as letter boxes are told apart by it, beside the key of the address (floor 0, frozen).

use sea_orm_migration::prelude::*;

use crate::run;

/// Names with blanks, hyphens and apostrophes are one household with their other spellings. Every row is read anew at the next start.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &[&str] =
    &["ALTER TABLE contact ADD COLUMN family_name_key {text}", "UPDATE key_reader SET version = ''"];

const DOWN: &[&str] = &["ALTER TABLE contact DROP COLUMN family_name_key"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await
    }
}
