//! Finds contacts that are likely the same person, using only what the caller may read. Room: exchange.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{BuildHasher, RandomState},
};

use serde::Serialize;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::{
    app::App,
    auth::actor::Actor,
    base::{
        error::{Code, Error},
        fold::fold,
        identities,
    },
    exchange::contact_pages::{ContactPages, readable},
    graphql::Pipeline,
    registry::{CONTACT, CONTACT_POINT},
};

/// Maximum number of contacts that share a value for it to count: the address of a whole company proves nothing.
const MAX_CONTACTS_PER_VALUE: usize = 50;
/// Maximum number of pairs per run; merging them makes room for others.
const MAX_PAIRS: usize = 1_000_000;
/// Minimum similarity (Damerau-Levenshtein, at most 1) of two names that may be the same with a typo.
const MIN_SIMILARITY: f64 = 0.85;
/// Number of trailing phone digits that are compared, so that numbers with and without country code match.
const COMPARED_DIGITS: usize = 9;

/// What two contacts have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Common {
    /// An e-mail address, the primary or a further one.
    Email,
    /// A phone number, the primary or a further one.
    Phone,
    /// Name and birth date.
    NameAndBirthDate,
    /// Name and postal address.
    NameAndAddress,
    /// The birth date and similar names.
    BirthDateAndSimilarName,
}

impl Common {
    /// The word in the list.
    pub fn as_str(self) -> &'static str {
        match self {
            Common::Email => "EMAIL",
            Common::Phone => "PHONE",
            Common::NameAndBirthDate => "NAME_AND_BIRTH_DATE",
            Common::NameAndAddress => "NAME_AND_ADDRESS",
            Common::BirthDateAndSimilarName => "BIRTH_DATE_AND_SIMILAR_NAME",
        }
    }
}

/// How likely two contacts are the same person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Likelihood {
    /// Their names differ, as in a family that shares an address, or are only similar.
    Possible,
    /// Their names do not contradict it.
    Likely,
}

/// Two contacts that may be the same person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pair {
    /// The older one.
    pub id: Uuid,
    /// The younger one.
    pub duplicate_id: Uuid,
    /// How likely.
    pub likelihood: Likelihood,
    /// What they have in common.
    pub common: Vec<Common>,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Duplicates {
    /// Contacts that were looked at.
    pub contacts: usize,
    /// Pairs, the likely ones first.
    pub pairs: Vec<Pair>,
    /// Number of values skipped because too many contacts share them or too many pairs were found.
    pub shared_too_often: usize,
}

/// A name for comparison: its parts folded and sorted, because they are often swapped.
type Name = Option<Box<str>>;

/// The index built while contacts are read: some 150 bytes each.
#[derive(Default)]
struct Index {
    hasher: RandomState,
    contacts: Vec<(Uuid, Name)>,
    /// A hash of each value that contacts may have in common, with the contact.
    values: Vec<(Common, u64, u32)>,
}

/// Finds likely duplicates among the contacts that the caller can see, by the values that it may read in full.
///
/// # Errors
/// `FORBIDDEN_FIELD` where none of the values that tell persons apart may be read; as [`ContactPages::next`].
pub async fn find<F>(app: &App, pipeline: &Pipeline, caller: F) -> Result<Duplicates, Error>
where
    F: AsyncFn() -> Result<Actor, Error>,
{
    let actor = caller().await?;
    let names =
        ["givenName", "familyName", "email", "phone", "birthDate", "street", "postalCode", "contactPoints"];
    let mut selected = readable(&actor, &CONTACT, names);
    if !selected.iter().any(|name| ["familyName", "email", "phone", "contactPoints"].contains(name)) {
        let message = "none of the fields that identify persons may be read";
        return Err(Error::new(Code::ForbiddenField, message).with_coordinate(CONTACT.name));
    }
    let points = readable(&actor, &CONTACT_POINT, ["email", "phone"]).join(" ");
    let points_selected = format!("contactPoints {{ {points} }}");
    selected.retain(|name| *name != "contactPoints" || !points.is_empty());
    let selection: Vec<&str> = selected
        .into_iter()
        .map(|name| if name == "contactPoints" { points_selected.as_str() } else { name })
        .chain(["id"])
        .collect();
    let mut pages = ContactPages::new(app, pipeline, &caller, &selection.join(" "));
    let mut index = Index::default();
    while let Some(page) = pages.next().await? {
        for contact in &page.nodes {
            index.add(&app.identity_reader, contact)?;
        }
    }
    Ok(index.pairs())
}

impl Index {
    fn add(&mut self, reader: &identities::Reader, contact: &Map<String, Json>) -> Result<(), Error> {
        let text = |name: &str| contact.get(name).and_then(Json::as_str).filter(|text| !text.is_empty());
        let id = text("id").and_then(|id| id.parse().ok());
        let id: Uuid = id.ok_or_else(|| Error::internal("a contact without an id"))?;
        let mut parts: Vec<String> =
            [text("givenName"), text("familyName")].into_iter().flatten().map(fold).collect();
        parts.sort_unstable();
        let is_full_name = parts.len() == 2;
        let name: Name = (!parts.is_empty()).then(|| parts.join(" ").into());
        let number = u32::try_from(self.contacts.len()).map_err(|_| Error::internal("too many contacts"))?;
        let points = contact.get("contactPoints").and_then(Json::as_array).into_iter().flatten();
        let further: Vec<&Json> = points.collect();
        let values_of = |name: &'static str| {
            let further = further.iter().filter_map(move |point| point.get(name).and_then(Json::as_str));
            text(name).into_iter().chain(further)
        };
        let mut keys: BTreeSet<(Common, String)> = BTreeSet::new();
        keys.extend(values_of("email").map(|email| (Common::Email, reader.email_key(email))));
        keys.extend(values_of("phone").filter_map(|phone| Some((Common::Phone, digits(phone)?))));
        if let (Some(name), true) = (&name, is_full_name) {
            keys.extend(text("birthDate").map(|date| (Common::NameAndBirthDate, format!("{name}|{date}"))));
            if let (Some(street), Some(code)) = (text("street"), text("postalCode")) {
                keys.insert((Common::NameAndAddress, format!("{name}|{}|{}", fold(street), fold(code))));
            }
        }
        if let Some(first) = name.as_ref().and_then(|name| name.chars().next()) {
            // Only names with the same initial: many contacts share a birthday.
            let key = |date| (Common::BirthDateAndSimilarName, format!("{date}|{first}"));
            keys.extend(text("birthDate").map(key));
        }
        for (common, key) in keys {
            self.values.push((common, self.hasher.hash_one(key), number));
        }
        self.contacts.push((id, name));
        Ok(())
    }

    fn pairs(mut self) -> Duplicates {
        let mut values = std::mem::take(&mut self.values);
        values.sort_unstable();
        let mut found: BTreeMap<(u32, u32), BTreeSet<Common>> = BTreeMap::new();
        let mut shared_too_often = 0;
        for shared in values.chunk_by(|left, right| (left.0, left.1) == (right.0, right.1)) {
            let [(common, ..), _, ..] = shared else { continue };
            let by_similar_name = *common == Common::BirthDateAndSimilarName;
            if shared.len() > MAX_CONTACTS_PER_VALUE || found.len() > MAX_PAIRS {
                shared_too_often += 1;
                continue;
            }
            for (index, (.., first)) in shared.iter().enumerate() {
                for (.., second) in shared.iter().skip(index + 1) {
                    if !by_similar_name || self.names_similar(*first, *second) {
                        found.entry((*first, *second)).or_default().insert(*common);
                    }
                }
            }
        }
        let mut pairs: Vec<Pair> = found
            .into_iter()
            .filter_map(|((first, second), mut common)| {
                if common.contains(&Common::NameAndBirthDate) {
                    common.remove(&Common::BirthDateAndSimilarName);
                }
                // A phone number alone may be that of a company.
                let nameless = self.names(first, second) == (None, None);
                let is_strong = |common: &Common| match common {
                    Common::BirthDateAndSimilarName => false,
                    Common::Phone => !nameless,
                    _ => true,
                };
                let likely = self.names_compatible(first, second) && common.iter().any(is_strong);
                Some(Pair {
                    id: self.contact(first)?.0,
                    duplicate_id: self.contact(second)?.0,
                    likelihood: if likely { Likelihood::Likely } else { Likelihood::Possible },
                    common: common.into_iter().collect(),
                })
            })
            .collect();
        pairs.sort_by_key(|pair| {
            (std::cmp::Reverse((pair.likelihood, pair.common.len())), pair.id, pair.duplicate_id)
        });
        Duplicates { contacts: self.contacts.len(), pairs, shared_too_often }
    }

    fn contact(&self, number: u32) -> Option<&(Uuid, Name)> {
        self.contacts.get(usize::try_from(number).ok()?)
    }

    fn names(&self, first: u32, second: u32) -> (Option<&str>, Option<&str>) {
        let name = |number| self.contact(number).and_then(|(_, name)| name.as_deref());
        (name(first), name(second))
    }

    fn names_similar(&self, first: u32, second: u32) -> bool {
        match self.names(first, second) {
            (Some(first), Some(second)) => {
                strsim::normalized_damerau_levenshtein(first, second) >= MIN_SIMILARITY
            }
            _ => false,
        }
    }

    /// Whether the names are similar or one of them is unknown.
    fn names_compatible(&self, first: u32, second: u32) -> bool {
        !matches!(self.names(first, second), (Some(_), Some(_))) || self.names_similar(first, second)
    }
}

/// The last digits of a phone number; `None` for short numbers, which do not identify a person.
fn digits(phone: &str) -> Option<String> {
    let (number, extension) = phone.split_once(";ext=").unwrap_or((phone, ""));
    // `+44 (0) 20` is `+44 20`.
    let digits: Vec<char> = number.replace("(0)", "").chars().filter(char::is_ascii_digit).collect();
    let last = digits.len().saturating_sub(COMPARED_DIGITS);
    (digits.len() >= 7).then(|| {
        let number: String = digits.iter().skip(last).collect();
        format!("{};{extension}", number.trim_start_matches('0'))
    })
}
