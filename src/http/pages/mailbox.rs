//! A mailbox of several records: whether it is advertised to, with a switch for each kind; and one question, whose answer opens the
//! record of the person who knows it. Room: http/pages.
//!
//! Of the records nothing is told: not whose they are, not how many.

use std::sync::Arc;

use askama::Template;
use axum::http::StatusCode;

use super::{
    choices::{self, Choice, Group, has_consents, is_objectable},
    forms::Form,
    preferences::notice,
    visit::PageRequest,
};
use crate::http::pages::{
    actions, queries,
    responses::{Answer, Fault, Layout, fault_of, is_first, page},
};
use crate::{
    audit,
    auth::actor::Actor,
    base::error::Error,
    domain::{
        contacts::Address,
        signups::{self, Mailbox, Tried},
        suppressions,
    },
    policy::{Channel, Grounds, PurposeDef},
};

#[derive(Template)]
#[template(path = "mailbox.html")]
struct Shown<'p> {
    frame: &'p Layout<'p>,
    notice: Option<String>,
    faults: &'p [Fault],
    choices: Vec<Choice>,
    groups: Vec<Group>,
    asks: bool,
}

impl Shown<'_> {
    fn fault(&self, field: &str) -> Option<&str> {
        fault_of(self.faults, field)
    }

    fn first(&self, field: &str) -> bool {
        is_first(self.faults, field)
    }
}

/// Shows the page, with what was wrong.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn show(visit: &PageRequest, mailbox: &Mailbox, faults: &[Fault]) -> Result<Answer, Error> {
    let (choices, groups) = offered(visit, mailbox).await?;
    let frame = Layout::new(&visit.app.pages, visit.texts, visit.texts.say("page-mailbox-title"));
    let notice = notice(visit).filter(|_| faults.is_empty());
    let shown = Shown { frame: &frame, notice, faults, choices, groups, asks: mailbox.asks };
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    page(status, &shown)
}

/// Whether mails of this kind of advertising may go to a mailbox.
fn is_mailed(purpose: &PurposeDef) -> bool {
    let by_mail = purpose.channels.is_empty() || purpose.channels.contains(&Channel::Email);
    let ends = purpose.grounds == Grounds::Consent || is_objectable(purpose);
    !purpose.is_group && purpose.group.is_some() && by_mail && ends
}

/// How it stands with each kind of advertising by mail, and what the page offers.
async fn offered(visit: &PageRequest, mailbox: &Mailbox) -> Result<(Vec<Choice>, Vec<Group>), Error> {
    let (app, policy) = (&visit.app, visit.app.policy.current());
    let address = Address::email(&app.reader, &mailbox.key)?;
    let reached = address.reached();
    let ring = audit::ring(app).await?;
    let list =
        suppressions::find(&app.db.reader, Some(ring), &app.reader, std::slice::from_ref(reached)).await?;
    let mut choices = Vec::new();
    let mut live: Vec<&Arc<PurposeDef>> = Vec::new();
    for purpose in policy.purposes().iter().filter(|purpose| is_mailed(purpose)) {
        let reaches = queries::reaches(visit, &mailbox.key, purpose).await?;
        if reaches {
            live.push(purpose);
        }
        let stopped = !reaches && list.blocked(&policy, reached, &purpose.code).is_some();
        choices.push(Choice {
            code: purpose.code.clone(),
            title: visit.texts.pick(&purpose.title_de, &purpose.title_en).to_owned(),
            description: visit.texts.pick(&purpose.description_de, &purpose.description_en).to_owned(),
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
        choices::kinds(&policy, &group.code).any(|kind| is_mailed(kind)) || has_consents(&policy, &group.code)
    });
    let groups = groups.map(|group| Group {
        code: group.code.clone(),
        done: list.blocked(&policy, reached, &group.code).is_some()
            && !live.iter().any(|kind| kind.group.as_deref() == Some(&group.code)),
    });
    let groups = groups.collect();
    Ok((choices, groups))
}

/// Does what a button says.
///
/// # Errors
/// Those of the engine; `BAD_USER_INPUT` for what is no button of the page.
pub(super) async fn take(
    visit: &mut PageRequest,
    token: &str,
    mailbox: &Mailbox,
    form: &Form,
) -> Result<Answer, Error> {
    let foreign = || Error::bad_input("the form is not one of this page");
    if form.only("action") == Some("open") {
        // Where the page asks nothing any more, it has no such form.
        let told = form.only("answer").filter(|_| mailbox.asks).ok_or_else(foreign)?;
        return open(visit, token, mailbox, told).await;
    }
    let (choices, groups) = offered(visit, mailbox).await?;
    if !choices::offer(&choices, &groups, form) {
        return Err(foreign());
    }
    let records = signups::records(&visit.app, mailbox).await?;
    let (app, policy) = (&visit.app, visit.app.policy.current());
    let (purpose, request) = (&app.pages.purpose, visit.request_id.clone());
    let actor = Actor::for_mailbox(policy, mailbox.link, records, purpose, app.now(), request)?;
    let done = actions::stop(visit, &actor, &mailbox.key, form).await?.ok_or_else(foreign)?;
    Ok(visit.back(done))
}

/// Opens the record that the person tells something of.
async fn open(visit: &mut PageRequest, token: &str, mailbox: &Mailbox, told: &str) -> Result<Answer, Error> {
    let fault = match signups::tell(&visit.app, token, told, &visit.request_id).await? {
        Some(Tried::Opened) => return Ok(visit.back("opened")),
        None => "page-fault-answer-missing",
        Some(Tried::Wrong) => "page-fault-answer",
        Some(Tried::Closed) => return closed(visit, mailbox).await,
    };
    let fault = Fault { field: "answer", text: visit.texts.say(fault) };
    match signups::fresh(&visit.app, token).await? {
        Some(signups::Fresh::Mailbox(left)) if !left.asks => closed(visit, &left).await,
        _ => show(visit, mailbox, &[fault]).await,
    }
}

/// The page that asks nothing any more.
async fn closed(visit: &mut PageRequest, mailbox: &Mailbox) -> Result<Answer, Error> {
    visit.notice = Some("closed".to_owned());
    let mailbox = Mailbox { asks: false, ..mailbox.clone() };
    show(visit, &mailbox, &[]).await.map(Answer::refused)
}
