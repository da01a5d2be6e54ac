//! Resolves lines to contacts and declarations. Room: exchange/imports/consents.

use std::collections::{BTreeSet, HashMap, HashSet};

use entity::{consent, enums::Channel};
use sea_orm::{ActiveEnum, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::{
    ConsentImport,
    lines::{Line, short_digest},
};
use crate::{
    base::error::Error,
    domain::consents::{BulkDeclaration, ExistingConsents},
    exchange::imports::{
        Reason,
        contact_lookup::{self, ContactMatches, PersonRef},
    },
};

/// Values in one list of a statement.
const MAX_BIND_VALUES: usize = 10_000;

/// The declaration of a consent line for the contact.
pub(super) fn grant_declaration(line: &Line, contact_id: Uuid) -> Option<BulkDeclaration> {
    let (purpose, channel) = line.targets.first()?.clone();
    Some(BulkDeclaration { contact_id, purpose, channel, state: line.said.clone() })
}

/// All declarations of a line for the contacts; for an opt-out on every channel, including channels that the purposes
/// no longer use.
pub(super) fn declarations_of(line: &Line, contacts: &[Uuid], used: &UsedChannels) -> Vec<BulkDeclaration> {
    let mut declarations = Vec::new();
    for contact_id in contacts.iter().copied() {
        let mut targets = line.targets.clone();
        if line.every_channel {
            for (purpose, channel) in used.get(&contact_id).into_iter().flatten() {
                let target = (purpose.clone(), *channel);
                if line.targets.iter().any(|(known_purpose, _)| known_purpose == purpose)
                    && !targets.contains(&target)
                {
                    targets.push(target);
                }
            }
        }
        let declaration =
            |(purpose, channel)| BulkDeclaration { contact_id, purpose, channel, state: line.said.clone() };
        declarations.extend(targets.into_iter().map(declaration));
    }
    declarations
}

/// A hash of contact, purpose and channel; in files of a million lines, a collision occurs once in ten million files.
pub(super) fn declaration_key(declaration: &BulkDeclaration) -> u64 {
    short_digest(&format!(
        "{}\0{}\0{}",
        declaration.contact_id,
        declaration.purpose,
        declaration.channel.to_value()
    ))
}

/// Purposes and channels that contacts have consents to.
pub(super) type UsedChannels = HashMap<Uuid, Vec<(String, Channel)>>;

/// The consents of contacts for which a line ends every channel.
pub(super) async fn load_used_channels<C: ConnectionTrait>(
    connection: &C,
    lines: &[Line],
    matches: &ContactMatches,
) -> Result<UsedChannels, Error> {
    let all_channel_lines = lines.iter().filter(|line| line.every_channel).flat_map(|line| &line.persons);
    let contacts: HashSet<Uuid> =
        all_channel_lines.filter_map(|person| matches.get(person)).flatten().copied().collect();
    let mut used = UsedChannels::new();
    for contacts in Vec::from_iter(contacts).chunks(MAX_BIND_VALUES) {
        use consent::Column;
        let rows = consent::Entity::find().select_only();
        let rows = rows.columns([Column::ContactId, Column::PurposeCode, Column::Channel]);
        let rows = rows.filter(Column::ContactId.is_in(contacts.iter().copied()));
        let rows: Vec<(Uuid, String, Channel)> = rows.into_tuple().all(connection).await?;
        for (contact, purpose, channel) in rows {
            used.entry(contact).or_default().push((purpose, channel));
        }
    }
    Ok(used)
}

/// Every contact that a line names, in the order of ids.
pub(super) fn named_contacts(
    line: &Line,
    matches: &ContactMatches,
    existing: &ExistingConsents,
) -> Vec<Uuid> {
    let found: BTreeSet<Uuid> =
        line.persons.iter().filter_map(|person| matches.get(person)).flatten().copied().collect();
    found.into_iter().filter(|id| existing.has(*id)).collect()
}

/// The records of the person who declared a line: those named by id, and those of an address that belongs to one
/// person. For an address of several persons the declarant is unknown; the address is blocked anyway.
pub(super) fn declaring_contacts(
    line: &Line,
    matches: &ContactMatches,
    existing: &ExistingConsents,
) -> Vec<Uuid> {
    let contacts_of = |address: bool| {
        let persons = line.persons.iter().filter(move |persons| persons.address().is_some() == address);
        let found = persons.filter_map(|persons| matches.get(persons)).flatten().copied();
        found.filter(|id| existing.has(*id)).collect::<BTreeSet<Uuid>>()
    };
    let (mut named, addressed) = (contacts_of(false), contacts_of(true));
    let mut names = addressed.iter().chain(&named).map(|id| existing.names(*id));
    let first = names.next().flatten();
    if addressed.len() + named.len() == 1 || (first.is_some() && names.all(|name| name == first)) {
        named.extend(addressed);
    }
    named.into_iter().collect()
}

/// The only contact that gave a consent. The other references in the line must not belong to somebody else.
pub(super) fn sole_contact(
    matches: &ContactMatches,
    existing: &ExistingConsents,
    line: &Line,
) -> Result<Uuid, Reason> {
    let (first, others) = line.persons.split_first().ok_or(Reason::UnknownContact)?;
    let contacts_of = |person: &PersonRef| -> BTreeSet<Uuid> {
        let found = matches.get(person).into_iter().flatten().copied();
        found.filter(|id| existing.has(*id)).collect()
    };
    let found = contacts_of(first);
    let mut ids = found.iter();
    let (Some(id), None) = (ids.next(), ids.next()) else {
        let is_empty = found.is_empty();
        return Err(if is_empty { Reason::UnknownContact } else { Reason::AmbiguousContact });
    };
    let is_other_person = |person: &PersonRef| {
        let others = contacts_of(person);
        !others.is_empty() && !others.contains(id)
    };
    if others.iter().any(is_other_person) { Err(Reason::AmbiguousContact) } else { Ok(*id) }
}

pub(super) async fn find_matches<C: ConnectionTrait>(
    connection: &C,
    import: &ConsentImport,
    lines: &[Line],
) -> Result<ContactMatches, Error> {
    let persons = lines.iter().flat_map(|line: &Line| -> &[PersonRef] { &line.persons });
    contact_lookup::find_contacts(connection, import.contact_source.as_deref(), persons).await
}
