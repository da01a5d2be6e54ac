//! Which servers run over the database, and which master keys each of them knows. Room: jobs.
//!
//! A server says every few seconds that it runs, and takes its row with it when it ends. It is no record of persons: no entry tells
//! of it.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use entity::server::{self, ActiveModel, Column, Entity};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, sea_query::OnConflict};
use uuid::Uuid;

use crate::{app::App, audit, base::error::Error};

/// How often a server says that it runs.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);
/// After how long without a word a server counts as ended.
const HEARTBEAT_TIMEOUT: TimeDelta = TimeDelta::seconds(30);
/// How long the rows of servers that ended without a word are kept.
const RETENTION: TimeDelta = TimeDelta::days(1);

/// A server that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningServer {
    /// Drawn anew at each start.
    pub id: Uuid,
    /// Version of the program.
    pub version: String,
    /// Names of the master keys that it knows.
    pub master_keys: Vec<String>,
    /// When it was started.
    pub started_at: DateTime<Utc>,
    /// When it last said that it runs.
    pub seen_at: DateTime<Utc>,
}

/// The row of this server.
#[derive(Clone, Copy, Debug)]
pub struct ServerRegistration {
    id: Uuid,
    started_at: DateTime<Utc>,
}

impl ServerRegistration {
    /// Of a server that starts now.
    pub fn new(app: &App) -> Self {
        Self { id: app.new_id(), started_at: app.now() }
    }

    /// Says that the server runs, and reads which master key is in use.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn heartbeat(self, app: &App) -> Result<(), Error> {
        let names = app.keys.names()?;
        let row = ActiveModel {
            id: Set(self.id),
            version: Set(env!("CARGO_PKG_VERSION").to_owned()),
            master_keys: Set(serde_json::json!(names).to_string()),
            started_at: Set(self.started_at),
            seen_at: Set(app.now()),
        };
        let update_seen_at = OnConflict::column(Column::Id).update_columns([Column::SeenAt]).to_owned();
        Entity::insert(row).on_conflict(update_seen_at).exec_without_returning(&app.db.writer).await?;
        Entity::delete_many().filter(Column::SeenAt.lt(app.now() - RETENTION)).exec(&app.db.writer).await?;
        audit::refresh_master_key(app).await
    }

    /// Takes its row away.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn deregister(self, app: &App) -> Result<(), Error> {
        Entity::delete_by_id(self.id).exec(&app.db.writer).await?;
        Ok(())
    }
}

/// The servers that run, the one that was started first in front.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn list_running(app: &App) -> Result<Vec<RunningServer>, Error> {
    let rows: Vec<server::Model> = Entity::find()
        .filter(Column::SeenAt.gt(app.now() - HEARTBEAT_TIMEOUT))
        .order_by_asc(Column::StartedAt)
        .all(&app.db.reader)
        .await?;
    let to_server = |row: server::Model| {
        let master_keys = serde_json::from_str(&row.master_keys);
        let master_keys = master_keys.map_err(|_| Error::internal("the row of a server"))?;
        let server::Model { id, version, started_at, seen_at, .. } = row;
        Ok(RunningServer { id, version, master_keys, started_at, seen_at })
    };
    rows.into_iter().map(to_server).collect()
}
