//! The preference page, opened by the link in any mail. The mail may have been forwarded, so the page does not reveal
//! who it is for. Room: http/pages.

use askama::Template;
use axum::http::StatusCode;
use entity::{contact, contact_point};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::{
    choices::{self, Choice, Group, LinkHolder},
    forms::Form,
    page_request::PageRequest,
};
use crate::http::pages::{
    actions, queries,
    responses::{Layout, PageResponse, page},
};
use crate::{
    audit,
    base::{error::Error, fold},
    crypto::link_tokens,
    domain::{contacts, signups},
};

#[derive(Template)]
#[template(path = "preferences.html")]
struct Preferences<'p> {
    layout: &'p Layout<'p>,
    notice: Option<String>,
    choices: Vec<Choice>,
    groups: Vec<Group>,
}

/// The person behind a link, if its mailbox still belongs to that person.
///
/// # Errors
/// Those of the engine.
pub(super) async fn person(
    request: &PageRequest,
    link: &link_tokens::Preference,
) -> Result<Option<LinkHolder>, Error> {
    let Some(holder) = whose(request, link).await? else { return Ok(None) };
    let is_own = is_own(request, holder.contact, &link.mailbox).await?;
    Ok(is_own.then_some(holder))
}

/// Ends the mails that carried the preference link `token`, even if the address has changed since. The declaration
/// applies to the person's own record; the mailbox that received the mail is blocked, whoever owns it now. Reveals
/// nothing. Returns whether the link could end anything.
///
/// # Errors
/// Those of the engine.
pub(super) async fn unsubscribe(request: &PageRequest, token: &str) -> Result<bool, Error> {
    let Some(link) = link_tokens::open_preference(audit::installation_keys(&request.app).await?, token)
    else {
        return Ok(false);
    };
    let Some(holder) = whose(request, &link).await? else { return Ok(false) };
    actions::unsubscribe(request, &holder).await?;
    // Checked last, so that an address corrected meanwhile is covered either above or below.
    if let link_tokens::Mailbox::Key(key) = &link.mailbox
        && !is_own(request, holder.contact, &link.mailbox).await?
    {
        actions::stop_mails(request, &holder.actor, key, &holder.purpose).await?;
    }
    Ok(true)
}

async fn whose(request: &PageRequest, link: &link_tokens::Preference) -> Result<Option<LinkHolder>, Error> {
    // A withdrawal must not get lost after a merge.
    let contact = contacts::merge::surviving_id(&request.app.db.reader, link.contact).await?;
    let actor = request.subject(contact)?;
    let person = queries::person(request, &actor, contact, false).await?;
    Ok(person.map(|person| LinkHolder { contact, purpose: link.purpose.clone(), actor, person }))
}

/// Whether a mailbox belongs to the person, as the primary or a further one.
async fn is_own(request: &PageRequest, contact: Uuid, mailbox: &link_tokens::Mailbox) -> Result<bool, Error> {
    let (app, installation_keys) = (&request.app, audit::installation_keys(&request.app).await?);
    let primary: Option<(Option<String>, Option<String>)> = contact::Entity::find_by_id(contact)
        .select_only()
        .column(contact::Column::Email)
        .column(contact::Column::EmailKey)
        .into_tuple()
        .one(&app.db.reader)
        .await?;
    let point_keys = contact_point::Entity::find()
        .select_only()
        .column(contact_point::Column::EmailKey)
        .filter(contact_point::Column::ContactId.eq(contact))
        .filter(contact_point::Column::EmailKey.is_not_null());
    let mut keys: Vec<String> = point_keys.into_tuple().all(&app.db.reader).await?;
    let (email, key) = primary.unwrap_or_default();
    keys.extend(key);
    // Old links contain the key of the first identity reader.
    keys.extend(email.as_deref().map(fold::email_key));
    let recomputed = match mailbox {
        // The key in the link may come from another identity reader.
        link_tokens::Mailbox::Key(key) => Some(app.identity_reader.email_key(key)),
        link_tokens::Mailbox::Digest(_) => None,
    };
    for key in keys {
        if recomputed.as_ref() == Some(&key) || mailbox.is(installation_keys, &key)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The notice about the last action.
pub(super) fn notice(request: &PageRequest) -> Option<String> {
    let done = request.notice.as_deref()?;
    let is_notice =
        ["withdrawn", "objected", "none", "fresh", "request", "again", "opened", "stopped", "closed"]
            .contains(&done);
    is_notice.then(|| request.texts.say(&format!("page-notice-{done}")))
}

/// Shows the page.
///
/// # Errors
/// Those of the engine.
pub(super) async fn show(request: &PageRequest, holder: &LinkHolder) -> Result<PageResponse, Error> {
    let (choices, groups) = load_choices(request, holder).await?;
    let layout = Layout::new(&request.app.pages, request.texts, request.texts.say("page-preferences-title"));
    page(StatusCode::OK, &Preferences { layout: &layout, notice: notice(request), choices, groups })
}

/// The choices of the page for the person.
async fn load_choices(
    request: &PageRequest,
    holder: &LinkHolder,
) -> Result<(Vec<Choice>, Vec<Group>), Error> {
    let (mut choices, groups) = choices::load_choices(request, holder.contact, &holder.person).await?;
    // The mail may have been forwarded, and its sender only knows this purpose: hide the state of the others.
    for choice in choices.iter_mut().filter(|choice| choice.code != holder.purpose) {
        choice.hide();
    }
    choices.retain(|choice| choice.code == holder.purpose || choice.grouped);
    Ok((choices, groups))
}

/// Performs the action of a button.
///
/// # Errors
/// Those of the engine; `BAD_USER_INPUT` if the page has no such button.
pub(super) async fn take(
    request: &PageRequest,
    holder: &LinkHolder,
    form: &Form,
) -> Result<PageResponse, Error> {
    if form.single("action") == Some("fresh") {
        let language = Some(request.texts.language);
        signups::send_magic_link_to_contact(&request.app, holder.contact, language, &request.request_id)
            .await?;
        return Ok(request.redirect_back("fresh"));
    }
    let not_of_page = || Error::bad_input("the form is not one of this page");
    let (choices, groups) = load_choices(request, holder).await?;
    if !choices::is_offered(&choices, &groups, form) {
        return Err(not_of_page());
    }
    let done = actions::apply(request, &holder.actor, holder.contact, form).await?.ok_or_else(not_of_page)?;
    Ok(request.redirect_back(done))
}
