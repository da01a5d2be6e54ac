//! WebSocket on `/graphql`: subscriptions by the protocol graphql-transport-ws. Room: http/socket.
//!
//! This module accepts a connection by its origin, its sub-protocol and the connection limit. Then three parts work on
//! it in one task. `session.rs` takes messages and changes, one at a time; `inbound.rs` applies the rules of the
//! protocol and our own, and forwards well-formed messages. async-graphql-axum (`GraphQLWebSocket`) acknowledges,
//! answers pings and runs the subscriptions by id (`executor.rs`). `outbound.rs` sends its output. By itself, the
//! library closes with other codes, accepts a duplicate id, waits for `connection_init` without a timeout, and has no
//! `error` message.
//!
//! After its commit, a transaction publishes changed tokens and rows that subscriptions cover to the change feed: type
//! and id, no value, over a bounded channel that never waits for subscribers. Each WebSocket is one task that handles a
//! message, dispatches a change, or runs a heartbeat. For each change the token is looked up again, purpose and
//! decision table are resolved again, and the document (validated once) is planned again and reads the one row with the
//! row rule in its statement (`engine/executor/subscription.rs`); denied fields are null with an error, as in a read. A
//! subscription ends when its root is denied, the connection when its credential is. A change that cannot be read now
//! waits for its subscription, in order, for at most five minutes. A connection learns of the revocation of its token
//! in this process at once, and of an expiry or a revocation elsewhere with the next event or heartbeat (15 s). A
//! connection that lags gets an error and its subscriptions end, because the missed changes are unknown. **Missing:**
//! several servers on one PostgreSQL, and commands beside a server, do not notify each other. That needs a reader of
//! `audit_entry` by id behind a notification, with the position of each server; half of it would look like a promise.
//! Connections are not closed gracefully either when the server stops: they end with it.

pub(super) mod connection_limits;
mod executor;
mod inbound;
mod messages;
mod outbound;
mod session;

use async_graphql_axum::GraphQLProtocol;
use axum::{
    extract::{FromRequestParts, Request, State, WebSocketUpgrade},
    http::{
        HeaderMap, HeaderValue, StatusCode, Uri,
        header::{HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE},
    },
    response::Response,
};
use tokio::sync::OwnedSemaphorePermit;

use super::{Format, graphql, shared::Shared};
use crate::base::error::{Code, Error};
use crate::http::response::{self, RequestId};

/// The only supported sub-protocol.
const PROTOCOL: &str = "graphql-transport-ws";

/// Handles one request on `/graphql`; upgrades to a WebSocket if the client asks for one.
pub(super) async fn handle(State(shared): State<Shared>, request: Request) -> Response {
    if !asks_for_socket(request.headers()) {
        return graphql::handle(State(shared), request).await;
    }
    let id = RequestId::from_request(&request);
    let format = Format::negotiate(request.headers()).unwrap_or_default();
    let (mut head, _) = request.into_parts();
    let reject = |status: StatusCode, code: Code, message: &str| {
        tracing::info!(target: "zweck::security", request_id = id.as_str(), code = code.as_str(), "a WebSocket was refused");
        response::error_response(format, status, &Error::new(code, message), &id)
    };
    if !is_allowed_origin(&head.headers, &head.uri, &shared.sockets.limits.origins) {
        return reject(
            StatusCode::FORBIDDEN,
            Code::Forbidden,
            "connections from this origin are not allowed",
        );
    }
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut head, &shared).await else {
        return reject(
            StatusCode::BAD_REQUEST,
            Code::BadUserInput,
            "this is not a valid WebSocket handshake",
        );
    };
    let upgrade = upgrade.protocols([PROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        let message = "the sub-protocol is graphql-transport-ws";
        return reject(StatusCode::BAD_REQUEST, Code::BadUserInput, message);
    }
    // The library negotiates again, and would speak the legacy protocol to a client that lists it first.
    head.headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    let Ok(protocol) = GraphQLProtocol::from_request_parts(&mut head, &()).await else {
        let message = "the sub-protocol is not known";
        return reject(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, message);
    };
    let Ok(permit) = shared.sockets.all.clone().try_acquire_owned() else {
        let message = "there are too many WebSockets";
        return reject(StatusCode::SERVICE_UNAVAILABLE, Code::Overloaded, message);
    };
    let bytes = shared.sockets.limits.message_bytes;
    upgrade.max_message_size(bytes).max_frame_size(bytes).on_upgrade(move |socket| async move {
        let _permit: OwnedSemaphorePermit = permit;
        session::serve(shared, socket, protocol, id).await;
    })
}

fn asks_for_socket(head: &HeaderMap) -> bool {
    let upgrades = head.get_all(UPGRADE).iter().filter_map(|value| value.to_str().ok());
    upgrades.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case("websocket"))
}

/// Whether the connecting page, if any, has the same host or an allowed origin. Browsers send the origin of the page,
/// and no page can change it; other clients send none and are identified only by their credential.
fn is_allowed_origin(head: &HeaderMap, uri: &Uri, origins: &[String]) -> bool {
    let mut origins_sent = head.get_all(ORIGIN).iter();
    let Some(origin) = origins_sent.next() else { return true };
    let (Ok(origin), None) = (origin.to_str(), origins_sent.next()) else { return false };
    let host = head.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(axum::http::uri::Authority::as_str));
    let is_same_host = origin.split_once("://").zip(host).is_some_and(|((scheme, authority), host)| {
        matches!(scheme, "http" | "https") && authority.eq_ignore_ascii_case(host)
    });
    is_same_host || origins.iter().any(|allowed| allowed == origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_the_host_and_of_the_list_connect() {
        let is_allowed = |headers: &[(&'static str, &str)], list: &[&str]| {
            let mut head = HeaderMap::new();
            for (name, value) in headers {
                head.append(*name, value.parse().unwrap());
            }
            let list: Vec<String> = list.iter().map(|origin| (*origin).to_owned()).collect();
            is_allowed_origin(&head, &Uri::from_static("/graphql"), &list)
        };
        let host = ("host", "crm.example:8080");
        assert!(is_allowed(&[host], &[]));
        assert!(is_allowed(&[host, ("origin", "https://CRM.example:8080")], &[]));
        for other in [
            "null",
            "https://evil.example",
            "https://crm.example",
            "file://",
            "crm.example:8080",
            "x://crm.example:8080",
        ] {
            assert!(!is_allowed(&[host, ("origin", other)], &[]), "{other}");
        }
        assert!(is_allowed(&[host, ("origin", "https://app.example")], &["https://app.example"]));
        assert!(!is_allowed(
            &[host, ("origin", "https://app.example.evil.example")],
            &["https://app.example"]
        ));
        let twice = [host, ("origin", "https://crm.example:8080"), ("origin", "https://evil.example")];
        assert!(!is_allowed(&twice, &[]));
    }
}
