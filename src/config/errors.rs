//! Reports all configuration errors at once: where each one is, what was expected and which key was probably meant.
//! Room: config.
//!
//! Messages never contain values, because values may be secrets.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use figment::{
    Figment,
    error::Kind,
    providers::Serialized,
    value::{Dict, Value},
};
use toml::de::{DeTable, DeValue};

use super::{
    oidc,
    settings::Config,
    values::{NO_ADDRESS, NO_LISTEN, NO_REGION},
};
use crate::config::{effective, sources::ValueSources};

/// Minimum similarity for suggesting a key.
const MIN_SIMILARITY: f64 = 0.8;

/// An error message, prefixed with its location.
#[derive(Debug)]
pub(super) struct ConfigError {
    /// The line in the file, if any.
    line: Option<usize>,
    text: String,
}

/// Formats all errors in file order without duplicates, one per line.
pub(super) fn format_errors(mut errors: Vec<ConfigError>) -> String {
    errors.sort_by_key(|error| (error.line.is_none(), error.line));
    let mut seen = BTreeSet::new();
    let texts: Vec<&str> =
        errors.iter().map(|error| error.text.as_str()).filter(|text| seen.insert(*text)).collect();
    texts.join("\nerror: configuration: ")
}

/// The lines on which the keys of the file are defined.
#[derive(Debug, Default)]
pub(super) struct KeyLines {
    file: String,
    lines: BTreeMap<String, usize>,
}

impl KeyLines {
    /// Reads the line numbers of the keys in `file`, and their values.
    ///
    /// # Errors
    /// The file is not valid TOML; the message says where and why.
    pub(super) fn read(file: &Path) -> Result<(Self, toml::Table), String> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("the configuration file `{name}` cannot be read: {}", error.kind()))?;
        let line = |at: usize| text.get(..at).unwrap_or(&text).matches('\n').count() + 1;
        let broken = |error: &toml::de::Error| {
            let at = error.span().map_or(1, |span| line(span.start));
            ConfigError {
                line: Some(at),
                text: format!("{name}:{at}: this is not TOML: {}", error.message()),
            }
        };
        let (table, errors) = DeTable::parse_recoverable(&text);
        if !errors.is_empty() {
            return Err(format_errors(errors.iter().map(broken).collect()));
        }
        let values = toml::from_str(&text).map_err(|error| format_errors(vec![broken(&error)]))?;
        let mut lines = BTreeMap::new();
        gather("", table.get_ref(), &mut |key, at| _ = lines.insert(key, line(at)));
        Ok((Self { file: name, lines }, values))
    }

    /// Notes the line of `old` as that of `new`.
    pub(super) fn rename(&mut self, old: &str, new: &str) {
        if let Some(line) = self.lines.get(old).copied() {
            self.lines.insert(new.to_owned(), line);
        }
    }
}

fn gather(prefix: &str, table: &DeTable<'_>, take: &mut impl FnMut(String, usize)) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{prefix}.{}", name.get_ref())
        };
        take(key.clone(), name.span().start);
        if let DeValue::Table(inner) = value.get_ref() {
            gather(&key, inner, take);
        }
    }
}

/// A setting: its path and its value.
type Setting = (Vec<String>, Value);

/// Splits a dict into its settings; an empty section counts as one.
fn settings_in(path: &[String], dict: Dict, out: &mut Vec<Setting>) {
    for (name, value) in dict {
        let path = [path, &[name]].concat();
        let sections = if path.first().is_some_and(|first| first == "oidc") { 3 } else { 2 };
        match value {
            Value::Dict(_, inner) if path.len() < sections && !inner.is_empty() => {
                settings_in(&path, inner, out)
            }
            value => out.push((path, value)),
        }
    }
}

/// Wraps `value` in the sections that `path` names.
fn nested(path: &[String], value: Value) -> Dict {
    match path {
        [] => Dict::new(),
        [name] => Dict::from([(name.clone(), value)]),
        [name, rest @ ..] => Dict::from([(name.clone(), nested(rest, value).into())]),
    }
}

/// The section of an issuer.
fn section(name: &str, settings: Dict) -> Dict {
    nested(&["oidc".to_owned(), name.to_owned()], settings.into())
}

/// The readable part of a configuration.
pub(super) struct Extracted {
    /// The configuration without its invalid settings; `None` if the rest is not a configuration.
    pub(super) config: Option<Config>,
    /// All errors.
    pub(super) errors: Vec<ConfigError>,
    /// Keys with an invalid value, for which further errors are suppressed.
    wrong: BTreeSet<String>,
}

impl Extracted {
    /// Whether an error only follows from one already reported: it names a key whose value could not be read.
    pub(super) fn is_consequence(&self, error: &str) -> bool {
        quoted_keys(error).any(|key| self.wrong.contains(key))
    }
}

/// Extracts the configuration from `figment` together with all errors, by reading each setting on its own.
pub(super) fn extract(figment: &Figment, locator: &ErrorLocator<'_>) -> Extracted {
    if let Ok(config) = figment.extract::<Config>() {
        return Extracted { config: Some(config), errors: Vec::new(), wrong: BTreeSet::new() };
    }
    let (mut errors, mut wrong) = (Vec::new(), BTreeSet::new());
    let dict = match figment.extract::<Dict>() {
        Ok(dict) => dict,
        Err(error) => return Extracted { config: None, errors: vec![locator.describe(&error)], wrong },
    };
    // The settings of an issuer depend on each other, so missing or invalid ones get a placeholder.
    let mut standing_in: BTreeMap<String, Dict> = BTreeMap::new();
    if let Some(Value::Dict(_, issuers)) = dict.get("oidc") {
        for (name, issuer) in issuers {
            let Value::Dict(_, issuer) = issuer else { continue };
            let placeholder = oidc::placeholder(standing_in.len());
            for key in placeholder.keys().filter(|key| !issuer.contains_key(*key)) {
                let key = format!("oidc.{name}.{key}");
                errors.push(locator.locate(format!("`{key}` is missing")));
                wrong.insert(key);
            }
            standing_in.insert(name.clone(), placeholder);
        }
    }
    let mut all = Vec::new();
    settings_in(&[], dict, &mut all);
    let without = |placeholder: &Dict, is_known: &dyn Fn(&str) -> bool| -> Dict {
        let others = placeholder.iter().filter(|(key, _)| !is_known(key));
        others.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let (mut good, mut read) = (Figment::new(), BTreeSet::new());
    for (path, value) in all {
        let mut alone = Figment::from(Serialized::defaults(nested(&path, value.clone())));
        if let [_, name, key] = path.as_slice()
            && let Some(placeholder) = standing_in.get(name)
        {
            let others = without(placeholder, &|candidate| candidate == key);
            alone = alone.merge(Serialized::defaults(section(name, others)));
        }
        match alone.extract::<Config>() {
            Ok(_) => {
                good = good.merge(Serialized::defaults(nested(&path, value)));
                read.insert(path.join("."));
            }
            Err(error) => {
                errors.push(locator.describe(&error));
                wrong.insert(path.join("."));
            }
        }
    }
    for (name, placeholder) in standing_in {
        let others = without(&placeholder, &|candidate| read.contains(&format!("oidc.{name}.{candidate}")));
        good = good.merge(Serialized::defaults(section(&name, others)));
    }
    match good.extract::<Config>() {
        Ok(config) => Extracted { config: Some(config), errors, wrong },
        Err(error) => {
            errors.push(locator.describe(&error));
            Extracted { config: None, errors, wrong }
        }
    }
}

/// The words between backticks, most of which are keys.
fn quoted_keys(error: &str) -> impl Iterator<Item = &str> {
    error.split('`').skip(1).step_by(2)
}

/// Where values come from.
pub(super) struct ErrorLocator<'a> {
    pub(super) lines: &'a KeyLines,
    pub(super) sources: &'a ValueSources,
}

/// The variable of the environment that holds a setting.
fn variable(key: &str) -> String {
    format!("ZWECK__{}", key.to_uppercase().replace('.', "__"))
}

impl ErrorLocator<'_> {
    /// Prefixes an error with the location of the first key that it names; other keys are only what it is compared
    /// with.
    pub(super) fn locate(&self, error: String) -> ConfigError {
        let location = quoted_keys(&error).find_map(|key| self.find_key(key, 2));
        let location = location.or_else(|| quoted_keys(&error).find_map(|key| self.find_key(key, 1)));
        let (line, location) = location.unwrap_or_default();
        let mut text = location + error.as_str();
        // The message names the key as the operator wrote it.
        for (old, new) in self.sources.under_old_keys() {
            text = text.replace(&format!("`{new}`"), &format!("`{old}`"));
            text = text.replace(&format!("{}: ", variable(new)), &format!("{}: ", variable(old)));
        }
        ConfigError { line, text }
    }

    /// The location of a key, or of an enclosing section with at least `least` path segments; a list has one line for
    /// all its entries.
    fn find_key(&self, key: &str, least: usize) -> Option<(Option<usize>, String)> {
        let parts = std::iter::successors(Some(key), |key| Some(key.rsplit_once('.')?.0));
        parts.filter(|part| *part == key || part.split('.').count() >= least).find_map(|part| {
            match self.sources.source(part) {
                "environment" => {
                    let alternative = if part == "log.filter" { " (or ZWECK_LOG)" } else { "" };
                    return Some((None, format!("environment {}{alternative}: ", variable(part))));
                }
                "flag" => return Some((None, "flag: ".to_owned())),
                _ => {}
            }
            let line = self.lines.lines.get(part)?;
            Some((Some(*line), format!("{}:{line}: ", self.lines.file)))
        })
    }

    /// The first problem of an error, without the value that caused it.
    fn describe(&self, error: &figment::Error) -> ConfigError {
        let key = error.path.join(".");
        self.locate(match &error.kind {
            Kind::UnknownField(name, _) => {
                let key = match error.path.last() == Some(name) {
                    true => key,
                    false if key.is_empty() => name.clone(),
                    false => format!("{key}.{name}"),
                };
                let suggest =
                    suggest(&key).map(|suggest| format!("; did you mean `{suggest}`?")).unwrap_or_default();
                format!("unknown key `{key}`{suggest}")
            }
            Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
                format!("`{key}` must be {}", type_name(&expected.to_string()))
            }
            Kind::Message(message) if key.starts_with("secrets.") || is_ours(message) => {
                format!("`{key}` {message}")
            }
            Kind::MissingField(name) => format!("`{key}.{name}` is missing"),
            Kind::UnknownVariant(_, expected) => format!("`{key}` must be one of {}", expected.join(", ")),
            _ => format!("`{key}` is not valid"),
        })
    }
}

/// A readable name for a type.
fn type_name(expected: &str) -> String {
    match expected {
        "u64" | "u32" | "u16" | "usize" | "i64" => "a whole number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" | "path string" => "a text in quotation marks".to_owned(),
        "a sequence" | "sequence" => "a list".to_owned(),
        "a map" | "map" => "a section".to_owned(),
        text if text.starts_with("struct ") => "a section".to_owned(),
        text => text.to_owned(),
    }
}

/// The known keys or the section most similar to an unknown one.
fn suggest(key: &str) -> Option<String> {
    if let Some((issuer, name)) = key.strip_prefix("oidc.").and_then(|rest| rest.rsplit_once('.')) {
        return Some(format!("oidc.{issuer}.{}", most_similar(name, oidc::keys())?));
    }
    let all: Vec<String> = effective::entries(&Config::default()).into_iter().map(|(name, _)| name).collect();
    // In another section or at the top level.
    let name = key.rsplit_once('.').map_or(key, |(_, name)| name);
    let elsewhere: Vec<&str> = all
        .iter()
        .filter(|candidate| candidate.rsplit_once('.').is_some_and(|(_, candidate)| candidate == name))
        .map(String::as_str)
        .collect();
    if !elsewhere.is_empty() {
        return Some(elsewhere.join("` or `"));
    }
    if key.contains('.') {
        return most_similar(key, all);
    }
    let sections: BTreeSet<String> =
        all.iter().filter_map(|candidate| Some(candidate.split_once('.')?.0.to_owned())).collect();
    most_similar(key, sections.into_iter().chain(["oidc".to_owned()])).or_else(|| {
        let names = all.iter().filter_map(|candidate| Some(candidate.rsplit_once('.')?.1.to_owned()));
        suggest(&most_similar(key, names)?)
    })
}

/// The word most similar to `word`, if any is similar enough.
fn most_similar(word: &str, candidates: impl IntoIterator<Item = String>) -> Option<String> {
    let like = candidates.into_iter().map(|candidate| (strsim::jaro_winkler(word, &candidate), candidate));
    let best = like.max_by(|left, right| left.0.total_cmp(&right.0))?;
    (best.0 >= MIN_SIMILARITY).then_some(best.1)
}

/// Whether a message is one of ours, which contain no values.
fn is_ours(message: &str) -> bool {
    [NO_ADDRESS, NO_LISTEN, NO_REGION, oidc::NO_CLAIM, oidc::NO_TEXTS].contains(&message)
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::config::Flags;

    /// Each key with a value of a wrong type, and many with an invalid value of the right type.
    fn errors() -> Vec<(String, &'static str)> {
        let mut all: Vec<(String, &'static str)> = effective::entries(&Config::default())
            .into_iter()
            .map(|(key, default)| match default {
                Json::Number(_) | Json::Bool(_) => (key, "\"x\""),
                _ => (key, "4711"),
            })
            .collect();
        for key in oidc::keys() {
            let key = format!("oidc.staff.{key}");
            let wrong = if oidc::is_number(&key) { "\"x\"" } else { "4711" };
            all.push((key, wrong));
        }
        let of_their_type = [
            ("servre", "{ listen = 1 }"),
            ("server.foo", "1"),
            ("listen", "\"127.0.0.1:1\""),
            ("oidc.staff.audiences", "\"a\""),
            ("limits.depth", "1000"),
            ("server.listen", "\"nowhere\""),
            ("server.grace_seconds", "0"),
            ("server.cors_origins", "[\"*\"]"),
            ("database.url", "\"sqlite://\""),
            ("database.url", "\"mysql://h/d\""),
            ("database.url", "\"postgres://h1,h2/d\""),
            ("database.reader_url", "\"mysql://h/d\""),
            ("database.max_connections", "0"),
            ("recipients.keep_copy", "0"),
            ("identities.region", "\"Germany\""),
            ("log.format", "\"xml\""),
            ("pages.language", "\"fr\""),
            ("pages.public_url", "\"crm.example\""),
            ("pages.confirm_hours", "0"),
            ("secrets.master_key", "\"short\""),
            ("secrets.master_key_file", "\"/nowhere/key\""),
            ("secrets.previous_master_key_file", "\"/nowhere/key\""),
            ("oidc.staff.issuer", "\"http://login.example\""),
            ("oidc.staff.audience", "[]"),
            ("oidc.staff.leeway_seconds", "301"),
            ("oidc.staff.algorithms", "[\"HS256\"]"),
            ("oidc.staff.roles_claim", "\"\""),
            ("oidc.staff.roles", "{}"),
        ];
        all.extend(of_their_type.map(|(key, value)| (key.to_owned(), value)));
        all
    }

    /// Any two errors in two keys are reported together, each with its line.
    #[test]
    fn any_two_faults_are_told_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("zweck.toml");
        let all = errors();
        assert!(all.len() > 90, "{}", all.len());
        for (index, (first, wrong)) in all.iter().enumerate() {
            for (second, as_wrong) in all[index + 1..].iter().filter(|(second, _)| second != first) {
                std::fs::write(&file, format!("{first} = {wrong}\n\n{second} = {as_wrong}\n")).unwrap();
                let message = Config::load(Some(&file), &Flags::default()).unwrap_err();
                for (line, key) in [(1, first), (3, second)] {
                    let start = format!("{}:{line}: ", file.display());
                    let found = message.lines().any(|error| {
                        let error = error.trim_start_matches("error: configuration: ");
                        error.strip_prefix(&start).is_some_and(|error| error.contains(key.as_str()))
                    });
                    assert!(
                        found,
                        "{first} = {wrong}, {second} = {as_wrong}: {key} in line {line}\n{message}"
                    );
                }
            }
        }
    }

    /// An unknown key is answered with the key that was probably meant, in whatever section it belongs.
    #[test]
    fn what_is_meant_is_said() {
        for (key, expected) in [
            ("server.listne", Some("server.listen")),
            ("servre", Some("server")),
            ("oidcc", Some("oidc")),
            ("listen", Some("server.listen` or `management.listen")),
            ("max_connections", Some("database.max_connections")),
            ("max_conections", Some("database.max_connections")),
            ("server.max_connections", Some("database.max_connections")),
            ("oidc.staff.audiences", Some("oidc.staff.audience")),
            ("server.foo_bar_baz", None),
            ("qqq", None),
        ] {
            assert_eq!(suggest(key).as_deref(), expected, "{key}");
        }
    }
}
