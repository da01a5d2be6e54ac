//! What validation finds wrong with a document: where, and what was expected, of what the caller is shown alone. Room: graphql.

use async_graphql::{Pos, ServerError};

use crate::base::{
    error::Error,
    names::{closest, listed, unknown},
};
use crate::graphql::{response::ResponseError, schema_views::SchemaView};

/// Most faults of a document that are told at once.
const MAX_ERRORS: usize = 10;

/// The faults as they are told to who is shown `view`.
pub(super) fn response_errors(errors: Vec<ServerError>, view: &SchemaView) -> Vec<ResponseError> {
    errors.into_iter().take(MAX_ERRORS).map(|error| response_error(error, view)).collect()
}

/// A fault, at most 300 characters of what async-graphql says of it. Of a value that does not fit only its place and what was expected
/// are told: what async-graphql says of it may quote it.
fn response_error(error: ServerError, view: &SchemaView) -> ResponseError {
    let positions: Vec<Pos> = error.locations.into_iter().take(MAX_ERRORS).collect();
    let path = error
        .message
        .strip_prefix("Invalid value for argument \"")
        .and_then(|rest| rest.split_once("\", "))
        .map(|(path, reason)| (path.to_owned(), reason));
    let error = match path {
        Some((path, reason)) => value_error(&path, reason, view),
        None if error.message.starts_with("Invalid default value") => {
            Error::input("a default value does not have the type of its variable")
        }
        None => {
            let message: String = error.message.chars().take(300).collect();
            Error::input(match suggestion(&error.message, view) {
                Some(suggestion) => format!("{message} Did you mean \"{suggestion}\"?"),
                None => message,
            })
        }
    };
    ResponseError { positions, ..ResponseError::new(error) }
}

/// What is wrong with the value at `place`.
fn value_error(path: &str, reason: &str, view: &SchemaView) -> Error {
    let after = |before: &str| reason.strip_prefix(before).and_then(|rest| rest.split_once('"'));
    if let Some((name, rest)) = after("field \"")
        && let Some(ty) = between(rest, " of type \"", "\" is required but not provided")
    {
        let expected = expected(ty.trim_end_matches('!'), view);
        return Error::input(format!("`{name}` is missing{expected}")).in_input(format!("{path}.{name}"));
    }
    if let Some((name, rest)) = after("unknown field \"") {
        let ty = between(rest, " of type \"", "\"").unwrap_or_default();
        return Error::input(unknown("input field", name, view.names(ty))).in_input(format!("{path}.{name}"));
    }
    let message = "this value has the wrong type";
    let ty = after("enumeration type \"").or_else(|| after("expected type \"")).map(|(ty, _)| ty);
    Error::input(format!("{message}{}", ty.map_or_else(String::new, |ty| expected(ty, view)))).in_input(path)
}

/// That `ty` was expected, if the caller is shown it; of an enum its values.
fn expected(ty: &str, view: &SchemaView) -> String {
    let name = ty.trim_matches(['[', ']', '!']);
    match view.values(name) {
        Some(values) => format!(": expected one of {}", listed(values)),
        None if name == "ID" => ": it must be an id, a UUID".to_owned(),
        None if view.shows(name) => format!(": expected {ty}"),
        None => String::new(),
    }
}

/// What was meant by a name that validation does not know, if the caller is shown it.
fn suggestion<'v>(message: &str, view: &'v SchemaView) -> Option<&'v str> {
    if let Some(rest) = message.strip_prefix("Unknown field \"") {
        let (name, rest) = rest.split_once('"')?;
        return closest(name, view.names(between(rest, " on type \"", "\"")?));
    }
    let (name, rest) = message.strip_prefix("Unknown argument \"")?.split_once('"')?;
    let (field, rest) = rest.strip_prefix(" on field \"")?.split_once('"')?;
    let ty = between(rest, " of type \"", "\"")?;
    closest(name, view.names(&format!("{ty}.{field}")))
}

/// What stands in `text` behind `before`, with which it begins, up to `after`.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.strip_prefix(before)?.split_once(after).map(|(between, _)| between)
}
