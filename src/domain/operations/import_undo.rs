//! Undoes an import, as long as nothing else was written on top. Room: domain/operations.
//!
//! Every entry of an import names it as its request, so the audit log tells what it has done to a contact and whether
//! anybody else has written since. A contact that it created is deleted; one that it updated gets its earlier values back.
//! What persons declared stays: a contact whose objection is on no suppression list is not deleted.

use std::collections::HashMap;

use entity::{contact, contact_merge, contact_point, ground, objection, provenance};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

use super::{
    new_contacts::IMPORTED,
    undo_obstacles::{self, Obstacle},
};
use crate::{
    audit::{self, Entry, PastEntry, Transaction},
    base::error::Error,
    domain::{
        consents,
        contacts::{self, NewAddresses, Rectified, source_updates},
    },
    registry::{CONTACT, CONTACT_POINT, GROUND, OBJECTION, ObjectType, PROVENANCE},
};

/// The action of every entry that undoes an import.
pub const ACTION: &str = "undoImport";
/// What became of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undone {
    /// It was deleted.
    Deleted,
    /// It has the values of before.
    Restored,
    /// There was nothing left to undo.
    Nothing,
    /// It is as it was.
    Left(Obstacle),
}

/// What is to be done with a contact.
enum Plan {
    Nothing,
    Leave(Obstacle),
    Delete(Box<contact::Model>, Vec<contact_point::Model>),
    Restore(Box<Restoration>),
}

struct Restoration {
    before: contact::Model,
    after: contact::Model,
    /// Contact points that stay.
    points: Vec<contact_point::Model>,
    /// Contact points that the import added.
    added: Vec<contact_point::Model>,
}

/// Undoes what the import `run` has done to `contacts`; one result for each.
///
/// # Errors
/// `INTERNAL` from the database; `AUDIT_UNAVAILABLE`; transient if an address or an opt-out came in between.
pub async fn undo_import(tx: &mut Transaction, run: Uuid, contacts: &[Uuid]) -> Result<Vec<Undone>, Error> {
    let (_, addresses) = plans(tx, run, contacts).await?;
    let mode = contacts::lock_mode_for(tx, contacts).await?;
    tx.lock_identities(addresses.iter().flat_map(NewAddresses::locks), mode).await?;
    contacts::lock_all(tx, contacts.to_vec()).await?;
    let (plans, addresses) = plans(tx, run, contacts).await?;
    let mode = contacts::lock_mode_for(tx, contacts).await?;
    if !tx.has_locks(addresses.iter().flat_map(NewAddresses::locks), mode) {
        return Err(Error::retry());
    }
    let mut results = Vec::with_capacity(plans.len());
    for plan in plans {
        results.push(match plan {
            Plan::Nothing => Undone::Nothing,
            Plan::Leave(obstacle) => Undone::Left(obstacle),
            Plan::Delete(contact, points) => delete(tx, *contact, points).await?,
            Plan::Restore(restoration) => {
                restore(tx, run, *restoration).await?;
                Undone::Restored
            }
        });
    }
    Ok(results)
}

/// The plan for each contact, and the addresses that are concerned.
async fn plans(tx: &Transaction, run: Uuid, ids: &[Uuid]) -> Result<(Vec<Plan>, Vec<NewAddresses>), Error> {
    let mut entries: HashMap<Uuid, Vec<PastEntry>> = HashMap::new();
    for entry in audit::past_entries(tx.connection(), tx.keys(), ids).await? {
        entries.entry(entry.contact_id).or_default().push(entry);
    }
    let found = contact::Entity::find().filter(contact::Column::Id.is_in(ids.iter().copied()));
    let found: HashMap<Uuid, contact::Model> =
        found.all(tx.connection()).await?.into_iter().map(|contact| (contact.id, contact)).collect();
    let points =
        contact_point::Entity::find().filter(contact_point::Column::ContactId.is_in(ids.iter().copied()));
    let mut points_of: HashMap<Uuid, Vec<contact_point::Model>> = HashMap::new();
    for point in points.order_by_asc(contact_point::Column::Id).all(tx.connection()).await? {
        points_of.entry(point.contact_id).or_default().push(point);
    }
    let merged =
        contact_merge::Entity::find().filter(contact_merge::Column::DuplicateId.is_in(ids.iter().copied()));
    let merged: Vec<Uuid> =
        merged.all(tx.connection()).await?.into_iter().map(|merge| merge.duplicate_id).collect();
    let (mut plans, mut addresses) = (Vec::with_capacity(ids.len()), Vec::new());
    for id in ids {
        let Some(contact) = found.get(id) else {
            let is_merged = merged.contains(id);
            plans.push(if is_merged { Plan::Leave(Obstacle::ChangedSince) } else { Plan::Nothing });
            continue;
        };
        let points = points_of.remove(id).unwrap_or_default();
        let history = entries.remove(id).unwrap_or_default();
        let plan = match audit::has_owed_entries(tx.connection(), *id).await? {
            true => Plan::Leave(Obstacle::ChangedSince),
            false => plan(tx, run, &history, (contact, points.clone()))?,
        };
        addresses.push(NewAddresses::of_contact(tx.reader(), contact, &points));
        if let Plan::Restore(restoration) = &plan {
            addresses.push(NewAddresses::of_contact(tx.reader(), &restoration.after, &points));
        }
        plans.push(plan);
    }
    Ok((plans, addresses))
}

fn plan(
    tx: &Transaction,
    run: Uuid,
    history: &[PastEntry],
    (contact, points): (&contact::Model, Vec<contact_point::Model>),
) -> Result<Plan, Error> {
    let run = run.to_string();
    let is_own = |entry: &&PastEntry| entry.request_id.as_deref() == Some(run.as_str());
    let own: Vec<&PastEntry> = history.iter().filter(is_own).collect();
    let has = |action: &str| own.iter().any(|entry| entry.action == action && entry.is_change);
    let of_contact = |action: &'static str| {
        own.iter().filter(move |entry| {
            entry.action == action
                && entry.entity_type == CONTACT.name
                && entry.entity_id == Some(contact.id)
                && entry.is_change
        })
    };
    let is_created = of_contact(IMPORTED).next().is_some();
    let updates: Vec<&&PastEntry> = of_contact(source_updates::ACTION).collect();
    let Some(first) = own.iter().map(|entry| entry.at).min().filter(|_| is_created || !updates.is_empty())
    else {
        return Ok(Plan::Nothing);
    };
    if has(ACTION) {
        return Ok(Plan::Nothing);
    }
    let is_later = |entry: &PastEntry| entry.is_change && (is_created || entry.at >= first);
    if history.iter().any(|entry| !is_own(&entry) && is_later(entry)) {
        return Ok(Plan::Leave(Obstacle::ChangedSince));
    }
    if is_created {
        let is_as_imported = contact.version == 1 || !updates.is_empty();
        return Ok(match is_as_imported {
            true => Plan::Delete(Box::new(contact.clone()), points),
            false => Plan::Leave(Obstacle::ChangedSince),
        });
    }
    if own.iter().any(|entry| entry.action == source_updates::ACTION && !entry.is_readable) {
        return Ok(Plan::Leave(Obstacle::Unreadable));
    }
    let mut after = contact.clone();
    for (field, _) in CONTACT.writable_fields() {
        let coordinate = format!("{}.{}", CONTACT.name, field.name);
        let mut changes = updates.iter().filter_map(|entry| entry.values.get(&coordinate));
        // The first value before counts.
        if let Some([before, _]) = changes.next() {
            contacts::set(tx.reader(), &mut after, field, before.as_str())?;
        }
    }
    let version = |entry: &&&PastEntry| {
        let [_, after] = entry.values.get(&format!("{}.version", CONTACT.name))?;
        after.as_i64()
    };
    if updates.iter().filter_map(version).max() != Some(i64::from(contact.version)) {
        return Ok(Plan::Leave(Obstacle::ChangedSince));
    }
    let added: Vec<Uuid> = own
        .iter()
        .filter(|entry| entry.action == source_updates::ACTION && entry.entity_type == CONTACT_POINT.name)
        .filter_map(|entry| entry.entity_id)
        .collect();
    let (added, points) = points.into_iter().partition(|point| added.contains(&point.id));
    Ok(Plan::Restore(Box::new(Restoration { before: contact.clone(), after, points, added })))
}

fn entry(object: &'static ObjectType, id: Uuid, contact: Uuid, changes: audit::ChangeSet) -> Entry {
    Entry {
        action: ACTION,
        entity_type: object.name,
        entity_id: Some(id),
        contact_id: Some(contact),
        changes,
    }
}

/// Deletes a contact that the import created, with all that came with it.
async fn delete(
    tx: &mut Transaction,
    contact: contact::Model,
    points: Vec<contact_point::Model>,
) -> Result<Undone, Error> {
    let id = contact.id;
    let objections = objection::Entity::find().filter(objection::Column::ContactId.eq(id));
    let objections = objections.all(tx.connection()).await?;
    let addresses = NewAddresses::of_contact(tx.reader(), &contact, &points);
    if let Some(obstacle) = undo_obstacles::find(tx, id, &addresses, &objections).await? {
        return Ok(Undone::Left(obstacle));
    }
    for point in &points {
        let changes = tx.delete::<contact_point::Entity>(&CONTACT_POINT, point).await?;
        tx.record(entry(&CONTACT_POINT, point.id, id, changes)).await?;
    }
    let sources = provenance::Entity::find().filter(provenance::Column::ContactId.eq(id));
    for source in sources.all(tx.connection()).await? {
        let changes = tx.delete::<provenance::Entity>(&PROVENANCE, &source).await?;
        tx.record(entry(&PROVENANCE, source.id, id, changes)).await?;
    }
    let grounds = ground::Entity::find().filter(ground::Column::ContactId.eq(id));
    for ground in grounds.all(tx.connection()).await? {
        let changes = tx.delete::<ground::Entity>(&GROUND, &ground).await?;
        tx.record(entry(&GROUND, ground.id, id, changes)).await?;
    }
    for objection in &objections {
        let changes = tx.delete::<objection::Entity>(&OBJECTION, objection).await?;
        tx.record(entry(&OBJECTION, objection.id, id, changes)).await?;
    }
    let changes = tx.delete::<contact::Entity>(&CONTACT, &contact).await?;
    tx.record(entry(&CONTACT, id, id, changes)).await?;
    Ok(Undone::Deleted)
}

/// Gives a contact its values of before. Consents that were invalidated stay invalid.
async fn restore(tx: &mut Transaction, run: Uuid, restoration: Restoration) -> Result<(), Error> {
    let Restoration { before, mut after, points, added } = restoration;
    let id = before.id;
    for point in &added {
        let changes = tx.delete::<contact_point::Entity>(&CONTACT_POINT, point).await?;
        tx.record(entry(&CONTACT_POINT, point.id, id, changes)).await?;
    }
    let sources = provenance::Entity::find()
        .filter(provenance::Column::ContactId.eq(id))
        .filter(provenance::Column::ImportId.eq(run));
    for source in sources.all(tx.connection()).await? {
        let changes = tx.delete::<provenance::Entity>(&PROVENANCE, &source).await?;
        tx.record(entry(&PROVENANCE, source.id, id, changes)).await?;
    }
    after.version += 1;
    after.updated_at = tx.now();
    contacts::note_address_changes(&before, &mut after, tx.now());
    let changes = tx.update::<contact::Entity>(&CONTACT, &before, &after).await?;
    tx.record(entry(&CONTACT, id, id, changes)).await?;
    consents::invalidate_after_rectification(tx, Rectified::new(before, after, points)).await
}
