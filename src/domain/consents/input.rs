//! Parses the inputs of mutations about consents. Room: domain/consents.

use super::{Agreement, NewConsent, Renewal, Withdrawal};
use crate::{
    base::{error::Error, identities::Reader},
    domain::contacts::Address,
    engine::Input,
};

impl Agreement {
    fn from_input(input: &Input) -> Result<Self, Error> {
        Ok(Self {
            text_version: input.require_string("textVersion")?,
            language: input.require_string("language")?,
            proof: input.require_string("proof")?,
            declared_at: input.require_time("declaredAt")?,
            source: input.require_string("source")?,
            expires_at: input.time("expiresAt"),
            evidence: input.optional_string("evidence"),
        })
    }
}

impl NewConsent {
    /// The consent that a `RecordConsentInput` describes.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`; the schema has already ruled it out.
    pub fn from_input(input: &Input) -> Result<Self, Error> {
        Ok(Self {
            contact_id: input.require_id("contactId")?,
            purpose: input.require_string("purpose")?,
            channel: input.require_enum("channel")?,
            agreement: Agreement::from_input(input)?,
        })
    }
}

impl Renewal {
    /// The renewal that a `RenewConsentInput` describes.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`; the schema has already ruled it out.
    pub fn from_input(input: &Input) -> Result<Self, Error> {
        Ok(Self { id: input.require_id("consentId")?, agreement: Agreement::from_input(input)? })
    }
}

impl Withdrawal {
    /// The withdrawal that a `WithdrawConsentInput` describes.
    ///
    /// # Errors
    /// As [`Address::from_input`].
    pub fn from_input(input: &Input, reader: &Reader) -> Result<Self, Error> {
        Ok(Self {
            id: input.id("consentId"),
            contact_id: input.id("contactId"),
            address: Address::from_input(input, reader)?,
            purpose: input.optional_string("purpose"),
            channel: input.optional_enum("channel")?,
            at: input.time("declaredAt"),
            source: input.optional_string("source"),
        })
    }
}
