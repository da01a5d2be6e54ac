//! All that a person may see of itself, by a link mailed to it just now: name, history, texts, requests. Room: http/pages.

use askama::Template;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{
    choices::{self, Choice, Group},
    forms::Form,
    preferences::notice,
    uses,
    visit::PageRequest,
};
use crate::http::pages::{
    actions,
    language::{Texts, paragraphs},
    queries::{self, Consent, Known, PrivacyRequest, Text},
    responses::{Answer, Fault, Layout, fault_of, is_first, page},
};
use crate::{audit, base::error::Error, domain::suppressions, policy::Policy};

/// The rights that are used by a request; objections have buttons of their own.
const KINDS: [&str; 5] = ["ACCESS", "RECTIFICATION", "ERASURE", "RESTRICTION", "PORTABILITY"];
/// Longest note, in characters.
const MAX_NOTE_CHARS: usize = 2_000;

struct History {
    id: Uuid,
    title: String,
    events: Vec<Happened>,
    texts: Vec<Wording>,
}

struct Happened {
    kind: String,
    time: String,
    text: Option<String>,
    source: Option<String>,
}

struct Wording {
    title: String,
    language: String,
    paragraphs: Vec<String>,
}

struct Asked {
    kind: String,
    status: String,
    received: String,
    due: String,
}

#[derive(Template)]
#[template(path = "account.html")]
struct Account<'p> {
    frame: &'p Layout<'p>,
    notice: Option<String>,
    faults: &'p [Fault],
    name: String,
    email: String,
    choices: Vec<Choice>,
    groups: Vec<Group>,
    blocked: Vec<String>,
    histories: Vec<History>,
    requests: Vec<Asked>,
    kinds: Vec<(&'static str, String)>,
    typed_kind: String,
    typed_note: String,
}

impl Account<'_> {
    fn fault(&self, field: &str) -> Option<&str> {
        fault_of(self.faults, field)
    }

    fn first(&self, field: &str) -> bool {
        is_first(self.faults, field)
    }
}

/// Shows the page, with what was typed where that is to be mended.
///
/// # Errors
/// Those of the engine.
pub(super) async fn show(
    visit: &PageRequest,
    contact: Uuid,
    faults: &[Fault],
    typed: Option<&Form>,
) -> Result<Answer, Error> {
    let actor = visit.subject(contact)?;
    // The person may be gone since the link was mailed.
    let Some(known) = queries::person(visit, &actor, contact, true).await? else { return visit.invalid() };
    let (choices, groups) = choices::of(visit, contact, &known).await?;
    let choices = uses::complete(visit, &actor, contact, &known, choices).await?;
    let texts = visit.texts;
    let frame = Layout::new(&visit.app.pages, texts, texts.say("page-account-title"));
    let typed = |name: &str| typed.and_then(|form| form.get(name)).unwrap_or_default().to_owned();
    let account = Account {
        frame: &frame,
        notice: notice(visit).filter(|_| faults.is_empty()),
        faults,
        name: name(texts, &known),
        email: known.email.clone().unwrap_or_else(|| texts.say("page-person-nothing")),
        choices,
        groups,
        blocked: blocked(visit, &actor.policy, contact).await?,
        histories: histories(texts, &actor.policy, &known),
        requests: known.requests.iter().flat_map(|all| &all.nodes).map(|one| asked(texts, one)).collect(),
        kinds: KINDS.map(|word| (word, kind(texts, word))).to_vec(),
        typed_kind: typed("kind"),
        typed_note: typed("note"),
    };
    let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    page(status, &account)
}

fn name(texts: Texts, known: &Known) -> String {
    let parts: Vec<&str> =
        [&known.given_name, &known.family_name].into_iter().flatten().map(String::as_str).collect();
    if parts.is_empty() { texts.say("page-person-nothing") } else { parts.join(" ") }
}

/// For what addresses of the person are on the suppression list, in words.
async fn blocked(visit: &PageRequest, policy: &Policy, contact: Uuid) -> Result<Vec<String>, Error> {
    let ring = audit::ring(&visit.app).await?;
    let listed = suppressions::of_contact(&visit.app.db.reader, ring, &visit.app.reader, contact).await?;
    let texts = visit.texts;
    let told = listed.iter().filter_map(|(_, code, since)| {
        let purpose = policy.purpose(code)?;
        let title = texts.pick(&purpose.title_de, &purpose.title_en);
        Some(texts.with("page-suppressed-lead", &[("time", &texts.time(*since)), ("purpose", title)]))
    });
    let mut told: Vec<String> = told.collect();
    // The same for several addresses is said once.
    told.dedup();
    Ok(told)
}

/// A word of the schema as people read it.
fn word(texts: Texts, area: &str, word: Option<&str>) -> String {
    let known = word.and_then(|word| texts.known(&format!("page-{area}-{}", word.to_ascii_lowercase())));
    known.unwrap_or_else(|| texts.say("page-history-unknown"))
}

fn kind(texts: Texts, kind: &str) -> String {
    word(texts, "kind", Some(kind))
}

fn histories(texts: Texts, policy: &Policy, known: &Known) -> Vec<History> {
    let consents = known.consents.iter().flat_map(|consents| &consents.nodes);
    consents.map(|consent| history(texts, policy, consent)).collect()
}

fn history(texts: Texts, policy: &Policy, consent: &Consent) -> History {
    let purpose = consent.purpose.as_ref().and_then(|purpose| policy.purpose(&purpose.code));
    let purpose = purpose.map_or("", |purpose| texts.pick(&purpose.title_de, &purpose.title_en));
    let channel = word(texts, "channel", consent.channel.as_deref());
    let mut wordings: Vec<&Text> = Vec::new();
    let mut events = Vec::new();
    for event in consent.events.iter().flatten() {
        if let Some(text) = event.text.as_ref().filter(|text| !wordings.contains(text)) {
            wordings.push(text);
        }
        let version = event.text.as_ref().and_then(|text| text.version.as_deref());
        let time = event.declared_at.or(event.recorded_at).map(|at| texts.time(at));
        events.push(Happened {
            kind: word(texts, "event", event.kind.as_deref()),
            time: time.unwrap_or_else(|| texts.say("page-history-unknown")),
            text: version.map(|version| texts.with("page-history-text-version", &[("version", version)])),
            source: event.source.clone(),
        });
    }
    History {
        id: consent.id,
        title: texts.with("page-history-of", &[("purpose", purpose), ("channel", &channel)]),
        events,
        texts: wordings.into_iter().map(|text| wording(texts, text)).collect(),
    }
}

fn wording(texts: Texts, text: &Text) -> Wording {
    let version = text.version.as_deref().unwrap_or_default();
    Wording {
        title: texts.with("page-history-text-shown", &[("version", version)]),
        language: text.language.clone().unwrap_or_default(),
        paragraphs: paragraphs(text.text.as_deref().unwrap_or_default()),
    }
}

fn asked(texts: Texts, request: &PrivacyRequest) -> Asked {
    let day =
        |at: Option<DateTime<Utc>>| at.map_or_else(|| texts.say("page-history-unknown"), |at| texts.day(at));
    Asked {
        kind: word(texts, "kind", request.kind.as_deref()),
        status: word(texts, "status", request.status.as_deref()),
        received: day(request.received_at),
        // The period ends with its last day, at the midnight after it.
        due: day(request.extended_until.or(request.due_at).map(|end| end - TimeDelta::seconds(1))),
    }
}

/// Does what a button says.
///
/// # Errors
/// Those of the engine; `BAD_USER_INPUT` for what is no button of the page.
pub(super) async fn take(visit: &PageRequest, contact: Uuid, form: &Form) -> Result<Answer, Error> {
    let actor = visit.subject(contact)?;
    if form.only("action") != Some("request") {
        let foreign = || Error::input("the form is not one of this page");
        let Some(known) = queries::person(visit, &actor, contact, false).await? else {
            return visit.invalid();
        };
        let (choices, groups) = choices::of(visit, contact, &known).await?;
        if !choices::offer(&choices, &groups, form) {
            return Err(foreign());
        }
        let done = actions::choose(visit, &actor, contact, form).await?.ok_or_else(foreign)?;
        return Ok(visit.back(done));
    }
    let kind = KINDS.into_iter().find(|word| form.get("kind") == Some(word));
    let note = form.get("note").map(str::trim).filter(|note| !note.is_empty());
    let mut faults = Vec::new();
    if kind.is_none() {
        faults.push(Fault { field: "kind", text: visit.texts.say("page-fault-kind-missing") });
    }
    if note.is_some_and(|note| note.chars().count() > MAX_NOTE_CHARS) {
        faults.push(Fault { field: "note", text: visit.texts.say("page-fault-note") });
    }
    match kind.filter(|_| faults.is_empty()) {
        Some(kind) => {
            actions::request(visit, &actor, contact, kind, note).await?;
            Ok(visit.back("request"))
        }
        None => show(visit, contact, &faults, Some(form)).await,
    }
}
