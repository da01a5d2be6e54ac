//! PostgreSQL itself keeps the changes of consents in the order of the commits (floor 0, frozen).

use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

use crate::run;

/// Gives a change of a consent its place behind all that are committed, whoever writes it.
#[derive(DeriveMigrationName)]
pub struct Migration;

/// Whoever writes a change holds the lock until the end of the transaction: changes are committed one after the other. Each query in
/// the function sees what was committed until then, so that the greatest id is the last one. An id that would not be greater becomes
/// the next one after it, counted in its last 64 bits.
const UP: &[&str] = &[
    "CREATE FUNCTION consent_change_in_order() RETURNS trigger LANGUAGE plpgsql AS $$
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
    "CREATE TRIGGER consent_change_in_order BEFORE INSERT ON consent_change
     FOR EACH ROW EXECUTE FUNCTION consent_change_in_order()",
];

const DOWN: &[&str] =
    &["DROP TRIGGER consent_change_in_order ON consent_change", "DROP FUNCTION consent_change_in_order()"];

async fn on_postgres(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    // SQLite has one writer: there nobody can come in between.
    match manager.get_database_backend() {
        DatabaseBackend::Postgres => run(manager, statements).await,
        _ => Ok(()),
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        on_postgres(manager, DOWN).await
    }
}
