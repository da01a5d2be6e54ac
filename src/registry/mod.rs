//! The registry: every governed type and field, declared once as pure data. Room: registry.
//!
//! SDL, policy objects, SQL projection, filters, orders, masks and (later) erasure and portability are derived from
//! it. What is not declared here cannot be exposed.

mod administration;
mod audit;
mod change;
mod consent;
mod contact;
mod enums;
mod field;
mod inputs;
mod kinds;
mod mutation_inputs;
mod mutations;
mod parts;
mod purpose;
mod roots;
mod validator;

pub use administration::{ACCESS, ACCESS_TOKEN, RECIPIENT, STOP};
pub use audit::{AUDIT_ENTRY, UNEXPOSED_TABLES};
pub use change::CONSENT_CHANGE;
pub use consent::{BLOCK, CONSENT_EVENT, CONSENT_TEXT, GROUND, OBJECTION};
pub use contact::{CONSENT, CONTACT, PRIVACY_REQUEST};
pub use enums::{ENUMS, EnumType};
pub use field::{Field, FieldSource, ObjectType, RowRule};
pub use inputs::{DeprecatedInput, InputField, InputKind, InputType, Right};
pub use kinds::{DataCategory, Mask, RequiredChannel, Scalar};
pub use mutations::{MUTATIONS, Mutation, MutationKind, Payload};
pub use parts::{CONTACT_POINT, PROVENANCE, RESTRICTION};
pub use purpose::PURPOSE;
pub use roots::{
    EXPLAINED_ROLES, RECEIPT_CONSENT_ID, ROOTS, RootField, RootKind, SUBSCRIPTIONS, SubscriptionField,
    receipt_coordinates, root_field,
};
pub use validator::{ValidationError, Validator};

use crate::policy::PolicyObject;

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

/// Everything that the policy can mention: every governed field, every connection's `totalCount`, every root field
/// except `viewer`, every mutation and subscription.
pub fn policy_objects() -> Vec<PolicyObject> {
    let mut objects = Vec::new();
    let mut push = |type_name: &str, name: &str, was: Option<&str>, groups, derived_id| {
        let coordinate = |name: &str| format!("{type_name}.{name}");
        let (name, was) = (coordinate(name), was.map(coordinate));
        objects.push(PolicyObject { name, was, groups, derived_id, type_name: type_name.to_owned() });
    };
    for object in OBJECTS {
        for field in object.fields {
            let derived = field.category == DataCategory::Key;
            let groups = vec![format!("data:{}", field.category.as_str()), format!("type:{}", object.name)];
            push(object.name, field.name, None, if derived { Vec::new() } else { groups }, derived);
        }
        if let Some(plural) = object.plural {
            push(&format!("{plural}Connection"), "totalCount", None, Vec::new(), false);
        }
    }
    for root in ROOTS.iter().filter(|root| !matches!(root.kind, RootKind::Viewer)) {
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
