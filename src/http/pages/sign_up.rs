//! Sign-up forms: every text in full, no pre-ticked boxes, the same response for every address. Room: http/pages.

use askama::Template;
use axum::http::StatusCode;

use super::{forms::Form, page_request::PageRequest};
use crate::http::pages::{
    language::{Texts, paragraphs},
    responses::{FieldError, Layout, PageResponse, error_of, is_first, page},
};
use crate::{
    audit::{self, Author},
    base::error::Error,
    domain::signups::{self, Choice, SignUp},
    policy::{FormDef, Policy},
    registry::Validator,
};

/// A purpose with its text.
struct PurposeChoice {
    code: String,
    title: String,
    version: String,
    text: Vec<String>,
    ticked: bool,
}

/// An optional name field.
struct NameField {
    field: &'static str,
    label: String,
    value: String,
    autocomplete: &'static str,
}

#[derive(Template)]
#[template(path = "sign_up.html")]
struct SignUpForm<'p> {
    layout: &'p Layout<'p>,
    errors: &'p [FieldError],
    choices: Vec<PurposeChoice>,
    names: Vec<NameField>,
    email: &'p str,
}

impl SignUpForm<'_> {
    fn error(&self, field: &str) -> Option<&str> {
        error_of(self.errors, field)
    }

    fn first(&self, field: &str) -> bool {
        is_first(self.errors, field)
    }
}

/// The purposes of a form with their current texts; ticked if the person ticked the same text version.
fn purpose_choices(
    policy: &Policy,
    form: &FormDef,
    texts: Texts,
    filled: Option<&Form>,
) -> Vec<PurposeChoice> {
    let purpose_choice = |code: &String| {
        let (purpose, text) = (policy.purpose(code)?, policy.current_text(code, texts.language)?);
        let ticked = filled.is_some_and(|filled| {
            filled.has("choice", code) && filled.get(&format!("version-{code}")) == Some(&text.version)
        });
        Some(PurposeChoice {
            code: code.clone(),
            title: texts.pick(&purpose.title_de, &purpose.title_en).to_owned(),
            version: text.version.clone(),
            text: paragraphs(&text.text),
            ticked,
        })
    };
    form.purposes.iter().filter_map(purpose_choice).collect()
}

fn names(form: &FormDef, texts: Texts, filled: Option<&Form>) -> Vec<NameField> {
    let supported = [
        ("givenName", "page-form-given-name", "given-name"),
        ("familyName", "page-form-family-name", "family-name"),
    ];
    let requested =
        supported.into_iter().filter(|(field, ..)| form.fields.iter().any(|requested| requested == field));
    let name = |(field, label, autocomplete): (&'static str, &str, &'static str)| NameField {
        field,
        label: texts.say(label),
        value: filled.and_then(|filled| filled.get(field)).unwrap_or_default().to_owned(),
        autocomplete,
    };
    requested.map(name).collect()
}

fn write(
    request: &PageRequest,
    texts: Texts,
    (policy, form): (&Policy, &FormDef),
    filled: Option<&Form>,
    errors: &[FieldError],
) -> Result<PageResponse, Error> {
    let title = texts.pick(&form.title_de, &form.title_en).to_owned();
    let mut layout = Layout::new(&request.app.pages, texts, title);
    layout.notice = form.notice_url.as_deref().or(layout.notice);
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    let email = filled.and_then(|filled| filled.get("email")).unwrap_or_default();
    let choices = purpose_choices(policy, form, texts, filled);
    page(status, &SignUpForm { layout: &layout, errors, choices, names: names(form, texts, filled), email })
}

/// Shows the form.
///
/// # Errors
/// `INTERNAL` where a template cannot be written.
pub(super) fn show(request: &PageRequest, code: &str) -> Result<PageResponse, Error> {
    let policy = request.app.policy.current();
    match policy.form(code) {
        Some(form) => write(request, request.texts, (&policy, form), None, &[]),
        None => Ok(request.not_found()),
    }
}

/// The page after sending the form, the same for everybody.
///
/// # Errors
/// `INTERNAL` where a template cannot be written.
pub(super) fn sent(request: &PageRequest, code: &str) -> Result<PageResponse, Error> {
    match request.app.policy.current().form(code) {
        Some(_) => request.message(StatusCode::OK, "sent", &["lead", "none", "nothing-done"]),
        None => Ok(request.not_found()),
    }
}

/// Checks a typed e-mail address.
///
/// # Errors
/// The text for the person.
pub(super) fn address(request: &PageRequest, typed: &str) -> Result<String, String> {
    match Validator::Email.validate(typed, request.app.now().date_naive()) {
        Ok(Some(address)) => Ok(address),
        Ok(None) => Err(request.texts.say("page-fault-email-missing")),
        Err(_) => Err(request.texts.say("page-fault-email-invalid")),
    }
}

/// Takes the form.
///
/// # Errors
/// Those of the database.
pub(super) async fn take(request: &PageRequest, code: &str, filled: &Form) -> Result<PageResponse, Error> {
    let policy = request.app.policy.current();
    let Some(form) = policy.form(code) else { return Ok(request.not_found()) };
    // The language of the texts that the person read.
    let texts = filled.get("language").and_then(Texts::for_language).unwrap_or(request.texts);
    let choices = purpose_choices(&policy, form, texts, Some(filled));
    let mut errors = Vec::new();
    let mut error = |field, text| errors.push(FieldError { field, text });
    let is_outdated = |choice: &PurposeChoice| !choice.ticked && filled.has("choice", &choice.code);
    if choices.iter().any(is_outdated) {
        error("choices", texts.say("page-fault-texts-changed"));
    } else if !choices.iter().any(|choice| choice.ticked) {
        error("choices", texts.say("page-fault-choice-missing"));
    }
    let address = address(request, filled.get("email").unwrap_or_default());
    if let Err(text) = &address {
        error("email", text.clone());
    }
    let mut parse_name = |field: &'static str| {
        let typed = filled.get(field).filter(|_| form.fields.iter().any(|requested| requested == field));
        Validator::Line.validate(typed.unwrap_or_default(), request.app.now().date_naive()).unwrap_or_else(
            |_| {
                error(field, texts.say("page-fault-name"));
                None
            },
        )
    };
    let (given_name, family_name) = (parse_name("givenName"), parse_name("familyName"));
    let (Ok(address), true) = (address, errors.is_empty()) else {
        return write(request, texts, (&policy, form), Some(filled), &errors);
    };
    if !filled.is_honeypot_filled() {
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
            signed_up_at: request.app.now(),
        };
        record(request, &policy, code, &new).await?;
    }
    Ok(request.redirect_to(&format!("signup/{code}/sent")))
}

/// Records the sign-up.
async fn record(request: &PageRequest, policy: &Policy, code: &str, new: &SignUp) -> Result<(), Error> {
    let author = Author {
        actor: format!("form:{code}"),
        roles: Vec::new(),
        purpose: Some(request.app.pages.purpose.clone()),
        policy_revision: policy.revision().to_owned(),
        request_id: Some(request.request_id.clone()),
    };
    let once = async || {
        let mut tx = audit::begin(&request.app, author.clone()).await?;
        signups::sign_up(&mut tx, &request.app, new).await?;
        tx.commit().await
    };
    audit::with_retry(once).await
}
