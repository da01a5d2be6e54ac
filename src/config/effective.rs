//! The effective configuration for operators: every key with its value and source, secrets starred. Room: config.

use std::fmt::Write as _;

use serde_json::Value;

use super::settings::Config;

/// The commented file of defaults, which documents every key.
pub const DEFAULTS: &str = include_str!("default.toml");

/// Every key with its value, in the order of the structs.
pub(super) fn entries(config: &Config) -> Vec<(String, Value)> {
    let mut entries = Vec::new();
    // A struct of plain values can always be serialised.
    if let Ok(Value::Object(sections)) = serde_json::to_value(config) {
        for (section, values) in sections {
            gather(&section, values, &mut entries);
        }
    }
    entries
}

fn gather(key: &str, value: Value, entries: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                gather(&format!("{key}.{name}"), value, entries);
            }
        }
        value => entries.push((key.to_owned(), value)),
    }
}

impl Config {
    /// The effective configuration as TOML, one key per line with its value and source.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        for (key, value) in entries(self) {
            let source = self.sources.source(&key);
            // Writing to a String cannot fail. A JSON list is also a TOML list.
            let _ = match value {
                Value::Null => writeln!(out, "# {key} is not set"),
                value => writeln!(out, "{key} = {value}  # {source}"),
            };
        }
        out
    }
}

impl Config {
    /// The effective configuration as JSON: value and source of each key.
    pub fn to_json(&self) -> Value {
        let described = entries(self).into_iter().map(|(key, value)| {
            let source = (!value.is_null()).then(|| self.sources.source(&key));
            (key, serde_json::json!({ "value": value, "source": source }))
        });
        Value::Object(described.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;

    /// The keys in the file, and whether each is commented out because it has no default.
    fn keys_of_file() -> Vec<(String, bool)> {
        let mut section = String::new();
        let mut keys = Vec::new();
        for line in DEFAULTS.lines() {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']').to_owned();
            } else if let Some((key, _)) = line.strip_prefix('#').unwrap_or(line).split_once(" = ")
                && !key.contains(' ')
            {
                keys.push((format!("{section}.{key}"), line.starts_with('#')));
            }
        }
        keys
    }

    #[test]
    fn the_default_file_has_every_key_with_its_default() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), DEFAULTS).unwrap();
        let config = Config::load(Some(file.path()), &Flags::default()).unwrap();
        assert_eq!(entries(&config), entries(&Config::default()));
        // A key that is set shows the default; one that is commented out has none.
        let mut keys: Vec<(String, bool)> =
            entries(&config).into_iter().map(|(key, value)| (key, value.is_null())).collect();
        let mut documented = keys_of_file();
        keys.sort();
        documented.sort();
        assert_eq!(documented, keys, "src/config/default.toml must give every key, and no other");
        // Each key is explained: a comment precedes it, or precedes the key before it in the same paragraph.
        for paragraph in DEFAULTS.split("\n\n").filter(|paragraph| paragraph.contains(" = ")) {
            assert!(paragraph.trim_start_matches(|c| c != '#').starts_with("# "), "{paragraph}");
        }
    }

    #[test]
    fn what_is_shown_tells_the_source_and_no_secret() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "[server]\ncors_origins = [\"https://crm.example\"]\n[secrets]\ntoken = \"zwk_hush\"\n\
                    [database]\nurl = \"postgres://u:hunter2@h/d\"\n";
        std::fs::write(file.path(), text).unwrap();
        let key = ("secrets.master_key".to_owned(), "ab".repeat(32));
        let flags = Flags { listen: Some("127.0.0.1:3".to_owned()), ..Flags::default() };
        let config = Config::from_sources(Some(file.path()), vec![key], &flags, |_| Vec::new()).unwrap();
        let shown = config.to_toml();
        for line in [
            "server.listen = \"127.0.0.1:3\"  # flag",
            "server.cors_origins = [\"https://crm.example\"]  # file",
            "server.grace_seconds = 30  # default",
            "database.url = \"postgres://***\"  # file",
            "secrets.master_key = \"***\"  # environment",
            "secrets.token = \"***\"  # file",
            "# policy.dir is not set",
        ] {
            assert!(shown.lines().any(|shown_line| shown_line == line), "{line}\n{shown}");
        }
        for secret in ["hunter2", "abab", "hush", "171"] {
            assert!(!shown.contains(secret), "{secret}\n{shown}");
        }
        shown.parse::<toml::Table>().unwrap();
    }
}
