//! Which recipients used which purposes, and what they are to be told to stop (floor 0, frozen).

use sea_orm_migration::prelude::*;

use crate::run;

/// Uses of purposes by recipients, and a duty for each no that a recipient must be told of (Art. 7(3), 19, 21).
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &[&str] = &[
    "CREATE TABLE recipient_use (
         recipient_id {uuid} NOT NULL REFERENCES recipient (id),
         purpose_code {text} NOT NULL REFERENCES purpose (code),
         first_at {ts} NOT NULL,
         until_at {ts} NOT NULL,
         PRIMARY KEY (recipient_id, purpose_code)
     )",
    // The contact may be gone: the recipient is to be told all the same.
    "CREATE TABLE stop (
         id {uuid} NOT NULL PRIMARY KEY,
         recipient_id {uuid} NOT NULL REFERENCES recipient (id),
         contact_id {uuid} NOT NULL,
         purpose_code {text} NOT NULL REFERENCES purpose (code),
         channel {text} CHECK (channel IN ('EMAIL', 'PHONE', 'SMS', 'POST')),
         address_kind {text} CHECK (address_kind IN ('EMAIL', 'PHONE', 'POSTAL')),
         address_sha256 {text},
         since {ts} NOT NULL,
         made_at {ts} NOT NULL,
         batch_id {uuid},
         exported_at {ts},
         acknowledged_at {ts},
         acknowledged_by {text}
     )",
    "CREATE UNIQUE INDEX stop_what_idx ON stop
         (contact_id, purpose_code, recipient_id, COALESCE(channel, ''), COALESCE(address_sha256, ''))",
    "CREATE INDEX stop_open_idx ON stop (recipient_id, id) WHERE acknowledged_at IS NULL",
    "CREATE INDEX stop_batch_id_idx ON stop (batch_id) WHERE batch_id IS NOT NULL",
];

const DOWN: &[&str] = &["DROP TABLE stop", "DROP TABLE recipient_use"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await
    }
}
