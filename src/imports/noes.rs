//! What noes of a file are about is locked first, in the order of locks: addresses, then every record of them (floor 4).

use std::collections::{BTreeSet, HashMap};

use uuid::Uuid;

use super::known::{Known, Who};
use crate::{
    audit::{Mode, Transaction},
    contacts::{self, Reachable, Reached},
    error::Error,
    suppressions,
};

/// The identities that somebody is about, by how lines name them.
pub(super) struct About(HashMap<Who, Vec<Reached>>);

impl About {
    /// The identities of somebody who is named so.
    pub fn of<'a>(&'a self, who: &'a [Who]) -> impl Iterator<Item = &'a Reached> {
        who.iter().filter_map(|who| self.0.get(who)).flatten()
    }
}

/// Locks the identities of whom lines name, EXCLUSIVE, and every record of them.
///
/// # Errors
/// `INTERNAL` from the database; transient where somebody has got another address meanwhile.
pub(super) async fn lock<'l>(
    tx: &mut Transaction,
    known: &Known,
    named: impl Iterator<Item = &'l [Who]>,
) -> Result<About, Error> {
    let named: Vec<&Who> = named.flatten().collect();
    let before = read(tx, known, &named).await?;
    let locks: Vec<u64> = before.0.values().flatten().flat_map(Reached::locks).collect();
    tx.lock_identities(locks, Mode::Exclusive).await?;
    let mut records: BTreeSet<Uuid> = known.values().flatten().copied().collect();
    for reached in before.0.values().flatten() {
        records.extend(suppressions::with_identities(tx.connection(), reached).await?);
    }
    contacts::lock_all(tx, records.into_iter().collect()).await?;
    let behind = read(tx, known, &named).await?;
    if !tx.holds(behind.0.values().flatten().flat_map(Reached::locks), Mode::Exclusive) {
        return Err(Error::repeat());
    }
    Ok(behind)
}

async fn read(tx: &Transaction, known: &Known, named: &[&Who]) -> Result<About, Error> {
    let mut about: HashMap<Who, Vec<Reached>> = HashMap::new();
    for who in named {
        if about.contains_key(*who) {
            continue;
        }
        let mut all: Vec<Reached> = Vec::new();
        all.extend(who.address().map(|address: &Reachable| Reached::typed(vec![address.clone()])));
        for id in known.get(*who).into_iter().flatten() {
            all.extend(contacts::reached(tx.connection(), tx.reader(), *id).await?);
        }
        about.insert((*who).clone(), all);
    }
    Ok(About(about))
}
