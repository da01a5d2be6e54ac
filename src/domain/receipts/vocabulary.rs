//! The vocabulary of receipts: field names of ISO/IEC TS 27560:2023 with their meaning in the W3C Data Privacy
//! Vocabulary. Room: domain/receipts.

use entity::enums::{Channel, ConsentEventKind, ConsentStatus};
use serde_json::{Map, Value, json};

use crate::registry::DataCategory;

/// Version of the structure; it changes when readers must change.
pub(super) const SCHEMA_VERSION: &str = "urn:zweck:consent-receipt:1";
/// Art. 6(1)(a).
pub(super) const LAWFUL_BASIS: &str = "eu-gdpr:A6-1-a";
/// The jurisdiction of the purposes.
pub(super) const JURISDICTION: &str = "loc:EU";
/// Withdrawal (Art. 7(3)), access, rectification, erasure, restriction, portability, objection, complaint.
pub(super) const RIGHTS: [&str; 8] = [
    "eu-gdpr:A7-3",
    "eu-gdpr:A15",
    "eu-gdpr:A16",
    "eu-gdpr:A17",
    "eu-gdpr:A18",
    "eu-gdpr:A20",
    "eu-gdpr:A21",
    "eu-gdpr:A77",
];

/// Prefixes, and terms with plain values.
const PLAIN: &[(&str, &str)] = &[
    ("dpv", "https://w3id.org/dpv#"),
    ("pd", "https://w3id.org/dpv/pd#"),
    ("loc", "https://w3id.org/dpv/loc#"),
    ("eu-gdpr", "https://w3id.org/dpv/legal/eu/gdpr#"),
    ("dct", "http://purl.org/dc/terms/"),
    ("schema", "https://schema.org/"),
    ("sec", "https://w3id.org/security#"),
    ("xsd", "http://www.w3.org/2001/XMLSchema#"),
    ("zweck", "urn:zweck:terms:"),
    ("id", "@id"),
    ("type", "@type"),
    ("receipt_id", "dct:identifier"),
    ("record_id", "dct:identifier"),
    ("record", "dpv:hasRecordOfActivity"),
    ("pii_controllers", "dpv:hasDataController"),
    ("party_name", "dpv:hasName"),
    ("party_address", "dpv:hasAddress"),
    ("party_contact", "dpv:hasContact"),
    ("pii_processing", "dpv:hasProcess"),
    ("purpose", "dpv:hasPurpose"),
    ("code", "dct:identifier"),
    ("pii_information", "dpv:hasPersonalData"),
    ("category", "zweck:category"),
    ("fields", "zweck:field"),
    ("storage", "dpv:hasStorageCondition"),
    ("validity_period", "dpv:hasDuration"),
    ("retention_period", "zweck:retentionAfterTheEnd"),
    ("recipient_third_parties", "dpv:hasRecipient"),
    ("withdrawal_method", "dpv:hasConsentControl"),
    ("privacy_notices", "dpv:hasNotice"),
    ("language", "dct:language"),
    ("version", "schema:version"),
    ("text", "schema:text"),
    ("sha256", "schema:sha256"),
    ("channel", "zweck:channel"),
    ("state", "zweck:state"),
    ("in_force", "zweck:inForce"),
    ("events", "zweck:event"),
    ("event_type", "zweck:eventType"),
    ("recorded_by", "dct:contributor"),
    ("source", "dct:source"),
    ("address", "schema:address"),
    ("proof_kind", "dpv:hasIndicationMethod"),
    ("evidence", "zweck:evidence"),
    ("DataIntegrityProof", "sec:DataIntegrityProof"),
    ("cryptosuite", "sec:cryptosuite"),
    ("assertionMethod", "sec:assertionMethod"),
];

/// Terms with IRIs as values.
const LINKS: &[(&str, &str)] = &[
    ("schema_version", "dct:conformsTo"),
    ("pii_principal_id", "dpv:hasDataSubject"),
    ("party_url", "schema:url"),
    ("privacy_policy", "schema:publishingPrinciples"),
    ("purpose_type", "dct:type"),
    ("lawful_basis", "dpv:hasLegalBasis"),
    ("pii_type", "dct:type"),
    ("processing_method", "dpv:hasProcessing"),
    ("jurisdiction", "dpv:hasJurisdiction"),
    ("url", "schema:url"),
    ("privacy_rights", "dpv:hasRight"),
    ("privacy_notice", "dpv:hasNotice"),
    ("status", "dpv:hasConsentStatus"),
    ("event_state", "dpv:hasConsentStatus"),
    ("entity_id", "dpv:isIndicatedBy"),
    ("verificationMethod", "sec:verificationMethod"),
];

/// Terms with instants as values.
const INSTANTS: &[(&str, &str)] = &[
    ("issued", "dct:issued"),
    ("published", "dct:available"),
    ("status_at", "zweck:statusAt"),
    ("objected_at", "zweck:objectedAt"),
    ("event_time", "dpv:isIndicatedAtTime"),
    ("recorded_time", "dct:created"),
    ("validity_until", "dct:valid"),
    ("review_due", "zweck:reviewDue"),
    ("created", "dct:created"),
];

/// Terms with texts by language as values.
const BY_LANGUAGE: &[(&str, &str)] = &[("title", "dct:title"), ("description", "dct:description")];

/// The complete context: nothing needs to be fetched to read a receipt.
pub(super) fn context() -> Value {
    let mut terms = Map::new();
    let mut define = |list: &[(&str, &str)], kind: Option<(&str, &str)>| {
        terms.extend(list.iter().map(|(name, term)| {
            let value = match kind {
                None => json!(term),
                Some((key, value)) => json!({"@id": term, key: value}),
            };
            ((*name).to_owned(), value)
        }));
    };
    define(PLAIN, None);
    define(LINKS, Some(("@type", "@id")));
    define(INSTANTS, Some(("@type", "xsd:dateTime")));
    define(BY_LANGUAGE, Some(("@container", "@language")));
    define(&[("proofPurpose", "sec:proofPurpose")], Some(("@type", "@vocab")));
    define(&[("proofValue", "sec:proofValue")], Some(("@type", "sec:multibase")));
    define(&[("proof", "sec:proof")], Some(("@container", "@graph")));
    Value::Object(terms)
}

/// The consent state that an event results in.
pub(super) fn event_state(kind: ConsentEventKind) -> &'static str {
    match kind {
        ConsentEventKind::Requested => "dpv:ConsentRequested",
        ConsentEventKind::Granted | ConsentEventKind::Confirmed => "dpv:ConsentGiven",
        ConsentEventKind::Renewed => "dpv:RenewedConsentGiven",
        ConsentEventKind::Refused => "dpv:ConsentRefused",
        ConsentEventKind::Withdrawn => "dpv:ConsentWithdrawn",
        ConsentEventKind::Expired => "dpv:ConsentExpired",
        ConsentEventKind::Invalidated => "dpv:ConsentInvalidated",
    }
}

/// The entity that caused an event, if the kind of event says so: a repeated request may come from either side.
pub(super) fn entity(kind: ConsentEventKind) -> Option<&'static str> {
    match kind {
        ConsentEventKind::Requested => None,
        ConsentEventKind::Expired | ConsentEventKind::Invalidated => Some("dpv:DataController"),
        _ => Some("dpv:DataSubject"),
    }
}

/// The state of a consent; `granted_by` is the kind of the event that it is in force by.
pub(super) fn state(status: ConsentStatus, granted_by: Option<ConsentEventKind>) -> &'static str {
    match status {
        ConsentStatus::Pending => "dpv:ConsentRequested",
        ConsentStatus::Granted => granted_by.map_or("dpv:ConsentGiven", event_state),
        ConsentStatus::Refused => "dpv:ConsentRefused",
        ConsentStatus::Withdrawn => "dpv:ConsentWithdrawn",
        ConsentStatus::Expired => "dpv:ConsentExpired",
        ConsentStatus::Invalidated => "dpv:ConsentInvalidated",
    }
}

/// The DPV type of personal data of a registry category; `None` for bookkeeping.
pub(super) fn pii_type(category: DataCategory) -> Option<&'static str> {
    Some(match category {
        DataCategory::Identity => "pd:Name",
        DataCategory::Email => "pd:EmailAddress",
        DataCategory::Phone => "pd:TelephoneNumber",
        DataCategory::Postal => "pd:PhysicalAddress",
        DataCategory::Employment => "pd:Professional",
        DataCategory::Birth => "pd:BirthDate",
        DataCategory::FreeText => "dpv:PersonalData",
        _ => return None,
    })
}

/// Whether consent on a channel covers a field that is bound to `cover`.
pub(super) fn covers(channel: Channel, cover: crate::registry::RequiredChannel) -> bool {
    use crate::registry::RequiredChannel;
    matches!(
        (channel, cover),
        (Channel::Email, RequiredChannel::Email)
            | (Channel::Phone | Channel::Sms, RequiredChannel::Phone)
            | (Channel::Post, RequiredChannel::Post)
    )
}
