//! By what a line names a person. Room: exchange/imports/consents/lines.

use std::io::Read;

use entity::enums::Channel;
use uuid::Uuid;

use super::Draft;
use crate::{
    base::identities::{Kind, Reader},
    domain::contacts::{Reachable, kind_on},
    exchange::imports::{
        Reason,
        known::Who,
        reader::{Cell, read_mailboxes, read_numbers},
    },
};

impl<R: Read> Draft<'_, R> {
    /// The one person that a yes names, and by what else it names that person.
    pub(super) fn one(&mut self) -> Vec<Who> {
        let (id, external) = (self.cell("contactId"), self.cell("externalId"));
        let mut who = Vec::new();
        if let Some(id) = &id {
            match Uuid::parse_str(id) {
                Ok(id) => who.push(Who::Id(id)),
                Err(_) => self.fault("contactId", Reason::InvalidId),
            }
        }
        who.extend(external.map(Who::External));
        if !who.is_empty() || id.is_some() {
            return who;
        }
        let named = match (self.cell("email"), self.cell("phone")) {
            (Some(email), _) => self.sole("email", read_mailboxes(&self.rules.reader, &email)),
            (None, Some(phone)) => self.sole("phone", read_numbers(&self.rules.reader, &phone)),
            (None, None) => {
                if self.problems.is_empty() {
                    self.fault("contactId", Reason::MissingValue);
                }
                None
            }
        };
        named.map(Who::Address).into_iter().collect()
    }

    /// The addresses that a yes tells of the person, of the kind that its channel leads to: it was given for these.
    pub(super) fn told_on(&mut self, channel: Channel) -> Vec<Reachable> {
        let (field, read) = match kind_on(channel) {
            Kind::Mailbox => ("email", read_mailboxes as fn(&Reader, &str) -> Cell),
            Kind::Number => ("phone", read_numbers as fn(&Reader, &str) -> Cell),
            Kind::Postal => return Vec::new(),
        };
        let before = self.problems.len();
        let Some(cell) = self.cell(field).map(|text| read(&self.rules.reader, &text)) else {
            return Vec::new();
        };
        if cell.unread && !self.problems.iter().any(|problem| problem.reason == unreadable(field)) {
            self.problems.truncate(before);
            self.fault(field, unreadable(field));
        }
        cell.all
    }

    /// The one address of a cell: of a yes it must be clear who gave it.
    pub(super) fn sole(&mut self, field: &str, cell: Cell) -> Option<Reachable> {
        match (cell.unread, cell.all.len()) {
            (false, 1) => cell.all.into_iter().next(),
            _ => {
                self.fault(field, unreadable(field));
                None
            }
        }
    }

    /// All that a line tells of the person.
    pub(super) fn everyone(&mut self) -> Vec<Who> {
        let mut who = Vec::new();
        if let Some(id) = self.cell("contactId") {
            match Uuid::parse_str(&id) {
                Ok(id) => who.push(Who::Id(id)),
                Err(_) => self.fault("contactId", Reason::InvalidId),
            }
        }
        who.extend(self.cell("externalId").map(Who::External));
        for (field, read) in [("email", read_mailboxes as fn(&Reader, &str) -> Cell), ("phone", read_numbers)]
        {
            let Some(cell) = self.cell(field).map(|text| read(&self.rules.reader, &text)) else { continue };
            if cell.unread {
                self.fault(field, unreadable(field));
            }
            who.extend(cell.all.into_iter().map(Who::Address));
        }
        who
    }
}

fn unreadable(field: &str) -> Reason {
    if field == "phone" { Reason::InvalidPhone } else { Reason::InvalidEmail }
}
