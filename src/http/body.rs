//! Reads the body of a GraphQL request, within its size and time limits. Room: http.

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, StatusCode, header::CONTENT_LENGTH},
};
use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::{
    base::{error::Error, limits::Limits, strict_json::NoDuplicateKeys},
    graphql::Request,
};

/// Reads the body.
///
/// # Errors
/// 413 if it is larger than the limit, 408 if it does not arrive in time, 400 if the connection breaks off.
pub async fn read(headers: &HeaderMap, body: Body, limits: &Limits) -> Result<Bytes, (StatusCode, Error)> {
    let (limit, timeout) = (limits.body_bytes, Duration::from_secs(limits.body_seconds));
    let too_large = || {
        (StatusCode::PAYLOAD_TOO_LARGE, Error::bad_input(format!("the body is larger than {limit} bytes")))
    };
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    match tokio::time::timeout(timeout, to_bytes(body, limit)).await {
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, Error::bad_input("the body did not arrive in time"))),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_limit(&error) => Err(too_large()),
        Ok(Err(_)) => Err((StatusCode::BAD_REQUEST, Error::bad_input("the body is incomplete"))),
    }
}

fn is_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<http_body_util::LengthLimitError>() || error.source().is_some_and(is_limit)
}

/// The parameters of a request. Other members are ignored, as GraphQL over HTTP requires; a duplicate one is an error.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RequestParams {
    #[serde(deserialize_with = "without_duplicate_keys")]
    pub(super) query: Option<Value>,
    #[serde(deserialize_with = "without_duplicate_keys")]
    pub(super) operation_name: Option<Value>,
    #[serde(deserialize_with = "without_duplicate_keys")]
    pub(super) variables: Option<Value>,
    #[serde(deserialize_with = "without_duplicate_keys")]
    pub(super) extensions: Option<Value>,
}

/// Reads the request in `bytes`.
///
/// # Errors
/// `BAD_USER_INPUT` if the body is not a JSON object (batching is not supported) or a parameter has the wrong type.
pub fn parse(bytes: &[u8], strict: bool) -> Result<Request, Error> {
    match bytes.trim_ascii_start().first() {
        Some(b'{') => {}
        Some(b'[') => {
            return Err(Error::bad_input("batches are not supported; send one operation per request"));
        }
        _ => return Err(Error::bad_input("the body is not a JSON object")),
    }
    let params: RequestParams =
        serde_json::from_slice(bytes).map_err(|_| Error::bad_input("the body is not well-formed JSON"))?;
    Ok(Request { safe: false, ..params.request(strict)? })
}

impl RequestParams {
    /// The request with these parameters, which may only read.
    pub(super) fn request(self, strict: bool) -> Result<Request, Error> {
        let Some(Value::String(query)) = self.query else {
            return Err(Error::bad_input("`query` must be a string"));
        };
        let operation_name = match self.operation_name {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name),
            Some(_) => return Err(Error::bad_input("`operationName` must be a string or null")),
        };
        let variables = match self.variables {
            None | Some(Value::Null) => serde_json::Map::new(),
            Some(Value::Object(variables)) => variables,
            Some(_) => return Err(Error::bad_input("`variables` must be an object or null")),
        };
        if !matches!(self.extensions, None | Some(Value::Null | Value::Object(_))) {
            return Err(Error::bad_input("`extensions` must be an object or null"));
        }
        Ok(Request { query, operation_name, variables, strict, safe: true, idempotency: None, meter: None })
    }
}

/// Parses JSON without duplicate keys.
pub(super) fn parse_json(bytes: &[u8]) -> Result<Value, ()> {
    serde_json::from_slice(bytes).map(|NoDuplicateKeys(value)| value).map_err(|_| ())
}

fn without_duplicate_keys<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    NoDuplicateKeys::deserialize(deserializer).map(|NoDuplicateKeys(value)| Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_well_formed() {
        let body = br#" {"query":"{a}","operationName":null,"variables":{"x":1},"extensions":{},"id":"?"}"#;
        let request = parse(body, true).unwrap();
        assert_eq!(request.query, "{a}");
        assert_eq!(request.variables.len(), 1);
        assert!(request.operation_name.is_none() && request.strict);
    }

    #[test]
    fn refuses_everything_else() {
        for body in [
            "",
            "null",
            "\"x\"",
            "[]",
            "[{\"query\":\"{a}\"}]",
            "{",
            "{}",
            "{\"query\":1}",
            "{\"query\":null}",
            "{\"query\":\"a\",\"query\":\"b\"}",
            "{\"query\":\"a\"} x",
            "{\"query\":\"a\",\"variables\":[]}",
            "{\"query\":\"a\",\"variables\":\"{}\"}",
            "{\"query\":\"a\",\"operationName\":1}",
            "{\"query\":\"a\",\"extensions\":\"x\"}",
            "{\"query\":\"a\",\"variables\":{\"x\":1,\"x\":2}}",
            "{\"query\":\"a\",\"variables\":{\"x\":[{\"y\":1,\"\\u0079\":2}]}}",
            "{\"query\":\"a\",\"variables\":{\"x\":1e999}}",
            "\u{feff}{\"query\":\"a\"}",
        ] {
            assert!(parse(body.as_bytes(), false).is_err(), "{body}");
        }
        assert!(parse(b"{\"query\":\"\xff\"}", false).is_err());
    }
}
