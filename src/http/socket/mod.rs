//! WebSocket on `/graphql`: subscriptions by the protocol graphql-transport-ws. Room: http/socket.
//!
//! Here a connection is let in: by its origin, its sub-protocol and how many there are already. Then three work on it in
//! one task. `session.rs` takes messages and changes, one at a time; `inbound.rs` applies the rules of the protocol and
//! ours, and lets through what is well formed. async-graphql-axum (`GraphQLWebSocket`) acknowledges, answers pings and
//! runs the subscriptions by id (`executor.rs`). `outbound.rs` sends what it writes. The library alone closes with other
//! codes, takes an id twice, waits for ever for `connection_init`, and knows no `error` message.
//!
//! After its commit a transaction tells the rows that subscriptions are about, and tokens, to `feed`: type and id, no
//! value; a bounded channel that never waits for who listens. Each WebSocket (`http/socket`) is one task that takes a
//! message, tells a change or looks whether all still holds (`beat`). For a change the bearer is looked up again,
//! purpose and table are made anew, the document (validated once) is planned anew and the one row read with the row
//! rule in its statement (`engine/executor/subscription.rs`); denied fields are null beside an error, as in a read. A
//! subscription ends where its root is refused, the connection where the credential is. What cannot be read now waits
//! for its subscription, in order, for five minutes at most. Of a token that is revoked here its connections learn at
//! once, of one that expires or is revoked elsewhere with the next event or beat (15 s). Who falls behind is told and
//! ended, since nobody can say what it missed. **Missing:** several servers on one PostgreSQL, and commands beside a
//! server, do not tell each other. That needs a reader of `audit_entry` by id behind a notification, with a mark of
//! how far each server has read; half of it would look like a promise. Nor are connections told to go away when the
//! server stops: they end with it.

mod executor;
mod inbound;
mod messages;
mod outbound;
pub(super) mod places;
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

/// The one sub-protocol that is spoken.
const PROTOCOL: &str = "graphql-transport-ws";

/// Answers one request on `/graphql`: a WebSocket where the client asks for one.
pub(super) async fn handle(State(shared): State<Shared>, request: Request) -> Response {
    if !asks_for_socket(request.headers()) {
        return graphql::handle(State(shared), request).await;
    }
    let id = RequestId::from_request(&request);
    let format = Format::negotiate(request.headers()).unwrap_or_default();
    let (mut head, _) = request.into_parts();
    let refuse = |status: StatusCode, code: Code, message: &str| {
        tracing::info!(target: "zweck::security", request_id = id.as_str(), code = code.as_str(), "a WebSocket was refused");
        response::error_response(format, status, &Error::new(code, message), &id)
    };
    if !is_welcome(&head.headers, &head.uri, &shared.sockets.limits.origins) {
        return refuse(StatusCode::FORBIDDEN, Code::Forbidden, "pages of this origin may not connect");
    }
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut head, &shared).await else {
        return refuse(StatusCode::BAD_REQUEST, Code::BadUserInput, "this is no handshake of a WebSocket");
    };
    let upgrade = upgrade.protocols([PROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        let message = "the sub-protocol is graphql-transport-ws";
        return refuse(StatusCode::BAD_REQUEST, Code::BadUserInput, message);
    }
    // The library asks the request once more, and would speak the old protocol to a client that names it first.
    head.headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    let Ok(protocol) = GraphQLProtocol::from_request_parts(&mut head, &()).await else {
        let message = "the sub-protocol is not known";
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, message);
    };
    let Ok(seat) = shared.sockets.all.clone().try_acquire_owned() else {
        let message = "there are too many WebSockets";
        return refuse(StatusCode::SERVICE_UNAVAILABLE, Code::RateLimited, message);
    };
    let bytes = shared.sockets.limits.message_bytes;
    upgrade.max_message_size(bytes).max_frame_size(bytes).on_upgrade(move |socket| async move {
        let _seat: OwnedSemaphorePermit = seat;
        session::serve(shared, socket, protocol, id).await;
    })
}

fn asks_for_socket(head: &HeaderMap) -> bool {
    let named = head.get_all(UPGRADE).iter().filter_map(|value| value.to_str().ok());
    named.flat_map(|value| value.split(',')).any(|name| name.trim().eq_ignore_ascii_case("websocket"))
}

/// Whether the page that connects, if it is one, is of the host itself or of an origin on the list. Browsers send the
/// origin of the page, and no page can change it; others send none, and are known by their credential alone.
fn is_welcome(head: &HeaderMap, uri: &Uri, origins: &[String]) -> bool {
    let mut sent = head.get_all(ORIGIN).iter();
    let Some(origin) = sent.next() else { return true };
    let (Ok(origin), None) = (origin.to_str(), sent.next()) else { return false };
    let host = head.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or_else(|| uri.authority().map(axum::http::uri::Authority::as_str));
    let own = origin.split_once("://").zip(host).is_some_and(|((scheme, authority), host)| {
        matches!(scheme, "http" | "https") && authority.eq_ignore_ascii_case(host)
    });
    own || origins.iter().any(|known| known == origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pages_of_the_host_and_of_the_list_connect() {
        let welcome = |headers: &[(&'static str, &str)], list: &[&str]| {
            let mut head = HeaderMap::new();
            for (name, value) in headers {
                head.append(*name, value.parse().unwrap());
            }
            let list: Vec<String> = list.iter().map(|origin| (*origin).to_owned()).collect();
            is_welcome(&head, &Uri::from_static("/graphql"), &list)
        };
        let host = ("host", "crm.example:8080");
        assert!(welcome(&[host], &[]));
        assert!(welcome(&[host, ("origin", "https://CRM.example:8080")], &[]));
        for other in [
            "null",
            "https://evil.example",
            "https://crm.example",
            "file://",
            "crm.example:8080",
            "x://crm.example:8080",
        ] {
            assert!(!welcome(&[host, ("origin", other)], &[]), "{other}");
        }
        assert!(welcome(&[host, ("origin", "https://app.example")], &["https://app.example"]));
        assert!(!welcome(&[host, ("origin", "https://app.example.evil.example")], &["https://app.example"]));
        let twice = [host, ("origin", "https://crm.example:8080"), ("origin", "https://evil.example")];
        assert!(!welcome(&twice, &[]));
    }
}
