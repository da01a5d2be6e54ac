//! Purposes, consent texts, grounds and objections (floor 0, frozen).

use sea_orm_migration::prelude::*;

use crate::run;

/// Purposes, consent texts, grounds and objections.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &[&str] = &[
    "CREATE TABLE purpose (
         code {text} NOT NULL PRIMARY KEY,
         title_de {text} NOT NULL,
         title_en {text} NOT NULL,
         description_de {text} NOT NULL,
         description_en {text} NOT NULL,
         legal_basis {text} CHECK (legal_basis IN ('CONSENT', 'CONTRACT', 'LEGAL_OBLIGATION', 'VITAL_INTERESTS', 'PUBLIC_TASK', 'LEGITIMATE_INTERESTS')),
         grounds {text} NOT NULL,
         channels {text} NOT NULL,
         group_code {text} REFERENCES purpose (code),
         is_group {bool} NOT NULL,
         dpv_iri {text},
         revision {text} NOT NULL,
         loaded_at {ts} NOT NULL
     )",
    "CREATE INDEX purpose_group_code_idx ON purpose (group_code)",
    "CREATE TABLE consent_text (
         id {uuid} NOT NULL PRIMARY KEY,
         purpose_code {text} NOT NULL REFERENCES purpose (code),
         language {text} NOT NULL,
         version {text} NOT NULL,
         text {text} NOT NULL,
         sha256 {text} NOT NULL,
         published_at {ts} NOT NULL,
         UNIQUE (purpose_code, language, version)
     )",
    "CREATE TABLE ground (
         id {uuid} NOT NULL PRIMARY KEY,
         contact_id {uuid} NOT NULL REFERENCES contact (id),
         purpose_code {text} NOT NULL REFERENCES purpose (code),
         reference {text},
         since {ts} NOT NULL,
         until {ts},
         recorded_by {text} NOT NULL,
         created_at {ts} NOT NULL
     )",
    "CREATE INDEX ground_contact_id_purpose_code_idx ON ground (contact_id, purpose_code)",
    "CREATE TABLE objection (
         id {uuid} NOT NULL PRIMARY KEY,
         contact_id {uuid} NOT NULL REFERENCES contact (id),
         purpose_code {text} NOT NULL REFERENCES purpose (code),
         objected_at {ts} NOT NULL,
         ended_at {ts},
         source {text},
         created_at {ts} NOT NULL
     )",
    "CREATE INDEX objection_contact_id_purpose_code_idx ON objection (contact_id, purpose_code)",
];

const DOWN: &[&str] =
    &["DROP TABLE objection", "DROP TABLE ground", "DROP TABLE consent_text", "DROP TABLE purpose"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await
    }
}
