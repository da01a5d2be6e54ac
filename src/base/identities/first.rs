//! Version 1 of the keys, as commit b479e26 made them. Room: base/identities.
//!
//! Frozen: the suppression list holds digests of these keys and no text, so changing a key makes its entries
//! unfindable. For the spellings under which version 1 may have filed an objection see [`super::spellings`].

use sha2::{Digest, Sha256};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

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

/// The key of a number, as version 1 made it.
pub fn phone_key(phone: &str) -> String {
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
    if key.len() <= MAX_KEY_BYTES {
        return Some(key);
    }
    let digits = hex::encode(Sha256::digest(&key));
    Some(format!("sha256:{digits}"))
}

/// The longest key of a postal address that version 1 kept in full, in bytes.
const MAX_KEY_BYTES: usize = 1_000;
