//! Compares a contact with what its source says. Room: domain/contacts/source_updates.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use entity::{contact, contact_point, enums::ContactState};
use uuid::Uuid;

use super::{
    records::{SourceRecord, UpdateMode},
    snapshot::Snapshot,
};
use crate::{
    base::identities::Reader,
    domain::contacts::{
        MAX_CONTACT_POINTS, NewContactPoint,
        rows::{self, get},
    },
    registry::{CONTACT, DataCategory, Field, Validator},
};

/// What becomes of a value of the source that differs from that of the contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Difference {
    /// The field had no value and gets this one.
    Filled,
    /// It replaces another value.
    Changed,
    /// A further contact point is added.
    Added,
    /// The contact has another value, and only gaps are filled.
    Differs,
    /// A person or an application has recorded or removed the value.
    Protected,
    /// The contact was merged from several, so which value is right was decided by a person.
    Merged,
    /// The address was removed from the contact before, or its history cannot be read.
    Removed,
    /// The contact has as many contact points as it may have.
    TooManyContactPoints,
}

impl Difference {
    /// Whether the value is taken over.
    pub fn is_taken(self) -> bool {
        matches!(self, Self::Filled | Self::Changed | Self::Added)
    }
}

/// Why nothing of a record is taken over although it differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The contact is restricted, or only retained.
    NotActive,
    /// The contact cannot be seen for the purpose of the import: no ground for it is in force.
    NotVisible,
    /// The contact has another version than the record is based on.
    VersionConflict,
}

/// A contact compared with what its source says.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Set if nothing is taken over.
    pub refusal: Option<Refusal>,
    /// The fields that differ, with what becomes of each; `contactPoints` for a further contact point.
    pub differences: Vec<(&'static str, Difference)>,
    /// Values to set; `None` clears a field.
    pub(super) values: Vec<(&'static Field, Option<String>)>,
    /// Contact points to add.
    pub(super) points: Vec<NewContactPoint>,
}

impl Comparison {
    /// Whether anything is to be written.
    pub fn is_update(&self) -> bool {
        self.refusal.is_none() && !(self.values.is_empty() && self.points.is_empty())
    }

    /// Whether an address is taken over, if the contact has not had it before.
    pub(super) fn takes_address(&self) -> bool {
        let is_address = |field: &Field| matches!(field.name, "email" | "phone" | "street");
        !self.points.is_empty()
            || self.values.iter().any(|(field, value)| is_address(field) && value.is_some())
    }

    fn skip(&mut self, field: &'static str, difference: Difference) {
        self.differences.push((field, difference));
    }

    fn set(&mut self, field: &'static Field, value: Option<String>, difference: Difference) {
        self.differences.push((field.name, difference));
        self.values.push((field, value));
    }
}

/// Compares a contact with a record.
pub(super) fn compare(
    reader: &Reader,
    mode: UpdateMode,
    snapshot: &Snapshot,
    record: &SourceRecord,
) -> Comparison {
    let mut comparison = Comparison::default();
    for (field, value) in &record.values {
        if field.category != DataCategory::Postal {
            compare_value(reader, &mut comparison, mode, snapshot, (field, value));
        }
    }
    compare_address(&mut comparison, mode, snapshot, record);
    compare_points(reader, &mut comparison, snapshot, record);
    if !comparison.differences.is_empty() {
        let expects_other =
            record.expected_version.is_some_and(|version| version != snapshot.contact.version);
        comparison.refusal = match snapshot.contact.state {
            ContactState::Active if !snapshot.is_visible => Some(Refusal::NotVisible),
            ContactState::Active if expects_other => Some(Refusal::VersionConflict),
            ContactState::Active => None,
            _ => Some(Refusal::NotActive),
        };
    }
    comparison
}

fn compare_value(
    reader: &Reader,
    comparison: &mut Comparison,
    mode: UpdateMode,
    snapshot: &Snapshot,
    (field, value): (&'static Field, &String),
) {
    let current = get(&snapshot.contact, field);
    if current.as_ref() == Some(value) {
        return;
    }
    let is_former = match field.validator {
        Some(Validator::Email) => snapshot.former.has_email(&reader.email_key(value)),
        Some(Validator::Phone) => snapshot.former.has_phone(&reader.phone_key(value)),
        _ => false,
    };
    let is_empty = current.is_none();
    match () {
        () if snapshot.is_protected(field) => comparison.skip(field.name, Difference::Protected),
        () if !is_empty && mode == UpdateMode::Fill => comparison.skip(field.name, Difference::Differs),
        () if !is_empty && snapshot.is_merged => comparison.skip(field.name, Difference::Merged),
        () if is_former => comparison.skip(field.name, Difference::Removed),
        () => {
            let taken = if is_empty { Difference::Filled } else { Difference::Changed };
            comparison.set(field, Some(value.clone()), taken);
        }
    }
}

/// Compares the postal address, which is taken as a whole or not at all: parts of two addresses are no address.
fn compare_address(
    comparison: &mut Comparison,
    mode: UpdateMode,
    snapshot: &Snapshot,
    record: &SourceRecord,
) {
    let current = |field: &Field| get(&snapshot.contact, field);
    let given: Vec<(&'static Field, &String)> = record
        .values
        .iter()
        .filter(|(field, _)| field.category == DataCategory::Postal)
        .map(|(field, value)| (*field, value))
        .collect();
    let differing: Vec<_> =
        given.iter().filter(|(field, value)| current(field).as_ref() != Some(*value)).copied().collect();
    if differing.is_empty() {
        return;
    }
    let skip_all = |comparison: &mut Comparison, difference| {
        differing.iter().for_each(|(field, _)| comparison.skip(field.name, difference));
    };
    if postal_fields().any(|field| snapshot.is_protected(field)) {
        return skip_all(comparison, Difference::Protected);
    }
    let is_other_address = differing.iter().any(|(field, _)| current(field).is_some());
    // Without a street or postal code it is part of an address, not another one.
    let is_whole = given.iter().any(|(field, _)| matches!(field.name, "street" | "postalCode"));
    if is_other_address {
        match mode {
            UpdateMode::Fill => return skip_all(comparison, Difference::Differs),
            UpdateMode::Overwrite if snapshot.is_merged => return skip_all(comparison, Difference::Merged),
            UpdateMode::Overwrite if !is_whole => return skip_all(comparison, Difference::Differs),
            UpdateMode::Overwrite => {}
        }
    }
    let street = given.iter().find(|(field, _)| field.name == "street");
    if street.is_some_and(|(field, value)| {
        current(field).as_ref() != Some(*value) && snapshot.former.has_street(value)
    }) {
        return skip_all(comparison, Difference::Removed);
    }
    for (field, value) in differing {
        let taken = if current(field).is_some() { Difference::Changed } else { Difference::Filled };
        comparison.set(field, Some(value.clone()), taken);
    }
    if is_other_address {
        // The country stays unless the source gives another: many files do not have it.
        let others = postal_fields().filter(|field| field.name != "country" && current(field).is_some());
        for field in others.filter(|field| !given.iter().any(|(other, _)| other.name == field.name)) {
            comparison.set(field, None, Difference::Changed);
        }
    }
}

fn postal_fields() -> impl Iterator<Item = &'static Field> {
    CONTACT.writable_fields().map(|(field, _)| field).filter(|field| field.category == DataCategory::Postal)
}

fn compare_points(reader: &Reader, comparison: &mut Comparison, snapshot: &Snapshot, record: &SourceRecord) {
    // A value that this update makes the contact's own is no further one.
    let mut after = snapshot.contact.clone();
    for (field, value) in &comparison.values {
        // Only fields with a column are compared.
        _ = rows::set(reader, &mut after, field, value.as_deref());
    }
    let mut present: HashSet<String> =
        [&snapshot.contact, &after].into_iter().flat_map(keys_of_contact).collect();
    present.extend(snapshot.points.iter().flat_map(keys_of_point));
    let mut number = snapshot.points.len();
    for point in &record.points {
        let row = point.row(reader, Uuid::nil(), DateTime::<Utc>::UNIX_EPOCH);
        let keys = keys_of_point(&row);
        if keys.iter().any(|key| present.contains(key)) {
            continue;
        }
        if snapshot.former.has_point(&row) {
            comparison.skip("contactPoints", Difference::Removed);
        } else if number == MAX_CONTACT_POINTS {
            comparison.skip("contactPoints", Difference::TooManyContactPoints);
        } else {
            number += 1;
            comparison.skip("contactPoints", Difference::Added);
            comparison.points.push(NewContactPoint { contact_id: snapshot.contact.id, ..point.clone() });
        }
        present.extend(keys);
    }
}

fn keys_of_contact(contact: &contact::Model) -> Vec<String> {
    let parts = [&contact.street, &contact.postal_code, &contact.city, &contact.country];
    keys([&contact.email_key, &contact.phone_key, &contact.postal_key], parts)
}

fn keys_of_point(point: &contact_point::Model) -> Vec<String> {
    let parts = [&point.street, &point.postal_code, &point.city, &point.country];
    keys([&point.email_key, &point.phone_key, &point.postal_key], parts)
}

/// Keys of addresses, each with its kind; of a part of a postal address that has no key its parts.
fn keys([email, phone, postal]: [&Option<String>; 3], parts: [&Option<String>; 4]) -> Vec<String> {
    let mut all = Vec::new();
    all.extend(email.iter().map(|key| format!("email {key}")));
    all.extend(phone.iter().map(|key| format!("phone {key}")));
    all.extend(postal.iter().map(|key| format!("postal {key}")));
    if postal.is_none() && parts.iter().any(|part| part.is_some()) {
        all.push(format!("parts {parts:?}"));
    }
    all
}
