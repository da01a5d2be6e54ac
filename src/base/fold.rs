//! Folds text for comparison, identically on every database. Room: base.
//!
//! NFKD, Latin and Greek letters without their marks (elsewhere marks make other letters), lower case, trimmed.
//! PostgreSQL text columns have `COLLATE "C"`.

use sha2::{Digest, Sha256};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// The folded form of `text`: compatibility-decomposed (NFKD), Latin and Greek letters without their marks, lower
/// case, `ß` as `ss`, final sigma as sigma, white space trimmed. Marks of other scripts stay because they make
/// different letters. Stored beside its source in a companion column and compared bytewise, so that SQLite and
/// PostgreSQL find and order the same rows.
pub fn fold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut marked = false;
    for c in text.trim().nfkd() {
        if is_combining_mark(c) {
            if !marked {
                out.push(c);
            }
            continue;
        }
        marked = c.is_ascii() || matches!(c, '\u{80}'..='\u{24f}' | '\u{370}'..='\u{3ff}');
        match c {
            'ß' | 'ẞ' => out.push_str("ss"),
            'ø' | 'Ø' => out.push('o'),
            'ł' | 'Ł' => out.push('l'),
            'æ' | 'Æ' => out.push_str("ae"),
            'œ' | 'Œ' => out.push_str("oe"),
            'đ' | 'Đ' => out.push('d'),
            'ς' => out.push('σ'),
            c => out.extend(c.to_lowercase()),
        }
    }
    out
}

/// The shortest word, in characters, in which a search treats `ae`, `oe` and `ue` as one letter.
const MIN_DIGRAPH_WORD_CHARS: usize = 4;

/// The words of a search, each with the folded forms that may match: the word itself; an umlaut as two letters and
/// two letters as an umlaut, as Germans type them; `i` with and without its dot. Hyphenated words are split. For
/// searching only: no key is built from these forms.
pub fn search_words(query: &str) -> Vec<Vec<String>> {
    let parts = query.split(|c: char| c.is_whitespace() || matches!(c, '-' | '\u{2010}' | '\u{2011}'));
    parts.map(forms).filter(|forms| !forms.is_empty()).collect()
}

fn forms(word: &str) -> Vec<String> {
    let plain = fold(word);
    if plain.is_empty() {
        return Vec::new();
    }
    let long: String = word.nfc().fold(String::new(), |mut out, c| {
        match c {
            'ä' | 'Ä' => out.push_str("ae"),
            'ö' | 'Ö' => out.push_str("oe"),
            'ü' | 'Ü' => out.push_str("ue"),
            c => out.push(c),
        }
        out
    });
    let mut forms = vec![fold(&long)];
    if plain.chars().count() >= MIN_DIGRAPH_WORD_CHARS {
        forms.push(plain.replace("ae", "a").replace("oe", "o").replace("ue", "u"));
    }
    forms.insert(0, plain);
    for index in 0..forms.len() {
        let Some(form) = forms.get(index).cloned() else { continue };
        forms.push(form.replace('ı', "i"));
        forms.push(form.replace('i', "ı"));
    }
    let mut seen = std::collections::BTreeSet::new();
    forms.retain(|form| seen.insert(form.clone()));
    forms
}

/// The key of a mailbox, to which e-mail consents are bound: composed (NFC) and lower case. Accents are kept because
/// they distinguish mailboxes. The domain is normalised (UTS 46), so that every spelling gives the same key.
pub fn email_key(email: &str) -> String {
    let composed: String = email.trim().nfc().flat_map(char::to_lowercase).collect();
    let Some((local, domain)) = composed.rsplit_once('@') else { return composed };
    if domain.is_ascii() && !domain.contains("xn--") {
        return composed;
    }
    match idna::domain_to_ascii(domain) {
        Ok(domain) => format!("{local}@{domain}"),
        Err(_) => composed,
    }
}

/// The key of a phone number: its digits without separators, `+` for the international prefix `00`, and its
/// extension.
pub fn phone_key(phone: &str) -> String {
    let number: String =
        fold(phone).chars().filter(|c| !c.is_whitespace() && !"-/().".contains(*c)).collect();
    match number.strip_prefix("00") {
        Some(rest) => format!("+{rest}"),
        None => number,
    }
}

/// The key of a postal address, to which consents for letters are bound: street, postal code, city and country
/// folded, or their SHA-256 if they are too long for an index. `None` for an address without any part.
pub fn address(parts: [Option<&str>; 4]) -> Option<String> {
    let parts = parts.map(Option::unwrap_or_default);
    if parts.iter().all(|part| part.is_empty()) {
        return None;
    }
    let key = fold(&parts.join("|"));
    if key.len() <= MAX_KEY_BYTES {
        return Some(key);
    }
    // A key stored in full never looks like this: it always has bars between its parts.
    let digits = hex::encode(Sha256::digest(&key));
    Some(format!("sha256:{digits}"))
}

/// The longest key of a postal address that is stored in full, in bytes.
const MAX_KEY_BYTES: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::{MAX_KEY_BYTES, address, email_key, fold, search_words};

    #[test]
    fn keys_of_addresses_tell_them_apart_and_stay_short() {
        let long = "漢".repeat(500);
        let key = |city: &str| address([Some(&long), Some(&long), Some(city), Some("JP")]).unwrap();
        assert_ne!(key("Tokyo"), key("Kyoto"));
        assert_eq!(key("Tokyo"), key("TOKYO"));
        assert!(key("Tokyo").len() < MAX_KEY_BYTES && !key("Tokyo").contains('|'));
        assert_eq!(address([Some("Straße 1"), None, Some("Ulm"), None]).unwrap(), "strasse 1||ulm|");
        assert_eq!(address([None; 4]), None);
    }

    #[test]
    fn mailboxes_keep_their_accents() {
        assert_eq!(email_key(" Käthe@Example.ORG"), email_key("ka\u{308}the@example.org"));
        assert_ne!(email_key("käthe@example.org"), email_key("kathe@example.org"));
        // One mailbox, whatever the spelling of its domain.
        let plain = email_key("anna@example.org");
        for spelling in ["anna@EXAMPLE.org", "anna@\u{ff45}xample.org", "anna@\u{1d41e}xample.org"] {
            assert_eq!(email_key(spelling), plain, "{spelling}");
        }
        assert_eq!(email_key("anna@münchen.example"), email_key("anna@xn--mnchen-3ya.example"));
        assert_ne!(email_key("anna@münchen.example"), email_key("anna@munchen.example"));
    }

    #[test]
    fn a_search_finds_names_however_germans_type_them() {
        // A form of the word occurs in the folded name.
        let finds = |query: &str, name: &str| {
            let name = fold(name);
            search_words(query).iter().all(|forms| forms.iter().any(|form| name.contains(form.as_str())))
        };
        for (query, name) in [
            ("mueller", "Müller"),
            ("Müller", "Mueller"),
            ("muller", "Müller"),
            ("Mueller-Luedenscheidt", "Müller-Lüdenscheidt"),
            ("Müller Lüdenscheidt", "Müller-Lüdenscheidt"),
            ("Müller-Lüdenscheidt", "Mueller Luedenscheidt"),
            ("Aydin", "Aydın"),
            ("Aydın", "Aydin"),
            ("yildiz", "Yıldız"),
            ("strasse", "Straße"),
            ("Weiß", "Weiss"),
            ("goethe", "Goethe"),
            ("Manuela", "Manuela"),
        ] {
            assert!(finds(query, name), "{query} {name}");
        }
        for (query, name) in [("Meier", "Müller"), ("Mahler", "Müller"), ("ue", "Uhl")] {
            assert!(!finds(query, name), "{query} {name}");
        }
        assert!(search_words(" - ").is_empty());
    }

    #[test]
    fn folds_case_accents_and_sharp_s() {
        assert_eq!(fold("  Köhler "), "kohler");
        assert_eq!(fold("STRASSE"), fold("Straße"));
        assert_eq!(fold("Łódź"), "lodz");
        assert_eq!(fold("ﬁn"), "fin");
        assert_eq!(fold("Άγγελος"), fold("ΑΓΓΕΛΟΣ"));
        // Different letters, not accents.
        assert_ne!(fold("が"), fold("か"));
        assert_ne!(fold("Андрей"), fold("Андреи"));
        assert_eq!(fold("АНДРЕЙ"), fold("андрей"));
    }
}
