//! The language of a page and its texts. Room: http/pages.

use axum::http::{HeaderMap, header::ACCEPT_LANGUAGE};
use chrono::{DateTime, Utc};

use crate::base::i18n::{LANGUAGES, MessageCatalog};

static PAGES: MessageCatalog = MessageCatalog::new(
    include_str!("../../../locales/de/pages.ftl"),
    include_str!("../../../locales/en/pages.ftl"),
);

/// Languages with their own names.
pub(super) const NAMES: [(&str, &str); 2] = [("de", "Deutsch"), ("en", "English")];

/// The texts of one language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Texts {
    pub(super) language: &'static str,
}

impl Texts {
    /// The texts in language `code`, if it is supported.
    pub(super) fn for_language(code: &str) -> Option<Self> {
        LANGUAGES.into_iter().find(|supported| *supported == code).map(|language| Self { language })
    }

    /// The preferred supported language of `Accept-Language` (RFC 9110, 12.5.4), otherwise the language `otherwise`.
    pub(super) fn negotiate(headers: &HeaderMap, otherwise: &str) -> Self {
        let values = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|value| value.to_str().ok());
        let mut best: Option<(u16, Self)> = None;
        for range in values.flat_map(|value| value.split(',')).take(50) {
            let (tag, weight) = weighed(range);
            let primary = tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
            let Some(texts) = Self::for_language(&primary) else { continue };
            if weight > 0 && best.is_none_or(|(most, _)| weight > most) {
                best = Some((weight, texts));
            }
        }
        let fallback = || Self::for_language(otherwise).unwrap_or(Self { language: "de" });
        best.map_or_else(fallback, |(_, texts)| texts)
    }

    /// The text for `key`.
    pub(super) fn say(self, key: &str) -> String {
        self.with(key, &[])
    }

    /// The text for `key` with `values` inserted; empty, with a log line, if it is missing.
    pub(super) fn with(self, key: &str, values: &[(&str, &str)]) -> String {
        PAGES.text(self.language, key, values).unwrap_or_default()
    }

    /// The text for `key`, if there is one: values from the policy or the schema may have none.
    pub(super) fn find(self, key: &str) -> Option<String> {
        PAGES.text(self.language, key, &[]).ok()
    }

    /// Formats an instant for people, in UTC and marked as such.
    pub(super) fn time(self, at: DateTime<Utc>) -> String {
        let form = if self.language == "de" { "%d.%m.%Y, %H:%M UTC" } else { "%-d %B %Y, %H:%M UTC" };
        at.format(form).to_string()
    }

    /// Formats a day for people.
    pub(super) fn day(self, at: DateTime<Utc>) -> String {
        at.format(if self.language == "de" { "%d.%m.%Y" } else { "%-d %B %Y" }).to_string()
    }

    /// Picks the text in this language.
    pub(super) fn pick<'t>(self, german: &'t str, english: &'t str) -> &'t str {
        if self.language == "de" { german } else { english }
    }
}

/// A language range with its weight in thousandths.
fn weighed(range: &str) -> (&str, u16) {
    let mut parts = range.split(';').map(str::trim);
    let tag = parts.next().unwrap_or_default();
    let weight =
        parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |text| text.parse::<f32>().ok());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000")]
    let weight = (weight.unwrap_or(0.0).clamp(0.0, 1.0) * 1000.0) as u16;
    (tag, weight)
}

/// Paragraphs of a text: parts between empty lines.
pub(super) fn paragraphs(text: &str) -> Vec<String> {
    let text = text.replace("\r\n", "\n");
    text.split("\n\n").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(accept: &str) -> &'static str {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_LANGUAGE, accept.parse().unwrap());
        Texts::negotiate(&headers, "de").language
    }

    #[test]
    fn the_language_liked_best_is_spoken() {
        assert_eq!(chosen("en-GB,en;q=0.9"), "en");
        assert_eq!(chosen("fr, en;q=0.3, de;q=0.7"), "de");
        assert_eq!(chosen("de;q=0, en;q=0.1"), "en");
        assert_eq!(chosen("DE-at"), "de");
        assert_eq!(chosen("en, de"), "en");
        for other in ["fr", "*", "", ";;,,q=", "en;q=0", "en;q=x"] {
            assert_eq!(chosen(other), "de", "{other}");
        }
        assert_eq!(Texts::negotiate(&HeaderMap::new(), "en").language, "en");
    }

    #[test]
    fn paragraphs_are_parts_between_empty_lines() {
        assert_eq!(paragraphs("a\nb\r\n\r\nc\n\n\n\n"), ["a\nb", "c"]);
    }
}
