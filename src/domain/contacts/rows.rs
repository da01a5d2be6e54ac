//! Rows of contacts, driven by the registry: sets a value with its folded companion, in one way for every field.
//! Room: domain/contacts.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, Utc};
use entity::{contact, enums::ContactState};
use sea_orm::{ModelTrait, Value};
use uuid::Uuid;

use crate::{
    auth::actor::Actor,
    base::{
        error::Error,
        fold::fold,
        identities::{self, Reader},
    },
    policy::Action,
    registry::{CONTACT, Field, FieldSource, Scalar},
};

/// An active contact without any value.
pub fn blank(reader: &Reader, id: Uuid, now: DateTime<Utc>) -> contact::Model {
    contact::Model {
        id,
        given_name: None,
        family_name: None,
        email: None,
        phone: None,
        birth_date: None,
        company: None,
        job_title: None,
        street: None,
        postal_code: None,
        city: None,
        country: None,
        language: None,
        notes: None,
        state: ContactState::Active,
        created_at: now,
        updated_at: now,
        restricted_at: None,
        version: 1,
        given_name_folded: None,
        family_name_folded: None,
        email_folded: None,
        phone_folded: None,
        company_folded: None,
        job_title_folded: None,
        street_folded: None,
        postal_code_folded: None,
        city_folded: None,
        country_folded: None,
        language_folded: None,
        postal_key: None,
        family_name_key: None,
        email_key: None,
        phone_key: None,
        key_version: reader.version(),
        email_changed_at: None,
        phone_changed_at: None,
        address_changed_at: None,
    }
}

fn column(name: &str) -> Result<contact::Column, Error> {
    contact::Column::from_str(name).map_err(|_| Error::internal("a contact column does not exist"))
}

/// Sets the values of writable fields, and makes the keys of the addresses.
///
/// # Errors
/// `INTERNAL` for a field without a column and for an invalid date.
pub fn set_all<'v>(
    reader: &Reader,
    contact: &mut contact::Model,
    values: impl IntoIterator<Item = (&'v Field, &'v str)>,
) -> Result<(), Error> {
    for (field, value) in values {
        set_column(contact, field, Some(value))?;
    }
    set_keys(reader, contact);
    Ok(())
}

/// Sets a validated value of a writable field, its folded companion, and the keys of the addresses.
///
/// # Errors
/// `INTERNAL` for a field without a column.
pub fn set(
    reader: &Reader,
    contact: &mut contact::Model,
    field: &Field,
    value: Option<&str>,
) -> Result<(), Error> {
    set_column(contact, field, value)?;
    set_keys(reader, contact);
    Ok(())
}

fn set_column(contact: &mut contact::Model, field: &Field, value: Option<&str>) -> Result<(), Error> {
    let FieldSource::Column { column: name, scalar, folded, .. } = field.source else {
        return Err(Error::internal("a writable field without a column"));
    };
    let bound = match scalar {
        Scalar::Date => {
            let date: Option<NaiveDate> =
                value.map(str::parse).transpose().map_err(|_| Error::internal("a date"))?;
            Value::from(date)
        }
        _ => Value::from(value.map(str::to_owned)),
    };
    contact.try_set(column(name)?, bound)?;
    if let Some(folded) = folded {
        contact.try_set(column(folded)?, Value::from(value.map(fold)))?;
    }
    Ok(())
}

/// Makes the keys of the addresses as `reader` reads them.
pub fn set_keys(reader: &Reader, contact: &mut contact::Model) {
    contact.email_key = contact.email.as_deref().map(|text| reader.email_key(text));
    contact.phone_key = contact.phone.as_deref().map(|text| reader.phone_key(text));
    let parts = [&contact.street, &contact.postal_code, &contact.city, &contact.country];
    contact.postal_key = reader.postal_key(parts.map(|part| part.as_deref()));
    contact.family_name_key = identities::household(contact.family_name.as_deref());
    contact.key_version = reader.version();
}

/// The value of a writable field.
pub(super) fn get(contact: &contact::Model, field: &Field) -> Option<String> {
    let column = field.column().and_then(|name| contact::Column::from_str(name).ok())?;
    match contact.get(column) {
        Value::String(text) => text,
        Value::ChronoDate(date) => date.map(|date| date.to_string()),
        _ => None,
    }
}

/// Whether anything that the caller may read identifies or reaches the person. Fields that
/// the caller may not read do not count, or the answer would reveal them.
pub(super) fn identifies(actor: &Actor, contact: &contact::Model) -> bool {
    let readable = |field: &Field| actor.can(&format!("{}.{}", CONTACT.name, field.name), Action::Read);
    CONTACT
        .fields
        .iter()
        .any(|field| field.is_identifying && readable(field) && get(contact, field).is_some())
}

/// Records which addresses changed: earlier declarations concern the previous address. A first address is no
/// change.
pub(crate) fn note_address_changes(before: &contact::Model, after: &mut contact::Model, now: DateTime<Utc>) {
    let changed = |before: &Option<String>, after: &Option<String>| before.is_some() && before != after;
    if changed(&before.email_key, &after.email_key) {
        after.email_changed_at = Some(now);
    }
    if changed(&before.phone_key, &after.phone_key) {
        after.phone_changed_at = Some(now);
    }
    if changed(&before.postal_key, &after.postal_key) {
        after.address_changed_at = Some(now);
    }
}
