//! Persons of whom a file may say no in a way that cannot be read: no yes of theirs is taken. Room: exchange/imports/consents.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::exchange::imports::contact_lookup::{ContactMatches, PersonRef};

/// A line that says no, or may say it, and is not taken: whom it names, and to which purposes; to any where that is not read.
pub(super) struct UnclearLine {
    pub persons: Vec<PersonRef>,
    pub purposes: Option<Vec<String>>,
}

/// Whose consents are held back, and to which purposes.
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
    /// Holds back what those whom a line names say.
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
