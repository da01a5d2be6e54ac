//! What a source says of contacts, and how far it may change them. Room: domain/contacts/source_updates.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    auth::actor::Actor,
    base::identities::Reader,
    crypto::master_keys::MasterKeys,
    domain::contacts::{NewContactPoint, Values},
};

/// The action of entries about such an update.
pub const ACTION: &str = "importUpdate";

/// How far an update goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateMode {
    /// Only fields without a value get one.
    Fill,
    /// Values that differ are replaced too.
    Overwrite,
}

/// What a source says of a contact. An absent value says nothing.
#[derive(Clone, Debug)]
pub struct SourceRecord {
    /// The contact.
    pub contact_id: Uuid,
    /// The version that the record is based on, if it states one.
    pub expected_version: Option<i32>,
    /// Values of fields.
    pub values: Values,
    /// Further contact points.
    pub points: Vec<NewContactPoint>,
}

/// A source, and what was said to its persons.
#[derive(Clone, Debug)]
pub struct UpdateSource {
    /// Its name.
    pub name: String,
    /// The import.
    pub import_id: Uuid,
    /// When the persons were informed (Art. 14(3)).
    pub informed_at: Option<DateTime<Utc>>,
    /// Version of the privacy notice they were given.
    pub notice_version: Option<String>,
}

/// What is needed to read contacts: a connection, the keys of the audit log, the reader of addresses, for whom and
/// when.
pub struct View<'a, C> {
    /// The connection.
    pub connection: &'a C,
    /// Keys that open values in the audit log.
    pub keys: &'a MasterKeys,
    /// Reads addresses into identities.
    pub reader: &'a Reader,
    /// The caller, under the purpose of the import.
    pub actor: &'a Actor,
    /// The instant.
    pub now: DateTime<Utc>,
}
