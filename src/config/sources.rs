//! The sources of configuration values. Room: config.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use super::old_keys::{self, Renamed};

/// The sources of the values by key, and the file that was read.
#[derive(Clone, Debug, Default)]
pub struct ValueSources {
    /// The configuration file.
    pub file: Option<PathBuf>,
    pub(super) sources: BTreeMap<String, &'static str>,
    /// By source, settings that it has under their old keys.
    pub(super) old_keys: BTreeMap<&'static str, Vec<Renamed>>,
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

    /// A warning for each old key that is used.
    pub fn warnings(&self) -> Vec<String> {
        let used: BTreeSet<Renamed> = self.old_keys.values().flatten().copied().collect();
        used.into_iter().map(old_keys::warning).collect()
    }

    /// The settings whose value in force has the old key in its source.
    pub(super) fn under_old_keys(&self) -> impl Iterator<Item = Renamed> {
        self.old_keys.iter().flat_map(|(source, renamed)| {
            renamed.iter().copied().filter(|(_, new)| self.source(new) == *source)
        })
    }

    /// Whether the value of `key` comes from the file and is not overridden.
    pub(super) fn in_file(&self, key: &str) -> bool {
        self.source(key) == "file"
    }
}
