//! Events of a consent may move to another one for the same purpose and channel, and change in nothing else (floor 0, frozen).

use sea_orm_migration::{prelude::*, sea_orm::DatabaseBackend};

use crate::{append_only, run};

/// Lets the events of two consents come together when two contacts turn out to be one person.
#[derive(DeriveMigrationName)]
pub struct Migration;

const POSTGRES: &[&str] = &["CREATE OR REPLACE FUNCTION consent_event_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
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

const SQLITE: &[&str] = &[
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
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        match manager.get_database_backend() {
            DatabaseBackend::Postgres => run(manager, POSTGRES).await,
            _ => run(manager, SQLITE).await,
        }
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let triggers: &[&str] = match manager.get_database_backend() {
            DatabaseBackend::Postgres => &[
                "DROP TRIGGER consent_event_append_only ON consent_event",
                "DROP TRIGGER consent_event_no_truncate ON consent_event",
            ],
            _ => &["DROP TRIGGER consent_event_no_update", "DROP TRIGGER consent_event_no_delete"],
        };
        run(manager, triggers).await?;
        append_only(manager, "consent_event").await
    }
}
