//! Builds the document of a record: JSON-LD with an inline context. Room: domain/receipts.

use chrono::{DateTime, SecondsFormat, Utc};
use entity::{consent_event, consent_text, enums::ConsentStatus};
use sea_orm::ActiveEnum;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::domain::receipts::{
    load::ConsentRecord,
    vocabulary::{self, JURISDICTION, LAWFUL_BASIS, RIGHTS, SCHEMA_VERSION},
};
use crate::{
    config::public_pages::PublicPages,
    policy::{Decision, Policy},
    registry::{CONTACT, CONTACT_POINT, DataCategory, Field, ObjectType},
};

/// A JSON object without absent members.
#[derive(Default)]
struct Object(Map<String, Value>);

impl Object {
    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    fn with_optional(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    fn build(self) -> Value {
        Value::Object(self.0)
    }
}

fn urn(id: Uuid) -> String {
    format!("urn:uuid:{id}")
}

/// Of fixed length, so that instants compare as text.
fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The document without its proof.
pub(super) fn document(
    record: &ConsentRecord,
    policy: &Policy,
    pages: &PublicPages,
    receipt: Uuid,
    now: DateTime<Utc>,
) -> Map<String, Value> {
    Object::default()
        .with("@context", vocabulary::context())
        .with("id", urn(receipt))
        .with("type", "dpv:ConsentReceipt")
        .with("schema_version", SCHEMA_VERSION)
        .with("receipt_id", receipt.to_string())
        .with("issued", instant(now))
        .with_optional("pii_controllers", controller(pages))
        .with("record", record_json(record, policy, pages, now))
        .0
}

/// The controller (Art. 13(1)(a)), as far as configured.
fn controller(pages: &PublicPages) -> Option<Value> {
    let name = pages.controller.as_deref()?;
    let party = Object::default()
        .with("type", "dpv:DataController")
        .with("party_name", name)
        .with_optional("party_address", pages.controller_address.as_deref())
        .with_optional("party_contact", pages.controller_contact.as_deref())
        .with_optional("party_url", pages.public_url.as_deref())
        .with_optional("privacy_policy", pages.privacy_url.as_deref());
    Some(json!([party.build()]))
}

fn record_json(record: &ConsentRecord, policy: &Policy, pages: &PublicPages, now: DateTime<Utc>) -> Value {
    let consent = &record.consent;
    let notices: Vec<Value> = record.texts.iter().map(notice).collect();
    let events: Vec<Value> = record.events.iter().map(|item| event(item, record)).collect();
    Object::default()
        .with("id", urn(consent.id))
        .with("type", "dpv:ConsentRecord")
        .with("record_id", consent.id.to_string())
        .with("pii_principal_id", urn(consent.contact_id))
        .with("channel", consent.channel.to_value())
        // An objection ends a consent to advertising as well (Art. 21(2), (3)).
        .with(
            "status",
            match record.objected_at {
                Some(_) if record.status == ConsentStatus::Granted => {
                    vocabulary::state(ConsentStatus::Invalidated, None)
                }
                _ => vocabulary::state(record.status, record.granted_by()),
            },
        )
        .with("state", record.status.to_value())
        .with("in_force", record.in_force())
        .with("status_at", instant(now))
        .with_optional("validity_until", record.state.expires_at.map(instant))
        .with_optional("review_due", record.state.review_due_at.map(instant))
        .with_optional("objected_at", record.objected_at.map(instant))
        .with("pii_processing", processing(record, policy, pages))
        .with("privacy_notices", notices)
        .with("events", events)
        .build()
}

fn processing(record: &ConsentRecord, policy: &Policy, pages: &PublicPages) -> Value {
    let purpose = &record.purpose;
    let declared = record.declared.as_deref();
    let named = Object::default()
        .with("type", "dpv:Purpose")
        .with("code", purpose.code.as_str())
        .with_optional("purpose_type", purpose.dpv_iri.as_deref())
        .with("title", json!({"de": purpose.title_de, "en": purpose.title_en}))
        .with("description", json!({"de": purpose.description_de, "en": purpose.description_en}));
    let storage = Object::default()
        .with("type", "dpv:StorageCondition")
        .with_optional("validity_period", declared.and_then(|purpose| purpose.validity.as_deref()))
        .with_optional("retention_period", declared.and_then(|purpose| purpose.retention.as_deref()));
    let recipients = declared.map(|purpose| purpose.recipients.clone()).unwrap_or_default();
    let withdrawal = Object::default()
        .with("type", "dpv:WithdrawConsent")
        .with_optional("url", pages.url("link").filter(|_| pages.enabled))
        .with_optional("party_contact", pages.controller_contact.as_deref());
    Object::default()
        .with("type", "dpv:Process")
        .with("purpose", named.build())
        .with("lawful_basis", LAWFUL_BASIS)
        .with("pii_information", personal_data(record, policy))
        .with("processing_method", json!(["dpv:Store", "dpv:Use"]))
        .with("storage", storage.build())
        .with("jurisdiction", JURISDICTION)
        .with("recipient_third_parties", recipients)
        .with("withdrawal_method", withdrawal.build())
        .with("privacy_rights", json!(RIGHTS))
        .build()
}

/// The kinds of personal data, with fields, that any role may read for the purpose by this consent, from the
/// enforced decisions.
fn personal_data(record: &ConsentRecord, policy: &Policy) -> Vec<Value> {
    let tables = policy.roles().iter().filter_map(|role| {
        // Nobody may read for a purpose that has vanished from the policy.
        policy.table(std::slice::from_ref(role), &record.purpose.code, None).ok()
    });
    let tables: Vec<_> = tables.collect();
    let read = |object: &ObjectType, field: &Field| {
        let channel = record.consent.channel;
        let covered = field.required_channel.is_none_or(|cover| vocabulary::covers(channel, cover));
        let id = policy.object(&format!("{}.{}", object.name, field.name));
        covered && id.is_some_and(|id| tables.iter().any(|table| table.decide(id) != Decision::Deny))
    };
    let mut kinds: Vec<(DataCategory, &str, Vec<String>)> = Vec::new();
    for object in [&CONTACT, &CONTACT_POINT] {
        for field in object.fields.iter().filter(|field| read(object, field)) {
            let Some(kind) = vocabulary::pii_type(field.category) else { continue };
            let name = format!("{}.{}", object.name, field.name);
            match kinds.iter_mut().find(|(category, ..)| *category == field.category) {
                Some((_, _, fields)) => fields.push(name),
                None => kinds.push((field.category, kind, vec![name])),
            }
        }
    }
    let kinds = kinds.into_iter().map(|(category, kind, fields)| {
        json!({"type": "dpv:PersonalData", "pii_type": kind, "category": category.as_str(), "fields": fields})
    });
    kinds.collect()
}

fn notice(text: &consent_text::Model) -> Value {
    json!({
        "id": urn(text.id),
        "type": "dpv:ConsentNotice",
        "language": text.language,
        "version": text.version,
        "published": instant(text.published_at),
        "sha256": text.sha256,
        "text": text.text,
    })
}

fn event(event: &consent_event::Model, record: &ConsentRecord) -> Value {
    let text = event.consent_text_id.and_then(|id| record.texts.iter().find(|text| text.id == id));
    Object::default()
        .with("id", urn(event.id))
        .with("event_type", event.kind.to_value())
        .with("event_state", vocabulary::event_state(event.kind))
        .with_optional("event_time", event.declared_at.map(instant))
        .with("recorded_time", instant(event.recorded_at))
        .with_optional("entity_id", vocabulary::entity(event.kind))
        .with("recorded_by", event.actor.as_str())
        .with("channel", record.consent.channel.to_value())
        .with_optional("source", event.source.as_deref())
        .with_optional("address", event.address.as_deref())
        .with_optional("proof_kind", event.proof.as_deref())
        .with_optional("evidence", event.evidence.as_deref())
        .with_optional("privacy_notice", text.map(|text| urn(text.id)))
        .with_optional("language", text.map(|text| text.language.as_str()))
        .with_optional("version", text.map(|text| text.version.as_str()))
        .with_optional("sha256", text.map(|text| text.sha256.as_str()))
        .with_optional("validity_until", event.expires_at.map(instant))
        .with_optional("review_due", event.review_due_at.map(instant))
        .build()
}
