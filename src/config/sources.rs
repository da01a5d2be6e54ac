//! The sources of configuration values. Room: config.

use std::{collections::BTreeMap, path::PathBuf};

use super::old_keys;

/// The sources of the values by key, and the file that was read.
#[derive(Clone, Debug, Default)]
pub struct ValueSources {
    /// The configuration file.
    pub file: Option<PathBuf>,
    pub(super) sources: BTreeMap<String, &'static str>,
    /// Old keys under which settings were given.
    pub(super) old_keys: Vec<&'static str>,
}

impl ValueSources {
    pub(super) fn note(&mut self, key: &str, source: &'static str) {
        self.sources.insert(key.to_owned(), source);
    }

    /// `default`, `file`, `environment`, `flag`, or `file of its own`.
    pub fn source(&self, key: &str) -> &'static str {
        // Issuer sections have no defaults, so their values were given.
        let fallback = if key.starts_with("oidc.") { "file or environment" } else { "default" };
        self.sources.get(key).copied().unwrap_or(fallback)
    }

    /// What an operator is told about the old keys that were used.
    pub fn warnings(&self) -> Vec<String> {
        self.old_keys.iter().filter_map(|old| old_keys::warning(old)).collect()
    }

    /// Whether the value of `key` comes from the file and is not overridden.
    pub(super) fn in_file(&self, key: &str) -> bool {
        self.source(key) == "file"
    }
}
