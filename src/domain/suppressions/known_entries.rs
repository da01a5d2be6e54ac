//! Checks whether an opt-out is already listed; one without a time, since anybody last consented.
//! Room: domain/suppressions.

use chrono::{DateTime, Utc};
use entity::{
    consent,
    enums::{Channel, ConsentStatus, StopKind, SuppressionKind},
    objection,
};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::{
    OptOutDeclaration, blocks,
    lookup::{MAX_BIND_VALUES, SuppressionMatches},
    targets::contacts_with_addresses,
};
use crate::{base::error::Error, domain::contacts::NewAddresses, policy::Policy};

/// An opt-out to be listed, and what was found.
#[derive(Clone, Copy, Debug)]
pub struct KnownEntryQuery<'a> {
    /// The policy in force.
    pub policy: &'a Policy,
    /// The entries found for the identities.
    pub matches: &'a SuppressionMatches,
    /// The identities it concerns.
    pub addresses: &'a NewAddresses,
    /// The opt-out.
    pub declared: &'a OptOutDeclaration,
    /// Whether it has a time of its own.
    pub dated: bool,
}

/// Whether the list already covers an opt-out for every identity. One with a time must be listed with that time or
/// a later one; one without, with a time that no consent on a record of the identities is later than.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn is_already_listed<C: ConnectionTrait>(
    connection: &C,
    query: KnownEntryQuery<'_>,
) -> Result<bool, Error> {
    let KnownEntryQuery { matches, addresses, declared, dated, .. } = query;
    // An external list is nobody's new declaration: who was taken off it stays off.
    if dated || declared.kind == SuppressionKind::ExternalList || !matches.covers(addresses, declared, false)
    {
        return Ok(matches.covers(addresses, declared, dated));
    }
    let reversed_at = latest_reversal(connection, query.policy, addresses, declared).await?;
    Ok(reversed_at.is_none_or(|reversed_at| {
        matches.covers(addresses, &OptOutDeclaration { since: reversed_at, ..declared.clone() }, true)
    }))
}

/// When a contact with one of the identities last consented to what the opt-out concerns, or had a block of it
/// lifted.
async fn latest_reversal<C: ConnectionTrait>(
    connection: &C,
    policy: &Policy,
    addresses: &NewAddresses,
    declared: &OptOutDeclaration,
) -> Result<Option<DateTime<Utc>>, Error> {
    let records = contacts_with_addresses(connection, addresses).await?;
    let all_channels =
        addresses.all().iter().flat_map(|reachable| blocks::closed_channels(reachable, declared.channel));
    let mut channels: Vec<Channel> = Vec::new();
    all_channels.for_each(|channel| {
        if !channels.contains(&channel) {
            channels.push(channel);
        }
    });
    let kinds = policy.purposes().iter().filter(|purpose| {
        purpose.code == declared.purpose || purpose.group.as_ref() == Some(&declared.purpose)
    });
    let kinds: Vec<&str> = kinds.map(|purpose| purpose.code.as_str()).collect();
    let mut last: Option<DateTime<Utc>> = None;
    for records in records.chunks(MAX_BIND_VALUES) {
        last = last.max(latest_consent(connection, records, &kinds, &channels).await?);
        last = last.max(latest_lift(connection, records, &declared.purpose, &channels).await?);
    }
    Ok(last)
}

async fn latest_consent<C: ConnectionTrait>(
    connection: &C,
    records: &[Uuid],
    purposes: &[&str],
    channels: &[Channel],
) -> Result<Option<DateTime<Utc>>, Error> {
    use consent::{Column, Entity};
    let rows = Entity::find().select_only().column(Column::DeclaredAt);
    let rows = rows.filter(Column::ContactId.is_in(records.iter().copied()));
    let rows = rows.filter(Column::PurposeCode.is_in(purposes.iter().copied()));
    let rows = rows.filter(Column::Channel.is_in(channels.iter().copied()));
    let rows =
        rows.filter(Column::Status.eq(ConsentStatus::Granted)).filter(Column::DeclaredAt.is_not_null());
    let last = rows.order_by_desc(Column::DeclaredAt).into_tuple::<Option<DateTime<Utc>>>();
    Ok(last.one(connection).await?.flatten())
}

async fn latest_lift<C: ConnectionTrait>(
    connection: &C,
    records: &[Uuid],
    purpose: &str,
    channels: &[Channel],
) -> Result<Option<DateTime<Utc>>, Error> {
    use objection::{Column, Entity};
    let rows = Entity::find().select_only().column(Column::EndedAt);
    let rows = rows.filter(Column::ContactId.is_in(records.iter().copied()));
    let rows = rows.filter(Column::PurposeCode.eq(purpose));
    let rows = rows.filter(Column::Channel.is_in(channels.iter().copied()));
    // Entries of external lists are removed only through that list.
    let rows = rows.filter(Column::Kind.is_in([StopKind::Block, StopKind::Undeliverable]));
    let rows = rows.filter(Column::EndedAt.is_not_null());
    let last = rows.order_by_desc(Column::EndedAt).into_tuple::<Option<DateTime<Utc>>>();
    Ok(last.one(connection).await?.flatten())
}
