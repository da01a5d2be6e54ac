//! The servers that run on the database, and the master keys that each of them knows. Room: jobs.
//!
//! A server sends a heartbeat every few seconds and deletes its row when it stops. The rows are not personal data, so
//! they have no audit entries.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use entity::server::{self, ActiveModel, Column, Entity};
use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, sea_query::OnConflict};
use uuid::Uuid;

use crate::{app::App, audit, base::error::Error};

/// How often a server sends a heartbeat.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);
/// After how long without a heartbeat a server counts as stopped.
const HEARTBEAT_TIMEOUT: TimeDelta = TimeDelta::seconds(30);
/// How long the rows of servers are kept that stopped without deregistering.
const RETENTION: TimeDelta = TimeDelta::days(1);

/// A server that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningServer {
    /// A new id at each start.
    pub id: Uuid,
    /// Version of the program.
    pub version: String,
    /// Names of the master keys that it knows.
    pub master_keys: Vec<String>,
    /// When it was started.
    pub started_at: DateTime<Utc>,
    /// The time of its last heartbeat.
    pub seen_at: DateTime<Utc>,
}

/// The row of this server.
#[derive(Clone, Copy, Debug)]
pub struct ServerRegistration {
    id: Uuid,
    started_at: DateTime<Utc>,
}

impl ServerRegistration {
    /// The registration of a server that starts now.
    pub fn new(app: &App) -> Self {
        Self { id: app.new_id(), started_at: app.now() }
    }

    /// Sends a heartbeat, and refreshes which master key is in use.
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

    /// Deletes the row of this server.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn deregister(self, app: &App) -> Result<(), Error> {
        Entity::delete_by_id(self.id).exec(&app.db.writer).await?;
        Ok(())
    }
}

/// The running servers, in the order of their start.
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
