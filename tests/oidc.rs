//! Users of an issuer: what a token gives, and that every one that does not hold gets the same answer.

mod provider;

use std::sync::Arc;

use axum::{body::Body, http::Request};
use chrono::TimeDelta;
use ring::hmac;
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;
use tower::ServiceExt;
use zweck::{
    app::App,
    base::error::Code,
    domain::access_tokens,
    graphql::Pipeline,
    http::{self, Limits},
};

use crate::reads::worlds;
use crate::support::{
    app::{TestApp, each},
    client::Client,
    issuer::{Server, Signer, encode, issuers, pem, section},
};

const ISSUER: &str = "https://login.example.com/realms/staff";

fn header(kid: &str) -> Value {
    json!({ "alg": "EdDSA", "kid": kid, "typ": "at+jwt" })
}

/// Claims that hold for an hour.
fn claims(app: &App) -> Value {
    let now = app.now().timestamp();
    json!({
        "iss": ISSUER, "aud": "https://crm.example", "sub": "anna.gruber@example.com", "client_id": "desk", "iat": now,
        "exp": now + 3600, "realm_access": { "roles": ["offline_access", "crm-support", "emperor"] },
    })
}

fn with(base: &Value, changes: &Value) -> Value {
    let mut whole: Map<String, Value> = base.as_object().unwrap().clone();
    for (name, value) in changes.as_object().unwrap() {
        whole.insert(name.clone(), value.clone());
    }
    whole.into()
}

fn without(base: &Value, name: &str) -> Value {
    let mut whole = base.as_object().unwrap().clone();
    whole.shift_remove(name).unwrap();
    whole.into()
}

async fn one() -> TestApp {
    each().await.remove(0)
}

/// An application that takes the tokens of one issuer, whose server lists one key.
struct Desk {
    app: Arc<App>,
    server: Server,
    signer: Signer,
    test: TestApp,
}

impl Desk {
    /// Whose keys were read, as a server does at its start.
    async fn open(more: &str) -> Self {
        let desk = Self::unread(more).await;
        desk.read().await;
        desk
    }

    async fn read(&self) {
        self.app.issuers.refresh(self.app.now()).await;
    }

    /// Whose keys were not read yet.
    async fn unread(more: &str) -> Self {
        let (test, server, signer) = (one().await, Server::start().await, Signer::ed());
        server.list(&[signer.jwk("k1")]);
        let app = test.with_issuers(&section(ISSUER, &format!("jwks_url = \"{}/jwks\"\n{more}", server.url)));
        Self { app, server, signer, test }
    }

    fn token(&self) -> String {
        self.signer.token(&header("k1"), &claims(&self.app))
    }

    async fn takes(&self, token: &str) -> bool {
        match access_tokens::authenticate(&self.app, token).await {
            Ok(_) => true,
            Err(error) => {
                assert_eq!(
                    (error.code, &error.message),
                    (Code::Unauthenticated, &access_tokens::unauthenticated().message)
                );
                false
            }
        }
    }
}

#[tokio::test]
async fn a_user_is_who_the_issuer_says_and_may_what_the_policy_says() {
    for world in worlds().await {
        let (server, signer) = (Server::start().await, Signer::ed());
        server.list(&[signer.jwk("k1")]);
        let section = section(ISSUER, &format!("jwks_url = \"{}/jwks\"", server.url));
        let app = world.test.with_issuers(&section);
        app.issuers.refresh(app.now()).await;
        let client = Client::over(app.clone());
        let token = signer.token(&header("k1"), &claims(&app));
        let credential = access_tokens::authenticate(&app, &token).await.unwrap();
        assert_eq!(
            (credential.roles, credential.purposes),
            (vec!["support".to_owned()], vec!["customer_care".to_owned()])
        );
        let pseudonym = credential.actor_id.strip_prefix("user:staff:").unwrap();
        assert!(
            pseudonym.len() == 32 && pseudonym.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{pseudonym}"
        );

        let read = json!({ "query": "{ viewer { actorId roles } contacts(first: 1) { nodes { id email notes } } }" });
        let (status, body) = client.send_bearing(&token, read.clone(), &[]).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(status, 200, "{body}");
        assert_eq!(body["data"]["viewer"], json!({ "actorId": credential.actor_id, "roles": ["support"] }));
        let contact = &body["data"]["contacts"]["nodes"][0];
        assert!(contact["email"].is_string() && contact["notes"].is_null(), "{body}");
        assert_eq!(body["errors"][0]["extensions"]["code"], "FORBIDDEN_FIELD");
        let newsletter = [("x-processing-purpose", "newsletter")];
        assert_eq!(client.send_bearing(&token, read, &newsletter).await.0, 403);

        world.test.clock.advance(TimeDelta::seconds(1));
        // Who wrote stands in the audit log by the pseudonym.
        let update = "mutation($id: ID!) { updateContact(input: {contactId: $id, familyName: \"Neu\"}) { contact { id } } }";
        let update = json!({ "query": update, "variables": { "id": contact["id"] } });
        let (_, body) = client.send_bearing(&token, update, &[]).await;
        assert!(!body.contains("errors"), "{body}");
        let claims =
            with(&claims(&app), &json!({ "sub": "officer", "realm_access": { "roles": ["crm-officer"] } }));
        let officer = signer.token(&header("k1"), &claims);
        let read = json!({ "query": "{ auditLog(last: 1) { nodes { actor purpose action } } }" });
        let (_, body) = client.send_bearing(&officer, read, &[]).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        let told =
            json!({ "actor": credential.actor_id, "purpose": "customer_care", "action": "updateContact" });
        assert_eq!(body["data"]["auditLog"]["nodes"], json!([told]), "{body}");
    }
}

#[tokio::test]
async fn the_id_of_a_user_is_the_same_for_ever_and_tells_nothing() {
    let one = issuers(&section(ISSUER, ""));
    let id = one.actor_id("staff", "anna.gruber@example.com").unwrap();
    // Audit logs of years hold this form.
    assert_eq!(id, "user:staff:e15f333fdc1bce0c474678c3a22709d7");
    assert_eq!(
        issuers(&section(ISSUER, "leeway_seconds = 1")).actor_id("staff", "anna.gruber@example.com").unwrap(),
        id
    );
    assert_ne!(one.actor_id("staff", "anna.gruber@example.co").unwrap(), id);
    assert_ne!(
        issuers(&section("https://other.example", "")).actor_id("staff", "anna.gruber@example.com").unwrap(),
        id
    );
    assert!(one.actor_id("partner", "x").is_none());
}

/// Every algorithm with a public key.
#[tokio::test]
async fn each_algorithm_is_checked() {
    let desk = Desk::unread("").await;
    let (ec, rsa) = (Signer::ec(), Signer::rsa());
    desk.server.list(&[desk.signer.jwk("ed"), ec.jwk("ec"), rsa.jwk("rsa")]);
    desk.read().await;
    let signers =
        [("EdDSA", "ed", &desk.signer), ("ES256", "ec", &ec), ("RS256", "rsa", &rsa), ("PS256", "rsa", &rsa)];
    for (algorithm, kid, signer) in signers {
        let header = json!({ "alg": algorithm, "kid": kid, "typ": "application/at+JWT" });
        let token = signer.token(&header, &claims(&desk.app));
        assert!(desk.takes(&token).await, "{algorithm}");
        // One bit of the claims, or of the signature, is another.
        for at in [token.find('.').unwrap() + 5, token.len() - 10] {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert!(!desk.takes(std::str::from_utf8(&bytes).unwrap()).await, "{algorithm} at {at}");
        }
        for (other, other_kid, _) in signers {
            // The key of one algorithm under the name of another.
            let header = json!({ "alg": other, "kid": other_kid, "typ": "at+jwt" });
            let same = other_kid == kid;
            assert_eq!(
                desk.takes(&signer.token(&header, &claims(&desk.app))).await,
                same,
                "{algorithm} {other}"
            );
        }
    }
    // A key that the issuer lists for one algorithm is none for another.
    desk.test.clock.advance(TimeDelta::minutes(1));
    desk.server.list(&[with(&rsa.jwk("pinned"), &json!({ "alg": "RS256" })), ec.jwk("ec")]);
    for (algorithm, taken) in [("RS256", true), ("PS256", false)] {
        let header = json!({ "alg": algorithm, "kid": "pinned", "typ": "at+jwt" });
        assert_eq!(desk.takes_soon(&rsa.token(&header, &claims(&desk.app))).await, taken, "{algorithm}");
    }
    // The names of keys may be left out where it is clear which is meant.
    // RFC 9864 calls EdDSA by its curve.
    let curve = json!({ "alg": "Ed25519", "kid": "ed", "typ": "at+jwt" });
    desk.test.clock.advance(TimeDelta::minutes(1));
    desk.server.list(&[with(&desk.signer.jwk("ed"), &json!({ "alg": "Ed25519" })), ec.jwk("ec")]);
    assert!(desk.takes(&desk.signer.token(&curve, &claims(&desk.app))).await);
    let unnamed = json!({ "alg": "ES256", "typ": "at+jwt" });
    assert!(desk.takes(&ec.token(&unnamed, &claims(&desk.app))).await);
}

/// Each of them is a token that somebody has tried somewhere.
#[tokio::test]
async fn attacks_get_the_one_answer() {
    let desk = Desk::unread("clients = [\"desk\"]").await;
    let (ec, rsa, stranger) = (Signer::ec(), Signer::rsa(), Signer::ed());
    let secret = json!({ "kty": "oct", "kid": "oct", "alg": "HS256", "k": encode("secret") });
    let encryption = with(&stranger.jwk("enc"), &json!({ "use": "enc" }));
    let listed =
        [desk.signer.jwk("k1"), ec.jwk("ec"), rsa.jwk("rsa"), secret, encryption, Signer::ed().jwk("k2")];
    desk.server.list(&listed);
    desk.read().await;
    let (good, claims) = (header("k1"), claims(&desk.app));
    let now = desk.app.now().timestamp();
    let signed = |header: Value, claims: &Value| desk.signer.token(&header, claims);
    let unsigned = |header: Value| format!("{}.{}.", encode(header.to_string()), encode(claims.to_string()));
    let shared = |header: Value, key: &[u8]| {
        let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes());
        format!("{message}.{}", encode(tag))
    };
    let hs = |kid: &str| json!({ "alg": "HS256", "kid": kid, "typ": "at+jwt" });
    let bytes = |jwk: &Value, name: &str| {
        base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, jwk[name].as_str().unwrap())
            .unwrap()
    };
    let whole = desk.token();
    let (message, signature) = whole.rsplit_once('.').unwrap();
    let forged = |length: usize, byte: u8| encode(vec![byte; length]);
    let es = json!({ "alg": "ES256", "kid": "ec", "typ": "at+jwt" });
    let message_es = format!("{}.{}", encode(es.to_string()), encode(claims.to_string()));

    let mut attacks: Vec<(String, String)> = Vec::new();
    let mut add = |name: &str, token: String| attacks.push((name.to_owned(), token));
    for alg in ["none", "None", "NONE", "nOnE", "", "HS256", "RS512", "ES384", "A128KW", "dir"] {
        add(alg, unsigned(with(&good, &json!({ "alg": alg }))));
        add(alg, signed(with(&good, &json!({ "alg": alg })), &claims));
    }
    add("no alg", signed(without(&good, "alg"), &claims));
    // HMAC with what everybody knows: the public keys, in every form.
    for jwk in &listed {
        let kid = jwk["kid"].as_str().unwrap();
        add("HS256 with the JWK", shared(hs(kid), jwk.to_string().as_bytes()));
        for name in ["x", "n", "k"].iter().filter(|name| jwk.get(**name).is_some()) {
            add("HS256 with the bytes of the key", shared(hs(kid), &bytes(jwk, name)));
            add("HS256 with the text of the key", shared(hs(kid), jwk[*name].as_str().unwrap().as_bytes()));
        }
    }
    add("HS256 with nothing", shared(hs("k1"), b""));
    add("HS256 with the file", shared(hs("rsa"), &pem("rsa.pem")));
    // Keys of others, and names of keys of others.
    add("a stranger's key", stranger.token(&good, &claims));
    add("a key for encryption", stranger.token(&header("enc"), &claims));
    add("an unknown key", stranger.token(&header("k9"), &claims));
    add("another key of the issuer", signed(header("k2"), &claims));
    add("no key named, of several", signed(without(&good, "kid"), &claims));
    add("a path for a key", signed(header("../../k1"), &claims));
    add("a statement for a key", signed(header("' OR 1=1 --"), &claims));
    add("a number for a key", signed(with(&good, &json!({ "kid": 1 })), &claims));
    // Keys that the token brings.
    let own = stranger.jwk("k1");
    add("jwk", stranger.token(&with(&good, &json!({ "jwk": own })), &claims));
    add("jwk, and the right key", signed(with(&good, &json!({ "jwk": desk.signer.jwk("k1") })), &claims));
    let evil = Server::start().await;
    evil.list(&[own]);
    for name in ["jku", "x5u"] {
        let brought = json!({ name: format!("{}/jwks", evil.url) });
        add(name, stranger.token(&with(&good, &brought), &claims));
        add(name, signed(with(&good, &brought), &claims));
    }
    add("x5c", signed(with(&good, &json!({ "x5c": ["AAAA"] })), &claims));
    add("crit", signed(with(&good, &json!({ "crit": ["exp"] })), &claims));
    add("b64", signed(with(&good, &json!({ "b64": false })), &claims));
    add("zip", signed(with(&good, &json!({ "zip": "DEF" })), &claims));
    add("an ID token", signed(with(&good, &json!({ "typ": "JWT" })), &claims));
    add("a log-out", signed(with(&good, &json!({ "typ": "logout+jwt" })), &claims));
    add("no typ", signed(without(&good, "typ"), &claims));
    let twice = format!("{{\"alg\":\"none\",{}", &good.to_string()[1..]);
    add("two algs", desk.signer.token_of(&twice, &claims.to_string()));
    // Claims.
    for (name, value) in [
        ("iss", json!("https://login.example.com/realms/staff/")),
        ("iss", json!("https://login.example.com/realms/partner")),
        ("iss", json!([ISSUER])),
        ("iss", json!(null)),
        ("aud", json!("https://crm.example/")),
        ("aud", json!("desk")),
        ("aud", json!([])),
        ("aud", json!(["https://other.example"])),
        ("aud", json!(["https://crm.example", 1])),
        ("aud", json!({ "https://crm.example": true })),
        ("exp", json!(now - 31)),
        ("exp", json!((now + 3600).to_string())),
        ("exp", json!(-1)),
        ("exp", json!(1e300)),
        ("exp", json!(i64::MAX)),
        ("exp", json!(null)),
        ("exp", json!([now + 3600])),
        ("nbf", json!(now + 31)),
        ("nbf", json!((now - 1).to_string())),
        ("nbf", json!(null)),
        ("iat", json!(now + 31)),
        ("iat", json!(now - 12 * 3600 - 31)),
        ("iat", json!("today")),
        ("iat", json!(-1)),
        ("sub", json!("")),
        ("sub", json!(" ")),
        ("sub", json!(7)),
        ("sub", json!(null)),
        ("sub", json!("x".repeat(256))),
        ("client_id", json!("other")),
        ("client_id", json!(["desk"])),
        ("azp", json!("other")),
        ("cnf", json!({ "jkt": "x" })),
        ("events", json!({})),
        ("at_hash", json!("x")),
        ("typ", json!("ID")),
        ("typ", json!("Refresh")),
    ] {
        add(&format!("{name}: {value}"), signed(good.clone(), &with(&claims, &json!({ name: value }))));
    }
    for name in ["iss", "aud", "exp", "iat", "sub", "client_id"] {
        add(&format!("no {name}"), signed(good.clone(), &without(&claims, name)));
    }
    add("no object", desk.signer.token_of(&good.to_string(), "[]"));
    let deep = format!("{{\"iss\":\"{ISSUER}\",\"deep\":{}{}}}", "[".repeat(2_000), "]".repeat(2_000));
    add("deep", desk.signer.token_of(&good.to_string(), &deep));
    // Forms.
    add("huge", signed(good.clone(), &with(&claims, &json!({ "more": "x".repeat(16 * 1024) }))));
    add("a huge header", signed(with(&good, &json!({ "more": "x".repeat(16 * 1024) })), &claims));
    add("no signature", format!("{message}."));
    add("two parts", message.to_owned());
    add("four parts", format!("{whole}.AAAA"));
    add("five parts", "AAAA.AAAA.AAAA.AAAA.AAAA".to_owned());
    add("padding", format!("{whole}=="));
    add("a space", whole.replacen('.', ". ", 1));
    add("another alphabet", format!("{message}.{}+/", &signature[..signature.len() - 2]));
    add("a short signature", format!("{message}.{}", &signature[..40]));
    add("a long signature", format!("{message}.{signature}AAAA"));
    add("zeroes", format!("{message}.{}", forged(64, 0)));
    add("zeroes by ES256", format!("{message_es}.{}", forged(64, 0)));
    add("ones by ES256", format!("{message_es}.{}", forged(64, 255)));
    add("dots", "..".to_owned());
    add("quotes", "\"\"".to_owned());

    let client = Client::over(desk.app.clone());
    let query = json!({ "query": "{ viewer { actorId } }" });
    let mut answers = Vec::new();
    assert!(desk.takes(&whole).await);
    for (name, token) in &attacks {
        let (status, body) = client.send_bearing(token, query.clone(), &[]).await;
        assert_eq!(status, 401, "{name}: {body}");
        let mut body: Value = serde_json::from_str(&body).unwrap();
        assert!(body["errors"][0]["extensions"].as_object_mut().unwrap().shift_remove("requestId").is_some());
        answers.push(body);
    }
    let (_, body) = client.send_bearing("zwk_nonsense", query, &[]).await;
    let mut body: Value = serde_json::from_str(&body).unwrap();
    body["errors"][0]["extensions"].as_object_mut().unwrap().shift_remove("requestId");
    answers.push(body);
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers[0]["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED" && attacks.len() > 90);
    assert!(desk.takes(&whole).await);
    assert_eq!(evil.asked(), 0, "a key was fetched from where a token said");
    assert!(desk.server.asked() <= 2, "{}", desk.server.asked());
}

#[tokio::test]
async fn clocks_may_differ_a_little_and_a_token_ends() {
    let desk = Desk::open("").await;
    let now = desk.app.now().timestamp();
    let token = |changes: Value| desk.signer.token(&header("k1"), &with(&claims(&desk.app), &changes));
    for changes in [
        json!({ "exp": now - 29 }),
        json!({ "nbf": now + 30 }),
        json!({ "iat": now + 30 }),
        json!({ "iat": now - 12 * 3600 - 29 }),
        json!({ "exp": now as f64 + 0.5 }),
        json!({ "aud": ["https://other.example", "https://crm.example"] }),
        json!({ "azp": "anybody", "typ": "Bearer" }),
    ] {
        assert!(desk.takes(&token(changes.clone())).await, "{changes}");
    }
    let whole = token(json!({}));
    let credential = access_tokens::authenticate(&desk.app, &whole).await.unwrap();
    assert_eq!(credential.expires_at.timestamp(), now + 3630);
    desk.test.clock.advance(TimeDelta::seconds(3629));
    assert!(desk.takes(&whole).await);
    desk.test.clock.advance(TimeDelta::seconds(1));
    assert!(!desk.takes(&whole).await);
}

#[tokio::test]
async fn claims_give_what_is_mapped_and_nothing_else() {
    let more = "subject_claim = \"oid\"\npurposes_claim = [\"https://crm.example/claims\", \"scope\"]\n";
    let desk = Desk::open(more).await;
    let given = async |changes: Value| {
        let base = with(&claims(&desk.app), &json!({ "oid": "4711" }));
        let token = desk.signer.token(&header("k1"), &with(&base, &changes));
        let credential = access_tokens::authenticate(&desk.app, &token).await.unwrap();
        (credential.roles.join(","), credential.purposes.join(","))
    };
    let roles = |roles: Value| json!({ "realm_access": { "roles": roles } });
    let scope = |scope: Value| json!({ "https://crm.example/claims": { "scope": scope } });
    let pair = |roles: &str, purposes: &str| (roles.to_owned(), purposes.to_owned());
    assert_eq!(given(json!({})).await, pair("support", ""));
    assert_eq!(
        given(scope(json!("openid crm-officer crm-support"))).await,
        pair("support", "customer_care,rights_fulfilment")
    );
    assert_eq!(
        given(roles(json!(["crm-officer", "crm-support", "crm-support"]))).await,
        pair("dpo,support", "")
    );
    // Several values in one text, as some servers write lists (glewlwyd 2.7.5, lemonldap-ng 2.16.1).
    for text in ["crm-officer,crm-support", "crm-officer; crm-support"] {
        assert_eq!(
            given(scope(json!(text))).await,
            pair("support", "customer_care,rights_fulfilment"),
            "{text}"
        );
    }
    // The names of the policy are not those of the issuer.
    for nothing in [
        json!(["support", "dpo"]),
        json!([]),
        json!(7),
        json!(null),
        json!({ "crm-support": true }),
        json!(["CRM-SUPPORT"]),
    ] {
        assert_eq!(given(roles(nothing)).await, pair("", ""));
    }
    assert_eq!(given(json!({ "realm_access": "crm-support" })).await, pair("", ""));
    // A user without a role or a purpose is known, and may do nothing.
    let token = desk
        .signer
        .token(&header("k1"), &with(&claims(&desk.app), &with(&roles(json!([])), &json!({ "oid": "1" }))));
    let read = json!({ "query": "{ contacts { nodes { id } } }" });
    let (_, body) = Client::over(desk.app.clone()).send_bearing(&token, read, &[]).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["errors"][0]["extensions"]["code"], "PURPOSE_REQUIRED", "{body}");
    assert!(!body.to_string().contains("nodes"), "{body}");
}

impl Desk {
    /// Waits until the issuer was asked so often.
    async fn asked(&self, times: usize) {
        for _ in 0..500 {
            if self.server.asked() == times {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("asked {} times and not {times}", self.server.asked());
    }

    /// Refused, and told whether to try again.
    async fn soon(&self, token: &str) -> bool {
        let refused = access_tokens::authenticate(&self.app, token).await.unwrap_err();
        assert_eq!(refused.code, Code::Unauthenticated);
        refused.retry_soon
    }

    async fn takes_soon(&self, token: &str) -> bool {
        takes_soon(&self.app, token).await
    }
}

/// Presents a token again for as long as its key is being looked for.
async fn takes_soon(app: &App, token: &str) -> bool {
    for _ in 0..1_000 {
        match access_tokens::authenticate(app, token).await {
            Ok(_) => return true,
            Err(refused) if refused.retry_soon => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await
            }
            Err(_) => return false,
        }
    }
    panic!("the key is looked for without an end");
}

/// A key that is not known is looked for beside the requests: the first is answered at once and told to come again, and then the new key
/// counts; an old one for the grace.
#[tokio::test]
async fn keys_rotate() {
    let desk = Desk::open("").await;
    let (old, next) = (desk.token(), Signer::ed());
    assert!(desk.takes(&old).await && desk.takes(&old).await);
    assert_eq!(desk.server.asked(), 1);
    desk.test.clock.advance(TimeDelta::minutes(1));
    desk.server.list(&[next.jwk("k2")]);
    let new = next.token(&header("k2"), &claims(&desk.app));
    assert!(desk.soon(&new).await, "the first is told to come again");
    assert!(desk.takes(&old).await && desk.takes_soon(&new).await);
    assert_eq!(desk.server.asked(), 2);
    desk.test.clock.advance(TimeDelta::seconds(299));
    assert!(desk.takes(&old).await);
    desk.test.clock.advance(TimeDelta::seconds(1));
    assert!(!desk.takes_soon(&old).await && desk.takes(&new).await);
    // A key under the name of another takes its place at once.
    desk.test.clock.advance(TimeDelta::minutes(10));
    desk.server.list(&[desk.signer.jwk("k2")]);
    desk.app.issuers.refresh(desk.app.now()).await;
    assert!(!desk.takes(&new).await);
    assert!(desk.takes(&desk.signer.token(&header("k2"), &claims(&desk.app))).await);
}

/// However many unknown keys are presented, the issuer is asked once, and again after a while.
#[tokio::test]
async fn unknown_keys_do_not_flood_the_issuer() {
    let desk = Arc::new(Desk::open("").await);
    let ask = async || {
        let mut requests = JoinSet::new();
        for number in 0..50 {
            let desk = desk.clone();
            requests.spawn(async move {
                let kid = if number % 2 == 0 { "k1".to_owned() } else { format!("unknown-{number}") };
                assert_eq!(
                    desk.takes(&desk.signer.token(&header(&kid), &claims(&desk.app))).await,
                    kid == "k1"
                );
            });
        }
        while let Some(done) = requests.join_next().await {
            done.unwrap();
        }
    };
    ask().await;
    assert_eq!(desk.server.asked(), 1);
    desk.test.clock.advance(TimeDelta::seconds(29));
    ask().await;
    assert_eq!(desk.server.asked(), 1);
    desk.test.clock.advance(TimeDelta::seconds(1));
    ask().await;
    desk.asked(2).await;
    // A key that the issuer does not list is none, and nobody is told to come again for it.
    let stranger = desk.signer.token(&header("unknown"), &claims(&desk.app));
    assert!(!desk.takes_soon(&stranger).await);
    assert!(!desk.soon(&stranger).await);
    assert_eq!(desk.server.asked(), 2);
}

/// A server that fails takes down nobody whose key is known, for a day.
#[tokio::test]
async fn a_server_that_fails_leaves_the_keys_known() {
    let desk = Desk::open("max_age_seconds = 259200").await;
    let forever = with(&claims(&desk.app), &json!({ "exp": desk.app.now().timestamp() + 259_200 }));
    let token = desk.signer.token(&header("k1"), &forever);
    assert!(desk.takes(&token).await);
    let redirect = format!("{}/elsewhere", desk.server.url);
    desk.server.serve("/elsewhere", 200, json!({ "keys": [Signer::ed().jwk("k1")] }));
    let large = json!({ "keys": [Signer::ed().jwk("k1")], "more": "x".repeat(300_000) }).to_string();
    let private = json!({ "keys": [{ "kty": "oct", "k": "AAAA", "kid": "k1" }] }).to_string();
    let failures = [
        (500, String::new()),
        (302, redirect),
        (200, "<html>".to_owned()),
        (200, large),
        (200, "{\"keys\":[]}".to_owned()),
        (200, private),
        (200, json!({ "keys": vec![Signer::ed().jwk("k1"); 101] }).to_string()),
        (204, String::new()),
    ];
    for (status, body) in failures {
        desk.server.serve("/jwks", status, body);
        desk.test.clock.advance(TimeDelta::minutes(11));
        let asked = desk.server.asked();
        desk.app.issuers.refresh(desk.app.now()).await;
        assert_eq!(desk.server.asked(), asked + 1);
        assert!(desk.takes(&token).await, "{status}");
    }
    desk.test.clock.advance(TimeDelta::hours(22));
    assert!(desk.takes(&token).await);
    desk.test.clock.advance(TimeDelta::hours(1));
    assert!(!desk.takes(&token).await);
    desk.server.list(&[desk.signer.jwk("k1")]);
    desk.test.clock.advance(TimeDelta::seconds(30));
    assert!(desk.takes_soon(&token).await);
}

/// A server that says nothing is waited for by nobody.
#[tokio::test]
async fn a_server_that_hangs_holds_up_nobody_whose_key_is_known() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}/jwks", listener.local_addr().unwrap());
    let test = one().await;
    let app = test.with_issuers(&section(ISSUER, &format!("jwks_url = \"{silent}\"")));
    let token = Signer::ed().token(&header("k1"), &claims(&app));
    let start = std::time::Instant::now();
    let mut requests = JoinSet::new();
    for _ in 0..20 {
        let (app, token) = (app.clone(), token.clone());
        requests.spawn(async move { access_tokens::authenticate(&app, &token).await.is_err() });
    }
    assert!(requests.join_all().await.into_iter().all(|refused| refused));
    assert!(start.elapsed().as_millis() < 1_000, "{:?}", start.elapsed());
}

/// Who hangs up while keys are read does not break that off for those who come after.
#[tokio::test]
async fn a_request_that_is_dropped_leaves_the_keys_read() {
    let desk = Desk::open("").await;
    desk.test.clock.advance(TimeDelta::minutes(1));
    let next = Signer::ed();
    desk.server.list(&[next.jwk("k2")]);
    let token = next.token(&header("k2"), &claims(&desk.app));
    tokio::select! {
        biased;
        answer = access_tokens::authenticate(&desk.app, &token) => assert!(answer.unwrap_err().retry_soon),
        () = std::future::ready(()) => {}
    }
    assert!(desk.takes_soon(&token).await);
    assert_eq!(desk.server.asked(), 2);
}

/// A client is told by the header that the same token may be taken in a second, and nothing else is told apart.
#[tokio::test]
async fn a_client_is_told_to_come_again_for_a_key_that_is_looked_for() {
    let desk = Desk::open("").await;
    let router = http::router(desk.app.clone(), Arc::new(Pipeline::new().unwrap()), Limits::default());
    let ask = async |token: &str| {
        let request = Request::post("/graphql")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Body::from(json!({ "query": "{ viewer { actorId } }" }).to_string()))
            .unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let again = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let mut body: Value = serde_json::from_slice(&body).unwrap();
        body["errors"][0]["extensions"]["requestId"] = Value::Null;
        (status, again, body)
    };
    let stranger = desk.signer.token(&header("unknown"), &claims(&desk.app));
    // The keys were read just now: there is no other.
    let (status, again, body) = ask(&stranger).await;
    assert_eq!(
        (status, again, &body["errors"][0]["extensions"]["code"]),
        (401, None, &json!("UNAUTHENTICATED"))
    );
    desk.test.clock.advance(TimeDelta::minutes(1));
    assert_eq!(ask(&stranger).await, (401, Some("1".to_owned()), body));
}

#[tokio::test]
async fn discovery_names_the_keys_of_its_own_issuer_alone() {
    let (test, server, signer) = (one().await, Server::start().await, Signer::ed());
    server.list(&[signer.jwk("k1")]);
    let issuer = format!("{}/realms/staff", server.url);
    let app = test.with_issuers(&section(&issuer, ""));
    let token = || signer.token(&header("k1"), &with(&claims(&app), &json!({ "iss": issuer })));
    let path = "/realms/staff/.well-known/openid-configuration";
    let jwks = format!("{}/jwks", server.url);
    for wrong in [
        json!({ "issuer": ISSUER, "jwks_uri": jwks }),
        json!({ "issuer": issuer, "jwks_uri": "http://login.example.com/jwks" }),
        json!({ "issuer": issuer, "jwks_uri": "file:///etc/hostname" }),
        json!({ "issuer": issuer }),
    ] {
        server.serve(path, 200, &wrong);
        assert!(!takes_soon(&app, &token()).await, "{wrong}");
        test.clock.advance(TimeDelta::seconds(30));
    }
    server.serve(path, 200, json!({ "issuer": issuer, "jwks_uri": jwks }));
    assert!(takes_soon(&app, &token()).await);
}

#[tokio::test]
async fn keys_come_from_a_file_too() {
    let (test, signer) = (one().await, Signer::ed());
    let file = tempfile::NamedTempFile::new().unwrap();
    let app = test.with_issuers(&section(ISSUER, &format!("jwks_file = \"{}\"", file.path().display())));
    assert!(app.issuers.read_files(app.now()).await.unwrap_err().contains("oidc.staff.jwks_file"));
    std::fs::write(file.path(), json!({ "keys": [signer.jwk("k1")] }).to_string()).unwrap();
    app.issuers.read_files(app.now()).await.unwrap();
    assert!(access_tokens::authenticate(&app, &signer.token(&header("k1"), &claims(&app))).await.is_ok());
    // Another file, another key; no restart.
    let next = Signer::ed();
    std::fs::write(file.path(), json!({ "keys": [next.jwk("k2")] }).to_string()).unwrap();
    assert!(takes_soon(&app, &next.token(&header("k2"), &claims(&app))).await);
}

/// By https, with a certificate of an authority that is named; any other is refused.
#[tokio::test]
async fn certificates_are_checked() {
    use tokio_rustls::{
        TlsAcceptor,
        rustls::{ServerConfig, crypto::ring::default_provider, pki_types::PrivateKeyDer},
    };
    let (test, signer) = (one().await, Signer::ed());
    let key = PrivateKeyDer::try_from(pem("key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![pem("cert.pem").into()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let body = json!({ "keys": [signer.jwk("k1")] }).to_string();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    let authority = format!("ca_file = \"{}/tests/oidc/ca.pem\"", env!("CARGO_MANIFEST_DIR"));
    for (host, more, taken) in [
        ("localhost", authority.as_str(), true),
        ("127.0.0.1", authority.as_str(), true),
        // An address that the certificate does not name.
        ("127.0.0.2", authority.as_str(), false),
        // An authority that nobody named.
        ("localhost", "", false),
    ] {
        let listed = format!("jwks_url = \"https://{host}:{port}/jwks\"\n{more}");
        let app = test.with_issuers(&section(ISSUER, &listed));
        let token = signer.token(&header("k1"), &claims(&app));
        assert_eq!(takes_soon(&app, &token).await, taken, "{host} {more}");
    }
}

/// Each of two issuers speaks for its own users alone.
#[tokio::test]
async fn issuers_are_kept_apart() {
    let (test, server) = (one().await, Server::start().await);
    let (staff, partner) = (Signer::ed(), Signer::ed());
    server.serve("/staff", 200, json!({ "keys": [staff.jwk("k")] }));
    server.serve("/partner", 200, json!({ "keys": [partner.jwk("k")] }));
    let other = "https://partner.example";
    let first = section(ISSUER, &format!("jwks_url = \"{}/staff\"", server.url));
    let second = section(other, &format!("jwks_url = \"{}/partner\"", server.url))
        .replace("oidc.staff", "oidc.partner");
    let app = test.with_issuers(&format!("{first}{second}"));
    app.issuers.refresh(app.now()).await;
    let of = |issuer: &str| with(&claims(&app), &json!({ "iss": issuer }));
    for (signer, issuer, name) in [
        (&staff, ISSUER, Some("staff")),
        (&partner, other, Some("partner")),
        (&staff, other, None),
        (&partner, ISSUER, None),
    ] {
        let credential =
            access_tokens::authenticate(&app, &signer.token(&header("k"), &of(issuer))).await.ok();
        let found = credential.map(|credential| credential.actor_id.split(':').nth(1).unwrap().to_owned());
        assert_eq!(found.as_deref(), name, "{issuer}");
    }
}

/// The operator learns why a token is refused; nobody learns from the log who it was, nor a part of a token.
#[tokio::test]
async fn the_log_says_why_and_not_who() {
    let desk = Desk::open("").await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let writer = Arc::new(file.reopen().unwrap());
    let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(writer).finish();
    let guard = tracing::subscriber::set_default(lines);
    let late = with(&claims(&desk.app), &json!({ "exp": 1 }));
    let tokens = [
        desk.token(),
        desk.signer.token(&header("k1"), &late),
        desk.signer.token(&header("k1"), &with(&claims(&desk.app), &json!({ "aud": "hunter2" }))),
        desk.signer.token(&header("hunter2"), &claims(&desk.app)),
        Signer::ed().token(&header("k1"), &claims(&desk.app)),
    ];
    let client = Client::over(desk.app.clone());
    for token in &tokens {
        client.send_bearing(token, json!({ "query": "{ viewer { actorId } }" }), &[]).await;
    }
    desk.server.serve("/jwks", 500, "hunter2");
    desk.test.clock.advance(TimeDelta::minutes(10));
    desk.app.issuers.refresh(desk.app.now()).await;
    drop(guard);
    let text = std::fs::read_to_string(file.path()).unwrap();
    for told in [
        "expired",
        "another audience",
        "no such key",
        "the signature is invalid",
        "user:staff:",
        "returned an error",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert!(!text.contains("anna") && !text.contains("hunter2"), "{text}");
    for part in tokens.iter().flat_map(|token| token.split('.')) {
        assert!(!text.contains(part), "{text}");
    }
}

/// What claims are mapped to must be there, and is looked at before anything listens.
#[tokio::test]
async fn mappings_to_what_the_policy_lacks_are_refused() {
    let policy = crate::policy::shipped().await;
    assert!(issuers(&section(ISSUER, "")).check(&policy).is_ok());
    for (from, to, named) in [
        ("\"support\"", "\"emperor\"", "oidc.staff.roles"),
        ("\"customer_care\"", "\"world_domination\"", "oidc.staff.purposes"),
        ("\"customer_care\"", "\"direct_marketing\"", "oidc.staff.purposes"),
    ] {
        let error = issuers(&section(ISSUER, "").replace(from, to)).check(&policy).unwrap_err();
        assert!(error.contains(named), "{error}");
    }
}

/// Algorithms that are not taken by themselves are taken where the configuration names them, and no other is.
#[tokio::test]
async fn every_algorithm_with_a_public_key_can_be_named() {
    for (algorithm, signer) in [
        ("RS384", Signer::rsa()),
        ("RS512", Signer::rsa()),
        ("PS384", Signer::rsa()),
        ("PS512", Signer::rsa()),
        ("ES384", Signer::ec384()),
        ("ES512", Signer::ec521()),
    ] {
        let (test, server) = (one().await, Server::start().await);
        server.list(&[signer.jwk("k1")]);
        let head = json!({ "alg": algorithm, "kid": "k1", "typ": "at+jwt" });
        for (named, taken) in [(String::new(), false), (format!("algorithms = [\"{algorithm}\"]"), true)] {
            let app =
                test.with_issuers(&section(ISSUER, &format!("jwks_url = \"{}/jwks\"\n{named}", server.url)));
            let token = signer.token(&head, &claims(&app));
            assert_eq!(takes_soon(&app, &token).await, taken, "{algorithm} {named}");
            // The name of another algorithm over the same signature.
            let other = json!({ "alg": "RS256", "kid": "k1", "typ": "at+jwt" });
            let (_, rest) = token.split_once('.').unwrap();
            assert!(
                access_tokens::authenticate(&app, &format!("{}.{rest}", encode(other.to_string())))
                    .await
                    .is_err()
            );
        }
    }
}

/// An ID token of the implicit flow has no hash of an access token: it answers a nonce, and is none that names itself or a scope.
#[tokio::test]
async fn an_id_token_without_hashes_is_no_access_token() {
    let desk = Desk::open("").await;
    desk.server.list(&[desk.signer.jwk("k1")]);
    let mut bare = claims(&desk.app).as_object().unwrap().clone();
    bare.remove("client_id");
    bare.insert("azp".to_owned(), json!("desk"));
    assert!(desk.takes(&desk.signer.token(&header("k1"), &bare.clone().into())).await);
    bare.insert("nonce".to_owned(), json!("n-0S6_WzA2Mj"));
    assert!(!desk.takes(&desk.signer.token(&header("k1"), &bare.clone().into())).await);
    // Some servers write the nonce into access tokens too, and these name themselves or their scope.
    bare.insert("jti".to_owned(), json!("7"));
    assert!(desk.takes(&desk.signer.token(&header("k1"), &bare.into())).await);
}

/// A point of which a server leaves out the leading zeros is the same point (seen of glewlwyd 2.7.5).
#[tokio::test]
async fn a_key_without_its_leading_zeros_is_taken() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let short = |jwk: &Value| {
        let mut jwk = jwk.clone();
        let mut cut = false;
        for name in ["x", "y"] {
            let bytes = URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
            let rest: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
            cut |= rest.len() < bytes.len();
            jwk[name] = json!(encode(rest));
        }
        cut.then_some(jwk)
    };
    let (test, server) = (one().await, Server::start().await);
    // Of P-521 every second coordinate begins with a zero; of P-256 every two hundred and fiftieth.
    for (algorithm, make) in
        [("ES512", Signer::ec521 as fn() -> Signer), ("ES256", Signer::ec), ("ES384", Signer::ec384)]
    {
        let (signer, jwk) = (0..5_000)
            .find_map(|_| {
                let signer = make();
                short(&signer.jwk("k1")).map(|jwk| (signer, jwk))
            })
            .unwrap();
        server.list(&[jwk]);
        let named = format!("jwks_url = \"{}/jwks\"\nalgorithms = [\"{algorithm}\"]", server.url);
        let app = test.with_issuers(&section(ISSUER, &named));
        let head = json!({ "alg": algorithm, "kid": "k1", "typ": "at+jwt" });
        assert!(takes_soon(&app, &signer.token(&head, &claims(&app))).await, "{algorithm}");
    }
}

/// While the server of an issuer says nothing, whoever comes with a token of ours is answered at once, however many come with tokens that
/// name a key which nobody knows.
#[tokio::test]
async fn a_silent_issuer_keeps_nobody_from_his_turn() {
    let test = one().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = silent.accept().await {
            held.push(stream);
        }
    });
    let app = test.with_issuers(&section(ISSUER, &format!("jwks_url = \"http://{address}/jwks\"")));
    let (client, signer) = (Client::over(app.clone()), Signer::ed());
    let mut strangers = JoinSet::new();
    for number in 0..200 {
        let token = signer.token(&header(&format!("unknown-{number}")), &claims(&app));
        let client = client.clone();
        strangers.spawn(async move {
            let query = json!({ "query": "{ viewer { actorId } }" });
            client.send_bearing(&token, query, &[]).await.0
        });
    }
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let caller = test.caller("support", "customer_care").await;
    let known = async {
        let began = std::time::Instant::now();
        for _ in 0..5 {
            client.data(&caller, "{ contacts(first: 1) { nodes { id } } }").await;
        }
        began.elapsed()
    };
    // Long before the server of the issuer is given up.
    let took = known.await;
    assert!(took < std::time::Duration::from_millis(1_500), "{took:?}");
    while let Some(status) = strangers.join_next().await {
        assert_eq!(status.unwrap(), 401);
    }
}
