//! The printable record: one self-contained HTML page. Room: domain/receipts.

use askama::Template;
use serde_json::Value;

use crate::base::error::Error;
use crate::domain::receipts::labels::Labels;

#[derive(Template)]
#[template(path = "record.html")]
struct Page<'d> {
    lang: &'d str,
    w: &'d Labels,
    receipt: &'d str,
    issued: String,
    controller: Option<Controller<'d>>,
    declaration: Declaration<'d>,
    purpose: Purpose<'d>,
    texts: Vec<Text<'d>>,
    events: Vec<Event<'d>>,
    proof: Proof<'d>,
    signed: String,
}

struct Controller<'d> {
    name: &'d str,
    address: Option<&'d str>,
    contact: Option<&'d str>,
    privacy_policy: Option<&'d str>,
}

struct Declaration<'d> {
    record: &'d str,
    person: &'d str,
    address: Option<&'d str>,
    channel: &'d str,
    status: &'d str,
    state: &'d str,
    status_at: String,
    in_force: bool,
    objected_at: Option<String>,
    valid_until: Option<String>,
    review_due: Option<String>,
    signed_up: Option<String>,
    confirmed: Option<String>,
    declared: Option<String>,
    source: Option<&'d str>,
    proof: Option<&'d str>,
    evidence: Option<&'d str>,
}

struct Purpose<'d> {
    code: &'d str,
    title: &'d str,
    description: &'d str,
    data: String,
    recipients: String,
    validity: Option<&'d str>,
    retention: Option<&'d str>,
    withdrawal: Option<&'d str>,
}

struct Text<'d> {
    language: &'d str,
    version: &'d str,
    published: String,
    sha256: &'d str,
    text: &'d str,
}

struct Event<'d> {
    name: &'d str,
    kind: &'d str,
    time: Option<String>,
    recorded: String,
    recorded_by: &'d str,
    channel: &'d str,
    source: Option<&'d str>,
    address: Option<&'d str>,
    proof: Option<&'d str>,
    evidence: Option<&'d str>,
    version: Option<&'d str>,
    language: Option<&'d str>,
    sha256: Option<&'d str>,
    valid_until: Option<String>,
}

struct Proof<'d> {
    suite: &'d str,
    key: &'d str,
    value: &'d str,
    keys_url: Option<&'d str>,
}

fn text<'d>(value: &'d Value, name: &str) -> Option<&'d str> {
    value.get(name).and_then(Value::as_str)
}

fn list<'d>(value: &'d Value, name: &str) -> &'d [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// An instant in readable form, marked as UTC.
fn readable_instant(instant: &str) -> String {
    instant.replacen('T', " ", 1).replacen('Z', " UTC (+00:00)", 1)
}

fn time(value: &Value, name: &str) -> Option<String> {
    text(value, name).map(readable_instant)
}

/// The receipt `document`, made by [`super::document`], as a printable page in German (`de`) or English (`en`).
///
/// # Errors
/// `BAD_USER_INPUT` for another language.
pub fn html(document: &Value, language: &str) -> Result<String, Error> {
    let labels =
        Labels::for_language(language).ok_or_else(|| Error::bad_input("`language` must be de or en"))?;
    let record = document.get("record").unwrap_or(&Value::Null);
    let signed = serde_json::to_string_pretty(document)
        .map_err(|_| Error::internal("a receipt cannot be serialised"))?;
    let page = Page {
        lang: language,
        w: labels,
        receipt: text(document, "receipt_id").unwrap_or_default(),
        issued: time(document, "issued").unwrap_or_default(),
        controller: list(document, "pii_controllers").first().map(controller),
        declaration: declaration(record, labels),
        purpose: purpose(record, labels, language),
        texts: list(record, "privacy_notices").iter().map(wording).collect(),
        events: list(record, "events").iter().map(|item| event(item, labels)).collect(),
        proof: proof(document),
        signed,
    };
    page.render().map_err(|_| Error::internal("a record could not be written"))
}

fn controller(party: &Value) -> Controller<'_> {
    Controller {
        name: text(party, "party_name").unwrap_or_default(),
        address: text(party, "party_address"),
        contact: text(party, "party_contact"),
        privacy_policy: text(party, "privacy_policy"),
    }
}

fn declaration<'d>(record: &'d Value, labels: &'d Labels) -> Declaration<'d> {
    let events = list(record, "events");
    let last = |kinds: &'static [&'static str]| {
        events
            .iter()
            .rev()
            .filter(move |item| text(item, "event_type").is_some_and(|kind| kinds.contains(&kind)))
    };
    let declared = last(&["GRANTED", "CONFIRMED", "RENEWED"]).next();
    let confirmed = declared.filter(|item| text(item, "event_type") == Some("CONFIRMED"));
    // The confirmed sign-up: the last one before the confirmation.
    let until = confirmed.and_then(|item| text(item, "event_time"));
    let signed_up =
        confirmed.and_then(|_| last(&["REQUESTED"]).find(|item| text(item, "event_time") <= until));
    // A confirmation need not repeat the details of the sign-up.
    let detail = |name: &str| {
        let stated = declared.and_then(|item| text(item, name));
        stated.or_else(|| signed_up.and_then(|item| text(item, name)))
    };
    let status = text(record, "status").unwrap_or_default();
    Declaration {
        record: text(record, "record_id").unwrap_or_default(),
        person: text(record, "pii_principal_id").unwrap_or_default(),
        address: detail("address").or_else(|| events.iter().rev().find_map(|item| text(item, "address"))),
        channel: labels.channel_word(text(record, "channel").unwrap_or_default()),
        status: labels.state(status),
        state: text(record, "state").unwrap_or_default(),
        status_at: time(record, "status_at").unwrap_or_default(),
        in_force: record.get("in_force") == Some(&Value::Bool(true)),
        objected_at: time(record, "objected_at"),
        valid_until: time(record, "validity_until"),
        review_due: time(record, "review_due"),
        signed_up: signed_up.and_then(|item| time(item, "event_time")),
        confirmed: confirmed.and_then(|item| time(item, "event_time")),
        declared: declared.filter(|_| confirmed.is_none()).and_then(|item| time(item, "event_time")),
        source: detail("source"),
        proof: detail("proof_kind"),
        evidence: detail("evidence"),
    }
}

fn purpose<'d>(record: &'d Value, labels: &Labels, language: &str) -> Purpose<'d> {
    let nothing = &Value::Null;
    let processing = record.get("pii_processing").unwrap_or(nothing);
    let part = |name: &str| processing.get(name).unwrap_or(nothing);
    let named = part("purpose");
    let localised = |name: &str| named.get(name).and_then(|by| text(by, language)).unwrap_or_default();
    let data = list(processing, "pii_information").iter().filter_map(|kind| text(kind, "category"));
    let recipients: Vec<&str> =
        list(processing, "recipient_third_parties").iter().filter_map(Value::as_str).collect();
    let withdrawal = part("withdrawal_method");
    Purpose {
        code: text(named, "code").unwrap_or_default(),
        title: localised("title"),
        description: localised("description"),
        data: data.map(|category| labels.category(category)).collect::<Vec<_>>().join(", "),
        recipients: recipients.join(", "),
        validity: text(part("storage"), "validity_period"),
        retention: text(part("storage"), "retention_period"),
        withdrawal: text(withdrawal, "url").or_else(|| text(withdrawal, "party_contact")),
    }
}

fn wording(notice: &Value) -> Text<'_> {
    Text {
        language: text(notice, "language").unwrap_or_default(),
        version: text(notice, "version").unwrap_or_default(),
        published: time(notice, "published").unwrap_or_default(),
        sha256: text(notice, "sha256").unwrap_or_default(),
        text: text(notice, "text").unwrap_or_default(),
    }
}

fn event<'d>(event: &'d Value, labels: &'d Labels) -> Event<'d> {
    let kind = text(event, "event_type").unwrap_or_default();
    Event {
        name: labels.event(kind, text(event, "event_state").unwrap_or_default()),
        kind,
        time: time(event, "event_time"),
        recorded: time(event, "recorded_time").unwrap_or_default(),
        recorded_by: text(event, "recorded_by").unwrap_or_default(),
        channel: labels.channel_word(text(event, "channel").unwrap_or_default()),
        source: text(event, "source"),
        address: text(event, "address"),
        proof: text(event, "proof_kind"),
        evidence: text(event, "evidence"),
        version: text(event, "version"),
        language: text(event, "language"),
        sha256: text(event, "sha256"),
        valid_until: time(event, "validity_until"),
    }
}

fn proof(document: &Value) -> Proof<'_> {
    let proof = document.get("proof").unwrap_or(&Value::Null);
    let key = text(proof, "verificationMethod").unwrap_or_default();
    Proof {
        suite: text(proof, "cryptosuite").unwrap_or_default(),
        key,
        value: text(proof, "proofValue").unwrap_or_default(),
        keys_url: key.split_once('#').map(|(url, _)| url),
    }
}
