//! Version 1 of the keys, as commit b479e26 made them, and every spelling under which it may have filed a no (floor 1).
//!
//! Frozen: the suppression list holds digests of these keys and no text, so what is changed here is lost there.

use sha2::{Digest, Sha256};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::{Identity, Kind, numbers};

/// The folded form of a text, as version 1 made it.
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

/// The key of a mailbox, as version 1 made it.
pub fn mailbox(email: &str) -> String {
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

/// The key of a number, as version 1 made it.
pub fn dialled(phone: &str) -> String {
    let number: String =
        fold(phone).chars().filter(|c| !c.is_whitespace() && !"-/().".contains(*c)).collect();
    match number.strip_prefix("00") {
        Some(rest) => format!("+{rest}"),
        None => number,
    }
}

/// The key of a postal address, as version 1 made it.
pub fn address(parts: [Option<&str>; 4]) -> Option<String> {
    let parts = parts.map(Option::unwrap_or_default);
    if parts.iter().all(|part| part.is_empty()) {
        return None;
    }
    let key = fold(&parts.join("|"));
    if key.len() <= LONGEST_KEY {
        return Some(key);
    }
    let digits = Sha256::digest(&key).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Some(format!("sha256:{digits}"))
}

/// Bytes of the longest key of a postal address that version 1 kept in full.
const LONGEST_KEY: usize = 1_000;

/// Characters that nobody sees and that version 1 kept.
const UNSEEN: [char; 4] = ['\u{200b}', '\u{feff}', '\u{ad}', '\u{2060}'];

/// Every key under which version 1 may have filed a no that was meant for `identity`: its key of then and those of the spellings
/// that it accepted. `texts` are stored raw texts of the identity, `names` given and family name of a record, where known.
/// For postal addresses see [`postal_keys`].
pub fn keys(identity: &Identity, texts: &[&str], names: (Option<&str>, Option<&str>)) -> Vec<String> {
    let mut keys = match identity.kind() {
        Kind::Mailbox => of_mailbox(identity, texts, names),
        Kind::Number => of_number(identity, texts),
        Kind::Postal => Vec::new(),
    };
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    keys
}

fn of_mailbox(identity: &Identity, texts: &[&str], names: (Option<&str>, Option<&str>)) -> Vec<String> {
    let mut bare: Vec<String> = vec![identity.key().to_owned()];
    for text in texts {
        let (addresses, _) = super::mailboxes::read(text);
        bare.extend(addresses.into_iter().filter(|one| one.key() == identity.key()).map(|one| one.text()));
    }
    let mut spelt: Vec<String> = Vec::new();
    for address in bare {
        let Some((local, domain)) = address.rsplit_once('@') else { continue };
        let (shown, _) = idna::domain_to_unicode(domain);
        let twin = match domain {
            "gmail.com" => Some("googlemail.com"),
            "googlemail.com" => Some("gmail.com"),
            _ => None,
        };
        for domain in [Some(domain), Some(shown.as_str()), twin].into_iter().flatten() {
            let local = local.trim_matches('"');
            spelt.push(format!("{local}@{domain}"));
            let wide: String = local.chars().map(wide).collect();
            spelt.push(format!("{wide}@{domain}"));
            if local.contains('σ') {
                spelt.push(format!("{}@{domain}", local.replace('σ', "ς")));
                if let Some(start) = local.strip_suffix('σ') {
                    spelt.push(format!("{start}ς@{domain}"));
                }
            }
        }
    }
    let called = called(names);
    let mut keys: Vec<String> = spelt.iter().map(|address| mailbox(address)).collect();
    keys.extend(texts.iter().map(|text| mailbox(text)));
    for address in &spelt {
        let mut push = |text: String| keys.push(mailbox(&text));
        push(format!("mailto:{address}"));
        push(format!("<{address}>"));
        push(format!("<mailto:{address}>"));
        for end in [".", ",", ";"] {
            push(format!("{address}{end}"));
        }
        for (open, close) in [("'", "'"), ("\"", "\""), ("„", "“"), ("“", "”"), ("‘", "’"), ("(", ")")]
        {
            push(format!("{open}{address}{close}"));
        }
        for unseen in UNSEEN {
            push(format!("{unseen}{address}"));
            push(format!("{address}{unseen}"));
        }
        if let Some((local, domain)) = address.rsplit_once('@') {
            push(format!("\"{local}\"@{domain}"));
            push(format!("{local} @{domain}"));
            push(format!("{local}@ {domain}"));
        }
        for name in &called {
            push(format!("{name} <{address}>"));
            push(format!("\"{name}\" <{address}>"));
            push(format!("'{name}' <{address}>"));
            push(format!("{name} {address}"));
            push(format!("{address} ({name})"));
        }
    }
    keys
}

/// What a person is called before an address.
fn called((given, family): (Option<&str>, Option<&str>)) -> Vec<String> {
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

/// A character as wide as an ideograph, where there is such a form.
fn wide(c: char) -> char {
    match c {
        '!'..='~' => char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c),
        c => c,
    }
}

fn of_number(identity: &Identity, texts: &[&str]) -> Vec<String> {
    let mut spelt: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    for key in identity.keys() {
        spelt.push(key.clone());
        let Some(digits) = key.strip_prefix('+') else {
            spelt.push(format!("tel:{key}"));
            continue;
        };
        spelt.extend([
            format!("00{digits}"),
            digits.to_owned(),
            format!("tel:+{digits}"),
            format!("tel:00{digits}"),
        ]);
        spelt.extend([format!("+00{digits}"), format!("callto:+{digits}")]);
        if let Some((code, national, prefix)) = numbers::parted(digits) {
            spelt.extend([
                format!("+{code}(0){national}"),
                format!("{code}(0){national}"),
                format!("+{code}{prefix}{national}"),
                national.clone(),
                format!("{prefix}{national}"),
                format!("tel:{prefix}{national}"),
                format!("tel:{prefix}{national};phone-context=+{code}"),
                format!("tel:{national};phone-context=+{code}"),
            ]);
            // A dash of typesetting behind country or area code, which version 1 kept.
            for dash in ['\u{2010}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2212}'] {
                spelt.push(format!("+{code}{dash}{national}"));
                for at in 2..=5 {
                    let Some((area, rest)) = national.split_at_checked(at) else { continue };
                    spelt.push(format!("{prefix}{area}{dash}{rest}"));
                    spelt.push(format!("+{code}{area}{dash}{rest}"));
                    spelt.push(format!("+{code}{dash}{area}{dash}{rest}"));
                }
            }
        }
    }
    spelt.iter().map(|number| dialled(number)).collect()
}

/// Every key under which version 1 may have filed a no that was meant for an address (street, postal code, city, country).
pub fn postal_keys(parts: [Option<&str>; 4]) -> Vec<String> {
    let [street, code, city, country] = parts;
    let mut streets = vec![street.map(str::to_owned)];
    let folded = street.map(fold).unwrap_or_default();
    for (long, short) in [("strasse", "str."), ("strasse", "str"), ("str.", "strasse"), ("str ", "strasse ")]
    {
        if folded.contains(long) {
            streets.push(Some(folded.replace(long, short)));
        }
    }
    let mut countries = vec![country];
    countries.extend(
        [None, Some("DE"), Some("D"), Some("DEU"), Some("Deutschland"), Some("Germany")].into_iter().filter(
            |_| {
                let folded = country.map(fold).unwrap_or_default();
                ["", "de", "d", "deu", "deutschland", "germany"].contains(&folded.as_str())
            },
        ),
    );
    let mut keys = Vec::new();
    for street in &streets {
        for country in &countries {
            for city in [city, None] {
                keys.extend(address([street.as_deref(), code, city, *country]));
            }
        }
    }
    let mut seen = std::collections::HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    keys
}
