//! The master key in use is looked up once for a statement that writes keys, not for each of them (floor 0, frozen).

use sea_orm_migration::prelude::*;

use crate::run_on_postgres;

/// Imports write thousands of keys: a look-up for each took most of their time in the database.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &[&str] = &[
    "CREATE FUNCTION subject_key_master() RETURNS trigger LANGUAGE plpgsql AS $$
     DECLARE in_use text;
     BEGIN
         IF current_setting('search_path') <> '' THEN
             EXECUTE format('SELECT name FROM %I.master_key', TG_TABLE_SCHEMA) INTO in_use;
             PERFORM set_config('zweck.master_key', COALESCE(in_use, ''), true);
         END IF;
         RETURN NULL;
     END $$",
    "CREATE TRIGGER subject_key_master BEFORE INSERT OR UPDATE ON subject_key
     FOR EACH STATEMENT EXECUTE FUNCTION subject_key_master()",
    "CREATE OR REPLACE FUNCTION subject_key_in_use() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
         IF current_setting('search_path') = '' THEN
             RETURN NEW;
         END IF;
         IF NEW.wrapped_by <> NULLIF(current_setting('zweck.master_key'), '') THEN
             RAISE EXCEPTION 'another master key is in use' USING ERRCODE = 'ZK001';
         END IF;
         RETURN NEW;
     END $$",
];

const DOWN: &[&str] = &[
    "CREATE OR REPLACE FUNCTION subject_key_in_use() RETURNS trigger LANGUAGE plpgsql AS $$
     DECLARE in_use text;
     BEGIN
         IF current_setting('search_path') = '' THEN
             RETURN NEW;
         END IF;
         EXECUTE format('SELECT name FROM %I.master_key', TG_TABLE_SCHEMA) INTO in_use;
         IF NEW.wrapped_by <> in_use THEN
             RAISE EXCEPTION 'another master key is in use' USING ERRCODE = 'ZK001';
         END IF;
         RETURN NEW;
     END $$",
    "DROP TRIGGER subject_key_master ON subject_key",
    "DROP FUNCTION subject_key_master()",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run_on_postgres(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run_on_postgres(manager, DOWN).await
    }
}
