//! Ends of consents of those who have no record yet (floor 4).

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;

use super::{
    Fate,
    lines::{Line, Who},
};
use crate::{
    consents::Said,
    contacts::{Reachable, Reached},
    context::Ring,
    error::Error,
    identities::Reader,
    imports::Reason,
    suppressions,
};

/// The end of a consent of somebody who has no record yet, whose address is kept on the suppression list: it may come in later,
/// and with it an older consent.
pub(super) fn stray<'l>(
    line: &'l Line,
    fate: &Fate,
    now: DateTime<Utc>,
) -> Option<(&'l str, DateTime<Utc>, Option<&'l str>)> {
    match (fate, &line.who, &line.said) {
        (Fate::Rejected(Reason::UnknownContact), Who::Email(key), Said::Ended { at, source, .. }) => {
            Some((key, at.unwrap_or(now), source.as_deref()))
        }
        _ => None,
    }
}

/// Whether the address is on the list already, for the purpose of the line and since then.
pub(super) async fn listed<C: ConnectionTrait>(
    connection: &C,
    (ring, reader): (Option<&Ring>, &Reader),
    address: &str,
    line: &Line,
    since: DateTime<Utc>,
) -> Result<bool, Error> {
    let unknown = matches!(&line.said, Said::Ended { at: None, .. });
    let reached = typed(reader, address);
    let found = suppressions::find(connection, ring, reader, std::slice::from_ref(&reached)).await?;
    Ok(found
        .of(&reached)
        .iter()
        .any(|known| known.purpose == line.purpose && (unknown || known.since >= since)))
}

/// The mailboxes that a text names.
pub(super) fn typed(reader: &Reader, text: &str) -> Reached {
    let mailboxes = reader.emails(text).identities.into_iter();
    Reached::typed(mailboxes.map(|identity| Reachable::typed(identity, text)).collect())
}
