//! The register: every governed type and field, declared once as pure data (floor 1).
//!
//! SDL, policy objects, SQL projection, filters, orders, masks and (later) erasure and portability derive from it.
//! What is not declared here cannot be served.

mod administration;
mod audit;
mod check;
mod consent;
mod contact;
mod enums;
mod field;
mod inputs;
mod mutation_inputs;
mod mutations;
mod purpose;
mod request;
mod roots;

pub use administration::{ACCESS, ACCESS_TOKEN, RECIPIENT, STOP};
pub use audit::{AUDIT_ENTRY, UNSERVED_TABLES};
pub use check::{Check, Fault};
pub use consent::{BLOCK, CONSENT, CONSENT_CHANGE, CONSENT_EVENT, CONSENT_TEXT, GROUND, OBJECTION};
pub use contact::{CONTACT, CONTACT_POINT, PROVENANCE, RESTRICTION};
pub use enums::{ENUMS, EnumType};
pub use field::{Category, Cover, Field, Mask, Read, Scalar};
pub use inputs::{Former, InputField, InputKind, InputType, Right};
pub use mutations::{MUTATIONS, Mutation, Payload, Write};
pub use purpose::PURPOSE;
pub use request::PRIVACY_REQUEST;
pub use roots::{
    EXPLAINED_ROLES, RECEIPT_OF, ROOTS, Root, RootField, SUBSCRIPTIONS, SubscriptionField,
    receipt_coordinates, root_field,
};

use crate::policy::PolicyObject;

/// Whose rows a caller may see (DESIGN: the ground decides).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowRule {
    /// Contacts: visible by state, ground and objection.
    Contact,
    /// Rows of a visible contact.
    OfContact,
    /// Rows of a visible contact, under their own purpose only, unless the purpose sees all.
    OfContactAndPurpose,
    /// Objections of a visible contact: under the own purpose and its group, unless the purpose sees all.
    Objection,
    /// Blocks of addresses of a visible contact, likewise.
    Block,
    /// Events of a consent that is itself visible.
    OfConsent,
    /// Changes for those who follow, under their own purpose only, unless the purpose sees all: they outlive the contact.
    Change,
    /// Requests, and what recipients are to be told, outlive the contact: a purpose that sees all sees each of them.
    Request,
    /// Entries of the audit log outlive the contact likewise; other purposes see what was done for them.
    Audit,
    /// Rows that belong to no person.
    Everyone,
    /// Tokens of recipients, as long as they hold.
    Access,
}

/// A governed type: one table, one line per field.
#[derive(Debug)]
pub struct ObjectType {
    /// Name in the SDL.
    pub name: &'static str,
    /// Description in the SDL.
    pub doc: &'static str,
    /// Table it is read from.
    pub table: &'static str,
    /// The field that is never null: `id`, or `code` for purposes.
    pub key: &'static str,
    /// Which rows a caller may see.
    pub rows: RowRule,
    /// Prefix of its connection, filter and order types, e.g. `Request` for `RequestConnection`.
    pub plural: Option<&'static str>,
    /// The fields.
    pub fields: &'static [Field],
    /// Columns of the table that no field serves, each with the reason.
    pub unserved: &'static [(&'static str, &'static str)],
}

impl ObjectType {
    /// The field called `name`.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The fields that inputs and imports give.
    pub fn given(&self) -> impl Iterator<Item = (&'static Field, Check)> + use<> {
        self.fields.iter().filter_map(|field| Some((field, field.check?)))
    }

    /// The types whose rows hang on rows of this one, and those whose rows hang on theirs.
    pub fn hanging(&self) -> Vec<&'static ObjectType> {
        let mut hanging = Vec::new();
        for field in self.fields {
            if let Read::Many { object, .. } | Read::Connection { object, .. } = field.read {
                hanging.push(object);
                hanging.extend(object.hanging());
            }
        }
        hanging
    }

    /// The column that holds the key.
    pub fn key_column(&self) -> &'static str {
        self.field(self.key).and_then(Field::column).unwrap_or("id")
    }

    /// The scalar of the key column.
    pub fn key_scalar(&self) -> Scalar {
        match self.field(self.key).map(|field| &field.read) {
            Some(Read::Column { scalar, .. }) => *scalar,
            _ => Scalar::Id,
        }
    }
}

/// Every governed type, in the order of the SDL.
pub static OBJECTS: [&ObjectType; 18] = [
    &CONTACT,
    &CONTACT_POINT,
    &PROVENANCE,
    &RESTRICTION,
    &GROUND,
    &OBJECTION,
    &BLOCK,
    &CONSENT,
    &CONSENT_EVENT,
    &CONSENT_TEXT,
    &CONSENT_CHANGE,
    &PRIVACY_REQUEST,
    &PURPOSE,
    &RECIPIENT,
    &STOP,
    &ACCESS_TOKEN,
    &ACCESS,
    &AUDIT_ENTRY,
];

/// The governed type called `name`.
pub fn object(name: &str) -> Option<&'static ObjectType> {
    OBJECTS.iter().find(|object| object.name == name).copied()
}

/// What the policy can speak about: every governed field, every connection's `totalCount`, every root field but `viewer`,
/// every mutation and subscription.
pub fn policy_objects() -> Vec<PolicyObject> {
    let mut objects = Vec::new();
    let mut push = |type_name: &str, name: &str, was: Option<&str>, groups, derived_id| {
        let coordinate = |name: &str| format!("{type_name}.{name}");
        let (name, was) = (coordinate(name), was.map(coordinate));
        objects.push(PolicyObject { name, was, groups, derived_id, type_name: type_name.to_owned() });
    };
    for object in OBJECTS {
        for field in object.fields {
            let derived = field.category == Category::Key;
            let groups = vec![format!("data:{}", field.category.as_str()), format!("type:{}", object.name)];
            push(object.name, field.name, None, if derived { Vec::new() } else { groups }, derived);
        }
        if let Some(plural) = object.plural {
            push(&format!("{plural}Connection"), "totalCount", None, Vec::new(), false);
        }
    }
    for root in ROOTS.iter().filter(|root| !matches!(root.root, Root::Viewer)) {
        push("Query", root.name, root.was, Vec::new(), false);
    }
    for mutation in MUTATIONS {
        push("Mutation", mutation.name, None, Vec::new(), false);
    }
    for subscription in SUBSCRIPTIONS {
        push("Subscription", subscription.name, None, Vec::new(), false);
    }
    objects
}
