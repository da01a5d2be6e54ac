//! Addresses by which a caller names contacts instead of an id. Room: domain/contacts.

use super::{NewAddresses, Reachable};
use crate::base::{
    error::Error,
    identities::{Reader, Reading},
};

/// An address or number as typed: one mailbox or number, or several.
#[derive(Clone)]
pub struct Address {
    name: &'static str,
    addresses: NewAddresses,
}

impl Address {
    /// The mailboxes that `text` names.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` if it is no e-mail address, or one of several cannot be read.
    pub fn email(reader: &Reader, text: &str) -> Result<Self, Error> {
        Self::from_reading("email", "is not an e-mail address", text, reader.emails(text))
    }

    /// The numbers that `text` names.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` if it is no phone number, or one of several cannot be read.
    pub fn phone(reader: &Reader, text: &str) -> Result<Self, Error> {
        Self::from_reading("phone", "is not a phone number", text, reader.numbers(text))
    }

    fn from_reading(name: &'static str, problem: &str, text: &str, reading: Reading) -> Result<Self, Error> {
        // A partly readable text is rejected: the readable part would be taken for the whole.
        if reading.unread || reading.identities.is_empty() {
            return Err(
                Error::bad_input(format!("`{name}` {problem}")).with_input_path(format!("input.{name}"))
            );
        }
        let all = reading.identities.into_iter().map(|identity| Reachable::from_text(identity, text));
        Ok(Self { name, addresses: NewAddresses::from_text(all.collect()) })
    }

    /// The name of its field and input.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The identities.
    pub fn addresses(&self) -> &NewAddresses {
        &self.addresses
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({}: ***)", self.name)
    }
}
