//! The references by which a line names persons. Room: exchange/imports/consents/lines.

use std::io::Read;

use entity::enums::Channel;
use uuid::Uuid;

use super::LineDraft;
use crate::{
    base::identities::{Kind, Reader},
    domain::contacts::{Reachable, kind_on},
    exchange::imports::{
        Reason,
        address_cells::{AddressCell, read_mailboxes, read_numbers},
        contact_lookup::PersonRef,
    },
};

impl<R: Read> LineDraft<'_, R> {
    /// The references to the one person that a consent names.
    pub(super) fn sole_person(&mut self) -> Vec<PersonRef> {
        let (id, external) = (self.cell("contactId"), self.cell("externalId"));
        let mut persons = Vec::new();
        if let Some(id) = &id {
            match Uuid::parse_str(id) {
                Ok(id) => persons.push(PersonRef::Id(id)),
                Err(_) => self.invalid_value("contactId", Reason::InvalidId),
            }
        }
        persons.extend(external.map(PersonRef::External));
        if !persons.is_empty() || id.is_some() {
            return persons;
        }
        let address = match (self.cell("email"), self.cell("phone")) {
            (Some(email), _) => self.sole_address("email", read_mailboxes(&self.rules.reader, &email)),
            (None, Some(phone)) => self.sole_address("phone", read_numbers(&self.rules.reader, &phone)),
            (None, None) => {
                if self.problems.is_empty() {
                    self.invalid_value("contactId", Reason::MissingValue);
                }
                None
            }
        };
        address.map(PersonRef::Address).into_iter().collect()
    }

    /// The addresses in a consent line that its channel uses: the consent was given for these.
    pub(super) fn addresses_on_channel(&mut self, channel: Channel) -> Vec<Reachable> {
        let (field, read) = match kind_on(channel) {
            Kind::Mailbox => ("email", read_mailboxes as fn(&Reader, &str) -> AddressCell),
            Kind::Number => ("phone", read_numbers as fn(&Reader, &str) -> AddressCell),
            Kind::Postal => return Vec::new(),
        };
        let before = self.problems.len();
        let Some(cell) = self.cell(field).map(|text| read(&self.rules.reader, &text)) else {
            return Vec::new();
        };
        if cell.unread && !self.problems.iter().any(|problem| problem.reason == unreadable(field)) {
            self.problems.truncate(before);
            self.invalid_value(field, unreadable(field));
        }
        cell.all
    }

    /// The only address of a cell: it must be clear who gave a consent.
    pub(super) fn sole_address(&mut self, field: &str, cell: AddressCell) -> Option<Reachable> {
        match (cell.unread, cell.all.len()) {
            (false, 1) => cell.all.into_iter().next(),
            _ => {
                self.invalid_value(field, unreadable(field));
                None
            }
        }
    }

    /// All references to the person in a line.
    pub(super) fn all_persons(&mut self) -> Vec<PersonRef> {
        let mut persons = Vec::new();
        if let Some(id) = self.cell("contactId") {
            match Uuid::parse_str(&id) {
                Ok(id) => persons.push(PersonRef::Id(id)),
                Err(_) => self.invalid_value("contactId", Reason::InvalidId),
            }
        }
        persons.extend(self.cell("externalId").map(PersonRef::External));
        for (field, read) in
            [("email", read_mailboxes as fn(&Reader, &str) -> AddressCell), ("phone", read_numbers)]
        {
            let Some(cell) = self.cell(field).map(|text| read(&self.rules.reader, &text)) else { continue };
            if cell.unread {
                self.invalid_value(field, unreadable(field));
            }
            persons.extend(cell.all.into_iter().map(PersonRef::Address));
        }
        persons
    }
}

fn unreadable(field: &str) -> Reason {
    if field == "phone" { Reason::InvalidPhone } else { Reason::InvalidEmail }
}
