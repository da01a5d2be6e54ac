//! Finds e-mail addresses in a text and the mailbox that each is delivered to. Room: base/identities.

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use super::text;

/// A mailbox as written in a text, before the rules of its domain are applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The local part without quotes.
    pub local: String,
    /// The domain in normalised form.
    pub domain: String,
    /// Whether it was in angle brackets, so that the text before it is a name.
    angled: bool,
}

impl Address {
    /// The bare address.
    pub fn text(&self) -> String {
        format_address(&self.local, &self.domain)
    }

    /// The key: the domain and the local part by the rules of the domain.
    pub fn key(&self) -> String {
        let domain = if self.domain == "googlemail.com" { "gmail.com" } else { &self.domain };
        let mut local = self.local.as_str();
        if drops_tags(domain)
            && let Some((before, _)) = local.split_once('+')
            && !before.is_empty()
        {
            local = before;
        }
        if domain == "gmail.com" {
            let undotted = local.replace('.', "");
            return format_address(if undotted.is_empty() { local } else { &undotted }, domain);
        }
        format_address(local, domain)
    }
}

/// Whether a domain delivers `name+anything` to `name`.
fn drops_tags(domain: &str) -> bool {
    if matches!(
        domain,
        "gmail.com"
            | "icloud.com"
            | "me.com"
            | "mac.com"
            | "fastmail.com"
            | "proton.me"
            | "protonmail.com"
            | "pm.me"
    ) {
        return true;
    }
    // hotmail.de, live.co.uk: the name, followed by a country.
    let Some((name, country)) = domain.split_once('.') else { return false };
    let country = country.strip_prefix("com.").or_else(|| country.strip_prefix("co.")).unwrap_or(country);
    matches!(name, "outlook" | "hotmail" | "live") && (country == "com" || country.len() == 2)
}

/// An address whose local part is quoted if necessary.
fn format_address(local: &str, domain: &str) -> String {
    let mut out = String::with_capacity(local.len() + domain.len() + 3);
    let bare = !local.is_empty() && local.chars().all(is_atom) && !local.starts_with(['\'', '/']);
    if bare && !(local.len() > 1 && local.ends_with('\'')) {
        out.push_str(local);
    } else {
        out.push('"');
        for c in local.chars() {
            if matches!(c, '"' | '\\') {
                out.push('\\');
            }
            out.push(c);
        }
        out.push('"');
    }
    out.push('@');
    out.push_str(domain);
    out
}

/// Reads a text that consists of one plain address, which nearly all do.
pub fn plain(text: &str) -> Option<Address> {
    let (local, domain) = text.split_once('@')?;
    let of_local = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+');
    let of_domain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let fits = local.bytes().any(|byte| byte != b'.')
        && local.bytes().all(of_local)
        && domain.bytes().all(of_domain);
    let (_, top) = domain.rsplit_once('.')?;
    let sound =
        top.len() > 1 && !top.contains('-') && !domain.starts_with(['.', '-']) && !domain.contains("..");
    if !fits || !sound {
        return None;
    }
    let (local, domain) = (local.to_ascii_lowercase(), domain.to_ascii_lowercase());
    (!domain.contains("xn--")).then_some(Address { local, domain, angled: false })
}

/// The addresses in a text, those in angle brackets first, and whether a part of it could not be read.
pub fn read(raw: &str) -> (Vec<Address>, bool) {
    if let Some(address) = plain(raw.trim()) {
        return (vec![address], false);
    }
    let chars: Vec<char> = prepare(raw).chars().collect();
    let mut found: Vec<Address> = Vec::new();
    let mut unread = false;
    let mut end = 0;
    for at in (0..chars.len()).filter(|at| chars.get(*at) == Some(&'@')) {
        if at < end {
            continue;
        }
        let scan = Scan { chars: &chars, from: end };
        if scan.is_within_quotes(at) {
            continue;
        }
        match scan.address(at) {
            Some((address, behind)) => {
                end = behind;
                // No mail is delivered to a single-label domain; perhaps the rest was cut off.
                unread |= !address.domain.contains(['.', ':']);
                if !found
                    .iter()
                    .any(|existing| existing.text() == address.text() && existing.angled == address.angled)
                {
                    found.push(address);
                }
            }
            None => unread = true,
        }
    }
    // The address in brackets is the one delivered to; the text before it is a name.
    found.sort_by_key(|address| !address.angled);
    let mut once: Vec<Address> = Vec::new();
    for address in found {
        if !once.iter().any(|existing| existing.text() == address.text()) {
            once.push(address);
        }
    }
    let unread = unread || (once.is_empty() && !raw.trim().is_empty());
    (once, unread)
}

/// Prepares a text for scanning: visible characters only, with links and HTML entities resolved.
fn prepare(raw: &str) -> String {
    let mut text = text::visible(raw);
    if text.contains('&') {
        for (mark, plain) in
            [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#34;", "\""), ("&#39;", "'"), ("&#64;", "@")]
        {
            text = text.replace(mark, plain);
        }
    }
    if text.contains(['(', '[', '{']) {
        text = replace_spoken_signs(text);
    }
    resolve_mailto_links(&text)
}

/// Replaces words such as "at" and "dot" by the characters they stand for.
fn replace_spoken_signs(mut text: String) -> String {
    const SIGNS: [(&str, &str); 7] = [
        ("(at)", "@"),
        ("[at]", "@"),
        ("{at}", "@"),
        ("(dot)", "."),
        ("[dot]", "."),
        ("(punkt)", "."),
        ("[punkt]", "."),
    ];
    for (word, sign) in SIGNS {
        let lower = text.to_ascii_lowercase();
        let Some(first) = lower.find(word) else { continue };
        let mut out = String::with_capacity(text.len());
        let (mut from, mut next) = (0, Some(first));
        while let Some(at) = next {
            out.push_str(text.get(from..at).unwrap_or_default().trim_end());
            out.push_str(sign);
            let rest = text.get(at + word.len()..).unwrap_or_default();
            from = text.len() - rest.trim_start().len();
            next = lower.get(from..).and_then(|rest| rest.find(word)).map(|found| from + found);
        }
        out.push_str(text.get(from..).unwrap_or_default());
        text = out;
    }
    text
}

/// Replaces `mailto:` links by the addresses they contain.
fn resolve_mailto_links(text: &str) -> String {
    const SCHEME: &str = "mailto:";
    let lower = text.to_ascii_lowercase();
    if !lower.contains(SCHEME) {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut from = 0;
    for (at, _) in lower.match_indices(SCHEME) {
        if at < from {
            continue;
        }
        out.push_str(text.get(from..at).unwrap_or_default());
        let rest = text.get(at + SCHEME.len()..).unwrap_or_default();
        let end = rest.find(|c: char| c.is_whitespace() || "\"'<>|;".contains(c)).unwrap_or(rest.len());
        let link = rest.get(..end).unwrap_or_default();
        let (path, query) = link.split_once('?').unwrap_or((link, ""));
        out.push(' ');
        out.push_str(&text::without_percents(path));
        for to in query.split('&').filter_map(|pair| pair.strip_prefix("to=")) {
            out.push_str(", ");
            out.push_str(&text::without_percents(to));
        }
        from = at + SCHEME.len() + end;
    }
    out.push_str(text.get(from..).unwrap_or_default());
    out
}

/// The characters and the end of the last address found.
struct Scan<'c> {
    chars: &'c [char],
    from: usize,
}

impl Scan<'_> {
    fn at(&self, at: usize) -> Option<char> {
        self.chars.get(at).copied()
    }

    fn before(&self, at: usize) -> Option<char> {
        at.checked_sub(1).filter(|at| *at >= self.from).and_then(|at| self.at(at))
    }

    /// Whether an `@` is inside a quoted local part.
    fn is_within_quotes(&self, at: usize) -> bool {
        let Some(closing) = (at..self.chars.len()).find(|at| self.at(*at) == Some('"')) else { return false };
        let blank = |at: &usize| !self.at(*at).is_some_and(char::is_whitespace);
        let next = (closing + 1..self.chars.len()).find(blank);
        next.is_some_and(|next| self.at(next) == Some('@'))
            && self.opening(closing).is_some_and(|opening| opening < at)
    }

    /// The position of the quote that opens what `closing` closes.
    fn opening(&self, closing: usize) -> Option<usize> {
        let mut at = closing;
        while at > self.from {
            at -= 1;
            if self.at(at) == Some('"') {
                let escapes = self.chars.get(self.from..at)?.iter().rev().take_while(|c| **c == '\\').count();
                if escapes % 2 == 0 {
                    return Some(at);
                }
            }
        }
        None
    }

    /// The address around the `@` at `at`, and the position after it.
    fn address(&self, at: usize) -> Option<(Address, usize)> {
        let (local, start) = self.local(at)?;
        let (domain, end) = self.domain(at + 1)?;
        let angled = self.before(start) == Some('<');
        Some((Address { local, domain, angled }, end))
    }

    /// The local part before `at`, and its start.
    fn local(&self, at: usize) -> Option<(String, usize)> {
        let mut end = at;
        while self.before(end).is_some_and(char::is_whitespace) {
            end -= 1;
        }
        if self.before(end) == Some(')') {
            let opening = (self.from..end).rev().find(|at| self.at(*at) == Some('('))?;
            end = opening;
        }
        if self.before(end) == Some('"') {
            let opening = self.opening(end - 1)?;
            let mut local = String::new();
            let mut escaped = false;
            for c in self.chars.get(opening + 1..end - 1)? {
                if *c == '\\' && !escaped {
                    escaped = true;
                    continue;
                }
                escaped = false;
                local.push(*c);
            }
            let local = folded(&local);
            return (!local.trim().is_empty()).then_some((local, opening));
        }
        let mut start = end;
        while let Some(c) = self.before(start) {
            let typographic = c == '\u{2019}' && self.before(start - 1).is_some_and(char::is_alphanumeric);
            if !is_atom(c) && !typographic {
                break;
            }
            start -= 1;
        }
        // Two `@` in a row, or directly after another address: the recipient is ambiguous.
        if self.before(start) == Some('@')
            || (start == self.from && start > 0 && self.at(start - 1) == Some('@'))
        {
            return None;
        }
        let mut local: String = self.chars.get(start..end)?.iter().collect();
        local = local.replace('\u{2019}', "'");
        let inner = local.trim_start_matches(['\'', '/']);
        let quoted = local.starts_with('\'') || self.before(start) == Some('\'');
        let inner = if quoted { inner.strip_suffix('\'').unwrap_or(inner) } else { inner };
        let inner = if inner.len() > 1 { inner.strip_suffix('\'').unwrap_or(inner) } else { inner };
        (!inner.is_empty() && inner.chars().any(|c| c != '.')).then(|| (folded(inner), start))
    }

    /// The domain starting at `at`, and its end.
    fn domain(&self, at: usize) -> Option<(String, usize)> {
        let mut at = at;
        while self.at(at).is_some_and(char::is_whitespace) {
            at += 1;
        }
        if self.at(at) == Some('(') {
            at = (at..self.chars.len()).find(|at| self.at(*at) == Some(')'))? + 1;
        }
        if self.at(at) == Some('[') {
            let end = (at..self.chars.len()).find(|at| self.at(*at) == Some(']'))?;
            let literal: String = self.chars.get(at..=end)?.iter().collect();
            let sound = literal.chars().all(|c| c.is_ascii_alphanumeric() || "[]:.".contains(c));
            return (sound && literal.len() > 2).then(|| (literal.to_ascii_lowercase(), end + 1));
        }
        let run = |at: usize| (at..self.chars.len()).find(|at| !self.at(*at).is_some_and(is_of_domain));
        let mut end = run(at).unwrap_or(self.chars.len());
        let dotted = |end: usize| self.chars.get(at..end).is_some_and(|run| run.iter().any(|c| is_dot(*c)));
        // `example .com`
        let blank = (end..self.chars.len()).find(|at| !self.at(*at).is_some_and(char::is_whitespace));
        if let Some(next) = blank
            && next > end
            && self.at(next).is_some_and(is_dot)
            && self.at(next + 1).is_some_and(char::is_alphanumeric)
        {
            let rest = run(next).unwrap_or(self.chars.len());
            let domain: String = self.chars.get(at..end)?.iter().chain(self.chars.get(next..rest)?).collect();
            return domain_of(&domain).map(|domain| (domain, rest));
        }
        if self.at(end) == Some('@') {
            return None;
        }
        let domain_end = end;
        while end > at && self.at(end - 1).is_some_and(|c| is_dot(c) || matches!(c, '-' | '_' | '\'')) {
            end -= 1;
        }
        // Cut by a blank: the domain is ambiguous.
        let cut = !dotted(end)
            && blank.is_some_and(|next| {
                let rest = run(next).unwrap_or(self.chars.len());
                let word = self.chars.get(next..rest).unwrap_or_default();
                next > domain_end
                    && self.at(rest) != Some('@')
                    && word.iter().any(|c| is_dot(*c))
                    && !is_dot_at_end(word)
            });
        let domain: String = self.chars.get(at..end)?.iter().collect();
        (!cut).then(|| domain_of(&domain)).flatten().map(|domain| (domain, domain_end))
    }
}

fn is_dot_at_end(word: &[char]) -> bool {
    word.iter().position(|c| is_dot(*c)).is_some_and(|at| at + 1 == word.len())
}

/// A local part as compared: composed, lower case, final sigma as sigma; accents are kept because they distinguish
/// mailboxes.
fn folded(local: &str) -> String {
    let lower: String = local.nfc().flat_map(char::to_lowercase).collect();
    lower.replace('ς', "σ").nfc().collect()
}

/// A domain in normalised form (UTS 46).
fn domain_of(domain: &str) -> Option<String> {
    let lower = folded(domain);
    let ascii = if lower.is_ascii() && !lower.contains("xn--") {
        lower
    } else {
        // A final sigma hidden in the ASCII form.
        let (shown, _) = idna::domain_to_unicode(&lower);
        idna::domain_to_ascii(&folded(&shown)).unwrap_or(lower)
    };
    let ascii = ascii.trim_end_matches('.');
    let sound = !ascii.is_empty() && ascii.split('.').all(|label| !label.is_empty());
    sound.then(|| ascii.to_owned())
}

fn is_dot(c: char) -> bool {
    matches!(c, '.' | '\u{3002}')
}

/// Characters of an unquoted local part (RFC 5322, RFC 6531). A bar separates addresses; backticks and braces enclose
/// them.
fn is_atom(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric()
            || matches!(c, '.' | '_' | '-' | '+')
            || "!#$%&'*+-/=?^_~.".contains(c);
    }
    is_letter(c)
}

fn is_of_domain(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_') || is_dot(c) || (!c.is_ascii() && is_letter(c))
}

/// Whether a non-ASCII character is not a separator between addresses.
fn is_letter(c: char) -> bool {
    c.is_alphanumeric()
        || is_combining_mark(c)
        || !(c.is_whitespace()
            || c.is_control()
            || matches!(c, '\u{a1}' | '\u{a7}' | '\u{ab}' | '\u{b6}' | '\u{b7}' | '\u{bb}' | '\u{bf}')
            || matches!(c, '\u{2000}'..='\u{206f}' | '\u{2190}'..='\u{21ff}' | '\u{2e00}'..='\u{2e7f}')
            || matches!(c, '\u{2500}'..='\u{25ff}' | '\u{3000}'..='\u{303f}'))
}
