//! Parses the inputs of mutations about contacts. Room: domain/contacts.

use super::{Address, NewContactPoint, NewRestriction, Rectification, Source, Values, merge::Merge};
use crate::{
    base::{error::Error, identities::Reader},
    engine::Input,
    registry::{CONTACT, CONTACT_POINT, Field},
};

/// The values of a contact in an input.
pub fn values_from_input(input: &Input) -> Values {
    input.fields_of(&CONTACT).collect()
}

/// The fields of contacts that the list `name` of an input names, each with its path.
fn field_names(input: &Input, name: &str) -> Result<Vec<(&'static Field, String)>, Error> {
    let mut fields = Vec::new();
    for (index, word) in input.strings(name).unwrap_or_default().iter().enumerate() {
        let path = format!("{}.{index}", input.path(name));
        let field = CONTACT.writable_fields().find(|(field, _)| field.enum_name() == *word);
        let (field, _) =
            field.ok_or_else(|| Error::bad_input("there is no such field").with_input_path(&path))?;
        fields.push((field, path));
    }
    Ok(fields)
}

impl Source {
    /// The source that a `SourceInput` describes.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`; the schema has already ruled it out.
    pub fn from_input(input: &Input) -> Result<Self, Error> {
        Ok(Self {
            name: input.require_string("name")?,
            collected_at: input.time("collectedAt"),
            informed_at: input.time("informedAt"),
            notice_version: input.optional_string("noticeVersion"),
        })
    }
}

impl Rectification {
    /// The change that an `UpdateContactInput` describes.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` where nothing is to be changed, and where a field is both set and emptied.
    pub fn from_input(input: &Input) -> Result<Self, Error> {
        let mut values: Vec<_> =
            input.fields_of(&CONTACT).map(|(field, value)| (field, Some(value))).collect();
        for (field, path) in field_names(input, "clear")? {
            if values.iter().any(|(set, _)| set.name == field.name) {
                let message = format!("`{}` is both set and cleared", field.name);
                return Err(Error::bad_input(message).with_input_path(path));
            }
            values.push((field, None));
        }
        if values.is_empty() {
            return Err(Error::bad_input("there is nothing to change").with_input_path("input"));
        }
        Ok(Self {
            id: input.require_id("contactId")?,
            expected_version: input.int("expectedVersion"),
            values,
            source: input.nested("source").map(Source::from_input).transpose()?,
        })
    }
}

impl Merge {
    /// The merge that a `MergeContactsInput` describes.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a contact that is its own duplicate, and for an unknown field.
    pub fn from_input(input: &Input) -> Result<Self, Error> {
        let merge = Self {
            id: input.require_id("contactId")?,
            duplicate_id: input.require_id("duplicateId")?,
            expected_version: input.int("expectedVersion"),
            take: field_names(input, "take")?.into_iter().map(|(field, _)| field).collect(),
        };
        if merge.id == merge.duplicate_id {
            return Err(input.invalid("duplicateId", "a contact cannot be its own duplicate"));
        }
        Ok(merge)
    }
}

impl NewContactPoint {
    /// The contact point that an `AddContactPointInput` describes.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`; the schema has already ruled it out.
    pub fn from_input(input: &Input) -> Result<Self, Error> {
        Ok(Self {
            contact_id: input.require_id("contactId")?,
            kind: input.require_enum("kind")?,
            values: input.fields_of(&CONTACT_POINT).map(|(field, value)| (field.name, value)).collect(),
        })
    }
}

impl NewRestriction {
    /// The restriction that a `RestrictContactInput` describes.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`; the schema has already ruled it out.
    pub fn from_input(input: &Input) -> Result<Self, Error> {
        Ok(Self {
            id: input.require_id("contactId")?,
            limb: input.require_enum("limb")?,
            reason: input.require_string("reason")?,
            planned_until: input.time("plannedUntil"),
        })
    }
}

impl Address {
    /// The address that an input names contacts by instead of an id: its `email` or its `phone`.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` where both are given, or the one given cannot be read.
    pub fn from_input(input: &Input, reader: &Reader) -> Result<Option<Self>, Error> {
        match (input.text("email"), input.text("phone")) {
            (Some(_), Some(_)) => Err(input.invalid("phone", "give `email` or `phone`")),
            (Some(email), None) => Self::email(reader, email).map(Some),
            (None, Some(phone)) => Self::phone(reader, phone).map(Some),
            (None, None) => Ok(None),
        }
    }
}
