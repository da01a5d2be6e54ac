//! Consent texts as files: `texts/<purpose>/<language>/<version>.txt`. Room: policy.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use rust_embed::RustEmbed;

use super::{
    declared::{ConsentText, Declared, Grounds},
    error::{Diagnostics, PolicyError},
};

/// Longest text, in characters.
const MAX_TEXT_CHARS: usize = 20_000;

#[derive(RustEmbed)]
#[folder = "policies/texts"]
struct Embedded;

/// Texts by file name under `texts/`.
pub(super) type Files = BTreeMap<String, String>;

/// The embedded texts.
pub(super) fn embedded() -> Files {
    Embedded::iter()
        .filter_map(|name| {
            let file = Embedded::get(&name)?;
            Some((name.into_owned(), String::from_utf8_lossy(&file.data).into_owned()))
        })
        .collect()
}

/// The texts under `directory/texts`; none if the directory does not exist.
pub(super) fn read(directory: &Path, diagnostics: &mut Vec<PolicyError>) -> Files {
    let root = directory.join("texts");
    let mut files = Files::new();
    let mut open = if root.is_dir() { vec![root.clone()] } else { Vec::new() };
    let mut add_error = |path: &Path, error: std::io::Error| {
        let message = format!("cannot be read: {error}");
        diagnostics.push(PolicyError {
            file: path.display().to_string(),
            line: 0,
            code: "UNREADABLE",
            message,
        });
    };
    while let Some(directory) = open.pop() {
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                add_error(&directory, error);
                continue;
            }
        };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if path.is_dir() {
                open.push(path);
                continue;
            }
            match std::fs::read_to_string(&path) {
                Ok(text) => _ = files.insert(name(&root, &path), text),
                Err(error) => add_error(&path, error),
            }
        }
    }
    files
}

fn name(root: &Path, path: &Path) -> String {
    let parts: PathBuf = path.strip_prefix(root).unwrap_or(path).into();
    parts.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// Parses the texts, each for a purpose on consent.
pub(super) fn parse(
    files: &Files,
    declared: &Declared,
    directory: &str,
) -> (Vec<ConsentText>, Vec<PolicyError>) {
    let (mut texts, mut errors) = (Vec::new(), Vec::new());
    for (name, text) in files {
        let mut diagnostics = Diagnostics::new(&format!("{directory}/texts/{name}"));
        let parts: Vec<&str> = name.split('/').collect();
        match parts.as_slice() {
            [purpose, language, file] => match file.strip_suffix(".txt") {
                Some(version) => {
                    let parsed = ConsentText {
                        purpose: (*purpose).to_owned(),
                        language: (*language).to_owned(),
                        version: version.to_owned(),
                        text: text.trim().to_owned(),
                        renew_within: None,
                    };
                    check(&parsed, declared, &mut diagnostics);
                    texts.push(parsed);
                }
                None => diagnostics.add(0, "BAD_TEXT_NAME", "a text must be a file <version>.txt"),
            },
            _ => diagnostics.add(
                0,
                "BAD_TEXT_NAME",
                "texts must be at texts/<purpose>/<language>/<version>.txt",
            ),
        }
        errors.extend(diagnostics.into_vec());
    }
    (texts, errors)
}

fn check(text: &ConsentText, declared: &Declared, diagnostics: &mut Diagnostics) {
    match declared.purposes.iter().find(|purpose| purpose.code == text.purpose) {
        None => diagnostics.add(0, "UNKNOWN_PURPOSE", format!("unknown purpose `{}`", text.purpose)),
        Some(purpose) if purpose.grounds != Grounds::Consent => {
            diagnostics.add(
                0,
                "TEXT_WITHOUT_CONSENT",
                format!("purpose `{}` is not based on consent", text.purpose),
            );
        }
        Some(_) => {}
    }
    let tag = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if text.language.len() < 2 || !text.language.chars().all(tag) {
        diagnostics.add(0, "BAD_LANGUAGE", format!("`{}` is not a language tag", text.language));
    }
    let word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.version.is_empty() || text.version.len() > 50 || !text.version.chars().all(word) {
        diagnostics.add(0, "BAD_VERSION", "a version must consist of letters, digits, `-`, `_` and `.`");
    }
    if text.text.is_empty() {
        diagnostics.add(0, "EMPTY_VALUE", "the text is empty");
    }
    if text.text.chars().count() > MAX_TEXT_CHARS {
        diagnostics.add(0, "TOO_LONG", format!("a text has at most {MAX_TEXT_CHARS} characters"));
    }
}
