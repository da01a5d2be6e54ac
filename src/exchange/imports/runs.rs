//! Imports of contacts that were run. Room: exchange/imports.
//!
//! Every entry that an import leaves in the audit log names the run as its request. Its row is written with its first
//! batch and counted in every batch, so an import that is being undone cannot go on.

use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use entity::import_run;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, ExprTrait, IntoActiveModel, QueryFilter, QueryOrder,
    sea_query::{Expr, OnConflict},
};
use uuid::Uuid;

use super::ContactImport;
use crate::{
    app::App,
    audit::{Author, Transaction},
    base::{
        error::{Code, Error},
        ids::id_at,
    },
};

/// A run that is under way.
pub(super) struct Run {
    pub id: Uuid,
    started_at: DateTime<Utc>,
    /// Whether its row is committed.
    is_stored: AtomicBool,
}

impl Run {
    /// A run that begins.
    pub fn begin(app: &App) -> Self {
        let started_at = app.now();
        Self { id: id_at(started_at), started_at, is_stored: AtomicBool::new(false) }
    }

    /// The author of what the import writes.
    pub fn author(&self, app: &App, import: &ContactImport) -> Author {
        let author = Author::command(app, &import.actor, Some(&import.purpose));
        Author { request_id: Some(self.id.to_string()), ..author }
    }

    /// Counts what a batch has created and updated, as the last statement of its transaction.
    ///
    /// # Errors
    /// `CONFLICT` if the import is being undone; `INTERNAL` from the database.
    pub async fn count(
        &self,
        tx: &Transaction,
        import: &ContactImport,
        (imported, updated): (u64, u64),
    ) -> Result<(), Error> {
        use import_run::{Column, Entity, Model};
        if !self.is_stored() {
            let row = Model {
                id: self.id,
                source: import.source.trim().to_owned(),
                purpose_code: import.purpose.clone(),
                actor: import.actor.clone(),
                started_at: self.started_at,
                last_at: tx.now(),
                imported: 0,
                updated: 0,
                undone_at: None,
            };
            let first = OnConflict::column(Column::Id).do_nothing().to_owned();
            Entity::insert(row.into_active_model().reset_all())
                .on_conflict(first)
                .exec_without_returning(tx.connection())
                .await?;
        }
        let more =
            |column: Column, number: u64| Expr::col(column).add(i64::try_from(number).unwrap_or(i64::MAX));
        let counted = Entity::update_many()
            .col_expr(Column::Imported, more(Column::Imported, imported))
            .col_expr(Column::Updated, more(Column::Updated, updated))
            .col_expr(Column::LastAt, Expr::value(tx.now()))
            .filter(Column::Id.eq(self.id))
            .filter(Column::UndoneAt.is_null())
            .exec(tx.connection())
            .await?;
        match counted.rows_affected {
            0 => Err(Error::new(Code::Conflict, "the import is being undone")),
            _ => Ok(()),
        }
    }

    /// Notes that a batch was committed.
    pub fn note_stored(&self) {
        self.is_stored.store(true, Ordering::Relaxed);
    }

    /// Whether anything of it is committed.
    pub fn is_stored(&self) -> bool {
        self.is_stored.load(Ordering::Relaxed)
    }
}

/// The latest runs, the last first.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn latest_runs(app: &App, limit: u64) -> Result<Vec<import_run::Model>, Error> {
    use sea_orm::QuerySelect;
    let runs = import_run::Entity::find().order_by_desc(import_run::Column::Id).limit(limit);
    Ok(runs.all(&app.db.reader).await?)
}
