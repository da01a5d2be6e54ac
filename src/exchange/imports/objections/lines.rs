//! Lines of a file of addresses that must not be advertised to: whose, on which channels, since when.
//! Room: exchange/imports/objections.

use std::io::Read;

use chrono::{DateTime, Utc};
use entity::enums::Channel;

use super::{
    columns::{Columns, preset_channel},
    objection_import::{Listing, ObjectionImport},
    presets::RowCondition,
};
use crate::base::identities::Reader;
use crate::domain::contacts::Reachable;
use crate::{
    exchange::imports::{
        Problem, Reason,
        address_cells::{AddressCell, read_mailboxes, read_numbers},
        contact_lookup::PersonRef,
        csv_table::Table,
        times::latest,
        words::{self, Word, opts_out},
    },
    registry::Validator,
};

/// A line that is one of those that the file is read for.
pub(super) struct Line {
    pub persons: Vec<PersonRef>,
    /// The channels; empty for all.
    pub channels: Vec<Option<Channel>>,
    pub at: Option<DateTime<Utc>>,
    pub source: Option<String>,
}

/// A parsed line.
pub(super) enum ParsedLine {
    Objection(Line),
    /// Something else.
    Skipped,
    /// It says it and names nobody.
    NoAddress,
}

/// A line while it is parsed.
struct LineDraft<'a, R> {
    table: &'a Table<R>,
    columns: &'a Columns,
    kind: Listing,
    reader: Reader,
    line: u64,
    problems: Vec<Problem>,
}

/// Parses the line, and returns its problems.
pub(super) fn read<R: Read>(
    table: &Table<R>,
    columns: &Columns,
    import: &ObjectionImport,
    (now, reader): (DateTime<Utc>, Reader),
    line: u64,
) -> (ParsedLine, Vec<Problem>) {
    let mut draft = LineDraft { table, columns, kind: import.kind, reader, line, problems: Vec::new() };
    let parsed = draft.read(import, now);
    (parsed, draft.problems)
}

impl<R: Read> LineDraft<'_, R> {
    fn invalid_value(&mut self, header_name: &str, reason: Reason) {
        self.problems.push(Problem::new(self.line, Some(header_name.to_owned()), reason));
    }

    /// Adds a problem that loses an objection, unless the file contains none.
    fn not_taken(&mut self, header_name: &str, reason: Reason) {
        let problem = Problem::new(self.line, Some(header_name.to_owned()), reason);
        let is_objection = self.kind != Listing::Undeliverable;
        self.problems.push(if is_objection { problem.not_taken() } else { problem });
    }

    /// Reports an objection in a file of undeliverable addresses.
    fn report_objection(&mut self, header_name: Option<String>) {
        self.problems.push(Problem::new(self.line, header_name, Reason::SaysNo).not_taken());
    }

    /// The first cell of a field that is filled, with its head.
    fn cell(&mut self, field: &str) -> Option<(String, String)> {
        let columns = self.columns;
        for (index, header_name) in columns.columns(field) {
            match self.text(index) {
                Ok(Some(text)) => return Some((header_name.to_owned(), text)),
                Ok(None) => {}
                Err(reason) => self.invalid_value(header_name, reason),
            }
        }
        None
    }

    fn text(&self, index: usize) -> Result<Option<String>, Reason> {
        let text = self.table.text(index)?;
        Ok(Validator::Line.validate(&text, chrono::NaiveDate::MAX)?)
    }

    fn read(&mut self, import: &ObjectionImport, now: DateTime<Utc>) -> ParsedLine {
        let says_other = self.says_other();
        if says_other && self.kind == Listing::Undeliverable {
            self.report_objection(None);
        }
        let Some(mut channels) = self.channels() else {
            if says_other && self.kind != Listing::Undeliverable {
                self.problems.push(Problem::new(self.line, None, Reason::Undeliverable));
            }
            return ParsedLine::Skipped;
        };
        if let Some((header_name, word)) = self.cell("status")
            && let Some(other) = self.other_status(header_name, words::status(&word))
        {
            return other;
        }
        if let Some((header_name, word)) = self.cell("channel") {
            match words::channel(&word) {
                Some(channel) => channels = vec![Some(channel)],
                None => {
                    // An unreadable channel means all.
                    self.invalid_value(&header_name, Reason::InvalidChannel);
                    channels = vec![None];
                }
            }
        } else if channels.is_empty() {
            channels = vec![import.channel.or_else(|| preset_channel(import.preset.as_deref()))];
        }
        let persons = self.all_persons();
        let at = self.cell("at").and_then(|(header_name, text)| {
            let at = latest(&text);
            if at.is_none() {
                self.invalid_value(&header_name, Reason::InvalidTime);
            }
            at.map(|at| at.min(now))
        });
        let source = self.cell("source").map(|(_, text)| text).or_else(|| import.source.clone());
        if persons.is_empty() {
            if !self.is_reported() {
                self.not_taken("email", Reason::MissingValue);
            }
            return ParsedLine::NoAddress;
        }
        ParsedLine::Objection(Line { persons, channels, at, source })
    }

    /// Whether a problem is reported that explains why the line names nobody.
    fn is_reported(&self) -> bool {
        let of_address =
            |reason| matches!(reason, Reason::InvalidEmail | Reason::InvalidPhone | Reason::InvalidAddress);
        self.problems.iter().any(|problem| problem.no_not_taken || of_address(problem.reason))
    }

    /// The result for a line whose status is of another kind than the file.
    fn other_status(&mut self, header_name: String, word: Word) -> Option<ParsedLine> {
        match (self.kind, word) {
            (Listing::Undeliverable, Word::Undeliverable)
            | (Listing::Objection | Listing::ExternalList, Word::No { .. }) => None,
            (Listing::Undeliverable, Word::No { .. }) => {
                self.report_objection(Some(header_name));
                Some(ParsedLine::Skipped)
            }
            // Nobody said anything: what is not surely so is not so.
            (Listing::Undeliverable, Word::Yes) => Some(ParsedLine::Skipped),
            (Listing::Undeliverable, Word::Unknown) => {
                self.invalid_value(&header_name, Reason::UnknownStatus);
                Some(ParsedLine::Skipped)
            }
            (_, Word::Yes) => {
                // A consent in a file of objections: one of both is wrong.
                self.not_taken(&header_name, Reason::UnexpectedValue);
                Some(ParsedLine::NoAddress)
            }
            (_, Word::Undeliverable) => {
                self.invalid_value(&header_name, Reason::Undeliverable);
                Some(ParsedLine::Skipped)
            }
            (_, Word::Unknown) => {
                self.invalid_value(&header_name, Reason::UnknownStatus);
                None
            }
        }
    }

    /// On what the columns say that the row is meant: nothing in particular where none asks; `None` where it is not
    /// meant.
    fn channels(&mut self) -> Option<Vec<Option<Channel>>> {
        if self.columns.conditions.is_empty() {
            return Some(Vec::new());
        }
        let mut is_meant = false;
        let mut channels = Vec::new();
        for (index, condition) in &self.columns.conditions {
            is_meant |= self.says(*index, *condition);
            if *condition == RowCondition::Channels && self.says(*index, *condition) {
                // Words for channels, or one for all of them.
                let cell = self.table.text(*index).unwrap_or_default();
                let words =
                    cell.split([',', ';', '|']).map(|word| word.trim_matches(['[', ']', '"', '\'', ' ']));
                channels.extend(words.filter(|word| !word.is_empty()).map(words::channel));
            }
        }
        is_meant.then_some(channels)
    }

    /// Whether the cell meets the condition of its column. An unreadable cell may be an objection.
    fn says(&self, index: usize, condition: RowCondition) -> bool {
        let (cell, filled) = (self.table.text(index), self.table.is_filled(index));
        match condition {
            RowCondition::There => true,
            RowCondition::Says | RowCondition::Channels => {
                filled && cell.map_or(true, |cell| opts_out(&cell))
            }
            RowCondition::True => cell.is_ok_and(|cell| cell.eq_ignore_ascii_case("true")),
        }
    }

    /// Whether the row says what the file is not read for.
    fn says_other(&self) -> bool {
        self.columns.others.iter().any(|(index, condition)| self.says(*index, *condition))
    }

    /// All that the row names.
    fn all_persons(&mut self) -> Vec<PersonRef> {
        let columns = self.columns;
        let mut persons = Vec::new();
        for (field, read, reason) in [
            ("email", read_mailboxes as fn(&Reader, &str) -> AddressCell, Reason::InvalidEmail),
            ("phone", read_numbers, Reason::InvalidPhone),
        ] {
            for (index, header_name) in columns.columns(field) {
                match self.text(index) {
                    Ok(None) => {}
                    Ok(Some(text)) => {
                        let cell = read(&self.reader, &text);
                        // An asterisk stands for whole domains, which are not persons.
                        if cell.unread || text.contains('*') {
                            self.not_taken(header_name, reason);
                        }
                        let is_address = |reachable: &Reachable| !reachable.identity().key().contains('*');
                        persons.extend(cell.all.into_iter().filter(is_address).map(PersonRef::Address));
                    }
                    Err(reason) => self.not_taken(header_name, reason),
                }
            }
        }
        persons.extend(self.postal().map(PersonRef::Address));
        persons
    }

    /// The postal address that the row names: a household, or of one that is named those who are called so.
    fn postal(&mut self) -> Option<Reachable> {
        let mut parts: [Option<String>; 4] = [None, None, None, None];
        for (part, field) in parts.iter_mut().zip(["street", "postalCode", "city", "country"]) {
            *part = self.cell(field).map(|(_, text)| text);
        }
        let name = self.cell("familyName").map(|(_, text)| text);
        let [street, code, city, _] = &parts;
        match (street, code.is_some() || city.is_some()) {
            (None, _) => None,
            (Some(_), false) => {
                self.not_taken("street", Reason::InvalidAddress);
                None
            }
            (Some(_), true) => {
                let identity = self.reader.postal(parts.each_ref().map(Option::as_deref), name.as_deref())?;
                Some(Reachable::from_postal_parts(identity, parts))
            }
        }
    }
}
