//! The public pages `/p/...`: sign-up, confirmation, preferences, one-click unsubscribe; HTML without a script.
//! Room: http/pages.
//!
//! Pages read and write through the engine, as a client in the role of the data subjects: there is no second way to a
//! value. Without a valid link nothing is revealed: unknown, expired and used links look alike.
//!
//! `Actor::for_subject` only sees its own rows, whatever the purpose sees (`Scope.subject`, in every row rule). A page
//! shows one query, and an action is a mutation; the row rule of a purpose decides whether that purpose is in force. A
//! link opens a declaration, the account, a mailbox or the preferences; every other link gets the same response. A
//! magic link to a mailbox of several records acts as `Actor::for_mailbox` (`link:<id>`), which only declares if all
//! records belong to one person. The answer to the question of such a link (`domain/signups/mailboxes.rs`) is always
//! compared with every record, and the record that it opens is stored in the row of the link.
//! `domain/signups/owners.rs` decides by the typed name whose a sign-up is. GET changes nothing. Templates are askama,
//! texts Fluent. A preference link is stateless: it seals contact, purpose and mailbox (old links: a short digest of
//! the mailbox). It shows nothing once the mailbox no longer belongs to the person, but one click still blocks that
//! mailbox, and it follows merges (`contact_merge`, which only merges write).

mod account;
mod actions;
mod choices;
mod client_limits;
mod confirm;
mod downloads;
mod forms;
mod language;
mod mailbox;
mod page_request;
mod preferences;
mod queries;
mod responses;
mod sign_up;
mod uses;

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
    config::public_pages::PublicPages,
    crypto::link_tokens,
    domain::signups,
    policy::{Action, Grounds, Policy},
};
use client_limits::ClientLimits;
use forms::Form;
use page_request::{PageRequest, PagesState};
use responses::PageResponse;

/// How long to wait for a response beyond the time limit of an operation.
const RESPONSE_GRACE: Duration = Duration::from_secs(3);

/// The routes of the pages. `behind_proxy`: a trusted proxy states the client addresses.
pub(super) fn routes(shared: &Shared, behind_proxy: bool) -> Router<Shared> {
    let client_limits = ClientLimits::new(shared.app.pages.posts_per_minute, behind_proxy).map(Arc::new);
    let state = PagesState {
        app: shared.app.clone(),
        pipeline: shared.pipeline.clone(),
        limits: shared.limits,
        concurrency: shared.concurrency.clone(),
        client_limits,
    };
    let handler = any(handle).with_state(state);
    ["/p", "/p/", "/p/{*path}"]
        .into_iter()
        .fold(Router::new(), |router, path| router.route_service(path, handler.clone()))
}

/// Checks that the policy lets persons use the pages: otherwise every link would look invalid.
///
/// # Errors
/// A description of what is missing.
pub fn check_policy_supports_pages(policy: &Policy, pages: &PublicPages) -> Result<(), String> {
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
    let required = [
        ("Query.contact", Action::Execute),
        ("Contact.email", Action::Read),
        ("Contact.consents", Action::Read),
        ("Contact.objections", Action::Read),
        ("Mutation.withdrawConsent", Action::Execute),
        ("Mutation.recordObjection", Action::Execute),
        ("Objection.channel", Action::Create),
    ];
    let can = |object: &str, action| policy.object(object).is_some_and(|id| table.allows(id, action));
    match required.into_iter().find(|(object, action)| !can(object, *action)) {
        Some((object, action)) => {
            let (purpose, action) = (&pages.purpose, action.as_str());
            Err(format!(
                "`pages.enabled` needs `{action}` of `{object}` for role:{role} under purpose:{purpose}"
            ))
        }
        None => Ok(()),
    }
}

/// The route of a page request.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Route {
    Style,
    /// The form with this code.
    SignUp(String),
    /// The page after the form was sent.
    SignedUp(String),
    Link,
    LinkSent,
    Confirmed,
    /// The target of a link.
    Token(String),
    NotFound,
}

impl Route {
    /// Page names take precedence over tokens.
    fn parse(path: &str) -> Self {
        let parts: Vec<&str> = path.strip_prefix("/p/").unwrap_or_default().split('/').collect();
        match parts.as_slice() {
            ["style.css"] => Self::Style,
            ["signup", form] => Self::SignUp((*form).to_owned()),
            ["signup", form, "sent"] => Self::SignedUp((*form).to_owned()),
            ["link"] => Self::Link,
            ["link", "sent"] => Self::LinkSent,
            ["confirmed"] => Self::Confirmed,
            ["" | "signup"] => Self::NotFound,
            [token] => Self::Token((*token).to_owned()),
            _ => Self::NotFound,
        }
    }
}

/// Answers one request.
async fn handle(State(state): State<PagesState>, request: Request) -> Response {
    let page_request = PageRequest::from_request(&state, &request);
    let texts = page_request.texts;
    let bare = request.method() == Method::HEAD;
    let (answer, code) = match answer(&state, page_request, request).await {
        Ok(answer) => (answer, None),
        Err(error) => (responses::error_page(&state.app.pages, texts, status_of(&error)), Some(error.code)),
    };
    let mut response = responses::into_response(answer, texts);
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

/// Whether one more form may be sent by the link `token`. Other clients at the same address do not affect a valid link,
/// opt-outs are never refused, and other forms are counted per link.
fn may_post(request: &PageRequest, token: &str, target: &LinkTarget, form: &Form) -> bool {
    match target {
        // A one-click form is cheap, and a mail program reports its outcome to the person.
        LinkTarget::Nothing => form.is_one_click() || request.may_send(),
        _ if actions::is_opt_out(form) => true,
        _ => request.client_limits.as_ref().is_none_or(|client_limits| client_limits.may_send_by_link(token)),
    }
}

async fn answer(
    state: &PagesState,
    page_request: PageRequest,
    request: Request,
) -> Result<PageResponse, Error> {
    let route = Route::parse(request.uri().path());
    let (head, body) = request.into_parts();
    let refused = |status| Ok(responses::error_page(&state.app.pages, page_request.texts, status));
    let form = match head.method {
        Method::GET | Method::HEAD if route == Route::Style => {
            return Ok(responses::style(head.uri.query().unwrap_or_default()));
        }
        Method::GET | Method::HEAD => None,
        Method::POST => {
            let form = match Form::read(&head.headers, body, &state.limits).await {
                Ok(form) => form,
                Err(status) => return refused(status),
            };
            // Forms of links are counted once the target of the link is known.
            if !matches!(route, Route::Token(_)) && !page_request.may_send() {
                return refused(StatusCode::TOO_MANY_REQUESTS);
            }
            Some(form)
        }
        Method::OPTIONS => return Ok(PageResponse::Methods),
        _ => return refused(StatusCode::METHOD_NOT_ALLOWED),
    };
    // After the form is read, so that a slow client does not hold a permit.
    let permit = state.concurrency.acquire().await?;
    // A separate task, so that it completes when the client disconnects and this future is dropped.
    let task = tokio::spawn(
        async move {
            let answer = match form {
                None => show(&page_request, route).await,
                Some(form) => take(page_request, route, &form).await,
            };
            drop(permit);
            answer
        }
        .in_current_span(),
    );
    match tokio::time::timeout(state.limits.operation_time() + RESPONSE_GRACE, task).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) => Err(Error::internal("a page panicked")),
        Err(_) => Err(Error::timed_out()),
    }
}

/// Shows a page. This never changes anything, because mail scanners open every link.
async fn show(request: &PageRequest, route: Route) -> Result<PageResponse, Error> {
    match route {
        Route::SignUp(form) => sign_up::show(request, &form),
        Route::SignedUp(form) => sign_up::sent(request, &form),
        Route::Link => responses::link_form(&request.app.pages, request.texts, StatusCode::OK, "link", None),
        Route::LinkSent => request.message(StatusCode::OK, "link-sent", &["lead"]),
        Route::Confirmed => request.message(StatusCode::OK, "confirmed", &["lead", "close"]),
        Route::Token(token) => match resolve_link(request, &token).await? {
            LinkTarget::Declaration(pending) => confirm::show(request, &pending),
            LinkTarget::Account(contact) => match &request.download {
                Some(download) => downloads::show(request, contact, download).await,
                None => account::show(request, contact, &[], None).await,
            },
            LinkTarget::SharedMailbox(mailbox) => match &request.download {
                // It is unknown whose consent it is.
                Some(_) => request.invalid_link(),
                None => mailbox::show(request, &mailbox, &[]).await,
            },
            LinkTarget::Preferences(person) => preferences::show(request, &person).await,
            LinkTarget::Nothing => request.invalid_link(),
        },
        Route::Style | Route::NotFound => Ok(request.not_found()),
    }
}

/// Handles a form.
async fn take(mut request: PageRequest, route: Route, form: &Form) -> Result<PageResponse, Error> {
    // The notice of an earlier action does not apply to this one.
    request.notice = None;
    match route {
        Route::SignUp(code) => sign_up::take(&request, &code, form).await,
        Route::Link => send_magic_link(&request, form).await,
        Route::Token(token) if form.is_one_click() && !link_tokens::is_one_time_token(&token) => {
            // A link that can no longer show anything can still unsubscribe; a link that ends nothing is invalid.
            if !preferences::unsubscribe(&request, &token).await? {
                return request.invalid_link();
            }
            Ok(PageResponse::PlainText(format!("{}\n", request.texts.say("page-unsubscribed"))))
        }
        Route::Token(token) => match resolve_link(&request, &token).await? {
            target if !may_post(&request, &token, &target, form) => {
                Ok(responses::error_page(&request.app.pages, request.texts, StatusCode::TOO_MANY_REQUESTS))
            }
            LinkTarget::Declaration(pending) => confirm::take(&request, &token, &pending, form).await,
            // Only preference links support one-click unsubscribe.
            _ if form.is_one_click() => request.invalid_link(),
            LinkTarget::Account(contact) => match account::take(&request, contact, form).await {
                Err(error) if error.code == Code::BadUserInput => {
                    request.notice = Some("again".to_owned());
                    account::show(&request, contact, &[], None).await.map(PageResponse::into_unprocessable)
                }
                taken => taken,
            },
            LinkTarget::SharedMailbox(mailbox) => {
                match mailbox::take(&mut request, &token, &mailbox, form).await {
                    Err(error) if error.code == Code::BadUserInput => {
                        request.notice = Some("again".to_owned());
                        mailbox::show(&request, &mailbox, &[]).await.map(PageResponse::into_unprocessable)
                    }
                    taken => taken,
                }
            }
            LinkTarget::Preferences(person) => match preferences::take(&request, &person, form).await {
                Err(error) if error.code == Code::BadUserInput => {
                    request.notice = Some("again".to_owned());
                    preferences::show(&request, &person).await.map(PageResponse::into_unprocessable)
                }
                taken => taken,
            },
            LinkTarget::Nothing => request.invalid_link(),
        },
        Route::Style | Route::SignedUp(_) | Route::LinkSent | Route::Confirmed | Route::NotFound => {
            Ok(request.not_found())
        }
    }
}

/// The target of a link.
enum LinkTarget {
    /// A declaration to confirm or renew.
    Declaration(signups::Pending),
    /// The account page of a person.
    Account(uuid::Uuid),
    /// The page of a mailbox with several records.
    SharedMailbox(signups::SharedMailbox),
    /// The preferences of a person.
    Preferences(Box<choices::LinkHolder>),
    Nothing,
}

async fn resolve_link(request: &PageRequest, token: &str) -> Result<LinkTarget, Error> {
    let app = &request.app;
    if link_tokens::is_one_time_token(token) {
        if let Some(pending) = signups::pending(app, token).await? {
            return Ok(LinkTarget::Declaration(pending));
        }
        return Ok(match signups::open_magic_link(app, token).await? {
            Some(signups::MagicLinkTarget::Record(contact)) => LinkTarget::Account(contact),
            Some(signups::MagicLinkTarget::Mailbox(mailbox)) => LinkTarget::SharedMailbox(mailbox),
            None => LinkTarget::Nothing,
        });
    }
    let Some(link) = link_tokens::open_preference(audit::installation_keys(app).await?, token) else {
        return Ok(LinkTarget::Nothing);
    };
    let person = preferences::person(request, &link).await?;
    Ok(person.map_or(LinkTarget::Nothing, |person| LinkTarget::Preferences(Box::new(person))))
}

/// Mails a magic link to an address if it is known; the response is the same for every address.
async fn send_magic_link(request: &PageRequest, form: &Form) -> Result<PageResponse, Error> {
    let typed = form.get("email").unwrap_or_default();
    match sign_up::address(request, typed) {
        Err(error) => {
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            responses::link_form(&request.app.pages, request.texts, status, "link", Some((typed, error)))
        }
        Ok(address) => {
            if !form.is_honeypot_filled() {
                signups::send_magic_link(&request.app, &address, request.texts.language, &request.request_id)
                    .await?;
            }
            Ok(request.redirect_to("link/sent"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Route;

    #[test]
    fn names_go_before_tokens() {
        assert_eq!(Route::parse("/p/style.css"), Route::Style);
        assert_eq!(Route::parse("/p/signup/newsletter"), Route::SignUp("newsletter".to_owned()));
        assert_eq!(Route::parse("/p/signup/newsletter/sent"), Route::SignedUp("newsletter".to_owned()));
        assert_eq!(Route::parse("/p/link"), Route::Link);
        assert_eq!(Route::parse("/p/confirmed"), Route::Confirmed);
        assert_eq!(Route::parse("/p/mabc"), Route::Token("mabc".to_owned()));
        // A token may begin like the path.
        assert_eq!(Route::parse("/p/p/p"), Route::NotFound);
        assert_eq!(Route::parse("/p/pabc"), Route::Token("pabc".to_owned()));
        for path in ["/p", "/p/", "/p/signup", "/p/signup/", "/p/a/b", "/p/a/"] {
            assert!(matches!(Route::parse(path), Route::NotFound | Route::SignUp(_)), "{path}");
        }
    }
}
