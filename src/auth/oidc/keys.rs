//! Caches an issuer's keys: refreshes them in the background, on schedule and for unknown key ids, and keeps them
//! while the issuer is down. Room: auth/oidc.
//!
//! One background task per issuer reads the keys, at least 30 s apart. No unauthenticated request waits for the
//! network: a token with an unknown key is rejected at once, with `retry_soon` set while the issuer is being asked.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, TimeDelta, Utc};
use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;

use super::{
    fetch::{Client, MAX_DOCUMENT_BYTES},
    signatures::PublicKey,
};
use crate::config::oidc::{Algorithm, Issuer};

/// Age after which the keys are refreshed in the background.
const REFRESH_INTERVAL: TimeDelta = TimeDelta::minutes(10);
/// Minimum time between two refreshes, however many unknown keys are presented.
const MIN_REFRESH_INTERVAL: TimeDelta = TimeDelta::seconds(30);
/// How long keys stay valid if they cannot be refreshed. Without a limit, an attacker who blocks the issuer keeps a stolen
/// key alive.
const MAX_STALENESS: TimeDelta = TimeDelta::hours(24);
/// Maximum number of keys per issuer, more than any issuer has.
const MAX_KEYS: usize = 100;

/// Why no key was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The issuer does not list it, as far as is known.
    Unknown,
    /// The issuer is being asked.
    Pending,
}

enum Source {
    File(PathBuf),
    Url(String),
    /// OpenID Connect Discovery 1.0, starting from the issuer's identifier.
    Discovery(String),
}

/// The key cache of one issuer.
pub(super) struct KeyStore {
    /// The issuer's short name, for the log.
    name: String,
    source: Source,
    client: Client,
    grace: TimeDelta,
    key_set: ArcSwap<KeySet>,
    /// Time of the last attempt; locked during a refresh, so that only one runs at a time.
    tried_at: Arc<Mutex<Option<DateTime<Utc>>>>,
    /// Whether a refresh is running.
    reading: AtomicBool,
}

#[derive(Default)]
struct KeySet {
    keys: Vec<Key>,
    read_at: Option<DateTime<Utc>>,
}

#[derive(Clone)]
struct Key {
    kid: Option<String>,
    /// The algorithms that it may be used with.
    algorithms: Vec<Algorithm>,
    key: Arc<PublicKey>,
    /// When it first disappeared from the issuer's list.
    missed_at: Option<DateTime<Utc>>,
}

#[derive(Deserialize)]
struct ListedKeys {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl KeyStore {
    pub(super) fn new(name: &str, issuer: &Issuer) -> Result<Self, String> {
        let source = match (&issuer.jwks_file, &issuer.jwks_url) {
            (Some(file), _) => Source::File(file.clone()),
            (None, Some(url)) => Source::Url(url.clone()),
            (None, None) => Source::Discovery(issuer.issuer.clone()),
        };
        let client = Client::new(issuer.ca_file.as_deref())
            .map_err(|error| format!("`oidc.{name}.ca_file`: {error}"))?;
        Ok(Self {
            name: name.to_owned(),
            source,
            client,
            grace: TimeDelta::seconds(issuer.key_grace_seconds.into()),
            key_set: ArcSwap::default(),
            tried_at: Arc::default(),
            reading: AtomicBool::new(false),
        })
    }

    /// Finds the key that a token names and that matches its algorithm. It never waits for the issuer: an unknown key
    /// triggers one background refresh for all requests, and the next request finds it.
    pub(super) fn find(
        self: &Arc<Self>,
        kid: Option<&str>,
        algorithm: Algorithm,
        now: DateTime<Utc>,
    ) -> Result<Arc<PublicKey>, NoKey> {
        let key_set = self.key_set.load_full();
        let found = self.lookup(&key_set, kid, algorithm, now);
        if found.is_some() && !self.is_due(&key_set, now) {
            return found.ok_or(NoKey::Unknown);
        }
        let reading = self.refresh_in_background(now);
        // Another request may have refreshed the keys since.
        let found = found.or_else(|| self.lookup(&self.key_set.load(), kid, algorithm, now));
        found.ok_or(if reading { NoKey::Pending } else { NoKey::Unknown })
    }

    /// Starts a background refresh unless one was tried recently. Returns whether one is running.
    fn refresh_in_background(self: &Arc<Self>, now: DateTime<Utc>) -> bool {
        let Ok(mut tried_at) = self.tried_at.clone().try_lock_owned() else {
            return self.reading.load(Ordering::Acquire);
        };
        if tried_at.is_some_and(|at| is_recent(at, now)) {
            return false;
        }
        *tried_at = Some(now);
        self.reading.store(true, Ordering::Release);
        let store = self.clone();
        tokio::spawn(async move {
            store.read_or_warn(now).await;
            drop(tried_at);
        });
        true
    }

    fn lookup(
        &self,
        key_set: &KeySet,
        kid: Option<&str>,
        algorithm: Algorithm,
        now: DateTime<Utc>,
    ) -> Option<Arc<PublicKey>> {
        let read_at = key_set.read_at?;
        let counts = |key: &&Key| match key.missed_at {
            None => now - read_at <= MAX_STALENESS,
            Some(at) => now - at < self.grace,
        };
        // A token without a key id means the issuer's only key.
        let named = |key: &&Key| match kid {
            Some(_) => key.kid.as_deref() == kid,
            None => key.missed_at.is_none(),
        };
        let fitting = key_set.keys.iter().filter(|key| key.algorithms.contains(&algorithm));
        let mut keys = fitting.filter(named).filter(counts);
        // With several candidates a token must name its key.
        match (keys.next(), keys.next()) {
            (Some(key), None) => Some(key.key.clone()),
            _ => None,
        }
    }

    /// Whether a refresh is due and none is running or was tried recently.
    fn is_due(&self, key_set: &KeySet, now: DateTime<Utc>) -> bool {
        let fresh = key_set.read_at.is_some_and(|at| (now - at).abs() < REFRESH_INTERVAL);
        let tried =
            || self.tried_at.try_lock().map_or(true, |tried| tried.is_some_and(|at| is_recent(at, now)));
        !fresh && !tried()
    }

    async fn read_or_warn(&self, now: DateTime<Utc>) {
        self.reading.store(true, Ordering::Release);
        let read = self.read(now).await;
        self.reading.store(false, Ordering::Release);
        if let Err(reason) = read {
            tracing::warn!(
                issuer = self.name,
                reason,
                "the keys of an issuer could not be read; the known ones stay valid"
            );
        }
    }

    /// Refreshes the keys if they are due.
    pub(super) async fn refresh(&self, now: DateTime<Utc>) {
        if !self.is_due(&self.key_set.load_full(), now) {
            return;
        }
        let mut tried_at = self.tried_at.lock().await;
        if tried_at.is_some_and(|at| is_recent(at, now)) {
            return;
        }
        *tried_at = Some(now);
        self.read_or_warn(now).await;
    }

    /// Whether the keys come from a file, which must be read at startup.
    pub(super) fn is_file(&self) -> bool {
        matches!(self.source, Source::File(_))
    }

    /// Reads the keys and replaces the known ones.
    ///
    /// # Errors
    /// Why they could not be read; the known ones stay.
    pub(super) async fn read(&self, now: DateTime<Utc>) -> Result<(), &'static str> {
        let text = match &self.source {
            Source::File(file) => {
                let length = tokio::fs::metadata(file).await.map_err(|_| "the file cannot be read")?.len();
                if usize::try_from(length).map_or(true, |length| length > MAX_DOCUMENT_BYTES) {
                    return Err("the file is too large");
                }
                tokio::fs::read(file).await.map_err(|_| "the file cannot be read")?.into()
            }
            Source::Url(url) => self.client.get(url).await?,
            Source::Discovery(issuer) => {
                let base = issuer.trim_end_matches('/');
                let found = self.client.get(&format!("{base}/.well-known/openid-configuration")).await?;
                let found: Discovery = serde_json::from_slice(&found)
                    .map_err(|_| "the issuer's configuration cannot be read")?;
                if found.issuer != *issuer {
                    return Err("the configuration document belongs to another issuer");
                }
                self.client.get(&found.jwks_uri).await?
            }
        };
        let listed: ListedKeys = serde_json::from_slice(&text).map_err(|_| "the keys cannot be read")?;
        if listed.keys.len() > MAX_KEYS {
            return Err("there are too many keys");
        }
        let mut keys: Vec<Key> = listed.keys.into_iter().filter_map(parse_key).collect();
        if keys.is_empty() {
            return Err("there is no usable key");
        }
        for old in &self.key_set.load().keys {
            // Removed keys without an id cannot be told apart; an id that is listed again means the new key.
            let gone = old.kid.is_some() && keys.iter().all(|key| key.kid != old.kid);
            let missed_at = old.missed_at.unwrap_or(now);
            if gone && now - missed_at < self.grace && keys.len() < 2 * MAX_KEYS {
                keys.push(Key { missed_at: Some(missed_at), ..old.clone() });
            }
        }
        self.key_set.store(Arc::new(KeySet { keys, read_at: Some(now) }));
        Ok(())
    }
}

/// A clock that was set back must not prevent a refresh.
fn is_recent(tried_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (now - tried_at).abs() < MIN_REFRESH_INTERVAL
}

/// The algorithms of an RSA key.
const RSA: [Algorithm; 6] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// A coordinate of an EC point, padded to the length of its curve (RFC 7518, 6.2.1.2). Some servers omit leading
/// zeros.
fn coordinate<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let start = N.checked_sub(bytes.len())?;
    let mut padded = [0; N];
    padded.get_mut(start..)?.copy_from_slice(&bytes);
    (!bytes.is_empty()).then_some(padded)
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A public key for verifying token signatures. Other keys are skipped: sets hold encryption keys too.
fn parse_key(listed: Value) -> Option<Key> {
    // The JWT crate knows fewer algorithms.
    let only = match listed.get("alg") {
        Some(Value::String(name)) => Some(name.clone()),
        Some(Value::Null) | None => None,
        Some(_) => return None,
    };
    let jwk: Jwk = serde_json::from_value(listed).ok()?;
    let common = &jwk.common;
    let signs = common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    let verifies = common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
    if !signs || !verifies {
        return None;
    }
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let (key, mut algorithms) = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P521 => {
            let (x, y) = (coordinate::<66>(&ec.x)?, coordinate::<66>(&ec.y)?);
            let key = PublicKey::from_p521(&x, &y)?;
            (key, vec![Algorithm::ES512])
        }
        AlgorithmParameters::RSA(rsa) => {
            let modulus = decode(&rsa.n)?;
            // Some issuers write a leading zero.
            let modulus: Vec<u8> = modulus.into_iter().skip_while(|byte| *byte == 0).collect();
            if !(256..=1024).contains(&modulus.len()) {
                return None;
            }
            let key = DecodingKey::from_rsa_raw_components(&modulus, &decode(&rsa.e)?);
            (key.into(), RSA.to_vec())
        }
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => {
            let (x, y) = (coordinate::<32>(&ec.x)?, coordinate::<32>(&ec.y)?);
            let key = DecodingKey::from_ec_components(&encode(&x), &encode(&y)).ok()?;
            (key.into(), vec![Algorithm::ES256])
        }
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P384 => {
            let (x, y) = (coordinate::<48>(&ec.x)?, coordinate::<48>(&ec.y)?);
            let key = DecodingKey::from_ec_components(&encode(&x), &encode(&y)).ok()?;
            (key.into(), vec![Algorithm::ES384])
        }
        AlgorithmParameters::OctetKeyPair(okp) if okp.curve == EllipticCurve::Ed25519 => {
            let is_complete = decode(&okp.x)?.len() == 32;
            (
                DecodingKey::from_ed_components(&okp.x).ok().filter(|_| is_complete)?.into(),
                vec![Algorithm::EdDSA],
            )
        }
        _ => return None,
    };
    if let Some(only) = only {
        algorithms.retain(|algorithm| Algorithm::from_name(&only) == Some(*algorithm));
    }
    (!algorithms.is_empty()).then(|| Key {
        kid: jwk.common.key_id,
        algorithms,
        key: Arc::new(key),
        missed_at: None,
    })
}
