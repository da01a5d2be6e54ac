//! Lines of a file of objections: who objects, on which channels, since when (floor 4).

use std::io::Read;

use chrono::{DateTime, Utc};
use entity::enums::Channel;

use super::{
    ObjectionImport,
    columns::{Columns, channel_of},
    presets::Gate,
};
use crate::contacts::Reachable;
use crate::identities::Reader;
use crate::{
    imports::{
        Problem, Reason,
        known::Who,
        reader::{Cell, read_mailboxes, read_numbers},
        table::Table,
        times::latest,
        words::{self, Word, opts_out},
    },
    register::Check,
};

/// A line that objects.
pub(super) struct Line {
    pub who: Vec<Who>,
    /// On these channels; none of them stands for all.
    pub channels: Vec<Option<Channel>>,
    pub at: Option<DateTime<Utc>>,
    pub source: Option<String>,
}

/// What a line says.
pub(super) enum Told {
    Objects(Line),
    /// Something else than an objection.
    Passed,
    /// It objects and names nobody.
    Lost,
}

/// A line in the making.
struct Draft<'a, R> {
    table: &'a Table<R>,
    columns: &'a Columns,
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
    let mut draft = Draft { table, columns, reader, line, problems: Vec::new() };
    let told = draft.read(import, now);
    (told, draft.problems)
}

impl<R: Read> Draft<'_, R> {
    fn fault(&mut self, head: &str, reason: Reason) {
        self.problems.push(Problem::of(self.line, Some(head.to_owned()), reason));
    }

    /// Something is wrong by which an objection is lost.
    fn lost(&mut self, head: &str, reason: Reason) {
        self.problems.push(Problem::of(self.line, Some(head.to_owned()), reason).not_taken());
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
        Ok(Check::Line.check(&text, chrono::NaiveDate::MAX)?)
    }

    fn read(&mut self, import: &ObjectionImport, now: DateTime<Utc>) -> Told {
        let Some(mut channels) = self.channels() else { return self.passed() };
        if let Some((head, word)) = self.cell("status") {
            match words::status(&word) {
                Word::Yes => {
                    // A yes in a file of noes: one of both is wrong.
                    self.lost(&head, Reason::UnexpectedValue);
                    return Told::Lost;
                }
                Word::Undeliverable => {
                    self.fault(&head, Reason::Undeliverable);
                    return Told::Passed;
                }
                Word::No { .. } => {}
                Word::Unknown => self.fault(&head, Reason::UnknownStatus),
            }
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
            if self.problems.iter().all(|problem| !problem.no_not_taken) {
                self.lost("email", Reason::MissingValue);
            }
            return Told::Lost;
        }
        Told::Objects(Line { who, channels, at, source })
    }

    /// On what the columns say that the row objects: nothing in particular where none asks; `None` where it does not object.
    fn channels(&mut self) -> Option<Vec<Option<Channel>>> {
        if self.columns.gates.is_empty() {
            return Some(Vec::new());
        }
        let mut objects = false;
        let mut channels = Vec::new();
        for (index, gate) in &self.columns.gates {
            let cell = self.table.text(*index);
            let filled = self.table.is_filled(*index);
            match gate {
                Gate::There => objects = true,
                // What cannot be read may be a no.
                Gate::Says => objects |= filled && cell.map_or(true, |cell| opts_out(&cell)),
                Gate::True => objects |= cell.is_ok_and(|cell| cell.eq_ignore_ascii_case("true")),
                // Words for channels, or one for all of them.
                Gate::Channels if filled && cell.as_ref().map_or(true, |cell| opts_out(cell)) => {
                    objects = true;
                    let cell = cell.unwrap_or_default();
                    let words =
                        cell.split([',', ';', '|']).map(|word| word.trim_matches(['[', ']', '"', '\'', ' ']));
                    channels.extend(words.filter(|word| !word.is_empty()).map(words::channel));
                }
                Gate::Channels => {}
            }
        }
        objects.then_some(channels)
    }

    /// A row that does not object: of mail that did not get there that is said.
    fn passed(&mut self) -> Told {
        let bounced = self.columns.undeliverable.iter().any(|index| {
            self.table.is_filled(*index) && self.table.text(*index).is_ok_and(|cell| opts_out(&cell))
        });
        if bounced {
            self.problems.push(Problem::of(self.line, None, Reason::Undeliverable));
        }
        Told::Passed
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
        who
    }
}
