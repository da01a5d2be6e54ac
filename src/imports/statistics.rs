//! Statistics of the tables that an import fills. PostgreSQL plans by them and gathers them by itself only a while later: until then it
//! takes a table that was empty for small, and scans it for each look-up (floor 4).

use entity::{
    consent, consent_event, contact, contact_point, ground, objection, provenance, subject_key, suppression,
};
use sea_orm::EntityName;

use crate::context::App;

/// Rows after which they are gathered for the first time: fewer are scanned as fast as found.
const FIRST: u64 = 4_000;
/// They are gathered again each time there are so many times as many, so that it costs a small share.
const GROWTH: u64 = 4;

/// When statistics are gathered next.
#[derive(Debug)]
pub(super) struct Statistics {
    rows: u64,
    next: u64,
}

impl Statistics {
    /// Of an import that begins.
    pub fn begin() -> Self {
        Self { rows: 0, next: FIRST }
    }

    /// Gathers them where it is time for it after `rows` more. That they cannot be gathered hinders no import.
    pub async fn after(&mut self, app: &App, rows: u64) {
        self.rows += rows;
        if self.rows < self.next {
            return;
        }
        while self.next <= self.rows {
            self.next *= GROWTH;
        }
        let tables = [
            contact::Entity.table_name(),
            contact_point::Entity.table_name(),
            provenance::Entity.table_name(),
            ground::Entity.table_name(),
            consent::Entity.table_name(),
            consent_event::Entity.table_name(),
            objection::Entity.table_name(),
            suppression::Entity.table_name(),
            subject_key::Entity.table_name(),
        ];
        if app.db.gather_statistics(&tables).await.is_err() {
            tracing::warn!("statistics of the tables cannot be gathered; look-ups of the import may be slow");
        }
    }
}
