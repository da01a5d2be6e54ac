//! Statistics of the tables that an import fills, gathered while it runs. Room: exchange/imports.
//!
//! PostgreSQL plans by statistics, and its own job gathers them up to a minute later. Until then a table that was empty
//! counts as small, and each look-up scans it.

use entity::{
    consent, consent_event, contact, contact_point, ground, objection, provenance, subject_key, suppression,
};
use sea_orm::EntityName;

use crate::app::App;

/// Rows after which statistics are gathered for the first time. A scan of fewer rows is as fast as an index.
const FIRST_ANALYZE_ROWS: u64 = 4_000;
/// Statistics are gathered again each time the number of rows has grown by this factor, so that they cost a small
/// share.
const GROWTH_FACTOR: u64 = 4;

/// When statistics are gathered next.
#[derive(Debug)]
pub(super) struct Statistics {
    rows: u64,
    next: u64,
}

impl Statistics {
    /// For an import that begins.
    pub fn new() -> Self {
        Self { rows: 0, next: FIRST_ANALYZE_ROWS }
    }

    /// Counts `rows` more, and gathers statistics when they are due. An import continues if they cannot be gathered; the
    /// log says so.
    pub async fn count_rows(&mut self, app: &App, rows: u64) {
        self.rows += rows;
        if self.rows < self.next {
            return;
        }
        while self.next <= self.rows {
            self.next *= GROWTH_FACTOR;
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
            tracing::warn!("table statistics cannot be gathered; the import may be slow");
        }
    }
}
