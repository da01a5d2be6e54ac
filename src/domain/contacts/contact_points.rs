//! Further contact points of a contact. Room: domain/contacts.

use chrono::{DateTime, Utc};
use entity::{contact, contact_point, enums::ContactPointKind};
use sea_orm::EntityTrait;
use uuid::Uuid;

use super::{NewAddresses, lock_bringing, lock_with};
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

/// Most contact points of a contact.
pub const MAX_CONTACT_POINTS: usize = 100;

/// A contact point to be added; checked values.
#[derive(Clone, Debug)]
pub struct NewContactPoint {
    /// Of which contact.
    pub contact_id: Uuid,
    /// What kind.
    pub kind: ContactPointKind,
    /// Values by the name of their field.
    pub values: Vec<(&'static str, String)>,
}

impl NewContactPoint {
    fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().find_map(|(known, value)| (*known == name).then_some(value.as_str()))
    }

    /// A contact point holds values of its kind alone, and at least one.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` naming the value.
    pub fn check(&self) -> Result<(), Error> {
        let postal: &[&str] = &["street", "postalCode", "city", "country"];
        let own: &[&str] = match self.kind {
            ContactPointKind::Email => &["email"],
            ContactPointKind::Phone => &["phone"],
            ContactPointKind::Postal => postal,
        };
        let foreign = self.values.iter().find(|(name, _)| *name != "label" && !own.contains(name));
        if let Some((name, _)) = foreign {
            let message = format!("`{name}` does not belong to this kind of contact point");
            return Err(Error::bad_input(message).with_input_path(format!("input.{name}")));
        }
        if !own.iter().any(|name| self.value(name).is_some()) {
            let first = own.first().copied().unwrap_or_default();
            let message = format!("this kind of contact point needs `{first}`");
            return Err(Error::bad_input(message).with_input_path(format!("input.{first}")));
        }
        Ok(())
    }

    /// The identities that it brings to `contact`.
    fn reached(&self, reader: &Reader, contact: &contact::Model, now: DateTime<Utc>) -> NewAddresses {
        // The name alone is that of the contact: it says who is reached at a postal address.
        let bare =
            contact::Model { email: None, phone: None, street: None, postal_code: None, ..contact.clone() };
        let bare = contact::Model { city: None, country: None, ..bare };
        NewAddresses::of(reader, &bare, &[self.row(reader, Uuid::nil(), now)])
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

/// Adds a contact point. One that is there already is no change.
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
    let brought = |reader: &Reader, contact: &contact::Model| Ok(new.reached(reader, contact, now));
    let contact = lock_bringing(tx, actor, new.contact_id, brought).await?;
    let point = new.row(tx.reader(), id, now);
    let known = contact_point::Entity::find()
        .filter(contact_point::Column::ContactId.eq(contact.id))
        .all(tx.connection())
        .await?;
    if known.len() >= MAX_CONTACT_POINTS {
        return Err(Error::new(
            Code::Conflict,
            format!("a contact has at most {MAX_CONTACT_POINTS} contact points"),
        ));
    }
    // Only of what the caller may read: whether the list grows would tell of the rest.
    let readable =
        |(name, _): &(&str, String)| actor.can(&format!("{}.{name}", CONTACT_POINT.name), Action::Read);
    let same = known.iter().filter(|_| new.values.iter().all(readable)).find(|known| {
        let stamped = contact_point::Model { id: known.id, created_at: known.created_at, ..point.clone() };
        stamped == **known
    });
    let (id, changes, came) = match same {
        Some(known) => (known.id, ChangeSet::none(), None),
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
    // Another point of an address that the contact has brings none.
    let had = NewAddresses::of(tx.reader(), &contact, &known);
    let came = came.map(|_| new.reached(tx.reader(), &contact, tx.now()).beyond(&had));
    Ok(came.unwrap_or_else(|| NewAddresses::typed(Vec::new())))
}

/// Removes a contact point and gives the id of its contact.
///
/// # Errors
/// `NOT_FOUND`, the same whether there is none or its contact is not visible.
pub async fn remove_point(tx: &mut Transaction, actor: &Actor, id: Uuid) -> Result<Uuid, Error> {
    let unknown = || Error::new(Code::NotFound, "there is no such contact point");
    let point = lock_with::<contact_point::Entity>(
        tx,
        actor,
        &CONTACT_POINT,
        id,
        contact_point::Column::ContactId,
        unknown,
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
