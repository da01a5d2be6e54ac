//! Whether values of variables have the types that are declared for them, without a document (floor 5).
//!
//! It never says yes where validation would say no: a document that was validated with other values needs no validation for
//! values that fit. Where it says no, validation finds out, and says why.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::{
    dynamic::TypeRef,
    parser::types::{BaseType, Type},
};
use serde_json::Value as Json;

/// What an input type takes.
#[derive(Debug)]
pub(super) enum Shape {
    /// One of these words.
    Enum(BTreeSet<String>),
    /// An object with these members.
    Input(BTreeMap<String, TypeRef>),
    /// Text in a form of its own.
    Text,
}

/// The input types by name, without those that are built in.
#[derive(Debug, Default)]
pub(super) struct Shapes(BTreeMap<String, Shape>);

/// Deepest nesting that is looked into.
const DEEPEST: usize = 16;

impl Shapes {
    pub(super) fn new(shapes: impl IntoIterator<Item = (String, Shape)>) -> Self {
        Self(shapes.into_iter().collect())
    }

    /// Whether `value` surely fits `declared`. Null never does.
    pub(super) fn fits(&self, declared: &Type, value: &Json) -> bool {
        match (&declared.base, value) {
            (_, Json::Null) => false,
            (BaseType::Named(name), value) => self.named(name.as_str(), value, 0),
            (BaseType::List(inner), Json::Array(items)) => items.iter().all(|item| self.fits(inner, item)),
            (BaseType::List(_), _) => false,
        }
    }

    fn referred(&self, ty: &TypeRef, value: &Json, depth: usize) -> bool {
        match (ty, value) {
            (_, Json::Null) => false,
            (TypeRef::NonNull(inner), value) => self.referred(inner, value, depth),
            (TypeRef::List(inner), Json::Array(items)) => {
                items.iter().all(|item| self.referred(inner, item, depth))
            }
            (TypeRef::List(_), _) => false,
            (TypeRef::Named(name), value) => self.named(name, value, depth),
        }
    }

    fn named(&self, name: &str, value: &Json, depth: usize) -> bool {
        match (name, value) {
            ("ID" | "String", Json::String(_)) | ("Boolean", Json::Bool(_)) => true,
            ("Int", Json::Number(number)) => {
                number.as_i64().is_some_and(|number| i32::try_from(number).is_ok())
            }
            (name, value) => match (self.0.get(name), value) {
                (Some(Shape::Enum(words)), Json::String(word)) => words.contains(word),
                (Some(Shape::Text), Json::String(_)) => true,
                (Some(Shape::Input(members)), Json::Object(given)) if depth < DEEPEST => {
                    let known = |(name, value): (&String, &Json)| {
                        members.get(name).is_some_and(|ty| self.referred(ty, value, depth + 1))
                    };
                    let there = |(name, ty): (&String, &TypeRef)| {
                        !matches!(ty, TypeRef::NonNull(_)) || given.contains_key(name)
                    };
                    given.iter().all(known) && members.iter().all(there)
                }
                _ => false,
            },
        }
    }
}
