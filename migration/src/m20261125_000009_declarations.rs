//! Sign-ups, links and mails, evidence of declarations, the suppression list, changes for partners (floor 0, frozen).

use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

use crate::{append_only, no_replacing, run};

/// What double opt-in, preference pages and partners need; published texts cannot be changed any more.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &[&str] = &[
    "ALTER TABLE consent_event ADD COLUMN address {text}",
    "ALTER TABLE consent_event ADD COLUMN evidence {text}",
    "ALTER TABLE consent_event ADD COLUMN review_due_at {ts}",
    "ALTER TABLE consent_text ADD COLUMN renew_within {text}",
    "CREATE INDEX consent_review_due_at_idx ON consent (review_due_at) WHERE review_due_at IS NOT NULL",
    "CREATE INDEX consent_expires_at_idx ON consent (expires_at) WHERE status = 'GRANTED'",
    "CREATE TABLE sign_up (
         id {uuid} NOT NULL PRIMARY KEY,
         contact_id {uuid} REFERENCES contact (id),
         address {text} NOT NULL,
         address_key {text} NOT NULL,
         given_name {text},
         family_name {text},
         language {text} NOT NULL,
         source {text} NOT NULL,
         recorded_by {text} NOT NULL,
         choices {text} NOT NULL,
         notice_version {text},
         signed_up_at {ts} NOT NULL,
         created_at {ts} NOT NULL
     )",
    "CREATE INDEX sign_up_contact_id_idx ON sign_up (contact_id)",
    "CREATE INDEX sign_up_address_key_idx ON sign_up (address_key)",
    "CREATE INDEX sign_up_created_at_idx ON sign_up (created_at)",
    "CREATE TABLE link (
         id {uuid} NOT NULL PRIMARY KEY,
         kind {text} NOT NULL CHECK (kind IN ('CONFIRM', 'RENEW', 'FRESH')),
         token_hash {text} NOT NULL UNIQUE,
         sign_up_id {uuid} REFERENCES sign_up (id),
         contact_id {uuid} REFERENCES contact (id),
         consent_id {uuid} REFERENCES consent (id),
         consent_text_id {uuid} REFERENCES consent_text (id),
         address_key {text} NOT NULL,
         created_at {ts} NOT NULL,
         expires_at {ts} NOT NULL,
         used_at {ts}
     )",
    "CREATE INDEX link_sign_up_id_idx ON link (sign_up_id)",
    "CREATE INDEX link_contact_id_idx ON link (contact_id)",
    "CREATE INDEX link_consent_id_idx ON link (consent_id)",
    "CREATE INDEX link_expires_at_idx ON link (expires_at)",
    "CREATE TABLE mail (
         id {uuid} NOT NULL PRIMARY KEY,
         link_id {uuid} NOT NULL UNIQUE,
         kind {text} NOT NULL CHECK (kind IN ('CONFIRM', 'RENEW', 'FRESH')),
         contact_id {uuid},
         recipient {text},
         address_digest {text} NOT NULL,
         period {text},
         language {text} NOT NULL,
         purposes {text} NOT NULL,
         created_at {ts} NOT NULL,
         next_attempt_at {ts},
         attempts {int} NOT NULL,
         leased_until {ts},
         sent_at {ts},
         failed_at {ts},
         fault {text}
     )",
    "CREATE INDEX mail_next_attempt_at_idx ON mail (next_attempt_at) WHERE next_attempt_at IS NOT NULL",
    "CREATE INDEX mail_address_digest_idx ON mail (address_digest, kind, created_at)",
    "CREATE UNIQUE INDEX mail_period_idx ON mail (address_digest, period) WHERE period IS NOT NULL",
    "CREATE INDEX mail_contact_id_idx ON mail (contact_id)",
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
    "CREATE UNIQUE INDEX suppression_digest_idx ON suppression (digest, purpose_code)",
    "CREATE TABLE consent_change (
         id {uuid} NOT NULL PRIMARY KEY,
         contact_id {uuid} NOT NULL,
         purpose_code {text} NOT NULL REFERENCES purpose (code),
         channel {text} NOT NULL CHECK (channel IN ('EMAIL', 'PHONE', 'SMS', 'POST')),
         kind {text} NOT NULL CHECK (kind IN ('GRANTED', 'ENDED')),
         at {ts} NOT NULL
     )",
    "CREATE INDEX consent_change_purpose_code_id_idx ON consent_change (purpose_code, id)",
    "CREATE INDEX consent_change_contact_id_idx ON consent_change (contact_id, purpose_code, channel, id)",
];

const DOWN: &[&str] = &[
    "DROP TABLE consent_change",
    "DROP TABLE suppression",
    "DROP TABLE mail",
    "DROP TABLE link",
    "DROP TABLE sign_up",
    "DROP INDEX consent_expires_at_idx",
    "DROP INDEX consent_review_due_at_idx",
    "ALTER TABLE consent_text DROP COLUMN renew_within",
    "ALTER TABLE consent_event DROP COLUMN review_due_at",
    "ALTER TABLE consent_event DROP COLUMN evidence",
    "ALTER TABLE consent_event DROP COLUMN address",
];

/// An event may move to the other consent when two contacts turn out to be one person, and lose its address when the person is
/// erased; nothing else of it changes.
const POSTGRES: &[&str] = &["CREATE OR REPLACE FUNCTION consent_event_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
         IF TG_OP = 'UPDATE' THEN
             IF to_jsonb(NEW) - 'consent_id' - 'address' = to_jsonb(OLD) - 'consent_id' - 'address'
                 AND (NEW.address IS NOT DISTINCT FROM OLD.address OR NEW.address IS NULL)
                 AND (NEW.consent_id = OLD.consent_id OR EXISTS (
                     SELECT 1 FROM consent a JOIN consent b ON b.purpose_code = a.purpose_code AND b.channel = a.channel
                     WHERE a.id = OLD.consent_id AND b.id = NEW.consent_id
                 ))
                 AND (NEW.consent_id <> OLD.consent_id OR (NEW.address IS NULL AND OLD.address IS NOT NULL)) THEN
                 RETURN NEW;
             END IF;
         END IF;
         RAISE EXCEPTION 'consent_event is append-only';
     END $$"];

const SQLITE: &[&str] = &[
    "DROP TRIGGER consent_event_no_update",
    "CREATE TRIGGER consent_event_no_update BEFORE UPDATE ON consent_event
     WHEN NEW.id IS NOT OLD.id OR NEW.kind IS NOT OLD.kind OR NEW.declared_at IS NOT OLD.declared_at
         OR NEW.recorded_at IS NOT OLD.recorded_at OR NEW.source IS NOT OLD.source OR NEW.actor IS NOT OLD.actor
         OR NEW.proof IS NOT OLD.proof OR NEW.consent_text_id IS NOT OLD.consent_text_id
         OR NEW.expires_at IS NOT OLD.expires_at OR NEW.evidence IS NOT OLD.evidence
         OR NEW.review_due_at IS NOT OLD.review_due_at
         OR (NEW.address IS NOT OLD.address AND NEW.address IS NOT NULL)
         OR (NEW.consent_id = OLD.consent_id AND NEW.address IS OLD.address)
         OR NOT EXISTS (
             SELECT 1 FROM consent a JOIN consent b ON b.purpose_code = a.purpose_code AND b.channel = a.channel
             WHERE a.id = OLD.consent_id AND b.id = NEW.consent_id
         )
     BEGIN SELECT RAISE(ABORT, 'consent_event is append-only'); END",
];

/// The rules as they were before.
const POSTGRES_BEFORE: &[&str] = &["CREATE OR REPLACE FUNCTION consent_event_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
     BEGIN
         IF TG_OP = 'UPDATE' THEN
             IF to_jsonb(NEW) - 'consent_id' = to_jsonb(OLD) - 'consent_id' AND EXISTS (
                 SELECT 1 FROM consent a JOIN consent b ON b.purpose_code = a.purpose_code AND b.channel = a.channel
                 WHERE a.id = OLD.consent_id AND b.id = NEW.consent_id AND a.id <> b.id
             ) THEN
                 RETURN NEW;
             END IF;
         END IF;
         RAISE EXCEPTION 'consent_event is append-only';
     END $$"];

const SQLITE_BEFORE: &[&str] = &[
    "DROP TRIGGER consent_event_no_update",
    "CREATE TRIGGER consent_event_no_update BEFORE UPDATE ON consent_event
     WHEN NEW.id IS NOT OLD.id OR NEW.kind IS NOT OLD.kind OR NEW.declared_at IS NOT OLD.declared_at
         OR NEW.recorded_at IS NOT OLD.recorded_at OR NEW.source IS NOT OLD.source OR NEW.actor IS NOT OLD.actor
         OR NEW.proof IS NOT OLD.proof OR NEW.consent_text_id IS NOT OLD.consent_text_id
         OR NEW.expires_at IS NOT OLD.expires_at
         OR NOT EXISTS (
             SELECT 1 FROM consent a JOIN consent b ON b.purpose_code = a.purpose_code AND b.channel = a.channel
             WHERE a.id = OLD.consent_id AND b.id = NEW.consent_id AND a.id <> b.id
         )
     BEGIN SELECT RAISE(ABORT, 'consent_event is append-only'); END",
    "DROP TRIGGER consent_text_no_replace",
    "DROP TRIGGER consent_text_no_update",
    "DROP TRIGGER consent_text_no_delete",
];

const POSTGRES_TEXTS: &[&str] = &[
    "DROP TRIGGER consent_text_append_only ON consent_text",
    "DROP TRIGGER consent_text_no_truncate ON consent_text",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, UP).await?;
        match manager.get_database_backend() {
            DatabaseBackend::Postgres => run(manager, POSTGRES).await?,
            _ => run(manager, SQLITE).await?,
        }
        no_replacing(manager, "consent_text").await?;
        append_only(manager, "consent_text").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        match manager.get_database_backend() {
            DatabaseBackend::Postgres => {
                run(manager, POSTGRES_BEFORE).await?;
                run(manager, POSTGRES_TEXTS).await?;
            }
            _ => run(manager, SQLITE_BEFORE).await?,
        }
        run(manager, DOWN).await
    }
}
