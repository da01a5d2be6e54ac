//! Confirmation and renewal of declarations by a mailed link: GET shows them, only the button declares.
//! Room: http/pages.

use askama::Template;
use axum::http::StatusCode;
use entity::enums::LinkKind;

use super::{forms::Form, page_request::PageRequest};
use crate::http::pages::{
    language::paragraphs,
    responses::{Layout, PageResponse, page},
};
use crate::{
    base::error::Error,
    domain::signups::{self, LinkOutcome, Offer, Pending, ShownOffers},
};

/// A declaration as the page shows it.
struct Declaration {
    title: String,
    text: Vec<String>,
    /// Language of the text that the person saw.
    language: String,
    /// When and with which text version the person signed up.
    signed: Option<String>,
}

/// Declarations that were requested together.
struct DeclarationSet {
    choices: Vec<Declaration>,
    /// The value and the accessible label of its own button; `None` if it is the only set.
    alone: Option<(String, String)>,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct Confirm<'p> {
    layout: &'p Layout<'p>,
    /// Why the page is shown again, if it is.
    error: Option<String>,
    lead: String,
    action: &'p str,
    mark: String,
    button: String,
    until: String,
    sets: Vec<DeclarationSet>,
}

/// The value that the button sends as `action`; also part of its text keys.
fn action(kind: LinkKind) -> &'static str {
    if kind == LinkKind::Renew { "renew" } else { "confirm" }
}

/// Shows what the person is asked to declare.
///
/// # Errors
/// `INTERNAL` where a template cannot be written.
pub(super) fn show(request: &PageRequest, pending: &Pending) -> Result<PageResponse, Error> {
    write(request, pending, StatusCode::OK, None)
}

fn write(
    request: &PageRequest,
    pending: &Pending,
    status: StatusCode,
    error: Option<&str>,
) -> Result<PageResponse, Error> {
    let (texts, name) = (request.texts, action(pending.kind));
    let layout = Layout::new(&request.app.pages, texts, texts.say(&format!("page-{name}-title")));
    let sets = pending.sets();
    let several = sets.len() > 1;
    let declaration_set = |(id, mark): (_, String)| {
        let choices: Vec<Declaration> = pending
            .offers
            .iter()
            .filter(|offer| offer.set == id)
            .map(|offer| choice(request, offer))
            .collect();
        let titles: Vec<&str> = choices.iter().map(|choice| choice.title.as_str()).collect();
        let label = texts.with("page-confirm-only-of", &[("purposes", &titles.join(", "))]);
        DeclarationSet { alone: several.then_some((mark, label)), choices }
    };
    let (lead, button) = match several {
        true => (texts.say("page-confirm-several"), texts.say("page-confirm-all")),
        false => (texts.say(&format!("page-{name}-lead")), texts.say(&format!("page-{name}-button"))),
    };
    let confirm = Confirm {
        layout: &layout,
        error: error.map(|key| texts.say(key)),
        lead,
        action: name,
        mark: pending.mark(),
        button,
        until: texts.with("page-confirm-until", &[("time", &texts.time(pending.expires_at))]),
        sets: sets.into_iter().map(declaration_set).collect(),
    };
    page(status, &confirm)
}

fn choice(request: &PageRequest, offer: &Offer) -> Declaration {
    let (texts, policy) = (request.texts, request.app.policy.current());
    let purpose = policy.purpose(&offer.purpose);
    let title = purpose.map_or("", |purpose| texts.pick(&purpose.title_de, &purpose.title_en));
    let signed = offer.signed_up_at.map(|at| {
        texts.with("page-confirm-signed", &[("time", &texts.time(at)), ("version", &offer.version)])
    });
    Declaration {
        title: title.to_owned(),
        text: paragraphs(&offer.text),
        language: offer.language.clone(),
        signed,
    }
}

/// Makes the declaration, once, if a button of the page sent the form: it must be a clear affirmative act (Art. 4(11)),
/// which the record proves (Art. 7(1)). Any other form shows the page again.
///
/// # Errors
/// Those of the database.
pub(super) async fn take(
    request: &PageRequest,
    token: &str,
    pending: &Pending,
    form: &Form,
) -> Result<PageResponse, Error> {
    if form.is_one_click() {
        // A mail program that unsubscribes by one click has not declared anything here.
        return write(request, pending, StatusCode::OK, Some("page-confirm-again"));
    }
    let is_pressed = !form.is_multipart() && form.single("action") == Some(action(pending.kind));
    let shown = match (form.get("shown"), form.single("shown")) {
        (None, _) => Some(ShownOffers::Own),
        (Some(_), only) => only.map(ShownOffers::Mark),
    };
    let Some(shown) = shown.filter(|_| is_pressed) else {
        return write(request, pending, StatusCode::UNPROCESSABLE_ENTITY, Some("page-confirm-again"));
    };
    match signups::confirm_if_shown(&request.app, token, shown, &request.request_id).await? {
        LinkOutcome::Done(_) => Ok(request.redirect_to("confirmed")),
        LinkOutcome::Changed => match signups::pending(&request.app, token).await? {
            Some(now) => write(request, &now, StatusCode::UNPROCESSABLE_ENTITY, Some("page-confirm-changed")),
            None => request.invalid_link(),
        },
        LinkOutcome::Closed => request.invalid_link(),
    }
}
