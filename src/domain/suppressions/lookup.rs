//! What the list says of addresses: looked up by their digests. Room: domain/suppressions.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::{
    enums::{Channel, SuppressionKind},
    suppression::{Column, Entity},
};
use sea_orm::{ActiveEnum, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::{Declared, digests};
use crate::{
    audit::{LockMode, Transaction},
    base::{error::Error, identities::Reader},
    crypto::installation_keys::InstallationKeys,
    domain::contacts::{self, NewAddresses, Reachable},
    policy::{Grounds, Policy},
};

/// Values in one list of a statement.
pub(super) const MAX_BIND_VALUES: usize = 10_000;

/// For what an address is on the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Code of the purpose or group.
    pub purpose: String,
    /// Why.
    pub kind: SuppressionKind,
    /// The channel that it is about.
    pub channel: Channel,
    /// Whether no channel was named: every channel closes that leads to the address, and nobody new is kept for advertising by it.
    pub every_channel: bool,
    /// What was declared until then does not count.
    pub since: DateTime<Utc>,
}

impl Listed {
    /// Whether it stands against a consent that is declared for a channel.
    pub(super) fn ends_consent(&self, channel: Channel) -> bool {
        self.kind != SuppressionKind::ExternalList && self.channels().contains(&channel)
    }

    /// The channels that it closes: calls and text messages alike where none was named.
    pub(super) fn channels(&self) -> &'static [Channel] {
        match (self.channel, self.every_channel) {
            (Channel::Email, _) => &[Channel::Email],
            (Channel::Post, _) => &[Channel::Post],
            (Channel::Phone, false) => &[Channel::Phone],
            (Channel::Sms, false) => &[Channel::Sms],
            (Channel::Phone | Channel::Sms, true) => &[Channel::Phone, Channel::Sms],
        }
    }
}

/// What the list says of addresses that were looked for.
#[derive(Clone, Default)]
pub struct Found {
    /// What is listed, by contact and place of the identity.
    of: HashMap<(Uuid, usize), Vec<Listed>>,
}

impl Found {
    /// For what the identities of `reached` are on the list: each purpose, kind and channel once, with the latest time.
    pub fn of(&self, reached: &NewAddresses) -> Vec<Listed> {
        let mut all: Vec<Listed> = Vec::new();
        for listed in self.each(reached).map(|(_, listed)| listed) {
            let same = |known: &&mut Listed| {
                (&known.purpose, known.kind, known.channel) == (&listed.purpose, listed.kind, listed.channel)
            };
            match all.iter_mut().find(same) {
                Some(known) => {
                    known.since = known.since.max(listed.since);
                    known.every_channel |= listed.every_channel;
                }
                None => all.push(listed.clone()),
            }
        }
        all.sort_by(|one, other| {
            (&one.purpose, one.kind, one.channel.to_value()).cmp(&(
                &other.purpose,
                other.kind,
                other.channel.to_value(),
            ))
        });
        all
    }

    /// Whether all that `declared` says is listed already for every identity of `reached`; at that time or later, where `dated`.
    pub fn covers(&self, reached: &NewAddresses, declared: &Declared, dated: bool) -> bool {
        let same = |listed: &Listed| {
            let channel =
                declared.channel.map_or(listed.every_channel, |channel| listed.channels().contains(&channel));
            channel
                && (&listed.purpose, listed.kind) == (&declared.purpose, declared.kind)
                && (!dated || listed.since >= declared.since)
        };
        (0..reached.all().len()).all(|place| {
            let listed = self.of.get(&(reached.contact_id(), place));
            listed.is_some_and(|listed| listed.iter().any(same))
        })
    }

    pub(super) fn each<'f>(
        &'f self,
        reached: &'f NewAddresses,
    ) -> impl Iterator<Item = (&'f Reachable, &'f Listed)> {
        let all = reached.all().iter().enumerate();
        all.flat_map(move |(place, reachable)| {
            let listed = self.of.get(&(reached.contact_id(), place));
            listed.into_iter().flatten().map(move |listed| (reachable, listed))
        })
    }

    /// Since when a consent to `purpose` on `channel` would not count.
    pub fn ends_consent(
        &self,
        policy: &Policy,
        reached: &NewAddresses,
        purpose: &str,
        channel: Channel,
    ) -> Option<DateTime<Utc>> {
        let codes = codes(policy, purpose);
        let meant = self
            .each(reached)
            .map(|(_, listed)| listed)
            .filter(|listed| codes.contains(&listed.purpose.as_str()) && listed.ends_consent(channel));
        meant.map(|listed| listed.since).max()
    }

    /// Which of the identities of `reached` is on the list for `purpose` or its group, so that nothing that rests on no consent may be
    /// done for it.
    pub fn blocked(&self, policy: &Policy, reached: &NewAddresses, purpose: &str) -> Option<Channel> {
        let codes = codes(policy, purpose);
        let used: Vec<Channel> = channels_of(policy, purpose);
        let meant = |listed: &Listed| {
            codes.contains(&listed.purpose.as_str())
                && (listed.every_channel || used.is_empty() || used.contains(&listed.channel))
        };
        self.each(reached).find(|(_, listed)| meant(listed)).map(|(reachable, _)| reachable.channel())
    }
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found").field("entries", &self.of.len()).finish_non_exhaustive()
    }
}

/// The purpose and its group.
fn codes<'a>(policy: &'a Policy, purpose: &'a str) -> Vec<&'a str> {
    let group = policy.purpose(purpose).and_then(|purpose| purpose.group.as_deref());
    std::iter::once(purpose).chain(group).collect()
}

/// The channels that a purpose uses; none named where it says none.
pub(super) fn channels_of(policy: &Policy, purpose: &str) -> Vec<Channel> {
    let channels = policy.purpose(purpose).into_iter().flat_map(|purpose| &purpose.channels);
    channels.filter_map(|channel| Channel::try_from_value(&channel.as_str().to_owned()).ok()).collect()
}

/// Whether an objection to the purpose or group is one to advertising, which outlives the record of the person.
pub fn is_advertising(policy: &Policy, code: &str) -> bool {
    policy.purpose(code).is_some_and(|purpose| {
        purpose.is_group || purpose.group.is_some() || purpose.grounds == Grounds::Consent
    })
}

/// Looks for the identities of contacts. Without keys there is no list: nothing is found.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn find<C: ConnectionTrait>(
    connection: &C,
    ring: Option<&InstallationKeys>,
    reader: &Reader,
    all: &[NewAddresses],
) -> Result<Found, Error> {
    let Some(ring) = ring else { return Ok(Found::default()) };
    let versions = digests::versions(connection).await?;
    if versions.is_empty() {
        return Ok(Found::default());
    }
    let mut places: HashMap<String, Vec<(Uuid, usize)>> = HashMap::new();
    for reached in all {
        for (place, reachable) in reached.all().iter().enumerate() {
            for digest in digests::digests(ring, reader, &versions, reachable, reached.names()) {
                places.entry(digest).or_default().push((reached.contact_id(), place));
            }
        }
    }
    let digests: Vec<&str> = places.keys().map(String::as_str).collect();
    let mut found = Found::default();
    for digests in digests.chunks(MAX_BIND_VALUES) {
        let rows = Entity::find().filter(Column::Digest.is_in(digests.iter().copied()));
        for row in rows.all(connection).await? {
            let listed = Listed {
                purpose: row.purpose_code,
                kind: row.kind,
                channel: row.channel,
                every_channel: row.every_channel,
                since: row.since,
            };
            for place in places.get(&row.digest).into_iter().flatten() {
                found.of.entry(*place).or_default().push(listed.clone());
            }
        }
    }
    Ok(found)
}

/// For what the identities of a contact are on the list: kind of address, purpose or group, since when. For the person.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn of_contact<C: ConnectionTrait>(
    connection: &C,
    ring: &InstallationKeys,
    reader: &Reader,
    contact: Uuid,
) -> Result<Vec<(Channel, String, DateTime<Utc>)>, Error> {
    let Some(reached) = contacts::reached(connection, reader, contact).await? else { return Ok(Vec::new()) };
    let found = find(connection, Some(ring), reader, std::slice::from_ref(&reached)).await?;
    let listed = found.each(&reached);
    let declared = listed.filter(|(_, listed)| {
        // What no declaration of a person is, is not told as one.
        matches!(listed.kind, SuppressionKind::Objection | SuppressionKind::Withdrawal)
    });
    let mut told: Vec<_> = declared
        .map(|(reachable, listed)| (reachable.channel(), listed.purpose.clone(), listed.since))
        .collect();
    told.sort_by_key(|(channel, purpose, since)| (channel.to_value(), purpose.clone(), *since));
    told.dedup();
    Ok(told)
}

/// What the list says of addresses that come to a contact, whose identities are locked.
///
/// # Errors
/// `INTERNAL` from the database, and where an identity is not locked: a no could come in between.
pub async fn look(tx: &Transaction, reached: &NewAddresses) -> Result<Found, Error> {
    if reached.all().is_empty() {
        return Ok(Found::default());
    }
    if !tx.has_locks(reached.locks(), LockMode::Shared) {
        return Err(Error::internal("an address that is looked up without its lock"));
    }
    let ring = tx.existing_installation_keys().await?;
    find(tx.connection(), ring.as_ref(), tx.reader(), std::slice::from_ref(reached)).await
}

/// Rejects a new contact whose only purpose is one that the list closes for one of its addresses; `found` is what the list says of these.
///
/// # Errors
/// `BAD_USER_INPUT` at the address.
pub fn refuse(found: &Found, policy: &Policy, reached: &NewAddresses, purpose: &str) -> Result<(), Error> {
    let Some(channel) = found.blocked(policy, reached, purpose) else { return Ok(()) };
    let place = match channel {
        Channel::Email => "email",
        Channel::Phone | Channel::Sms => "phone",
        Channel::Post => "street",
    };
    let message = "this address must not be used for this purpose: whoever has it objected";
    Err(Error::bad_input(message).with_input_path(format!("input.{place}")))
}
