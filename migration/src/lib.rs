//! The history of the database schema: frozen, never imports `entity` (floor 0).
//!
//! Statements are written once; the type words in braces stand for what each database calls them.

use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

mod m20261101_000001_contacts;
mod m20261101_000002_purposes;
mod m20261101_000003_consents;
mod m20261101_000004_requests;
mod m20261101_000005_tokens;
mod m20261125_000006_audit;
mod m20261125_000007_writes;
mod m20261125_000008_merges;
mod m20261125_000009_declarations;
mod m20261128_000010_order;
mod m20261128_000011_growth;
mod m20261129_000012_live;
mod m20261201_000013_identities;
mod m20261201_000014_queue;
mod m20261201_000015_mails;
mod m20261201_000016_stops;
mod m20261201_000017_links;
mod m20261201_000018_owed;
mod m20261201_000019_masters;
mod m20261201_000020_restores;
mod m20261202_000021_households;
mod m20261202_000022_letter_boxes;
mod m20261202_000023_keys_in_bulk;
mod m20261203_000024_keys_beside_rotations;
mod m20261204_000025_import_runs;

pub use sea_orm_migration::MigratorTrait;

/// All migrations, oldest first.
#[derive(Debug)]
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261101_000001_contacts::Migration),
            Box::new(m20261101_000002_purposes::Migration),
            Box::new(m20261101_000003_consents::Migration),
            Box::new(m20261101_000004_requests::Migration),
            Box::new(m20261101_000005_tokens::Migration),
            Box::new(m20261125_000006_audit::Migration),
            Box::new(m20261125_000007_writes::Migration),
            Box::new(m20261125_000008_merges::Migration),
            Box::new(m20261125_000009_declarations::Migration),
            Box::new(m20261128_000010_order::Migration),
            Box::new(m20261128_000011_growth::Migration),
            Box::new(m20261129_000012_live::Migration),
            Box::new(m20261201_000013_identities::Migration),
            Box::new(m20261201_000014_queue::Migration),
            Box::new(m20261201_000015_mails::Migration),
            Box::new(m20261201_000016_stops::Migration),
            Box::new(m20261201_000017_links::Migration),
            Box::new(m20261201_000018_owed::Migration),
            Box::new(m20261201_000019_masters::Migration),
            Box::new(m20261201_000020_restores::Migration),
            Box::new(m20261202_000021_households::Migration),
            Box::new(m20261202_000022_letter_boxes::Migration),
            Box::new(m20261202_000023_keys_in_bulk::Migration),
            Box::new(m20261203_000024_keys_beside_rotations::Migration),
            Box::new(m20261204_000025_import_runs::Migration),
        ]
    }
}

/// Runs `statements` on PostgreSQL alone.
async fn run_on_postgres(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    match manager.get_database_backend() {
        DatabaseBackend::Postgres => run(manager, statements).await,
        _ => Ok(()),
    }
}

/// Runs `statements`, the type words replaced by those of the database at hand.
///
/// Text is compared bytewise on both: SQLite does so by default, PostgreSQL by `COLLATE "C"`.
async fn run(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    let words: [(&str, &str); 7] = match manager.get_database_backend() {
        DatabaseBackend::Postgres => [
            ("{uuid}", "uuid"),
            ("{text}", "text COLLATE \"C\""),
            ("{ts}", "timestamptz"),
            ("{date}", "date"),
            ("{bool}", "boolean"),
            ("{int}", "integer"),
            ("{true}", "true"),
        ],
        _ => [
            ("{uuid}", "blob"),
            ("{text}", "text"),
            ("{ts}", "text"),
            ("{date}", "text"),
            ("{bool}", "boolean"),
            ("{int}", "integer"),
            ("{true}", "1"),
        ],
    };
    for statement in statements {
        let sql = words.iter().fold((*statement).to_owned(), |sql, (word, name)| sql.replace(word, name));
        manager.get_connection().execute_unprepared(&sql).await?;
    }
    Ok(())
}

/// Makes SQLite refuse to put a row in the place of another (`INSERT OR REPLACE`), which fires no trigger of a deletion.
async fn no_replacing(manager: &SchemaManager<'_>, table: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() == DatabaseBackend::Postgres {
        return Ok(());
    }
    let sql = format!(
        "CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} \
         WHEN EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id) \
         BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    );
    manager.get_connection().execute_unprepared(&sql).await?;
    Ok(())
}

/// Makes the database itself refuse to change or delete rows of `table`.
async fn append_only(manager: &SchemaManager<'_>, table: &str) -> Result<(), DbErr> {
    let statements = match manager.get_database_backend() {
        DatabaseBackend::Postgres => vec![
            format!(
                "CREATE OR REPLACE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION '{table} is append-only'; END $$"
            ),
            format!(
                "CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} \
                 FOR EACH ROW EXECUTE FUNCTION {table}_append_only()"
            ),
            format!(
                "CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} \
                 FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()"
            ),
        ],
        _ => ["UPDATE", "DELETE"]
            .iter()
            .map(|verb| {
                format!(
                    "CREATE TRIGGER {table}_no_{} BEFORE {verb} ON {table} \
                     BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END",
                    verb.to_lowercase()
                )
            })
            .collect(),
    };
    for sql in statements {
        manager.get_connection().execute_unprepared(&sql).await?;
    }
    Ok(())
}
