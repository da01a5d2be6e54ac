//! Addresses that a contact had and has no more, as the audit log tells. Room: domain/contacts/source_updates.

use std::collections::{HashMap, HashSet};

use entity::{contact_merge, contact_point};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use serde_json::Value as Json;
use uuid::Uuid;

use super::records::{ACTION, View};
use crate::{
    audit::{self, PastEntry},
    base::{error::Error, fold::fold, identities::Reader},
};

/// Addresses that a contact had, unless an import has replaced them.
#[derive(Clone, Debug, Default)]
pub(super) struct FormerAddresses {
    email_keys: HashSet<String>,
    phone_keys: HashSet<String>,
    /// Folded.
    streets: HashSet<String>,
    /// Whether something could not be read; then every address may have been one of the contact.
    is_unreadable: bool,
}

impl FormerAddresses {
    /// Whether the mailbox was removed.
    pub fn has_email(&self, key: &str) -> bool {
        self.is_unreadable || self.email_keys.contains(key)
    }

    /// Whether the number was removed.
    pub fn has_phone(&self, key: &str) -> bool {
        self.is_unreadable || self.phone_keys.contains(key)
    }

    /// Whether an address in this street was removed.
    pub fn has_street(&self, street: &str) -> bool {
        self.is_unreadable || self.streets.contains(&fold(street))
    }

    /// Whether the contact point was removed.
    pub fn has_point(&self, point: &contact_point::Model) -> bool {
        point.email_key.as_deref().is_some_and(|key| self.has_email(key))
            || point.phone_key.as_deref().is_some_and(|key| self.has_phone(key))
            || point.street.as_deref().is_some_and(|street| self.has_street(street))
            || self.is_unreadable
    }

    fn add(&mut self, reader: &Reader, entry: &PastEntry) {
        self.is_unreadable |= !entry.is_readable;
        for (coordinate, [before, _]) in &entry.values {
            let Json::String(before) = before else { continue };
            match coordinate.rsplit_once('.').map(|(_, field)| field) {
                Some("email") => _ = self.email_keys.insert(reader.email_key(before)),
                Some("phone") => _ = self.phone_keys.insert(reader.phone_key(before)),
                Some("street") => _ = self.streets.insert(fold(before)),
                _ => {}
            }
        }
    }
}

/// The former addresses of `contacts`, also of those that were merged into them.
///
/// # Errors
/// `INTERNAL` from the database.
pub(super) async fn read<C: ConnectionTrait>(
    view: &View<'_, C>,
    contacts: &[Uuid],
) -> Result<HashMap<Uuid, FormerAddresses>, Error> {
    let merged = contact_merge::Entity::find()
        .filter(contact_merge::Column::ContactId.is_in(contacts.iter().copied()))
        .all(view.connection)
        .await?;
    let survivors: HashMap<Uuid, Uuid> =
        merged.into_iter().map(|merge| (merge.duplicate_id, merge.contact_id)).collect();
    let all: Vec<Uuid> = contacts.iter().copied().chain(survivors.keys().copied()).collect();
    let mut former: HashMap<Uuid, FormerAddresses> =
        contacts.iter().map(|contact| (*contact, FormerAddresses::default())).collect();
    for entry in audit::past_entries(view.connection, view.keys, &all).await? {
        // The source itself may name again what it named before.
        if entry.action == ACTION {
            continue;
        }
        let contact = survivors.get(&entry.contact_id).unwrap_or(&entry.contact_id);
        if let Some(former) = former.get_mut(contact) {
            former.add(view.reader, &entry);
        }
    }
    Ok(former)
}
