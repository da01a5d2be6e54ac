//! The master key in use, according to the database. Room: audit.

use entity::master_key;
use sea_orm::EntityTrait;

use crate::{app::App, base::error::Error};

/// Reads again which master key is in use. If it is not known here, nothing is wrapped until the next refresh.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn refresh_master_key(app: &App) -> Result<(), Error> {
    if let Some(row) = active_row(app).await?
        && !app.keys.set_in_use(&row.name)?
    {
        tracing::error!(master_key = row.name, "this server does not know the master key in use");
    }
    Ok(())
}

pub(super) async fn active_row(app: &App) -> Result<Option<master_key::Model>, Error> {
    Ok(master_key::Entity::find_by_id(1).one(&app.db.reader).await?)
}
