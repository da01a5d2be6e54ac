//! The fields of a contact that can be imported, and the shape each value must have (floor 4).

use chrono::NaiveDate;

use super::Reason;

/// A field of a contact that a column can be mapped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImportField {
    /// `givenName`
    GivenName,
    /// `familyName`
    FamilyName,
    /// `email`
    Email,
    /// `phone`
    Phone,
    /// `birthDate`
    BirthDate,
    /// `company`
    Company,
    /// `jobTitle`
    JobTitle,
    /// `street`
    Street,
    /// `postalCode`
    PostalCode,
    /// `city`
    City,
    /// `country`
    Country,
    /// `language`
    Language,
    /// `notes`
    Notes,
}

impl ImportField {
    /// Every importable field.
    pub const ALL: [ImportField; 13] = [
        ImportField::GivenName,
        ImportField::FamilyName,
        ImportField::Email,
        ImportField::Phone,
        ImportField::BirthDate,
        ImportField::Company,
        ImportField::JobTitle,
        ImportField::Street,
        ImportField::PostalCode,
        ImportField::City,
        ImportField::Country,
        ImportField::Language,
        ImportField::Notes,
    ];

    /// The name in the SDL.
    pub fn as_str(self) -> &'static str {
        match self {
            ImportField::GivenName => "givenName",
            ImportField::FamilyName => "familyName",
            ImportField::Email => "email",
            ImportField::Phone => "phone",
            ImportField::BirthDate => "birthDate",
            ImportField::Company => "company",
            ImportField::JobTitle => "jobTitle",
            ImportField::Street => "street",
            ImportField::PostalCode => "postalCode",
            ImportField::City => "city",
            ImportField::Country => "country",
            ImportField::Language => "language",
            ImportField::Notes => "notes",
        }
    }

    /// The field called `name`.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.as_str() == name)
    }

    /// Whether it tells who somebody is or how to reach them.
    pub(super) fn identifies(self) -> bool {
        matches!(
            self,
            ImportField::GivenName
                | ImportField::FamilyName
                | ImportField::Email
                | ImportField::Phone
                | ImportField::Street
                | ImportField::PostalCode
                | ImportField::City
        )
    }

    /// Checks `text`, already trimmed and not empty, and gives the value to keep: the text itself, except for a
    /// birth date, of which the date alone is kept.
    pub(super) fn check(self, text: &str, today: NaiveDate) -> Result<String, Reason> {
        let longest = if self == ImportField::Notes { 10_000 } else { 500 };
        if text.chars().count() > longest {
            return Err(Reason::TooLong);
        }
        let allowed = |c: char| self == ImportField::Notes && matches!(c, '\n' | '\r' | '\t');
        if text.chars().any(|c| c.is_control() && !allowed(c)) {
            return Err(Reason::ControlCharacter);
        }
        match self {
            ImportField::Email if !is_email(text) => Err(Reason::InvalidEmail),
            ImportField::Phone if !is_phone(text) => Err(Reason::InvalidPhone),
            ImportField::BirthDate => match birth_date(text) {
                Some(date) if date <= today => Ok(date.format("%Y-%m-%d").to_string()),
                _ => Err(Reason::InvalidBirthDate),
            },
            _ => Ok(text.to_owned()),
        }
    }
}

/// The shape of an address that mail can be sent to: RFC 5321 lengths, one `@`, a domain of several labels.
/// Quoted local parts are not taken.
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

/// Digits with `+` in front and separators between; the number is kept as given.
fn is_phone(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let national = text.strip_prefix('(').unwrap_or(text);
    let plus = !national.strip_prefix('+').unwrap_or(national).contains('+');
    let parentheses = text.matches('(').count() == text.matches(')').count();
    (3..=20).contains(&digits)
        && plus
        && parentheses
        && text.chars().all(|c| c.is_ascii_digit() || "+ -./()\u{a0}".contains(c))
}

/// An ISO 8601 date, alone or in front of a time of day.
fn birth_date(text: &str) -> Option<NaiveDate> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            assert!(!is_email(bad), "{bad}");
        }
    }

    #[test]
    fn shapes_of_phone_numbers() {
        for good in ["+49 0711 2842222", "+55 (12) 3923-5555", "030/23125-0", "110", "(+49) 30 23125000"] {
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
        ] {
            assert!(!is_phone(bad), "{bad}");
        }
    }

    #[test]
    fn shapes_of_birth_dates() {
        let today = NaiveDate::from_ymd_opt(2026, 11, 1).unwrap();
        let check = |text| ImportField::BirthDate.check(text, today);
        assert_eq!(check("1962-02-18T00:00:00").unwrap(), "1962-02-18");
        assert_eq!(check("1962-02-18").unwrap(), "1962-02-18");
        for bad in
            ["18.02.1962", "1962-02-30", "1962-2-18", "2026-11-02", "1962-02-18x", "+962-02-18", "1962ä02-18"]
        {
            assert_eq!(check(bad), Err(Reason::InvalidBirthDate), "{bad}");
        }
    }

    #[test]
    fn lengths_and_control_characters() {
        let today = NaiveDate::default();
        assert!(ImportField::City.check(&"ä".repeat(500), today).is_ok());
        assert_eq!(ImportField::City.check(&"a".repeat(501), today), Err(Reason::TooLong));
        assert!(ImportField::Notes.check(&"a".repeat(10_000), today).is_ok());
        assert!(ImportField::Notes.check("two\nlines", today).is_ok());
        assert_eq!(ImportField::City.check("two\nlines", today), Err(Reason::ControlCharacter));
        assert_eq!(ImportField::Notes.check("a\0b", today), Err(Reason::ControlCharacter));
    }
}
