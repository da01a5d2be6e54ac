//! Triggers that work while a dump is restored (floor 0, frozen).

use sea_orm_migration::prelude::*;

use crate::run_on_postgres;

/// `pg_dump` restores under an empty search path: triggers name each table with the schema of the table at hand, and what is restored
/// keeps its ids and its keys as they are. The program never has an empty search path.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &[&str] = &[
    "CREATE OR REPLACE FUNCTION consent_change_in_order() RETURNS trigger LANGUAGE plpgsql AS $$
     DECLARE
         greatest_id uuid;
         digits text;
     BEGIN
         IF current_setting('search_path') = '' THEN
             RETURN NEW;
         END IF;
         PERFORM pg_advisory_xact_lock(134653220711169);
         EXECUTE format('SELECT id FROM %I.consent_change ORDER BY id DESC LIMIT 1', TG_TABLE_SCHEMA) INTO greatest_id;
         IF NEW.id <= greatest_id THEN
             digits := replace(greatest_id::text, '-', '');
             NEW.id := left(digits, 16) || lpad(to_hex(('x' || right(digits, 16))::bit(64)::bigint + 1), 16, '0');
         END IF;
         RETURN NEW;
     END $$",
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
    "CREATE OR REPLACE FUNCTION consent_event_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
     DECLARE alike boolean;
     BEGIN
         IF TG_OP = 'UPDATE' THEN
             EXECUTE format('SELECT EXISTS (SELECT 1 FROM %1$I.consent a JOIN %1$I.consent b
                 ON b.purpose_code = a.purpose_code AND b.channel = a.channel WHERE a.id = $1 AND b.id = $2)', TG_TABLE_SCHEMA)
                 INTO alike USING OLD.consent_id, NEW.consent_id;
             IF to_jsonb(NEW) - 'consent_id' - 'address' = to_jsonb(OLD) - 'consent_id' - 'address'
                 AND (NEW.address IS NOT DISTINCT FROM OLD.address OR NEW.address IS NULL)
                 AND (NEW.consent_id = OLD.consent_id OR alike)
                 AND (NEW.consent_id <> OLD.consent_id OR (NEW.address IS NULL AND OLD.address IS NOT NULL)) THEN
                 RETURN NEW;
             END IF;
         END IF;
         RAISE EXCEPTION 'consent_event is append-only';
     END $$",
];

/// The rules as they were before.
const DOWN: &[&str] = &[
    "CREATE OR REPLACE FUNCTION consent_change_in_order() RETURNS trigger LANGUAGE plpgsql AS $$
     DECLARE
         greatest_id uuid;
         digits text;
     BEGIN
         PERFORM pg_advisory_xact_lock(134653220711169);
         SELECT id INTO greatest_id FROM consent_change ORDER BY id DESC LIMIT 1;
         IF NEW.id <= greatest_id THEN
             digits := replace(greatest_id::text, '-', '');
             NEW.id := left(digits, 16) || lpad(to_hex(('x' || right(digits, 16))::bit(64)::bigint + 1), 16, '0');
         END IF;
         RETURN NEW;
     END $$",
    "CREATE OR REPLACE FUNCTION subject_key_in_use() RETURNS trigger LANGUAGE plpgsql AS $$
     DECLARE in_use text;
     BEGIN
         EXECUTE format('SELECT name FROM %I.master_key', TG_TABLE_SCHEMA) INTO in_use;
         IF NEW.wrapped_by <> in_use THEN
             RAISE EXCEPTION 'another master key is in use' USING ERRCODE = 'ZK001';
         END IF;
         RETURN NEW;
     END $$",
    "CREATE OR REPLACE FUNCTION consent_event_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
         IF TG_OP = 'UPDATE' THEN
             IF to_jsonb(NEW) - 'consent_id' - 'address' = to_jsonb(OLD) - 'consent_id' - 'address'
                 AND (NEW.address IS NOT DISTINCT FROM OLD.address OR NEW.address IS NULL)
                 AND (NEW.consent_id = OLD.consent_id OR EXISTS (
                     SELECT 1 FROM consent a JOIN consent b ON b.purpose_code = a.purpose_code AND b.channel = a.channel
                     WHERE a.id = OLD.consent_id AND b.id = NEW.consent_id
                 ))
                 AND (NEW.consent_id <> OLD.consent_id OR (NEW.address IS NULL AND OLD.address IS NOT NULL)) THEN
                 RETURN NEW;
             END IF;
         END IF;
         RAISE EXCEPTION 'consent_event is append-only';
     END $$",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite: a file is copied as it is.
        run_on_postgres(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run_on_postgres(manager, DOWN).await
    }
}
