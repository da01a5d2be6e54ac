//! The declaration of mutation inputs. Room: registry.

use super::{EnumType, Field, ObjectType, Validator};
use crate::{base::names::format_list, policy::Action};

/// What kind of value an input field takes.
#[derive(Clone, Copy, Debug)]
pub enum InputKind {
    /// An opaque UUID.
    Id,
    /// Text with this validator.
    Text(Validator),
    /// An exactly compared string such as a version or a language, at most 200 characters.
    Word,
    /// The code of a purpose or group of the policy.
    Purpose,
    /// An instant, RFC 3339.
    Time,
    /// A whole number, 32 bits.
    Int,
    /// One of an enum's names.
    Enum(&'static EnumType),
    /// A list of words.
    Words,
    /// Names of a type's writable fields, as in `ContactField`.
    FieldNames(&'static ObjectType),
    /// A nested input.
    Object(&'static InputType),
}

impl InputKind {
    /// What a value must be, for messages.
    pub fn requirement(&self) -> String {
        match self {
            Self::Id => "an id, a UUID".to_owned(),
            Self::Text(_) => "a text".to_owned(),
            Self::Word => "a word".to_owned(),
            Self::Purpose => "the code of a purpose".to_owned(),
            Self::Time => "an instant such as 2026-11-02T09:00:00Z".to_owned(),
            Self::Int => "a whole number".to_owned(),
            Self::Enum(of) => one_of(of.values.iter().map(|(name, _)| (*name).to_owned())),
            Self::Words => "a list of words".to_owned(),
            Self::FieldNames(object) => {
                format!(
                    "a list of fields, each {}",
                    one_of(object.writable_fields().map(|(field, _)| field.enum_name()))
                )
            }
            Self::Object(ty) => format!("an object with {}", format_list(&ty.names())),
        }
    }
}

fn one_of(names: impl Iterator<Item = String>) -> String {
    format!("one of {}", format_list(&names.collect::<Vec<_>>()))
}

/// A right that the caller needs in order to set a value.
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

    /// The coordinate it applies to.
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
    /// The kind of value.
    pub kind: InputKind,
    /// Whether it is required.
    pub required: bool,
    /// The right that setting it needs.
    pub right: Option<Right>,
    /// Its deprecated name, which stays valid until the next version.
    pub deprecated: Option<DeprecatedInput>,
}

/// A deprecated name of an input field, and the kind of its value.
#[derive(Clone, Copy, Debug)]
pub struct DeprecatedInput {
    /// The name.
    pub name: &'static str,
    /// The kind of value.
    pub kind: InputKind,
}

impl InputField {
    pub(super) const fn new(name: &'static str, kind: InputKind, doc: &'static str) -> Self {
        Self { name, doc, kind, required: false, right: None, deprecated: None }
    }

    /// Its names, the deprecated one last.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.deprecated.map(|was| was.name))
    }

    /// Whether it is non-null in the schema: while a deprecated name is valid, either name is optional.
    pub fn is_required(&self) -> bool {
        self.required && self.deprecated.is_none()
    }

    /// The same field under its deprecated name.
    pub fn as_deprecated(&self) -> Option<Self> {
        self.deprecated.map(|was| Self {
            name: was.name,
            kind: was.kind,
            required: false,
            deprecated: None,
            ..*self
        })
    }

    /// Declares a deprecated name with the same kind of value.
    pub(super) const fn deprecated_name(self, name: &'static str) -> Self {
        let kind = self.kind;
        self.deprecated_as(name, kind)
    }

    /// Declares a deprecated name whose value is of another kind.
    pub(super) const fn deprecated_as(mut self, name: &'static str, kind: InputKind) -> Self {
        self.deprecated = Some(DeprecatedInput { name, kind });
        self
    }

    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Declares that setting it needs `action` on `coordinate`.
    pub(super) const fn requires_right(mut self, action: Action, coordinate: &'static str) -> Self {
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
    /// A governed type whose writable fields are included, and the action that setting one needs.
    pub object: Option<(&'static ObjectType, Action)>,
    /// Its own fields.
    pub fields: &'static [InputField],
}

impl InputType {
    /// Names of its own fields.
    pub fn names(&self) -> Vec<&'static str> {
        self.fields.iter().map(|field| field.name).collect()
    }

    /// Names of the leading id fields, which identify what is to be changed.
    pub fn targets(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.fields.iter().take_while(|field| matches!(field.kind, InputKind::Id)).map(|field| field.name)
    }

    /// Every field, those of the governed type last.
    pub fn all(&self) -> Vec<InputField> {
        let mut all = self.fields.to_vec();
        if let Some((object, action)) = self.object {
            all.extend(object.writable_fields().map(|(field, check)| InputField {
                name: field.name,
                doc: field.doc,
                kind: InputKind::Text(check),
                required: false,
                right: Some(Right::OnField(action, object, field)),
                deprecated: None,
            }));
        }
        all
    }
}
