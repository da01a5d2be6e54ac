//! Who asks which master key is in use has a transaction number before the question (floor 0, frozen).

use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

use crate::run;

/// A rotation waits for transactions whose number is older than the change of the key. PostgreSQL gives a number with the first row that
/// a transaction writes, which comes after the triggers of its statement: such a transaction was told the old key and not waited for.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &[&str] =
    &["CREATE OR REPLACE FUNCTION subject_key_master() RETURNS trigger LANGUAGE plpgsql AS $$
     DECLARE in_use text;
     BEGIN
         IF current_setting('search_path') <> '' THEN
             PERFORM pg_current_xact_id();
             EXECUTE format('SELECT name FROM %I.master_key', TG_TABLE_SCHEMA) INTO in_use;
             PERFORM set_config('zweck.master_key', COALESCE(in_use, ''), true);
         END IF;
         RETURN NULL;
     END $$"];

const DOWN: &[&str] =
    &["CREATE OR REPLACE FUNCTION subject_key_master() RETURNS trigger LANGUAGE plpgsql AS $$
     DECLARE in_use text;
     BEGIN
         IF current_setting('search_path') <> '' THEN
             EXECUTE format('SELECT name FROM %I.master_key', TG_TABLE_SCHEMA) INTO in_use;
             PERFORM set_config('zweck.master_key', COALESCE(in_use, ''), true);
         END IF;
         RETURN NULL;
     END $$"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        match manager.get_database_backend() {
            DatabaseBackend::Postgres => run(manager, UP).await,
            _ => Ok(()),
        }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        match manager.get_database_backend() {
            DatabaseBackend::Postgres => run(manager, DOWN).await,
            _ => Ok(()),
        }
    }
}
