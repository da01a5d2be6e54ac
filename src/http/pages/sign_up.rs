//! Forms by which persons sign up: every text in full, nothing ticked in advance, the same answer for every address. Room: http/pages.

use askama::Template;
use axum::http::StatusCode;

use super::{forms::Form, visit::PageRequest};
use crate::http::pages::{
    language::{Texts, paragraphs},
    responses::{Answer, Fault, Layout, fault_of, is_first, page},
};
use crate::{
    audit::{self, Author},
    base::error::Error,
    domain::signups::{self, Choice, SignUp},
    policy::{FormDef, Policy},
    registry::Validator,
};

/// A purpose with its text.
struct Shown {
    code: String,
    title: String,
    version: String,
    text: Vec<String>,
    ticked: bool,
}

/// A name that may be given.
struct Name {
    field: &'static str,
    label: String,
    value: String,
    autocomplete: &'static str,
}

#[derive(Template)]
#[template(path = "sign_up.html")]
struct SignUpForm<'p> {
    frame: &'p Layout<'p>,
    faults: &'p [Fault],
    choices: Vec<Shown>,
    names: Vec<Name>,
    email: &'p str,
}

impl SignUpForm<'_> {
    fn fault(&self, field: &str) -> Option<&str> {
        fault_of(self.faults, field)
    }

    fn first(&self, field: &str) -> bool {
        is_first(self.faults, field)
    }
}

/// The purposes of a form with the texts that hold now; ticked where the person has ticked that very text.
fn shown(policy: &Policy, form: &FormDef, texts: Texts, filled: Option<&Form>) -> Vec<Shown> {
    let one = |code: &String| {
        let (purpose, text) = (policy.purpose(code)?, policy.current_text(code, texts.language)?);
        let ticked = filled.is_some_and(|filled| {
            filled.has("choice", code) && filled.get(&format!("version-{code}")) == Some(&text.version)
        });
        Some(Shown {
            code: code.clone(),
            title: texts.pick(&purpose.title_de, &purpose.title_en).to_owned(),
            version: text.version.clone(),
            text: paragraphs(&text.text),
            ticked,
        })
    };
    form.purposes.iter().filter_map(one).collect()
}

fn names(form: &FormDef, texts: Texts, filled: Option<&Form>) -> Vec<Name> {
    let known = [
        ("givenName", "page-form-given-name", "given-name"),
        ("familyName", "page-form-family-name", "family-name"),
    ];
    let asked = known.into_iter().filter(|(field, ..)| form.fields.iter().any(|asked| asked == field));
    let name = |(field, label, autocomplete): (&'static str, &str, &'static str)| Name {
        field,
        label: texts.say(label),
        value: filled.and_then(|filled| filled.get(field)).unwrap_or_default().to_owned(),
        autocomplete,
    };
    asked.map(name).collect()
}

fn write(
    visit: &PageRequest,
    texts: Texts,
    (policy, form): (&Policy, &FormDef),
    filled: Option<&Form>,
    faults: &[Fault],
) -> Result<Answer, Error> {
    let title = texts.pick(&form.title_de, &form.title_en).to_owned();
    let mut frame = Layout::new(&visit.app.pages, texts, title);
    frame.notice = form.notice_url.as_deref().or(frame.notice);
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let email = filled.and_then(|filled| filled.get("email")).unwrap_or_default();
    let choices = shown(policy, form, texts, filled);
    page(status, &SignUpForm { frame: &frame, faults, choices, names: names(form, texts, filled), email })
}

/// Shows the form.
///
/// # Errors
/// `INTERNAL` where a template cannot be written.
pub(super) fn show(visit: &PageRequest, code: &str) -> Result<Answer, Error> {
    let policy = visit.app.policy.current();
    match policy.form(code) {
        Some(form) => write(visit, visit.texts, (&policy, form), None, &[]),
        None => Ok(visit.nowhere()),
    }
}

/// What everybody is told who has sent the form.
///
/// # Errors
/// `INTERNAL` where a template cannot be written.
pub(super) fn sent(visit: &PageRequest, code: &str) -> Result<Answer, Error> {
    match visit.app.policy.current().form(code) {
        Some(_) => visit.message(StatusCode::OK, "sent", &["lead", "none", "nothing-done"]),
        None => Ok(visit.nowhere()),
    }
}

/// An e-mail address as it was typed, checked.
///
/// # Errors
/// What the person is told.
pub(super) fn address(visit: &PageRequest, typed: &str) -> Result<String, String> {
    match Validator::Email.check(typed, visit.app.now().date_naive()) {
        Ok(Some(address)) => Ok(address),
        Ok(None) => Err(visit.texts.say("page-fault-email-missing")),
        Err(_) => Err(visit.texts.say("page-fault-email-invalid")),
    }
}

/// Takes the form.
///
/// # Errors
/// Those of the database.
pub(super) async fn take(visit: &PageRequest, code: &str, filled: &Form) -> Result<Answer, Error> {
    let policy = visit.app.policy.current();
    let Some(form) = policy.form(code) else { return Ok(visit.nowhere()) };
    // The language of the texts that the person has read.
    let texts = filled.get("language").and_then(Texts::of).unwrap_or(visit.texts);
    let choices = shown(&policy, form, texts, Some(filled));
    let mut faults = Vec::new();
    let mut fault = |field, text| faults.push(Fault { field, text });
    let newer = |choice: &Shown| !choice.ticked && filled.has("choice", &choice.code);
    if choices.iter().any(newer) {
        fault("choices", texts.say("page-fault-texts-changed"));
    } else if !choices.iter().any(|choice| choice.ticked) {
        fault("choices", texts.say("page-fault-choice-missing"));
    }
    let address = address(visit, filled.get("email").unwrap_or_default());
    if let Err(text) = &address {
        fault("email", text.clone());
    }
    let mut given = |field: &'static str| {
        let typed = filled.get(field).filter(|_| form.fields.iter().any(|asked| asked == field));
        Validator::Line.check(typed.unwrap_or_default(), visit.app.now().date_naive()).unwrap_or_else(|_| {
            fault(field, texts.say("page-fault-name"));
            None
        })
    };
    let (given_name, family_name) = (given("givenName"), given("familyName"));
    let (Ok(address), true) = (address, faults.is_empty()) else {
        return write(visit, texts, (&policy, form), Some(filled), &faults);
    };
    if !filled.is_trapped() {
        let ticked = choices.into_iter().filter(|choice| choice.ticked);
        let new = SignUp {
            contact_id: None,
            address,
            given_name,
            family_name,
            language: texts.language.to_owned(),
            source: format!("form {code}"),
            choices: ticked
                .map(|choice| Choice { purpose: choice.code, text_version: Some(choice.version) })
                .collect(),
            notice_version: form.notice_version.clone(),
            signed_up_at: visit.app.now(),
        };
        record(visit, &policy, code, &new).await?;
    }
    Ok(visit.see(&format!("signup/{code}/sent")))
}

/// Records the sign-up.
async fn record(visit: &PageRequest, policy: &Policy, code: &str, new: &SignUp) -> Result<(), Error> {
    let author = Author {
        actor: format!("form:{code}"),
        roles: Vec::new(),
        purpose: Some(visit.app.pages.purpose.clone()),
        policy_revision: policy.revision().to_owned(),
        request_id: Some(visit.request_id.clone()),
    };
    let once = async || {
        let mut tx = audit::begin(&visit.app, author.clone()).await?;
        signups::sign_up(&mut tx, &visit.app, new).await?;
        tx.commit().await
    };
    audit::with_retry(once).await
}
