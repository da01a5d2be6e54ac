//! Merges two contacts that are one person: which values stay, which become contact points. Room: domain/contacts.

use chrono::{DateTime, Utc};
use entity::{
    contact, contact_merge, contact_point,
    enums::{ContactPointKind, ContactState},
    provenance,
};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
    QuerySelect, sea_query::Expr,
};
use uuid::Uuid;

use super::{
    NewAddresses, not_found,
    rows::{get, note_address_changes, set},
};
use crate::domain::contacts::contact_points::{MAX_CONTACT_POINTS, NewContactPoint};
use crate::{
    audit::{ChangeSet, Entry, Transaction},
    auth::actor::Actor,
    base::{
        error::{Code, Error},
        fold::fold,
        identities::Reader,
    },
    registry::{CONTACT, CONTACT_POINT, DataCategory, Field, FieldSource, ObjectType, PROVENANCE, Validator},
};

/// The action of every entry of a merge, and the source name of its provenance.
pub const ACTION: &str = "mergeContacts";

/// The contact that `id` was merged into; `id` itself if it was not merged.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn surviving_id<C: ConnectionTrait>(connection: &C, id: Uuid) -> Result<Uuid, Error> {
    // One step suffices: earlier merges are redirected when the survivor is merged in turn.
    let left = contact_merge::Entity::find_by_id(id).select_only().column(contact_merge::Column::ContactId);
    Ok(left.into_tuple().one(connection).await?.unwrap_or(id))
}

/// Records that the duplicate is part of the survivor, with all that was merged into the duplicate before. Only
/// merges write these rows: sources and ids of imports redirect no link.
async fn record_merge(tx: &Transaction, survivor: Uuid, duplicate: Uuid) -> Result<(), Error> {
    contact_merge::Entity::update_many()
        .col_expr(contact_merge::Column::ContactId, Expr::value(survivor))
        .filter(contact_merge::Column::ContactId.eq(duplicate))
        .exec(tx.connection())
        .await?;
    let row = contact_merge::Model { duplicate_id: duplicate, contact_id: survivor, merged_at: tx.now() };
    let insert = contact_merge::Entity::insert(row.into_active_model().reset_all());
    insert.exec_without_returning(tx.connection()).await?;
    Ok(())
}

/// A merge of two contacts.
#[derive(Clone, Debug)]
pub struct Merge {
    /// The surviving contact.
    pub id: Uuid,
    /// The contact that is merged into it.
    pub duplicate_id: Uuid,
    /// The version of the surviving contact that the merge is based on, if the client states it.
    pub expected_version: Option<i32>,
    /// Fields that take the value of the duplicate.
    pub take: Vec<&'static Field>,
}

/// Two locked contacts.
#[derive(Debug)]
pub struct Pair {
    survivor: contact::Model,
    duplicate: contact::Model,
}

/// Two contacts whose values have been merged.
#[derive(Debug)]
#[must_use = "what hangs on the duplicate must move before it can go"]
pub struct Merged {
    /// The surviving contact, before.
    pub before: contact::Model,
    /// The surviving contact, after.
    pub after: contact::Model,
    /// The duplicate.
    pub duplicate: contact::Model,
    /// Every address of the surviving contact.
    pub addresses: NewAddresses,
}

impl Merged {
    /// An entry about an object of the surviving contact.
    pub fn entry(&self, object: &'static ObjectType, id: Uuid, changes: ChangeSet) -> Entry {
        let contact_id = Some(self.after.id);
        Entry { action: ACTION, entity_type: object.name, entity_id: Some(id), contact_id, changes }
    }

    /// The change of a row of `object` that moves from the duplicate to the surviving contact.
    pub fn reassignment(&self, object: &'static ObjectType) -> ChangeSet {
        let leads = |field: &&Field| match field.source {
            FieldSource::Many { object: target, .. } | FieldSource::Connection { object: target, .. } => {
                target.name == object.name
            }
            _ => false,
        };
        let link = CONTACT.fields.iter().find(leads).map_or("id", |field| field.name);
        let id = |contact: &contact::Model| contact.id.to_string().into();
        let coordinate = format!("{}.{link}", CONTACT.name);
        ChangeSet::single(&coordinate, DataCategory::Link, id(&self.duplicate), id(&self.after))
    }
}

/// Locks both contacts in id order, so that two merges never wait for each other.
///
/// # Errors
/// `NOT_FOUND`, equally for a missing and for an invisible contact; `CONFLICT` if the version has changed, or one
/// of them is retained only because a law demands it.
pub async fn lock(tx: &mut Transaction, actor: &Actor, merge: &Merge) -> Result<Pair, Error> {
    let both = [merge.id.min(merge.duplicate_id), merge.id.max(merge.duplicate_id)];
    // The survivor gets all addresses of both.
    let mut locks = Vec::new();
    for id in both {
        locks.extend(
            super::addresses_of(tx.connection(), tx.reader(), id)
                .await?
                .iter()
                .flat_map(|addresses| addresses.locks().collect::<Vec<_>>()),
        );
    }
    let mode = super::lock_mode_for(tx, &both).await?;
    tx.lock_identities(locks, mode).await?;
    tx.note_contact_locks();
    let find = async |id| {
        Ok::<_, Error>(contact::Entity::find_by_id(id).lock_exclusive().one(tx.connection()).await?)
    };
    let [low, high] = both;
    let (first, second) = (find(low).await?, find(high).await?);
    let (Some(first), Some(second)) = (first, second) else { return Err(not_found()) };
    let mode = super::lock_mode_for(tx, &both).await?;
    for id in both {
        let addresses = super::addresses_of(tx.connection(), tx.reader(), id).await?;
        if addresses.is_some_and(|addresses| !tx.has_locks(addresses.locks(), mode)) {
            return Err(Error::retry());
        }
    }
    for id in [first.id, second.id] {
        if !tx.can_see(actor, &CONTACT, id).await? {
            return Err(not_found());
        }
    }
    let (survivor, duplicate) = if first.id == merge.id { (first, second) } else { (second, first) };
    if merge.expected_version.is_some_and(|expected| expected != survivor.version) {
        return Err(Error::new(Code::Conflict, "the contact was changed in the meantime")
            .with_input_path("input.expectedVersion"));
    }
    for (contact, name) in [(&survivor, "contactId"), (&duplicate, "duplicateId")] {
        if matches!(contact.state, ContactState::Retained | ContactState::Erased) {
            let message = "the contact is retained only because a law demands it";
            return Err(Error::new(Code::Conflict, message).with_input_path(format!("input.{name}")));
        }
    }
    Ok(Pair { survivor, duplicate })
}

/// Merges values, contact points and restrictions into the surviving contact (Art. 5(1)(d)). Its gaps are filled;
/// an address that is no longer primary becomes a contact point; notes are joined; otherwise its own values stay
/// unless those of the duplicate are to be taken. A postal address is taken as a whole or not at all.
///
/// # Errors
/// `CONFLICT` if the joined notes are too long, or there are too many contact points.
pub async fn merge(tx: &mut Transaction, pair: Pair, take: &[&'static Field]) -> Result<Merged, Error> {
    let Pair { survivor: before, duplicate } = pair;
    let mut after = before.clone();
    merge_values(tx.reader(), &mut after, &duplicate, take, tx.now())?;
    let changed = ChangeSet::diff(&CONTACT, Some(&before), Some(&after));
    let changed: Vec<&str> =
        changed.coordinates().iter().filter_map(|coordinate| coordinate.strip_prefix("Contact.")).collect();
    let fields = serde_json::json!(changed).to_string();
    note_address_changes(&before, &mut after, tx.now());
    note_ambiguous_addresses(&before, &duplicate, &mut after, tx.now());
    restrict(&duplicate, &mut after);
    after.version += 1;
    after.updated_at = tx.now();
    let changes = tx.update::<contact::Entity>(&CONTACT, &before, &after).await?;
    // So that the person is also found under the old id by readers without access to the audit log; unless an
    // import has used the same source name.
    let duplicate_id = duplicate.id.to_string();
    let existing = provenance::Entity::find()
        .select_only()
        .column(provenance::Column::Id)
        .filter(provenance::Column::Source.eq(ACTION))
        .filter(provenance::Column::ExternalId.eq(&duplicate_id));
    let existing: Option<Uuid> = existing.into_tuple().one(tx.connection()).await?;
    let provenance = provenance::Model {
        id: tx.new_id(),
        contact_id: after.id,
        source: ACTION.to_owned(),
        external_id: existing.is_none().then_some(duplicate_id),
        collected_at: None,
        recorded_at: tx.now(),
        recorded_by: tx.author().actor.clone(),
        fields,
        informed_at: None,
        notice_version: None,
        import_id: None,
    };
    let provenance = tx.insert::<provenance::Entity>(&PROVENANCE, &provenance).await?;
    let addresses = NewAddresses::from_text(Vec::new());
    let mut merged = Merged { before, after, duplicate, addresses };
    tx.record(merged.entry(&CONTACT, merged.after.id, changes.merge(provenance))).await?;
    let points = merge_points(tx, &merged).await?;
    merged.addresses = NewAddresses::of_contact(tx.reader(), &merged.after, &points);
    Ok(merged)
}

/// Deletes the duplicate, which nothing refers to any more. Its entry holds its values, sealed for the surviving
/// contact, and names both: an erasure of that contact finds by it under which id there are older entries.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn delete_duplicate(tx: &mut Transaction, merged: &Merged) -> Result<(), Error> {
    let duplicate = &merged.duplicate;
    record_merge(tx, merged.after.id, duplicate.id).await?;
    let changes = tx.delete::<contact::Entity>(&CONTACT, duplicate).await?;
    tx.record(merged.entry(&CONTACT, duplicate.id, changes)).await
}

fn merge_values(
    reader: &Reader,
    after: &mut contact::Model,
    duplicate: &contact::Model,
    take: &[&'static Field],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let is_taken = |field: &Field| take.iter().any(|taken| taken.name == field.name);
    for (field, validator) in
        CONTACT.writable_fields().filter(|(field, _)| field.category != DataCategory::Postal)
    {
        let value = match (get(after, field), get(duplicate, field)) {
            (_, None) => continue,
            (Some(own), Some(other)) if own == other => continue,
            (Some(own), Some(other)) if validator == Validator::Lines && !is_taken(field) => {
                let joined = validator.validate(&format!("{own}\n\n{other}"), now.date_naive());
                let too_long = format!("the `{}` of both contacts are too long together", field.name);
                let conflict = || {
                    Error::new(Code::Conflict, too_long)
                        .with_coordinate(format!("{}.{}", CONTACT.name, field.name))
                };
                joined.map_err(|_| conflict())?.unwrap_or(own)
            }
            (Some(_), Some(_)) if !is_taken(field) => continue,
            (_, Some(other)) => other,
        };
        set(reader, after, field, Some(&value))?;
    }
    let postal = || {
        CONTACT
            .writable_fields()
            .map(|(field, _)| field)
            .filter(|field| field.category == DataCategory::Postal)
    };
    let fuller =
        is_subset(&address(after), &address(duplicate)) && !is_subset(&address(duplicate), &address(after));
    let has_one = address(duplicate).iter().any(Option::is_some);
    if fuller || (has_one && postal().any(is_taken)) {
        for field in postal() {
            set(reader, after, field, get(duplicate, field).as_deref())?;
        }
    }
    Ok(())
}

/// Parts of a postal address.
type Address = [Option<String>; 4];

fn address(contact: &contact::Model) -> Address {
    [&contact.street, &contact.postal_code, &contact.city, &contact.country].map(Clone::clone)
}

/// Whether `other` contains every part of `address`.
fn is_subset(address: &Address, other: &Address) -> bool {
    let is_same_part = |(part, other): (&Option<String>, &Option<String>)| {
        part.is_none() || part.as_deref().map(fold) == other.as_deref().map(fold)
    };
    address.iter().zip(other).all(is_same_part)
}

/// Where the addresses differ, a late declaration may concern either: only later declarations are known to concern
/// the surviving one.
fn note_ambiguous_addresses(
    before: &contact::Model,
    duplicate: &contact::Model,
    after: &mut contact::Model,
    now: DateTime<Utc>,
) {
    let doubt = |left: &Option<String>, right: &Option<String>| {
        (left.is_some() && right.is_some() && left != right).then_some(now)
    };
    let email = doubt(&before.email_key, &duplicate.email_key);
    let phone = doubt(&before.phone_key, &duplicate.phone_key);
    let address = doubt(&before.postal_key, &duplicate.postal_key);
    after.email_changed_at = after.email_changed_at.max(duplicate.email_changed_at).max(email);
    after.phone_changed_at = after.phone_changed_at.max(duplicate.phone_changed_at).max(phone);
    after.address_changed_at = after.address_changed_at.max(duplicate.address_changed_at).max(address);
}

/// A restriction of either contact applies to the survivor, from the earlier date (Art. 18).
fn restrict(duplicate: &contact::Model, after: &mut contact::Model) {
    let restricted = |contact: &contact::Model| contact.state == ContactState::Restricted;
    if !restricted(duplicate) {
        return;
    }
    let since = if restricted(after) { after.restricted_at } else { None };
    after.restricted_at = since.into_iter().chain(duplicate.restricted_at).min();
    after.state = ContactState::Restricted;
}

/// The keys of a contact point, regardless of case and accents.
fn point_keys(point: &contact_point::Model) -> [&Option<String>; 3] {
    [&point.email_key, &point.phone_key, &point.postal_key]
}

/// Moves the contact points of the duplicate, and creates points for addresses that are no longer primary. Points
/// without anything new are deleted. Returns all remaining points.
async fn merge_points(tx: &mut Transaction, merged: &Merged) -> Result<Vec<contact_point::Model>, Error> {
    let of = |id: Uuid| {
        let points = contact_point::Entity::find().filter(contact_point::Column::ContactId.eq(id));
        points.order_by_asc(contact_point::Column::Id).lock_exclusive()
    };
    let mut all_points = of(merged.after.id).all(tx.connection()).await?;
    let primary = primary(tx.reader(), merged);
    for point in of(merged.duplicate.id).all(tx.connection()).await? {
        let nothing_new = |other: &contact_point::Model| {
            point_keys(other) == point_keys(&point) && (point.label.is_none() || point.label == other.label)
        };
        let changes = if all_points.iter().chain(&primary).any(nothing_new) {
            contact_point::Entity::delete_by_id(point.id).exec(tx.connection()).await?;
            ChangeSet::diff(&CONTACT_POINT, Some(&point), None)
        } else {
            let moved = contact_point::Model { contact_id: merged.after.id, ..point.clone() };
            let changes = tx.update::<contact_point::Entity>(&CONTACT_POINT, &point, &moved).await?;
            all_points.push(moved);
            changes.merge(merged.reassignment(&CONTACT_POINT))
        };
        tx.record(merged.entry(&CONTACT_POINT, point.id, changes)).await?;
    }
    for new in [&merged.before, &merged.duplicate].into_iter().flat_map(points) {
        let point =
            NewContactPoint { contact_id: merged.after.id, ..new }.row(tx.reader(), tx.new_id(), tx.now());
        if all_points.iter().chain(&primary).any(|other| point_keys(other) == point_keys(&point)) {
            continue;
        }
        // A part of the primary address is no further address.
        if point.kind == ContactPointKind::Postal && is_subset(&parts(&point), &address(&merged.after)) {
            continue;
        }
        let changes = tx.insert::<contact_point::Entity>(&CONTACT_POINT, &point).await?;
        tx.record(merged.entry(&CONTACT_POINT, point.id, changes)).await?;
        all_points.push(point);
    }
    if all_points.len() > MAX_CONTACT_POINTS {
        let message = format!("a contact has at most {MAX_CONTACT_POINTS} contact points");
        return Err(Error::new(Code::Conflict, message).with_coordinate("Contact.contactPoints"));
    }
    Ok(all_points)
}

fn parts(point: &contact_point::Model) -> Address {
    [&point.street, &point.postal_code, &point.city, &point.country].map(Clone::clone)
}

/// The primary addresses as contact points.
fn primary(reader: &Reader, merged: &Merged) -> Vec<contact_point::Model> {
    points(&merged.after).map(|point| point.row(reader, merged.after.id, merged.after.created_at)).collect()
}

/// The primary addresses of a contact as points to add.
fn points(contact: &contact::Model) -> impl Iterator<Item = NewContactPoint> {
    let postal = CONTACT
        .writable_fields()
        .filter(|(field, _)| field.category == DataCategory::Postal)
        .map(|(field, _)| field.name);
    let kinds = [
        (ContactPointKind::Email, vec!["email"]),
        (ContactPointKind::Phone, vec!["phone"]),
        (ContactPointKind::Postal, postal.collect()),
    ];
    kinds.into_iter().filter_map(|(kind, names)| {
        let value_of = |name: &str| CONTACT.field(name).and_then(|field| get(contact, field));
        // A country alone reaches nobody.
        let reaches = names.iter().any(|name| {
            CONTACT.field(name).is_some_and(|field| field.is_identifying && get(contact, field).is_some())
        });
        let values: Vec<_> = names.into_iter().filter_map(|name| Some((name, value_of(name)?))).collect();
        reaches.then_some(NewContactPoint { contact_id: contact.id, kind, values })
    })
}
