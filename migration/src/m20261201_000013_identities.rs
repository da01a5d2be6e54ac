//! Keys of reachable identities beside the values they are made of; noes that know what they were declared for (floor 0, frozen).

use sea_orm_migration::prelude::*;

use crate::run;

/// Companion keys of numbers and postal addresses with the version of their reader, blocks beside objections, and a suppression
/// list whose entries tell their kind, channel and key version.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &[&str] = &[
    // Keys that are there were made by the first reader. The server makes them anew before it answers.
    "ALTER TABLE contact RENAME COLUMN address_folded TO postal_key",
    "ALTER TABLE contact ADD COLUMN phone_key {text}",
    "ALTER TABLE contact ADD COLUMN key_version {text} NOT NULL DEFAULT '1'",
    "ALTER TABLE contact_point RENAME COLUMN address_folded TO postal_key",
    "ALTER TABLE contact_point ADD COLUMN phone_key {text}",
    "ALTER TABLE contact_point ADD COLUMN key_version {text} NOT NULL DEFAULT '1'",
    "CREATE INDEX contact_phone_key_idx ON contact (phone_key) WHERE phone_key IS NOT NULL",
    "CREATE INDEX contact_postal_key_idx ON contact (postal_key) WHERE postal_key IS NOT NULL",
    "CREATE INDEX contact_point_phone_key_idx ON contact_point (phone_key) WHERE phone_key IS NOT NULL",
    "CREATE INDEX contact_point_postal_key_idx ON contact_point (postal_key) WHERE postal_key IS NOT NULL",
    "CREATE TABLE key_reader (
         id {int} NOT NULL PRIMARY KEY CHECK (id = 1),
         version {text} NOT NULL
     )",
    "INSERT INTO key_reader (id, version) VALUES (1, '1')",
    // What the holder of an address declared, on every record of that address.
    "ALTER TABLE objection ADD COLUMN kind {text} NOT NULL DEFAULT 'OBJECTION'
         CHECK (kind IN ('OBJECTION', 'BLOCK', 'EXTERNAL_LIST', 'UNDELIVERABLE'))",
    "ALTER TABLE objection ADD COLUMN channel {text} CHECK (channel IN ('EMAIL', 'PHONE', 'SMS', 'POST'))",
    "ALTER TABLE objection ADD COLUMN every_channel {bool} NOT NULL DEFAULT {true}",
    "CREATE UNIQUE INDEX objection_block_idx ON objection (contact_id, purpose_code, channel, kind) WHERE kind <> 'OBJECTION'",
    // SQLite cannot change a CHECK: the list is made anew.
    "DROP INDEX suppression_digest_idx",
    "ALTER TABLE suppression RENAME TO suppression_before",
    "CREATE TABLE suppression (
         id {uuid} NOT NULL PRIMARY KEY,
         digest {text} NOT NULL,
         key_version {text} NOT NULL,
         channel {text} NOT NULL CHECK (channel IN ('EMAIL', 'PHONE', 'SMS', 'POST')),
         every_channel {bool} NOT NULL,
         purpose_code {text} NOT NULL REFERENCES purpose (code),
         kind {text} NOT NULL CHECK (kind IN ('OBJECTION', 'WITHDRAWAL', 'EXTERNAL_LIST', 'UNDELIVERABLE')),
         since {ts} NOT NULL,
         source {text},
         recorded_by {text} NOT NULL,
         created_at {ts} NOT NULL
     )",
    "INSERT INTO suppression (id, digest, key_version, channel, every_channel, purpose_code, kind, since, source, recorded_by, created_at)
         SELECT s.id, s.digest, '1', s.channel, {true}, s.purpose_code,
             CASE WHEN p.legal_basis = 'CONSENT' THEN 'WITHDRAWAL' ELSE 'OBJECTION' END,
             s.since, s.source, s.recorded_by, s.created_at
         FROM suppression_before s JOIN purpose p ON p.code = s.purpose_code",
    "DROP TABLE suppression_before",
    "CREATE UNIQUE INDEX suppression_digest_idx ON suppression (digest, purpose_code, channel, kind)",
    "CREATE INDEX suppression_key_version_idx ON suppression (key_version)",
];

const DOWN: &[&str] = &[
    "ALTER TABLE suppression RENAME TO suppression_after",
    "DROP INDEX suppression_key_version_idx",
    "DROP INDEX suppression_digest_idx",
    "CREATE TABLE suppression (
         id {uuid} NOT NULL PRIMARY KEY,
         digest {text} NOT NULL,
         channel {text} NOT NULL CHECK (channel IN ('EMAIL', 'PHONE', 'POST')),
         purpose_code {text} NOT NULL REFERENCES purpose (code),
         since {ts} NOT NULL,
         source {text},
         recorded_by {text} NOT NULL,
         created_at {ts} NOT NULL
     )",
    "INSERT INTO suppression (id, digest, channel, purpose_code, since, source, recorded_by, created_at)
         SELECT id, digest, channel, purpose_code, since, source, recorded_by, created_at FROM suppression_after
         WHERE key_version = '1' AND channel <> 'SMS'",
    "DROP TABLE suppression_after",
    "CREATE UNIQUE INDEX suppression_digest_idx ON suppression (digest, purpose_code)",
    "DROP INDEX objection_block_idx",
    "DELETE FROM objection WHERE kind <> 'OBJECTION'",
    "ALTER TABLE objection DROP COLUMN every_channel",
    "ALTER TABLE objection DROP COLUMN channel",
    "ALTER TABLE objection DROP COLUMN kind",
    "DROP TABLE key_reader",
    "DROP INDEX contact_point_postal_key_idx",
    "DROP INDEX contact_point_phone_key_idx",
    "DROP INDEX contact_postal_key_idx",
    "DROP INDEX contact_phone_key_idx",
    "ALTER TABLE contact_point DROP COLUMN key_version",
    "ALTER TABLE contact_point DROP COLUMN phone_key",
    "ALTER TABLE contact_point RENAME COLUMN postal_key TO address_folded",
    "ALTER TABLE contact DROP COLUMN key_version",
    "ALTER TABLE contact DROP COLUMN phone_key",
    "ALTER TABLE contact RENAME COLUMN postal_key TO address_folded",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, UP).await?;
        stops(manager, true).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        stops(manager, false).await?;
        run(manager, DOWN).await
    }
}

/// The index that reads look at what stops a purpose by: it answers alone.
async fn stops(manager: &SchemaManager<'_>, with_blocks: bool) -> Result<(), DbErr> {
    let told = if with_blocks {
        "objected_at, ended_at, kind, channel, every_channel"
    } else {
        "objected_at, ended_at"
    };
    let on = "CREATE INDEX objection_contact_id_purpose_code_idx ON objection (contact_id, purpose_code";
    let made = match manager.get_database_backend() {
        sea_orm_migration::sea_orm::DatabaseBackend::Postgres => format!("{on}) INCLUDE ({told})"),
        _ => format!("{on}, {told})"),
    };
    run(manager, &["DROP INDEX objection_contact_id_purpose_code_idx", &made]).await
}
