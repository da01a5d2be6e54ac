//! Further contact points of a contact. Room: domain/contacts.

use chrono::{DateTime, Utc};
use entity::{contact, contact_point, enums::ContactPointKind};
use sea_orm::EntityTrait;
use uuid::Uuid;

use super::{NewAddresses, lock_with_contact, lock_with_new_addresses};
use crate::{
    audit::{ChangeSet, Entry, Transaction},
    auth::actor::Actor,
    base::{
        error::{Code, Error},
        fold::fold,
        identities::Reader,
    },
    policy::Action,
    registry::CONTACT_POINT,
};

/// Maximum number of contact points of a contact.
pub const MAX_CONTACT_POINTS: usize = 100;

/// A contact point to add, with validated values.
#[derive(Clone, Debug)]
pub struct NewContactPoint {
    /// The contact.
    pub contact_id: Uuid,
    /// Its kind.
    pub kind: ContactPointKind,
    /// Values by the name of their field.
    pub values: Vec<(&'static str, String)>,
}

impl NewContactPoint {
    fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().find_map(|(existing, value)| (*existing == name).then_some(value.as_str()))
    }

    /// Checks that there are only values of its kind, and at least one.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` naming the value.
    pub fn check(&self) -> Result<(), Error> {
        let postal: &[&str] = &["street", "postalCode", "city", "country"];
        let allowed: &[&str] = match self.kind {
            ContactPointKind::Email => &["email"],
            ContactPointKind::Phone => &["phone"],
            ContactPointKind::Postal => postal,
        };
        let unexpected = self.values.iter().find(|(name, _)| *name != "label" && !allowed.contains(name));
        if let Some((name, _)) = unexpected {
            let message = format!("`{name}` does not belong to this kind of contact point");
            return Err(Error::bad_input(message).with_input_path(format!("input.{name}")));
        }
        if !allowed.iter().any(|name| self.value(name).is_some()) {
            let first = allowed.first().copied().unwrap_or_default();
            let message = format!("this kind of contact point needs `{first}`");
            return Err(Error::bad_input(message).with_input_path(format!("input.{first}")));
        }
        Ok(())
    }

    /// The identities that it adds to `contact`.
    fn addresses(&self, reader: &Reader, contact: &contact::Model, now: DateTime<Utc>) -> NewAddresses {
        // Only the name is taken from the contact: it says who is reached at a postal address.
        let name_only =
            contact::Model { email: None, phone: None, street: None, postal_code: None, ..contact.clone() };
        let name_only = contact::Model { city: None, country: None, ..name_only };
        NewAddresses::of_contact(reader, &name_only, &[self.row(reader, Uuid::nil(), now)])
    }

    /// Its row, with the keys that consents are bound to.
    pub fn row(&self, reader: &Reader, id: Uuid, created_at: DateTime<Utc>) -> contact_point::Model {
        let text = |name: &str| self.value(name).map(str::to_owned);
        let parts = ["street", "postalCode", "city", "country"].map(|name| self.value(name));
        contact_point::Model {
            id,
            contact_id: self.contact_id,
            kind: self.kind,
            label: text("label"),
            email: text("email"),
            email_folded: self.value("email").map(fold),
            email_key: self.value("email").map(|text| reader.email_key(text)),
            phone: text("phone"),
            phone_folded: self.value("phone").map(fold),
            phone_key: self.value("phone").map(|text| reader.phone_key(text)),
            street: text("street"),
            postal_code: text("postalCode"),
            city: text("city"),
            country: text("country"),
            postal_key: reader.postal_key(parts),
            key_version: reader.version(),
            created_at,
        }
    }
}

/// Adds a contact point. An existing one is no change.
///
/// # Errors
/// `NOT_FOUND`; `BAD_USER_INPUT` for values that do not belong to its kind, or none.
pub async fn add_point(
    tx: &mut Transaction,
    actor: &Actor,
    new: &NewContactPoint,
) -> Result<NewAddresses, Error> {
    use sea_orm::{ColumnTrait, QueryFilter};
    new.check()?;
    let (id, now) = (tx.new_id(), tx.now());
    let new_addresses = |reader: &Reader, contact: &contact::Model| Ok(new.addresses(reader, contact, now));
    let contact = lock_with_new_addresses(tx, actor, new.contact_id, new_addresses).await?;
    let point = new.row(tx.reader(), id, now);
    let existing = contact_point::Entity::find()
        .filter(contact_point::Column::ContactId.eq(contact.id))
        .all(tx.connection())
        .await?;
    if existing.len() >= MAX_CONTACT_POINTS {
        return Err(Error::new(
            Code::Conflict,
            format!("a contact has at most {MAX_CONTACT_POINTS} contact points"),
        ));
    }
    // Only if the caller may read all values: otherwise the outcome would reveal the rest.
    let readable =
        |(name, _): &(&str, String)| actor.can(&format!("{}.{name}", CONTACT_POINT.name), Action::Read);
    let duplicate = existing.iter().filter(|_| new.values.iter().all(readable)).find(|existing| {
        let candidate =
            contact_point::Model { id: existing.id, created_at: existing.created_at, ..point.clone() };
        candidate == **existing
    });
    let (id, changes, new_point) = match duplicate {
        Some(existing) => (existing.id, ChangeSet::none(), None),
        None => {
            let changes = tx.insert::<contact_point::Entity>(&CONTACT_POINT, &point).await?;
            (point.id, changes, Some(point))
        }
    };
    tx.record(Entry {
        action: "addContactPoint",
        entity_type: CONTACT_POINT.name,
        entity_id: Some(id),
        contact_id: Some(contact.id),
        changes,
    })
    .await?;
    // A point with an address that the contact already has adds none.
    let had = NewAddresses::of_contact(tx.reader(), &contact, &existing);
    let new_point = new_point.map(|_| new.addresses(tx.reader(), &contact, tx.now()).except(&had));
    Ok(new_point.unwrap_or_else(|| NewAddresses::from_text(Vec::new())))
}

/// Removes a contact point and returns the id of its contact.
///
/// # Errors
/// `NOT_FOUND`, equally for a missing contact point and for an invisible contact.
pub async fn remove_point(tx: &mut Transaction, actor: &Actor, id: Uuid) -> Result<Uuid, Error> {
    let not_found = || Error::new(Code::NotFound, "there is no such contact point");
    let point = lock_with_contact::<contact_point::Entity>(
        tx,
        actor,
        &CONTACT_POINT,
        id,
        contact_point::Column::ContactId,
        not_found,
    )
    .await?;
    let contact_id = point.contact_id;
    contact_point::Entity::delete_by_id(id).exec(tx.connection()).await?;
    tx.record(Entry {
        action: "removeContactPoint",
        entity_type: CONTACT_POINT.name,
        entity_id: Some(id),
        contact_id: Some(contact_id),
        changes: ChangeSet::diff(&CONTACT_POINT, Some(&point), None),
    })
    .await?;
    Ok(contact_id)
}
