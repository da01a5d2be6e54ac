//! The public pages `/p/...`: sign-up, confirmation, preferences, one-click unsubscribe; HTML without a script. Room: http/pages.
//!
//! What persons see is read through the engine, and what they do is done through it, as a client in the role of the persons: there
//! is no second way to a value. Whoever holds no valid link learns nothing: what is unknown, ended or used looks alike.
//!
//! `Actor::of_subject` sees its own rows alone, whatever the
//! purpose sees (`Scope.subject`, in every row rule). What they show is one query, what they do is a mutation;
//! whether a purpose holds is asked by the row rule of that purpose. A link opens a declaration, the account, a
//! mailbox or the preferences, or nothing; what opens nothing gets one answer, whatever the reason. A fresh link to a
//! mailbox of several records acts as `Actor::of_mailbox` (`link:<id>`), who declares only where all of them are one
//! person's; the answer to its one question (`domain/signups/mailboxes.rs`) is compared with every record to the end,
//! and what it opens stands in the row of the link. Whose a sign-up is, `domain/signups/owners.rs` decides by the
//! name typed with it. GET changes nothing. Templates are askama, texts Fluent. A preference link is stateless:
//! contact, purpose and mailbox, sealed (links of before: a short digest of the mailbox); it shows nothing once the
//! mailbox is none of the person's any more, one click blocks that mailbox all the same, and it follows a merge
//! (`contact_merge`, which merges alone write).

mod account;
mod actions;
mod choices;
mod client_limits;
mod confirm;
mod downloads;
mod forms;
mod language;
mod mailbox;
mod preferences;
mod queries;
mod responses;
mod sign_up;
mod uses;
mod visit;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Method, StatusCode},
    response::Response,
    routing::any,
};
use tracing::Instrument;

pub(super) use client_limits::Peer;

use super::shared::Shared;
use crate::http::response::RequestLogFields;
use crate::{
    audit,
    base::error::{Code, Error},
    config::public_pages::Pages,
    crypto::link_tokens,
    domain::signups,
    policy::{Action, Grounds, Policy},
};
use client_limits::Clients;
use forms::Form;
use responses::Answer;
use visit::{PageRequest, PagesState};

/// How much longer than an operation may take its answer is waited for.
const RESPONSE_GRACE: Duration = Duration::from_secs(3);

/// The pages. `proxied`: clients come through a proxy that says who they are.
pub(super) fn routes(shared: &Shared, proxied: bool) -> Router<Shared> {
    let clients = Clients::new(shared.app.pages.posts_per_minute, proxied).map(Arc::new);
    let site = PagesState {
        app: shared.app.clone(),
        pipeline: shared.pipeline.clone(),
        limits: shared.limits,
        concurrency: shared.concurrency.clone(),
        clients,
    };
    let handler = any(handle).with_state(site);
    ["/p", "/p/", "/p/{*path}"]
        .into_iter()
        .fold(Router::new(), |router, path| router.route_service(path, handler.clone()))
}

/// Whether the policy lets persons use the pages: without it every link would look like one that is not valid any more.
///
/// # Errors
/// What is missing.
pub fn check_policy_supports_pages(policy: &Policy, pages: &Pages) -> Result<(), String> {
    let purpose = policy.purpose(&pages.purpose);
    if purpose.is_none_or(|purpose| !purpose.sees_all || purpose.grounds != Grounds::EveryContact) {
        let message = "must be a purpose of the policy that holds for every contact and sees all";
        return Err(format!("`pages.purpose` {message}"));
    }
    let Some(role) = policy.role_of_subjects() else {
        return Err("`pages.enabled` needs a role of the persons (`of_subject`) in the policy".to_owned());
    };
    let table = policy
        .table(&[role.to_owned()], &pages.purpose, None)
        .map_err(|_| "`pages.purpose` is not known".to_owned())?;
    let needed = [
        ("Query.contact", Action::Execute),
        ("Contact.email", Action::Read),
        ("Contact.consents", Action::Read),
        ("Contact.objections", Action::Read),
        ("Mutation.withdrawConsent", Action::Execute),
        ("Mutation.recordObjection", Action::Execute),
        ("Objection.channel", Action::Create),
    ];
    let may = |object: &str, action| policy.object(object).is_some_and(|id| table.allows(id, action));
    match needed.into_iter().find(|(object, action)| !may(object, *action)) {
        Some((object, action)) => {
            let (purpose, action) = (&pages.purpose, action.as_str());
            Err(format!(
                "`pages.enabled` needs `{action}` of `{object}` for role:{role} under purpose:{purpose}"
            ))
        }
        None => Ok(()),
    }
}

/// A page that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Style,
    /// The form with this code.
    SignUp(String),
    /// What is said once it was sent.
    SignedUp(String),
    Link,
    LinkSent,
    Confirmed,
    /// What a link opens.
    Token(String),
    Nowhere,
}

impl Place {
    /// Names of pages go before tokens.
    fn of(path: &str) -> Self {
        let parts: Vec<&str> = path.strip_prefix("/p/").unwrap_or_default().split('/').collect();
        match parts.as_slice() {
            ["style.css"] => Self::Style,
            ["signup", form] => Self::SignUp((*form).to_owned()),
            ["signup", form, "sent"] => Self::SignedUp((*form).to_owned()),
            ["link"] => Self::Link,
            ["link", "sent"] => Self::LinkSent,
            ["confirmed"] => Self::Confirmed,
            ["" | "signup"] => Self::Nowhere,
            [token] => Self::Token((*token).to_owned()),
            _ => Self::Nowhere,
        }
    }
}

/// Answers one request.
async fn handle(State(site): State<PagesState>, request: Request) -> Response {
    let visit = PageRequest::of(&site, &request);
    let texts = visit.texts;
    let bare = request.method() == Method::HEAD;
    let (answer, code) = match answer(&site, visit, request).await {
        Ok(answer) => (answer, None),
        Err(error) => (responses::refusal(&site.app.pages, texts, status_of(&error)), Some(error.code)),
    };
    let mut response = responses::deliver(answer, texts);
    if bare {
        *response.body_mut() = Body::empty();
    }
    response.extensions_mut().insert(RequestLogFields { code, ..RequestLogFields::default() });
    response
}

fn status_of(error: &Error) -> StatusCode {
    match error.code {
        Code::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        Code::BadUserInput => StatusCode::BAD_REQUEST,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        Code::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Whether one more form may be sent by the link `token`. Whoever has a valid link is kept from nothing by others at the same address,
/// and what ends something is never refused. Other forms of one link are counted by themselves.
fn may_send_by(visit: &PageRequest, token: &str, opened: &Opened, form: &Form) -> bool {
    match opened {
        // A mail program tells the person what came of it, and it costs nothing.
        Opened::Nothing => form.is_one_click() || visit.may_send(),
        _ if actions::is_end(form) => true,
        _ => visit.clients.as_ref().is_none_or(|clients| clients.may_send_by(token)),
    }
}

async fn answer(site: &PagesState, visit: PageRequest, request: Request) -> Result<Answer, Error> {
    let place = Place::of(request.uri().path());
    let (head, body) = request.into_parts();
    let refused = |status| Ok(responses::refusal(&site.app.pages, visit.texts, status));
    let form = match head.method {
        Method::GET | Method::HEAD if place == Place::Style => {
            return Ok(responses::style(head.uri.query().unwrap_or_default()));
        }
        Method::GET | Method::HEAD => None,
        Method::POST => {
            let form = match Form::read(&head.headers, body, &site.limits).await {
                Ok(form) => form,
                Err(status) => return refused(status),
            };
            // Forms of links are counted once it is known what the link opens.
            if !matches!(place, Place::Token(_)) && !visit.may_send() {
                return refused(StatusCode::TOO_MANY_REQUESTS);
            }
            Some(form)
        }
        Method::OPTIONS => return Ok(Answer::Methods),
        _ => return refused(StatusCode::METHOD_NOT_ALLOWED),
    };
    // Only now: a client that is slow to send its form keeps no other from its turn.
    let taken = site.concurrency.acquire().await?;
    // A task of its own: it goes on to its end when the client hangs up and this future is dropped.
    let task = tokio::spawn(
        async move {
            let answer = match form {
                None => show(&visit, place).await,
                Some(form) => take(visit, place, &form).await,
            };
            drop(taken);
            answer
        }
        .in_current_span(),
    );
    match tokio::time::timeout(site.limits.operation_time() + RESPONSE_GRACE, task).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(Error::internal("a page panicked")),
        Err(_) => Err(Error::timed_out()),
    }
}

/// Shows a page. Nothing is changed by that: programs that look into mails open every link.
async fn show(visit: &PageRequest, place: Place) -> Result<Answer, Error> {
    match place {
        Place::SignUp(form) => sign_up::show(visit, &form),
        Place::SignedUp(form) => sign_up::sent(visit, &form),
        Place::Link => responses::asking(&visit.app.pages, visit.texts, StatusCode::OK, "link", None),
        Place::LinkSent => visit.message(StatusCode::OK, "link-sent", &["lead"]),
        Place::Confirmed => visit.message(StatusCode::OK, "confirmed", &["lead", "close"]),
        Place::Token(token) => match open(visit, &token).await? {
            Opened::Declaration(pending) => confirm::show(visit, &pending),
            Opened::Account(contact) => match &visit.paper {
                Some(paper) => downloads::show(visit, contact, paper).await,
                None => account::show(visit, contact, &[], None).await,
            },
            Opened::Mailbox(mailbox) => match &visit.paper {
                // Whose consent it is, is not known.
                Some(_) => visit.invalid(),
                None => mailbox::show(visit, &mailbox, &[]).await,
            },
            Opened::Preferences(person) => preferences::show(visit, &person).await,
            Opened::Nothing => visit.invalid(),
        },
        Place::Style | Place::Nowhere => Ok(visit.nowhere()),
    }
}

/// Takes what a form sends.
async fn take(mut visit: PageRequest, place: Place, form: &Form) -> Result<Answer, Error> {
    // What was done before is not done again.
    visit.notice = None;
    match place {
        Place::SignUp(code) => sign_up::take(&visit, &code, form).await,
        Place::Link => ask_for_link(&visit, form).await,
        Place::Token(token) if form.is_one_click() && !link_tokens::is_mailed(&token) => {
            // A link that may not show anything any more still ends what it was mailed for; what ends nothing says so.
            if !preferences::unsubscribe(&visit, &token).await? {
                return visit.invalid();
            }
            Ok(Answer::Word(format!("{}\n", visit.texts.say("page-unsubscribed"))))
        }
        Place::Token(token) => match open(&visit, &token).await? {
            opened if !may_send_by(&visit, &token, &opened, form) => {
                Ok(responses::refusal(&visit.app.pages, visit.texts, StatusCode::TOO_MANY_REQUESTS))
            }
            Opened::Declaration(pending) => confirm::take(&visit, &token, &pending, form).await,
            // Only the links of mails to subscribers end anything by one click.
            _ if form.is_one_click() => visit.invalid(),
            Opened::Account(contact) => match account::take(&visit, contact, form).await {
                Err(error) if error.code == Code::BadUserInput => {
                    visit.notice = Some("again".to_owned());
                    account::show(&visit, contact, &[], None).await.map(Answer::refused)
                }
                taken => taken,
            },
            Opened::Mailbox(mailbox) => match mailbox::take(&mut visit, &token, &mailbox, form).await {
                Err(error) if error.code == Code::BadUserInput => {
                    visit.notice = Some("again".to_owned());
                    mailbox::show(&visit, &mailbox, &[]).await.map(Answer::refused)
                }
                taken => taken,
            },
            Opened::Preferences(person) => match preferences::take(&visit, &person, form).await {
                Err(error) if error.code == Code::BadUserInput => {
                    visit.notice = Some("again".to_owned());
                    preferences::show(&visit, &person).await.map(Answer::refused)
                }
                taken => taken,
            },
            Opened::Nothing => visit.invalid(),
        },
        Place::Style | Place::SignedUp(_) | Place::LinkSent | Place::Confirmed | Place::Nowhere => {
            Ok(visit.nowhere())
        }
    }
}

/// What a link opens.
enum Opened {
    /// A declaration to be confirmed or renewed.
    Declaration(signups::Pending),
    /// Everything that the person may see of itself.
    Account(uuid::Uuid),
    /// What is mailed to a mailbox of several records.
    Mailbox(signups::Mailbox),
    /// What the person receives.
    Preferences(Box<choices::Person>),
    Nothing,
}

async fn open(visit: &PageRequest, token: &str) -> Result<Opened, Error> {
    let app = &visit.app;
    if link_tokens::is_mailed(token) {
        if let Some(pending) = signups::pending(app, token).await? {
            return Ok(Opened::Declaration(pending));
        }
        return Ok(match signups::fresh(app, token).await? {
            Some(signups::Fresh::Record(contact)) => Opened::Account(contact),
            Some(signups::Fresh::Mailbox(mailbox)) => Opened::Mailbox(mailbox),
            None => Opened::Nothing,
        });
    }
    let Some(link) = link_tokens::open_preference(audit::ring(app).await?, token) else {
        return Ok(Opened::Nothing);
    };
    let person = preferences::person(visit, &link).await?;
    Ok(person.map_or(Opened::Nothing, |person| Opened::Preferences(Box::new(person))))
}

/// Sends a fresh link to an address, if somebody is there; the answer is the same for all.
async fn ask_for_link(visit: &PageRequest, form: &Form) -> Result<Answer, Error> {
    let typed = form.get("email").unwrap_or_default();
    match sign_up::address(visit, typed) {
        Err(fault) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            responses::asking(&visit.app.pages, visit.texts, status, "link", Some((typed, fault)))
        }
        Ok(address) => {
            if !form.is_trapped() {
                signups::ask_fresh(&visit.app, &address, visit.texts.language, &visit.request_id).await?;
            }
            Ok(visit.see("link/sent"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn names_go_before_tokens() {
        assert_eq!(Place::of("/p/style.css"), Place::Style);
        assert_eq!(Place::of("/p/signup/newsletter"), Place::SignUp("newsletter".to_owned()));
        assert_eq!(Place::of("/p/signup/newsletter/sent"), Place::SignedUp("newsletter".to_owned()));
        assert_eq!(Place::of("/p/link"), Place::Link);
        assert_eq!(Place::of("/p/confirmed"), Place::Confirmed);
        assert_eq!(Place::of("/p/mabc"), Place::Token("mabc".to_owned()));
        // A token may begin like the path.
        assert_eq!(Place::of("/p/p/p"), Place::Nowhere);
        assert_eq!(Place::of("/p/pabc"), Place::Token("pabc".to_owned()));
        for path in ["/p", "/p/", "/p/signup", "/p/signup/", "/p/a/b", "/p/a/"] {
            assert!(matches!(Place::of(path), Place::Nowhere | Place::SignUp(_)), "{path}");
        }
    }
}
