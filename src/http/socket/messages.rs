//! Messages of graphql-transport-ws, and close codes. Room: http/socket.

use axum::{
    extract::ws::{CloseFrame, Message, Utf8Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION},
};
use serde_json::{Map, Value};

use super::super::headers::PURPOSE;
use crate::graphql::Request;

/// Longest id of a subscription in bytes.
const MAX_ID_BYTES: usize = 200;

/// A message of a client.
pub(super) enum Incoming {
    /// Its credential and purpose.
    Init(HeaderMap),
    Ping,
    Pong,
    Subscribe(String, Request),
    Complete(String),
}

/// The code and reason with which a connection is closed.
#[derive(Debug)]
pub(super) struct Close(pub(super) u16, pub(super) String);

impl Close {
    pub(super) fn new(code: u16, reason: impl Into<String>) -> Self {
        Self(code, reason.into())
    }

    pub(super) fn bad(reason: &str) -> Self {
        Self::new(4400, reason)
    }

    pub(super) fn frame(&self) -> Message {
        // A reason has at most 123 bytes (RFC 6455, 5.5).
        let mut reason = self.1.clone();
        while reason.len() > 123 {
            reason.pop();
        }
        Message::Close(Some(CloseFrame { code: self.0, reason: Utf8Bytes::from(reason) }))
    }
}

/// Reads a message.
///
/// # Errors
/// 4400 for an invalid message.
pub(super) fn parse(text: &str) -> Result<Incoming, Close> {
    let Ok(Value::Object(mut message)) = serde_json::from_str(text) else {
        return Err(Close::bad("a message is a JSON object"));
    };
    let Some(Value::String(kind)) = message.remove("type") else {
        return Err(Close::bad("a message has a type"));
    };
    let payload = message.remove("payload");
    match kind.as_str() {
        "connection_init" => Ok(Incoming::Init(head(payload)?)),
        "ping" => check_payload(payload).map(|()| Incoming::Ping),
        "pong" => check_payload(payload).map(|()| Incoming::Pong),
        "subscribe" => Ok(Incoming::Subscribe(id(&mut message)?, request(payload)?)),
        "complete" => Ok(Incoming::Complete(id(&mut message)?)),
        _ => Err(Close::bad("a message of an unknown type")),
    }
}

fn id(message: &mut Map<String, Value>) -> Result<String, Close> {
    match message.remove("id") {
        Some(Value::String(id)) if !id.is_empty() && id.len() <= MAX_ID_BYTES => Ok(id),
        _ => Err(Close::bad("an id is a text of 1 to 200 bytes")),
    }
}

fn check_payload(payload: Option<Value>) -> Result<(), Close> {
    match payload {
        None | Some(Value::Null | Value::Object(_)) => Ok(()),
        Some(_) => Err(Close::bad("a payload is a JSON object")),
    }
}

/// The payload of `connection_init` as request headers: `Authorization` and `X-Processing-Purpose` in any case, or
/// `authorization` and `processingPurpose`. Other members are ignored.
fn head(payload: Option<Value>) -> Result<HeaderMap, Close> {
    let members = match payload {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(members)) => members,
        Some(_) => return Err(Close::bad("a payload is a JSON object")),
    };
    let mut head = HeaderMap::new();
    for (name, value) in members {
        let Some(header) = header_name(&name) else { continue };
        let value = value.as_str().and_then(|text| HeaderValue::from_str(text).ok());
        let mut value = value.ok_or_else(|| Close::bad("credential and purpose are texts"))?;
        value.set_sensitive(true);
        // A duplicate is rejected when the header is read.
        head.append(header, value);
    }
    Ok(head)
}

fn header_name(name: &str) -> Option<HeaderName> {
    let name = name.to_ascii_lowercase();
    match name.as_str() {
        "authorization" => Some(AUTHORIZATION),
        "x-processing-purpose" | "processingpurpose" => Some(PURPOSE),
        _ => None,
    }
}

fn request(payload: Option<Value>) -> Result<Request, Close> {
    let Some(Value::Object(mut payload)) = payload else {
        return Err(Close::bad("the payload of subscribe is a JSON object"));
    };
    let Some(Value::String(query)) = payload.remove("query") else {
        return Err(Close::bad("`query` is a text"));
    };
    let operation_name = match payload.remove("operationName") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name),
        Some(_) => return Err(Close::bad("`operationName` is a text or null")),
    };
    let variables = match payload.remove("variables") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(variables)) => variables,
        Some(_) => return Err(Close::bad("`variables` is an object or null")),
    };
    check_payload(payload.remove("extensions"))?;
    Ok(Request { query, operation_name, variables, ..Request::default() })
}

/// A message about the subscription `id`; `payload` is JSON.
pub(super) fn subscription_message(id: &str, kind: &str, payload: &str) -> Message {
    let id = Value::from(id);
    Message::text(format!("{{\"id\":{id},\"type\":\"{kind}\",\"payload\":{payload}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_message_is_told() {
        for bad in [
            "",
            "[]",
            "null",
            "{}",
            "{\"type\":1}",
            "{\"type\":\"start\",\"id\":\"1\",\"payload\":{\"query\":\"{a}\"}}",
            "{\"type\":\"connection_init\",\"payload\":[]}",
            "{\"type\":\"connection_init\",\"payload\":{\"Authorization\":1}}",
            "{\"type\":\"connection_init\",\"payload\":{\"Authorization\":\"a\\nb\"}}",
            "{\"type\":\"ping\",\"payload\":\"x\"}",
            "{\"type\":\"subscribe\",\"payload\":{\"query\":\"{a}\"}}",
            "{\"type\":\"subscribe\",\"id\":\"\",\"payload\":{\"query\":\"{a}\"}}",
            "{\"type\":\"subscribe\",\"id\":1,\"payload\":{\"query\":\"{a}\"}}",
            "{\"type\":\"subscribe\",\"id\":\"1\"}",
            "{\"type\":\"subscribe\",\"id\":\"1\",\"payload\":{}}",
            "{\"type\":\"subscribe\",\"id\":\"1\",\"payload\":{\"query\":\"{a}\",\"variables\":[]}}",
            "{\"type\":\"subscribe\",\"id\":\"1\",\"payload\":{\"query\":\"{a}\",\"operationName\":1}}",
            "{\"type\":\"subscribe\",\"id\":\"1\",\"payload\":{\"query\":\"{a}\",\"extensions\":1}}",
            "{\"type\":\"complete\"}",
        ] {
            assert!(matches!(parse(bad), Err(Close(4400, _))), "{bad}");
        }
    }

    #[test]
    fn the_payload_of_init_is_read_like_headers() {
        let read =
            |payload: &str| match parse(&format!("{{\"type\":\"connection_init\",\"payload\":{payload}}}")) {
                Ok(Incoming::Init(head)) => head,
                _ => panic!("{payload}"),
            };
        let head =
            read("{\"Authorization\":\"Bearer x\",\"X-Processing-Purpose\":\"newsletter\",\"other\":[1]}");
        assert_eq!(head.get(AUTHORIZATION).unwrap(), "Bearer x");
        assert_eq!(head.get(PURPOSE).unwrap(), "newsletter");
        assert!(!format!("{head:?}").contains("Bearer x"));
        assert_eq!(read("{\"authorization\":\"Bearer x\",\"processingPurpose\":\"a\"}"), {
            read("{\"AUTHORIZATION\":\"Bearer x\",\"x-processing-purpose\":\"a\"}")
        });
        assert_eq!(
            read("{\"authorization\":\"a\",\"Authorization\":\"b\"}").get_all(AUTHORIZATION).iter().count(),
            2
        );
        assert!(read("null").is_empty());
    }

    #[test]
    fn reasons_fit_their_frame() {
        let Message::Close(Some(frame)) = Close::new(4409, "ä".repeat(100)).frame() else { panic!() };
        assert!(frame.reason.len() <= 123);
        let Message::Text(text) = subscription_message("a\"b", "next", "{}") else { panic!() };
        assert_eq!(text.as_str(), "{\"id\":\"a\\\"b\",\"type\":\"next\",\"payload\":{}}");
    }
}
