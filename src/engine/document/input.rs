//! The input of a mutation, parsed and checked against the registry. Room: engine/document.

use async_graphql::Value;
use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::ActiveEnum;
use uuid::Uuid;

use super::arguments::{Arguments, given_twice, id, instant, lookup_field, text};
use crate::{
    auth::actor::Actor,
    base::error::Error,
    registry::{Field, InputField, InputKind, InputType, Mutation, ObjectType, Right},
};

/// Maximum number of words in a list.
const MAX_LIST_ENTRIES: usize = 200;

/// A value of an input field.
#[derive(Clone)]
enum InputValue {
    Id(Uuid),
    Text(String),
    Time(DateTime<Utc>),
    Int(i32),
    Strings(Vec<String>),
    Input(Input),
}

/// A validated input: each value with its field name and the name that the caller used. Debug shows only names.
#[derive(Clone, Default)]
pub struct Input {
    path: String,
    values: Vec<(&'static str, &'static str, InputValue)>,
}

/// The caller for whom an input is parsed, and the current day.
#[derive(Clone, Copy)]
pub(in crate::engine) struct InputContext<'a> {
    pub(in crate::engine) actor: &'a Actor,
    pub(in crate::engine) today: NaiveDate,
}

/// Rights that the given input values require, each with the path of its value.
pub(in crate::engine) type RequiredRights = Vec<(Right, String)>;

/// The rights that the given arguments of `mutation` require, whether or not the values are valid.
pub(in crate::engine) fn required_rights(mutation: &Mutation, arguments: &Arguments) -> RequiredRights {
    let mut rights = arguments
        .get("input")
        .map_or_else(RequiredRights::new, |value| required_rights_of(mutation.input, value, "input"));
    if let Some(former) = mutation.deprecated_argument().filter(|former| arguments.get(former.name).is_some())
    {
        rights.extend(former.right.map(|right| (right, former.name.to_owned())));
    }
    rights
}

/// The rights that `value` as `ty` requires, whether or not the values in it are valid.
fn required_rights_of(ty: &InputType, value: &Value, path: &str) -> RequiredRights {
    let Value::Object(entries) = value else { return RequiredRights::new() };
    let mut rights = RequiredRights::new();
    for (field, name) in ty.all().iter().flat_map(|field| field.names().map(move |name| (field, name))) {
        let Some(value) = entries.get(name).filter(|value| **value != Value::Null) else { continue };
        let path = format!("{path}.{name}");
        rights.extend(field.right.map(|right| (right, path.clone())));
        match (field.kind, ty.object) {
            (InputKind::Object(nested), _) => rights.extend(self::required_rights_of(nested, value, &path)),
            (InputKind::FieldNames(object), Some((_, action))) => {
                let single = std::slice::from_ref(value);
                let items = if let Value::List(items) = value { items.as_slice() } else { single };
                for (index, item) in items.iter().enumerate() {
                    let word = text(name, item).unwrap_or_default();
                    let named = object.writable_fields().find(|(field, _)| field.enum_name() == word);
                    let right = named.map(|(field, _)| Right::OnField(action, object, field));
                    rights.extend(right.map(|right| (right, format!("{path}.{index}"))));
                }
            }
            _ => {}
        }
    }
    rights
}

impl Input {
    /// Parses `value` as `ty`. Null counts as absent.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` with the path of the first error.
    pub(in crate::engine) fn parse(
        ty: &InputType,
        value: &Value,
        path: &str,
        context: InputContext<'_>,
    ) -> Result<Self, Error> {
        let Value::Object(entries) = value else {
            return Err(Error::bad_input("an input must be an object").with_input_path(path));
        };
        let fields = ty.all();
        let is_field = |name: &str| fields.iter().any(|field| field.names().any(|declared| declared == name));
        if let Some(unknown) = entries.keys().find(|name| !is_field(name)) {
            return Err(
                Error::bad_input("there is no such input field").with_input_path(format!("{path}.{unknown}"))
            );
        }
        let mut values = Vec::new();
        for field in &fields {
            let get = |name: &str| entries.get(name).filter(|value| **value != Value::Null);
            let path = |name: &str| format!("{path}.{name}");
            if let Some((used_name, value)) = lookup_field(field, get, path)? {
                values.push((
                    field.name,
                    used_name,
                    parse_value(field, used_name, value, &path(used_name), context)?,
                ));
            }
        }
        Ok(Self { path: path.to_owned(), values })
    }

    /// The input of `mutation` from its arguments: `input`, or the argument that formerly stood for its only field.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` with the path of the first error, or if both or neither are given.
    pub(in crate::engine) fn from_arguments(
        mutation: &Mutation,
        arguments: &Arguments,
        context: InputContext<'_>,
    ) -> Result<Self, Error> {
        let input = arguments.get("input");
        let former =
            mutation.deprecated_argument().and_then(|field| Some((field, arguments.get(field.name)?)));
        match (input, former) {
            (Some(_), Some((former, _))) => {
                Err(given_twice("input", former.name).with_input_path(former.name))
            }
            (Some(value), None) => Self::parse(mutation.input, value, "input", context),
            (None, Some((former, value))) => {
                let name = mutation.input.fields.first().map_or(former.name, |field| field.name);
                let value = parse_value(&former, former.name, value, former.name, context)?;
                Ok(Self { path: String::new(), values: vec![(name, former.name, value)] })
            }
            (None, None) => {
                let demand = InputKind::Object(mutation.input).requirement();
                Err(Error::bad_input(format!("`input` is missing: it must be {demand}"))
                    .with_input_path("input"))
            }
        }
    }

    /// Rewrites `error` to the names that the caller used, where these are former names.
    #[must_use]
    pub fn with_used_names(&self, mut error: Error) -> Error {
        for (name, used_name, value) in &self.values {
            if let InputValue::Input(nested) = value {
                error = nested.with_used_names(error);
            }
            let path =
                if self.path.is_empty() { format!("input.{name}") } else { format!("{}.{name}", self.path) };
            if name != used_name && error.input_path.as_ref() == Some(&path) {
                error.input_path = Some(self.path(name));
                error.message = error.message.replace(&format!("`{name}`"), &format!("`{used_name}`"));
            }
        }
        error
    }

    fn get(&self, name: &str) -> Option<&InputValue> {
        self.values.iter().find_map(|(field, _, value)| (*field == name).then_some(value))
    }

    /// The path of a field by the name that the caller used, for errors.
    pub fn path(&self, name: &str) -> String {
        let used_name =
            self.values.iter().find_map(|(field, used_name, _)| (*field == name).then_some(*used_name));
        let name = used_name.unwrap_or(name);
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// `BAD_USER_INPUT` about the field `name`.
    pub fn invalid(&self, name: &str, message: impl Into<String>) -> Error {
        Error::bad_input(message).with_input_path(self.path(name))
    }

    fn missing(&self, name: &str) -> Error {
        self.invalid(name, format!("`{name}` is missing"))
    }

    /// An id, if given.
    pub fn id(&self, name: &str) -> Option<Uuid> {
        match self.get(name) {
            Some(InputValue::Id(id)) => Some(*id),
            _ => None,
        }
    }

    /// Text, a word or an enum's name, if given.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(InputValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// An instant, if given.
    pub fn time(&self, name: &str) -> Option<DateTime<Utc>> {
        match self.get(name) {
            Some(InputValue::Time(at)) => Some(*at),
            _ => None,
        }
    }

    /// A number, if given.
    pub fn int(&self, name: &str) -> Option<i32> {
        match self.get(name) {
            Some(InputValue::Int(number)) => Some(*number),
            _ => None,
        }
    }

    /// A list of strings, if given.
    pub fn strings(&self, name: &str) -> Option<&[String]> {
        match self.get(name) {
            Some(InputValue::Strings(words)) => Some(words),
            _ => None,
        }
    }

    /// A nested input, if given.
    pub fn nested(&self, name: &str) -> Option<&Input> {
        match self.get(name) {
            Some(InputValue::Input(input)) => Some(input),
            _ => None,
        }
    }

    /// A required id.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`; the schema has already ruled it out, here and below.
    pub fn require_id(&self, name: &str) -> Result<Uuid, Error> {
        self.id(name).ok_or_else(|| self.missing(name))
    }

    /// A required text.
    ///
    /// # Errors
    /// As [`Self::require_id`].
    pub fn require_text(&self, name: &str) -> Result<&str, Error> {
        self.text(name).ok_or_else(|| self.missing(name))
    }

    /// A required instant.
    ///
    /// # Errors
    /// As [`Self::require_id`].
    pub fn require_time(&self, name: &str) -> Result<DateTime<Utc>, Error> {
        self.time(name).ok_or_else(|| self.missing(name))
    }

    /// Text, if given, owned.
    pub fn optional_string(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// A required text, owned.
    ///
    /// # Errors
    /// As [`Self::require_id`].
    pub fn require_string(&self, name: &str) -> Result<String, Error> {
        self.require_text(name).map(str::to_owned)
    }

    /// A required value of a database enum.
    ///
    /// # Errors
    /// As [`Self::require_id`].
    pub fn require_enum<E: ActiveEnum<Value = String>>(&self, name: &str) -> Result<E, Error> {
        let value = self.require_string(name)?;
        E::try_from_value(&value)
            .map_err(|_| self.invalid(name, format!("`{name}` is not one of the known words")))
    }

    /// A value of a database enum, if given.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`; the schema has already ruled it out.
    pub fn optional_enum<E: ActiveEnum<Value = String>>(&self, name: &str) -> Result<Option<E>, Error> {
        self.text(name).map(|_| self.require_enum(name)).transpose()
    }

    /// A required nested input.
    ///
    /// # Errors
    /// As [`Self::require_id`].
    pub fn require_nested(&self, name: &str) -> Result<&Input, Error> {
        self.nested(name).ok_or_else(|| self.missing(name))
    }

    /// The given fields of `object` with their values.
    pub fn fields_of(&self, object: &'static ObjectType) -> impl Iterator<Item = (&'static Field, String)> {
        object.writable_fields().filter_map(|(field, _)| Some((field, self.optional_string(field.name)?)))
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.values.iter().map(|(name, ..)| name)).finish()
    }
}

fn parse_value(
    field: &InputField,
    name: &str,
    value: &Value,
    path: &str,
    context: InputContext<'_>,
) -> Result<InputValue, Error> {
    let InputContext { actor, today } = context;
    let at = |error: Error| error.with_input_path(path);
    Ok(match field.kind {
        InputKind::Id => InputValue::Id(id(name, value).map_err(at)?),
        InputKind::Time => InputValue::Time(instant(name, value).map_err(at)?),
        InputKind::Int => {
            let number = match value {
                Value::Number(number) => number.as_i64().and_then(|number| i32::try_from(number).ok()),
                _ => None,
            };
            InputValue::Int(
                number.ok_or_else(|| at(Error::bad_input(format!("`{name}` must be a whole number"))))?,
            )
        }
        InputKind::Text(validator) => {
            let Value::String(text) = value else {
                return Err(at(Error::bad_input(format!("`{name}` must be a text"))));
            };
            match validator.validate(text, today) {
                Ok(Some(text)) => InputValue::Text(text),
                Ok(None) => return Err(at(Error::bad_input(format!("`{name}` is empty")))),
                Err(error) => return Err(at(Error::bad_input(format!("`{name}` {}", error.requirement())))),
            }
        }
        InputKind::Word => InputValue::Text(parse_word(name, value).map_err(at)?),
        InputKind::Purpose => {
            let code = parse_word(name, value).map_err(at)?;
            if actor.policy.purpose(&code).is_none() {
                return Err(at(actor.unknown_purpose(&code, true)));
            }
            InputValue::Text(code)
        }
        InputKind::Enum(of) => {
            let word = text(name, value).map_err(at)?;
            if !of.values.iter().any(|(value, _)| *value == word) {
                return Err(at(Error::bad_input(format!("`{name}` must be {}", field.kind.requirement()))));
            }
            InputValue::Text(word.to_owned())
        }
        InputKind::Words | InputKind::FieldNames(_) => InputValue::Strings(parse_words(name, value, path)?),
        InputKind::Object(ty) => InputValue::Input(Input::parse(ty, value, path, context)?),
    })
}

/// A word: not empty, at most 200 characters, no white space around, no control characters.
fn parse_word(name: &str, value: &Value) -> Result<String, Error> {
    let word = text(name, value)?;
    let fits = !word.is_empty() && word.chars().count() <= 200 && word.trim() == word;
    if !fits || word.chars().any(char::is_control) {
        return Err(Error::bad_input(format!("`{name}` must be a word of 1 to 200 characters")));
    }
    Ok(word.to_owned())
}

pub(in crate::engine) fn parse_words(name: &str, value: &Value, path: &str) -> Result<Vec<String>, Error> {
    let single = std::slice::from_ref(value);
    let items = if let Value::List(items) = value { items.as_slice() } else { single };
    if items.len() > MAX_LIST_ENTRIES {
        let message = format!("`{name}` has more than {MAX_LIST_ENTRIES} entries");
        return Err(Error::bad_input(message).with_input_path(path));
    }
    let mut words = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        let word =
            parse_word(name, item).map_err(|error| error.with_input_path(format!("{path}.{index}")))?;
        if words.contains(&word) {
            let message = format!("`{name}` contains an entry twice");
            return Err(Error::bad_input(message).with_input_path(format!("{path}.{index}")));
        }
        words.push(word);
    }
    Ok(words)
}
