//! The root fields of queries and subscriptions. Room: registry.

use super::{
    ACCESS, ACCESS_TOKEN, AUDIT_ENTRY, CONSENT, CONSENT_CHANGE, CONSENT_EVENT, CONSENT_TEXT, CONTACT,
    InputField, InputKind, ObjectType, PRIVACY_REQUEST, PURPOSE, RECIPIENT, STOP,
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
    /// How it is answered.
    pub root: Root,
    /// Its old name, which serves until the next version.
    pub was: Option<&'static str>,
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
    RootField { name, doc, root, was: None }
}

const fn renamed(name: &'static str, was: &'static str, root: Root, doc: &'static str) -> RootField {
    RootField { name, doc, root, was: Some(was) }
}

/// The root field of queries called `name`, by either name.
pub fn root_field(name: &str) -> Option<&'static RootField> {
    ROOTS.iter().find(|root| root.name == name || root.was == Some(name))
}

/// Of which consent a receipt is asked for.
pub static RECEIPT_OF: InputField =
    InputField::new("consentId", InputKind::Id, "Of which consent.").required().was("id");

/// The roles that an explanation is about.
pub static EXPLAINED_ROLES: InputField = InputField::new(
    "roles",
    InputKind::Words,
    "Roles, as one credential has them; the caller's own by default.",
)
.was_of("role", InputKind::Word);

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
        "consentReceipt",
        Root::ConsentReceipt,
        "The whole record of a consent, signed, after ISO/IEC TS 27560; null where there is none for this caller and purpose.",
    ),
    root(
        "consentChanges",
        Root::Connection(&CONSENT_CHANGE),
        "Consents to this purpose that began or ceased to hold, in the order in which that was committed. Who follows asks again and \
         again with `after` the `endCursor` of the last page that held something, and misses none; an empty page gives no new \
         cursor, and the old one goes on to be good. A cursor outlives the token that got it.",
    ),
    renamed(
        "privacyRequest",
        "request",
        Root::One(&PRIVACY_REQUEST),
        "One data-subject request; null where there is none for this caller and purpose.",
    ),
    renamed("privacyRequests", "requests", Root::Connection(&PRIVACY_REQUEST), "Data-subject requests."),
    root("purposes", Root::List(&PURPOSE), "All purposes, by code."),
    root("purpose", Root::One(&PURPOSE), "One purpose by its code."),
    root("recipients", Root::List(&RECIPIENT), "All recipients."),
    root(
        "stops",
        Root::Connection(&STOP),
        "Noes that recipients are to be told, and those that they were told.",
    ),
    root("accesses", Root::List(&ACCESS), "Recipients that may fetch data by now, with the purposes."),
    renamed("accessTokens", "tokens", Root::List(&ACCESS_TOKEN), "All access tokens, without their secrets."),
    root(
        "auditLog",
        Root::Connection(&AUDIT_ENTRY),
        "What was changed, by whom, when and for which purpose.",
    ),
    root(
        "explainAccess",
        Root::ExplainAccess,
        "Why roles may or may not use a field for a purpose, with the rules that decide.",
    ),
];

/// What a receipt tells beside all of the consent, its events, their texts and the purpose.
const FIELDS_OF_OTHER_TYPES: [&str; 3] = ["Contact.id", "Objection.objectedAt", "Objection.endedAt"];

/// Every coordinate that a receipt tells a value of: who asks for one must be able to read each of them in full.
pub fn receipt_coordinates() -> Vec<String> {
    let whole = [&CONSENT, &CONSENT_EVENT, &CONSENT_TEXT, &PURPOSE].into_iter();
    let fields =
        whole.flat_map(|object| object.fields.iter().map(|field| format!("{}.{}", object.name, field.name)));
    fields.chain(FIELDS_OF_OTHER_TYPES.map(str::to_owned)).collect()
}
