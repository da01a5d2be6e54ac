//! Where values of the configuration come from, and how texts become values (floor 1).

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use figment::{Figment, value::Value};
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{Config, Secrets, oidc, shown};
use crate::identities::Region;

/// What is said of an address that is none.
pub(super) const NO_ADDRESS: &str =
    "must be an IP address and a port, e.g. 127.0.0.1:9090 or localhost:9090, or empty";
/// The same of one that must be there.
pub(super) const NO_LISTEN: &str = "must be an IP address and a port, e.g. 127.0.0.1:8080 or localhost:8080";
/// What is said of a region that is none.
const NO_REGION: &str = "must be the code of a region (ISO 3166-1 alpha-2) such as DE, or empty";

/// Whether a message is one of ours, which tells no value.
pub(super) fn is_ours(message: &str) -> bool {
    [NO_ADDRESS, NO_LISTEN, NO_REGION, oidc::NO_CLAIM, oidc::NO_TEXTS].contains(&message)
}

/// An address and a port. Of names only `localhost` is known without asking anybody.
pub(super) fn address_of(text: &str) -> Option<SocketAddr> {
    match text.strip_prefix("localhost:") {
        Some(port) => Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?))),
        None => text.parse().ok(),
    }
}

/// Where the values come from: by key, and the file that was read.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The configuration file.
    pub file: Option<PathBuf>,
    sources: BTreeMap<String, &'static str>,
}

impl Origin {
    /// Everything that `figment` says comes from `file`.
    pub(super) fn of(file: Option<&Path>, figment: &Figment) -> Self {
        let mut origin = Self { file: file.map(Path::to_owned), sources: BTreeMap::new() };
        for (key, _) in shown::entries(&Config::default()) {
            if figment.contains(&key) {
                origin.note(&key, "file");
            }
        }
        origin
    }

    pub(super) fn note(&mut self, key: &str, source: &'static str) {
        self.sources.insert(key.to_owned(), source);
    }

    /// `default`, `file`, `environment`, `flag`, or `file of its own`.
    pub fn source(&self, key: &str) -> &'static str {
        // Sections of issuers have no defaults of their own: they were given.
        let given = if key.starts_with("oidc.") { "file or environment" } else { "default" };
        self.sources.get(key).copied().unwrap_or(given)
    }

    /// Whether `key` stands in the file and nothing above it has another value.
    pub(super) fn in_file(&self, key: &str) -> bool {
        self.source(key) == "file"
    }
}

/// A value of the environment, read as what the default of the key is: a number, yes or no, a list with commas. What has no
/// default is text, taken as it stands: a key of digits is not a number, nor is a password.
pub(super) fn from_text(key: &str, value: String) -> Value {
    use serde_json::Value as Json;
    let default = shown::entries(&Config::default()).into_iter().find(|(known, _)| known == key);
    match default.map(|(_, default)| default) {
        Some(Json::Number(_)) => value.parse::<u64>().map_or_else(|_| Value::from(value), Value::from),
        Some(Json::Bool(_)) => value.parse::<bool>().map_or_else(|_| Value::from(value), Value::from),
        Some(Json::Array(_)) => {
            let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::from(items.map(str::to_owned).collect::<Vec<String>>())
        }
        None if oidc::is_number(key) => value.parse::<u64>().map_or_else(|_| Value::from(value), Value::from),
        _ => Value::from(value),
    }
}

/// An address and a port, or none for an empty text.
pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SocketAddr>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    address_of(&text).map(Some).ok_or_else(|| D::Error::custom(NO_ADDRESS))
}

/// A region, or none for an empty text.
pub(super) fn region<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Region>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| D::Error::custom(NO_REGION))
}

/// 64 hexadecimal digits as 32 bytes.
pub(super) fn key_of(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = [0u8; 32];
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(index * 2..index * 2 + 2)?, 16).ok()?;
    }
    Some(key)
}

impl Secrets {
    /// Takes master keys out of their files, where those are named, and gives the settings that were read so and what is wrong.
    pub(super) fn read_files(&mut self) -> (Vec<&'static str>, Vec<String>) {
        let Self { master_key, master_key_file, previous_master_key, previous_master_key_file, .. } = self;
        let read = [
            ("secrets.master_key", from_file("master_key", master_key, master_key_file.as_deref())),
            (
                "secrets.previous_master_key",
                from_file("previous_master_key", previous_master_key, previous_master_key_file.as_deref()),
            ),
        ];
        let (mut keys, mut faults) = (Vec::new(), Vec::new());
        for (key, read) in read {
            match read {
                Ok(true) => keys.push(key),
                Ok(false) => {}
                Err(fault) => faults.push(fault),
            }
        }
        (keys, faults)
    }
}

/// Whether there is such a file, and its key was read.
fn from_file(name: &str, key: &mut Option<[u8; 32]>, file: Option<&Path>) -> Result<bool, String> {
    let Some(file) = file else { return Ok(false) };
    if key.is_some() {
        return Err(format!("`secrets.{name}` and `secrets.{name}_file` are both set"));
    }
    let text = std::fs::read_to_string(file)
        .map_err(|_| format!("the file of `secrets.{name}_file` cannot be read"))?;
    let read = key_of(text.trim());
    *key = Some(
        read.ok_or_else(|| format!("the file of `secrets.{name}_file` must hold 64 hexadecimal digits"))?,
    );
    Ok(true)
}
