//! Reads the tables of a TOML file key by key, so that every error is reported with its line. Room: policy.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::error::Diagnostics;

/// Longest code, in characters. Preference links contain one and appear in a mail header line.
pub const MAX_CODE_CHARS: usize = 64;

/// Line (from 1) of a byte offset.
fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// One `[[kind]]` entry; keys that are never read are reported as unknown.
pub(super) struct Entry<'a, 'i> {
    text: &'a str,
    line: usize,
    table: &'a DeTable<'i>,
    read_keys: Vec<&'static str>,
}

/// Calls `each` for all `[[kind]]` entries of a file in order, with the name of their kind. Syntax errors stop the
/// reading.
pub(super) fn read(
    text: &str,
    kinds: &[&'static str],
    diagnostics: &mut Diagnostics,
    mut each: impl FnMut(&'static str, Entry<'_, '_>, &mut Diagnostics),
) {
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let line = error.span().map_or(0, |span| line_at(text, span.start));
        diagnostics.add(line, "TOML_SYNTAX", error.message().to_owned());
    }
    if !errors.is_empty() {
        return;
    }
    for (key, value) in document.get_ref() {
        let line = line_at(text, key.span().start);
        let Some(kind) = kinds.iter().find(|kind| key.get_ref() == **kind) else {
            diagnostics.add(line, "UNKNOWN_KEY", format!("unknown key `{}`", key.get_ref()));
            continue;
        };
        let DeValue::Array(entries) = value.get_ref() else {
            diagnostics.add(line, "WRONG_TYPE", format!("`{kind}` must be written as [[{kind}]]"));
            continue;
        };
        for entry in entries.iter() {
            let line = line_at(text, entry.span().start);
            match entry.get_ref() {
                DeValue::Table(table) => {
                    each(kind, Entry { text, line, table, read_keys: Vec::new() }, diagnostics)
                }
                _ => diagnostics.add(line, "WRONG_TYPE", format!("`{kind}` must be written as [[{kind}]]")),
            }
        }
    }
}

impl<'a, 'i> Entry<'a, 'i> {
    /// Line of the entry, or of its first key if known.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// Line of a key, or of the entry if it lacks the key.
    pub(super) fn line_of(&self, key: &str) -> usize {
        self.table
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map_or(self.line, |(name, _)| line_at(self.text, name.span().start))
    }

    /// Whether the entry has `key`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn take(&mut self, key: &'static str) -> Option<&'a DeValue<'i>> {
        self.read_keys.push(key);
        self.table.get(key).map(Spanned::get_ref)
    }

    /// An optional text, which must not be empty.
    pub(super) fn optional(&mut self, key: &'static str, diagnostics: &mut Diagnostics) -> Option<String> {
        match self.take(key)? {
            DeValue::String(value) if value.trim().is_empty() => {
                diagnostics.add(self.line_of(key), "EMPTY_VALUE", format!("`{key}` is empty"));
                None
            }
            DeValue::String(value) => Some(value.trim().to_owned()),
            _ => {
                diagnostics.add(self.line_of(key), "WRONG_TYPE", format!("`{key}` must be a text"));
                None
            }
        }
    }

    /// A required text.
    pub(super) fn required(&mut self, key: &'static str, diagnostics: &mut Diagnostics) -> String {
        if self.table.get(key).is_none() {
            diagnostics.add(self.line, "MISSING_KEY", format!("`{key}` is missing"));
        }
        self.optional(key, diagnostics).unwrap_or_default()
    }

    /// A code: lower case letters, digits and underscores, at most [`MAX_CODE_CHARS`].
    pub(super) fn code(&mut self, key: &'static str, diagnostics: &mut Diagnostics) -> String {
        let code = self.required(key, diagnostics);
        let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
        if !code.chars().all(fits) {
            let message = format!("`{code}` must consist of a-z, 0-9 and _");
            diagnostics.add(self.line_of(key), "BAD_CODE", message);
        }
        if code.len() > MAX_CODE_CHARS {
            let message = format!("`{code}` must have at most {MAX_CODE_CHARS} characters");
            diagnostics.add(self.line_of(key), "BAD_CODE", message);
        }
        code
    }

    /// A boolean, false if absent.
    pub(super) fn flag(&mut self, key: &'static str, diagnostics: &mut Diagnostics) -> bool {
        match self.take(key) {
            None => false,
            Some(DeValue::Boolean(value)) => *value,
            Some(_) => {
                diagnostics.add(self.line_of(key), "WRONG_TYPE", format!("`{key}` must be true or false"));
                false
            }
        }
    }

    /// A list of texts, empty if absent.
    pub(super) fn list(&mut self, key: &'static str, diagnostics: &mut Diagnostics) -> Vec<String> {
        let line = self.line_of(key);
        let Some(value) = self.take(key) else { return Vec::new() };
        let DeValue::Array(values) = value else {
            diagnostics.add(line, "WRONG_TYPE", format!("`{key}` must be a list of texts"));
            return Vec::new();
        };
        let mut texts = Vec::new();
        for value in values.iter() {
            match value.get_ref() {
                DeValue::String(text) if !text.trim().is_empty() => texts.push(text.trim().to_owned()),
                DeValue::String(_) => {
                    diagnostics.add(line, "EMPTY_VALUE", format!("`{key}` contains an empty text"))
                }
                _ => diagnostics.add(line, "WRONG_TYPE", format!("`{key}` must be a list of texts")),
            }
        }
        texts
    }

    /// Reports every key that was not read.
    pub(super) fn finish(self, diagnostics: &mut Diagnostics) {
        for (key, _) in self.table {
            if !self.read_keys.iter().any(|read| key.get_ref() == *read) {
                let line = line_at(self.text, key.span().start);
                diagnostics.add(line, "UNKNOWN_KEY", format!("unknown key `{}`", key.get_ref()));
            }
        }
    }
}

/// A period like `P2Y`, `P6M`, `P30D`.
pub(super) fn period(
    entry: &mut Entry<'_, '_>,
    key: &'static str,
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let text = entry.optional(key, diagnostics)?;
    let number = text
        .strip_prefix('P')
        .and_then(|rest| rest.strip_suffix(['Y', 'M', 'W', 'D']))
        .and_then(|number| number.parse::<u16>().ok());
    if number.is_none_or(|number| number == 0) {
        diagnostics.add(
            entry.line_of(key),
            "BAD_PERIOD",
            format!("`{text}` must be a period like P2Y, P6M or P30D"),
        );
    }
    Some(text)
}
