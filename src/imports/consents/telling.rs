//! What the noes of a file put on the suppression list (floor 4).

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use entity::enums::SuppressionKind;
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::lines::{Line, short};
use crate::{
    audit::Transaction,
    consents::Said,
    contacts::{Reachable, Reached},
    context::Ring,
    error::Error,
    identities::Reader,
    imports::{known::Who, noes::About},
    suppressions::{self, Declared},
};

/// What the line ends, as it is put on the list: consents to be withdrawn. What it objects to goes in as objections do.
fn declared(line: &Line, now: DateTime<Utc>) -> Vec<Declared> {
    let Said::Ended { at, source, .. } = &line.said else { return Vec::new() };
    let mut purposes: Vec<&String> = line.targets.iter().map(|(purpose, _)| purpose).collect();
    purposes.sort_unstable();
    purposes.dedup();
    let of = |purpose: &String| Declared {
        purpose: purpose.clone(),
        kind: SuppressionKind::Withdrawal,
        channel: line.channel,
        since: at.unwrap_or(now),
        source: source.clone(),
    };
    purposes.into_iter().map(of).collect()
}

/// Puts what a line ends on the list, for all addresses of whom it names, and blocks every record of them; tells whether that is new.
pub(super) async fn declare(tx: &mut Transaction, about: &About, line: &Line) -> Result<bool, Error> {
    let all: Vec<Reached> = about.of(&line.who).cloned().collect();
    let ring = tx.known_ring().await?;
    let news = is_new(tx.connection(), (ring.as_ref(), tx.reader()), line, &all, tx.now()).await?;
    if news {
        let declared = declared(line, tx.now());
        for reached in &all {
            suppressions::declare(tx, &[], reached, &declared).await?;
        }
    }
    Ok(news)
}

/// Lets recipients be told of what a line ends on records of the person, where the list knew it already.
pub(super) async fn owe(tx: &mut Transaction, line: &Line, contacts: &[Uuid]) -> Result<(), Error> {
    for declared in declared(line, tx.now()) {
        suppressions::owe(tx, contacts, &declared).await?;
    }
    Ok(())
}

/// Whether the list does not know yet what a line ends, for the addresses that it names; `told` are those that earlier lines of a trial
/// would have put there.
pub(super) async fn is_news<C: ConnectionTrait>(
    connection: &C,
    by: (Option<&Ring>, &Reader),
    line: &Line,
    now: DateTime<Utc>,
    told: &mut HashSet<u64>,
) -> Result<bool, Error> {
    let named: Vec<Reachable> = line.who.iter().filter_map(Who::address).cloned().collect();
    let mut new = false;
    for address in &named {
        for no in declared(line, now) {
            let (lock, since) = (address.identity().lock(), no.since);
            new |= told.insert(short(&format!("{lock} {} {:?} {since}", no.purpose, no.channel)));
        }
    }
    if !new {
        return Ok(false);
    }
    is_new(connection, by, line, &[Reached::typed(named)], now).await
}

async fn is_new<C: ConnectionTrait>(
    connection: &C,
    (ring, reader): (Option<&Ring>, &Reader),
    line: &Line,
    all: &[Reached],
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    let unknown = matches!(&line.said, Said::Ended { at: None, .. });
    for reached in all {
        let found =
            suppressions::find(connection, ring, reader, std::slice::from_ref(reached)).await?.of(reached);
        for no in declared(line, now) {
            let known =
                found.iter().any(|known| known.purpose == no.purpose && (unknown || known.since >= no.since));
            if !known && reached.on(no.channel).next().is_some() {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
