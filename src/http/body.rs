//! Reads the body of a GraphQL request, within its limit (floor 6).

use std::time::Duration;

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, StatusCode, header::CONTENT_LENGTH},
};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use crate::{error::Error, graphql::Request};

/// How long a client may take to send its body.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads the body.
///
/// # Errors
/// 413 when it is larger than `limit`, 408 when it does not come, 400 when it breaks off.
pub async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, (StatusCode, Error)> {
    let too_large =
        || (StatusCode::PAYLOAD_TOO_LARGE, Error::input(format!("the body is larger than {limit} bytes")));
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if declared.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    match tokio::time::timeout(PATIENCE, to_bytes(body, limit)).await {
        Err(_) => Err((StatusCode::REQUEST_TIMEOUT, Error::input("the body did not arrive in time"))),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_limit(&error) => Err(too_large()),
        Ok(Err(_)) => Err((StatusCode::BAD_REQUEST, Error::input("the body broke off"))),
    }
}

fn is_limit(error: &(dyn std::error::Error + 'static)) -> bool {
    error.is::<http_body_util::LengthLimitError>() || error.source().is_some_and(is_limit)
}

/// The members of a request; others are ignored, as GraphQL over HTTP asks. A member given twice is an error.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    #[serde(default)]
    query: Value,
    #[serde(default)]
    operation_name: Value,
    #[serde(default)]
    variables: Value,
    #[serde(default)]
    extensions: Value,
}

/// Reads the request in `bytes`.
///
/// # Errors
/// `BAD_USER_INPUT` for what is no JSON, no object (there is no batching), or has a member of the wrong type.
pub fn parse(bytes: &[u8], strict: bool) -> Result<Request, Error> {
    match bytes.trim_ascii_start().first() {
        Some(b'{') => {}
        Some(b'[') => return Err(Error::input("batches are not supported; send one operation per request")),
        _ => return Err(Error::input("the body is not a JSON object")),
    }
    let members: Members =
        serde_json::from_slice(bytes).map_err(|_| Error::input("the body is not well-formed JSON"))?;
    let Value::String(query) = members.query else {
        return Err(Error::input("`query` must be a string"));
    };
    let operation_name = match members.operation_name {
        Value::Null => None,
        Value::String(name) => Some(name),
        _ => return Err(Error::input("`operationName` must be a string or null")),
    };
    let variables = match members.variables {
        Value::Null => serde_json::Map::new(),
        Value::Object(variables) => variables,
        _ => return Err(Error::input("`variables` must be an object or null")),
    };
    if !matches!(members.extensions, Value::Null | Value::Object(_)) {
        return Err(Error::input("`extensions` must be an object or null"));
    }
    Ok(Request { query, operation_name, variables, strict, replay: None })
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
        ] {
            assert!(parse(body.as_bytes(), false).is_err(), "{body}");
        }
        assert!(parse(b"{\"query\":\"\xff\"}", false).is_err());
    }
}
