//! The spellings under which version 1, which read texts as they were, filed objections. Room: base/identities.
//!
//! The list of version 1 holds digests, so an objection can only be found by guessing its spelling.

use std::collections::HashSet;

use super::{
    Identity, Kind,
    first::{address, email_key, fold, phone_key},
    mailboxes, plans,
};

/// Invisible characters that version 1 kept.
const INVISIBLE_CHARS: [char; 9] = [
    '\u{200b}', '\u{feff}', '\u{ad}', '\u{2060}', '\u{200e}', '\u{200f}', '\u{200d}', '\u{180e}', '\u{fe0f}',
];
/// Direction marks, in pairs.
const DIRECTION_MARKS: [(char, char); 4] =
    [('\u{202a}', '\u{202c}'), ('\u{202d}', '\u{202c}'), ('\u{2066}', '\u{2069}'), ('\u{2068}', '\u{2069}')];
/// What may enclose an address.
const WRAPPERS: [(&str, &str); 26] = [
    ("mailto:", ""),
    ("mailto: ", ""),
    ("smtp:", ""),
    ("<", ">"),
    ("< ", " >"),
    ("<mailto:", ">"),
    ("", "."),
    ("", ".."),
    ("", ","),
    ("", ";"),
    ("", "!"),
    ("'", "'"),
    ("\"", "\""),
    ("`", "`"),
    ("´", "´"),
    ("„", "“"),
    ("“", "”"),
    ("‚", "‘"),
    ("‘", "’"),
    ("«", "»"),
    ("»", "«"),
    ("(", ")"),
    ("[", "]"),
    ("e-mail: ", ""),
    ("email: ", ""),
    ("", " (privat)"),
];
/// Typographic dashes, which version 1 kept in numbers.
const DASHES: [char; 5] = ['\u{2010}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2212}'];
/// Zeros of scripts whose digits version 1 kept: Arabic, Persian, Devanagari.
const ZEROS: [u32; 3] = [0x660, 0x6f0, 0x966];
/// Words before and after a number, as version 1 kept them.
const WORDS_BEFORE: [&str; 15] = [
    "tel:", "tel", "telefon:", "telefon", "fon", "t", "mobil:", "mobil", "handy:", "handy", "phone:",
    "callto:", "buro:", "'", "+",
];
const WORDS_AFTER: [&str; 12] = [
    "privat",
    "priv",
    "mobil",
    "mobile",
    "handy",
    "buro",
    "geschaftlich",
    "dienstlich",
    "tagsuber",
    "abends",
    ",",
    ";",
];
/// Longest local part, in characters, for which the dots that Gmail ignores are tried.
const MAX_DOTTED_LOCAL_CHARS: usize = 24;

/// Every key under which version 1 may have filed an objection meant for `identity`: its key at the time and those of
/// the spellings it accepted. `texts` are stored raw texts of the identity, `names` the given and family name of a
/// record, if known. For postal addresses see [`postal_keys`].
pub fn keys(identity: &Identity, texts: &[&str], names: (Option<&str>, Option<&str>)) -> Vec<String> {
    let keys = match identity.kind() {
        Kind::Mailbox => mailbox_keys(identity, texts, names),
        Kind::Number => number_keys(identity, texts),
        Kind::Postal => Vec::new(),
    };
    once(keys)
}

fn once(mut keys: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    keys
}

fn mailbox_keys(identity: &Identity, texts: &[&str], names: (Option<&str>, Option<&str>)) -> Vec<String> {
    let mut keys: Vec<String> = texts.iter().map(|text| email_key(text)).collect();
    let mut bare = vec![identity.key().to_owned()];
    for text in texts {
        let (addresses, _) = mailboxes::read(text);
        bare.extend(
            addresses
                .into_iter()
                .filter(|address| address.key() == identity.key())
                .map(|address| address.text()),
        );
    }
    let called = display_names(names);
    for address in once(bare) {
        let Some((local, domain)) = address.rsplit_once('@') else { continue };
        let local = local.trim_matches('"');
        let (shown, _) = idna::domain_to_unicode(domain);
        let twin = Some("googlemail.com").filter(|_| domain == "gmail.com");
        for domain in [Some(domain), Some(shown.as_str()).filter(|shown| *shown != domain), twin] {
            let Some(domain) = domain else { continue };
            around(local, domain, &called, &mut keys);
            for variant in variants(local, domain) {
                keys.push(email_key(&format!("{variant}@{domain}")));
            }
        }
        keys.push(email_key(&full_width(&address)));
    }
    keys
}

/// An address with everything that may occur in and around it.
fn around(local: &str, domain: &str, called: &[String], keys: &mut Vec<String>) {
    let address = format!("{local}@{domain}");
    let mut push = |text: String| keys.push(email_key(&text));
    push(address.clone());
    for (before, behind) in WRAPPERS {
        push(format!("{before}{address}{behind}"));
    }
    for unseen in INVISIBLE_CHARS {
        push(format!("{unseen}{address}"));
        push(format!("{local}{unseen}@{domain}"));
        push(format!("{address}{unseen}"));
    }
    for (open, close) in DIRECTION_MARKS {
        push(format!("{open}{address}{close}"));
    }
    for text in [
        format!("\"{local}\"@{domain}"),
        format!("'{local}'@{domain}"),
        format!("{local} @{domain}"),
        format!("{local}@ {domain}"),
        format!("{local} @ {domain}"),
        format!("{address} <{address}>"),
        format!("'{address}' <{address}>"),
        format!("\"{address}\" <{address}>"),
    ] {
        push(text);
    }
    for name in called {
        push(format!("{name} <{address}>"));
        push(format!("{name}<{address}>"));
        push(format!("\"{name}\" <{address}>"));
        push(format!("'{name}' <{address}>"));
        push(format!("{name} {address}"));
        push(format!("{name}: {address}"));
        push(format!("{address} ({name})"));
    }
}

/// Variants of a local part: full-width, with a final sigma, with dots that its domain ignores.
fn variants(local: &str, domain: &str) -> Vec<String> {
    let mut others = vec![full_width(local)];
    if local.contains('σ') {
        others.push(local.replace('σ', "ς"));
        others.extend(local.strip_suffix('σ').map(|start| format!("{start}ς")));
    }
    if matches!(domain, "gmail.com" | "googlemail.com")
        && local.is_ascii()
        && local.len() <= MAX_DOTTED_LOCAL_CHARS
    {
        let dotted = |at: usize, text: &str| text.split_at_checked(at).map(|(a, b)| format!("{a}.{b}"));
        for first in 1..local.len() {
            let Some(once) = dotted(first, local) else { continue };
            others.extend((first + 2..=local.len()).filter_map(|second| dotted(second, &once)));
            others.push(once);
        }
    }
    others
}

/// The display names that may precede an address.
fn display_names((given, family): (Option<&str>, Option<&str>)) -> Vec<String> {
    let part = |part: Option<&str>| part.map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned);
    match (part(given), part(family)) {
        (Some(given), Some(family)) => vec![
            format!("{given} {family}"),
            format!("{family}, {given}"),
            format!("{family} {given}"),
            given,
            family,
        ],
        (given, family) => given.into_iter().chain(family).collect(),
    }
}

/// A text in full-width characters.
fn full_width(text: &str) -> String {
    let wide = |c: char| match c {
        '!'..='~' => char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c),
        c => c,
    };
    text.chars().map(wide).collect()
}

fn number_keys(identity: &Identity, texts: &[&str]) -> Vec<String> {
    let mut spelt: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    for key in identity.keys() {
        let parted = key.strip_prefix('+').and_then(plans::country_code);
        let Some((code, national)) = parted else {
            spelt.push(key.clone());
            spelt.extend(with_words(key));
            continue;
        };
        let prefix =
            plans::for_country_code(code).first().and_then(|plan| plan.trunk_prefix()).unwrap_or("0");
        let at_home = format!("{prefix}{national}");
        let with_zero = format!("+{code}0{national}");
        spelt.extend([key.clone(), at_home.clone(), with_zero.clone()]);
        spelt.extend([key, &at_home, &with_zero].into_iter().flat_map(|form| with_words(form)));
        spelt.extend([
            national.to_owned(),
            format!("{code}{national}"),
            format!("{code}0{national}"),
            format!("+{code}{prefix}{national}"),
            format!("+{code}[0]{national}"),
            format!("+00{code}{national}"),
            format!("tel:00{code}{national}"),
            format!("tel:{prefix}{national};phone-context=+{code}"),
            format!("tel:{national};phone-context=+{code}"),
        ]);
        for zero in ZEROS {
            spelt.extend([in_script(key, zero), in_script(&at_home, zero)]);
        }
        // After the country code and the area code.
        for dash in DASHES {
            spelt.push(format!("+{code}{dash}{national}"));
            for at in 2..=5 {
                let Some((area, rest)) = national.split_at_checked(at) else { continue };
                spelt.extend([
                    format!("{prefix}{area}{dash}{rest}"),
                    format!("+{code}{area}{dash}{rest}"),
                    format!("+{code}{dash}{area}{dash}{rest}"),
                ]);
            }
        }
    }
    spelt.iter().map(|number| phone_key(number)).collect()
}

/// A number with the digits of another script.
fn in_script(number: &str, zero: u32) -> String {
    let digit = |c: char| c.to_digit(10).and_then(|digit| char::from_u32(zero + digit)).unwrap_or(c);
    number.chars().map(digit).collect()
}

fn with_words(number: &str) -> impl Iterator<Item = String> {
    let before = WORDS_BEFORE.iter().map(move |word| format!("{word}{number}"));
    before.chain(WORDS_AFTER.iter().map(move |word| format!("{number}{word}")))
}

/// Every key under which version 1 may have filed an objection meant for an address (street, postal code, city,
/// country): its key at the time, with the usual spellings of street and country.
pub fn postal_keys(parts: [Option<&str>; 4]) -> Vec<String> {
    /// Names of the country in which version 1 was used.
    const HOME: [&str; 5] = ["DE", "D", "DEU", "Deutschland", "Germany"];
    let [street, code, city, country] = parts;
    let folded = street.map(fold).unwrap_or_default();
    let mut streets = vec![street.map(str::to_owned)];
    for (from, to) in [
        ("strasse", "str."),
        ("strasse", "str"),
        ("str.", "strasse"),
        ("str.", "str"),
        ("str ", "strasse "),
        ("str ", "str. "),
    ] {
        streets.extend(Some(folded.replace(from, to)).filter(|variant| *variant != folded).map(Some));
    }
    let folded = country.map(fold).unwrap_or_default();
    let at_home = folded.is_empty() || HOME.iter().any(|name| fold(name) == folded);
    let mut countries = vec![country];
    if at_home {
        countries.push(None);
        countries.extend(HOME.map(Some));
    }
    let mut codes = vec![code.map(str::to_owned)];
    codes.extend(code.filter(|_| at_home).map(|code| match code.strip_prefix("D-") {
        Some(code) => Some(code.to_owned()),
        None => Some(format!("D-{code}")),
    }));
    let mut keys = Vec::new();
    for street in &streets {
        for code in &codes {
            for city in [city, None] {
                for country in &countries {
                    keys.extend(address([street.as_deref(), code.as_deref(), city, *country]));
                }
            }
        }
    }
    once(keys)
}

#[cfg(test)]
mod tests {
    use super::{address, email_key, fold, keys, phone_key, postal_keys};
    use crate::base::identities::{Reader, tests::lines};

    /// The digests of the old list are made of these keys.
    #[test]
    fn version_1_is_frozen() {
        let all = lines(include_str!("../../../tests/data/identities/first.tsv"));
        assert!(all.len() > 40);
        for line in all {
            let [kind, text, expected] = line.as_slice() else { panic!("{line:?}") };
            let key = match kind.as_str() {
                "fold" => fold(text),
                "mailbox" => email_key(text),
                "dialled" => phone_key(text),
                _ => {
                    let parts: Vec<Option<&str>> = text.split('|').map(Some).collect();
                    address(parts.try_into().unwrap()).unwrap_or("-".to_owned())
                }
            };
            assert_eq!(key, *expected, "{kind} {text:?}");
        }
        assert_eq!(address([None; 4]), None);
    }

    /// However an objection was spelt under version 1, it is found by the mailbox or number it was meant for.
    #[test]
    fn a_no_of_version_1_is_found() {
        let reader = Reader::default();
        let names = (Some("Ada"), Some("Muster"));
        let ada = reader.emails("ada@example.com").identities.remove(0);
        let found = keys(&ada, &["Ada <ADA@example.com> (new)"], names);
        for spelt in [
            "ada@example.com",
            "ADA@Example.COM ",
            "Ada Muster <ada@example.com>",
            "Muster, Ada <ada@example.com>",
            "\"Muster, Ada\" <ada@example.com>",
            "muster ada <ada@example.com>",
            "Ada <ada@example.com>",
            "Muster <ada@example.com>",
            "<ada@example.com>",
            "mailto:ada@example.com",
            "\u{200b}ada@example.com",
            "\u{feff}ada@example.com",
            "ada\u{ad}@example.com",
            "\u{202a}ada@example.com\u{202c}",
            "ada@example.com.",
            "ada@exam\u{ad}ple.com",
            "ada @example.com",
            "'ada@example.com'",
            "\"ada@example.com\"",
            "„ada@example.com“",
            "\"ada\"@example.com",
            "ａｄａ@example.com",
            "ada@example。com",
            "ada <ada@example.com> (new)",
        ] {
            assert!(found.contains(&email_key(spelt)), "{spelt:?}");
        }
        assert!(found.len() < 200, "{}", found.len());

        let gmail = reader.emails("ada.muster@gmail.com").identities.remove(0);
        let found = keys(&gmail, &["ada.muster+shop@gmail.com"], names);
        for spelt in [
            "ada.muster@gmail.com",
            "adamuster@googlemail.com",
            "a.da.muster@gmail.com",
            "<ada.muster+shop@gmail.com>",
        ] {
            assert!(found.contains(&email_key(spelt)), "{spelt:?}");
        }
        let greek = reader.emails("νικος@example.org").identities.remove(0);
        assert!(keys(&greek, &[], names).contains(&email_key("ΝΙΚΟς@example.org")));
        let idn = reader.emails("anna@münchen.example").identities.remove(0);
        assert!(keys(&idn, &[], names).contains(&email_key("<anna@münchen.example>")));

        let number = reader.numbers("+49 171 3920012").identities.remove(0);
        let found = keys(&number, &["0171 3920012 / 030 23125001"], names);
        for spelt in [
            "+49 171 3920012",
            "0049 171/3920012",
            "+49 (0) 171 3920012",
            "+49(0)171-3920012",
            "0171 3920012",
            "171 3920012",
            "49 171 3920012",
            "0171–3920012",
            "+49 171–3920012",
            "tel:+49-171-3920012",
            "０１７１ ３９２００１２",
            "٠١٧١ ٣٩٢٠٠١٢",
            "+49 171 3920012 (privat)",
            "Mobil: 0171 3920012",
            "0171 3920012 / 030 23125001",
            "tel:0171-3920012;phone-context=+49",
        ] {
            assert!(found.contains(&phone_key(spelt)), "{spelt:?}");
        }
        assert!(found.len() < 250, "{}", found.len());

        let found = postal_keys([Some("Hauptstraße 12"), Some("70173"), Some("Stuttgart"), Some("DE")]);
        for (street, code, country) in [
            ("Hauptstraße 12", "70173", Some("DE")),
            ("HAUPTSTRASSE 12", "70173", None),
            ("Hauptstr. 12", "70173", Some("Deutschland")),
            ("Hauptstr 12", "D-70173", Some("Germany")),
        ] {
            let key = address([Some(street), Some(code), Some("Stuttgart"), country]).unwrap();
            assert!(found.contains(&key), "{key}");
        }
        assert!(found.len() < 100, "{}", found.len());
    }
}
