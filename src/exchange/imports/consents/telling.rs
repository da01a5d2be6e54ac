//! What the noes of a file put on the suppression list. Room: exchange/imports/consents.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::enums::{Channel, SuppressionKind};
use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::lines::{Line, short};
use crate::{
    audit::Transaction,
    base::{error::Error, identities::Reader},
    crypto::installation_keys::InstallationKeys,
    domain::{
        consents::Said,
        contacts::{NewAddresses, Reachable},
        suppressions::{self, Declared, Question},
    },
    exchange::imports::noes::About,
    policy::Policy,
};

/// What a trial would have put on the list, and since when.
pub(super) type Listed = HashMap<u64, DateTime<Utc>>;

/// By what the list is asked.
#[derive(Clone, Copy)]
pub(super) struct By<'a> {
    pub policy: &'a Policy,
    pub ring: Option<&'a InstallationKeys>,
    pub reader: &'a Reader,
    pub now: DateTime<Utc>,
}

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

fn is_dated(line: &Line) -> bool {
    matches!(&line.said, Said::Ended { at: Some(_), .. })
}

/// Puts what a line ends on the list, for all addresses of whom it names, and blocks every record of them; tells whether that is new.
/// What has `ended` a consent at no known time is the last word there is.
pub(super) async fn declare(
    tx: &mut Transaction,
    about: &About,
    line: &Line,
    ended: bool,
) -> Result<bool, Error> {
    let all: Vec<NewAddresses> = about.of(&line.who).cloned().collect();
    let (ring, policy) = (tx.existing_installation_keys().await?, tx.policy().clone());
    let by = By { policy: &policy, ring: ring.as_ref(), reader: tx.reader(), now: tx.now() };
    let news =
        (ended && !is_dated(line)) || is_new(tx.connection(), by, line, &all, &Listed::default()).await?;
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

/// Whether [`declare`] would tell that it is new, after all that earlier lines of a trial would have put on the list.
pub(super) async fn is_news<C: ConnectionTrait>(
    connection: &C,
    by: By<'_>,
    (line, ended): (&Line, bool),
    about: &About,
    listed: &mut Listed,
) -> Result<bool, Error> {
    let all: Vec<NewAddresses> = about.of(&line.who).cloned().collect();
    let news = (ended && !is_dated(line)) || is_new(connection, by, line, &all, listed).await?;
    if news {
        for no in declared(line, by.now) {
            for reachable in all.iter().flat_map(|reached| reached.on(no.channel)) {
                let since = listed.entry(place(reachable, &no.purpose, no.channel)).or_insert(no.since);
                *since = (*since).max(no.since);
            }
        }
    }
    Ok(news)
}

/// Whether the list does not know yet all that a line ends: every purpose, on its channel, for every identity that is reached there.
async fn is_new<C: ConnectionTrait>(
    connection: &C,
    by: By<'_>,
    line: &Line,
    all: &[NewAddresses],
    listed: &Listed,
) -> Result<bool, Error> {
    let channel = line.channel;
    for reached in all {
        let meant = reached.clone().narrowed(channel.as_ref().map(std::slice::from_ref));
        for no in declared(line, by.now) {
            let dated = is_dated(line);
            let told = meant.all().iter().filter(|reachable| is_told(listed, reachable, &no, dated));
            let rest = meant.clone().beyond(&NewAddresses::typed(told.cloned().collect()));
            if rest.all().is_empty() {
                continue;
            }
            let found =
                suppressions::find(connection, by.ring, by.reader, std::slice::from_ref(&rest)).await?;
            let asked = Question { policy: by.policy, found: &found, reached: &rest, declared: &no, dated };
            if !suppressions::knows(connection, asked).await? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn is_told(listed: &Listed, reachable: &Reachable, no: &Declared, dated: bool) -> bool {
    [no.channel, None].into_iter().any(|channel| {
        let since = listed.get(&place(reachable, &no.purpose, channel));
        since.is_some_and(|since| !dated || *since >= no.since)
    })
}

fn place(reachable: &Reachable, purpose: &str, channel: Option<Channel>) -> u64 {
    let identity = reachable.identity();
    short(&format!(
        "{:?}\0{}\0{:?}\0{purpose}\0{channel:?}",
        identity.kind(),
        identity.key(),
        identity.name()
    ))
}
