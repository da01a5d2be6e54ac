//! References to persons in lines, and the lookup of their contacts. Room: exchange/imports.

use std::collections::{HashMap, HashSet};

use entity::{contact, contact_point, enums::ContactState, provenance};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use crate::{
    base::{error::Error, identities::Kind},
    domain::contacts::Reachable,
};

/// Values in one list of a statement.
const MAX_BIND_VALUES: usize = 5_000;

/// A reference to a person.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) enum PersonRef {
    Id(Uuid),
    /// Id in a source.
    External(String),
    /// A mailbox, a phone number or a postal address; contacts are not looked up by the last.
    Address(Reachable),
}

impl PersonRef {
    /// The address, where it is one.
    pub fn address(&self) -> Option<&Reachable> {
        match self {
            Self::Id(_) | Self::External(_) => None,
            Self::Address(reachable) => Some(reachable),
        }
    }
}

/// The contacts of each reference; an id is included even if there is no such contact.
pub(super) type ContactMatches = HashMap<PersonRef, HashSet<Uuid>>;

/// The ids of all matched contacts.
pub(super) fn contact_ids(matches: &ContactMatches) -> HashSet<Uuid> {
    matches.values().flatten().copied().collect()
}

/// Looks up the contacts of all references, with one statement per kind. External ids belong to `source`, if given.
pub(super) async fn find_contacts<C: ConnectionTrait>(
    connection: &C,
    source: Option<&str>,
    named: impl Iterator<Item = &PersonRef>,
) -> Result<ContactMatches, Error> {
    let mut matches = ContactMatches::new();
    let mut externals = HashSet::new();
    let mut addresses: HashMap<(Kind, &str), HashSet<&PersonRef>> = HashMap::new();
    for person in named {
        match person {
            PersonRef::Id(id) => _ = matches.entry(person.clone()).or_default().insert(*id),
            PersonRef::External(id) => _ = externals.insert(id.as_str()),
            PersonRef::Address(reachable) => {
                let identity = reachable.identity();
                for key in identity.keys() {
                    addresses.entry((identity.kind(), key)).or_default().insert(person);
                }
            }
        }
    }
    let mut pairs: Vec<(PersonRef, Uuid)> = Vec::new();
    for (kind, columns) in [
        (Kind::Mailbox, (contact::Column::EmailKey, contact_point::Column::EmailKey)),
        (Kind::Number, (contact::Column::PhoneKey, contact_point::Column::PhoneKey)),
    ] {
        let keys: Vec<&str> =
            addresses.keys().filter(|(matches, _)| *matches == kind).map(|(_, key)| *key).collect();
        for keys in keys.chunks(MAX_BIND_VALUES) {
            for (key, id) in rows_by_key(connection, columns, keys).await? {
                let persons = addresses.get(&(kind, key.as_str())).into_iter().flatten();
                pairs.extend(persons.map(|person| ((*person).clone(), id)));
            }
        }
    }
    for externals in Vec::from_iter(externals).chunks(MAX_BIND_VALUES) {
        use provenance::Column as Source;
        let rows = provenance::Entity::find().select_only().columns([Source::ExternalId, Source::ContactId]);
        let rows = rows.filter(Source::ExternalId.is_in(externals.iter().copied()));
        let rows = match source {
            Some(source) => rows.filter(Source::Source.eq(source.trim())),
            None => rows,
        };
        let rows: Vec<(String, Uuid)> = rows.into_tuple().all(connection).await?;
        pairs.extend(rows.into_iter().map(|(key, id)| (PersonRef::External(key), id)));
    }
    for (person, id) in pairs {
        matches.entry(person).or_default().insert(id);
    }
    Ok(matches)
}

/// Keys of contacts and of their further contact points that are among `keys`.
async fn rows_by_key<C: ConnectionTrait>(
    connection: &C,
    (primary, further): (contact::Column, contact_point::Column),
    keys: &[&str],
) -> Result<Vec<(String, Uuid)>, Error> {
    let contacts = contact::Entity::find().select_only().columns([primary, contact::Column::Id]);
    let contacts = contacts.filter(primary.is_in(keys.iter().copied()));
    let points =
        contact_point::Entity::find().select_only().columns([further, contact_point::Column::ContactId]);
    let points = points.filter(further.is_in(keys.iter().copied()));
    let mut rows: Vec<(String, Uuid)> = contacts.into_tuple().all(connection).await?;
    rows.extend(points.into_tuple::<(String, Uuid)>().all(connection).await?);
    Ok(rows)
}

/// The contacts if, by their names, they are records of one person; none if they belong to several, since the declarant
/// is then unknown (the address is blocked anyway). If `names` (given and family name, folded) are given, they must
/// match.
pub(super) async fn records_of_one_person<C: ConnectionTrait>(
    connection: &C,
    ids: Vec<Uuid>,
    (given, family): (Option<String>, Option<String>),
) -> Result<Vec<Uuid>, Error> {
    if ids.is_empty() || (ids.len() == 1 && given.is_none() && family.is_none()) {
        return Ok(ids);
    }
    let names = contact::Entity::find()
        .select_only()
        .columns([contact::Column::GivenNameFolded, contact::Column::FamilyNameFolded])
        .filter(contact::Column::Id.is_in(ids.iter().copied()))
        .into_tuple::<(Option<String>, Option<String>)>();
    let names = names.all(connection).await?;
    let first = names.first();
    let is_named_person = first.is_some_and(|first| {
        (given.is_none() || first.0 == given) && (family.is_none() || first.1 == family)
    });
    let is_named = ids.len() == 1 || first.is_some_and(|first| *first != (None, None));
    let is_one_person = is_named_person && is_named && names.iter().all(|other| Some(other) == first);
    Ok(if is_one_person { ids } else { Vec::new() })
}

/// The contacts that exist and are not erased.
pub(super) async fn existing<C: ConnectionTrait>(
    connection: &C,
    ids: &HashSet<Uuid>,
) -> Result<HashSet<Uuid>, Error> {
    let mut found = HashSet::new();
    for ids in Vec::from_iter(ids.iter().copied()).chunks(MAX_BIND_VALUES) {
        let rows = contact::Entity::find().select_only().column(contact::Column::Id);
        let rows = rows.filter(contact::Column::Id.is_in(ids.iter().copied()));
        let rows = rows.filter(contact::Column::State.ne(ContactState::Erased));
        found.extend(rows.into_tuple::<Uuid>().all(connection).await?);
    }
    Ok(found)
}
