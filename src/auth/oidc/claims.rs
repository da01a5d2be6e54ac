//! Evaluates the claims of a verified token: whether it is valid now, and which roles and purposes it grants.
//! Room: auth/oidc.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

use crate::config::oidc::{ClaimPath, Issuer};

/// Why a token is rejected: for the operator's log, never for the caller.
pub(super) type Reason = &'static str;

/// Longest subject (OpenID Connect Core 1.0, section 2).
const MAX_SUBJECT_BYTES: usize = 255;

/// What a valid token grants.
#[derive(Debug)]
pub(super) struct Grants {
    pub(super) subject: String,
    pub(super) roles: Vec<String>,
    pub(super) purposes: Vec<String>,
    pub(super) expires_at: DateTime<Utc>,
}

/// Checks every claim that restricts the token, and reads the rest.
pub(super) fn read(
    claims: &Map<String, Value>,
    issuer: &Issuer,
    now: DateTime<Utc>,
) -> Result<Grants, Reason> {
    if claims.get("iss").and_then(Value::as_str) != Some(issuer.issuer.as_str()) {
        return Err("another issuer");
    }
    let audience = strings(claims.get("aud")).ok_or("no audience")?;
    if !audience.iter().any(|name| issuer.audience.iter().any(|accepted| accepted == name)) {
        return Err("another audience");
    }
    let expires_at = check_validity(claims, issuer, now)?;
    check_use(claims, issuer)?;
    let subject = at(claims, &issuer.subject_claim).and_then(Value::as_str).ok_or("no subject")?;
    if subject.trim().is_empty() || subject.len() > MAX_SUBJECT_BYTES {
        return Err("no subject");
    }
    let purposes_claim = issuer.purposes_claim.as_ref().unwrap_or(&issuer.roles_claim);
    Ok(Grants {
        subject: subject.to_owned(),
        roles: mapped_values(claims, &issuer.roles_claim, &issuer.roles),
        purposes: mapped_values(claims, purposes_claim, &issuer.purposes),
        expires_at,
    })
}

/// When the token expires, if it is valid now.
fn check_validity(
    claims: &Map<String, Value>,
    issuer: &Issuer,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, Reason> {
    let leeway = TimeDelta::seconds(issuer.leeway_seconds.into());
    let ends = instant(claims, "exp")?.ok_or("no exp")?;
    let issued = instant(claims, "iat")?.ok_or("no iat")?;
    if issued > now + leeway || instant(claims, "nbf")?.is_some_and(|begins| begins > now + leeway) {
        return Err("not valid yet");
    }
    let oldest = issued + TimeDelta::seconds(issuer.max_age_seconds.into());
    let expires_at = ends.min(oldest) + leeway;
    if now >= expires_at { Err(if ends > oldest { "too old" } else { "expired" }) } else { Ok(expires_at) }
}

/// Whether the token may be presented here: it must be an access token issued to an accepted client.
fn check_use(claims: &Map<String, Value>, issuer: &Issuer) -> Result<(), Reason> {
    // Bound to a key (RFC 7800); this server does not check proof of possession.
    if claims.contains_key("cnf") {
        return Err("bound to a key");
    }
    // Logout tokens, ID tokens by the hashes that only they have, and Keycloak's token type claim.
    let others = ["events", "at_hash", "c_hash"].iter().any(|name| claims.contains_key(*name));
    // Without these hashes an ID token still echoes a client's nonce, and it has neither a scope nor a token id (RFC
    // 9068, 2.2).
    let answers = claims.contains_key("nonce")
        && !["scope", "scp", "client_id", "jti"].iter().any(|name| claims.contains_key(*name));
    let kind = claims.get("typ").and_then(Value::as_str);
    if answers || others || kind.is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err("no access token");
    }
    let clients: Vec<&Value> = ["azp", "client_id"].iter().filter_map(|name| claims.get(*name)).collect();
    let is_accepted =
        |client: &&Value| issuer.clients.iter().any(|accepted| client.as_str() == Some(accepted));
    if !issuer.clients.is_empty() && (clients.is_empty() || !clients.iter().all(is_accepted)) {
        return Err("another client");
    }
    Ok(())
}

/// A NumericDate (RFC 7519): seconds, possibly with a fraction. A malformed value rejects the token.
fn instant(claims: &Map<String, Value>, name: &str) -> Result<Option<DateTime<Utc>>, Reason> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds =
        value.as_f64().filter(|seconds| (0.0..1e11).contains(seconds)).ok_or("a time is malformed")?;
    #[expect(clippy::cast_possible_truncation, reason = "between 0 and 1e11")]
    let whole_seconds = seconds as i64;
    DateTime::from_timestamp(whole_seconds, 0).map(Some).ok_or("a time is malformed")
}

/// The claim at a path.
fn at<'a>(claims: &'a Map<String, Value>, path: &ClaimPath) -> Option<&'a Value> {
    let (first, rest) = path.0.split_first()?;
    rest.iter().try_fold(claims.get(first)?, |value, name| value.get(name))
}

/// One string or a list of strings.
fn strings(value: Option<&Value>) -> Option<Vec<&str>> {
    match value? {
        Value::String(text) => Some(vec![text]),
        Value::Array(list) => list.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// The mapped values of a claim, without duplicates. Values without a mapping grant nothing.
fn mapped_values(
    claims: &Map<String, Value>,
    path: &ClaimPath,
    map: &BTreeMap<String, Vec<String>>,
) -> Vec<String> {
    // A string holds one value, or several separated by spaces (as in `scope`) or, from some servers, by commas or
    // semicolons.
    let values: Vec<&str> = match at(claims, path) {
        Some(Value::String(text)) if map.contains_key(text) => vec![text],
        Some(Value::String(text)) if text.contains([',', ';']) => {
            text.split([',', ';']).map(str::trim).collect()
        }
        Some(Value::String(text)) => text.split(' ').collect(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let mut names: Vec<String> =
        values.into_iter().filter_map(|value| map.get(value)).flatten().cloned().collect();
    names.sort();
    names.dedup();
    names
}
