//! The account page, opened by a mailed link: everything that persons may see of themselves. Room: http/pages.

use askama::Template;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    choices::{self, Choice, Group},
    forms::Form,
    page_request::PageRequest,
    preferences::notice,
    uses,
};
use crate::http::pages::{
    actions,
    language::{Texts, paragraphs},
    queries::{self, Consent, Person, PrivacyRequest, Text},
    responses::{FieldError, Layout, PageResponse, error_of, is_first, page},
};
use crate::{audit, base::error::Error, domain::suppressions, policy::Policy};

/// The rights that are exercised by a request; objections have their own buttons.
const KINDS: [&str; 5] = ["ACCESS", "RECTIFICATION", "ERASURE", "RESTRICTION", "PORTABILITY"];
/// Longest note, in characters.
const MAX_NOTE_CHARS: usize = 2_000;

struct ConsentHistory {
    id: Uuid,
    title: String,
    events: Vec<HistoryEvent>,
    texts: Vec<WordingShown>,
}

struct HistoryEvent {
    kind: String,
    time: String,
    text: Option<String>,
    source: Option<String>,
}

struct WordingShown {
    title: String,
    language: String,
    paragraphs: Vec<String>,
}

struct RequestRow {
    kind: String,
    status: String,
    received: String,
    due: String,
}

#[derive(Template)]
#[template(path = "account.html")]
struct Account<'p> {
    layout: &'p Layout<'p>,
    notice: Option<String>,
    errors: &'p [FieldError],
    name: String,
    email: String,
    choices: Vec<Choice>,
    groups: Vec<Group>,
    blocked: Vec<String>,
    histories: Vec<ConsentHistory>,
    requests: Vec<RequestRow>,
    kinds: Vec<(&'static str, String)>,
    typed_kind: String,
    typed_note: String,
}

impl Account<'_> {
    fn error(&self, field: &str) -> Option<&str> {
        error_of(self.errors, field)
    }

    fn first(&self, field: &str) -> bool {
        is_first(self.errors, field)
    }
}

/// Shows the page; after invalid input, with the errors and what was typed.
///
/// # Errors
/// Those of the engine.
pub(super) async fn show(
    request: &PageRequest,
    contact: Uuid,
    errors: &[FieldError],
    typed: Option<&Form>,
) -> Result<PageResponse, Error> {
    let actor = request.subject(contact)?;
    // The record may have been erased since the link was mailed.
    let Some(person) = queries::person(request, &actor, contact, true).await? else {
        return request.invalid_link();
    };
    let (choices, groups) = choices::load_choices(request, contact, &person).await?;
    let choices = uses::complete(request, &actor, contact, &person, choices).await?;
    let texts = request.texts;
    let layout = Layout::new(&request.app.pages, texts, texts.say("page-account-title"));
    let typed = |name: &str| typed.and_then(|form| form.get(name)).unwrap_or_default().to_owned();
    let account = Account {
        layout: &layout,
        notice: notice(request).filter(|_| errors.is_empty()),
        errors,
        name: name(texts, &person),
        email: person.email.clone().unwrap_or_else(|| texts.say("page-person-nothing")),
        choices,
        groups,
        blocked: blocked(request, &actor.policy, contact).await?,
        histories: histories(texts, &actor.policy, &person),
        requests: person
            .requests
            .iter()
            .flat_map(|list| &list.nodes)
            .map(|request_data| request_row(texts, request_data))
            .collect(),
        kinds: KINDS.map(|word| (word, kind(texts, word))).to_vec(),
        typed_kind: typed("kind"),
        typed_note: typed("note"),
    };
    let status = if errors.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    page(status, &account)
}

fn name(texts: Texts, person: &Person) -> String {
    let parts: Vec<&str> =
        [&person.given_name, &person.family_name].into_iter().flatten().map(String::as_str).collect();
    if parts.is_empty() { texts.say("page-person-nothing") } else { parts.join(" ") }
}

/// Texts that say for which purposes addresses of the person are on the suppression list.
async fn blocked(request: &PageRequest, policy: &Policy, contact: Uuid) -> Result<Vec<String>, Error> {
    let installation_keys = audit::installation_keys(&request.app).await?;
    let suppressions = suppressions::declared_for_contact(
        &request.app.db.reader,
        installation_keys,
        &request.app.identity_reader,
        contact,
    )
    .await?;
    let texts = request.texts;
    let lines = suppressions.iter().filter_map(|(_, code, since)| {
        let purpose = policy.purpose(code)?;
        let title = texts.pick(&purpose.title_de, &purpose.title_en);
        Some(texts.with("page-suppressed-lead", &[("time", &texts.time(*since)), ("purpose", title)]))
    });
    let mut lines: Vec<String> = lines.collect();
    // The same text for several addresses is shown once.
    lines.dedup();
    Ok(lines)
}

/// The label of an enum value.
fn word(texts: Texts, area: &str, word: Option<&str>) -> String {
    let text = word.and_then(|word| texts.find(&format!("page-{area}-{}", word.to_ascii_lowercase())));
    text.unwrap_or_else(|| texts.say("page-history-unknown"))
}

fn kind(texts: Texts, kind: &str) -> String {
    word(texts, "kind", Some(kind))
}

fn histories(texts: Texts, policy: &Policy, person: &Person) -> Vec<ConsentHistory> {
    let consents = person.consents.iter().flat_map(|consents| &consents.nodes);
    consents.map(|consent| history(texts, policy, consent)).collect()
}

fn history(texts: Texts, policy: &Policy, consent: &Consent) -> ConsentHistory {
    let purpose = consent.purpose.as_ref().and_then(|purpose| policy.purpose(&purpose.code));
    let purpose = purpose.map_or("", |purpose| texts.pick(&purpose.title_de, &purpose.title_en));
    let channel = word(texts, "channel", consent.channel.as_deref());
    let mut texts_seen: Vec<&Text> = Vec::new();
    let mut events = Vec::new();
    for event in consent.events.iter().flatten() {
        if let Some(text) = event.text.as_ref().filter(|text| !texts_seen.contains(text)) {
            texts_seen.push(text);
        }
        let version = event.text.as_ref().and_then(|text| text.version.as_deref());
        let time = event.declared_at.or(event.recorded_at).map(|at| texts.time(at));
        events.push(HistoryEvent {
            kind: word(texts, "event", event.kind.as_deref()),
            time: time.unwrap_or_else(|| texts.say("page-history-unknown")),
            text: version.map(|version| texts.with("page-history-text-version", &[("version", version)])),
            source: event.source.clone(),
        });
    }
    ConsentHistory {
        id: consent.id,
        title: texts.with("page-history-of", &[("purpose", purpose), ("channel", &channel)]),
        events,
        texts: texts_seen.into_iter().map(|text| wording_shown(texts, text)).collect(),
    }
}

fn wording_shown(texts: Texts, text: &Text) -> WordingShown {
    let version = text.version.as_deref().unwrap_or_default();
    WordingShown {
        title: texts.with("page-history-text-shown", &[("version", version)]),
        language: text.language.clone().unwrap_or_default(),
        paragraphs: paragraphs(text.text.as_deref().unwrap_or_default()),
    }
}

fn request_row(texts: Texts, request: &PrivacyRequest) -> RequestRow {
    let day =
        |at: Option<DateTime<Utc>>| at.map_or_else(|| texts.say("page-history-unknown"), |at| texts.day(at));
    RequestRow {
        kind: word(texts, "kind", request.kind.as_deref()),
        status: word(texts, "status", request.status.as_deref()),
        received: day(request.received_at),
        // The period ends at midnight after its last day.
        due: day(request.extended_until.or(request.due_at).map(|end| end - TimeDelta::seconds(1))),
    }
}

/// Performs the action of a button.
///
/// # Errors
/// Those of the engine; `BAD_USER_INPUT` if the page has no such button.
pub(super) async fn take(request: &PageRequest, contact: Uuid, form: &Form) -> Result<PageResponse, Error> {
    let actor = request.subject(contact)?;
    if form.single("action") != Some("request") {
        let not_of_page = || Error::bad_input("the form is not one of this page");
        let Some(person) = queries::person(request, &actor, contact, false).await? else {
            return request.invalid_link();
        };
        let (choices, groups) = choices::load_choices(request, contact, &person).await?;
        if !choices::is_offered(&choices, &groups, form) {
            return Err(not_of_page());
        }
        let done = actions::apply(request, &actor, contact, form).await?.ok_or_else(not_of_page)?;
        return Ok(request.redirect_back(done));
    }
    let kind = KINDS.into_iter().find(|word| form.get("kind") == Some(word));
    let note = form.get("note").map(str::trim).filter(|note| !note.is_empty());
    let mut errors = Vec::new();
    if kind.is_none() {
        errors.push(FieldError { field: "kind", text: request.texts.say("page-fault-kind-missing") });
    }
    if note.is_some_and(|note| note.chars().count() > MAX_NOTE_CHARS) {
        errors.push(FieldError { field: "note", text: request.texts.say("page-fault-note") });
    }
    match kind.filter(|_| errors.is_empty()) {
        Some(kind) => {
            actions::request(request, &actor, contact, kind, note).await?;
            Ok(request.redirect_back("request"))
        }
        None => show(request, contact, &errors, Some(form)).await,
    }
}
