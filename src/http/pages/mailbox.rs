//! The page of a mailbox shared by several records: opt-outs per purpose, and one question whose answer opens a single
//! record. Room: http/pages.
//!
//! The page reveals nothing about the records: neither whose they are nor how many.

use std::sync::Arc;

use askama::Template;
use axum::http::StatusCode;

use super::{
    choices::{self, Choice, Group, has_consents, is_objectable},
    forms::Form,
    page_request::PageRequest,
    preferences::notice,
};
use crate::http::pages::{
    actions, queries,
    responses::{FieldError, Layout, PageResponse, error_of, is_first, page},
};
use crate::{
    audit,
    auth::actor::Actor,
    base::error::Error,
    domain::{
        contacts::Address,
        signups::{self, RecordAttempt, SharedMailbox},
        suppressions,
    },
    policy::{Channel, Grounds, PurposeDef},
};

#[derive(Template)]
#[template(path = "mailbox.html")]
struct MailboxPage<'p> {
    layout: &'p Layout<'p>,
    notice: Option<String>,
    errors: &'p [FieldError],
    choices: Vec<Choice>,
    groups: Vec<Group>,
    can_open_record: bool,
}

impl MailboxPage<'_> {
    fn error(&self, field: &str) -> Option<&str> {
        error_of(self.errors, field)
    }

    fn first(&self, field: &str) -> bool {
        is_first(self.errors, field)
    }
}

/// Shows the page with its errors.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn show(
    request: &PageRequest,
    mailbox: &SharedMailbox,
    errors: &[FieldError],
) -> Result<PageResponse, Error> {
    let (choices, groups) = load_choices(request, mailbox).await?;
    let layout = Layout::new(&request.app.pages, request.texts, request.texts.say("page-mailbox-title"));
    let notice = notice(request).filter(|_| errors.is_empty());
    let mailbox_page = MailboxPage {
        layout: &layout,
        notice,
        errors,
        choices,
        groups,
        can_open_record: mailbox.can_open_record,
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    page(status, &mailbox_page)
}

/// Whether this purpose is advertising that is sent by e-mail and can be ended.
fn is_mailed(purpose: &PurposeDef) -> bool {
    let by_mail = purpose.channels.is_empty() || purpose.channels.contains(&Channel::Email);
    let ends = purpose.grounds == Grounds::Consent || is_objectable(purpose);
    !purpose.is_group && purpose.group.is_some() && by_mail && ends
}

/// The state of each kind of advertising by e-mail, and the choices of the page.
async fn load_choices(
    request: &PageRequest,
    mailbox: &SharedMailbox,
) -> Result<(Vec<Choice>, Vec<Group>), Error> {
    let (app, policy) = (&request.app, request.app.policy.current());
    let address = Address::email(&app.identity_reader, &mailbox.key)?;
    let reached = address.addresses();
    let installation_keys = audit::installation_keys(app).await?;
    let suppressions = suppressions::find(
        &app.db.reader,
        Some(installation_keys),
        &app.identity_reader,
        std::slice::from_ref(reached),
    )
    .await?;
    let mut choices = Vec::new();
    let mut reached_purposes: Vec<&Arc<PurposeDef>> = Vec::new();
    for purpose in policy.purposes().iter().filter(|purpose| is_mailed(purpose)) {
        let reaches = queries::reaches(request, &mailbox.key, purpose).await?;
        if reaches {
            reached_purposes.push(purpose);
        }
        let stopped = !reaches && suppressions.blocked_channel(&policy, reached, &purpose.code).is_some();
        choices.push(Choice {
            code: purpose.code.clone(),
            title: request.texts.pick(&purpose.title_de, &purpose.title_en).to_owned(),
            description: request.texts.pick(&purpose.description_de, &purpose.description_en).to_owned(),
            state: match (reaches, stopped) {
                (true, _) => "reached",
                (false, true) => "stopped",
                (false, false) => "unreached",
            },
            action: (!stopped).then_some("stop"),
            ends: Some("stop"),
            grouped: true,
            details: None,
        });
    }
    let groups = policy.purposes().iter().filter(|purpose| purpose.is_group);
    let groups = groups.filter(|group| {
        choices::purposes_of_group(&policy, &group.code).any(|kind| is_mailed(kind))
            || has_consents(&policy, &group.code)
    });
    let groups = groups.map(|group| Group {
        code: group.code.clone(),
        done: suppressions.blocked_channel(&policy, reached, &group.code).is_some()
            && !reached_purposes.iter().any(|kind| kind.group.as_deref() == Some(&group.code)),
    });
    let groups = groups.collect();
    Ok((choices, groups))
}

/// Performs the action of a button.
///
/// # Errors
/// Those of the engine; `BAD_USER_INPUT` if the page has no such button.
pub(super) async fn take(
    request: &mut PageRequest,
    token: &str,
    mailbox: &SharedMailbox,
    form: &Form,
) -> Result<PageResponse, Error> {
    let not_of_page = || Error::bad_input("the form is not one of this page");
    if form.single("action") == Some("open") {
        // A page that no longer asks has no such form.
        let answer = form.single("answer").filter(|_| mailbox.can_open_record).ok_or_else(not_of_page)?;
        return open(request, token, mailbox, answer).await;
    }
    let (choices, groups) = load_choices(request, mailbox).await?;
    if !choices::is_offered(&choices, &groups, form) {
        return Err(not_of_page());
    }
    let records = signups::records_of_mailbox(&request.app, mailbox).await?;
    let (app, policy) = (&request.app, request.app.policy.current());
    let (purpose, request_id) = (&app.pages.purpose, request.request_id.clone());
    let actor = Actor::for_mailbox(policy, mailbox.link, records, purpose, app.now(), request_id)?;
    let done = actions::stop_mailbox(request, &actor, &mailbox.key, form).await?.ok_or_else(not_of_page)?;
    Ok(request.redirect_back(done))
}

/// Opens the record that the answer identifies.
async fn open(
    request: &mut PageRequest,
    token: &str,
    mailbox: &SharedMailbox,
    answer: &str,
) -> Result<PageResponse, Error> {
    let error = match signups::open_record(&request.app, token, answer, &request.request_id).await? {
        Some(RecordAttempt::Opened) => return Ok(request.redirect_back("opened")),
        None => "page-fault-answer-missing",
        Some(RecordAttempt::Wrong) => "page-fault-answer",
        Some(RecordAttempt::Closed) => return closed(request, mailbox).await,
    };
    let error = FieldError { field: "answer", text: request.texts.say(error) };
    match signups::open_magic_link(&request.app, token).await? {
        Some(signups::MagicLinkTarget::Mailbox(mailbox)) if !mailbox.can_open_record => {
            closed(request, &mailbox).await
        }
        _ => show(request, mailbox, &[error]).await,
    }
}

/// The page without the question.
async fn closed(request: &mut PageRequest, mailbox: &SharedMailbox) -> Result<PageResponse, Error> {
    request.notice = Some("closed".to_owned());
    let mailbox = SharedMailbox { can_open_record: false, ..mailbox.clone() };
    show(request, &mailbox, &[]).await.map(PageResponse::into_unprocessable)
}
