//! Contacts whose consents may have begun or ended through the writes of a transaction. Room: audit.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use sea_orm::{EntityTrait, IdenStatic, Iterable, ModelTrait, Value};
use uuid::Uuid;

/// Contacts whose consents may have begun or ended.
#[derive(Default)]
pub(super) struct AffectedContacts(Mutex<AffectedScope>);

/// The contacts and purposes to compare.
#[derive(Default)]
pub(super) struct AffectedScope {
    pub(super) contacts: BTreeSet<Uuid>,
    /// Purposes of the written consents.
    pub(super) purposes: BTreeSet<String>,
    /// Whether consents to any purpose are affected: by an address, a state or an objection.
    pub(super) all_purposes: bool,
}

impl AffectedScope {
    /// All consents of `contacts`.
    pub(super) fn of_contacts(contacts: &[Uuid]) -> Self {
        Self { contacts: contacts.iter().copied().collect(), purposes: BTreeSet::new(), all_purposes: true }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.contacts.is_empty()
    }
}

impl AffectedContacts {
    pub(super) fn scope(&self) -> std::sync::MutexGuard<'_, AffectedScope> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the contact of `row`, if consents depend on rows of this type.
    pub(super) fn add_row<E: EntityTrait>(&self, row: &E::Model) {
        let table = E::default();
        let column = match table.table_name() {
            "contact" => "id",
            "consent" | "objection" => "contact_id",
            _ => return,
        };
        let get = |name: &str| {
            E::Column::iter().find(|column| column.as_str() == name).map(|column| row.get(column))
        };
        let Some(Value::Uuid(Some(id))) = get(column) else { return };
        let mut scope = self.scope();
        scope.contacts.insert(id);
        match get("purpose_code") {
            // A consent affects only its own purpose.
            Some(Value::String(Some(code))) if table.table_name() == "consent" => {
                scope.purposes.insert(code);
            }
            _ => scope.all_purposes = true,
        }
    }

    /// Adds the contact of a new row. A new contact has no consents yet; rows added with it mark themselves.
    pub(super) fn add_new_row<E: EntityTrait>(&self, row: &E::Model) {
        if E::default().table_name() != "contact" {
            self.add_row::<E>(row);
        }
    }

    /// Adds another scope.
    pub(super) fn add(&self, added: AffectedScope) {
        let mut scope = self.scope();
        scope.contacts.extend(added.contacts);
        scope.purposes.extend(added.purposes);
        scope.all_purposes |= added.all_purposes;
    }

    pub(super) fn take(&self) -> AffectedScope {
        std::mem::take(&mut *self.scope())
    }
}
