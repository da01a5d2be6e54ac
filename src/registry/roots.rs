//! The root fields of queries and subscriptions. Room: registry.

use super::{
    ACCESS, ACCESS_TOKEN, AUDIT_ENTRY, CONSENT, CONSENT_CHANGE, CONSENT_EVENT, CONSENT_TEXT, CONTACT,
    InputField, InputKind, ObjectType, PRIVACY_REQUEST, PURPOSE, RECIPIENT, STOP,
};

/// How a root field is resolved.
#[derive(Clone, Copy, Debug)]
pub enum RootKind {
    /// The caller and its rights.
    Viewer,
    /// One row by its key.
    One(&'static ObjectType),
    /// A Relay connection.
    Connection(&'static ObjectType),
    /// All rows, ordered by key.
    List(&'static ObjectType),
    /// The status of a consent at an instant.
    ConsentState,
    /// The signed record of a consent.
    ConsentReceipt,
    /// Why a field is or is not readable.
    ExplainAccess,
}

/// A root field.
#[derive(Debug)]
pub struct RootField {
    /// Name in the SDL.
    pub name: &'static str,
    /// Description in the SDL.
    pub doc: &'static str,
    /// How it is resolved.
    pub kind: RootKind,
    /// Its deprecated name, which stays valid until the next version.
    pub was: Option<&'static str>,
}

/// A subscription field: rows of a type, sent when they change.
#[derive(Debug)]
pub struct SubscriptionField {
    /// Name in the SDL.
    pub name: &'static str,
    /// Description in the SDL.
    pub doc: &'static str,
    /// The rows.
    pub object: &'static ObjectType,
}

/// Every subscription.
pub static SUBSCRIPTIONS: &[SubscriptionField] = &[SubscriptionField {
    name: "requestChanged",
    doc: "A data-subject request that was opened or changed, as the subscriber may read it at that moment. Requests that the subscriber may not see are not sent.",
    object: &PRIVACY_REQUEST,
}];

const fn root(name: &'static str, kind: RootKind, doc: &'static str) -> RootField {
    RootField { name, doc, kind, was: None }
}

const fn renamed(name: &'static str, was: &'static str, kind: RootKind, doc: &'static str) -> RootField {
    RootField { name, doc, kind, was: Some(was) }
}

/// The query root field called `name`, also by its deprecated name.
pub fn root_field(name: &str) -> Option<&'static RootField> {
    ROOTS.iter().find(|root| root.name == name || root.was == Some(name))
}

/// The consent whose receipt is requested.
pub static RECEIPT_CONSENT_ID: InputField =
    InputField::new("consentId", InputKind::Id, "The consent.").required().deprecated_name("id");

/// The roles to be explained.
pub static EXPLAINED_ROLES: InputField =
    InputField::new("roles", InputKind::Words, "Roles of one credential; the caller's own by default.")
        .deprecated_as("role", InputKind::Word);

/// Every root field.
pub static ROOTS: &[RootField] = &[
    root("viewer", RootKind::Viewer, "The caller: roles, permitted purposes, decisions."),
    root(
        "contact",
        RootKind::One(&CONTACT),
        "One contact; null if this caller cannot see it for this purpose.",
    ),
    root("contacts", RootKind::Connection(&CONTACT), "Contacts with a ground for this purpose."),
    root(
        "consent",
        RootKind::One(&CONSENT),
        "One consent; null if this caller cannot see it for this purpose.",
    ),
    root("consents", RootKind::Connection(&CONSENT), "Consents to this purpose."),
    root(
        "consentState",
        RootKind::ConsentState,
        "The status of a consent at an instant, based on the declarations up to then; null if this caller cannot see it for this purpose.",
    ),
    root(
        "consentReceipt",
        RootKind::ConsentReceipt,
        "The complete record of a consent, signed, following ISO/IEC TS 27560; null if this caller cannot see it for this purpose.",
    ),
    root(
        "consentChanges",
        RootKind::Connection(&CONSENT_CHANGE),
        "Consents to this purpose that came into force or ended, in commit order. To follow them without gaps, query repeatedly with \
         `after` set to the `endCursor` of the last non-empty page; an empty page returns no new cursor, and the old one stays valid. \
         A cursor outlives the token that obtained it.",
    ),
    renamed(
        "privacyRequest",
        "request",
        RootKind::One(&PRIVACY_REQUEST),
        "One data-subject request; null if this caller cannot see it for this purpose.",
    ),
    renamed("privacyRequests", "requests", RootKind::Connection(&PRIVACY_REQUEST), "Data-subject requests."),
    root("purposes", RootKind::List(&PURPOSE), "All purposes, ordered by code."),
    root("purpose", RootKind::One(&PURPOSE), "One purpose by its code."),
    root("recipients", RootKind::List(&RECIPIENT), "All recipients."),
    root(
        "stops",
        RootKind::Connection(&STOP),
        "Withdrawals and objections that recipients have been or are to be told about.",
    ),
    root(
        "accesses",
        RootKind::List(&ACCESS),
        "Recipients that may currently fetch data, with their purposes.",
    ),
    renamed(
        "accessTokens",
        "tokens",
        RootKind::List(&ACCESS_TOKEN),
        "All access tokens, without their secrets.",
    ),
    root(
        "auditLog",
        RootKind::Connection(&AUDIT_ENTRY),
        "What was changed, by whom, when and for which purpose.",
    ),
    root(
        "explainAccess",
        RootKind::ExplainAccess,
        "Why roles may or may not use a field for a purpose, with the deciding rules.",
    ),
];

/// The fields in a receipt that belong neither to the consent nor to its events, texts or purpose.
const FIELDS_OF_OTHER_TYPES: [&str; 3] = ["Contact.id", "Objection.objectedAt", "Objection.endedAt"];

/// Every coordinate whose value is part of a receipt; the caller must be able to read each of them in full.
pub fn receipt_coordinates() -> Vec<String> {
    let objects = [&CONSENT, &CONSENT_EVENT, &CONSENT_TEXT, &PURPOSE].into_iter();
    let fields = objects
        .flat_map(|object| object.fields.iter().map(|field| format!("{}.{}", object.name, field.name)));
    fields.chain(FIELDS_OF_OTHER_TYPES.map(str::to_owned)).collect()
}
