//! What a person receives, by the link of any mail: it may have been passed on, so nothing tells who it is. Room: http/pages.

use askama::Template;
use axum::http::StatusCode;
use entity::{contact, contact_point};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::{
    choices::{self, Choice, Group, Person},
    forms::Form,
    visit::PageRequest,
};
use crate::http::pages::{
    actions, queries,
    responses::{Answer, Layout, page},
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
    frame: &'p Layout<'p>,
    notice: Option<String>,
    choices: Vec<Choice>,
    groups: Vec<Group>,
}

/// Whose link it is, as long as the mailbox it was made for is one of the person.
///
/// # Errors
/// Those of the engine.
pub(super) async fn person(
    visit: &PageRequest,
    link: &link_tokens::Preference,
) -> Result<Option<Person>, Error> {
    let Some(person) = whose(visit, link).await? else { return Ok(None) };
    let own = is_own(visit, person.contact, &link.mailbox).await?;
    Ok(own.then_some(person))
}

/// Ends the mails that the preference link `token` came with, also where the address has become another since: who wants no more of them is
/// not to be sent away for that. The person speaks for its own record; the mailbox that got the mail is blocked, whoever's it is. Nothing
/// is shown by it. Gives whether it is a link that ends anything.
///
/// # Errors
/// Those of the engine.
pub(super) async fn unsubscribe(visit: &PageRequest, token: &str) -> Result<bool, Error> {
    let Some(link) = link_tokens::open_preference(audit::ring(&visit.app).await?, token) else {
        return Ok(false);
    };
    let Some(person) = whose(visit, &link).await? else { return Ok(false) };
    actions::unsubscribe(visit, &person).await?;
    // Looked at only now: an address that is corrected meanwhile is either met above or met below.
    if let link_tokens::Mailbox::Key(key) = &link.mailbox
        && !is_own(visit, person.contact, &link.mailbox).await?
    {
        actions::stop_mails(visit, &person.actor, key, &person.purpose).await?;
    }
    Ok(true)
}

async fn whose(visit: &PageRequest, link: &link_tokens::Preference) -> Result<Option<Person>, Error> {
    // A withdrawal must not get lost because two records became one.
    let contact = contacts::merge::stays(&visit.app.db.reader, link.contact).await?;
    let actor = visit.subject(contact)?;
    let known = queries::person(visit, &actor, contact, false).await?;
    Ok(known.map(|known| Person { contact, purpose: link.purpose.clone(), actor, known }))
}

/// Whether a mailbox is one of the person's: the primary one or a further one.
async fn is_own(visit: &PageRequest, contact: Uuid, mailbox: &link_tokens::Mailbox) -> Result<bool, Error> {
    let (app, ring) = (&visit.app, audit::ring(&visit.app).await?);
    let primary: Option<(Option<String>, Option<String>)> = contact::Entity::find_by_id(contact)
        .select_only()
        .column(contact::Column::Email)
        .column(contact::Column::EmailKey)
        .into_tuple()
        .one(&app.db.reader)
        .await?;
    let further = contact_point::Entity::find()
        .select_only()
        .column(contact_point::Column::EmailKey)
        .filter(contact_point::Column::ContactId.eq(contact))
        .filter(contact_point::Column::EmailKey.is_not_null());
    let mut keys: Vec<String> = further.into_tuple().all(&app.db.reader).await?;
    let (email, key) = primary.unwrap_or_default();
    keys.extend(key);
    // Links of before were made for the key that the first reader made.
    keys.extend(email.as_deref().map(fold::email_key));
    let anew = match mailbox {
        // Another reader may have made the key that the link names.
        link_tokens::Mailbox::Key(key) => Some(app.reader.email_key(key)),
        link_tokens::Mailbox::Digest(_) => None,
    };
    for key in keys {
        if anew.as_ref() == Some(&key) || mailbox.is(ring, &key)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// What the page tells of what was done just before.
pub(super) fn notice(visit: &PageRequest) -> Option<String> {
    let done = visit.notice.as_deref()?;
    let known = ["withdrawn", "objected", "none", "fresh", "request", "again", "opened", "stopped", "closed"]
        .contains(&done);
    known.then(|| visit.texts.say(&format!("page-notice-{done}")))
}

/// Shows the page.
///
/// # Errors
/// Those of the engine.
pub(super) async fn show(visit: &PageRequest, person: &Person) -> Result<Answer, Error> {
    let (choices, groups) = offered(visit, person).await?;
    let frame = Layout::new(&visit.app.pages, visit.texts, visit.texts.say("page-preferences-title"));
    page(StatusCode::OK, &Preferences { frame: &frame, notice: notice(visit), choices, groups })
}

/// What the page offers to the person.
async fn offered(visit: &PageRequest, person: &Person) -> Result<(Vec<Choice>, Vec<Group>), Error> {
    let (mut choices, groups) = choices::of(visit, person.contact, &person.known).await?;
    // The link may have been passed on, and whoever writes mails for one purpose knows it: of others it tells nothing.
    for choice in choices.iter_mut().filter(|choice| choice.code != person.purpose) {
        choice.hide();
    }
    choices.retain(|choice| choice.code == person.purpose || choice.grouped);
    Ok((choices, groups))
}

/// Does what a button says.
///
/// # Errors
/// Those of the engine; `BAD_USER_INPUT` for what is no button of the page.
pub(super) async fn take(visit: &PageRequest, person: &Person, form: &Form) -> Result<Answer, Error> {
    if form.only("action") == Some("fresh") {
        let language = Some(visit.texts.language);
        signups::ask_fresh_for(&visit.app, person.contact, language, &visit.request_id).await?;
        return Ok(visit.back("fresh"));
    }
    let foreign = || Error::bad_input("the form is not one of this page");
    let (choices, groups) = offered(visit, person).await?;
    if !choices::offer(&choices, &groups, form) {
        return Err(foreign());
    }
    let done = actions::choose(visit, &person.actor, person.contact, form).await?.ok_or_else(foreign)?;
    Ok(visit.back(done))
}
