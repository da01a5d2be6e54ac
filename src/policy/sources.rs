//! The policy as text, embedded or read from a directory (floor 1).

use std::{collections::BTreeMap, path::Path};

use sha2::{Digest, Sha256};

use super::{PolicyErrors, error::PolicyError, texts};

/// The embedded model; it is code, so no other may be loaded.
pub(super) const MODEL: &str = include_str!("../../policies/model.conf");

/// The texts of a policy and the directory named in messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// Directory for messages, e.g. `policies`.
    pub directory: String,
    /// `model.conf`.
    pub model: String,
    /// `policy.csv`.
    pub policy: String,
    /// `purposes.toml`.
    pub purposes: String,
    /// `cases.yaml`.
    pub cases: String,
    /// Files under `texts/`, by name.
    pub texts: BTreeMap<String, String>,
}

impl Sources {
    /// The policy that ships with the binary.
    pub fn embedded() -> Self {
        Self {
            directory: "policies".to_owned(),
            model: MODEL.to_owned(),
            policy: include_str!("../../policies/policy.csv").to_owned(),
            purposes: include_str!("../../policies/purposes.toml").to_owned(),
            cases: include_str!("../../policies/cases.yaml").to_owned(),
            texts: texts::embedded(),
        }
    }

    /// The policy of a directory. A directory without `model.conf` uses the embedded one.
    ///
    /// # Errors
    /// `UNREADABLE` for each file that is missing or not UTF-8.
    pub fn read(directory: &Path) -> Result<Self, PolicyErrors> {
        let mut faults = Vec::new();
        let mut text = |name: &str| {
            let path = directory.join(name);
            std::fs::read_to_string(&path).unwrap_or_else(|error| {
                faults.push(PolicyError {
                    file: path.display().to_string(),
                    line: 0,
                    code: "UNREADABLE",
                    message: format!("cannot be read: {error}"),
                });
                String::new()
            })
        };
        let model = if directory.join("model.conf").exists() { text("model.conf") } else { MODEL.to_owned() };
        let sources = Self {
            directory: directory.display().to_string(),
            model,
            policy: text("policy.csv"),
            purposes: text("purposes.toml"),
            cases: text("cases.yaml"),
            texts: texts::read(directory, &mut faults),
        };
        if faults.is_empty() { Ok(sources) } else { Err(PolicyErrors(faults)) }
    }

    /// The name of a file in messages.
    pub(super) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.directory.trim_end_matches('/'))
    }

    /// First 16 hexadecimal digits of the SHA-256 over all texts, each with its length before it.
    pub fn revision(&self) -> String {
        let mut hash = Sha256::new();
        let files = [&self.model, &self.policy, &self.purposes, &self.cases];
        for text in files.into_iter().chain(self.texts.iter().flat_map(|(name, text)| [name, text])) {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The lines of a model that mean something, without comments and without blanks.
pub(super) fn significant(model: &str) -> Vec<String> {
    model
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .map(|line| line.chars().filter(|letter| !letter.is_whitespace()).collect::<String>())
        .filter(|line| !line.is_empty())
        .collect()
}
