//! Looks addresses up on the list by their digests. Room: domain/suppressions.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::{
    enums::{Channel, SuppressionKind},
    suppression::{Column, Entity},
};
use sea_orm::{ActiveEnum, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::{OptOutDeclaration, digests};
use crate::{
    audit::{LockMode, Transaction},
    base::{error::Error, identities::Reader},
    crypto::installation_keys::InstallationKeys,
    domain::contacts::{self, NewAddresses, Reachable},
    policy::{Grounds, Policy},
};

/// Maximum number of values in one list of a statement.
pub(super) const MAX_BIND_VALUES: usize = 10_000;

/// An entry of the list, as found for an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression {
    /// Code of the purpose or group.
    pub purpose: String,
    /// Why.
    pub kind: SuppressionKind,
    /// The channel it concerns.
    pub channel: Channel,
    /// Whether no channel was named: it closes every channel that leads to the address, and no new contact may be
    /// stored for advertising with it.
    pub every_channel: bool,
    /// Earlier declarations do not count.
    pub since: DateTime<Utc>,
}

impl Suppression {
    /// Whether it ends a consent declared for a channel.
    pub(super) fn ends_consent(&self, channel: Channel) -> bool {
        self.kind != SuppressionKind::ExternalList && self.channels().contains(&channel)
    }

    /// The channels it closes: both calls and text messages if none was named.
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

/// The entries found for a set of addresses.
#[derive(Clone, Default)]
pub struct SuppressionMatches {
    /// Entries by contact and position of the identity.
    by_identity: HashMap<(Uuid, usize), Vec<Suppression>>,
}

impl SuppressionMatches {
    /// For what the identities of `addresses` are on the list: each purpose, kind and channel once, with the latest time.
    pub fn for_addresses(&self, addresses: &NewAddresses) -> Vec<Suppression> {
        let mut all: Vec<Suppression> = Vec::new();
        for suppression in self.matches(addresses).map(|(_, suppression)| suppression) {
            let same = |existing: &&mut Suppression| {
                (&existing.purpose, existing.kind, existing.channel)
                    == (&suppression.purpose, suppression.kind, suppression.channel)
            };
            match all.iter_mut().find(same) {
                Some(existing) => {
                    existing.since = existing.since.max(suppression.since);
                    existing.every_channel |= suppression.every_channel;
                }
                None => all.push(suppression.clone()),
            }
        }
        all.sort_by(|left, right| {
            (&left.purpose, left.kind, left.channel.to_value()).cmp(&(
                &right.purpose,
                right.kind,
                right.channel.to_value(),
            ))
        });
        all
    }

    /// Whether the list covers `declared` for every identity of `addresses`; if `dated`, with that time or a later
    /// one.
    pub fn covers(&self, addresses: &NewAddresses, declared: &OptOutDeclaration, dated: bool) -> bool {
        let same = |suppression: &Suppression| {
            let channel = declared
                .channel
                .map_or(suppression.every_channel, |channel| suppression.channels().contains(&channel));
            channel
                && (&suppression.purpose, suppression.kind) == (&declared.purpose, declared.kind)
                && (!dated || suppression.since >= declared.since)
        };
        (0..addresses.all().len()).all(|position| {
            let suppression = self.by_identity.get(&(addresses.contact_id(), position));
            suppression.is_some_and(|suppression| suppression.iter().any(same))
        })
    }

    pub(super) fn matches<'f>(
        &'f self,
        addresses: &'f NewAddresses,
    ) -> impl Iterator<Item = (&'f Reachable, &'f Suppression)> {
        let all = addresses.all().iter().enumerate();
        all.flat_map(move |(position, reachable)| {
            let suppression = self.by_identity.get(&(addresses.contact_id(), position));
            suppression.into_iter().flatten().map(move |suppression| (reachable, suppression))
        })
    }

    /// The time up to which a consent to `purpose` on `channel` does not count.
    pub fn ends_consent(
        &self,
        policy: &Policy,
        addresses: &NewAddresses,
        purpose: &str,
        channel: Channel,
    ) -> Option<DateTime<Utc>> {
        let codes = purpose_and_group(policy, purpose);
        let relevant = self.matches(addresses).map(|(_, suppression)| suppression).filter(|suppression| {
            codes.contains(&suppression.purpose.as_str()) && suppression.ends_consent(channel)
        });
        relevant.map(|suppression| suppression.since).max()
    }

    /// The channel of an identity of `addresses` that is listed for `purpose` or its group, so that processing
    /// without consent is not allowed.
    pub fn blocked_channel(
        &self,
        policy: &Policy,
        addresses: &NewAddresses,
        purpose: &str,
    ) -> Option<Channel> {
        let codes = purpose_and_group(policy, purpose);
        let used: Vec<Channel> = channels_of(policy, purpose);
        let relevant = |suppression: &Suppression| {
            codes.contains(&suppression.purpose.as_str())
                && (suppression.every_channel || used.is_empty() || used.contains(&suppression.channel))
        };
        self.matches(addresses)
            .find(|(_, suppression)| relevant(suppression))
            .map(|(reachable, _)| reachable.channel())
    }
}

impl std::fmt::Debug for SuppressionMatches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found").field("entries", &self.by_identity.len()).finish_non_exhaustive()
    }
}

/// The purpose and its group.
fn purpose_and_group<'a>(policy: &'a Policy, purpose: &'a str) -> Vec<&'a str> {
    let group = policy.purpose(purpose).and_then(|purpose| purpose.group.as_deref());
    std::iter::once(purpose).chain(group).collect()
}

/// The channels that a purpose uses; empty if it names none.
pub(super) fn channels_of(policy: &Policy, purpose: &str) -> Vec<Channel> {
    let channels = policy.purpose(purpose).into_iter().flat_map(|purpose| &purpose.channels);
    channels.filter_map(|channel| Channel::try_from_value(&channel.as_str().to_owned()).ok()).collect()
}

/// Whether the purpose or group is advertising, so that an objection to it outlives the person's record.
pub fn is_advertising(policy: &Policy, code: &str) -> bool {
    policy.purpose(code).is_some_and(|purpose| {
        purpose.is_group || purpose.group.is_some() || purpose.grounds == Grounds::Consent
    })
}

/// Looks up the identities of contacts. Without keys there is no list, and nothing is found.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn find<C: ConnectionTrait>(
    connection: &C,
    installation_keys: Option<&InstallationKeys>,
    reader: &Reader,
    all: &[NewAddresses],
) -> Result<SuppressionMatches, Error> {
    let Some(installation_keys) = installation_keys else { return Ok(SuppressionMatches::default()) };
    let versions = digests::reader_versions(connection).await?;
    if versions.is_empty() {
        return Ok(SuppressionMatches::default());
    }
    let mut positions: HashMap<String, Vec<(Uuid, usize)>> = HashMap::new();
    for addresses in all {
        for (position, reachable) in addresses.all().iter().enumerate() {
            for digest in digests::digests(installation_keys, reader, &versions, reachable, addresses.names())
            {
                positions.entry(digest).or_default().push((addresses.contact_id(), position));
            }
        }
    }
    let digests: Vec<&str> = positions.keys().map(String::as_str).collect();
    let mut matches = SuppressionMatches::default();
    for digests in digests.chunks(MAX_BIND_VALUES) {
        let rows = Entity::find().filter(Column::Digest.is_in(digests.iter().copied()));
        for row in rows.all(connection).await? {
            let suppression = Suppression {
                purpose: row.purpose_code,
                kind: row.kind,
                channel: row.channel,
                every_channel: row.every_channel,
                since: row.since,
            };
            for position in positions.get(&row.digest).into_iter().flatten() {
                matches.by_identity.entry(*position).or_default().push(suppression.clone());
            }
        }
    }
    Ok(matches)
}

/// What the identities of a contact are listed for: kind of address, purpose or group, since when. For the data
/// subject.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn declared_for_contact<C: ConnectionTrait>(
    connection: &C,
    installation_keys: &InstallationKeys,
    reader: &Reader,
    contact: Uuid,
) -> Result<Vec<(Channel, String, DateTime<Utc>)>, Error> {
    let Some(addresses) = contacts::addresses_of(connection, reader, contact).await? else {
        return Ok(Vec::new());
    };
    let matches = find(connection, Some(installation_keys), reader, std::slice::from_ref(&addresses)).await?;
    let suppression = matches.matches(&addresses);
    let declared = suppression.filter(|(_, suppression)| {
        // Entries that no person declared are not shown as declarations.
        matches!(suppression.kind, SuppressionKind::Objection | SuppressionKind::Withdrawal)
    });
    let mut entries: Vec<_> = declared
        .map(|(reachable, suppression)| (reachable.channel(), suppression.purpose.clone(), suppression.since))
        .collect();
    entries.sort_by_key(|(channel, purpose, since)| (channel.to_value(), purpose.clone(), *since));
    entries.dedup();
    Ok(entries)
}

/// Looks up new addresses of a contact, whose identities are locked.
///
/// # Errors
/// `INTERNAL` from the database, and if an identity is not locked: an opt-out could arrive in between.
pub async fn lookup(tx: &Transaction, addresses: &NewAddresses) -> Result<SuppressionMatches, Error> {
    if addresses.all().is_empty() {
        return Ok(SuppressionMatches::default());
    }
    if !tx.has_locks(addresses.locks(), LockMode::Shared) {
        return Err(Error::internal("an address must be locked before it is looked up"));
    }
    let installation_keys = tx.existing_installation_keys().await?;
    find(tx.connection(), installation_keys.as_ref(), tx.reader(), std::slice::from_ref(addresses)).await
}

/// Rejects a new contact whose only purpose is closed by the list for one of its addresses; `matches` is the result
/// of the look-up.
///
/// # Errors
/// `BAD_USER_INPUT` at the address.
pub fn reject_suppressed(
    matches: &SuppressionMatches,
    policy: &Policy,
    addresses: &NewAddresses,
    purpose: &str,
) -> Result<(), Error> {
    let Some(channel) = matches.blocked_channel(policy, addresses, purpose) else { return Ok(()) };
    let field = match channel {
        Channel::Email => "email",
        Channel::Phone | Channel::Sms => "phone",
        Channel::Post => "street",
    };
    let message = "this address must not be used for this purpose: its owner has objected";
    Err(Error::bad_input(message).with_input_path(format!("input.{field}")))
}
