//! Receipts of consents, read for a caller who may see them. Room: graphql.

use crate::{
    app::App,
    auth::actor::Actor,
    base::error::Error,
    domain::receipts,
    engine::{PlannedReceipt, ReceiptPart, Scope},
};

/// The JSON of a receipt; null where the consent does not exist for the caller.
pub(super) async fn read(app: &App, actor: &Actor, planned: &PlannedReceipt) -> Result<String, Error> {
    let (connection, scope) = (&app.db.reader, Scope::for_actor(actor, app.now(), app.db.backend()));
    let null = || Ok("null".to_owned());
    let Some(consent) = planned.visible(connection, &scope).await? else { return null() };
    let Some(document) = receipts::document(connection, app, consent).await? else { return null() };
    planned.write(|part| match part {
        ReceiptPart::Html(language) => receipts::html(&document, language),
        _ => serde_json::to_string(&document).map_err(|_| Error::internal("a receipt cannot be serialised")),
    })
}
