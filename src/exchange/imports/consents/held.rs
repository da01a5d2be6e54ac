//! Persons of whom a file may say no in a way that cannot be read: no yes of theirs is taken. Room: exchange/imports/consents.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use crate::exchange::imports::known::{Known, Who};

/// A line that says no, or may say it, and is not taken: whom it names, and to which purposes; to any where that is not read.
pub(super) struct Unclear {
    pub who: Vec<Who>,
    pub purposes: Option<Vec<String>>,
}

/// Whose consents are held back, and to which purposes.
#[derive(Default)]
pub(super) struct Held {
    contacts: HashMap<Uuid, Purposes>,
}

#[derive(Default)]
struct Purposes {
    all: bool,
    some: HashSet<String>,
}

impl Held {
    /// Holds back what those whom a line names say.
    pub fn add(&mut self, known: &Known, unclear: &Unclear) {
        let contacts = unclear.who.iter().filter_map(|who| known.get(who)).flatten();
        for contact in contacts {
            let held = self.contacts.entry(*contact).or_default();
            match &unclear.purposes {
                None => held.all = true,
                Some(purposes) => held.some.extend(purposes.iter().cloned()),
            }
        }
    }

    /// Whether a consent of the contact to the purpose is held back.
    pub fn has(&self, contact: Uuid, purpose: &str) -> bool {
        self.contacts.get(&contact).is_some_and(|held| held.all || held.some.contains(purpose))
    }
}
