//! Arguments of a field with their variables filled in. Room: engine/document.

use chrono::Datelike as _;
use chrono::SubsecRound as _;
use std::collections::BTreeMap;

use async_graphql::{
    Positioned, Value,
    parser::types::{Field, VariableDefinition},
};
use async_graphql_value::Value as Ast;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{base::error::Error, registry::InputField};

/// The variables of a request, defaults filled in. A variable without a value and a default is absent, not null.
#[derive(Debug, Default)]
pub struct Variables(BTreeMap<String, Value>);

impl Variables {
    pub(in crate::engine) fn new(
        definitions: &[Positioned<VariableDefinition>],
        mut json: serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, Error> {
        let mut variables = BTreeMap::new();
        for definition in definitions {
            let name = definition.node.name.node.as_str();
            let value = match json.remove(name) {
                Some(value) => Some(
                    Value::from_json(value)
                        .map_err(|_| Error::input(format!("the variable `${name}` cannot be read")))?,
                ),
                None => definition.node.default_value.as_ref().map(|value| value.node.clone()),
            };
            let absent = value.as_ref().is_none_or(|value| *value == Value::Null);
            if absent && !definition.node.var_type.node.nullable {
                return Err(Error::input(format!("the variable `${name}` is missing")).in_input(name));
            }
            if let Some(value) = value {
                variables.insert(name.to_owned(), value);
            }
        }
        Ok(Self(variables))
    }

    /// The value with variables put in; absent variables are left out of objects and absent as arguments.
    pub(in crate::engine) fn resolve(&self, value: &Ast) -> Option<Value> {
        Some(match value {
            Ast::Variable(name) => self.0.get(name.as_str())?.clone(),
            Ast::Null => Value::Null,
            Ast::Number(number) => Value::Number(number.clone()),
            Ast::String(text) => Value::String(text.clone()),
            Ast::Boolean(yes) => Value::Boolean(*yes),
            Ast::Binary(bytes) => Value::Binary(bytes.clone()),
            Ast::Enum(name) => Value::Enum(name.clone()),
            Ast::List(items) => {
                Value::List(items.iter().map(|item| self.resolve(item).unwrap_or(Value::Null)).collect())
            }
            Ast::Object(fields) => Value::Object(
                fields
                    .iter()
                    .filter_map(|(name, value)| Some((name.clone(), self.resolve(value)?)))
                    .collect(),
            ),
        })
    }

    /// The arguments of a field by name.
    pub(in crate::engine) fn arguments(&self, field: &Positioned<Field>) -> BTreeMap<String, Value> {
        let arguments = field.node.arguments.iter();
        arguments
            .filter_map(|(name, value)| Some((name.node.to_string(), self.resolve(&value.node)?)))
            .collect()
    }
}

/// The arguments of one field, taken by name. Null counts as absent.
pub(in crate::engine) struct Arguments(BTreeMap<String, Value>);

impl Arguments {
    pub(in crate::engine) fn new(variables: &Variables, field: &Positioned<Field>) -> Self {
        Self(variables.arguments(field))
    }

    pub(in crate::engine) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| **value != Value::Null)
    }

    /// What is given for `argument`, and by which of its names.
    pub(in crate::engine) fn lookup(
        &self,
        argument: &InputField,
    ) -> Result<Option<(&'static str, &Value)>, Error> {
        lookup_field(argument, |name| self.get(name), str::to_owned)
    }

    pub(in crate::engine) fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        self.get(name).map(|value| text(name, value)).transpose()
    }

    /// A cursor: made by us, as long as the values it holds.
    pub(in crate::engine) fn cursor(&self, name: &str) -> Result<Option<&str>, Error> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(cursor)) if cursor.len() <= MAX_CURSOR_BYTES => Ok(Some(cursor)),
            Some(_) => Err(Error::input(
                "this cursor is not valid here: it belongs to another list, order, purpose or caller, or was changed",
            )),
        }
    }

    pub(in crate::engine) fn int(&self, name: &str) -> Result<Option<i64>, Error> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => number
                .as_i64()
                .map(Some)
                .ok_or_else(|| Error::input(format!("`{name}` must be a whole number"))),
            Some(_) => Err(Error::input(format!("`{name}` must be a whole number"))),
        }
    }
}

/// Longest cursor that is looked at: five values of the longest texts there are to be ordered by.
const MAX_CURSOR_BYTES: usize = 64 * 1024;

/// Text of an argument; also takes names of enums.
pub(in crate::engine) fn text<'v>(name: &str, value: &'v Value) -> Result<&'v str, Error> {
    let text = match value {
        Value::String(text) => text.as_str(),
        Value::Enum(word) => word.as_str(),
        _ => return Err(Error::input(format!("`{name}` must be a text"))),
    };
    if text.len() > 1_000 || text.contains('\0') {
        return Err(Error::input(format!("`{name}` must have at most 1,000 bytes and no zero byte")));
    }
    Ok(text)
}

/// An id: a UUID in its usual form. Nothing else is an id of ours.
pub(in crate::engine) fn id(name: &str, value: &Value) -> Result<Uuid, Error> {
    let text = text(name, value)?;
    Uuid::try_parse(text).map_err(|_| Error::input(format!("`{name}` must be an id, a UUID")))
}

/// An instant, RFC 3339; kept to the microsecond.
pub(in crate::engine) fn instant(name: &str, value: &Value) -> Result<DateTime<Utc>, Error> {
    let text = text(name, value)?;
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|instant| instant.with_timezone(&Utc).trunc_subsecs(6))
        // Years that are written with four digits: instants are compared as text by SQLite.
        .filter(|instant| (1..=9999).contains(&instant.year()))
        .ok_or_else(|| Error::input(format!("`{name}` must be an instant such as 2026-11-02T09:00:00Z")))
}

/// What is given for `field`, and by which of its names.
///
/// # Errors
/// `BAD_USER_INPUT` where both names are used, and where what must be given is not.
pub(in crate::engine) fn lookup_field<'v>(
    field: &InputField,
    get: impl Fn(&str) -> Option<&'v Value>,
    path_of: impl Fn(&str) -> String,
) -> Result<Option<(&'static str, &'v Value)>, Error> {
    let mut json = field.names().filter_map(|name| Some((name, get(name)?)));
    match (json.next(), json.next()) {
        (Some(_), Some((former, _))) => Err(given_twice(field.name, former).in_input(path_of(former))),
        (None, _) if field.required => {
            let message = format!("`{}` is missing: it must be {}", field.name, field.kind.demand());
            Err(Error::input(message).in_input(path_of(field.name)))
        }
        (json, _) => Ok(json),
    }
}

/// A value that is given by both of its names.
pub(in crate::engine) fn given_twice(name: &str, former: &str) -> Error {
    Error::input(format!("`{former}` is the old name of `{name}`: give one of them"))
}
