//! Validates values before they are written, whatever their source. Room: registry.

use chrono::NaiveDate;
use unicode_normalization::UnicodeNormalization;

/// How a value is validated before it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validator {
    /// One line, at most 500 characters.
    Line,
    /// Several lines, at most 10,000 characters.
    Lines,
    /// An e-mail address (RFC 5321 lengths, no quoted local part).
    Email,
    /// A phone number, stored as given.
    Phone,
    /// A text with e-mail addresses in any notation; it is parsed where it is used and not stored.
    Mailboxes,
    /// The same for phone numbers.
    Numbers,
    /// A past date, ISO 8601; a time of day after it is dropped.
    BirthDate,
    /// A date, ISO 8601.
    Date,
    /// A language tag (BCP 47) such as `de` or `pt-BR`.
    Language,
}

/// Why a value is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidationError {
    /// Longer than the field allows.
    TooLong,
    /// A control character, or one that changes the text direction.
    ControlCharacter,
    /// Not an e-mail address.
    InvalidEmail,
    /// Not a phone number.
    InvalidPhone,
    /// Not a past date in the form YYYY-MM-DD.
    InvalidBirthDate,
    /// Not a date in the form YYYY-MM-DD.
    InvalidDate,
    /// Not a language tag.
    InvalidLanguage,
}

impl ValidationError {
    /// The message for people: what the value must be.
    pub fn requirement(self) -> &'static str {
        match self {
            ValidationError::TooLong => "is too long",
            ValidationError::ControlCharacter => "contains a control character",
            ValidationError::InvalidEmail => "is not an e-mail address",
            ValidationError::InvalidPhone => "is not a phone number",
            ValidationError::InvalidBirthDate => "is not a past date in the form 1984-02-29",
            ValidationError::InvalidDate => "is not a date in the form 2026-11-02",
            ValidationError::InvalidLanguage => "is not a language tag such as de or pt-BR",
        }
    }
}

impl Validator {
    /// Validates `text` and returns the value to store: trimmed, in Unicode normalisation form C; `None` if nothing
    /// is left.
    ///
    /// # Errors
    /// The first error found.
    pub fn validate(self, text: &str, today: NaiveDate) -> Result<Option<String>, ValidationError> {
        let text: String = text.trim().nfc().collect();
        if text.is_empty() {
            return Ok(None);
        }
        let longest = if self == Validator::Lines { 10_000 } else { 500 };
        if text.chars().count() > longest {
            return Err(ValidationError::TooLong);
        }
        if matches!(self, Validator::Mailboxes | Validator::Numbers) {
            // Invisible characters are ignored here, so that an objection is never rejected because of them.
            return Ok(Some(text));
        }
        let allowed = |c: char| self == Validator::Lines && matches!(c, '\n' | '\r' | '\t');
        if text.chars().any(|c| (c.is_control() || is_deceptive(c)) && !allowed(c)) {
            return Err(ValidationError::ControlCharacter);
        }
        match self {
            Validator::Email if !is_email(&text) => Err(ValidationError::InvalidEmail),
            Validator::Phone if !is_phone(&text) => Err(ValidationError::InvalidPhone),
            Validator::Language if !is_language(&text) => Err(ValidationError::InvalidLanguage),
            Validator::BirthDate => match date_in(&text) {
                Some(date) if date <= today => Ok(Some(date.format("%Y-%m-%d").to_string())),
                _ => Err(ValidationError::InvalidBirthDate),
            },
            Validator::Date => match date_in(&text) {
                Some(date) if text.len() == 10 => Ok(Some(date.format("%Y-%m-%d").to_string())),
                _ => Err(ValidationError::InvalidDate),
            },
            _ => Ok(Some(text)),
        }
    }
}

/// Characters that change the text direction, byte order marks and noncharacters.
fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fdd0}'..='\u{fdef}')
        || u32::from(c) & 0xfffe == 0xfffe
}

/// The form of a deliverable address: RFC 5321 lengths, one `@`, a domain of several labels. Quoted local parts are
/// rejected. The crate `email_address` (0.2.10) accepts `&`, `!` and `_` in a domain, so we use our own check.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let dots = |part: &str| !part.starts_with('.') && !part.ends_with('.') && !part.contains("..");
    let atom = |c: char| c.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~.-".contains(c);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 254
        && (1..=64).contains(&local.len())
        && local.chars().all(atom)
        && dots(local)
        && domain.contains('.')
        && domain.split('.').all(label)
}

/// Digits with an optional leading `+`, separators, and an optional extension such as `;ext=102` (RFC 3966); the
/// number is stored as given.
fn is_phone(text: &str) -> bool {
    let (text, extension) = text.split_once(";ext=").map_or((text, None), |(text, ext)| (text, Some(ext)));
    let extends = |ext: &str| (1..=11).contains(&ext.len()) && ext.bytes().all(|byte| byte.is_ascii_digit());
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let national = text.strip_prefix('(').unwrap_or(text);
    let plus = !national.strip_prefix('+').unwrap_or(national).contains('+');
    let parentheses = text.matches('(').count() == text.matches(')').count();
    extension.is_none_or(extends)
        && (3..=20).contains(&digits)
        && plus
        && parentheses
        && text.chars().all(|c| c.is_ascii_digit() || "+ -./()\u{a0}".contains(c))
}

/// An ISO 8601 date, optionally followed by a time of day.
fn date_in(text: &str) -> Option<NaiveDate> {
    let (date, rest) = text.split_at_checked(10)?;
    let shaped = date.bytes().enumerate().all(|(index, byte)| match index {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    let time = rest.is_empty()
        || (rest.starts_with(['T', ' '])
            && rest.len() >= 6
            && rest.chars().skip(1).all(|c| c.is_ascii_digit() || ":.,+-Z".contains(c)));
    if shaped && time { NaiveDate::parse_from_str(date, "%Y-%m-%d").ok() } else { None }
}

/// The form of a language tag: a language of 2 or 3 letters, then parts of 1 to 8 letters and digits.
fn is_language(text: &str) -> bool {
    let mut parts = text.split('-');
    let language = parts.next().unwrap_or_default();
    (2..=3).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
        && text.len() <= 35
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(validator: Validator, text: &str) -> Result<Option<String>, ValidationError> {
        validator.validate(text, NaiveDate::from_ymd_opt(2026, 11, 1).unwrap())
    }

    #[test]
    fn shapes_of_email_addresses() {
        for good in ["a@example.com", "o'brien+x@mail.example.org", "käthe@bücher.example", "a.b@x-y.example"]
        {
            assert!(is_email(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "@example.com",
            "a@",
            "a@b",
            "a@@b.de",
            "a b@c.de",
            "a@b..de",
            ".a@b.de",
            "a@-b.de",
            "a@b.de.",
            "a@b.de,c@d.de",
            "a@b_c.de",
            "a@b&c.de",
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn shapes_of_phone_numbers() {
        for good in [
            "+49 0711 2842222",
            "+55 (12) 3923-5555",
            "030/23125-0",
            "110",
            "(+49) 30 23125000",
            "+1-418-656-9254;ext=102",
        ] {
            assert!(is_phone(good), "{good}");
        }
        for bad in [
            "",
            "12",
            "call me",
            "+49 30 2312x5",
            "49+30",
            "++49 30 111",
            "(030 123",
            "123456789012345678901",
            "+1 418 656 9254;ext=",
            "+1 418 656 9254;ext=1;ext=2",
            ";ext=102",
        ] {
            assert!(!is_phone(bad), "{bad}");
        }
    }

    #[test]
    fn shapes_of_dates_and_languages() {
        let date = |text: &str| check(Validator::BirthDate, text);
        assert_eq!(date("1962-02-18T00:00:00"), Ok(Some("1962-02-18".to_owned())));
        assert_eq!(date("1962-02-18"), Ok(Some("1962-02-18".to_owned())));
        for bad in
            ["18.02.1962", "1962-02-30", "1962-2-18", "2026-11-02", "1962-02-18x", "+962-02-18", "1962ä02-18"]
        {
            assert_eq!(date(bad), Err(ValidationError::InvalidBirthDate), "{bad}");
        }
        assert_eq!(check(Validator::Date, "2027-01-01"), Ok(Some("2027-01-01".to_owned())));
        assert_eq!(check(Validator::Date, "2027-01-01T10:00"), Err(ValidationError::InvalidDate));
        for good in ["de", "pt-BR", "zh-Hant-TW", "gsw"] {
            assert!(is_language(good), "{good}");
        }
        for bad in ["", "d", "german", "de_DE", "de-", "de-überall", "1a"] {
            assert!(!is_language(bad), "{bad}");
        }
    }

    #[test]
    fn lengths_and_control_characters() {
        assert!(check(Validator::Line, &"ä".repeat(500)).is_ok());
        assert_eq!(check(Validator::Line, &"a".repeat(501)), Err(ValidationError::TooLong));
        assert!(check(Validator::Lines, &"a".repeat(10_000)).is_ok());
        assert!(check(Validator::Lines, "two\nlines").is_ok());
        assert_eq!(check(Validator::Line, "two\nlines"), Err(ValidationError::ControlCharacter));
        assert_eq!(check(Validator::Lines, "a\0b"), Err(ValidationError::ControlCharacter));
        assert_eq!(check(Validator::Line, "a\u{202e}b"), Err(ValidationError::ControlCharacter));
        assert_eq!(check(Validator::Line, "a\u{ffff}b"), Err(ValidationError::ControlCharacter));
        assert_eq!(check(Validator::Line, " \t "), Ok(None));
        // In composed form the same letter is the same value, however it was typed.
        assert_eq!(check(Validator::Line, "u\u{308}"), Ok(Some("ü".to_owned())));
    }
}
