//! Contacts of which a consent may have begun or ended by what was written. Room: audit.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use sea_orm::{EntityTrait, IdenStatic, Iterable, ModelTrait, Value};
use uuid::Uuid;

/// Contacts of which a consent may have begun or ended.
#[derive(Default)]
pub(super) struct AffectedContacts(Mutex<Place>);

/// Where that is to be looked for.
#[derive(Default)]
pub(super) struct Place {
    pub(super) contacts: BTreeSet<Uuid>,
    /// Purposes of the consents that were written.
    pub(super) purposes: BTreeSet<String>,
    /// Whether consents to any purpose may have begun or ended: an address or a state is another one, or an objection.
    pub(super) any: bool,
}

impl Place {
    /// Any consent of `contacts`.
    pub(super) fn of(contacts: &[Uuid]) -> Self {
        Self { contacts: contacts.iter().copied().collect(), purposes: BTreeSet::new(), any: true }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.contacts.is_empty()
    }
}

impl AffectedContacts {
    pub(super) fn place(&self) -> std::sync::MutexGuard<'_, Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the contact that `row` is about, if consents hang on such rows.
    pub(super) fn by<E: EntityTrait>(&self, row: &E::Model) {
        let table = E::default();
        let column = match table.table_name() {
            "contact" => "id",
            "consent" | "objection" => "contact_id",
            _ => return,
        };
        let get =
            |name: &str| E::Column::iter().find(|known| known.as_str() == name).map(|column| row.get(column));
        let Some(Value::Uuid(Some(id))) = get(column) else { return };
        let mut place = self.place();
        place.contacts.insert(id);
        match get("purpose_code") {
            // A consent begins or ends for its own purpose; nothing of the others hangs on it.
            Some(Value::String(Some(code))) if table.table_name() == "consent" => {
                place.purposes.insert(code);
            }
            _ => place.any = true,
        }
    }

    /// The same of a row that was not there before. A new contact has no consents yet; what comes in with it notes itself.
    pub(super) fn by_new<E: EntityTrait>(&self, row: &E::Model) {
        if E::default().table_name() != "contact" {
            self.by::<E>(row);
        }
    }

    /// Notes a place as a whole.
    pub(super) fn at(&self, other: Place) {
        let mut place = self.place();
        place.contacts.extend(other.contacts);
        place.purposes.extend(other.purposes);
        place.any |= other.any;
    }

    pub(super) fn take(&self) -> Place {
        std::mem::take(&mut *self.place())
    }
}
