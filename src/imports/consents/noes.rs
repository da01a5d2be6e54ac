//! What a file says of noes is about addresses: locked first, put on the suppression list, carried to every record (floor 4).

use std::collections::{BTreeSet, HashMap};

use entity::enums::SuppressionKind;
use uuid::Uuid;

use super::{
    Known,
    lines::{Line, Who},
    strays::typed,
};
use crate::{
    audit::{Mode, Transaction},
    consents::Said,
    contacts::{self, Reached},
    error::Error,
    suppressions::{self, Declared},
};

/// The identities that lines are about, by what they name.
pub(super) struct About(HashMap<Who, Vec<Reached>>);

/// Locks what the lines are about: of those that say no the identities EXCLUSIVE and every record of them, in the order of locks.
pub(super) async fn lock(tx: &mut Transaction, known: &Known, lines: &[Line]) -> Result<About, Error> {
    let noes = || lines.iter().filter(|line| matches!(line.said, Said::Ended { .. }));
    let about = read(tx, known, noes()).await?;
    let locks: Vec<u64> = about.0.values().flatten().flat_map(Reached::locks).collect();
    tx.lock_identities(locks, Mode::Exclusive).await?;
    let mut records: BTreeSet<Uuid> = known.values().flatten().copied().collect();
    for reached in about.0.values().flatten() {
        records.extend(suppressions::with_identities(tx.connection(), reached).await?);
    }
    contacts::lock_all(tx, records.into_iter().collect()).await?;
    let behind = read(tx, known, noes()).await?;
    if !tx.holds(behind.0.values().flatten().flat_map(Reached::locks), Mode::Exclusive) {
        return Err(Error::repeat());
    }
    Ok(behind)
}

async fn read<'l>(
    tx: &Transaction,
    known: &Known,
    noes: impl Iterator<Item = &'l Line>,
) -> Result<About, Error> {
    let mut about = HashMap::new();
    for line in noes {
        if about.contains_key(&line.who) {
            continue;
        }
        let mut all = Vec::new();
        if let Who::Email(text) = &line.who {
            all.push(typed(tx.reader(), text));
        }
        for id in known.get(&line.who).into_iter().flatten() {
            all.extend(contacts::reached(tx.connection(), tx.reader(), *id).await?);
        }
        about.insert(line.who.clone(), all);
    }
    Ok(About(about))
}

/// Puts what a line ends on the list and blocks every record of the addresses.
pub(super) async fn declare(tx: &mut Transaction, about: &About, line: &Line) -> Result<(), Error> {
    let Said::Ended { at, source, .. } = &line.said else { return Ok(()) };
    let declared = Declared {
        purpose: line.purpose.clone(),
        kind: SuppressionKind::Withdrawal,
        channel: Some(line.channel),
        since: at.unwrap_or(tx.now()),
        source: source.clone(),
    };
    for reached in about.0.get(&line.who).into_iter().flatten() {
        suppressions::declare(tx, reached, std::slice::from_ref(&declared)).await?;
    }
    Ok(())
}
