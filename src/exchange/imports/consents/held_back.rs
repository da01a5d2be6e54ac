//! Persons with a possible opt-out that cannot be read: their consents are held back. Room: exchange/imports/consents.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::exchange::imports::contact_lookup::{ContactMatches, PersonRef};

/// A line that is or may be an opt-out but was not recorded: the persons it names and the purposes; `None` for any
/// purpose.
pub(super) struct UnclearLine {
    pub persons: Vec<PersonRef>,
    pub purposes: Option<Vec<String>>,
}

/// The persons and purposes for which consents are held back.
#[derive(Default)]
pub(super) struct HeldBack {
    contacts: HashMap<Uuid, Purposes>,
}

#[derive(Default)]
struct Purposes {
    all: bool,
    some: HashSet<String>,
}

impl HeldBack {
    /// Holds back the consents of the persons that a line names.
    pub fn add(&mut self, matches: &ContactMatches, line: &UnclearLine) {
        let contacts = line.persons.iter().filter_map(|person| matches.get(person)).flatten();
        for contact in contacts {
            let entry = self.contacts.entry(*contact).or_default();
            match &line.purposes {
                None => entry.all = true,
                Some(purposes) => entry.some.extend(purposes.iter().cloned()),
            }
        }
    }

    /// Whether a consent of the contact to the purpose is held back.
    pub fn has(&self, contact: Uuid, purpose: &str) -> bool {
        self.contacts.get(&contact).is_some_and(|entry| entry.all || entry.some.contains(purpose))
    }
}
