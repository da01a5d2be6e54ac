//! Declarations that a person confirms or renews by a link mailed to it: shown by GET, made by POST (floor 6).

use askama::Template;
use axum::http::StatusCode;
use entity::enums::LinkKind;

use super::{
    Visit,
    answers::{Answer, Frame, page},
    texts::paragraphs,
};
use crate::{error::Error, signups};

struct Shown {
    title: String,
    text: Vec<String>,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct Confirm<'p> {
    frame: &'p Frame<'p>,
    lead: String,
    button: String,
    until: String,
    /// Language of the texts, which are those that the person has seen.
    language: &'p str,
    choices: Vec<Shown>,
}

/// Shows what is to be declared.
///
/// # Errors
/// `INTERNAL` where a template cannot be written.
pub(super) fn show(visit: &Visit, pending: &signups::Pending) -> Result<Answer, Error> {
    let (texts, policy) = (visit.texts, visit.app.policy.current());
    let name = if pending.kind == LinkKind::Renew { "renew" } else { "confirm" };
    let frame = Frame::new(&visit.app.pages, texts, texts.say(&format!("page-{name}-title")));
    let choices = pending.purposes.iter().map(|(code, text)| Shown {
        title: policy
            .purpose(code)
            .map_or_else(String::new, |purpose| texts.pick(&purpose.title_de, &purpose.title_en).to_owned()),
        text: paragraphs(text),
    });
    let confirm = Confirm {
        frame: &frame,
        lead: texts.say(&format!("page-{name}-lead")),
        button: texts.say(&format!("page-{name}-button")),
        until: texts.with("page-confirm-until", &[("time", &texts.time(pending.expires_at))]),
        language: &pending.language,
        choices: choices.collect(),
    };
    page(StatusCode::OK, &confirm)
}

/// Makes the declaration, once.
///
/// # Errors
/// Those of the database.
pub(super) async fn take(visit: &Visit, token: &str) -> Result<Answer, Error> {
    match signups::confirm(&visit.app, token, &visit.request_id).await? {
        Some(_) => Ok(visit.see("confirmed")),
        None => visit.invalid(),
    }
}
