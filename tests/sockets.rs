//! WebSockets: each close code, and that every event is decided anew.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use futures_util::{SinkExt, StreamExt};
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::Response},
};
use uuid::Uuid;
use zweck::{
    db::change_feed::Change,
    domain::{access_tokens::NewToken, purposes},
    graphql::Pipeline,
    http::{Settings, Shutdown, SocketLimits, router, serve},
    policy::Sources,
};

use crate::{
    reads::{World, worlds},
    support::{
        app::TestApp,
        client::{Caller, Client},
        world::id,
    },
};

const SUBSCRIPTION: &str = "subscription { requestChanged { id kind status note contact { familyName } } }";

/// Limits that tests need not wait for.
fn quick() -> SocketLimits {
    SocketLimits {
        origins: vec!["https://app.example".to_owned()],
        message_bytes: 4_096,
        messages: 50,
        init_timeout: Duration::from_millis(300),
        subscriptions: 3,
        connections: 3,
        idle_timeout: Duration::from_millis(300),
        heartbeat: Duration::from_secs(1),
        ..SocketLimits::default()
    }
}

/// The same, and nothing happens by itself: what is told is told by an event alone.
fn calm() -> SocketLimits {
    SocketLimits { heartbeat: Duration::from_secs(3_600), messages: 1_000, ..quick() }
}

pub struct Server {
    pub address: String,
}

impl Server {
    pub async fn over(test: &TestApp, limits: SocketLimits) -> Self {
        let router = router(
            test.app.clone(),
            Arc::new(Pipeline::new().unwrap()),
            Settings { sockets: limits, ..Settings::default() },
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(serve(
            listener,
            router,
            Shutdown::on(std::future::pending()),
            std::time::Duration::from_secs(30),
        ));
        Self { address }
    }

    async fn handshake(
        &self,
        headers: &[(&'static str, &str)],
    ) -> Result<Socket, Box<Response<Option<Vec<u8>>>>> {
        let mut request = format!("ws://{}/graphql", self.address).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse().unwrap());
        }
        match connect_async(request).await {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(Error::Http(response)) => Err(response),
            Err(error) => panic!("{error}"),
        }
    }

    async fn open(&self) -> Socket {
        let protocol = ("sec-websocket-protocol", "graphql-transport-ws");
        self.handshake(&[protocol]).await.unwrap_or_else(|_| panic!("no handshake"))
    }

    /// A connection that is acknowledged.
    async fn enter(&self, caller: &Caller) -> Socket {
        let mut socket = self.open().await;
        socket.say(init(caller)).await;
        assert_eq!(socket.hear().await, json!({ "type": "connection_ack" }));
        socket
    }

    /// A connection with one subscription, called `s`.
    async fn follow(&self, caller: &Caller, query: &str) -> Socket {
        let mut socket = self.enter(caller).await;
        socket.say(subscribe("s", query)).await;
        // The answer to a ping tells that the subscription was taken up.
        socket.say(json!({ "type": "ping", "payload": {} })).await;
        assert_eq!(socket.hear().await, json!({ "type": "pong" }));
        socket
    }
}

fn init(caller: &Caller) -> Value {
    let payload = json!({
        "Authorization": format!("Bearer {}", caller.token.expose_secret()), "X-Processing-Purpose": caller.purpose
    });
    json!({ "type": "connection_init", "payload": payload })
}

fn subscribe(id: &str, query: &str) -> Value {
    json!({ "type": "subscribe", "id": id, "payload": { "query": query } })
}

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn say(&mut self, message: Value) {
        self.send(Message::text(message.to_string())).await;
    }

    async fn send(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    async fn frame(&mut self) -> Option<Message> {
        loop {
            let frame = tokio::time::timeout(Duration::from_secs(10), self.0.next()).await;
            match frame.unwrap_or_else(|_| panic!("nothing was told in ten seconds")) {
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(frame)) => return Some(frame),
                Some(Err(_)) | None => return None,
            }
        }
    }

    async fn hear(&mut self) -> Value {
        match self.frame().await {
            Some(Message::Text(text)) => serde_json::from_str(text.as_str()).unwrap(),
            other => panic!("{other:?} instead of a message"),
        }
    }

    /// What the next event answers.
    async fn event(&mut self) -> Value {
        let message = self.hear().await;
        assert_eq!((&message["id"], &message["type"]), (&json!("s"), &json!("next")), "{message}");
        message["payload"].clone()
    }

    /// The code of the error that ends the subscription.
    async fn ended(&mut self) -> String {
        let message = self.hear().await;
        assert_eq!((&message["id"], &message["type"]), (&json!("s"), &json!("error")), "{message}");
        message["payload"][0]["extensions"]["code"].as_str().unwrap().to_owned()
    }

    async fn closed(&mut self) -> (u16, String) {
        match self.frame().await {
            Some(Message::Close(Some(frame))) => (frame.code.into(), frame.reason.to_string()),
            other => panic!("{other:?} instead of a close"),
        }
    }

    /// Nothing but what is asked for is told: the answer to a ping comes next.
    async fn silent(&mut self) {
        self.say(json!({ "type": "ping" })).await;
        assert_eq!(self.hear().await, json!({ "type": "pong" }));
    }
}

/// Opens a request on the contact `number` and gives its id.
pub async fn open_request(client: &Client, desk: &Caller, number: u128, note: &str) -> String {
    let query = format!(
        "mutation {{ openRequest(input: {{ contactId: \"{}\", kind: ACCESS, note: \"{note}\" }}) {{ request {{ id }} }} }}",
        id(0, number)
    );
    client.data(desk, &query).await["openRequest"]["request"]["id"].as_str().unwrap().to_owned()
}

async fn cancel(client: &Client, desk: &Caller, request: &str) {
    client
        .data(
            desk,
            &format!("mutation {{ cancelRequest(input: {{ privacyRequestId: \"{request}\" }}) {{ request {{ id }} }} }}"),
        )
        .await;
}

#[tokio::test]
async fn changes_are_told_as_a_read_would_tell_them() {
    for World { test, client } in worlds().await {
        let server = Server::over(&test, calm()).await;
        let desk = test.caller("privacy_desk", "rights_fulfilment").await;
        let officer = test.caller("dpo", "rights_fulfilment").await;
        let mut follower = server.follow(&officer, SUBSCRIPTION).await;
        let filtered = "subscription { requestChanged(filter: { status: { eq: CANCELLED } }) { status } }";
        follower.say(subscribe("filtered", filtered)).await;
        follower.silent().await;
        let request = open_request(&client, &desk, 1, "by phone").await;
        let told = follower.event().await;
        let expected = json!({ "data": { "requestChanged": {
            "id": request, "kind": "ACCESS", "status": "RECEIVED", "note": "by phone", "contact": { "familyName": "Köhler" }
        } } });
        assert_eq!(told, expected);
        follower.silent().await;
        cancel(&client, &desk, &request).await;
        assert_eq!(follower.event().await["data"]["requestChanged"]["status"], "CANCELLED");
        let filtered = follower.hear().await;
        assert_eq!((&filtered["id"], &filtered["type"]), (&json!("filtered"), &json!("next")));
        // What changes nothing is not told, nor what is rolled back, nor other things.
        cancel(&client, &desk, &request).await;
        client.ask(&desk, &format!("mutation {{ openRequest(input: {{ contactId: \"{}\", kind: ACCESS }}) {{ request {{ id }} }} }}", id(0, 999))).await;
        client.data(&desk, &format!("mutation {{ updateContact(input: {{ contactId: \"{}\", city: \"Ulm\" }}) {{ contact {{ id }} }} }}", id(0, 1))).await;
        follower.silent().await;
        follower.say(json!({ "type": "complete", "id": "filtered" })).await;
        // Taken before what comes next: messages and changes reach the server by different ways.
        follower.silent().await;
        // A request that changes with the merge of two contacts is told too.
        client.data(&desk, &format!("mutation {{ mergeContacts(input: {{ contactId: \"{}\", duplicateId: \"{}\" }}) {{ contact {{ id }} }} }}", id(0, 2), id(0, 1))).await;
        for _ in 0..3 {
            let told = follower.event().await;
            assert_eq!(told["data"]["requestChanged"]["contact"]["familyName"], "Öztürk");
        }
        // Over when the client says so.
        follower.say(json!({ "type": "complete", "id": "s" })).await;
        follower.silent().await;
        open_request(&client, &desk, 3, "later").await;
        follower.silent().await;
    }
}

/// The shipped policy, and support that follows the requests of its own purpose without their kind.
fn shared_policy() -> Sources {
    let mut sources = Sources::embedded();
    for line in [
        "Subscription.requestChanged, execute",
        "PrivacyRequest.status, read",
        "PrivacyRequest.contact, read",
        "PrivacyRequest.note, mask",
    ] {
        sources.policy.push_str(&format!("p, role:support, purpose:customer_care, {line}, allow\n"));
    }
    sources
}

#[tokio::test]
async fn each_subscriber_sees_its_own_rows_and_fields() {
    for World { test, client } in worlds().await {
        purposes::reload(&test.app, "cli:test", Ok(crate::policy::without_cases(shared_policy())))
            .await
            .unwrap();
        let server = Server::over(&test, calm()).await;
        let desk = test.caller("privacy_desk", "rights_fulfilment").await;
        let support = test.caller("support", "customer_care").await;
        let mut all = server.follow(&desk, SUBSCRIPTION).await;
        let mut own = server.follow(&support, SUBSCRIPTION).await;
        let open = async |number: u128, purpose: &str| {
            let query = format!(
                "mutation {{ openRequest(input: {{ contactId: \"{}\", kind: OBJECTION, purpose: \"{purpose}\", note: \"n{number}\" }}) {{ request {{ id }} }} }}",
                id(0, number)
            );
            client.data(&desk, &query).await;
        };
        open(1, "customer_care").await;
        assert_eq!(all.event().await["data"]["requestChanged"]["kind"], "OBJECTION");
        let told = own.event().await;
        assert_eq!(
            told["data"]["requestChanged"],
            json!({ "id": told["data"]["requestChanged"]["id"], "kind": null, "status": "RECEIVED", "note": "***",
                    "contact": { "familyName": "Köhler" } })
        );
        assert_eq!(told["errors"][0]["extensions"]["coordinate"], "PrivacyRequest.kind");
        assert_eq!(told["extensions"]["masked"], json!(["PrivacyRequest.note"]));
        // Of another purpose, of a restricted contact, of one without a ground: as if they were not there.
        for (number, purpose) in [(1, "newsletter"), (5, "customer_care"), (7, "customer_care")] {
            open(number, purpose).await;
            assert_eq!(all.event().await["data"]["requestChanged"]["note"], json!(format!("n{number}")));
            own.silent().await;
        }
        // Restricted from now on: the next change is not told any more.
        let restrict = format!(
            "mutation {{ restrictContact(input: {{ contactId: \"{}\", limb: A, reason: \"contested\" }}) {{ contact {{ id }} }} }}",
            id(0, 1)
        );
        client.data(&desk, &restrict).await;
        open(1, "customer_care").await;
        all.event().await;
        own.silent().await;
        // Another policy counts from the next event on, for fields and for the root.
        let mut less = shared_policy();
        less.policy
            .push_str("p, role:privacy_desk, purpose:rights_fulfilment, PrivacyRequest.note, read, deny\n");
        purposes::reload(&test.app, "cli:test", Ok(crate::policy::without_cases(less))).await.unwrap();
        open(2, "customer_care").await;
        assert_eq!(all.event().await["data"]["requestChanged"]["note"], Value::Null);
        assert_eq!(own.event().await["data"]["requestChanged"]["contact"]["familyName"], "Öztürk");
        purposes::reload(&test.app, "cli:test", Ok(Sources::embedded())).await.unwrap();
        open(2, "customer_care").await;
        assert_eq!(own.ended().await, "FORBIDDEN");
        assert_eq!(all.event().await["data"]["requestChanged"]["note"], "n2");
        open(2, "customer_care").await;
        own.silent().await;
    }
}

#[tokio::test]
async fn a_credential_that_ends_ends_its_subscriptions() {
    for World { test, client } in worlds().await {
        let server = Server::over(&test, calm()).await;
        let desk = test.caller("privacy_desk", "rights_fulfilment").await;
        let new = |days: i64| NewToken {
            name: "follower".to_owned(),
            roles: vec!["dpo".to_owned()],
            purposes: vec!["rights_fulfilment".to_owned()],
            fields: None,
            expires_at: test.app.now() + TimeDelta::days(days),
            recipient_id: None,
        };
        let follower = async |token: (Uuid, zweck::domain::access_tokens::BearerToken)| {
            (
                token.0,
                server
                    .follow(&Caller { token: token.1, purpose: "rights_fulfilment".to_owned() }, SUBSCRIPTION)
                    .await,
            )
        };
        let (revoked, mut first) = follower(test.make_token(new(20)).await.unwrap()).await;
        let (_, mut second) = follower(test.make_token(new(1)).await.unwrap()).await;
        // Revoked: at once.
        test.revoke_token(revoked).await.unwrap();
        assert_eq!(first.ended().await, "UNAUTHENTICATED");
        assert_eq!(first.closed().await, (4403, "Forbidden: UNAUTHENTICATED".to_owned()));
        second.silent().await;
        // Expired: with the next event.
        test.clock.advance(TimeDelta::days(2));
        open_request(&client, &desk, 1, "late").await;
        assert_eq!(second.ended().await, "UNAUTHENTICATED");
        assert_eq!(second.closed().await.0, 4403);
        // Or with the next beat.
        let server = Server::over(&test, quick()).await;
        let (_, token) = test.make_token(new(1)).await.unwrap();
        let caller = Caller { token, purpose: "rights_fulfilment".to_owned() };
        let mut third = server.follow(&caller, SUBSCRIPTION).await;
        test.clock.advance(TimeDelta::days(2));
        assert_eq!(third.ended().await, "UNAUTHENTICATED");
        assert_eq!(third.closed().await.0, 4403);
    }
}

/// A purpose that the policy drops is no purpose any more.
#[tokio::test]
async fn a_purpose_that_goes_ends_the_connection() {
    for World { test, .. } in worlds().await {
        let server = Server::over(&test, quick()).await;
        let officer = test.caller("dpo", "rights_fulfilment").await;
        let mut follower = server.follow(&officer, SUBSCRIPTION).await;
        let mut sources = Sources::embedded();
        let lines = sources.policy.lines().filter(|line| !line.contains("role:dpo"));
        sources.policy = lines.map(|line| format!("{line}\n")).collect();
        purposes::reload(&test.app, "cli:test", Ok(crate::policy::without_cases(sources))).await.unwrap();
        assert_eq!(follower.ended().await, "FORBIDDEN");
        follower.silent().await;
        follower.say(subscribe("s", SUBSCRIPTION)).await;
        assert_eq!(follower.ended().await, "FORBIDDEN");
    }
}

#[tokio::test]
async fn each_mistake_has_its_close_code() {
    let World { test, .. } = worlds().await.remove(0);
    let server = Server::over(&test, quick()).await;
    let officer = test.caller("dpo", "rights_fulfilment").await;
    let support = test.caller("support", "customer_care").await;
    // Nothing is said.
    assert_eq!(server.open().await.closed().await, (4408, "Connection initialisation timeout".to_owned()));
    // Something is said before the client said who it is.
    let mut socket = server.open().await;
    socket.say(subscribe("s", SUBSCRIPTION)).await;
    assert_eq!(socket.closed().await, (4401, "Unauthorized".to_owned()));
    // Refused: no credential, one that is none, a purpose it does not permit, two of each.
    let bearer = format!("Bearer {}", officer.token.expose_secret());
    for (payload, code) in [
        (json!({}), "UNAUTHENTICATED"),
        (json!({ "Authorization": "Bearer zwk_nonsense" }), "UNAUTHENTICATED"),
        (json!({ "Authorization": "Basic x" }), "UNAUTHENTICATED"),
        (json!({ "Authorization": bearer, "authorization": bearer }), "UNAUTHENTICATED"),
        (json!({ "Authorization": bearer, "X-Processing-Purpose": "newsletter" }), "PURPOSE_NOT_PERMITTED"),
        (
            json!({ "Authorization": bearer, "processingPurpose": "a", "X-Processing-Purpose": "b" }),
            "BAD_USER_INPUT",
        ),
    ] {
        let mut socket = server.open().await;
        socket.say(json!({ "type": "connection_init", "payload": payload })).await;
        let (status, reason) = socket.closed().await;
        assert_eq!((status, reason), (4403, format!("Forbidden: {code}")), "{payload}");
    }
    // No messages, or none of the protocol.
    for bad in [
        Message::text("{"),
        Message::text("{\"type\":\"start\"}"),
        Message::binary(b"{\"type\":\"ping\"}".to_vec()),
        Message::text("{\"type\":\"subscribe\",\"id\":\"s\"}"),
        Message::text("{\"type\":\"subscribe\",\"id\":\"s\",\"payload\":{\"query\":1}}"),
    ] {
        let mut socket = server.enter(&officer).await;
        socket.send(bad.clone()).await;
        assert_eq!(socket.closed().await.0, 4400, "{bad:?}");
    }
    // Twice.
    let mut socket = server.enter(&officer).await;
    socket.say(init(&officer)).await;
    assert_eq!(socket.closed().await, (4429, "Too many initialisation requests".to_owned()));
    let mut socket = server.follow(&officer, SUBSCRIPTION).await;
    socket.say(subscribe("s", SUBSCRIPTION)).await;
    assert_eq!(socket.closed().await, (4409, "Subscriber for s already exists".to_owned()));
    // Too large.
    let mut socket = server.enter(&officer).await;
    socket.say(subscribe("s", &" ".repeat(5_000))).await;
    assert_eq!(socket.closed().await.0, 1009);
    // Too many.
    let mut socket = server.enter(&officer).await;
    for _ in 0..60 {
        socket.say(json!({ "type": "ping" })).await;
    }
    let close = loop {
        match socket.frame().await {
            Some(Message::Text(_)) => {}
            Some(Message::Close(Some(frame))) => break u16::from(frame.code),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(close, 1008);
    // Idle: nothing is followed.
    let mut socket = server.enter(&officer).await;
    assert_eq!(socket.closed().await, (1000, "idle".to_owned()));
    // Too many subscriptions, and too many connections.
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(server.follow(&officer, SUBSCRIPTION).await);
    }
    for id in ["a", "b"] {
        sockets[0].say(subscribe(id, SUBSCRIPTION)).await;
        sockets[0].silent().await;
    }
    sockets[0].say(subscribe("c", SUBSCRIPTION)).await;
    let told = sockets[0].hear().await;
    assert_eq!(told["payload"][0]["extensions"]["code"], "RATE_LIMITED", "{told}");
    let mut socket = server.open().await;
    socket.say(init(&officer)).await;
    assert_eq!(socket.closed().await.0, 1013);
    // Another credential has its own, and one that leaves makes room.
    server.enter(&support).await;
    sockets.pop().unwrap().0.close(None).await.unwrap();
    for attempt in 0.. {
        let mut socket = server.open().await;
        socket.say(init(&officer)).await;
        if let Some(Message::Text(_)) = socket.frame().await {
            break;
        }
        assert!(attempt < 100, "the place is not given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A token that is narrowed follows what it may read, and compares by nothing else.
#[tokio::test]
async fn a_narrowed_token_follows_its_fields() {
    for World { test, client } in worlds().await {
        let server = Server::over(&test, calm()).await;
        let desk = test.caller("privacy_desk", "rights_fulfilment").await;
        let new = NewToken {
            name: "narrow".to_owned(),
            roles: vec!["dpo".to_owned()],
            purposes: vec!["rights_fulfilment".to_owned()],
            fields: Some(vec!["PrivacyRequest.status".to_owned()]),
            expires_at: test.app.now() + TimeDelta::days(1),
            recipient_id: None,
        };
        let (_, token) = test.make_token(new).await.unwrap();
        let caller = Caller { token, purpose: "rights_fulfilment".to_owned() };
        let mut socket = server
            .follow(&caller, "subscription { requestChanged { status note contact { familyName } } }")
            .await;
        let by_kind = "subscription { requestChanged(filter: { kind: { eq: ACCESS } }) { status } }";
        socket.say(subscribe("t", by_kind)).await;
        let told = socket.hear().await;
        assert_eq!(told["payload"][0]["extensions"]["coordinate"], "PrivacyRequest.kind", "{told}");
        open_request(&client, &desk, 1, "secret").await;
        let told = socket.event().await;
        assert_eq!(
            told["data"]["requestChanged"],
            json!({ "status": "RECEIVED", "note": null, "contact": null })
        );
        assert_eq!(told["errors"].as_array().unwrap().len(), 2);
    }
}

/// What is no subscription, does not fit or may not be followed is answered by an error, and the connection goes on.
#[tokio::test]
async fn what_cannot_be_followed_is_told() {
    let World { test, .. } = worlds().await.remove(0);
    let server = Server::over(&test, calm()).await;
    let officer = test.caller("dpo", "rights_fulfilment").await;
    let mut socket = server.follow(&officer, SUBSCRIPTION).await;
    for query in [
        "{ viewer { actorId } }",
        "mutation { cancelRequest(input: { privacyRequestId: \"x\" }) { request { id } } }",
        "subscription {",
        "subscription { requestChanged { secret } }",
        "subscription { a: requestChanged { id } b: requestChanged { id } }",
        "subscription { __typename }",
        "subscription { requestChanged @skip(if: true) { id } }",
        "subscription { __schema { types { name } } }",
        "subscription { requestChanged(filter: { id: { eq: \"x\" } }) { id } }",
        "subscription { requestChanged { ...F } } fragment F on PrivacyRequest { ...F }",
    ] {
        socket.say(subscribe("t", query)).await;
        let told = socket.hear().await;
        assert_eq!((&told["id"], &told["type"]), (&json!("t"), &json!("error")), "{query}: {told}");
        assert_eq!(told["payload"][0]["extensions"]["code"], "BAD_USER_INPUT", "{query}: {told}");
    }
    // Who may not follow requests is told so, and who has not chosen a purpose too.
    let support = test.caller("support", "customer_care").await;
    let mut socket = server.enter(&support).await;
    socket.say(subscribe("s", SUBSCRIPTION)).await;
    assert_eq!(socket.ended().await, "FORBIDDEN");
    let token = test.token(&["dpo"], &["rights_fulfilment", "newsletter"]).await;
    let mut socket = server.open().await;
    let payload = json!({ "Authorization": format!("Bearer {}", token.expose_secret()) });
    socket.say(json!({ "type": "connection_init", "payload": payload })).await;
    socket.hear().await;
    socket.say(subscribe("s", SUBSCRIPTION)).await;
    assert_eq!(socket.ended().await, "PURPOSE_REQUIRED");
    // By HTTP a subscription is refused.
    let answer = Client::of(&test).ask(&officer, SUBSCRIPTION).await;
    assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{answer}");
}

#[tokio::test]
async fn only_known_origins_and_the_protocol_are_let_in() {
    let World { test, .. } = worlds().await.remove(0);
    let server = Server::over(&test, quick()).await;
    let protocol = ("sec-websocket-protocol", "graphql-transport-ws");
    let own = format!("http://{}", server.address);
    for (headers, expected) in [
        (vec![protocol], 101),
        (vec![protocol, ("origin", own.as_str())], 101),
        (vec![protocol, ("origin", "https://app.example")], 101),
        (vec![protocol, ("origin", "https://evil.example")], 403),
        (vec![protocol, ("origin", "null")], 403),
        (vec![], 400),
        (vec![("sec-websocket-protocol", "graphql-ws")], 400),
    ] {
        let status = match server.handshake(&headers).await {
            Ok(_) => 101,
            Err(response) => {
                assert!(response.headers().contains_key("x-request-id"));
                response.status().as_u16()
            }
        };
        assert_eq!(status, expected, "{headers:?}");
    }
    // One place altogether.
    let server = Server::over(&test, SocketLimits { total: 1, ..quick() }).await;
    let _first = server.open().await;
    assert_eq!(
        server.handshake(&[protocol]).await.err().map(|response| response.status().as_u16()),
        Some(503)
    );
}

/// Who falls behind is told and ended; who writes does not wait.
#[tokio::test]
async fn who_falls_behind_is_told() {
    let World { test, client } = worlds().await.remove(0);
    let server = Server::over(&test, calm()).await;
    let desk = test.caller("privacy_desk", "rights_fulfilment").await;
    let mut follower = server.follow(&desk, SUBSCRIPTION).await;
    // All at once: no other task runs in between.
    for _ in 0..5_000 {
        test.app.db.feed.publish(Change { entity_type: "PrivacyRequest", id: Uuid::nil() });
    }
    assert_eq!(follower.ended().await, "RATE_LIMITED");
    follower.say(subscribe("s", SUBSCRIPTION)).await;
    follower.silent().await;
    open_request(&client, &desk, 1, "after").await;
    assert_eq!(follower.event().await["data"]["requestChanged"]["note"], "after");
}

/// The change is committed before it is told: a reader finds it.
#[tokio::test]
async fn what_is_told_is_committed() {
    for World { test, client } in worlds().await {
        let desk = test.caller("privacy_desk", "rights_fulfilment").await;
        let mut feed = test.app.db.feed.subscribe();
        let request = open_request(&client, &desk, 1, "x").await;
        let told = feed.recv().await.unwrap();
        assert_eq!((told.entity_type, told.id.to_string()), ("PrivacyRequest", request));
        let row =
            entity::privacy_request::Entity::find_by_id(told.id).one(&test.app.db.reader).await.unwrap();
        assert!(row.is_some() && feed.try_recv().is_err());
    }
}

/// Breaks what reads need, or mends it: all that is asked of the table is a fault of the database meanwhile.
async fn broken(test: &TestApp, table: &str, broken: bool) {
    use sea_orm::ConnectionTrait;
    let (from, to) = if broken {
        (table.to_owned(), format!("{table}_away"))
    } else {
        (format!("{table}_away"), table.to_owned())
    };
    let rename = format!("ALTER TABLE {from} RENAME TO {to}");
    test.app.db.writer.execute_unprepared(&rename).await.unwrap();
}

/// A fault that passes ends no subscription: what could not be told is told afterwards, once and in its order.
#[tokio::test]
async fn a_fault_that_passes_ends_no_subscription() {
    for World { test, client } in worlds().await {
        let server = Server::over(&test, calm()).await;
        let desk = test.caller("privacy_desk", "rights_fulfilment").await;
        let requests =
            [open_request(&client, &desk, 1, "first").await, open_request(&client, &desk, 2, "second").await];
        let tell = |index: usize| {
            let change = Change { entity_type: "PrivacyRequest", id: requests[index].parse().unwrap() };
            test.app.db.feed.publish(change);
        };
        let mut follower = server.follow(&desk, SUBSCRIPTION).await;
        for table in ["access_token", "privacy_request"] {
            broken(&test, table, true).await;
            tell(0);
            follower.silent().await;
            tell(1);
            follower.silent().await;
            if table == "access_token" {
                // Who cannot be looked up is told so under the id that asks, and the others go on.
                follower.say(subscribe("other", SUBSCRIPTION)).await;
                let refused = follower.hear().await;
                assert_eq!(
                    (&refused["id"], &refused["type"]),
                    (&json!("other"), &json!("error")),
                    "{refused}"
                );
                assert_eq!(refused["payload"][0]["extensions"]["code"], "INTERNAL", "{refused}");
            }
            broken(&test, table, false).await;
            for note in ["first", "second"] {
                assert_eq!(follower.event().await["data"]["requestChanged"]["note"], note, "{table}");
            }
            follower.silent().await;
        }
    }
}

/// One that does not pass ends them after a while.
#[tokio::test]
async fn a_fault_that_stays_ends_what_follows() {
    for World { test, client } in worlds().await {
        let server =
            Server::over(&test, SocketLimits { max_retry_time: Duration::from_millis(300), ..calm() }).await;
        let desk = test.caller("privacy_desk", "rights_fulfilment").await;
        let request = open_request(&client, &desk, 1, "first").await;
        for table in ["privacy_request", "access_token"] {
            let mut follower = server.follow(&desk, SUBSCRIPTION).await;
            broken(&test, table, true).await;
            let id = request.parse().unwrap();
            test.app.db.feed.publish(Change { entity_type: "PrivacyRequest", id });
            assert_eq!(follower.ended().await, "INTERNAL", "{table}");
            if table == "access_token" {
                assert_eq!(follower.closed().await.0, 1011);
            }
            broken(&test, table, false).await;
        }
    }
}
