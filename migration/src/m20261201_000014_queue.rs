//! Changes of consents wait in a queue for their place (floor 0, frozen).

use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

use crate::run;

/// Who writes consents on PostgreSQL puts into the queue what began and what ended, and waits for nobody; one at a time moves the
/// committed rows of it to `consent_change`. SQLite has one writer, who needs no queue: there it stays empty.
#[derive(DeriveMigrationName)]
pub struct Migration;

const COLUMNS: &str = "contact_id {uuid} NOT NULL,
     purpose_code {text} NOT NULL REFERENCES purpose (code),
     channel {text} NOT NULL CHECK (channel IN ('EMAIL', 'PHONE', 'SMS', 'POST')),
     kind {text} NOT NULL CHECK (kind IN ('GRANTED', 'ENDED')),
     at {ts} NOT NULL";

const INDEX: &str = "CREATE INDEX consent_change_queue_contact_id_idx ON consent_change_queue \
                     (contact_id, purpose_code, channel, number)";

/// Rows come and go all the time: what is left of them is cleared by how many they were, not by the share of a table that is empty.
const CLEARED: &str = "ALTER TABLE consent_change_queue SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000)";

/// What waits is told before the queue goes: the trigger puts each row behind the greatest id, whatever its own is.
const TELL: &str = "INSERT INTO consent_change (id, contact_id, purpose_code, channel, kind, at) \
     SELECT '00000000-0000-0000-0000-000000000000', contact_id, purpose_code, channel, kind, at \
     FROM consent_change_queue ORDER BY number";

const DROP: &str = "DROP TABLE consent_change_queue";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = |number: &str| format!("CREATE TABLE consent_change_queue (number {number}, {COLUMNS})");
        match manager.get_database_backend() {
            DatabaseBackend::Postgres => {
                // Not by a clock, and without gaps in time: of two who write after each other the second has the greater one.
                let table = table("bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY");
                run(manager, &[&table, INDEX, CLEARED]).await
            }
            _ => run(manager, &[&table("integer NOT NULL PRIMARY KEY"), INDEX]).await,
        }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        match manager.get_database_backend() {
            DatabaseBackend::Postgres => run(manager, &[TELL, DROP]).await,
            _ => run(manager, &[DROP]).await,
        }
    }
}
