//! Validation errors as the caller sees them: position and expected type, limited to the caller's view of the schema.
//! Room: graphql.

use async_graphql::{Pos, ServerError};

use crate::base::{
    error::Error,
    names::{closest, format_list, unknown},
};
use crate::graphql::{response::ResponseError, schema_views::SchemaView};

/// Maximum number of validation errors in a response.
const MAX_ERRORS: usize = 10;

/// The errors as a caller with `view` sees them.
pub(super) fn response_errors(errors: Vec<ServerError>, view: &SchemaView) -> Vec<ResponseError> {
    errors.into_iter().take(MAX_ERRORS).map(|error| response_error(error, view)).collect()
}

/// One error, with at most 300 characters of async-graphql's message. An invalid value is reported only by its path and
/// the expected type, because async-graphql's message may quote the value.
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
            Error::bad_input("a default value does not have the type of its variable")
        }
        None => {
            let message: String = error.message.chars().take(300).collect();
            Error::bad_input(match suggestion(&error.message, view) {
                Some(suggestion) => format!("{message} Did you mean \"{suggestion}\"?"),
                None => message,
            })
        }
    };
    ResponseError { positions, ..ResponseError::new(error) }
}

/// The error for the value at `path`.
fn value_error(path: &str, reason: &str, view: &SchemaView) -> Error {
    let after = |before: &str| reason.strip_prefix(before).and_then(|rest| rest.split_once('"'));
    if let Some((name, rest)) = after("field \"")
        && let Some(ty) = between(rest, " of type \"", "\" is required but not provided")
    {
        let expected = expected(ty.trim_end_matches('!'), view);
        return Error::bad_input(format!("`{name}` is missing{expected}"))
            .with_input_path(format!("{path}.{name}"));
    }
    if let Some((name, rest)) = after("unknown field \"") {
        let ty = between(rest, " of type \"", "\"").unwrap_or_default();
        return Error::bad_input(unknown("input field", name, view.names(ty)))
            .with_input_path(format!("{path}.{name}"));
    }
    let message = "this value has the wrong type";
    let ty = after("enumeration type \"").or_else(|| after("expected type \"")).map(|(ty, _)| ty);
    Error::bad_input(format!("{message}{}", ty.map_or_else(String::new, |ty| expected(ty, view))))
        .with_input_path(path)
}

/// Says that `ty` was expected, if the caller can see it; for an enum, lists its values.
fn expected(ty: &str, view: &SchemaView) -> String {
    let name = ty.trim_matches(['[', ']', '!']);
    match view.values(name) {
        Some(values) => format!(": expected one of {}", format_list(values)),
        None if name == "ID" => ": it must be an id, a UUID".to_owned(),
        None if view.shows(name) => format!(": expected {ty}"),
        None => String::new(),
    }
}

/// The closest visible name to one that validation does not know.
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

/// The part of `text` between its prefix `before` and `after`.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Option<&'t str> {
    text.strip_prefix(before)?.split_once(after).map(|(between, _)| between)
}
