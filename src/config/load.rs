//! Loads the configuration from defaults, a file, the environment and flags, and checks it as a whole. Room: config.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Env, Serialized},
    value::Value,
};

use super::{
    errors::{self, ErrorLocator, KeyLines},
    oidc, old_keys,
    settings::{Config, SEVERAL_HOSTS, names_several_hosts},
};
use crate::config::{effective, sources::ValueSources};

/// Settings from flags, which override every other source.
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
    /// Loads the configuration: defaults, then `file` if given, then the environment (`ZWECK__SECTION__KEY` and
    /// `ZWECK_LOG`), then `flags`.
    ///
    /// # Errors
    /// A message for the operator that names every invalid key but never a value: unknown key, wrong type, value out
    /// of range.
    pub fn load(file: Option<&Path>, flags: &Flags) -> Result<Self, String> {
        Self::load_for(file, flags, |_| Vec::new())
    }

    /// Like [`Config::load`] with further checks: `more` returns additional errors, each naming its key.
    ///
    /// # Errors
    /// Those of [`Config::load`] and those of `more`, together.
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

    pub(super) fn from_sources(
        file: Option<&Path>,
        mut environment: Vec<(String, String)>,
        flags: &Flags,
        more: impl FnOnce(&Self) -> Vec<String>,
    ) -> Result<Self, String> {
        let mut figment = Figment::new();
        let mut lines = KeyLines::default();
        let mut old_in_file = Vec::new();
        let mut clashes = Vec::new();
        if let Some(file) = file {
            let (read, mut values) = KeyLines::read(file)?;
            lines = read;
            let renamed = old_keys::rename_in_file(&mut values);
            renamed.used.iter().for_each(|(old, new)| lines.rename(old, new));
            old_in_file = renamed.used;
            clashes.extend(renamed.clashes);
            figment = figment.merge(Serialized::defaults(values));
        }
        let mut sources = sources_of(file, &figment);
        let renamed = old_keys::rename_in_environment(&mut environment);
        clashes.extend(renamed.clashes);
        sources.old_keys = BTreeMap::from([("file", old_in_file), ("environment", renamed.used)]);
        for (key, value) in environment {
            let value = from_text(&key, value);
            sources.note(&key, "environment");
            figment = figment.merge((key, value));
        }
        if let Some(listen) = &flags.listen {
            sources.note("server.listen", "flag");
            figment = figment.merge(("server.listen", listen));
        }
        if let Some(url) = &flags.database_url {
            sources.note("database.url", "flag");
            figment = figment.merge(("database.url", url));
        }
        if let Some(dir) = &flags.policy_dir {
            sources.note("policy.dir", "flag");
            figment = figment.merge(("policy.dir", dir));
        }
        let locator = ErrorLocator { lines: &lines, sources: &sources };
        let mut extracted = errors::extract(&figment, &locator);
        extracted.errors.extend(clashes.into_iter().map(|error| locator.locate(error)));
        let Some(mut config) = extracted.config.take() else {
            return Err(errors::format_errors(extracted.errors));
        };
        config.sources = sources.clone();
        let (read, unread) = config.secrets.read_files();
        let found = [unread, config.check(), more(&config)].concat();
        let found: Vec<String> = found.into_iter().filter(|error| !extracted.is_consequence(error)).collect();
        let mut errors = extracted.errors;
        errors.extend(found.into_iter().map(|error| locator.locate(error)));
        if !errors.is_empty() {
            return Err(errors::format_errors(errors));
        }
        for key in read {
            config.sources.note(key, "file of its own");
        }
        Ok(config)
    }

    /// Checks what types cannot express.
    fn check(&self) -> Vec<String> {
        let mut errors = Vec::new();
        let mut wrong = |is_wrong: bool, text: &str| {
            if is_wrong {
                errors.push(text.to_owned());
            }
        };
        let database = &self.database;
        let postgres = |url: &str| url.starts_with("postgres://") || url.starts_with("postgresql://");
        let is_supported = database.url.starts_with("sqlite:") || postgres(&database.url);
        wrong(!is_supported, "`database.url` must begin with sqlite:// or postgres://");
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
            reader.is_some_and(postgres) && is_supported && !postgres(&database.url),
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
        errors.extend(self.pages.check());
        errors.extend(self.recipients.check().err());
        errors.extend(self.mail.check(&self.pages));
        errors.extend(oidc::check(&self.oidc));
        errors.extend(self.limits.check());
        errors.extend(self.check_addresses());
        errors
    }
}

/// The sources of everything in `figment`, which was read from `file`.
fn sources_of(file: Option<&Path>, figment: &Figment) -> ValueSources {
    let mut sources = ValueSources { file: file.map(Path::to_owned), ..ValueSources::default() };
    for (key, _) in effective::entries(&Config::default()) {
        if figment.contains(&key) {
            sources.note(&key, "file");
        }
    }
    sources
}

/// Parses a value of the environment by the type of the key's default: a number, a boolean, a comma-separated list. A
/// key without a default is text as it stands: a key or password made of digits is not a number.
fn from_text(key: &str, value: String) -> Value {
    use serde_json::Value as Json;
    let default = effective::entries(&Config::default()).into_iter().find(|(name, _)| name == key);
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
        assert_eq!(config.secrets.master_key, Some([0x12; 32].into()));
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
        let load_error =
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
            let error = load_error(&format!("{STAFF}{more}\n"));
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
            let error = load_error(&STAFF.replace(from, to));
            assert!(error.contains(named), "{to}: {error}");
        }
        let twice = format!("{STAFF}{}", STAFF.replace("oidc.staff", "oidc.other"));
        assert!(load_error(&twice).contains("stands in another section"));
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

    #[test]
    fn old_keys_work_and_are_reported() {
        let set = |toml: &str, environment: &[(&str, &str)]| read(toml, environment, &Flags::default());
        let from_file = set("[limits]\nhead_seconds = 7\n[pages]\nfresh_minutes = 30\n", &[]).unwrap();
        assert_eq!((from_file.limits.header_seconds, from_file.pages.magic_link_minutes), (7, 30));
        assert_eq!(from_file.sources.source("limits.header_seconds"), "file");
        let warnings = from_file.sources.warnings();
        assert_eq!(warnings.len(), 2);
        assert!(
            warnings[0].contains("`limits.head_seconds` is now called `limits.header_seconds`"),
            "{warnings:?}"
        );
        let from_environment =
            set("[limits]\nconcurrent_operations = 9\n", &[("limits.operations", "8")]).unwrap();
        assert_eq!(from_environment.limits.concurrent_operations, 8);
        // An error names what was written, and where.
        let error = set("[limits]\n\nhead_seconds = 0\n", &[]).unwrap_err();
        assert!(error.contains(":3: `limits.head_seconds` must be"), "{error}");
        for value in ["0", "abc"] {
            let error = set("[limits]\nhead_seconds = 7\n", &[("limits.operations", value)]).unwrap_err();
            assert!(
                error.contains("environment ZWECK__LIMITS__OPERATIONS: `limits.operations` must be"),
                "{error}"
            );
        }
        // The environment overrides the file under either name.
        let error = set("[limits]\noperations = 5\n", &[("limits.concurrent_operations", "0")]).unwrap_err();
        assert!(
            error.contains("ZWECK__LIMITS__CONCURRENT_OPERATIONS: `limits.concurrent_operations`"),
            "{error}"
        );
        let twice = set("[limits]\noperations = 5\n", &[("limits.operations", "6")]).unwrap();
        assert_eq!((twice.limits.concurrent_operations, twice.sources.warnings().len()), (6, 1));
        for (toml, environment) in [
            ("[limits]\noperations = 5\nconcurrent_operations = 6\n", vec![]),
            ("", vec![("limits.operations", "5"), ("limits.concurrent_operations", "6")]),
        ] {
            let error = set(toml, &environment).unwrap_err();
            assert!(error.contains("both are set; remove `limits.operations`"), "{error}");
            // It is one error of several.
            let error = set(&format!("{toml}[log]\nformat = \"none\"\n"), &environment).unwrap_err();
            assert!(error.contains("both are set") && error.contains("`log.format`"), "{error}");
        }
        assert!(set("[limits]\nheader_seconds = 7\n", &[]).unwrap().sources.warnings().is_empty());
    }
}
