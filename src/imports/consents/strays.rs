//! Ends of consents of those who have no record yet (floor 4).

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;

use super::{
    Fate,
    lines::{Line, Who},
};
use crate::{
    consents::Said,
    context::Ring,
    error::Error,
    imports::Reason,
    suppressions::{self, Addr},
};

/// The end of a consent of somebody who has no record yet, whose address is kept on the suppression list: it may come in later,
/// and with it an older consent.
pub(super) fn stray<'l>(
    line: &'l Line,
    fate: &Fate,
    now: DateTime<Utc>,
) -> Option<(Addr<'l>, DateTime<Utc>, Option<&'l str>)> {
    match (fate, &line.who, &line.said) {
        (Fate::Rejected(Reason::UnknownContact), Who::Email(key), Said::Ended { at, source, .. }) => {
            Some((Addr::Email(key), at.unwrap_or(now), source.as_deref()))
        }
        _ => None,
    }
}

/// Whether the address is on the list already, for the purpose of the line and since then.
pub(super) async fn listed<C: ConnectionTrait>(
    connection: &C,
    ring: Option<&Ring>,
    address: Addr<'_>,
    line: &Line,
    since: DateTime<Utc>,
) -> Result<bool, Error> {
    let unknown = matches!(&line.said, Said::Ended { at: None, .. });
    let found = suppressions::find(connection, ring, [address]).await?;
    Ok(found
        .of(address)
        .iter()
        .any(|known| known.purpose == line.purpose && (unknown || known.since >= since)))
}
