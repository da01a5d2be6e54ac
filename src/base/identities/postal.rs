//! Normalises postal addresses so that all spellings of a delivery address give one key. Room: base/identities.

use sha2::{Digest, Sha256};

use super::{region::Region, text};
use crate::base::fold::fold;

/// The longest key that is kept in full, in bytes.
const MAX_KEY_BYTES: usize = 1_000;

/// The key of an address: street, postal code, city and country; `usual` is applied to the normalised street.
pub fn key(
    region: Option<Region>,
    parts: [Option<&str>; 4],
    usual: impl Fn(String) -> String,
) -> Option<String> {
    let [street, code, city, country] = parts.map(|part| text::visible(part.unwrap_or_default()));
    let street = usual(street_of(&street));
    let (code, prefix) = postal_code(&code);
    let city = if code.is_empty() { compact(&city) } else { String::new() };
    if street.is_empty() && code.is_empty() && city.is_empty() {
        return None;
    }
    let mut country = country_of(&country);
    if country.is_empty() {
        country = prefix.unwrap_or_default().to_owned();
    }
    if region.is_some_and(|region| region.to_string().eq_ignore_ascii_case(&country)) {
        country.clear();
    }
    let key = format!("{street}|{code}|{city}|{country}");
    if key.len() <= MAX_KEY_BYTES {
        return Some(key);
    }
    // A key stored in full never looks like this: it always has bars between its parts.
    let digits = hex::encode(Sha256::digest(&key));
    Some(format!("sha256:{digits}"))
}

/// Whether letters can be delivered: to a street or post office box in a place.
pub fn is_delivered(parts: [Option<&str>; 4]) -> bool {
    let [street, code, city, _] = parts.map(|part| compact(&text::visible(part.unwrap_or_default())));
    !street.is_empty() && (!code.is_empty() || !city.is_empty())
}

/// A family name in the form that distinguishes households.
pub fn name(family_name: Option<&str>) -> Option<String> {
    let name = compact(&text::visible(family_name?));
    (!name.is_empty()).then_some(name)
}

/// Folded, letters and digits only.
fn compact(text: &str) -> String {
    fold(text)
        .chars()
        .filter(|c| c.is_alphanumeric() || unicode_normalization::char::is_combining_mark(*c))
        .collect()
}

/// A word of a street, and the separator before it.
struct Word {
    text: String,
    before: String,
}

/// Splits into words, letters and digits apart.
fn words(folded: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut before = String::new();
    let mut going = false;
    for c in folded.chars() {
        if !c.is_alphanumeric() && !unicode_normalization::char::is_combining_mark(c) {
            before.push(c);
            going = false;
            continue;
        }
        let same = |last: &Word| {
            let digit = last.text.chars().next_back().is_some_and(|c| c.is_ascii_digit());
            digit == c.is_ascii_digit()
        };
        match words.last_mut().filter(|last| going && same(last)) {
            Some(last) => last.text.push(c),
            None => words.push(Word { text: c.to_string(), before: std::mem::take(&mut before) }),
        }
        going = true;
    }
    words
}

/// A street and number in one of its usual spellings.
fn street_of(street: &str) -> String {
    let words = words(&fold(street));
    let mut out = String::new();
    let mut last: Option<&Word> = None;
    let is_number = |word: &Word| word.text.starts_with(|c: char| c.is_ascii_digit());
    let is_mark = |word: &Word| is_number(word) || word.text.chars().count() == 1;
    for (at, word) in words.iter().enumerate() {
        let next_is_number = words.get(at + 1).is_some_and(is_number);
        if matches!(word.text.as_str(), "nr" | "no" | "hausnr" | "hausnummer" | "nummer")
            && next_is_number
            && at > 0
        {
            continue;
        }
        let within = last.is_some_and(is_mark) && out.ends_with(|c: char| c.is_alphanumeric()) && at > 0;
        if within && is_mark(word) && out.contains(|c: char| c.is_ascii_digit()) {
            if word.before.contains('-') && (is_number(word) || !last.is_some_and(is_number)) {
                out.push('-');
            } else if word.before.contains('/') {
                out.push('/');
            } else if last.is_some_and(is_number) && is_number(word) && !out.starts_with("postfach") {
                out.push(' ');
            }
        }
        let dotted = words.get(at + 1).map_or(street.trim_end(), |next| next.before.as_str());
        let cut = if at + 1 < words.len() { dotted.starts_with('.') } else { dotted.ends_with('.') };
        out.push_str(&expand(&word.text, cut));
        last = Some(word);
    }
    out
}

/// Expands an abbreviated word; `cut` if a dot follows.
fn expand(word: &str, cut: bool) -> String {
    match word {
        word if cut && word.ends_with("pl") => format!("{word}atz"),
        "pl" => "platz".to_owned(),
        "st" => "sankt".to_owned(),
        "doktor" => "dr".to_owned(),
        "professor" => "prof".to_owned(),
        word => match word.strip_suffix("str") {
            Some(name) => format!("{name}strasse"),
            None => word.to_owned(),
        },
    }
}

/// Countries: their names in German and English, and their codes (ISO 3166-1 and vehicle registration codes).
const COUNTRIES: [(&str, &[&str]); 11] = [
    ("de", &["de", "deu", "d", "deutschland", "germany", "bundesrepublikdeutschland", "brd", "allemagne"]),
    ("at", &["at", "aut", "a", "osterreich", "oesterreich", "austria", "republikosterreich"]),
    ("ch", &["ch", "che", "schweiz", "switzerland", "suisse", "svizzera", "dieschweiz"]),
    ("li", &["li", "lie", "fl", "liechtenstein", "furstentumliechtenstein"]),
    ("lu", &["lu", "lux", "l", "luxemburg", "luxembourg"]),
    ("fr", &["fr", "fra", "f", "frankreich", "france"]),
    ("nl", &["nl", "nld", "niederlande", "netherlands", "thenetherlands", "holland", "nederland"]),
    ("be", &["be", "bel", "b", "belgien", "belgium", "belgique", "belgie"]),
    ("dk", &["dk", "dnk", "danemark", "daenemark", "denmark", "danmark"]),
    ("pl", &["pl", "pol", "polen", "poland", "polska"]),
    (
        "cz",
        &[
            "cz",
            "cze",
            "tschechien",
            "czechia",
            "czechrepublic",
            "tschechischerepublik",
            "ceskarepublika",
            "cesko",
        ],
    ),
];
/// Italy, separately, because the table would exceed the line length.
const ITALY: [&str; 6] = ["it", "ita", "i", "italien", "italy", "italia"];

/// The code of a country by its name, or the folded name.
fn country_of(country: &str) -> String {
    let name = compact(country);
    match code_by_name(&name) {
        Some(code) => code.to_owned(),
        None => name,
    }
}

fn code_by_name(name: &str) -> Option<&'static str> {
    if ITALY.contains(&name) {
        return Some("it");
    }
    COUNTRIES.iter().find(|(_, names)| names.contains(&name)).map(|(code, _)| *code)
}

/// A postal code without blanks, and the country prefix before it.
fn postal_code(code: &str) -> (String, Option<&'static str>) {
    let letters: String = code.trim().chars().take_while(|c| c.is_alphabetic()).collect();
    let rest = code.trim().get(letters.len()..).unwrap_or_default();
    let compact = |text: &str| {
        let kept = text.chars().filter(|c| c.is_alphanumeric());
        kept.flat_map(char::to_uppercase).collect::<String>()
    };
    let apart = rest.starts_with(|c: char| c == '-' || c.is_whitespace());
    let digits = rest.trim_start_matches(|c: char| c == '-' || c.is_whitespace());
    let sound = digits.starts_with(|c: char| c.is_ascii_digit())
        && (apart || (letters.len() == 1 && digits.len() > 3 && digits.chars().all(|c| c.is_ascii_digit())));
    match code_by_name(&letters.to_lowercase()).filter(|_| sound && letters.len() <= 2) {
        Some(country) => (compact(digits), Some(country)),
        None => (compact(code), None),
    }
}
