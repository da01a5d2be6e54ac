//! Ends of consents of those who have no record yet (floor 4).

use chrono::{DateTime, Utc};
use sea_orm::ConnectionTrait;

use super::lines::Line;
use crate::{
    consents::Said,
    context::Ring,
    error::Error,
    imports::known::{Known, Who},
    suppressions::{self, Addr},
};

/// The addresses of a no that nobody has, which are kept on the suppression list: they may come in later, and with them an older
/// consent.
pub(super) fn strays<'l>(line: &'l Line, known: &Known, has: impl Fn(uuid::Uuid) -> bool) -> Vec<Addr<'l>> {
    let met = |who: &Who| known.get(who).into_iter().flatten().any(|id| has(*id));
    line.who.iter().filter(|who| !met(who)).filter_map(Who::address).collect()
}

/// When a no was declared, and where.
pub(super) fn said(line: &Line, now: DateTime<Utc>) -> (DateTime<Utc>, Option<&str>) {
    match &line.said {
        Said::Ended { at, source, .. } => (at.unwrap_or(now), source.as_deref()),
        Said::Granted(grant) => (grant.declared_at, Some(&grant.source)),
    }
}

/// Purposes for which the address of a no is not on the list yet, or not since then.
pub(super) async fn unlisted<C: ConnectionTrait>(
    connection: &C,
    ring: Option<&Ring>,
    address: Addr<'_>,
    line: &Line,
    since: DateTime<Utc>,
) -> Result<Vec<String>, Error> {
    let unknown = matches!(&line.said, Said::Ended { at: None, .. });
    let found = suppressions::find(connection, ring, [address]).await?;
    let listed = |code: &String| {
        let mut known = found.of(address).iter();
        known.any(|known| known.purpose == *code && (unknown || known.since >= since))
    };
    Ok(line.codes().into_iter().filter(|code| !listed(code)).collect())
}
