//! Lines of a file of addresses that must not be advertised to: whose, on which channels, since when. Room: exchange/imports/objections.

use std::io::Read;

use chrono::{DateTime, Utc};
use entity::enums::Channel;

use super::{
    columns::{Columns, channel_of},
    presets::Gate,
    wanted::{Listing, ObjectionImport},
};
use crate::base::identities::Reader;
use crate::domain::contacts::Reachable;
use crate::{
    exchange::imports::{
        Problem, Reason,
        csv_table::Table,
        known::Who,
        reader::{Cell, read_mailboxes, read_numbers},
        times::latest,
        words::{self, Word, opts_out},
    },
    registry::Validator,
};

/// A line that is one of those that the file is read for.
pub(super) struct Line {
    pub who: Vec<Who>,
    /// On these channels; none of them stands for all.
    pub channels: Vec<Option<Channel>>,
    pub at: Option<DateTime<Utc>>,
    pub source: Option<String>,
}

/// What a line says.
pub(super) enum Told {
    Says(Line),
    /// Something else.
    Passed,
    /// It says it and names nobody.
    Lost,
}

/// A line in the making.
struct Draft<'a, R> {
    table: &'a Table<R>,
    columns: &'a Columns,
    kind: Listing,
    reader: Reader,
    line: u64,
    problems: Vec<Problem>,
}

/// What the line says, and what is wrong with it.
pub(super) fn read<R: Read>(
    table: &Table<R>,
    columns: &Columns,
    import: &ObjectionImport,
    (now, reader): (DateTime<Utc>, Reader),
    line: u64,
) -> (Told, Vec<Problem>) {
    let mut draft = Draft { table, columns, kind: import.kind, reader, line, problems: Vec::new() };
    let told = draft.read(import, now);
    (told, draft.problems)
}

impl<R: Read> Draft<'_, R> {
    fn fault(&mut self, head: &str, reason: Reason) {
        self.problems.push(Problem::of(self.line, Some(head.to_owned()), reason));
    }

    /// Something is wrong by which a no is lost, unless nobody said one.
    fn lost(&mut self, head: &str, reason: Reason) {
        let problem = Problem::of(self.line, Some(head.to_owned()), reason);
        let no = self.kind != Listing::Undeliverable;
        self.problems.push(if no { problem.not_taken() } else { problem });
    }

    /// A no in a file that is read for what is none.
    fn objects(&mut self, head: Option<String>) {
        self.problems.push(Problem::of(self.line, head, Reason::SaysNo).not_taken());
    }

    /// The first cell of a field that is filled, with its head.
    fn cell(&mut self, field: &str) -> Option<(String, String)> {
        let columns = self.columns;
        for (index, head) in columns.columns(field) {
            match self.text(index) {
                Ok(Some(text)) => return Some((head.to_owned(), text)),
                Ok(None) => {}
                Err(reason) => self.fault(head, reason),
            }
        }
        None
    }

    fn text(&self, index: usize) -> Result<Option<String>, Reason> {
        let text = self.table.text(index)?;
        Ok(Validator::Line.check(&text, chrono::NaiveDate::MAX)?)
    }

    fn read(&mut self, import: &ObjectionImport, now: DateTime<Utc>) -> Told {
        let others = self.says_other();
        if others && self.kind == Listing::Undeliverable {
            self.objects(None);
        }
        let Some(mut channels) = self.channels() else {
            if others && self.kind != Listing::Undeliverable {
                self.problems.push(Problem::of(self.line, None, Reason::Undeliverable));
            }
            return Told::Passed;
        };
        if let Some((head, word)) = self.cell("status")
            && let Some(other) = self.other_status(head, words::status(&word))
        {
            return other;
        }
        if let Some((head, word)) = self.cell("channel") {
            match words::channel(&word) {
                Some(channel) => channels = vec![Some(channel)],
                None => {
                    // What cannot be read means all.
                    self.fault(&head, Reason::InvalidChannel);
                    channels = vec![None];
                }
            }
        } else if channels.is_empty() {
            channels = vec![import.channel.or_else(|| channel_of(import.preset.as_deref()))];
        }
        let who = self.everyone();
        let at = self.cell("at").and_then(|(head, text)| {
            let at = latest(&text);
            if at.is_none() {
                self.fault(&head, Reason::InvalidTime);
            }
            at.map(|at| at.min(now))
        });
        let source = self.cell("source").map(|(_, text)| text).or_else(|| import.source.clone());
        if who.is_empty() {
            if !self.is_told() {
                self.lost("email", Reason::MissingValue);
            }
            return Told::Lost;
        }
        Told::Says(Line { who, channels, at, source })
    }

    /// Whether something is told by which the line names nobody.
    fn is_told(&self) -> bool {
        let of_address =
            |reason| matches!(reason, Reason::InvalidEmail | Reason::InvalidPhone | Reason::InvalidAddress);
        self.problems.iter().any(|problem| problem.no_not_taken || of_address(problem.reason))
    }

    /// What the line is where its status says something else than what the file is read for.
    fn other_status(&mut self, head: String, word: Word) -> Option<Told> {
        match (self.kind, word) {
            (Listing::Undeliverable, Word::Undeliverable)
            | (Listing::Objection | Listing::ExternalList, Word::No { .. }) => None,
            (Listing::Undeliverable, Word::No { .. }) => {
                self.objects(Some(head));
                Some(Told::Passed)
            }
            // Nobody said anything: what is not surely so is not so.
            (Listing::Undeliverable, Word::Yes) => Some(Told::Passed),
            (Listing::Undeliverable, Word::Unknown) => {
                self.fault(&head, Reason::UnknownStatus);
                Some(Told::Passed)
            }
            (_, Word::Yes) => {
                // A yes in a file of noes: one of both is wrong.
                self.lost(&head, Reason::UnexpectedValue);
                Some(Told::Lost)
            }
            (_, Word::Undeliverable) => {
                self.fault(&head, Reason::Undeliverable);
                Some(Told::Passed)
            }
            (_, Word::Unknown) => {
                self.fault(&head, Reason::UnknownStatus);
                None
            }
        }
    }

    /// On what the columns say that the row is meant: nothing in particular where none asks; `None` where it is not meant.
    fn channels(&mut self) -> Option<Vec<Option<Channel>>> {
        if self.columns.gates.is_empty() {
            return Some(Vec::new());
        }
        let mut meant = false;
        let mut channels = Vec::new();
        for (index, gate) in &self.columns.gates {
            meant |= self.says(*index, *gate);
            if *gate == Gate::Channels && self.says(*index, *gate) {
                // Words for channels, or one for all of them.
                let cell = self.table.text(*index).unwrap_or_default();
                let words =
                    cell.split([',', ';', '|']).map(|word| word.trim_matches(['[', ']', '"', '\'', ' ']));
                channels.extend(words.filter(|word| !word.is_empty()).map(words::channel));
            }
        }
        meant.then_some(channels)
    }

    /// Whether the cell says what its column asks. What cannot be read may be a no.
    fn says(&self, index: usize, gate: Gate) -> bool {
        let (cell, filled) = (self.table.text(index), self.table.is_filled(index));
        match gate {
            Gate::There => true,
            Gate::Says | Gate::Channels => filled && cell.map_or(true, |cell| opts_out(&cell)),
            Gate::True => cell.is_ok_and(|cell| cell.eq_ignore_ascii_case("true")),
        }
    }

    /// Whether the row says what the file is not read for.
    fn says_other(&self) -> bool {
        self.columns.others.iter().any(|(index, gate)| self.says(*index, *gate))
    }

    /// All that the row names.
    fn everyone(&mut self) -> Vec<Who> {
        let columns = self.columns;
        let mut who = Vec::new();
        for (field, read, reason) in [
            ("email", read_mailboxes as fn(&Reader, &str) -> Cell, Reason::InvalidEmail),
            ("phone", read_numbers, Reason::InvalidPhone),
        ] {
            for (index, head) in columns.columns(field) {
                match self.text(index) {
                    Ok(None) => {}
                    Ok(Some(text)) => {
                        let cell = read(&self.reader, &text);
                        // A star stands for whole domains, which are no person.
                        if cell.unread || text.contains('*') {
                            self.lost(head, reason);
                        }
                        let whole = |one: &Reachable| !one.identity().key().contains('*');
                        who.extend(cell.all.into_iter().filter(whole).map(Who::Address));
                    }
                    Err(reason) => self.lost(head, reason),
                }
            }
        }
        who.extend(self.postal().map(Who::Address));
        who
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
                self.lost("street", Reason::InvalidAddress);
                None
            }
            (Some(_), true) => {
                let identity = self.reader.postal(parts.each_ref().map(Option::as_deref), name.as_deref())?;
                Some(Reachable::delivered(identity, parts))
            }
        }
    }
}
