//! Streets as people write them beside the usual form: the number first or with zeros, a floor, a name in care of whom (floor 1).
//!
//! Part of the third rules of keys ([`super::Reader`]), which the list holds digests of: frozen with them.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::text;

/// What lies within brackets.
static BRACKETS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\([^()]*\)|\[[^\[\]]*\]").ok());
/// A part that names a person in whose care, or to whose attention, a letter goes.
static CARE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)^\s*(?:c\s*[/.]\s*o\b|z\.?\s*h(?:d|dn)?\.|zu\s+h[aä]nden\b)").ok());
/// Words of a floor, with its number and its side.
const FLOOR: &str = r"(?:\d{1,2}\s*\.?\s*)?(?:(?:ober|erd|dach|unter|zwischen)geschoss|(?:ober|erd|dach|unter|zwischen)geschoß|hochparterre|parterre|souterrain|og|eg|dg|ug|stock(?:werk)?|etage|floor)\b\.?";
const SIDE: &str = r"(?:\s*,?\s*(?:links|rechts|mitte|hinten|vorne?|li|re|mi)\b\.?)?";
/// A part that is nothing but a floor.
static FLOOR_ALONE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(&format!(r"(?i)^\s*(?:im\s+)?{FLOOR}{SIDE}\s*$|^\s*(?:links|rechts|mitte)\s*$")).ok()
});
/// A floor behind the number of a house.
static FLOOR_BEHIND: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(&format!(r"(?i)(\d\s?[a-z]?)[\s/-]+{FLOOR}{SIDE}\s*$")).ok());
/// A number with a letter at most, and a street without any number behind it.
static NUMBER_FIRST: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^\s*(\d{1,4}(?:\s?[A-Za-z]|\s?-\s?\d{1,4})?)(?:\s*,\s*|\s+)(\p{L}[^\d]*\p{L}\.?)\s*$").ok()
});
/// Zeros before a number.
static ZEROS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(^|[^\d])0+(\d)").ok());

/// The street and number alone. What it cannot take apart stays as it is; so does a text of nothing else.
pub fn usual(street: &str) -> String {
    let seen = text::seen(street);
    let open = replace(&BRACKETS, &seen, " ");
    let parts: Vec<&str> = open.split([',', ';', '\n', '\r']).collect();
    let tells =
        |part: &&&str| !(part.trim().is_empty() || matches(&CARE, part) || matches(&FLOOR_ALONE, part));
    let kept: Vec<&str> = parts.iter().filter(tells).copied().collect();
    if kept.is_empty() {
        return seen;
    }
    // What was apart stays so: a square and its number, e.g. in Mannheim.
    let kept = kept.join(",");
    let kept = replace(&FLOOR_BEHIND, &kept, "$1");
    let kept = match &*NUMBER_FIRST {
        Some(pattern) => {
            pattern.replace(&kept, |found: &Captures<'_>| format!("{} {}", &found[2], &found[1])).into_owned()
        }
        None => kept,
    };
    replace(&ZEROS, &kept, "$1$2").trim().to_owned()
}

fn replace(pattern: &LazyLock<Option<Regex>>, text: &str, by: &str) -> String {
    match &**pattern {
        Some(pattern) => pattern.replace_all(text, by).into_owned(),
        None => text.to_owned(),
    }
}

fn matches(pattern: &LazyLock<Option<Regex>>, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identities::Reader;

    fn key(street: &str) -> Option<String> {
        Reader::default().postal_key([Some(street), Some("10969"), None, None])
    }

    #[test]
    fn patterns_are_sound() {
        for pattern in [&BRACKETS, &CARE, &FLOOR_ALONE, &FLOOR_BEHIND, &NUMBER_FIRST, &ZEROS] {
            assert!(pattern.is_some());
        }
    }

    #[test]
    fn one_letter_box_has_one_key() {
        for same in [
            &[
                "Hauptstraße 1",
                "Hauptstr. 01",
                "1 Hauptstraße",
                "Hauptstr. 1 (2. OG)",
                "Hauptstr. 1, 2. OG links",
                "Hauptstr. 1, Erdgeschoss",
                "c/o Meier, Hauptstraße 1",
                "Hauptstraße 1, c/o Meier",
                "1, Hauptstr.",
                "Hauptstr. 1 EG",
                "Hauptstraße 1 2. Stock",
                "Hauptstr. 1, 3. Etage",
                "z. Hd. Frau Meier\nHauptstr. 001",
                "Haupt-Str. Nr. 1 [Hinterhof]",
            ][..],
            &[
                "Am Alten Markt 12 a",
                "12a Am Alten Markt",
                "Am Alten Markt 012A",
                "Am alten Markt 12a, 1. Obergeschoss rechts",
            ],
            &["Straße des 17. Juni 135", "Straße des 17. Juni 135 (Raum 4)"],
            &["Q7, 24", "Q 7, 24", "Q7,24"],
            &["Lange Reihe 3-5", "3-5 Lange Reihe", "Lange Reihe 03-05"],
        ] {
            for spelling in same {
                assert_eq!(key(spelling), key(same[0]), "{spelling}");
            }
        }
    }

    #[test]
    fn other_letter_boxes_have_other_keys() {
        let all = [
            "Hauptstraße 1",
            "Hauptstraße 10",
            "Hauptstraße 11",
            "Hauptstraße 1a",
            "Hauptstraße 1/2",
            "Hauptstraße 1/12",
            "Hauptstraße 1 Top 5",
            "Straße des 17. Juni 1",
            "17. Juni",
            "Postfach 1",
            "Postfach 100",
            "Q7, 24",
            "Q7, 2",
            "Hauptstraße",
            "1. Mai-Straße 5",
            "Stockstraße 1",
            "Eglistraße 1",
            "Etagenweg 1",
            "Am Stock 1",
            "Ogstraße 1",
        ];
        for (at, one) in all.iter().enumerate() {
            for other in &all[at + 1..] {
                assert_ne!(key(one), key(other), "{one} and {other}");
            }
        }
    }

    #[test]
    fn a_text_that_tells_no_street_stays() {
        for text in ["(2. OG)", "c/o Meier", "2. OG", "", ","] {
            assert_eq!(usual(text), text, "{text}");
        }
    }

    /// Entries hold digests of these.
    #[test]
    fn keys_of_rules_are_as_they_were() {
        let second = Reader::of_version("2:DE").unwrap();
        assert_eq!(second.version(), "2:DE");
        for (street, second_key, third_key) in [
            ("Hauptstr. 01", "hauptstrasse01|10969||", "hauptstrasse1|10969||"),
            ("1 Hauptstraße", "1hauptstrasse|10969||", "hauptstrasse1|10969||"),
            ("Hauptstr. 1 (2. OG)", "hauptstrasse1 2og|10969||", "hauptstrasse1|10969||"),
            ("c/o Meier, Hauptstr. 1", "comeierhauptstrasse1|10969||", "hauptstrasse1|10969||"),
            ("Hauptstr. 1/2", "hauptstrasse1/2|10969||", "hauptstrasse1/2|10969||"),
            ("Am Markt 12 a", "ammarkt12a|10969||", "ammarkt12a|10969||"),
        ] {
            let parts = [Some(street), Some("10969"), None, None];
            assert_eq!(second.postal_key(parts).as_deref(), Some(second_key), "{street}");
            assert_eq!(key(street).as_deref(), Some(third_key), "{street}");
        }
        assert_eq!(Reader::of_version("4:DE"), None);
        assert_eq!(Reader::of_version("1"), None);
    }
}
