//! Links by which persons decide, made of the addresses they are made for. Room: engine/executor.

use uuid::Uuid;

use crate::{
    app::App,
    base::error::Error,
    config::public_pages::Pages,
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

/// What links of persons are made with.
pub(in crate::engine) struct Links<'r> {
    installation_keys: &'r InstallationKeys,
    pages: &'r Pages,
}

impl<'r> Links<'r> {
    /// What `plan` needs of it; nothing where there are no public pages.
    ///
    /// # Errors
    /// `INTERNAL` where the keys of the installation were not fetched.
    pub(in crate::engine) fn for_plan(plan: &Plan, app: &'r App) -> Result<Option<Self>, Error> {
        if !plan.needs_installation_keys || app.pages.public_url.is_none() {
            return Ok(None);
        }
        let installation_keys =
            app.ring.get().ok_or_else(|| Error::internal("the keys of the installation"))?;
        Ok(Some(Self { installation_keys, pages: &app.pages }))
    }

    /// The link to the preferences of a contact, for mails of the purpose of `scope` to the mailbox `address`.
    fn preference_url(&self, scope: &Scope, contact: Uuid, address: &str) -> Result<String, Error> {
        let purpose = scope.purpose.as_ref().map_or_else(String::new, |purpose| purpose.code.clone());
        let mailbox = Mailbox::of(self.installation_keys, address)?;
        let token =
            link_tokens::preference(self.installation_keys, &Preference { contact, purpose, mailbox })?;
        self.pages.url(&token).ok_or_else(|| Error::internal("a link without an address of the pages"))
    }
}

/// Makes links of the addresses they are made for, in place; without `links` there are none.
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
