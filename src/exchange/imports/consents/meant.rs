//! Whom lines mean, and what they tell of them. Room: exchange/imports/consents.

use std::collections::{BTreeSet, HashMap, HashSet};

use entity::{consent, enums::Channel};
use sea_orm::{ActiveEnum, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::{
    ConsentImport,
    lines::{Line, short},
};
use crate::{
    base::error::Error,
    domain::consents::{ExistingConsents, Told},
    exchange::imports::{
        Reason,
        known::{self, Known, Who},
    },
};

/// Values in one list of a statement.
const MAX_BIND_VALUES: usize = 10_000;

/// What a yes tells of the contact.
pub(super) fn told(line: &Line, contact_id: Uuid) -> Option<Told> {
    let (purpose, channel) = line.targets.first()?.clone();
    Some(Told { contact_id, purpose, channel, said: line.said.clone() })
}

/// All that a line tells of the contacts: of a no on every channel also of those that the purposes use no more.
pub(super) fn all_told(line: &Line, contacts: &[Uuid], used: &Used) -> Vec<Told> {
    let mut all = Vec::new();
    for contact_id in contacts.iter().copied() {
        let mut targets = line.targets.clone();
        if line.every_channel {
            for (purpose, channel) in used.get(&contact_id).into_iter().flatten() {
                let target = (purpose.clone(), *channel);
                if line.targets.iter().any(|(known, _)| known == purpose) && !targets.contains(&target) {
                    targets.push(target);
                }
            }
        }
        let told = |(purpose, channel)| Told { contact_id, purpose, channel, said: line.said.clone() };
        all.extend(targets.into_iter().map(told));
    }
    all
}

/// Stands for contact, purpose and channel; of a million two that differ are taken for the same once in ten million files.
pub(super) fn key(told: &Told) -> u64 {
    short(&format!("{}\0{}\0{}", told.contact_id, told.purpose, told.channel.to_value()))
}

/// Purposes and channels that contacts have consents to.
pub(super) type Used = HashMap<Uuid, Vec<(String, Channel)>>;

/// Consents of those of whom a line ends every channel.
pub(super) async fn used<C: ConnectionTrait>(
    connection: &C,
    lines: &[Line],
    known: &Known,
) -> Result<Used, Error> {
    let wide = lines.iter().filter(|line| line.every_channel).flat_map(|line| &line.who);
    let contacts: HashSet<Uuid> = wide.filter_map(|who| known.get(who)).flatten().copied().collect();
    let mut used = Used::new();
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
pub(super) fn contacts(line: &Line, known: &Known, present: &ExistingConsents) -> Vec<Uuid> {
    let found: BTreeSet<Uuid> = line.who.iter().filter_map(|who| known.get(who)).flatten().copied().collect();
    found.into_iter().filter(|id| present.has(*id)).collect()
}

/// The records of the person who says a line: those that it names by id, and those of an address that is one person's. Of an address of
/// several persons nobody is known to have said it; it is blocked all the same.
pub(super) fn speaking(line: &Line, known: &Known, present: &ExistingConsents) -> Vec<Uuid> {
    let of = |address: bool| {
        let who = line.who.iter().filter(move |who| who.address().is_some() == address);
        let found = who.filter_map(|who| known.get(who)).flatten().copied();
        found.filter(|id| present.has(*id)).collect::<BTreeSet<Uuid>>()
    };
    let (mut named, addressed) = (of(false), of(true));
    let mut names = addressed.iter().chain(&named).map(|id| present.names(*id));
    let first = names.next().flatten();
    if addressed.len() + named.len() == 1 || (first.is_some() && names.all(|other| other == first)) {
        named.extend(addressed);
    }
    named.into_iter().collect()
}

/// The one contact that gave a consent. Whatever else the line names it by must not be somebody else's.
pub(super) fn one(known: &Known, present: &ExistingConsents, line: &Line) -> Result<Uuid, Reason> {
    let (first, others) = line.who.split_first().ok_or(Reason::UnknownContact)?;
    let named = |who: &Who| -> BTreeSet<Uuid> {
        let found = known.get(who).into_iter().flatten().copied();
        found.filter(|id| present.has(*id)).collect()
    };
    let found = named(first);
    let mut ids = found.iter();
    let (Some(id), None) = (ids.next(), ids.next()) else {
        let none = found.is_empty();
        return Err(if none { Reason::UnknownContact } else { Reason::AmbiguousContact });
    };
    let other = |who: &Who| {
        let others = named(who);
        !others.is_empty() && !others.contains(id)
    };
    if others.iter().any(other) { Err(Reason::AmbiguousContact) } else { Ok(*id) }
}

pub(super) async fn find<C: ConnectionTrait>(
    connection: &C,
    import: &ConsentImport,
    lines: &[Line],
) -> Result<Known, Error> {
    let named = lines.iter().flat_map(|line: &Line| -> &[Who] { &line.who });
    known::find(connection, import.contact_source.as_deref(), named).await
}
