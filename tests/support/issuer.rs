//! An issuer of users' tokens as tests need it: with keys of its own, a server for them, and every kind of lie.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use p521::ecdsa::signature::Signer as _;
use ring::{
    rand::{SecureRandom, SystemRandom},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
        RSA_PSS_SHA512, RsaKeyPair,
    },
};
use serde_json::{Value, json};
use zweck::{app::App, auth::oidc::Issuers, base::clock::Clock, policy::PolicyHandle};

use super::app::TestApp;

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The contents of a PEM file of the folder `tests/oidc`, whose keys protect nothing.
pub fn pem(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/oidc/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let lines: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(lines).unwrap()
}

/// A pair of keys.
pub enum Signer {
    Ed(Ed25519KeyPair),
    Ec(EcdsaKeyPair),
    P521(Box<p521::ecdsa::SigningKey>),
    Rsa(Box<RsaKeyPair>),
}

fn ec_jwk(point: &[u8], kid: &str) -> Value {
    // Uncompressed: a byte, and both coordinates.
    let half = point.len() / 2;
    let curve = match half {
        32 => "P-256",
        48 => "P-384",
        _ => "P-521",
    };
    json!({ "kty": "EC", "crv": curve, "kid": kid, "x": encode(&point[1..=half]), "y": encode(&point[half + 1..]) })
}

impl Signer {
    pub fn ed() -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed(Ed25519KeyPair::from_pkcs8(key.as_ref()).unwrap())
    }

    pub fn ec() -> Self {
        let (random, kind) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let key = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        Self::Ec(EcdsaKeyPair::from_pkcs8(kind, key.as_ref(), &random).unwrap())
    }

    pub fn ec384() -> Self {
        let (random, kind) = (SystemRandom::new(), &ECDSA_P384_SHA384_FIXED_SIGNING);
        let key = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
        Self::Ec(EcdsaKeyPair::from_pkcs8(kind, key.as_ref(), &random).unwrap())
    }

    /// Ring has no keys of this curve.
    pub fn ec521() -> Self {
        let mut scalar = [0u8; 66];
        SystemRandom::new().fill(&mut scalar[1..]).unwrap();
        Self::P521(Box::new(p521::ecdsa::SigningKey::from_slice(&scalar).unwrap()))
    }

    pub fn rsa() -> Self {
        Self::Rsa(Box::new(RsaKeyPair::from_pkcs8(&pem("rsa.pem")).unwrap()))
    }

    /// The public key, as a JWK.
    pub fn jwk(&self, kid: &str) -> Value {
        match self {
            Self::Ed(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "x": encode(key.public_key()) })
            }
            Self::Ec(key) => ec_jwk(key.public_key().as_ref(), kid),
            Self::P521(key) => ec_jwk(key.verifying_key().to_sec1_point(false).as_bytes(), kid),
            Self::Rsa(key) => {
                let public = ring::rsa::PublicKeyComponents::<Vec<u8>>::from(key.public());
                json!({ "kty": "RSA", "kid": kid, "n": encode(public.n), "e": encode(public.e) })
            }
        }
    }

    pub fn sign(&self, algorithm: &str, message: &str) -> Vec<u8> {
        let (random, message) = (SystemRandom::new(), message.as_bytes());
        match self {
            Self::Ed(key) => key.sign(message).as_ref().to_vec(),
            Self::Ec(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::P521(key) => {
                let signature: p521::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                let padding: &dyn ring::signature::RsaEncoding = match algorithm {
                    "PS256" => &RSA_PSS_SHA256,
                    "PS384" => &RSA_PSS_SHA384,
                    "PS512" => &RSA_PSS_SHA512,
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                key.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// A token of these parts, signed.
    pub fn token(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), &claims.to_string())
    }

    /// A token of these texts, signed by the algorithm that the first names.
    pub fn token_of(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encode(header), encode(claims));
        let named: Option<Value> = serde_json::from_str(header).ok();
        let algorithm = named.as_ref().and_then(|header| header["alg"].as_str()).unwrap_or_default();
        let signature = self.sign(algorithm, &message);
        format!("{message}.{}", encode(signature))
    }
}

/// A server that serves an issuer's configuration and keys.
pub struct Server {
    pub url: String,
    shared: Arc<Shared>,
}

struct Shared {
    /// Answers by path.
    answers: Mutex<Vec<(String, StatusCode, String)>>,
    asked: AtomicUsize,
}

impl Server {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared { answers: Mutex::default(), asked: AtomicUsize::new(0) });
        let router = Router::new().fallback(answer).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    /// From now on `path` answers so.
    pub fn serve(&self, path: &str, status: u16, body: impl ToString) {
        let mut answers = self.shared.answers.lock().unwrap();
        answers.retain(|(known, ..)| known != path);
        answers.push((path.to_owned(), StatusCode::from_u16(status).unwrap(), body.to_string()));
    }

    /// From now on these are the keys, at `/jwks`.
    pub fn list(&self, keys: &[Value]) {
        self.serve("/jwks", 200, json!({ "keys": keys }));
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.shared.asked.load(Ordering::SeqCst)
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    shared.asked.fetch_add(1, Ordering::SeqCst);
    let answers = shared.answers.lock().unwrap();
    match answers.iter().find(|(path, ..)| path == request.uri().path()) {
        // Where it leads for a redirect, and what it says for anything else.
        Some((_, status, body)) if status.is_redirection() => {
            (*status, [("location", body.clone())]).into_response()
        }
        Some((_, status, body)) => (*status, body.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A section `[oidc.staff]` for this issuer, with further lines.
pub fn section(issuer: &str, more: &str) -> String {
    format!(
        "[oidc.staff]\nissuer = \"{issuer}\"\naudience = \"https://crm.example\"\nroles_claim = \"realm_access.roles\"\n\
         {more}\n[oidc.staff.roles]\ncrm-support = \"support\"\ncrm-officer = [\"dpo\"]\n\
         [oidc.staff.purposes]\ncrm-support = [\"customer_care\"]\ncrm-officer = \"rights_fulfilment\"\n"
    )
}

/// The issuers of a configuration, read as the server reads it.
pub fn issuers(toml: &str) -> Issuers {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("[secrets]\nactor_key = \"{}\"\n{toml}", "ab".repeat(32))).unwrap();
    let config = zweck::config::Config::load(Some(file.path()), &zweck::config::Flags::default()).unwrap();
    Issuers::new(&config.oidc, config.secrets.actor_key.unwrap()).unwrap()
}

impl TestApp {
    /// The application with issuers, over the same database.
    pub fn with_issuers(&self, toml: &str) -> Arc<App> {
        self.with_issuers_at(toml, self.clock.clone())
    }

    /// The same, by another clock.
    pub fn with_issuers_at(&self, toml: &str, clock: Arc<dyn Clock>) -> Arc<App> {
        let db = self.app.db.clone();
        let policy = PolicyHandle::new(self.app.policy.current());
        Arc::new(App::new(db, policy, clock, self.app.keys.clone(), issuers(toml)))
    }
}
