//! The database says which master key is in use, and which servers run (floor 0, frozen).

use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

use crate::run;

/// Keys of subjects are taken only when they are wrapped by the master key in use, whoever writes them; one that cannot be opened gets
/// a successor of the next generation. While no master key is said to be in use, as before the first start, all are taken.
#[derive(DeriveMigrationName)]
pub struct Migration;

const TABLES: &[&str] = &[
    "CREATE TABLE master_key (
         id {int} NOT NULL PRIMARY KEY CHECK (id = 1),
         name {text} NOT NULL,
         since {ts} NOT NULL
     )",
    "CREATE TABLE server (
         id {uuid} NOT NULL PRIMARY KEY,
         version {text} NOT NULL,
         master_keys {text} NOT NULL,
         started_at {ts} NOT NULL,
         seen_at {ts} NOT NULL
     )",
];

const POSTGRES_UP: &[&str] = &[
    "ALTER TABLE subject_key ADD COLUMN generation {int} NOT NULL DEFAULT 0",
    "ALTER TABLE subject_key DROP CONSTRAINT subject_key_pkey",
    "ALTER TABLE subject_key ADD PRIMARY KEY (subject_id, category, generation)",
    // Tables are named with the schema of the table at hand: a restored dump has an empty search path.
    "CREATE FUNCTION subject_key_in_use() RETURNS trigger LANGUAGE plpgsql AS $$
     DECLARE in_use text;
     BEGIN
         EXECUTE format('SELECT name FROM %I.master_key', TG_TABLE_SCHEMA) INTO in_use;
         IF NEW.wrapped_by <> in_use THEN
             RAISE EXCEPTION 'another master key is in use' USING ERRCODE = 'ZK001';
         END IF;
         RETURN NEW;
     END $$",
    "CREATE TRIGGER subject_key_in_use BEFORE INSERT OR UPDATE OF wrapped_by ON subject_key
     FOR EACH ROW EXECUTE FUNCTION subject_key_in_use()",
];

const POSTGRES_DOWN: &[&str] = &[
    "DROP TRIGGER subject_key_in_use ON subject_key",
    "DROP FUNCTION subject_key_in_use()",
    "DELETE FROM subject_key WHERE generation > 0",
    "ALTER TABLE subject_key DROP CONSTRAINT subject_key_pkey",
    "ALTER TABLE subject_key ADD PRIMARY KEY (subject_id, category)",
    "ALTER TABLE subject_key DROP COLUMN generation",
];

/// SQLite cannot change a primary key: the table is made anew.
const SQLITE_UP: &[&str] = &[
    "DROP INDEX subject_key_wrapped_by_idx",
    "ALTER TABLE subject_key RENAME TO subject_key_before",
    "CREATE TABLE subject_key (
         subject_id {uuid} NOT NULL,
         category {text} NOT NULL,
         generation {int} NOT NULL DEFAULT 0,
         wrapped {text} NOT NULL,
         wrapped_by {text} NOT NULL,
         created_at {ts} NOT NULL,
         PRIMARY KEY (subject_id, category, generation)
     )",
    "INSERT INTO subject_key (subject_id, category, wrapped, wrapped_by, created_at)
         SELECT subject_id, category, wrapped, wrapped_by, created_at FROM subject_key_before",
    "DROP TABLE subject_key_before",
    "CREATE INDEX subject_key_wrapped_by_idx ON subject_key (wrapped_by)",
    "CREATE TRIGGER subject_key_in_use_insert BEFORE INSERT ON subject_key
         WHEN NEW.wrapped_by <> (SELECT name FROM master_key)
         BEGIN SELECT RAISE(ABORT, 'another master key is in use'); END",
    "CREATE TRIGGER subject_key_in_use_update BEFORE UPDATE OF wrapped_by ON subject_key
         WHEN NEW.wrapped_by <> (SELECT name FROM master_key)
         BEGIN SELECT RAISE(ABORT, 'another master key is in use'); END",
];

const SQLITE_DOWN: &[&str] = &[
    "DROP TRIGGER subject_key_in_use_insert",
    "DROP TRIGGER subject_key_in_use_update",
    "DROP INDEX subject_key_wrapped_by_idx",
    "ALTER TABLE subject_key RENAME TO subject_key_after",
    "CREATE TABLE subject_key (
         subject_id {uuid} NOT NULL,
         category {text} NOT NULL,
         wrapped {text} NOT NULL,
         wrapped_by {text} NOT NULL,
         created_at {ts} NOT NULL,
         PRIMARY KEY (subject_id, category)
     )",
    "INSERT INTO subject_key (subject_id, category, wrapped, wrapped_by, created_at)
         SELECT subject_id, category, wrapped, wrapped_by, created_at FROM subject_key_after WHERE generation = 0",
    "DROP TABLE subject_key_after",
    "CREATE INDEX subject_key_wrapped_by_idx ON subject_key (wrapped_by)",
];

const DROP: &[&str] = &["DROP TABLE server", "DROP TABLE master_key"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, TABLES).await?;
        let keys = match manager.get_database_backend() {
            DatabaseBackend::Postgres => POSTGRES_UP,
            _ => SQLITE_UP,
        };
        run(manager, keys).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let keys = match manager.get_database_backend() {
            DatabaseBackend::Postgres => POSTGRES_DOWN,
            _ => SQLITE_DOWN,
        };
        run(manager, keys).await?;
        run(manager, DROP).await
    }
}
