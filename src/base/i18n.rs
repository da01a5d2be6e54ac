//! Texts for people in German and English: one Fluent file per area and language. Room: base.

use std::sync::OnceLock;

use fluent_bundle::{FluentArgs, FluentResource, concurrent::FluentBundle};
use unic_langid::LanguageIdentifier;

use crate::base::error::Error;

/// Languages of pages and mails; the first one is the default.
pub const LANGUAGES: [&str; 2] = ["de", "en"];

/// The texts of mails.
pub static MAILS: MessageCatalog = MessageCatalog::new(
    include_str!("../../locales/de/mails.ftl"),
    include_str!("../../locales/en/mails.ftl"),
);

/// The texts of one area in every language of [`LANGUAGES`].
pub struct MessageCatalog {
    german: &'static str,
    english: &'static str,
    read: OnceLock<Option<Read>>,
}

struct Read {
    german: FluentBundle<FluentResource>,
    english: FluentBundle<FluentResource>,
}

impl MessageCatalog {
    /// The catalog of the files `locales/de/<area>.ftl` and `locales/en/<area>.ftl`.
    pub const fn new(german: &'static str, english: &'static str) -> Self {
        Self { german, english, read: OnceLock::new() }
    }

    /// The text `key` in `language` with its arguments filled in; German for every language but `en`.
    ///
    /// # Errors
    /// `INTERNAL` if the text does not exist or lacks an argument.
    pub fn text(&self, language: &str, key: &str, arguments: &[(&str, &str)]) -> Result<String, Error> {
        let missing_text = || Error::internal("a text that is not there");
        let read = self.read.get_or_init(|| {
            Some(Read { german: bundle("de", self.german)?, english: bundle("en", self.english)? })
        });
        let read = read.as_ref().ok_or_else(missing_text)?;
        let bundle = if language == "en" { &read.english } else { &read.german };
        let pattern = bundle.get_message(key).and_then(|message| message.value()).ok_or_else(missing_text)?;
        let mut values = FluentArgs::new();
        for (name, value) in arguments {
            values.set(*name, *value);
        }
        let mut errors = Vec::new();
        let text = bundle.format_pattern(pattern, Some(&values), &mut errors).into_owned();
        if errors.is_empty() { Ok(text) } else { Err(missing_text()) }
    }
}

fn bundle(language: &str, file: &str) -> Option<FluentBundle<FluentResource>> {
    let language: LanguageIdentifier = language.parse().ok()?;
    let mut bundle = FluentBundle::new_concurrent(vec![language]);
    // Direction marks around each argument would end up in mails and addresses.
    bundle.set_use_isolating(false);
    bundle.add_resource(FluentResource::try_new(file.to_owned()).ok()?).ok()?;
    Some(bundle)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, path::Path};

    use fluent_bundle::FluentResource;

    use super::MAILS;

    /// Each key of a file with the arguments that its text takes.
    fn keys(file: &Path) -> BTreeMap<String, Vec<String>> {
        let text = fs::read_to_string(file).unwrap();
        assert!(FluentResource::try_new(text.clone()).is_ok(), "{} cannot be read", file.display());
        let mut keys: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut key = String::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((name, _)) = line.split_once(" =").filter(|_| !line.starts_with(' ')) {
                key = name.to_owned();
                assert!(keys.insert(key.clone(), Vec::new()).is_none(), "{key} twice");
            }
            for (_, argument) in line.split("{ $").zip(line.split("{ $").skip(1)) {
                let name = argument.split([' ', '}']).next().unwrap().to_owned();
                let arguments_of_key = keys.get_mut(&key).unwrap();
                if !arguments_of_key.contains(&name) {
                    arguments_of_key.push(name);
                }
                arguments_of_key.sort();
            }
        }
        keys
    }

    #[test]
    fn both_languages_say_the_same_things() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("locales");
        let mut areas = 0;
        for file in fs::read_dir(root.join("de")).unwrap() {
            let name = file.unwrap().file_name();
            assert_eq!(keys(&root.join("de").join(&name)), keys(&root.join("en").join(&name)), "{name:?}");
            areas += 1;
        }
        assert_eq!(fs::read_dir(root.join("en")).unwrap().count(), areas);
        assert!(areas > 0);
    }

    #[test]
    fn texts_are_told_in_both_languages_and_lack_nothing() {
        let title = |language| MAILS.text(language, "confirm-subject", &[]).unwrap();
        assert_ne!(title("de"), title("en"));
        assert_eq!(title("fr"), title("de"));
        assert!(MAILS.text("en", "no-such-text", &[]).is_err());
        assert!(MAILS.text("en", "confirm-asked", &[]).is_err());
        let rendered = MAILS.text("en", "confirm-asked", &[("controller", "Example { $x }")]).unwrap();
        assert!(rendered.contains("Example { $x }"), "{rendered}");
    }
}
