//! The settings by section, with their defaults. Room: config.

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{oidc, recipients, redacted, values};
use crate::base::secret::{SecretKey, SecretString};
use crate::base::{
    identities::{Reader, Region},
    limits::Limits,
};
use crate::config::{public_pages, sources::ValueSources};

/// The whole configuration. Debug and Serialize star secrets.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the server listens.
    pub server: Server,
    /// Where the data is.
    pub database: Database,
    /// How addresses and phone numbers are normalised.
    pub identities: Identities,
    /// Those to whom data is disclosed.
    pub recipients: recipients::Recipients,
    /// Where the policy is.
    pub policy: PolicyFiles,
    /// Secrets.
    pub secrets: Secrets,
    /// Limits on requests.
    pub limits: Limits,
    /// Log format and filter.
    pub log: Log,
    /// Issuers whose tokens are accepted in addition to access tokens, by short name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub oidc: BTreeMap<String, oidc::Issuer>,
    /// Health and metrics for operators.
    pub management: Management,
    /// The public pages.
    pub pages: public_pages::PublicPages,
    /// How mails are sent.
    pub mail: public_pages::Mail,
    /// The sources of the values.
    #[serde(skip)]
    pub sources: ValueSources,
}

/// `[server]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address and port.
    #[serde(deserialize_with = "values::listen")]
    pub listen: SocketAddr,
    /// Whether the page `/graphiql` is served.
    pub graphiql: bool,
    /// The operator's assurance that all traffic to `listen` comes through a TLS-terminating proxy.
    pub behind_tls_proxy: bool,
    /// Origins allowed by CORS, each exact.
    pub cors_origins: Vec<String>,
    /// Seconds that running requests may take after the stop signal.
    pub grace_seconds: u64,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            graphiql: false,
            behind_tls_proxy: false,
            cors_origins: Vec::new(),
            grace_seconds: 30,
        }
    }
}

/// `[management]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Management {
    /// Address and port of health and metrics; none if empty.
    #[serde(deserialize_with = "values::address", serialize_with = "redacted::address")]
    pub listen: Option<SocketAddr>,
}

impl Default for Management {
    fn default() -> Self {
        Self { listen: Some(SocketAddr::from(([127, 0, 0, 1], 9090))) }
    }
}

/// `[database]`
#[derive(Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// `sqlite://file` or `postgres://...`.
    #[serde(serialize_with = "redacted::url")]
    pub url: String,
    /// A separate PostgreSQL URL for reading.
    #[serde(serialize_with = "redacted::reader_url")]
    pub reader_url: Option<String>,
    /// Size of the reader pool.
    pub max_connections: u32,
}

impl Default for Database {
    fn default() -> Self {
        Self { url: "sqlite://zweck.db".to_owned(), reader_url: None, max_connections: 16 }
    }
}

impl Database {
    /// `SQLite` or `PostgreSQL`.
    pub fn kind(&self) -> &'static str {
        if self.url.starts_with("sqlite:") { "SQLite" } else { "PostgreSQL" }
    }
}

/// The error for a URL with several hosts, which libpq would try in turn.
pub(crate) const SEVERAL_HOSTS: &str = "names several hosts, and one is connected to (SQLSTATE 08001): name a pooler or an address \
                                        that leads to the primary";

/// Whether a PostgreSQL URL lists several hosts, separated by commas.
pub(crate) fn names_several_hosts(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let (address, settings) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = address.split('/').next().unwrap_or_default();
    let hosts = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
    let set = settings
        .split('&')
        .filter(|setting| ["host=", "hostaddr=", "port="].iter().any(|name| setting.starts_with(name)));
    scheme.starts_with("postgres")
        && std::iter::once(hosts)
            .chain(set)
            .any(|hosts| hosts.contains(',') || hosts.to_ascii_uppercase().contains("%2C"))
}

impl fmt::Debug for Database {
    /// The URL may hold a password, so only its scheme is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.url.split_once("://").map_or("", |(scheme, _)| scheme);
        f.debug_struct("Database")
            .field("url", &format_args!("{scheme}://***"))
            .field("reader_url", &self.reader_url.as_ref().map(|_| "***"))
            .field("max_connections", &self.max_connections)
            .finish()
    }
}

/// `[identities]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identities {
    /// Region for phone numbers without country code and postal addresses without country (ISO 3166-1 alpha-2); none
    /// if empty.
    #[serde(deserialize_with = "values::region", serialize_with = "redacted::region")]
    pub region: Option<Region>,
}

impl Default for Identities {
    fn default() -> Self {
        Self { region: Some(Region::DE) }
    }
}

impl Identities {
    /// The address reader of this installation.
    pub fn reader(&self) -> Reader {
        Reader::new(self.region)
    }
}

/// `[policy]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyFiles {
    /// Directory of the policy files; without it the embedded policy is used.
    pub dir: Option<PathBuf>,
}

/// `[secrets]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Secrets {
    /// 32 bytes as 64 hexadecimal digits, from which every other key is derived.
    #[serde(deserialize_with = "values::master_key", serialize_with = "redacted::starred")]
    pub master_key: Option<SecretKey>,
    /// A file that holds the master key instead, e.g. a systemd credential.
    pub master_key_file: Option<PathBuf>,
    /// The master key before the last rotation: it opens what `zweck keys rotate` has not yet rewrapped.
    #[serde(deserialize_with = "values::master_key", serialize_with = "redacted::starred")]
    pub previous_master_key: Option<SecretKey>,
    /// A file that holds the previous master key instead.
    pub previous_master_key_file: Option<PathBuf>,
    /// 32 bytes as 64 hexadecimal digits, from which user ids are derived. Never change it: every user would get
    /// another id.
    #[serde(deserialize_with = "values::master_key", serialize_with = "redacted::starred")]
    pub actor_key: Option<SecretKey>,
    /// The access token that commands use to read as a user does.
    #[serde(deserialize_with = "values::secret_text", serialize_with = "redacted::starred")]
    pub token: Option<SecretString>,
}

/// `[log]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Log lines for people or for machines.
    pub format: LogFormat,
    /// Directives per target, e.g. `info,sqlx=warn`; also `ZWECK_LOG`.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info,sqlx=warn".to_owned() }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}
