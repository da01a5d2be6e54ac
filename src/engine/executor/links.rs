//! Preference links, made from the address they are sent to. Room: engine/executor.

use uuid::Uuid;

use crate::{
    app::App,
    base::error::Error,
    config::public_pages::PublicPages,
    crypto::{
        installation_keys::InstallationKeys,
        link_tokens::{self, Mailbox, Preference},
    },
    engine::{
        cell::{Cell, Row},
        plan::{
            Plan,
            selection::{Column, ColumnExpr, Fetch},
        },
        scope::Scope,
    },
};

/// Keys and settings to make preference links.
pub(in crate::engine) struct Links<'r> {
    installation_keys: &'r InstallationKeys,
    pages: &'r PublicPages,
}

impl<'r> Links<'r> {
    /// The links that `plan` needs; `None` if it needs none or there are no public pages.
    ///
    /// # Errors
    /// `INTERNAL` if the installation keys are not loaded.
    pub(in crate::engine) fn for_plan(plan: &Plan, app: &'r App) -> Result<Option<Self>, Error> {
        if !plan.needs_installation_keys || app.pages.public_url.is_none() {
            return Ok(None);
        }
        let installation_keys = app
            .installation_keys
            .get()
            .ok_or_else(|| Error::internal("the installation keys are not loaded"))?;
        Ok(Some(Self { installation_keys, pages: &app.pages }))
    }

    /// The preference link of a contact, for mail to the mailbox `address` under the purpose of `scope`.
    fn preference_url(&self, scope: &Scope, contact: Uuid, address: &str) -> Result<String, Error> {
        let purpose = scope.purpose.as_ref().map_or_else(String::new, |purpose| purpose.code.clone());
        let mailbox = Mailbox::from_key(self.installation_keys, address)?;
        let token =
            link_tokens::preference(self.installation_keys, &Preference { contact, purpose, mailbox })?;
        self.pages.url(&token).ok_or_else(|| Error::internal("a link needs the public URL of the pages"))
    }
}

/// Replaces addresses in `rows` by their preference links, or by null without `links`.
pub(super) fn fill_links(
    links: Option<&Links<'_>>,
    scope: &Scope,
    rows: &mut [Row],
    fetch: &Fetch,
) -> Result<(), Error> {
    let is_link = |column: &Column| matches!(column.expr, ColumnExpr::Preference(_));
    let Some(slot) = fetch.columns.iter().position(is_link) else { return Ok(()) };
    for row in rows {
        let contact = row.first().cloned();
        let Some(cell) = row.get_mut(slot) else { continue };
        *cell = match (links, contact, &*cell) {
            (Some(links), Some(Cell::Uuid(contact)), Cell::Text(address)) => {
                Cell::Text(links.preference_url(scope, contact, address)?)
            }
            _ => Cell::Null,
        };
    }
    Ok(())
}
