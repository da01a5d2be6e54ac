//! Addresses added to a contact: every such write returns them, so that the suppression list is consulted.
//! Room: domain/contacts.

use entity::{contact, contact_point, enums::Channel};
use uuid::Uuid;

use crate::base::identities::{Identity, Kind, Reader, spellings};

/// An identity of a contact, with the text it was read from.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Reachable {
    identity: Identity,
    source: AddressSource,
}

/// The text that an identity was read from.
#[derive(Clone, PartialEq, Eq, Hash)]
enum AddressSource {
    /// One text.
    Text(String),
    /// Street, postal code, city and country.
    Parts([Option<String>; 4]),
}

impl Reachable {
    /// An identity that was read from `text`.
    pub fn from_text(identity: Identity, text: &str) -> Self {
        Self { identity, source: AddressSource::Text(text.to_owned()) }
    }

    /// The identity of a postal address with these parts: street, postal code, city and country.
    pub fn from_postal_parts(identity: Identity, parts: [Option<String>; 4]) -> Self {
        Self { identity, source: AddressSource::Parts(parts) }
    }

    /// The identity.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The channel that is unique to this kind of identity: EMAIL, PHONE or POST.
    pub fn channel(&self) -> Channel {
        channel_of(self.identity.kind())
    }

    /// The keys of the first reader version, under which it may be on the suppression list.
    pub fn first_reader_keys(&self, names: (Option<&str>, Option<&str>)) -> Vec<String> {
        match &self.source {
            AddressSource::Text(text) => spellings::keys(&self.identity, &[text], names),
            AddressSource::Parts(parts) => spellings::postal_keys(parts.each_ref().map(Option::as_deref)),
        }
    }

    /// The identities that another reader finds in the same text: a national number differs by region.
    pub fn identities_read_by(&self, reader: &Reader) -> Vec<Identity> {
        match (&self.source, self.identity.kind()) {
            (AddressSource::Text(text), Kind::Mailbox) => reader.emails(text).identities,
            (AddressSource::Text(text), _) => reader.numbers(text).identities,
            (AddressSource::Parts(parts), _) => {
                let parts = parts.each_ref().map(Option::as_deref);
                reader.postal(parts, self.identity.name()).into_iter().collect()
            }
        }
    }
}

/// The channel that an identity is reached on: calls and text messages use the same numbers.
pub fn channel_of(kind: Kind) -> Channel {
    match kind {
        Kind::Mailbox => Channel::Email,
        Kind::Number => Channel::Phone,
        Kind::Postal => Channel::Post,
    }
}

/// The channels that lead to an identity.
pub fn channels_to(kind: Kind) -> &'static [Channel] {
    match kind {
        Kind::Mailbox => &[Channel::Email],
        Kind::Number => &[Channel::Phone, Channel::Sms],
        Kind::Postal => &[Channel::Post],
    }
}

/// The kind of identity that is reached on a channel.
pub fn kind_on(channel: Channel) -> Kind {
    match channel {
        Channel::Email => Kind::Mailbox,
        Channel::Phone | Channel::Sms => Kind::Number,
        Channel::Post => Kind::Postal,
    }
}

impl std::fmt::Debug for Reachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reachable({:?})", self.identity.kind())
    }
}

/// The identities by which a contact is reached. The caller must look them up on the suppression list.
#[derive(Clone)]
#[must_use = "an address that comes to a contact must be looked for on the suppression list"]
pub struct NewAddresses {
    contact_id: Uuid,
    names: (Option<String>, Option<String>),
    all: Vec<Reachable>,
}

impl NewAddresses {
    /// The identities of a contact, from its primary addresses and contact points.
    pub fn of_contact(reader: &Reader, contact: &contact::Model, points: &[contact_point::Model]) -> Self {
        let names = (contact.given_name.clone(), contact.family_name.clone());
        let mut addresses = Self { contact_id: contact.id, names, all: Vec::new() };
        let parts = [&contact.street, &contact.postal_code, &contact.city, &contact.country];
        addresses.add_texts(
            reader,
            contact.email.as_deref(),
            contact.phone.as_deref(),
            parts.map(Clone::clone),
        );
        for point in points {
            let parts = [&point.street, &point.postal_code, &point.city, &point.country];
            addresses.add_texts(
                reader,
                point.email.as_deref(),
                point.phone.as_deref(),
                parts.map(Clone::clone),
            );
        }
        addresses
    }

    /// Identities named by a text, of nobody in particular.
    pub fn from_text(all: Vec<Reachable>) -> Self {
        Self { contact_id: Uuid::nil(), names: (None, None), all }
    }

    fn add_texts(
        &mut self,
        reader: &Reader,
        email: Option<&str>,
        phone: Option<&str>,
        parts: [Option<String>; 4],
    ) {
        if let Some(text) = email {
            self.add(reader.emails(text).identities, &AddressSource::Text(text.to_owned()));
        }
        if let Some(text) = phone {
            self.add(reader.numbers(text).identities, &AddressSource::Text(text.to_owned()));
        }
        let family_name = self.names.1.clone();
        let postal = reader.postal(parts.each_ref().map(Option::as_deref), family_name.as_deref());
        self.add(postal, &AddressSource::Parts(parts));
    }

    fn add(&mut self, identities: impl IntoIterator<Item = Identity>, source: &AddressSource) {
        for identity in identities {
            let reachable = Reachable { identity, source: source.clone() };
            // The same mailbox in another spelling may be on the list under the key of that spelling.
            if !self.all.contains(&reachable) {
                self.all.push(reachable);
            }
        }
    }

    /// Those that are not among `others`.
    pub fn except(mut self, others: &Self) -> Self {
        self.all.retain(|reachable| !others.all.iter().any(|other| other.identity == reachable.identity));
        self
    }

    /// Those that are reached on one of `channels`, if given.
    pub fn on_channels(mut self, channels: Option<&[Channel]>) -> Self {
        if let Some(channels) = channels {
            let is_reached = |kind| channels.iter().any(|channel| kind_on(*channel) == kind);
            self.all.retain(|reachable| is_reached(reachable.identity.kind()));
        }
        self
    }

    /// Those that a message on `channel` goes to; all without a channel.
    pub fn on(&self, channel: Option<Channel>) -> impl Iterator<Item = &Reachable> {
        self.all.iter().filter(move |reachable| {
            channel.is_none_or(|channel| kind_on(channel) == reachable.identity.kind())
        })
    }

    /// The contact; the nil id for identities named by a text.
    pub fn contact_id(&self) -> Uuid {
        self.contact_id
    }

    /// The contact whose identities they are, if any.
    pub fn owner(&self) -> Option<Uuid> {
        Some(self.contact_id).filter(|id| !id.is_nil())
    }

    /// Given and family name, as written.
    pub fn names(&self) -> (Option<&str>, Option<&str>) {
        (self.names.0.as_deref(), self.names.1.as_deref())
    }

    /// The identities with the texts they were read from.
    pub fn all(&self) -> &[Reachable] {
        &self.all
    }

    /// Their lock numbers, which prevent concurrent declarations about them.
    pub fn locks(&self) -> impl Iterator<Item = u64> {
        self.all.iter().map(|reachable| reachable.identity.lock())
    }
}

impl std::fmt::Debug for NewAddresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAddresses").field("contact_id", &self.contact_id).finish_non_exhaustive()
    }
}
