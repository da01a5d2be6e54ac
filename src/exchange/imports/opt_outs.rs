//! Opt-outs in contact files: each is an objection to advertising, even if the rest of its row is rejected.
//! Room: exchange/imports.

use chrono::{DateTime, Utc};
use entity::enums::Channel;
use sea_orm::{ConnectionTrait, Iterable};
use uuid::Uuid;

use super::{
    ContactImport,
    contact_lookup::{self, ContactMatches, PersonRef, contact_ids},
    lock_scope::LockScope,
    objection_recorder::{Declaration, ObjectionRecorder, advertising_purposes, can_be_objected_to},
    row_draft::{Row, RowOptOut},
};
use crate::{
    audit::Transaction,
    base::{error::Error, fold::fold, identities::Reader},
    domain::{contacts::kind_on, suppressions},
    policy::Policy,
};

/// A row that opts out.
struct OptOutRow<'r> {
    row: &'r Row,
    /// The record that the source knows so.
    source_ref: PersonRef,
    addresses: Vec<PersonRef>,
    /// Given and family name, folded.
    names: (Option<String>, Option<String>),
}

impl<'r> OptOutRow<'r> {
    fn new(reader: &Reader, row: &'r Row) -> Result<Self, Error> {
        let source_ref = match &row.native {
            Some(native) => PersonRef::Id(native.id),
            None => PersonRef::External(row.external_id.clone()),
        };
        let reached = row.addresses(reader)?;
        let addresses = reached.all().iter().cloned().map(PersonRef::Address).collect();
        let (given, family) = reached.names();
        Ok(Self { row, source_ref, addresses, names: (given.map(fold), family.map(fold)) })
    }

    /// The records of the person: the one that the source knows, else those with its addresses; and whether it is the
    /// source that knows.
    fn contacts(
        &self,
        matches: &ContactMatches,
        existing: &std::collections::HashSet<Uuid>,
    ) -> (Vec<Uuid>, bool) {
        let existing_of = |who: &PersonRef| {
            matches.get(who).into_iter().flatten().filter(|id| existing.contains(id)).copied()
        };
        let source_ref: Vec<Uuid> = existing_of(&self.source_ref).collect();
        let found_by_source = !source_ref.is_empty();
        let mut found =
            if found_by_source { source_ref } else { self.addresses.iter().flat_map(existing_of).collect() };
        found.sort_unstable();
        found.dedup();
        (found, found_by_source)
    }
}

/// The rows that opt out, each with the records that are meant.
async fn opt_out_rows<'r, C: ConnectionTrait>(
    connection: &C,
    reader: &Reader,
    import: &ContactImport,
    rows: Vec<&'r Row>,
) -> Result<Vec<(OptOutRow<'r>, Vec<Uuid>)>, Error> {
    let opting_out: Vec<OptOutRow<'_>> = rows
        .into_iter()
        .filter(|row| !row.opt_outs.is_empty())
        .map(|row| OptOutRow::new(reader, row))
        .collect::<Result<_, _>>()?;
    if opting_out.is_empty() {
        return Ok(Vec::new());
    }
    let named = opting_out
        .iter()
        .flat_map(|opt_out_row| opt_out_row.addresses.iter().chain([&opt_out_row.source_ref]));
    let matches = contact_lookup::find_contacts(connection, Some(&import.source), named).await?;
    let existing = contact_lookup::existing(connection, &contact_ids(&matches)).await?;
    let mut found = Vec::with_capacity(opting_out.len());
    for opt_out_row in opting_out {
        let (contacts, found_by_source) = opt_out_row.contacts(&matches, &existing);
        // An address does not identify the person: a record with another name is somebody else.
        let names = if found_by_source { (None, None) } else { opt_out_row.names.clone() };
        let contacts = contact_lookup::records_of_one_person(connection, contacts, names).await?;
        found.push((opt_out_row, contacts));
    }
    Ok(found)
}

/// Lines of rejected rows that opt out but match no person.
pub(super) async fn lost<C: ConnectionTrait>(
    connection: &C,
    reader: &Reader,
    import: &ContactImport,
    rejected: Vec<&Row>,
) -> Result<Vec<u64>, Error> {
    let rows = opt_out_rows(connection, reader, import, rejected).await?;
    let lost = rows.iter().filter(|(rows, contacts)| contacts.is_empty() && rows.addresses.is_empty());
    Ok(lost.map(|(rows, _)| rows.row.line).collect())
}

/// Locks what the rows opt out of, in the order of locks: first the identities, then every contact that
/// has one of them.
///
/// # Errors
/// `INTERNAL` from the database; transient if an address has changed meanwhile.
pub(super) async fn lock<'r>(
    tx: &mut Transaction,
    import: &ContactImport,
    rows: impl Iterator<Item = &'r Row>,
    extra_locks: Vec<u64>,
) -> Result<(), Error> {
    let rows_opting_out = rows.filter(|row| !row.opt_outs.is_empty());
    let rows: Vec<OptOutRow<'_>> =
        rows_opting_out.map(|row| OptOutRow::new(tx.reader(), row)).collect::<Result<_, _>>()?;
    let persons: Vec<&PersonRef> =
        rows.iter().flat_map(|rows| rows.addresses.iter().chain([&rows.source_ref])).collect();
    let lines = LockScope { source: Some(&import.source), noes: persons.clone(), persons, extra_locks };
    lines.lock(tx).await?;
    Ok(())
}

/// Declares the opt-outs of the rows; returns whether anything is new.
pub(super) async fn declare<'r>(
    tx: &mut Transaction,
    recorder: &ObjectionRecorder,
    policy: &Policy,
    import: &ContactImport,
    rows: impl Iterator<Item = &'r Row>,
) -> Result<bool, Error> {
    let mut changed = false;
    for (row, contacts) in opt_out_rows(tx.connection(), tx.reader(), import, rows.collect()).await? {
        for declaration in declarations(policy, &row.row.opt_outs) {
            // An opt-out of a named purpose applies exactly: not to addresses of other channels.
            let is_on_channel = |who: &&PersonRef| {
                let address_kind = declaration.channel.filter(|_| declaration.exact).map(kind_on);
                address_kind
                    .is_none_or(|kind| who.address().is_some_and(|address| address.identity().kind() == kind))
            };
            let mut addresses: Vec<PersonRef> = row.addresses.iter().filter(is_on_channel).cloned().collect();
            if addresses.is_empty() && contacts.is_empty() {
                // Nothing else records the opt-out of a person without a contact, so it covers more than it says.
                addresses.clone_from(&row.addresses);
            }
            let declared = Declaration {
                contacts: &contacts,
                addresses: &addresses,
                purpose: &declaration.purpose,
                channel: declaration.channel,
                at: declaration.at.filter(|at| *at <= tx.now()),
                source: Some(import.source.trim()),
            };
            changed |= recorder.declare(tx, &declared).await?.changed;
        }
    }
    Ok(changed)
}

/// The opt-out of a row from one purpose or group.
#[derive(Clone, Debug, PartialEq, Eq)]
struct OptOutDeclaration {
    purpose: String,
    channel: Option<Channel>,
    at: Option<DateTime<Utc>>,
    /// Whether the row names the purpose.
    exact: bool,
}

/// By purpose or group. A purpose that the policy does not know means all advertising.
fn declarations(policy: &Policy, opt_outs: &[RowOptOut]) -> Vec<OptOutDeclaration> {
    let is_known = |code: &&String| {
        let purpose = policy.purpose(code.as_str());
        purpose.is_some_and(|purpose| {
            suppressions::is_advertising(policy, &purpose.code) && can_be_objected_to(purpose)
        })
    };
    let mut list: Vec<OptOutDeclaration> = Vec::new();
    for RowOptOut { channel, purpose, at } in opt_outs {
        let named = purpose.as_ref().filter(is_known);
        let purposes = named.map_or_else(|| advertising_purposes(policy), |code| vec![code.clone()]);
        for purpose in purposes {
            let declaration =
                OptOutDeclaration { purpose, channel: *channel, at: *at, exact: named.is_some() };
            if !list.contains(&declaration) {
                list.push(declaration);
            }
        }
    }
    // All channels are more than one of them, and each of them at one time is all.
    let on = |declaration: &OptOutDeclaration, channel| OptOutDeclaration { channel, ..declaration.clone() };
    let every_channel: Vec<OptOutDeclaration> = list
        .iter()
        .filter(|declaration| {
            list.contains(&on(declaration, None))
                || Channel::iter().all(|channel| list.contains(&on(declaration, Some(channel))))
        })
        .map(|declaration| on(declaration, None))
        .collect();
    list.retain(|declaration| !every_channel.contains(&on(declaration, None)));
    for declaration in every_channel {
        if !list.contains(&declaration) {
            list.push(declaration);
        }
    }
    list
}
