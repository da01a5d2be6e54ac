//! Contacts of which a consent may have begun or ended by what was written. Room: audit.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use sea_orm::{EntityTrait, IdenStatic, Iterable, ModelTrait, Value};
use uuid::Uuid;

/// Contacts of which a consent may have begun or ended.
#[derive(Default)]
pub(super) struct AffectedContacts(Mutex<AffectedScope>);

/// Where that is to be looked for.
#[derive(Default)]
pub(super) struct AffectedScope {
    pub(super) contacts: BTreeSet<Uuid>,
    /// Purposes of the consents that were written.
    pub(super) purposes: BTreeSet<String>,
    /// Whether consents to any purpose may have begun or ended: an address or a state is another one, or an objection.
    pub(super) all_purposes: bool,
}

impl AffectedScope {
    /// Any consent of `contacts`.
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

    /// Notes the contact that `row` is about, if consents hang on such rows.
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
            // A consent begins or ends for its own purpose; nothing of the others hangs on it.
            Some(Value::String(Some(code))) if table.table_name() == "consent" => {
                scope.purposes.insert(code);
            }
            _ => scope.all_purposes = true,
        }
    }

    /// The same of a row that was not there before. A new contact has no consents yet; what comes in with it notes itself.
    pub(super) fn add_new_row<E: EntityTrait>(&self, row: &E::Model) {
        if E::default().table_name() != "contact" {
            self.add_row::<E>(row);
        }
    }

    /// Notes a place as a whole.
    pub(super) fn add(&self, other: AffectedScope) {
        let mut scope = self.scope();
        scope.contacts.extend(other.contacts);
        scope.purposes.extend(other.purposes);
        scope.all_purposes |= other.all_purposes;
    }

    pub(super) fn take(&self) -> AffectedScope {
        std::mem::take(&mut *self.scope())
    }
}
