//! All that is wrong with a configuration at once: where each fault is, what was expected, what was meant (floor 1).
//!
//! No fault tells a value: values may be secrets.

use std::{collections::BTreeMap, path::Path};

use figment::{
    Figment,
    error::Kind,
    value::{Dict, Value},
};
use toml::de::{DeTable, DeValue};

use super::{Config, origin, origin::Origin, shown};

/// How alike a word must be to be meant.
const ALIKE: f64 = 0.8;

/// Where the keys of the file stand.
#[derive(Debug, Default)]
pub(super) struct Lines {
    file: String,
    lines: BTreeMap<String, usize>,
}

impl Lines {
    /// Reads where the keys of `file` stand.
    ///
    /// # Errors
    /// The file is not TOML; where and why.
    pub(super) fn read(file: &Path) -> Result<Self, String> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file)
            .map_err(|error| format!("the configuration file `{name}` cannot be read: {}", error.kind()))?;
        let line = |at: usize| text.get(..at).unwrap_or(&text).matches('\n').count() + 1;
        let table = DeTable::parse(&text).map_err(|error| {
            let at = error.span().map_or(1, |span| line(span.start));
            format!("{name}:{at}: this is not TOML: {}", error.message())
        })?;
        let mut lines = BTreeMap::new();
        gather("", table.get_ref(), &mut |key, at| _ = lines.insert(key, line(at)));
        Ok(Self { file: name, lines })
    }

    /// `file:line: ` of a key that stands in the file.
    fn of(&self, key: &str) -> Option<String> {
        self.lines.get(key).map(|line| format!("{}:{line}: ", self.file))
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

/// Each key with its value; sections of issuers, whose keys need each other, as a whole.
fn leaves(prefix: &str, dict: Dict, out: &mut Vec<(String, Value)>) {
    for (name, value) in dict {
        let key = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        match value {
            Value::Dict(_, inner) if key.split('.').count() < 2 => leaves(&key, inner, out),
            value => out.push((key, value)),
        }
    }
}

/// The configuration that `figment` holds, without what is wrong, and all that is; none where what is left is no configuration.
pub(super) fn extract(figment: &Figment, place: &Place<'_>) -> (Option<Config>, Vec<String>) {
    let first = match figment.extract::<Config>() {
        Ok(config) => return (Some(config), Vec::new()),
        Err(error) => place.described(&error),
    };
    let mut all = Vec::new();
    match figment.extract::<Dict>() {
        Ok(dict) => leaves("", dict, &mut all),
        Err(error) => return (None, vec![place.described(&error)]),
    }
    let (mut good, mut faults) = (Figment::new(), Vec::new());
    for (key, value) in all {
        match Figment::new().merge((key.as_str(), value.clone())).extract::<Config>() {
            Ok(_) => good = good.merge((key.as_str(), value)),
            Err(error) => {
                let before = faults.len();
                if let Value::Dict(_, inner) = &value {
                    for (name, value) in inner {
                        let alone = Figment::new().merge((format!("{key}.{name}").as_str(), value.clone()));
                        // By itself each of them lacks the others.
                        if let Err(error) = alone.extract::<Config>()
                            && !matches!(error.kind, Kind::MissingField(_))
                        {
                            faults.push(place.described(&error));
                        }
                    }
                }
                if faults.len() == before {
                    faults.push(place.described(&error));
                }
            }
        }
    }
    if faults.is_empty() {
        // An empty section that nobody knows has no value that is wrong.
        faults.push(first);
    }
    match good.extract::<Config>() {
        Ok(config) => (Some(config), faults),
        Err(error) => {
            faults.push(place.described(&error));
            (None, faults)
        }
    }
}

/// Where values come from.
pub(super) struct Place<'a> {
    pub(super) lines: &'a Lines,
    pub(super) origin: &'a Origin,
}

impl Place<'_> {
    /// A fault, and before it where what it names first stands.
    pub(super) fn of(&self, fault: String) -> String {
        let key = fault.split('`').nth(1).unwrap_or_default();
        let source = self.origin.source(key);
        if source == "environment" {
            return format!("environment ZWECK__{}: {fault}", key.to_uppercase().replace('.', "__"));
        }
        if source == "flag" {
            return format!("flag: {fault}");
        }
        // A list has one line for all of it.
        let stands = std::iter::successors(Some(key), |key| Some(key.rsplit_once('.')?.0));
        let mut stands = stands.filter(|key| key.contains('.')).chain([key]);
        stands.find_map(|key| self.lines.of(key)).unwrap_or_default() + fault.as_str()
    }

    /// The first problem of an error, without the value it was found in.
    fn described(&self, error: &figment::Error) -> String {
        let key = error.path.join(".");
        self.of(match &error.kind {
            Kind::UnknownField(name, _) => {
                let key = match error.path.last() == Some(name) {
                    true => key,
                    false if key.is_empty() => name.clone(),
                    false => format!("{key}.{name}"),
                };
                let meant = meant(&key).map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default();
                format!("unknown key `{key}`{meant}")
            }
            Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) => {
                format!("`{key}` must be {}", in_words(&expected.to_string()))
            }
            Kind::Message(message) if key.starts_with("secrets.") || origin::is_ours(message) => {
                format!("`{key}` {message}")
            }
            Kind::MissingField(name) => format!("`{key}.{name}` is missing"),
            Kind::UnknownVariant(_, expected) => format!("`{key}` must be one of {}", expected.join(", ")),
            _ => format!("`{key}` is not valid"),
        })
    }
}

/// What a type is called by people.
fn in_words(expected: &str) -> String {
    match expected {
        "u64" | "u32" | "u16" | "usize" | "i64" => "a whole number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a string" => "a text in quotation marks".to_owned(),
        "a sequence" | "sequence" => "a list".to_owned(),
        "a map" | "map" => "a section".to_owned(),
        text if text.starts_with("struct ") => "a section".to_owned(),
        text => text.to_owned(),
    }
}

/// The known key that is most like an unknown one.
fn meant(key: &str) -> Option<String> {
    let all = shown::entries(&Config::default()).into_iter().map(|(known, _)| known);
    let sections: std::collections::BTreeSet<String> =
        all.clone().filter_map(|known| Some(known.split_once('.')?.0.to_owned())).collect();
    let known: Vec<String> = if key.contains('.') { all.collect() } else { sections.into_iter().collect() };
    let like = known.into_iter().map(|known| (strsim::jaro_winkler(key, &known), known));
    let best = like.max_by(|left, right| left.0.total_cmp(&right.0))?;
    (best.0 >= ALIKE).then_some(best.1)
}
