//! Declarations that a person confirms or renews by a link mailed to it: shown by GET, made by the button of the page alone. Room: http/pages.

use askama::Template;
use axum::http::StatusCode;
use entity::enums::LinkKind;

use super::{forms::Form, visit::PageRequest};
use crate::http::pages::{
    language::paragraphs,
    responses::{Answer, Layout, page},
};
use crate::{
    base::error::Error,
    domain::signups::{self, Answered, Offer, Pending, Shown},
};

/// A declaration as the page shows it.
struct Choice {
    title: String,
    text: Vec<String>,
    /// Language of the text, which is the one that the person has seen.
    language: String,
    /// How it came to be asked.
    signed: Option<String>,
}

/// What was chosen together.
struct Set {
    choices: Vec<Choice>,
    /// What its own button sends, and says to those who hear it alone; none where there is nothing else.
    alone: Option<(String, String)>,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct Confirm<'p> {
    frame: &'p Layout<'p>,
    /// Why the page is shown again.
    fault: Option<String>,
    lead: String,
    act: &'p str,
    mark: String,
    button: String,
    until: String,
    sets: Vec<Set>,
}

/// What the button sends as `action`, which is a part of the keys of its texts too.
fn act(kind: LinkKind) -> &'static str {
    if kind == LinkKind::Renew { "renew" } else { "confirm" }
}

/// Shows what is to be declared.
///
/// # Errors
/// `INTERNAL` where a template cannot be written.
pub(super) fn show(visit: &PageRequest, pending: &Pending) -> Result<Answer, Error> {
    write(visit, pending, StatusCode::OK, None)
}

fn write(
    visit: &PageRequest,
    pending: &Pending,
    status: StatusCode,
    fault: Option<&str>,
) -> Result<Answer, Error> {
    let (texts, name) = (visit.texts, act(pending.kind));
    let frame = Layout::new(&visit.app.pages, texts, texts.say(&format!("page-{name}-title")));
    let marks = pending.sets();
    let several = marks.len() > 1;
    let set = |(id, mark): (_, String)| {
        let choices: Vec<Choice> =
            pending.offers.iter().filter(|offer| offer.set == id).map(|offer| choice(visit, offer)).collect();
        let titles: Vec<&str> = choices.iter().map(|choice| choice.title.as_str()).collect();
        let said = texts.with("page-confirm-only-of", &[("purposes", &titles.join(", "))]);
        Set { alone: several.then_some((mark, said)), choices }
    };
    let (lead, button) = match several {
        true => (texts.say("page-confirm-several"), texts.say("page-confirm-all")),
        false => (texts.say(&format!("page-{name}-lead")), texts.say(&format!("page-{name}-button"))),
    };
    let confirm = Confirm {
        frame: &frame,
        fault: fault.map(|key| texts.say(key)),
        lead,
        act: name,
        mark: pending.mark(),
        button,
        until: texts.with("page-confirm-until", &[("time", &texts.time(pending.expires_at))]),
        sets: marks.into_iter().map(set).collect(),
    };
    page(status, &confirm)
}

fn choice(visit: &PageRequest, offer: &Offer) -> Choice {
    let (texts, policy) = (visit.texts, visit.app.policy.current());
    let purpose = policy.purpose(&offer.purpose);
    let title = purpose.map_or("", |purpose| texts.pick(&purpose.title_de, &purpose.title_en));
    let signed = offer.signed_up_at.map(|at| {
        texts.with("page-confirm-signed", &[("time", &texts.time(at)), ("version", &offer.version)])
    });
    Choice {
        title: title.to_owned(),
        text: paragraphs(&offer.text),
        language: offer.language.clone(),
        signed,
    }
}

/// Makes the declaration, once, if the form is what a button of the page sends: the act must be a clear one (Art. 4(11)), and the
/// record says which (Art. 7(1)). Whatever else is sent shows the page again.
///
/// # Errors
/// Those of the database.
pub(super) async fn take(
    visit: &PageRequest,
    token: &str,
    pending: &Pending,
    form: &Form,
) -> Result<Answer, Error> {
    if form.is_one_click() {
        // A program that unsubscribes has done nothing wrong, and nothing else.
        return write(visit, pending, StatusCode::OK, Some("page-confirm-again"));
    }
    let pressed = !form.is_multipart() && form.only("action") == Some(act(pending.kind));
    let shown = match (form.get("shown"), form.only("shown")) {
        (None, _) => Some(Shown::Own),
        (Some(_), only) => only.map(Shown::Mark),
    };
    let Some(shown) = shown.filter(|_| pressed) else {
        return write(visit, pending, StatusCode::UNPROCESSABLE_ENTITY, Some("page-confirm-again"));
    };
    match signups::confirm_shown(&visit.app, token, shown, &visit.request_id).await? {
        Answered::Done(_) => Ok(visit.see("confirmed")),
        Answered::Changed => match signups::pending(&visit.app, token).await? {
            Some(now) => write(visit, &now, StatusCode::UNPROCESSABLE_ENTITY, Some("page-confirm-changed")),
            None => visit.invalid(),
        },
        Answered::Closed => visit.invalid(),
    }
}
