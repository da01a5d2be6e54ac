//! The suppression list (Werbesperre): addresses that must not be advertised to, as keyed digests (floor 4).
//!
//! An address can be recognised here and not read. An entry belongs to nobody, so that it stays when a person is erased
//! (Art. 17(3)(e), 21(3)), and it does not end: what was declared until its `since` does not count, a later declaration of the
//! person does.

use std::collections::HashMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use entity::{
    contact, contact_point,
    enums::Channel,
    suppression::{self, Column, Entity, Model},
};
use ring::hmac;
use sea_orm::{
    ActiveEnum, ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
};
use uuid::Uuid;

use crate::{
    audit::{Changes, Entry, Transaction},
    contacts::Reached,
    context::Ring,
    error::Error,
    fold::dialled,
    policy::{Grounds, Policy},
    register::Category,
};

/// The source of what the list brings to a contact.
pub const SOURCE: &str = "suppression list";

/// Name of an entry in the audit log.
const ENTRY: &str = "Suppression";
/// Values in one list of a statement.
const PARAMETERS: usize = 10_000;

/// An address, normalised.
#[derive(Clone, Copy)]
pub enum Addr<'a> {
    /// Key of a mailbox, as [`crate::fold::mailbox`] makes it.
    Email(&'a str),
    /// A phone number, folded.
    Phone(&'a str),
    /// A postal address, as [`crate::fold::address`] makes it.
    Post(&'a str),
}

impl<'a> Addr<'a> {
    /// The address `key` on a channel; calls and text messages go to the same numbers.
    pub fn on(channel: Channel, key: &'a str) -> Self {
        match channel {
            Channel::Email => Self::Email(key),
            Channel::Phone | Channel::Sms => Self::Phone(key),
            Channel::Post => Self::Post(key),
        }
    }

    /// What kind of address it is.
    pub fn channel(self) -> Channel {
        match self {
            Self::Email(_) => Channel::Email,
            Self::Phone(_) => Channel::Phone,
            Self::Post(_) => Channel::Post,
        }
    }

    /// HMAC-SHA-256 (RFC 2104) of channel and address: whoever does not have the key cannot try addresses.
    fn digest(self, ring: &Ring) -> String {
        let number;
        let key = match self {
            Self::Phone(key) => {
                number = dialled(key);
                number.as_str()
            }
            Self::Email(key) | Self::Post(key) => key,
        };
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &ring.suppression));
        context.update(self.channel().to_value().as_bytes());
        context.update(&[0]);
        context.update(key.as_bytes());
        URL_SAFE_NO_PAD.encode(context.sign())
    }
}

impl std::fmt::Debug for Addr<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Addr(***)")
    }
}

/// For what an address is on the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Code of the purpose or group.
    pub purpose: String,
    /// What was declared until then does not count.
    pub since: DateTime<Utc>,
}

/// What the list says of addresses that were looked for.
#[derive(Clone, Default)]
pub struct Found {
    ring: Option<Ring>,
    entries: HashMap<String, Vec<Listed>>,
}

impl Found {
    /// For what `address` is on the list.
    pub fn of(&self, address: Addr<'_>) -> &[Listed] {
        let ring = self.ring.as_ref().filter(|_| !self.entries.is_empty());
        let found = ring.and_then(|ring| self.entries.get(&address.digest(ring)));
        found.map(Vec::as_slice).unwrap_or_default()
    }

    /// Since when `address` is on the list for `purpose` or its group.
    pub fn blocks(&self, policy: &Policy, address: Addr<'_>, purpose: &str) -> Option<DateTime<Utc>> {
        let codes = codes(policy, purpose);
        let meant = self.of(address).iter().filter(|listed| codes.contains(&listed.purpose.as_str()));
        meant.map(|listed| listed.since).max()
    }

    /// For what the addresses that reach a contact are on the list, each purpose once, with the latest time.
    pub fn of_reached(&self, reached: &Reached) -> Vec<Listed> {
        let mut all: Vec<Listed> = Vec::new();
        for (channel, key) in reached.addresses() {
            for listed in self.of(Addr::on(*channel, key)) {
                match all.iter_mut().find(|known| known.purpose == listed.purpose) {
                    Some(known) => known.since = known.since.max(listed.since),
                    None => all.push(listed.clone()),
                }
            }
        }
        all.sort_by(|one, other| one.purpose.cmp(&other.purpose));
        all
    }

    /// Which of the addresses that reach a contact is on the list for `purpose` or its group.
    pub fn blocked(&self, policy: &Policy, reached: &Reached, purpose: &str) -> Option<Channel> {
        let mut addresses = reached.addresses().iter();
        addresses
            .find(|(channel, key)| self.blocks(policy, Addr::on(*channel, key), purpose).is_some())
            .map(|(channel, _)| *channel)
    }
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Found").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

/// The purpose and its group.
fn codes<'a>(policy: &'a Policy, purpose: &'a str) -> Vec<&'a str> {
    let group = policy.purpose(purpose).and_then(|purpose| purpose.group.as_deref());
    std::iter::once(purpose).chain(group).collect()
}

/// Whether an objection to the purpose or group is one to advertising, which outlives the record of the person.
pub fn is_advertising(policy: &Policy, code: &str) -> bool {
    policy.purpose(code).is_some_and(|purpose| {
        purpose.is_group || purpose.group.is_some() || purpose.grounds == Grounds::Consent
    })
}

/// Looks for addresses, one statement for up to 10,000. Without keys there is no list: nothing is found.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn find<C: ConnectionTrait>(
    connection: &C,
    ring: Option<&Ring>,
    addresses: impl IntoIterator<Item = Addr<'_>>,
) -> Result<Found, Error> {
    let Some(ring) = ring else { return Ok(Found::default()) };
    let mut digests: Vec<String> = addresses.into_iter().map(|address| address.digest(ring)).collect();
    digests.sort_unstable();
    digests.dedup();
    let mut found = Found { ring: Some(ring.clone()), entries: HashMap::new() };
    for digests in digests.chunks(PARAMETERS) {
        let rows = Entity::find().filter(Column::Digest.is_in(digests.iter().map(String::as_str)));
        for row in rows.all(connection).await? {
            let listed = Listed { purpose: row.purpose_code, since: row.since };
            found.entries.entry(row.digest).or_default().push(listed);
        }
    }
    Ok(found)
}

/// Since when the address is on the list for the purpose or its group: the latest time, where there are several.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn blocks<C: ConnectionTrait>(
    connection: &C,
    ring: &Ring,
    policy: &Policy,
    address: &Addr<'_>,
    purpose: &str,
) -> Result<Option<DateTime<Utc>>, Error> {
    Ok(find(connection, Some(ring), [*address]).await?.blocks(policy, *address, purpose))
}

/// For what the addresses of a contact, the primary and further ones, are on the list: kind of address, purpose or group,
/// since when. For the person.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn of_contact<C: ConnectionTrait>(
    connection: &C,
    ring: &Ring,
    contact: Uuid,
) -> Result<Vec<(Channel, String, DateTime<Utc>)>, Error> {
    let reached = addresses_of(connection, contact).await?;
    let all = reached.addresses().iter().map(|(channel, key)| Addr::on(*channel, key));
    let found = find(connection, Some(ring), all.clone()).await?;
    let mut told: Vec<_> = all
        .flat_map(|address| {
            let listed = found.of(address).iter();
            listed.map(move |listed| (address.channel(), listed.purpose.clone(), listed.since))
        })
        .collect();
    told.sort_by_key(|(channel, purpose, since)| (channel.to_value(), purpose.clone(), *since));
    told.dedup();
    Ok(told)
}

/// The addresses of a contact as they are now.
async fn addresses_of<C: ConnectionTrait>(connection: &C, contact: Uuid) -> Result<Reached, Error> {
    let found = contact::Entity::find_by_id(contact).one(connection).await?;
    let points = contact_point::Entity::find().filter(contact_point::Column::ContactId.eq(contact));
    let points = points.all(connection).await?;
    Ok(Reached::of(contact, found.as_ref(), &points))
}

/// Puts an address on the list and tells whether that changed it. A repeat makes no second row; a later time stands for the
/// earlier one.
///
/// # Errors
/// From the database; transient where another writer has put it there in between.
pub async fn add(
    tx: &mut Transaction,
    ring: &Ring,
    address: &Addr<'_>,
    purpose: &str,
    since: DateTime<Utc>,
    source: Option<&str>,
) -> Result<bool, Error> {
    let digest = address.digest(ring);
    let known = Entity::find()
        .filter(Column::Digest.eq(&digest))
        .filter(Column::PurposeCode.eq(purpose))
        .one(tx.connection())
        .await?;
    let model = Model {
        id: known.as_ref().map_or_else(|| tx.new_id(), |known| known.id),
        digest,
        channel: address.channel(),
        purpose_code: purpose.to_owned(),
        since,
        source: source.map(str::to_owned),
        recorded_by: tx.author().actor.clone(),
        created_at: tx.now(),
    };
    match known {
        Some(known) if known.since >= since => return Ok(false),
        Some(_) => _ = model.into_active_model().reset_all().update(tx.connection()).await?,
        None => {
            let values: suppression::ActiveModel = model.into_active_model().reset_all();
            suppression::Entity::insert(values).exec_without_returning(tx.connection()).await?;
        }
    }
    Ok(true)
}

/// Puts an address on the list for a purpose or group, records it, and tells whether that changed it.
///
/// # Errors
/// As [`add`].
pub async fn keep(
    tx: &mut Transaction,
    address: &Addr<'_>,
    purpose: &str,
    since: DateTime<Utc>,
    source: Option<&str>,
) -> Result<bool, Error> {
    let ring = tx.ring().await?;
    let changed = add(tx, &ring, address, purpose, since, source).await?;
    record(tx, purpose, changed).await?;
    Ok(changed)
}

/// Records for what an address was put on the list; neither the address nor whose it is.
async fn record(tx: &mut Transaction, purpose: &str, changed: bool) -> Result<(), Error> {
    let code =
        || Changes::one("Suppression.purpose", Category::Technical, serde_json::Value::Null, purpose.into());
    tx.record(Entry {
        action: "suppressAddress",
        entity_type: ENTRY,
        entity_id: None,
        contact_id: None,
        changes: if changed { code() } else { Changes::none() },
    })
    .await
}

/// Puts every address of a contact on the list, the primary and further ones, so that what the person declared outlives the
/// record. Without an address there is nothing to be put there.
///
/// # Errors
/// As [`add`].
pub async fn keep_of_contact(
    tx: &mut Transaction,
    contact: Uuid,
    purpose: &str,
    since: DateTime<Utc>,
    source: Option<&str>,
) -> Result<(), Error> {
    let reached = addresses_of(tx.connection(), contact).await?;
    let addresses: Vec<Addr<'_>> =
        reached.addresses().iter().map(|(channel, key)| Addr::on(*channel, key)).collect();
    if addresses.is_empty() {
        return Ok(());
    }
    let ring = tx.ring().await?;
    let mut changed = false;
    for address in &addresses {
        changed |= add(tx, &ring, address, purpose, since, source).await?;
    }
    if changed { record(tx, purpose, changed).await } else { Ok(()) }
}

/// What the list says of addresses that come to a contact.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn look(tx: &Transaction, reached: &Reached) -> Result<Found, Error> {
    if reached.addresses().is_empty() {
        return Ok(Found::default());
    }
    let ring = tx.known_ring().await?;
    let all = reached.addresses().iter().map(|(channel, key)| Addr::on(*channel, key));
    find(tx.connection(), ring.as_ref(), all).await
}

/// Refuses a new contact that would be kept for a purpose alone which one of its addresses is on the list for.
///
/// # Errors
/// `BAD_USER_INPUT` at the address.
pub async fn refuse(
    tx: &Transaction,
    policy: &Policy,
    reached: &Reached,
    purpose: &str,
) -> Result<(), Error> {
    let Some(channel) = look(tx, reached).await?.blocked(policy, reached, purpose) else { return Ok(()) };
    let place = match channel {
        Channel::Email => "email",
        Channel::Phone | Channel::Sms => "phone",
        Channel::Post => "street",
    };
    let message = "this address must not be used for this purpose: whoever has it objected";
    Err(Error::input(message).in_input(format!("input.{place}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(seed: u8) -> Ring {
        Ring { links: [1; 32], suppression: [seed; 32], signing: [2; 32] }
    }

    #[test]
    fn digests_tell_keys_channels_and_addresses_apart() {
        let all = [
            Addr::Email("anna@example.org").digest(&ring(1)),
            Addr::Email("anna@example.org").digest(&ring(2)),
            Addr::Email("berta@example.org").digest(&ring(1)),
            Addr::Phone("anna@example.org").digest(&ring(1)),
            Addr::Post("anna@example.org").digest(&ring(1)),
        ];
        for (index, one) in all.iter().enumerate() {
            assert_eq!(one.len(), 43);
            assert!(!all[index + 1..].contains(one));
        }
        assert_eq!(all[0], Addr::on(Channel::Email, "anna@example.org").digest(&ring(1)));
        assert_eq!(
            Addr::on(Channel::Sms, "1").digest(&ring(1)),
            Addr::on(Channel::Phone, "1").digest(&ring(1))
        );
        for written in ["+49 170 1234567", "+49 (170) 123-45/67", "0049 170 1234567"] {
            let digest = Addr::Phone(written).digest(&ring(1));
            assert_eq!(digest, Addr::Phone("+491701234567").digest(&ring(1)), "{written}");
        }
        assert_eq!(format!("{:?}", Addr::Email("anna@example.org")), "Addr(***)");
    }
}
