//! `[oidc.<name>]`: an issuer whose tokens are accepted, and how its claims are mapped. Room: config.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use axum::http::Uri;
use figment::{
    Figment,
    providers::Serialized,
    value::{Dict, Value},
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

/// Keys of a section that hold numbers.
const NUMBERS: [&str; 3] = ["leeway_seconds", "max_age_seconds", "key_grace_seconds"];

/// The message for an invalid claim path.
pub(super) const NO_CLAIM: &str = "must be the path of a claim";
/// The message for a value that is neither; [`OneOrMany`] returns it.
pub(super) const NO_TEXTS: &str = "must be a text or a list of texts";

/// `[oidc.<name>]`: one issuer. The name is part of the ids of its users: `user:<name>:...`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The issuer's identifier, exactly as in `iss`.
    pub issuer: String,
    /// The accepted audiences; a token must have one of them.
    #[serde(deserialize_with = "one_or_many")]
    pub audience: Vec<String>,
    /// URL of its keys; found by OpenID Connect Discovery if absent.
    pub jwks_url: Option<String>,
    /// A file with its keys, instead of a URL.
    pub jwks_file: Option<PathBuf>,
    /// CA certificates (PEM) for its servers; Mozilla's root certificates if absent.
    pub ca_file: Option<PathBuf>,
    /// Accepted algorithms; none of them uses a shared secret.
    #[serde(default = "default_algorithms")]
    pub algorithms: Vec<Algorithm>,
    /// Accepted values of the header `typ` (RFC 9068).
    #[serde(default = "default_types", deserialize_with = "one_or_many")]
    pub token_types: Vec<String>,
    /// Clients, by `azp` or `client_id`, whose tokens are accepted; any client if empty.
    #[serde(default, deserialize_with = "one_or_many")]
    pub clients: Vec<String>,
    /// Allowed clock difference.
    #[serde(default = "default_leeway")]
    pub leeway_seconds: u32,
    /// Maximum age of a token since `iat`, whatever its `exp` says.
    #[serde(default = "default_max_age")]
    pub max_age_seconds: u32,
    /// How long a key stays valid after the issuer stops listing it.
    #[serde(default = "default_key_grace")]
    pub key_grace_seconds: u32,
    /// The claim that identifies users and never changes.
    #[serde(default = "default_subject")]
    pub subject_claim: ClaimPath,
    /// The claim whose values `roles` maps.
    pub roles_claim: ClaimPath,
    /// The claim whose values `purposes` maps; `roles_claim` if absent.
    pub purposes_claim: Option<ClaimPath>,
    /// Roles for each claim value; other values grant none.
    #[serde(deserialize_with = "lists")]
    pub roles: BTreeMap<String, Vec<String>>,
    /// Purposes for each claim value; other values grant none.
    #[serde(deserialize_with = "lists")]
    pub purposes: BTreeMap<String, Vec<String>>,
}

/// A public-key signature algorithm.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
#[expect(missing_docs, reason = "named by RFC 7518 and RFC 8037")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    ES512,
    EdDSA,
}

impl Algorithm {
    /// All algorithms.
    pub const ALL: [Algorithm; 10] = [
        Algorithm::RS256,
        Algorithm::RS384,
        Algorithm::RS512,
        Algorithm::PS256,
        Algorithm::PS384,
        Algorithm::PS512,
        Algorithm::ES256,
        Algorithm::ES384,
        Algorithm::ES512,
        Algorithm::EdDSA,
    ];

    /// The algorithm named by a header or a key (RFC 7518, 3.1; RFC 8037, 3.1; RFC 9864, 2.2, which names EdDSA by
    /// its curve).
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "Ed25519" => Some(Algorithm::EdDSA),
            _ => Self::ALL.into_iter().find(|algorithm| format!("{algorithm:?}") == name),
        }
    }
}

/// The path of a claim: `realm_access.roles`, or a list of names if a name contains a dot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClaimPath(pub Vec<String>);

impl<'de> Deserialize<'de> for ClaimPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = match OneOrMany::deserialize(deserializer)? {
            OneOrMany::One(path) => path.split('.').map(str::to_owned).collect(),
            OneOrMany::Many(names) => names,
        };
        if names.is_empty() || names.iter().any(String::is_empty) {
            return Err(D::Error::custom(NO_CLAIM));
        }
        Ok(Self(names))
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "must be a text or a list of texts")]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn list(self) -> Vec<String> {
        match self {
            OneOrMany::One(text) => vec![text],
            OneOrMany::Many(list) => list,
        }
    }
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(OneOrMany::deserialize(deserializer)?.list())
}

fn lists<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Vec<String>>, D::Error> {
    let map = BTreeMap::<String, OneOrMany>::deserialize(deserializer)?;
    Ok(map.into_iter().map(|(value, names)| (value, names.list())).collect())
}

fn default_algorithms() -> Vec<Algorithm> {
    vec![Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA]
}

fn default_types() -> Vec<String> {
    vec!["at+jwt".to_owned()]
}

fn default_leeway() -> u32 {
    30
}

fn default_max_age() -> u32 {
    12 * 60 * 60
}

fn default_key_grace() -> u32 {
    300
}

fn default_subject() -> ClaimPath {
    ClaimPath(vec!["sub".to_owned()])
}

/// The required settings with valid values, different for each issuer.
pub(super) fn placeholder(number: usize) -> Dict {
    let text = |text: &str| Value::from(text.to_owned());
    let map = || Value::from(Dict::from([("-".to_owned(), text("-"))]));
    Dict::from([
        ("issuer".to_owned(), text(&format!("https://{number}.invalid"))),
        ("audience".to_owned(), text("-")),
        ("roles_claim".to_owned(), text("-")),
        ("roles".to_owned(), map()),
        ("purposes".to_owned(), map()),
    ])
}

/// Every key of a section.
pub(super) fn keys() -> Vec<String> {
    let issuer = Figment::from(Serialized::defaults(placeholder(0))).extract::<Issuer>().ok();
    match issuer.map(serde_json::to_value) {
        Some(Ok(serde_json::Value::Object(keys))) => keys.into_iter().map(|(key, _)| key).collect(),
        _ => Vec::new(),
    }
}

/// Whether the key, e.g. `oidc.staff.leeway_seconds`, holds a number.
pub(super) fn is_number(key: &str) -> bool {
    let mut parts = key.split('.');
    parts.next() == Some("oidc") && parts.next_back().is_some_and(|last| NUMBERS.contains(&last))
}

/// Whether keys may be fetched from this URL: https, or http on this machine, without user info.
pub fn is_trustworthy(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let Some(host) = uri.host().filter(|host| !host.is_empty()) else { return false };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) || url.contains('#') {
        return false;
    }
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    let loopback = host == "localhost" || address.is_some_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => true,
        Some("http") => loopback,
        _ => false,
    }
}

/// Errors in the issuer sections; messages name the key, never its value.
pub(super) fn check(issuers: &BTreeMap<String, Issuer>) -> Vec<String> {
    let mut errors = Vec::new();
    for (name, issuer) in issuers {
        let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 32 || !name.bytes().all(named) {
            errors.push(
                "the name of an `oidc` section must be 1 to 32 small letters, digits and hyphens".to_owned(),
            );
        }
        errors.extend(
            issuer.check().into_iter().map(|(key, message)| format!("`oidc.{name}.{key}` {message}")),
        );
        let same = issuers.values().filter(|other| other.issuer == issuer.issuer).count();
        if same > 1 {
            errors.push(format!("`oidc.{name}.issuer` stands in another section too"));
        }
    }
    errors
}

impl Issuer {
    fn check(&self) -> Vec<(&'static str, &'static str)> {
        let address = "must be an https address, or an http address of this machine";
        let plain = |text: &str| !text.contains(['?', '#']) && text.len() <= 500;
        let blank = |list: &[String]| list.iter().any(|text| text.trim().is_empty());
        let mapped = |map: &BTreeMap<String, Vec<String>>| {
            !map.is_empty() && map.values().all(|names| !names.is_empty() && !blank(names))
        };
        let errors = [
            (!is_trustworthy(&self.issuer) || !plain(&self.issuer), "issuer", address),
            (
                self.audience.is_empty() || blank(&self.audience),
                "audience",
                "must name one audience at least",
            ),
            (self.jwks_url.as_deref().is_some_and(|url| !is_trustworthy(url)), "jwks_url", address),
            (
                self.jwks_url.is_some() && self.jwks_file.is_some(),
                "jwks_file",
                "stands beside `jwks_url`; one is enough",
            ),
            (self.algorithms.is_empty(), "algorithms", "must name one algorithm at least"),
            (
                self.token_types.is_empty() || blank(&self.token_types),
                "token_types",
                "must name one type at least",
            ),
            (blank(&self.clients), "clients", "must name clients"),
            (self.leeway_seconds > 300, "leeway_seconds", "must be at most 300"),
            (
                !(60..=31 * 86_400).contains(&self.max_age_seconds),
                "max_age_seconds",
                "must be between 60 and 2678400",
            ),
            (self.key_grace_seconds > 86_400, "key_grace_seconds", "must be at most 86400"),
            (!mapped(&self.roles), "roles", "must map values to roles"),
            (!mapped(&self.purposes), "purposes", "must map values to purposes"),
        ];
        errors.into_iter().filter(|(wrong, ..)| *wrong).map(|(_, key, message)| (key, message)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_by_https_or_from_this_machine() {
        for url in [
            "https://login.example.com/realms/staff",
            "https://login.example.com:8443/keys?tenant=1",
            "http://127.0.0.1:3000/jwks",
            "http://127.8.8.8/",
            "http://localhost:3000",
            "http://[::1]:3000/jwks",
        ] {
            assert!(is_trustworthy(url), "{url}");
        }
        for url in [
            "",
            "keys.json",
            "/jwks",
            "file:///etc/passwd",
            "ftp://login.example.com/",
            "http://login.example.com/jwks",
            "http://127.0.0.1.example.com/",
            "http://localhost.example.com/",
            "http://localhost@login.example.com/",
            "https://user:hunter2@login.example.com/",
            "https://login.example.com/#keys",
            "https://",
            "http://10.0.0.1/",
            "http://[::2]/",
        ] {
            assert!(!is_trustworthy(url), "{url}");
        }
    }
}
