//! Reachable identities: mailboxes, phone lines and letter boxes, read from raw text by one reader into one versioned
//! key. Room: base/identities.
//!
//! A declaration belongs to a person, a block to a reachable identity: a mailbox, a line or a letter box. Every
//! spelling gives the same key. What cannot be read is reported and never filed.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::base::fold::fold;

pub use numbers::is_damaged;
pub use region::{Region, UnknownRegion};

pub mod first;
mod mailboxes;
mod numbers;
mod pieces;
mod plans;
mod postal;
mod region;
pub mod spellings;
mod streets;
#[cfg(test)]
mod tests;
mod text;

/// Trailing digits that all readings of a number share: no assignable number is shorter.
const SHARED_DIGITS: usize = 4;

/// Kind of a reachable identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A mailbox, reached by e-mail.
    Mailbox,
    /// A line, reached by call or text message.
    Number,
    /// A letter box, reached by post.
    Postal,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Mailbox => "mailbox",
            Kind::Number => "number",
            Kind::Postal => "postal",
        }
    }
}

/// A reachable identity, whichever record it belongs to.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    kind: Kind,
    /// Never empty.
    keys: Vec<String>,
    name: Option<String>,
}

impl Identity {
    fn new(kind: Kind, keys: Vec<String>, name: Option<String>) -> Option<Identity> {
        (!keys.is_empty()).then_some(Identity { kind, keys, name })
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The key stored in companion columns. For a postal address it excludes the name.
    pub fn key(&self) -> &str {
        self.keys.first().map(String::as_str).unwrap_or_default()
    }

    /// The folded family name of a postal address; `None` means the household or unknown.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Every key under which rows or entries of this version may hold the same identity, [`Identity::key`] first.
    /// More than one only for numbers without a configured region: the readings with and without a country code.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// The lock number: the same for every spelling and reading of the same identity.
    pub fn lock(&self) -> u64 {
        let key = self.key();
        let shared = match self.kind {
            Kind::Mailbox | Kind::Postal => key,
            Kind::Number => key.get(key.len().saturating_sub(SHARED_DIGITS)..).unwrap_or(key),
        };
        let mut digest = Sha256::new();
        digest.update(self.kind.word());
        digest.update([0]);
        digest.update(shared);
        let digest = digest.finalize();
        digest.iter().take(8).fold(0, |sum, byte| (sum << 8) | u64::from(*byte))
    }
}

/// Prints the kind only, because keys are personal data.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({}, ***)", self.kind.word())
    }
}

/// The result of reading a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The identities in it, the most certain one first.
    pub identities: Vec<Identity>,
    /// Whether a part of it could not be read.
    pub unread: bool,
}

/// The rules that make keys. The suppression list holds digests of keys and no text, so rules that once made entries
/// never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rules {
    /// Mailboxes, numbers and letter boxes in normalised form.
    Second,
    /// Like [`Rules::Second`], but letter boxes without directions to a door: a floor, a name in brackets, the order
    /// of street and number.
    Third,
}

/// Reads identities by the rules of one installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reader {
    /// The region assumed for national numbers and addresses without a country.
    region: Option<Region>,
    rules: Rules,
}

impl Default for Reader {
    fn default() -> Reader {
        Reader::new(Some(Region::DE))
    }
}

impl Reader {
    /// The key version of commit b479e26 (see [`first`]).
    pub const FIRST: &'static str = "1";

    /// The reader for an installation in a region.
    pub fn new(region: Option<Region>) -> Reader {
        Reader { region, rules: Rules::Third }
    }

    /// The reader for a key version after the first.
    pub fn from_version(version: &str) -> Option<Reader> {
        let (rules, region) = version.split_once(':')?;
        let rules = match rules {
            "2" => Rules::Second,
            "3" => Rules::Third,
            _ => return None,
        };
        Some(Reader { region: if region.is_empty() { None } else { Some(region.parse().ok()?) }, rules })
    }

    /// The version of its keys: the rules and the region.
    pub fn version(&self) -> String {
        let rules = match self.rules {
            Rules::Second => '2',
            Rules::Third => '3',
        };
        format!("{rules}:{}", self.region.map(|region| region.to_string()).unwrap_or_default())
    }

    /// The mailboxes in a text.
    pub fn emails(&self, text: &str) -> Reading {
        let (addresses, unread) = mailboxes::read(text);
        let keys = addresses.iter().map(mailboxes::Address::key);
        Reading::new(Kind::Mailbox, keys.map(|key| vec![key]), unread)
    }

    /// The lines in a text.
    pub fn numbers(&self, text: &str) -> Reading {
        let (lines, unread) = numbers::read(self.region, text);
        // The key stays, so that earlier entries under it are still found.
        let unread = unread || numbers::is_damaged(text);
        Reading::new(Kind::Number, lines.into_iter().map(|line| line.keys), unread)
    }

    /// The letter box of an address (street, postal code, city, country) and a family name. A town without a street
    /// is not a letter box.
    pub fn postal(&self, parts: [Option<&str>; 4], family_name: Option<&str>) -> Option<Identity> {
        if !postal::is_delivered(parts) {
            return None;
        }
        Identity::new(Kind::Postal, vec![self.postal_key(parts)?], postal::name(family_name))
    }

    /// The key of a stored e-mail address: that of its first mailbox, otherwise a key that distinguishes texts and
    /// that no lookup matches.
    pub fn email_key(&self, text: &str) -> String {
        stored(self.emails(text), text)
    }

    /// The key of a stored number: that of its first line, otherwise a key that distinguishes texts and that no
    /// lookup matches.
    pub fn phone_key(&self, text: &str) -> String {
        stored(self.numbers(text), text)
    }

    /// The key of a stored address (street, postal code, city, country).
    pub fn postal_key(&self, parts: [Option<&str>; 4]) -> Option<String> {
        if self.rules == Rules::Second {
            return postal::key(self.region, parts, |street| street);
        }
        let [street, code, city, country] = parts;
        let street = street.map(streets::without_care);
        postal::key(self.region, [street.as_deref(), code, city, country], |street| {
            streets::letter_box_key(&street)
        })
    }
}

impl Reading {
    fn new(kind: Kind, keys: impl Iterator<Item = Vec<String>>, unread: bool) -> Reading {
        let mut identities: Vec<Identity> = Vec::new();
        for identity in keys.filter_map(|keys| Identity::new(kind, keys, None)) {
            if !identities.contains(&identity) {
                identities.push(identity);
            }
        }
        Reading { identities, unread }
    }
}

/// The household key of a family name; `None` for a name without letters.
pub fn household(family_name: Option<&str>) -> Option<String> {
    postal::name(family_name)
}

fn stored(reading: Reading, text: &str) -> String {
    match reading.identities.into_iter().next() {
        Some(identity) => identity.key().to_owned(),
        None => format!("?{}", fold(text)),
    }
}
