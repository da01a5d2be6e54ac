//! Imports that were run, and which of them brought a value (floor 0, frozen).

use sea_orm_migration::prelude::*;

use crate::run;

/// A source names the id of a person once, with the import that created the contact. A later import that updates it is named by its own
/// id, so that its values are told apart from those that a person recorded.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &[&str] = &[
    "CREATE TABLE import_run (
         id {uuid} PRIMARY KEY,
         source {text} NOT NULL,
         purpose_code {text} NOT NULL,
         actor {text} NOT NULL,
         started_at {ts} NOT NULL,
         last_at {ts} NOT NULL,
         imported bigint NOT NULL,
         updated bigint NOT NULL,
         undone_at {ts}
     )",
    "ALTER TABLE provenance ADD COLUMN import_id {uuid}",
];

const DOWN: &[&str] = &["ALTER TABLE provenance DROP COLUMN import_id", "DROP TABLE import_run"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await
    }
}
