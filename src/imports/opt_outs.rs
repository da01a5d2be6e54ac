//! Opt-outs that come with contacts: each an objection to advertising, whatever becomes of the rest of its row (floor 4).

use sea_orm::ConnectionTrait;
use uuid::Uuid;

use super::{
    Import,
    door::{Declared, Door, advertising},
    drafts::Row,
    known::{self, Known, Who, ids},
    noes::Lines,
};
use crate::{audit::Transaction, error::Error, fold::fold, identities::Reader, policy::Policy};

/// A row that opts out.
struct Meant<'r> {
    row: &'r Row,
    /// The record that the source knows so.
    own: Who,
    addresses: Vec<Who>,
    /// Given and family name, folded.
    names: (Option<String>, Option<String>),
}

impl<'r> Meant<'r> {
    fn of(reader: &Reader, row: &'r Row) -> Result<Self, Error> {
        let own = match &row.own {
            Some(own) => Who::Id(own.id),
            None => Who::External(row.external_id.clone()),
        };
        let reached = row.reached(reader)?;
        let addresses = reached.all().iter().cloned().map(Who::Address).collect();
        let (given, family) = reached.names();
        Ok(Self { row, own, addresses, names: (given.map(fold), family.map(fold)) })
    }

    /// The records of the person: the one that the source knows, else those with its addresses; and whether it is the source that knows.
    fn contacts(&self, known: &Known, present: &std::collections::HashSet<Uuid>) -> (Vec<Uuid>, bool) {
        let there =
            |who: &Who| known.get(who).into_iter().flatten().filter(|id| present.contains(id)).copied();
        let own: Vec<Uuid> = there(&self.own).collect();
        let is_own = !own.is_empty();
        let mut found = if is_own { own } else { self.addresses.iter().flat_map(there).collect() };
        found.sort_unstable();
        found.dedup();
        (found, is_own)
    }
}

/// The rows that opt out, each with the records that are meant.
async fn meant<'r, C: ConnectionTrait>(
    connection: &C,
    reader: &Reader,
    import: &Import,
    rows: Vec<&'r Row>,
) -> Result<Vec<(Meant<'r>, Vec<Uuid>)>, Error> {
    let all: Vec<Meant<'_>> = rows
        .into_iter()
        .filter(|row| !row.opt_outs.is_empty())
        .map(|row| Meant::of(reader, row))
        .collect::<Result<_, _>>()?;
    if all.is_empty() {
        return Ok(Vec::new());
    }
    let named = all.iter().flat_map(|meant| meant.addresses.iter().chain([&meant.own]));
    let known = known::find(connection, Some(&import.source), named).await?;
    let present = known::present(connection, &ids(&known)).await?;
    let mut found = Vec::with_capacity(all.len());
    for meant in all {
        let (contacts, is_own) = meant.contacts(&known, &present);
        // An address does not say whose word it is: somebody of another name has not spoken.
        let names = if is_own { (None, None) } else { meant.names.clone() };
        let contacts = known::of_one_person(connection, contacts, names).await?;
        found.push((meant, contacts));
    }
    Ok(found)
}

/// Lines of rows that are left out and opt out, of whom nobody knows who they are.
pub(super) async fn lost<C: ConnectionTrait>(
    connection: &C,
    reader: &Reader,
    import: &Import,
    left: Vec<&Row>,
) -> Result<Vec<u64>, Error> {
    let meant = meant(connection, reader, import, left).await?;
    let lost = meant.iter().filter(|(meant, contacts)| contacts.is_empty() && meant.addresses.is_empty());
    Ok(lost.map(|(meant, _)| meant.row.line).collect())
}

/// Locks what the rows opt out of, in the order of locks: identities with those that are `brought`, then every record of them.
///
/// # Errors
/// `INTERNAL` from the database; transient where somebody has got another address meanwhile.
pub(super) async fn lock<'r>(
    tx: &mut Transaction,
    import: &Import,
    rows: impl Iterator<Item = &'r Row>,
    brought: Vec<u64>,
) -> Result<(), Error> {
    let opting = rows.filter(|row| !row.opt_outs.is_empty());
    let meant: Vec<Meant<'_>> = opting.map(|row| Meant::of(tx.reader(), row)).collect::<Result<_, _>>()?;
    let all: Vec<&Who> = meant.iter().flat_map(|meant| meant.addresses.iter().chain([&meant.own])).collect();
    let lines = Lines { source: Some(&import.source), noes: all.clone(), all, brought };
    lines.lock(tx).await?;
    Ok(())
}

/// Declares what the rows opt out of, and tells whether anything of it is new.
pub(super) async fn declare<'r>(
    tx: &mut Transaction,
    door: &Door,
    policy: &Policy,
    import: &Import,
    rows: impl Iterator<Item = &'r Row>,
) -> Result<bool, Error> {
    let mut changed = false;
    for (meant, contacts) in meant(tx.connection(), tx.reader(), import, rows.collect()).await? {
        // All is more than one of them.
        let all = meant.row.opt_outs.contains(&None);
        for channel in meant.row.opt_outs.iter().filter(|channel| !all || channel.is_none()) {
            for purpose in advertising(policy) {
                let declared = Declared {
                    contacts: &contacts,
                    addresses: &meant.addresses,
                    purpose: &purpose,
                    channel: *channel,
                    at: None,
                    source: Some(import.source.trim()),
                };
                changed |= door.declare(tx, &declared).await?.changed;
            }
        }
    }
    Ok(changed)
}
