//! Addresses that come to a contact: whatever brings one gives it here, so that the suppression list is asked (floor 4).

use entity::{contact, contact_point, enums::Channel};
use uuid::Uuid;

/// Addresses that came to a contact. Whoever gets this has to look for them on the suppression list.
#[derive(Clone)]
#[must_use = "an address that comes to a contact must be looked for on the suppression list"]
pub struct Reached {
    contact_id: Uuid,
    addresses: Vec<(Channel, String)>,
}

impl Reached {
    /// The addresses of a contact, primary and further ones, each as consents are bound to it.
    pub fn of(contact_id: Uuid, contact: Option<&contact::Model>, points: &[contact_point::Model]) -> Self {
        let mut addresses = Vec::new();
        let primary =
            contact.map(|contact| [&contact.email_key, &contact.phone_folded, &contact.address_folded]);
        let further =
            points.iter().map(|point| [&point.email_key, &point.phone_folded, &point.address_folded]);
        for keys in primary.into_iter().chain(further) {
            for (channel, key) in [Channel::Email, Channel::Phone, Channel::Post].into_iter().zip(keys) {
                let address = key.clone().map(|key| (channel, key));
                addresses.extend(address.filter(|address| !addresses.contains(address)));
            }
        }
        Self { contact_id, addresses }
    }

    /// Those that are not among `known`.
    pub fn beyond(mut self, known: &Self) -> Self {
        self.addresses.retain(|address| !known.addresses.contains(address));
        self
    }

    /// The contact.
    pub fn contact_id(&self) -> Uuid {
        self.contact_id
    }

    /// The addresses with their channel, EMAIL, PHONE or POST.
    pub fn addresses(&self) -> &[(Channel, String)] {
        &self.addresses
    }
}

impl std::fmt::Debug for Reached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reached").field("contact_id", &self.contact_id).finish_non_exhaustive()
    }
}
