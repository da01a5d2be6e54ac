//! Recipients and access tokens (floor 0, frozen).

use sea_orm_migration::prelude::*;

use crate::run;

/// Recipients and access tokens.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &[&str] = &[
    "CREATE TABLE recipient (
         id {uuid} NOT NULL PRIMARY KEY,
         name {text} NOT NULL,
         kind {text} NOT NULL CHECK (kind IN ('PROCESSOR', 'CONTROLLER', 'JOINT_CONTROLLER', 'AUTHORITY', 'INTERNAL')),
         country {text},
         transfer_mechanism {text},
         contract_until {date},
         created_at {ts} NOT NULL
     )",
    "CREATE TABLE access_token (
         id {uuid} NOT NULL PRIMARY KEY,
         lookup {text} NOT NULL,
         name {text} NOT NULL,
         secret_hash {text} NOT NULL,
         roles {text} NOT NULL,
         purposes {text} NOT NULL,
         fields {text},
         recipient_id {uuid} REFERENCES recipient (id),
         created_by {text} NOT NULL,
         created_at {ts} NOT NULL,
         expires_at {ts} NOT NULL,
         revoked_at {ts},
         last_used_at {ts},
         UNIQUE (lookup)
     )",
    "CREATE INDEX access_token_recipient_id_idx ON access_token (recipient_id)",
];

const DOWN: &[&str] = &["DROP TABLE access_token", "DROP TABLE recipient"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await
    }
}
