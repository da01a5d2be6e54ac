//! The policy as text, embedded or read from a directory. Room: policy.

use std::{collections::BTreeMap, path::Path};

use sha2::{Digest, Sha256};

use super::{PolicyErrors, error::PolicyError, texts};

/// The embedded model. It is part of the code, so no other model may be loaded.
pub(super) const MODEL: &str = include_str!("../../policies/model.conf");

/// The optional file with the checksums of all others.
const CHECKSUM_FILE: &str = "SHA256SUMS";

/// The texts of a policy and the directory name used in messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sources {
    /// Directory name in messages, e.g. `policies`.
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
        let mut diagnostics = Vec::new();
        let mut text = |name: &str| {
            let path = directory.join(name);
            std::fs::read_to_string(&path).unwrap_or_else(|error| {
                diagnostics.push(PolicyError {
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
            texts: texts::read(directory, &mut diagnostics),
        };
        sources.check_sums(directory, &mut diagnostics);
        if diagnostics.is_empty() { Ok(sources) } else { Err(PolicyErrors(diagnostics)) }
    }

    /// Whether the file at `path` in a policy directory is part of the policy.
    pub fn is_policy_file(path: &Path) -> bool {
        let file = ["model.conf", "policy.csv", "purposes.toml", "cases.yaml", CHECKSUM_FILE];
        path.starts_with("texts") || file.iter().any(|file| path == Path::new(file))
    }

    /// Compares every file with `SHA256SUMS`, in the format of `sha256sum`, if the directory has one: the policy is
    /// then only accepted as a whole, however long copying takes.
    fn check_sums(&self, directory: &Path, diagnostics: &mut Vec<PolicyError>) {
        let path = directory.join(CHECKSUM_FILE);
        let mut add_error = |line: usize, code, message: String| {
            diagnostics.push(PolicyError { file: path.display().to_string(), line, code, message });
        };
        let listed = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => return add_error(0, "UNREADABLE", format!("cannot be read: {error}")),
        };
        let mut sums: BTreeMap<&str, &str> = BTreeMap::new();
        for (index, line) in listed.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            // Two blanks mark text mode, a blank and an asterisk mark binary mode.
            match line.split_once(' ') {
                Some((sum, name)) if sum.len() == 64 => {
                    let name = name.trim_start_matches([' ', '*']).trim_start_matches("./");
                    sums.insert(name.trim_end(), sum);
                }
                _ => add_error(
                    index + 1,
                    "SUM",
                    "a line must be the SHA-256 of a file, two blanks and its name".to_owned(),
                ),
            }
        }
        for (name, text) in self.files(directory) {
            match sums.remove(name.as_str()) {
                Some(sum) if sum.eq_ignore_ascii_case(&format!("{:x}", Sha256::digest(text))) => {}
                Some(_) => {
                    add_error(0, "SUM", format!("`{name}` does not match its checksum; it may be incomplete"))
                }
                None => add_error(0, "SUM", format!("`{name}` is not listed")),
            }
        }
        for name in sums.into_keys() {
            add_error(0, "SUM", format!("`{name}` is listed but is missing or not part of the policy"));
        }
    }

    /// Names and texts of the files that were read.
    fn files(&self, directory: &Path) -> BTreeMap<String, &str> {
        let mut files: BTreeMap<String, &str> =
            self.texts.iter().map(|(name, text)| (format!("texts/{name}"), text.as_str())).collect();
        if directory.join("model.conf").exists() {
            files.insert("model.conf".to_owned(), &self.model);
        }
        let others =
            [("policy.csv", &self.policy), ("purposes.toml", &self.purposes), ("cases.yaml", &self.cases)];
        files.extend(others.map(|(name, text)| (name.to_owned(), text.as_str())));
        files
    }

    /// The name of a file in messages.
    pub(super) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.directory.trim_end_matches('/'))
    }

    /// First 16 hexadecimal digits of the SHA-256 over all files, each preceded by its length.
    pub fn revision(&self) -> String {
        let mut hash = Sha256::new();
        let files = [&self.model, &self.policy, &self.purposes, &self.cases];
        for text in files.into_iter().chain(self.texts.iter().flat_map(|(name, text)| [name, text])) {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        }
        hash.finalize().first_chunk::<8>().map(hex::encode).unwrap_or_default()
    }
}

/// The significant lines of a model, without comments and blanks.
pub(super) fn significant(model: &str) -> Vec<String> {
    model
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .map(|line| line.chars().filter(|letter| !letter.is_whitespace()).collect::<String>())
        .filter(|line| !line.is_empty())
        .collect()
}
