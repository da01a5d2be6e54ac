//! Configuration: one struct from defaults, a TOML file, the environment and flags, checked before anything starts (floor 1).

mod faults;
pub mod oidc;
mod origin;
pub mod pages;
pub mod recipients;
mod safety;
mod shown;

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Env, Serialized},
};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{
    identities::{Reader, Region},
    limits::Limits,
};

pub use origin::Origin;
pub use shown::DEFAULTS;

use faults::{Lines, Place};

/// The whole configuration. Debug and Serialize show it with secrets starred.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the server listens.
    pub server: Server,
    /// Where the data is.
    pub database: Database,
    /// How addresses are read.
    pub identities: Identities,
    /// To whom data is disclosed.
    pub recipients: recipients::Recipients,
    /// Where the policy is.
    pub policy: PolicyFiles,
    /// Secrets.
    pub secrets: Secrets,
    /// Limits on requests.
    pub limits: Limits,
    /// What is logged, and how.
    pub log: Log,
    /// Issuers whose tokens are taken beside access tokens, by their short names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub oidc: BTreeMap<String, oidc::Issuer>,
    /// Where operators look: health and metrics.
    pub management: Management,
    /// The public pages.
    pub pages: pages::Pages,
    /// How mails are sent.
    pub mail: pages::Mail,
    /// Where the values come from.
    #[serde(skip)]
    pub origin: Origin,
}

/// `[server]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// Address and port.
    #[serde(deserialize_with = "listen")]
    pub listen: SocketAddr,
    /// Whether the page `/graphiql` is served.
    pub graphiql: bool,
    /// The operator's word that whoever reaches `listen` came over TLS, ended by a proxy.
    pub behind_tls_proxy: bool,
    /// Origins of web pages of others that may ask, each exact.
    pub cors_origins: Vec<String>,
    /// Seconds that requests under way may take after the signal to stop.
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
    /// Address and port of health and metrics; none when the text is empty.
    #[serde(deserialize_with = "origin::address", serialize_with = "shown::address")]
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
    #[serde(serialize_with = "shown::url")]
    pub url: String,
    /// Another address for reading, of PostgreSQL.
    #[serde(serialize_with = "shown::reader_url")]
    pub reader_url: Option<String>,
    /// Connections of the reader pool.
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

/// What is said of an address of several hosts, which libpq would try in turn.
pub(crate) const SEVERAL_HOSTS: &str = "names several hosts, and one is connected to (SQLSTATE 08001): name a pooler or an address \
                                        that leads to the primary";

/// Whether an address of PostgreSQL names hosts with a comma between them.
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
    /// The URL may hold a password: only its scheme is shown.
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
    /// Region of phone numbers without country code, and of postal addresses without country (ISO 3166-1 alpha-2); none when the
    /// text is empty.
    #[serde(deserialize_with = "origin::region", serialize_with = "shown::region")]
    pub region: Option<Region>,
}

impl Default for Identities {
    fn default() -> Self {
        Self { region: Some(Region::DE) }
    }
}

impl Identities {
    /// The reader of this installation.
    pub fn reader(&self) -> Reader {
        Reader::of(self.region)
    }
}

/// `[policy]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyFiles {
    /// Directory of the policy files; without one the policy embedded in the binary is used.
    pub dir: Option<PathBuf>,
}

/// `[secrets]`
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Secrets {
    /// 32 bytes as 64 hexadecimal digits, from which every other key is derived.
    #[serde(deserialize_with = "master_key", serialize_with = "shown::starred")]
    pub master_key: Option<[u8; 32]>,
    /// A file that holds the master key instead, e.g. a credential of systemd.
    pub master_key_file: Option<PathBuf>,
    /// The master key before the last rotation: it opens what `zweck keys rotate` has not wrapped anew yet.
    #[serde(deserialize_with = "master_key", serialize_with = "shown::starred")]
    pub previous_master_key: Option<[u8; 32]>,
    /// A file that holds the previous master key instead.
    pub previous_master_key_file: Option<PathBuf>,
    /// 32 bytes as 64 hexadecimal digits, under which the ids of users are made of what their issuers call them. Never
    /// changed: the same user would get another id.
    #[serde(deserialize_with = "master_key", serialize_with = "shown::starred")]
    pub actor_key: Option<[u8; 32]>,
    /// The access token that commands act under which read as somebody does.
    #[serde(serialize_with = "shown::starred")]
    pub token: Option<String>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("master_key", &self.master_key.map(|_| "***"))
            .field("master_key_file", &self.master_key_file)
            .field("previous_master_key", &self.previous_master_key.map(|_| "***"))
            .field("previous_master_key_file", &self.previous_master_key_file)
            .field("actor_key", &self.actor_key.map(|_| "***"))
            .field("token", &self.token.as_ref().map(|_| "***"))
            .finish()
    }
}

/// `[log]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Lines for people or for machines.
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

/// What flags set; above every other source.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--listen`.
    pub listen: Option<String>,
    /// `--database-url`.
    pub database_url: Option<String>,
    /// `--policy-dir`.
    pub policy_dir: Option<PathBuf>,
}

impl Config {
    /// Reads the configuration: defaults, then `file` if given, then the environment (`ZWECK__SECTION__KEY`,
    /// and `ZWECK_LOG`), then `flags`.
    ///
    /// # Errors
    /// A text for the operator, naming every key that is wrong but never a value: unknown key, wrong type, value out of range.
    pub fn load(file: Option<&Path>, flags: &Flags) -> Result<Self, String> {
        Self::load_for(file, flags, |_| Vec::new())
    }

    /// The same for somebody who asks for more: `more` says what is wrong beside that, each naming its key.
    ///
    /// # Errors
    /// Those of [`Config::load`], and what `more` says, at once.
    pub fn load_for(
        file: Option<&Path>,
        flags: &Flags,
        more: impl FnOnce(&Self) -> Vec<String>,
    ) -> Result<Self, String> {
        let sections = Env::prefixed("ZWECK__").split("__");
        let filter = Env::raw().only(&["ZWECK_LOG"]).map(|_| "log.filter".into());
        let environment = filter.iter().chain(sections.iter()).map(|(key, value)| (key.to_string(), value));
        Self::from_sources(file, environment.collect(), flags, more)
    }

    fn from_sources(
        file: Option<&Path>,
        environment: Vec<(String, String)>,
        flags: &Flags,
        more: impl FnOnce(&Self) -> Vec<String>,
    ) -> Result<Self, String> {
        let mut figment = Figment::new();
        let mut lines = Lines::default();
        if let Some(file) = file {
            let (read, values) = Lines::read(file)?;
            lines = read;
            figment = figment.merge(Serialized::defaults(values));
        }
        let mut origin = Origin::of(file, &figment);
        for (key, value) in environment {
            let value = origin::from_text(&key, value);
            origin.note(&key, "environment");
            figment = figment.merge((key, value));
        }
        if let Some(listen) = &flags.listen {
            origin.note("server.listen", "flag");
            figment = figment.merge(("server.listen", listen));
        }
        if let Some(url) = &flags.database_url {
            origin.note("database.url", "flag");
            figment = figment.merge(("database.url", url));
        }
        if let Some(dir) = &flags.policy_dir {
            origin.note("policy.dir", "flag");
            figment = figment.merge(("policy.dir", dir));
        }
        let place = Place { lines: &lines, origin: &origin };
        let mut extracted = faults::extract(&figment, &place);
        let Some(mut config) = extracted.config.take() else { return Err(faults::told(extracted.faults)) };
        config.origin = origin.clone();
        let (read, unread) = config.secrets.read_files();
        let found = [unread, config.check(), more(&config)].concat();
        let found: Vec<String> = found.into_iter().filter(|fault| !extracted.follows(fault)).collect();
        let mut faults = extracted.faults;
        faults.extend(found.into_iter().map(|fault| place.of(fault)));
        if !faults.is_empty() {
            return Err(faults::told(faults));
        }
        for key in read {
            config.origin.note(key, "file of its own");
        }
        Ok(config)
    }

    /// What a type does not find.
    fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut wrong = |is_wrong: bool, text: &str| {
            if is_wrong {
                faults.push(text.to_owned());
            }
        };
        let database = &self.database;
        let postgres = |url: &str| url.starts_with("postgres://") || url.starts_with("postgresql://");
        let known = database.url.starts_with("sqlite:") || postgres(&database.url);
        wrong(!known, "`database.url` must begin with sqlite:// or postgres://");
        let file = database.url.strip_prefix("sqlite:").map(|file| file.strip_prefix("//").unwrap_or(file));
        wrong(
            file.is_some_and(|file| file.is_empty() || file.starts_with('?')),
            "`database.url` must name a file, e.g. sqlite://zweck.db",
        );
        let in_memory = database.url.contains(":memory:") || database.url.contains("mode=memory");
        wrong(in_memory, "`database.url` must name a file: two pools would see two databases in memory");
        wrong(names_several_hosts(&database.url), &format!("`database.url` {SEVERAL_HOSTS}"));
        let reader = database.reader_url.as_deref();
        wrong(reader.is_some_and(names_several_hosts), &format!("`database.reader_url` {SEVERAL_HOSTS}"));
        wrong(reader.is_some_and(|url| !postgres(url)), "`database.reader_url` must begin with postgres://");
        wrong(
            reader.is_some_and(postgres) && known && !postgres(&database.url),
            "`database.reader_url` is for PostgreSQL, and `database.url` is not",
        );
        wrong(
            !(1..=1000).contains(&database.max_connections),
            "`database.max_connections` must be between 1 and 1000",
        );
        wrong(
            !(1..=600).contains(&self.server.grace_seconds),
            "`server.grace_seconds` must be between 1 and 600",
        );
        wrong(
            !self.oidc.is_empty() && self.secrets.actor_key.is_none(),
            "`secrets.actor_key` must be set where `oidc` is; make one with `zweck keys generate` and never change it",
        );
        faults.extend(self.pages.check());
        faults.extend(self.recipients.check().err());
        faults.extend(self.mail.check(&self.pages));
        faults.extend(oidc::check(&self.oidc));
        faults.extend(self.limits.check());
        faults.extend(self.check_addresses());
        faults
    }
}

/// The address of a server; `localhost` is this machine.
fn listen<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    origin::address_of(&text).ok_or_else(|| D::Error::custom(origin::NO_LISTEN))
}

fn master_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<[u8; 32]>, D::Error> {
    let wrong = || D::Error::custom("must be 64 hexadecimal digits");
    let Some(text) = Option::<String>::deserialize(deserializer).map_err(|_| wrong())? else {
        return Ok(None);
    };
    origin::key_of(&text).map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str, environment: &[(&str, &str)], flags: &Flags) -> Result<Config, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), toml).unwrap();
        let pairs = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Config::from_sources(Some(file.path()), pairs, flags, |_| Vec::new())
    }

    fn load(toml: &str) -> Result<Config, String> {
        read(toml, &[], &Flags::default())
    }

    #[test]
    fn the_sources_stand_above_each_other() {
        let toml = "[server]\nlisten = \"127.0.0.1:1\"\n[limits]\nbody_bytes = 2048\n";
        let key = "12".repeat(32);
        let environment = [
            ("server.listen", "127.0.0.1:2"),
            ("database.max_connections", "7"),
            ("secrets.master_key", key.as_str()),
            ("log.filter", "debug"),
            ("server.graphiql", "true"),
        ];
        let config = read(toml, &environment, &Flags::default()).unwrap();
        assert_eq!(config.server.listen.port(), 2);
        assert_eq!(config.limits.body_bytes, 2048);
        assert_eq!(config.database.max_connections, 7);
        assert_eq!(config.secrets.master_key, Some([0x12; 32]));
        assert_eq!(config.log.filter, "debug");
        assert!(config.server.graphiql && !Config::default().server.graphiql);
        let flags = Flags { listen: Some("127.0.0.1:3".to_owned()), ..Flags::default() };
        assert_eq!(read(toml, &environment, &flags).unwrap().server.listen.port(), 3);
        assert!(
            read(toml, &[("server.listne", "x")], &flags)
                .unwrap_err()
                .contains("unknown key `server.listne`; did you mean `server.listen`?")
        );
    }

    #[test]
    fn wrong_keys_and_values_are_refused_without_quoting_them() {
        assert!(load("[servre]\n").unwrap_err().contains("unknown key `servre`; did you mean `server`?"));
        assert!(load("[server]\nlisten = \"nowhere\"\n").unwrap_err().contains("server.listen"));
        assert!(load("[database]\nurl = \"mysql://x\"\n").unwrap_err().contains("database.url"));
        for key in ["\"topsecret\"", "4711", "[1]"] {
            let error = load(&format!("[secrets]\nmaster_key = {key}\n")).unwrap_err();
            assert!(error.contains("secrets.master_key") && error.contains("64 hexadecimal"), "{error}");
            assert!(!error.contains("topsecret") && !error.contains("4711"), "{error}");
        }
        assert!(load("[limits]\nbody_bytes = 1\n").is_err());
        assert!(load("not toml").is_err());
        let switch = read("", &[("server.graphiql", "maybe")], &Flags::default());
        assert!(switch.unwrap_err().contains("server.graphiql"));
    }

    const STAFF: &str = "[oidc.staff]\nissuer = \"https://login.example.com\"\naudience = \"zweck\"\n\
        roles_claim = \"realm_access.roles\"\nroles = { crm = \"support\" }\npurposes = { crm = [\"customer_care\"] }\n";

    #[test]
    fn issuers_are_read() {
        let key = "12".repeat(32);
        let environment = [
            ("secrets.actor_key", key.as_str()),
            ("oidc.staff.leeway_seconds", "7"),
            ("oidc.staff.jwks_url", "https://login.example.com/keys"),
        ];
        let config = read(STAFF, &environment, &Flags::default()).unwrap();
        let staff = &config.oidc["staff"];
        assert_eq!(staff.audience, ["zweck"]);
        assert_eq!(staff.roles_claim.0, ["realm_access", "roles"]);
        assert_eq!(staff.subject_claim.0, ["sub"]);
        assert_eq!(staff.roles["crm"], ["support"]);
        assert_eq!(
            (staff.leeway_seconds, staff.token_types.as_slice()),
            (7, ["at+jwt".to_owned()].as_slice())
        );
        assert_eq!(staff.jwks_url.as_deref(), Some("https://login.example.com/keys"));
        assert!(!format!("{config:?}").contains("[18, 18"));
    }

    #[test]
    fn issuers_that_are_wrong_are_refused() {
        let key = "12".repeat(32);
        let fault =
            |toml: &str| read(toml, &[("secrets.actor_key", key.as_str())], &Flags::default()).unwrap_err();
        assert!(load(STAFF).unwrap_err().contains("secrets.actor_key"));
        for (more, named) in [
            ("leeway_seconds = 301", "oidc.staff.leeway_seconds"),
            ("leeway_seconds = -1", "oidc.staff.leeway_seconds"),
            ("max_age_seconds = 1", "oidc.staff.max_age_seconds"),
            ("key_grace_seconds = 86401", "oidc.staff.key_grace_seconds"),
            ("jwks_url = \"http://login.example.com/hunter2\"", "oidc.staff.jwks_url"),
            ("jwks_url = \"https://a.example\"\njwks_file = \"keys.json\"", "oidc.staff.jwks_file"),
            ("algorithms = [\"none\"]", "one of RS256, RS384, RS512, PS256"),
            ("algorithms = [\"HS256\"]", "one of RS256, RS384, RS512, PS256"),
            ("algorithms = []", "oidc.staff.algorithms"),
            ("token_types = []", "oidc.staff.token_types"),
            ("clients = [\"\"]", "oidc.staff.clients"),
            ("subject_claim = \"\"", "oidc.staff.subject_claim"),
            ("purposes_claim = \"a..b\"", "oidc.staff.purposes_claim"),
            ("hunter2 = 1", "oidc.staff.hunter2"),
        ] {
            let error = fault(&format!("{STAFF}{more}\n"));
            assert!(error.contains(named), "{more}: {error}");
            assert!(!error.contains("hunter2") || more.starts_with("hunter2"), "{error}");
        }
        for (from, to, named) in [
            ("https://login", "http://login", "oidc.staff.issuer"),
            ("\"zweck\"", "[]", "oidc.staff.audience"),
            ("crm = \"support\"", "", "oidc.staff.roles"),
            ("crm = \"support\"", "crm = []", "oidc.staff.roles"),
            ("crm = [\"customer_care\"]", "", "oidc.staff.purposes"),
            ("oidc.staff", "oidc.Staff", "the name of an `oidc` section"),
            ("issuer = \"https://login.example.com\"", "", "oidc.staff"),
        ] {
            let error = fault(&STAFF.replace(from, to));
            assert!(error.contains(named), "{to}: {error}");
        }
        let twice = format!("{STAFF}{}", STAFF.replace("oidc.staff", "oidc.other"));
        assert!(fault(&twice).contains("stands in another section"));
    }

    #[test]
    fn debug_stars_secrets() {
        let config = load(&format!(
            "[database]\nurl = \"postgres://u:hunter2@h/d\"\n[secrets]\nmaster_key = \"{0}\"\nactor_key = \"{0}\"\n",
            "ab".repeat(32)
        ))
        .unwrap();
        let shown = format!("{config:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("171") && shown.contains("***"), "{shown}");
    }
}
