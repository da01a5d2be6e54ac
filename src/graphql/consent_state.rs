//! The status of a consent at an instant, read for a caller who may see the consent. Room: graphql.

use sea_orm::ActiveEnum;

use crate::{
    app::App,
    auth::actor::Actor,
    base::error::Error,
    domain::consents,
    engine::{PlannedConsentState, Scope, write_text},
};

/// The JSON of the status; null where the consent does not exist for the caller.
pub(super) async fn read(app: &App, actor: &Actor, planned: &PlannedConsentState) -> Result<String, Error> {
    let (connection, scope) = (&app.db.reader, Scope::for_actor(actor, app.now(), app.db.backend()));
    let Some(consent) = planned.visible(connection, &scope).await? else { return Ok("null".to_owned()) };
    let status = consents::status_at(connection, consent, planned.at.unwrap_or(scope.now)).await?;
    let mut json = String::new();
    write_text(&mut json, &status.to_value());
    Ok(json)
}
