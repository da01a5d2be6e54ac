//! The root fields of queries and subscriptions (floor 1).

use super::{
    ACCESS_TOKEN, AUDIT_ENTRY, CONSENT, CONSENT_CHANGE, CONTACT, ObjectType, PRIVACY_REQUEST, PURPOSE,
    RECIPIENT,
};

/// How a root field is answered.
#[derive(Clone, Copy, Debug)]
pub enum Root {
    /// Who is calling, and what the caller may do.
    Viewer,
    /// One row by its key.
    One(&'static ObjectType),
    /// A Relay connection.
    Connection(&'static ObjectType),
    /// All rows, ordered by key.
    List(&'static ObjectType),
    /// The status of a consent at an instant.
    ConsentState,
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
    /// How it is answered.
    pub root: Root,
}

/// A field of the root of subscriptions: rows of a type, told when they change.
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
    doc: "A data-subject request that was opened or changed, as the subscriber may read it then; nothing is told of one that it may not see.",
    object: &PRIVACY_REQUEST,
}];

const fn root(name: &'static str, root: Root, doc: &'static str) -> RootField {
    RootField { name, doc, root }
}

/// Every root field.
pub static ROOTS: &[RootField] = &[
    root("viewer", Root::Viewer, "The caller: roles, permitted purposes, decisions."),
    root(
        "contact",
        Root::One(&CONTACT),
        "One contact; null where there is none for this caller and purpose.",
    ),
    root("contacts", Root::Connection(&CONTACT), "Contacts that have a ground for this purpose."),
    root(
        "consent",
        Root::One(&CONSENT),
        "One consent; null where there is none for this caller and purpose.",
    ),
    root("consents", Root::Connection(&CONSENT), "Consents to this purpose."),
    root(
        "consentState",
        Root::ConsentState,
        "The status of a consent at an instant, by what was declared until then; null where there is none for this caller and purpose.",
    ),
    root(
        "consentChanges",
        Root::Connection(&CONSENT_CHANGE),
        "Consents to this purpose that began or ceased to hold, in the order in which that was committed: who asks with `after` the last cursor misses none.",
    ),
    root(
        "request",
        Root::One(&PRIVACY_REQUEST),
        "One data-subject request; null where there is none for this caller and purpose.",
    ),
    root("requests", Root::Connection(&PRIVACY_REQUEST), "Data-subject requests."),
    root("purposes", Root::List(&PURPOSE), "All purposes, by code."),
    root("purpose", Root::One(&PURPOSE), "One purpose by its code."),
    root("recipients", Root::List(&RECIPIENT), "All recipients."),
    root("tokens", Root::List(&ACCESS_TOKEN), "All access tokens, without their secrets."),
    root(
        "auditLog",
        Root::Connection(&AUDIT_ENTRY),
        "What was changed, by whom, when and for which purpose.",
    ),
    root(
        "explainAccess",
        Root::ExplainAccess,
        "Why a role may or may not use a field for a purpose, with the rules that decide.",
    ),
];
