//! Checks whether variable values match their declared types, without a document. Room: graphql.
//!
//! The check never accepts a value that validation would reject, so a document that was validated with other values
//! needs no validation for accepted ones. For a rejected value, validation runs and reports the reason.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::{
    dynamic::TypeRef,
    parser::types::{BaseType, Type},
};
use serde_json::Value as Json;

/// The values that an input type accepts.
#[derive(Debug)]
pub(super) enum InputShape {
    /// One of these enum values.
    Enum(BTreeSet<String>),
    /// An object with these members.
    Input(BTreeMap<String, TypeRef>),
    /// Text of a custom scalar.
    Text,
}

/// The input types by name, without the built-in ones.
#[derive(Debug, Default)]
pub(super) struct InputTypes(BTreeMap<String, InputShape>);

/// Deepest nesting that is looked into.
const MAX_DEPTH: usize = 16;

impl InputTypes {
    pub(super) fn new(input_types: impl IntoIterator<Item = (String, InputShape)>) -> Self {
        Self(input_types.into_iter().collect())
    }

    /// Whether `value` certainly matches `declared`. Null never does.
    pub(super) fn accepts(&self, declared: &Type, value: &Json) -> bool {
        match (&declared.base, value) {
            (_, Json::Null) => false,
            (BaseType::Named(name), value) => self.accepts_named(name.as_str(), value, 0),
            (BaseType::List(inner), Json::Array(items)) => items.iter().all(|item| self.accepts(inner, item)),
            (BaseType::List(_), _) => false,
        }
    }

    fn accepts_ref(&self, ty: &TypeRef, value: &Json, depth: usize) -> bool {
        match (ty, value) {
            (_, Json::Null) => false,
            (TypeRef::NonNull(inner), value) => self.accepts_ref(inner, value, depth),
            (TypeRef::List(inner), Json::Array(items)) => {
                items.iter().all(|item| self.accepts_ref(inner, item, depth))
            }
            (TypeRef::List(_), _) => false,
            (TypeRef::Named(name), value) => self.accepts_named(name, value, depth),
        }
    }

    fn accepts_named(&self, name: &str, value: &Json, depth: usize) -> bool {
        match (name, value) {
            ("ID" | "String", Json::String(_)) | ("Boolean", Json::Bool(_)) => true,
            ("Int", Json::Number(number)) => {
                number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
            }
            (name, value) => match (self.0.get(name), value) {
                (Some(InputShape::Enum(words)), Json::String(word)) => words.contains(word),
                (Some(InputShape::Text), Json::String(_)) => true,
                (Some(InputShape::Input(members)), Json::Object(members_given)) if depth < MAX_DEPTH => {
                    let is_known = |(name, value): (&String, &Json)| {
                        members.get(name).is_some_and(|ty| self.accepts_ref(ty, value, depth + 1))
                    };
                    let is_present = |(name, ty): (&String, &TypeRef)| {
                        !matches!(ty, TypeRef::NonNull(_)) || members_given.contains_key(name)
                    };
                    members_given.iter().all(is_known) && members.iter().all(is_present)
                }
                _ => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::{Request, Variables, parser::parse_query};
    use proptest::prelude::*;

    use super::*;
    use crate::graphql::schema::{build, model};

    /// Words that are members, values or neither, so that objects often nearly fit.
    const WORDS: [&str; 12] = [
        "and",
        "or",
        "not",
        "city",
        "eq",
        "in",
        "state",
        "field",
        "direction",
        "DESC",
        "FAMILY_NAME",
        "ACTIVE",
    ];

    fn word() -> impl Strategy<Value = String> {
        prop::sample::select(WORDS.as_slice()).prop_map(str::to_owned)
    }

    fn value() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            (0..5_i64).prop_map(Json::from),
            Just(Json::from(1.5)),
            word().prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Json::from),
                prop::collection::vec((word(), inner), 0..3)
                    .prop_map(|members| Json::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn what_fits_is_valid(
            value in value(),
            (ty, place) in prop::sample::select(vec![
                ("ID!", "contact(id: $v) { id }"),
                ("Int", "contacts(first: $v) { nodes { id } }"),
                ("String", "contacts(search: $v) { nodes { id } }"),
                ("ContactFilter", "contacts(filter: $v) { nodes { id } }"),
                ("[ContactFilter!]", "contacts(filter: {and: $v}) { nodes { id } }"),
                ("[ContactOrder!]", "contacts(orderBy: $v) { nodes { id } }"),
                ("ContactOrderField!", "contacts(orderBy: [{field: $v, direction: ASC}]) { nodes { id } }"),
                ("Boolean!", "contacts { nodes { id @skip(if: $v) } }"),
            ]),
        ) {
            thread_local! {
                static SCHEMA: (async_graphql::dynamic::Schema, InputTypes) = (build().unwrap(), InputTypes::new(model().input_shapes()));
            }
            let text = format!("query($v: {ty}) {{ {place} }}");
            let document = parse_query(&text).unwrap();
            let (_, operation) = document.operations.iter().next().unwrap();
            let declared = operation.node.variable_definitions[0].node.var_type.node.clone();
            SCHEMA.with(|(schema, input_types)| {
                if !input_types.accepts(&declared, &value) {
                    return Ok(());
                }
                let variables = Variables::from_json(serde_json::json!({ "v": value }));
                let mut request = Request::new("").variables(variables).only_introspection();
                request.set_parsed_query(crate::engine::skip_all_fields(document.clone()));
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let answer = runtime.block_on(schema.execute(request));
                prop_assert!(answer.errors.is_empty(), "{text} {value} {:?}", answer.errors);
                Ok(())
            })?;
        }
    }

    #[test]
    fn what_clients_send_fits() {
        let input_types = InputTypes::new(model().input_shapes());
        let declared = |ty: &str| Type::new(ty).unwrap();
        for (ty, value) in [
            ("ID!", serde_json::json!("x")),
            ("Int", serde_json::json!(50)),
            ("ContactFilter", serde_json::json!({ "and": [{ "city": { "in": ["x"] } }] })),
            ("[ContactOrder!]", serde_json::json!([{ "field": "FAMILY_NAME", "direction": "DESC" }])),
            ("DateTime", serde_json::json!("2026-11-02T09:00:00Z")),
        ] {
            assert!(input_types.accepts(&declared(ty), &value), "{ty} {value}");
        }
        for (ty, value) in [
            ("ID!", serde_json::json!(null)),
            ("Int", serde_json::json!(3_000_000_000_u64)),
            ("ContactFilter", serde_json::json!({ "nothing": {} })),
            ("[ContactOrder!]", serde_json::json!([{ "direction": "DESC" }])),
            ("Nothing", serde_json::json!("x")),
        ] {
            assert!(!input_types.accepts(&declared(ty), &value), "{ty} {value}");
        }
    }
}
