//! Parses configuration values. Room: config.

use std::net::SocketAddr;

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::base::{
    identities::Region,
    secret::{SecretKey, SecretString},
};

/// The error for an invalid address.
pub(super) const NO_ADDRESS: &str =
    "must be an IP address and a port, e.g. 127.0.0.1:9090 or localhost:9090, or empty";

/// The error for an invalid required address.
pub(super) const NO_LISTEN: &str = "must be an IP address and a port, e.g. 127.0.0.1:8080 or localhost:8080";

/// The error for an invalid region.
pub(super) const NO_REGION: &str = "must be the code of a region (ISO 3166-1 alpha-2) such as DE, or empty";

/// An address and a port. `localhost` is the only accepted name, because it needs no lookup.
pub(super) fn address_of(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?))),
        None => text.parse().ok(),
    }
}

/// An address and a port, or none for an empty string.
pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    address_of(&text).map(Some).ok_or_else(|| D::Error::custom(NO_ADDRESS))
}

/// A region, or none for an empty string.
pub(super) fn region<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Region>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| D::Error::custom(NO_REGION))
}

/// 64 hexadecimal digits as 32 bytes.
pub(super) fn key_of(text: &str) -> Option<SecretKey> {
    let mut key = [0; 32];
    hex::decode_to_slice(text, &mut key).ok()?;
    Some(key.into())
}

/// The address of a server; `localhost` means this machine.
pub(super) fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    address_of(&text).ok_or_else(|| D::Error::custom(NO_LISTEN))
}

/// A secret as text.
pub(super) fn secret_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

pub(super) fn master_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretKey>, D::Error> {
    let wrong = || D::Error::custom("must be 64 hexadecimal digits");
    let Some(text) = Option::<String>::deserialize(deserializer).map_err(|_| wrong())? else {
        return Ok(None);
    };
    key_of(&text).map(Some).ok_or_else(wrong)
}
