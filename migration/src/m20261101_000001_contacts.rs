//! Contacts, contact points and provenance (floor 0, frozen).

use sea_orm_migration::prelude::*;

use crate::run;

/// Contacts, contact points and provenance.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &[&str] = &[
    "CREATE TABLE contact (
         id {uuid} NOT NULL PRIMARY KEY,
         given_name {text},
         family_name {text},
         email {text},
         phone {text},
         birth_date {date},
         company {text},
         job_title {text},
         street {text},
         postal_code {text},
         city {text},
         country {text},
         language {text},
         notes {text},
         state {text} NOT NULL CHECK (state IN ('ACTIVE', 'RESTRICTED', 'RETAINED', 'ERASED')),
         created_at {ts} NOT NULL,
         updated_at {ts} NOT NULL,
         restricted_at {ts},
         version {int} NOT NULL,
         given_name_folded {text},
         family_name_folded {text},
         email_folded {text},
         phone_folded {text},
         company_folded {text},
         job_title_folded {text},
         street_folded {text},
         postal_code_folded {text},
         city_folded {text},
         country_folded {text},
         language_folded {text},
         address_folded {text}
     )",
    "CREATE INDEX contact_created_at_id_idx ON contact (created_at, id)",
    "CREATE INDEX contact_family_name_id_idx ON contact (family_name_folded, id)",
    "CREATE INDEX contact_given_name_id_idx ON contact (given_name_folded, id)",
    "CREATE INDEX contact_email_id_idx ON contact (email_folded, id)",
    "CREATE INDEX contact_company_id_idx ON contact (company_folded, id)",
    "CREATE INDEX contact_city_id_idx ON contact (city_folded, id)",
    "CREATE INDEX contact_country_id_idx ON contact (country_folded, id)",
    "CREATE TABLE contact_point (
         id {uuid} NOT NULL PRIMARY KEY,
         contact_id {uuid} NOT NULL REFERENCES contact (id),
         kind {text} NOT NULL CHECK (kind IN ('EMAIL', 'PHONE', 'POSTAL')),
         label {text},
         email {text},
         email_folded {text},
         phone {text},
         phone_folded {text},
         street {text},
         postal_code {text},
         city {text},
         country {text},
         address_folded {text},
         created_at {ts} NOT NULL
     )",
    "CREATE INDEX contact_point_contact_id_idx ON contact_point (contact_id)",
    "CREATE TABLE provenance (
         id {uuid} NOT NULL PRIMARY KEY,
         contact_id {uuid} NOT NULL REFERENCES contact (id),
         source {text} NOT NULL,
         external_id {text},
         collected_at {ts},
         recorded_at {ts} NOT NULL,
         recorded_by {text} NOT NULL,
         fields {text} NOT NULL,
         informed_at {ts},
         notice_version {text},
         UNIQUE (source, external_id)
     )",
    "CREATE INDEX provenance_contact_id_idx ON provenance (contact_id)",
];

const DOWN: &[&str] = &["DROP TABLE provenance", "DROP TABLE contact_point", "DROP TABLE contact"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await
    }
}
