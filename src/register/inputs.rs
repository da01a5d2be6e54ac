//! How inputs of mutations are declared (floor 1).

use super::{Check, EnumType, Field, ObjectType};
use crate::policy::Action;

/// What kind of value an input field takes.
#[derive(Clone, Copy, Debug)]
pub enum InputKind {
    /// An opaque UUID.
    Id,
    /// Text of this shape.
    Text(Check),
    /// A code of a purpose, a version: compared exactly, at most 200 characters.
    Word,
    /// An instant, RFC 3339.
    Time,
    /// A whole number, 32 bits.
    Int,
    /// One of an enum's names.
    Enum(&'static EnumType),
    /// A list of words.
    Words,
    /// Names of given fields of a type, as in `ContactField`.
    FieldNames(&'static ObjectType),
    /// A nested input.
    Object(&'static InputType),
}

/// What the caller must be allowed to do to give a value.
#[derive(Clone, Copy, Debug)]
pub enum Right {
    /// An action on a coordinate.
    On(Action, &'static str),
    /// An action on a field of a governed type.
    OnField(Action, &'static ObjectType, &'static Field),
}

impl Right {
    /// The action.
    pub fn action(&self) -> Action {
        match self {
            Right::On(action, _) | Right::OnField(action, ..) => *action,
        }
    }

    /// The coordinate it is done to.
    pub fn coordinate(&self) -> String {
        match self {
            Right::On(_, coordinate) => (*coordinate).to_owned(),
            Right::OnField(_, object, field) => format!("{}.{}", object.name, field.name),
        }
    }
}

/// A field of an input.
#[derive(Clone, Copy, Debug)]
pub struct InputField {
    /// Name in the SDL.
    pub name: &'static str,
    /// Description in the SDL.
    pub doc: &'static str,
    /// What it takes.
    pub kind: InputKind,
    /// Whether it must be given.
    pub required: bool,
    /// What giving it needs.
    pub right: Option<Right>,
}

impl InputField {
    pub(super) const fn new(name: &'static str, kind: InputKind, doc: &'static str) -> Self {
        Self { name, doc, kind, required: false, right: None }
    }

    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Needs `action` on `coordinate`.
    pub(super) const fn needs(mut self, action: Action, coordinate: &'static str) -> Self {
        self.right = Some(Right::On(action, coordinate));
        self
    }
}

/// An input type of the SDL.
#[derive(Debug)]
pub struct InputType {
    /// Name in the SDL.
    pub name: &'static str,
    /// Description in the SDL.
    pub doc: &'static str,
    /// A governed type whose given fields belong to it, and what giving one needs.
    pub of: Option<(&'static ObjectType, Action)>,
    /// Its own fields.
    pub fields: &'static [InputField],
}

impl InputType {
    /// Every field, those of the governed type last.
    pub fn all(&self) -> Vec<InputField> {
        let mut all = self.fields.to_vec();
        if let Some((object, action)) = self.of {
            all.extend(object.given().map(|(field, check)| InputField {
                name: field.name,
                doc: field.doc,
                kind: InputKind::Text(check),
                required: false,
                right: Some(Right::OnField(action, object, field)),
            }));
        }
        all
    }
}
