//! Consents and their append-only events (floor 0, frozen).

use sea_orm_migration::prelude::*;

use crate::{append_only, run};

/// Consents and their append-only events.
#[derive(DeriveMigrationName)]
pub struct Migration;

const UP: &[&str] = &[
    "CREATE TABLE consent (
         id {uuid} NOT NULL PRIMARY KEY,
         contact_id {uuid} NOT NULL REFERENCES contact (id),
         purpose_code {text} NOT NULL REFERENCES purpose (code),
         channel {text} NOT NULL CHECK (channel IN ('EMAIL', 'PHONE', 'SMS', 'POST')),
         status {text} NOT NULL CHECK (status IN ('PENDING', 'GRANTED', 'REFUSED', 'WITHDRAWN', 'EXPIRED', 'INVALIDATED')),
         bound_address {text},
         declared_at {ts},
         granted_at {ts},
         confirmed_at {ts},
         withdrawn_at {ts},
         expires_at {ts},
         review_due_at {ts},
         source {text},
         consent_text_id {uuid} REFERENCES consent_text (id),
         created_at {ts} NOT NULL,
         updated_at {ts} NOT NULL,
         UNIQUE (contact_id, purpose_code, channel)
     )",
    "CREATE INDEX consent_purpose_code_id_idx ON consent (purpose_code, id)",
    "CREATE INDEX consent_consent_text_id_idx ON consent (consent_text_id)",
    "CREATE TABLE consent_event (
         id {uuid} NOT NULL PRIMARY KEY,
         consent_id {uuid} NOT NULL REFERENCES consent (id),
         kind {text} NOT NULL CHECK (kind IN ('REQUESTED', 'GRANTED', 'CONFIRMED', 'REFUSED', 'WITHDRAWN', 'EXPIRED', 'INVALIDATED', 'RENEWED')),
         declared_at {ts},
         recorded_at {ts} NOT NULL,
         source {text},
         actor {text} NOT NULL,
         proof {text},
         consent_text_id {uuid} REFERENCES consent_text (id)
     )",
    "CREATE INDEX consent_event_consent_id_idx ON consent_event (consent_id)",
];

const DOWN: &[&str] = &["DROP TABLE consent_event", "DROP TABLE consent"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, UP).await?;
        append_only(manager, "consent_event").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, DOWN).await
    }
}
