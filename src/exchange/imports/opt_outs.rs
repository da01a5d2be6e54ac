//! Opt-outs that come with contacts: each an objection to advertising, whatever becomes of the rest of its row. Room: exchange/imports.

use chrono::{DateTime, Utc};
use entity::enums::Channel;
use sea_orm::{ConnectionTrait, Iterable};
use uuid::Uuid;

use super::{
    Import,
    door::{Declared, Door, advertising, can_be_objected_to},
    drafts::{Row, Unwanted},
    known::{self, Known, Who, ids},
    noes::Lines,
};
use crate::{
    audit::Transaction,
    base::{error::Error, fold::fold, identities::Reader},
    domain::{contacts::kind_on, suppressions},
    policy::Policy,
};

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
        for said in said(policy, &meant.row.opt_outs) {
            // What names its purpose is not more than it says: no address of another channel is meant.
            let leads = |who: &&Who| {
                let of = said.channel.filter(|_| said.exact).map(kind_on);
                of.is_none_or(|kind| who.address().is_some_and(|one| one.identity().kind() == kind))
            };
            let mut addresses: Vec<Who> = meant.addresses.iter().filter(leads).cloned().collect();
            if addresses.is_empty() && contacts.is_empty() {
                // Nothing else keeps the word of a person without a record: it stands for more than it says.
                addresses.clone_from(&meant.addresses);
            }
            let declared = Declared {
                contacts: &contacts,
                addresses: &addresses,
                purpose: &said.purpose,
                channel: said.channel,
                at: said.at.filter(|at| *at <= tx.now()),
                source: Some(import.source.trim()),
            };
            changed |= door.declare(tx, &declared).await?.changed;
        }
    }
    Ok(changed)
}

/// What a row does not want of one purpose or group.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Said {
    purpose: String,
    channel: Option<Channel>,
    at: Option<DateTime<Utc>>,
    /// Whether the row names the purpose.
    exact: bool,
}

/// By purpose or group. A purpose that the policy does not know stands for all advertising.
fn said(policy: &Policy, unwanted: &[Unwanted]) -> Vec<Said> {
    let known = |code: &&String| {
        let purpose = policy.purpose(code.as_str());
        purpose.is_some_and(|purpose| {
            suppressions::is_advertising(policy, &purpose.code) && can_be_objected_to(purpose)
        })
    };
    let mut all: Vec<Said> = Vec::new();
    for Unwanted { channel, purpose, at } in unwanted {
        let named = purpose.as_ref().filter(known);
        let purposes = named.map_or_else(|| advertising(policy), |code| vec![code.clone()]);
        for purpose in purposes {
            let said = Said { purpose, channel: *channel, at: *at, exact: named.is_some() };
            if !all.contains(&said) {
                all.push(said);
            }
        }
    }
    // All channels are more than one of them, and each of them at one time is all.
    let on = |said: &Said, channel| Said { channel, ..said.clone() };
    let whole: Vec<Said> = all
        .iter()
        .filter(|said| {
            all.contains(&on(said, None))
                || Channel::iter().all(|channel| all.contains(&on(said, Some(channel))))
        })
        .map(|said| on(said, None))
        .collect();
    all.retain(|said| !whole.contains(&on(said, None)));
    for said in whole {
        if !all.contains(&said) {
            all.push(said);
        }
    }
    all
}
