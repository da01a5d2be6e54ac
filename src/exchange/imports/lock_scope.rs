//! Locks the identities and records that opt-outs of a file concern, in the global lock order. Room: exchange/imports.

use std::collections::{BTreeSet, HashMap};

use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::contact_lookup::{self, ContactMatches, PersonRef};
use crate::{
    audit::{LockMode, Transaction},
    base::{error::Error, identities::Reader},
    domain::{
        contacts::{self, NewAddresses, Reachable},
        suppressions,
    },
};

/// The identities that somebody is about, by how lines name them.
pub(super) struct PersonIdentities(HashMap<PersonRef, Vec<NewAddresses>>);

impl PersonIdentities {
    /// The identities of those who are named so.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn read<C: ConnectionTrait>(
        connection: &C,
        reader: &Reader,
        matches: &ContactMatches,
        persons: &[&PersonRef],
    ) -> Result<Self, Error> {
        let mut identities: HashMap<PersonRef, Vec<NewAddresses>> = HashMap::new();
        for person in persons {
            if identities.contains_key(*person) {
                continue;
            }
            let mut addresses: Vec<NewAddresses> = Vec::new();
            addresses.extend(
                person.address().map(|address: &Reachable| NewAddresses::from_text(vec![address.clone()])),
            );
            for id in matches.get(*person).into_iter().flatten() {
                addresses.extend(contacts::addresses_of(connection, reader, *id).await?);
            }
            identities.insert((*person).clone(), addresses);
        }
        Ok(Self(identities))
    }

    /// The identities of somebody who is named so.
    pub fn of<'a>(&'a self, persons: &'a [PersonRef]) -> impl Iterator<Item = &'a NewAddresses> {
        persons.iter().filter_map(|persons| self.0.get(persons)).flatten()
    }
}

/// The persons that lines name, and what to lock.
pub(super) struct LockScope<'a> {
    /// Look up external ids only in this source; in any if `None`.
    pub source: Option<&'a str>,
    /// All persons that lines name.
    pub persons: Vec<&'a PersonRef>,
    /// Persons that a line opts out.
    pub noes: Vec<&'a PersonRef>,
    /// Further identities to lock.
    pub extra_locks: Vec<u64>,
}

impl LockScope<'_> {
    /// Finds the persons that lines name, locks the identities of those who opt out (EXCLUSIVE), then every record of
    /// all of them, and repeats the lookup after locking.
    ///
    /// # Errors
    /// `INTERNAL` from the database; transient if an address or a record has changed meanwhile.
    pub async fn lock(&self, tx: &mut Transaction) -> Result<(ContactMatches, PersonIdentities), Error> {
        let matches = self.find(tx).await?;
        let before = PersonIdentities::read(tx.connection(), tx.reader(), &matches, &self.noes).await?;
        let locks = before.0.values().flatten().flat_map(NewAddresses::locks);
        let locks: Vec<u64> = locks.chain(self.extra_locks.iter().copied()).collect();
        tx.lock_identities(locks, LockMode::Exclusive).await?;
        let mut records: BTreeSet<Uuid> = matches.values().flatten().copied().collect();
        for reached in before.0.values().flatten() {
            records.extend(suppressions::contacts_with_addresses(tx.connection(), reached).await?);
        }
        contacts::lock_all(tx, records.into_iter().collect()).await?;
        // Transactions before the locks have committed by now.
        if self.find(tx).await? != matches {
            return Err(Error::retry());
        }
        let after = PersonIdentities::read(tx.connection(), tx.reader(), &matches, &self.noes).await?;
        if !tx.has_locks(after.0.values().flatten().flat_map(NewAddresses::locks), LockMode::Exclusive) {
            return Err(Error::retry());
        }
        Ok((matches, after))
    }

    async fn find(&self, tx: &Transaction) -> Result<ContactMatches, Error> {
        contact_lookup::find_contacts(tx.connection(), self.source, self.persons.iter().copied()).await
    }
}
