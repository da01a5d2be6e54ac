//! A transaction has a number before it looks up the master key in use (floor 0, frozen).

use sea_orm_migration::prelude::*;

use crate::run_on_postgres;

/// A rotation waits for every transaction whose number is lower than its own. PostgreSQL assigns the number with the first row that a
/// transaction writes, and the triggers of a statement run before its first row. Such a transaction could see the old key and still get a
/// higher number, so that no rotation waited for it.
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
        run_on_postgres(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run_on_postgres(manager, DOWN).await
    }
}
