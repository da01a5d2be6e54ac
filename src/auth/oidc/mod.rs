//! Users: tokens of OpenID Connect issuers, verified with the issuers' public keys. Room: auth/oidc.
//!
//! A token is a JWT in the form of RFC 9068, signed with a public-key algorithm. It is verified on every request and
//! grants what an access token grants: an actor, roles, purposes and an expiry.

mod claims;
mod fetch;
mod keys;
mod signatures;

use std::{collections::BTreeMap, sync::Arc};

use async_graphql::futures_util::future::join_all;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use hkdf::Hkdf;
use serde::Deserialize;
use sha2::Sha256;

use self::{
    claims::{Grants, Reason},
    keys::{KeyStore, NoKey},
    signatures::Header,
};
use crate::{
    base::secret::SecretKey,
    config::oidc::{Algorithm, Issuer as Settings},
    policy::Policy,
};

/// Longest token. One with a hundred roles takes half of it.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// All issuers whose tokens are accepted.
#[derive(Default)]
pub struct Issuers(Vec<Issuer>);

struct Issuer {
    name: String,
    settings: Settings,
    keys: Arc<KeyStore>,
    actor_key: SecretKey,
}

/// What a valid token grants.
#[derive(Debug)]
pub struct User {
    /// `user:<issuer's short name>:<pseudonym>`.
    pub actor_id: String,
    /// Role codes, without prefix.
    pub roles: Vec<String>,
    /// Codes of purposes.
    pub purposes: Vec<String>,
    /// When the token expires, including the allowed clock difference.
    pub expires_at: DateTime<Utc>,
}

/// A rejected token.
#[derive(Clone, Copy, Debug)]
pub struct InvalidToken {
    /// Whether a retry may succeed: the issuer is being asked for the key that the token names.
    pub retry_soon: bool,
}

/// The reason while the issuer is being asked for the key.
const KEY_PENDING: Reason = "no such key yet; the issuer is being asked for it";

#[derive(Deserialize)]
struct Unverified {
    iss: String,
}

impl Issuers {
    /// The configured issuers. Keys are read later, except those in files.
    ///
    /// # Errors
    /// A message for the operator: a certificate file cannot be read.
    pub fn new(settings: &BTreeMap<String, Settings>, actor_key: SecretKey) -> Result<Self, String> {
        signatures::install();
        let issuer = |(name, settings): (&String, &Settings)| {
            let keys = Arc::new(KeyStore::new(name, settings)?);
            Ok(Issuer { name: name.clone(), settings: settings.clone(), keys, actor_key: actor_key.clone() })
        };
        settings.iter().map(issuer).collect::<Result<_, String>>().map(Self)
    }

    /// Whether no issuer is configured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that the policy knows every role and purpose that claims are mapped to.
    ///
    /// # Errors
    /// A message for the operator that names the first unknown one.
    pub fn check(&self, policy: &Policy) -> Result<(), String> {
        for Issuer { name, settings, .. } in &self.0 {
            let mut roles = settings.roles.values().flatten();
            if let Some(role) = roles.find(|role| !policy.roles().contains(*role)) {
                return Err(format!("`oidc.{name}.roles`: the policy has no role `{role}`"));
            }
            let mut purposes = settings.purposes.values().flatten();
            let unknown = |code: &&String| policy.purpose(code).is_none_or(|purpose| purpose.is_group);
            if let Some(code) = purposes.find(unknown) {
                return Err(format!(
                    "`oidc.{name}.purposes`: the policy has no purpose `{code}`, or it is a group"
                ));
            }
        }
        Ok(())
    }

    /// Reads the keys that are configured as files.
    ///
    /// # Errors
    /// A message for the operator: a file cannot be read or holds no key.
    pub async fn read_files(&self, now: DateTime<Utc>) -> Result<(), String> {
        for issuer in self.0.iter().filter(|issuer| issuer.keys.is_file()) {
            let read = issuer.keys.read(now).await;
            read.map_err(|reason| format!("`oidc.{}.jwks_file`: {reason}", issuer.name))?;
        }
        Ok(())
    }

    /// Refreshes keys that are due. If an issuer is down its known keys stay valid.
    pub async fn refresh(&self, now: DateTime<Utc>) {
        join_all(self.0.iter().map(|issuer| issuer.keys.refresh(now))).await;
    }

    /// Verifies a token and returns its user. It never waits for the network.
    ///
    /// # Errors
    /// Whether the issuer is being asked for the key; every other reason goes to the log only.
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<User, InvalidToken> {
        let Some(issuer) = self.issuer_of(token) else {
            // The value is mistyped by someone; a missing trailing slash is the most likely cause.
            tracing::info!(
                target: "zweck::security",
                "a token that is not ours names an issuer that does not exactly match any configured one"
            );
            return Err(InvalidToken { retry_soon: false });
        };
        issuer.verify(token, now).map(|grants| issuer.user(grants)).map_err(|reason| {
            tracing::info!(target: "zweck::security", issuer = issuer.name, reason, "a user's token was rejected");
            InvalidToken { retry_soon: reason == KEY_PENDING }
        })
    }

    /// The issuer that a token claims to be from; only that issuer's keys are used to verify it.
    fn issuer_of(&self, token: &str) -> Option<&Issuer> {
        if token.len() > MAX_TOKEN_BYTES {
            return None;
        }
        let mut parts = token.split('.');
        let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
            return None;
        };
        let claimed: Unverified = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
        self.0.iter().find(|issuer| issuer.settings.issuer == claimed.iss)
    }

    /// The actor id of the user `subject` at the issuer with the short name `name`.
    pub fn actor_id(&self, name: &str, subject: &str) -> Option<String> {
        self.0.iter().find(|issuer| issuer.name == name).map(|issuer| issuer.actor_id(subject))
    }
}

impl Issuer {
    fn verify(&self, token: &str, now: DateTime<Utc>) -> Result<Grants, Reason> {
        let header = Header::parse(token).ok_or("the header is malformed")?;
        // The standard's name for it, which the operator puts into the configuration.
        let algorithm = Algorithm::from_name(&header.alg).ok_or("another algorithm")?;
        let named = Some(algorithm).filter(|algorithm| self.settings.algorithms.contains(algorithm));
        let algorithm = named.ok_or_else(|| {
            let issuer = self.name.as_str();
            tracing::info!(target: "zweck::security", issuer, ?algorithm, "a token is signed by an algorithm that is not listed in `algorithms`");
            "another algorithm"
        })?;
        // A token must not supply its own key or use unknown critical extensions (RFC 7515, 4.1.11).
        if header.has_key_or_extension() {
            return Err("an unsupported header");
        }
        let kind = header.typ.as_deref().unwrap_or_default();
        let kind = strip_application(kind);
        if !self
            .settings
            .token_types
            .iter()
            .any(|accepted| strip_application(accepted).eq_ignore_ascii_case(kind))
        {
            return Err("another type of token");
        }
        let key = self.keys.find(header.kid.as_deref(), algorithm, now).map_err(|none| match none {
            NoKey::Unknown => "no such key",
            NoKey::Pending => KEY_PENDING,
        })?;
        let claims = key.verified(token, algorithm).ok_or("the signature is invalid")?;
        claims::read(&claims, &self.settings, now)
    }

    fn user(&self, grants: Grants) -> User {
        if grants.roles.is_empty() || grants.purposes.is_empty() {
            let (issuer, roles, purposes) = (self.name.as_str(), grants.roles.len(), grants.purposes.len());
            tracing::info!(target: "zweck::security", issuer, roles, purposes, "the claims of a user's token map to no role or no purpose");
        }
        let Grants { subject, roles, purposes, expires_at } = grants;
        User { actor_id: self.actor_id(&subject), roles, purposes, expires_at }
    }

    /// An issuer's subject may be a name or an address, and actor ids appear in logs and in the audit log. They
    /// therefore hold a pseudonym (Art. 4(5)), which stays the same as long as the actor key does and means nothing
    /// to anyone without the key.
    fn actor_id(&self, subject: &str) -> String {
        let mut pseudonym = [0u8; 16];
        // An issuer URL holds no line break, so two users never produce the same text. 16 bytes keep collisions out
        // of reach.
        let user = format!("actor\n{}\n{subject}", self.settings.issuer);
        let _ = Hkdf::<Sha256>::new(Some(b"zweck"), self.actor_key.expose_secret())
            .expand(user.as_bytes(), &mut pseudonym);
        format!("user:{}:{}", self.name, hex::encode(pseudonym))
    }
}

/// RFC 7515, 4.1.9: `application/` may be omitted.
fn strip_application(kind: &str) -> &str {
    match kind.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => kind,
    }
}

impl std::fmt::Debug for Issuers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|issuer| &issuer.name)).finish()
    }
}
