//! Data-subject requests (floor 0, frozen).

use sea_orm_migration::prelude::*;

use crate::run;

/// Data-subject requests.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &[&str] = &[
    "CREATE TABLE privacy_request (
         id {uuid} NOT NULL PRIMARY KEY,
         contact_id {uuid} REFERENCES contact (id),
         kind {text} NOT NULL CHECK (kind IN ('ACCESS', 'RECTIFICATION', 'ERASURE', 'RESTRICTION', 'PORTABILITY', 'OBJECTION')),
         status {text} NOT NULL CHECK (status IN ('RECEIVED', 'AWAITING_IDENTITY', 'IN_PROGRESS', 'FULFILLED', 'PARTLY_FULFILLED', 'REFUSED', 'CANCELLED')),
         purpose_code {text} REFERENCES purpose (code),
         received_at {ts} NOT NULL,
         due_at {ts} NOT NULL,
         extended_until {ts},
         identity_verified_at {ts},
         closed_at {ts},
         assignee {text},
         reason {text},
         created_at {ts} NOT NULL
     )",
    "CREATE INDEX privacy_request_contact_id_idx ON privacy_request (contact_id)",
    "CREATE INDEX privacy_request_due_at_id_idx ON privacy_request (due_at, id)",
    "CREATE INDEX privacy_request_received_at_id_idx ON privacy_request (received_at, id)",
];

const DOWN: &[&str] = &["DROP TABLE privacy_request"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await
    }
}
