//! What noes of a file are about is locked first, in the order of locks: addresses, then every record of them. Room: exchange/imports.

use std::collections::{BTreeSet, HashMap};

use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::known::{self, Known, Who};
use crate::{
    audit::{LockMode, Transaction},
    base::{error::Error, identities::Reader},
    domain::{
        contacts::{self, NewAddresses, Reachable},
        suppressions,
    },
};

/// The identities that somebody is about, by how lines name them.
pub(super) struct About(HashMap<Who, Vec<NewAddresses>>);

impl About {
    /// The identities of those who are named so.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn read<C: ConnectionTrait>(
        connection: &C,
        reader: &Reader,
        known: &Known,
        named: &[&Who],
    ) -> Result<Self, Error> {
        let mut about: HashMap<Who, Vec<NewAddresses>> = HashMap::new();
        for who in named {
            if about.contains_key(*who) {
                continue;
            }
            let mut all: Vec<NewAddresses> = Vec::new();
            all.extend(who.address().map(|address: &Reachable| NewAddresses::typed(vec![address.clone()])));
            for id in known.get(*who).into_iter().flatten() {
                all.extend(contacts::reached(connection, reader, *id).await?);
            }
            about.insert((*who).clone(), all);
        }
        Ok(Self(about))
    }

    /// The identities of somebody who is named so.
    pub fn of<'a>(&'a self, who: &'a [Who]) -> impl Iterator<Item = &'a NewAddresses> {
        who.iter().filter_map(|who| self.0.get(who)).flatten()
    }
}

/// Whom lines name, and what is to be locked of it.
pub(super) struct Lines<'a> {
    /// The source that external ids are those of; any otherwise.
    pub source: Option<&'a str>,
    /// Everybody whom a line names.
    pub all: Vec<&'a Who>,
    /// Those of whom a line says no.
    pub noes: Vec<&'a Who>,
    /// Identities that come in beside.
    pub brought: Vec<u64>,
}

impl Lines<'_> {
    /// Finds whom lines name, and locks the identities of those of whom they say no, EXCLUSIVE, then every record of them all. What was
    /// found before the locks is found again behind them.
    ///
    /// # Errors
    /// `INTERNAL` from the database; transient where somebody has got another address meanwhile, or an address another record.
    pub async fn lock(&self, tx: &mut Transaction) -> Result<(Known, About), Error> {
        let known = self.find(tx).await?;
        let before = About::read(tx.connection(), tx.reader(), &known, &self.noes).await?;
        let locks = before.0.values().flatten().flat_map(NewAddresses::locks);
        let locks: Vec<u64> = locks.chain(self.brought.iter().copied()).collect();
        tx.lock_identities(locks, LockMode::Exclusive).await?;
        let mut records: BTreeSet<Uuid> = known.values().flatten().copied().collect();
        for reached in before.0.values().flatten() {
            records.extend(suppressions::with_identities(tx.connection(), reached).await?);
        }
        contacts::lock_all(tx, records.into_iter().collect()).await?;
        // Who came before the locks has committed by now.
        if self.find(tx).await? != known {
            return Err(Error::repeat());
        }
        let behind = About::read(tx.connection(), tx.reader(), &known, &self.noes).await?;
        if !tx.has_locks(behind.0.values().flatten().flat_map(NewAddresses::locks), LockMode::Exclusive) {
            return Err(Error::repeat());
        }
        Ok((known, behind))
    }

    async fn find(&self, tx: &Transaction) -> Result<Known, Error> {
        known::find(tx.connection(), self.source, self.all.iter().copied()).await
    }
}
