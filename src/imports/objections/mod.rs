//! Imports addresses that must not be advertised to, as other programs export them: objections, lists of others, and mail that did not
//! get there (floor 4).
//!
//! The file is read twice: what objects and cannot be taken is told before anything is written.

mod columns;
mod lines;
mod presets;
mod report;

use std::{
    collections::{BTreeSet, HashSet},
    io::{self, Read},
};

use entity::enums::{Channel, SuppressionKind};
use serde::Serialize;
use uuid::Uuid;

use super::{
    Problem, Reading, count,
    door::{self, Declared, Door, advertising, can_be_objected_to},
    known::{self, Known, Who, ids},
    statistics::Statistics,
    table::Table,
};
use crate::imports::noes::Lines;
use crate::{
    audit::{self, Author, Recorded, Transaction},
    context::App,
    error::Error,
};
use columns::{Columns, FIELDS};
use lines::{Line, Told};
pub use report::ObjectionReport;

/// Lines that are written in one transaction.
const BATCH: usize = 100;

/// What stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Listing {
    /// Persons who objected to advertising (Art. 21(2)).
    Objection,
    /// A list that others keep, e.g. a Robinson list. It stops what rests on no consent, for records that are there; a line that meets
    /// no record is not kept.
    ExternalList,
    /// Addresses that messages come back from. Nobody declared anything by that; a line that meets no record is not kept.
    Undeliverable,
}

impl Listing {
    /// What an address is on the suppression list as.
    fn kind(self) -> SuppressionKind {
        match self {
            Self::Objection => SuppressionKind::Objection,
            Self::ExternalList => SuppressionKind::ExternalList,
            Self::Undeliverable => SuppressionKind::Undeliverable,
        }
    }
}

/// What to import, and how.
#[derive(Clone, Debug)]
pub struct ObjectionImport {
    /// What stands in the file.
    pub kind: Listing,
    /// The purpose or group that it is about; all advertising otherwise.
    pub purpose: Option<String>,
    /// On which channel, where neither file nor preset says it; on all otherwise.
    pub channel: Option<Channel>,
    /// Name of a common export.
    pub preset: Option<String>,
    /// Which column holds what; one that is called as what it holds needs no word.
    pub map: Vec<(&'static str, String)>,
    /// Columns that do not count, whatever they look like.
    pub ignore: Vec<String>,
    /// Where it was declared, for lines that do not say it.
    pub source: Option<String>,
    /// Who imports.
    pub actor: String,
    /// How the file is read.
    pub reading: Reading,
    /// Whether to check only and write nothing.
    pub dry_run: bool,
}

impl ObjectionImport {
    /// Pairs `field=Column` as the command line gives them. A field may have several columns.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for an unknown field.
    pub fn map_from<'a>(
        pairs: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<(&'static str, String)>, Error> {
        let mut map = Vec::new();
        for pair in pairs {
            let Some((name, column)) = pair.split_once('=') else {
                return Err(Error::input(format!("`{pair}` is not of the form field=Column")));
            };
            let Some(field) = FIELDS.into_iter().find(|field| *field == name.trim()) else {
                let known = FIELDS.join(", ");
                return Err(Error::input(format!("`{name}` is not part of an objection; known are {known}")));
            };
            map.push((field, column.trim().to_owned()));
        }
        Ok(map)
    }

    fn check(&self, app: &App) -> Result<Vec<String>, Error> {
        if let Some(source) = &self.source
            && (source.trim().is_empty()
                || source.chars().count() > 500
                || source.chars().any(char::is_control))
        {
            return Err(Error::input("`source` must be 1 to 500 characters without control characters"));
        }
        if !self.reading.delimiter.is_ascii() || matches!(self.reading.delimiter, b'"' | b'\r' | b'\n') {
            return Err(Error::input("this delimiter cannot be used"));
        }
        if self.kind == Listing::ExternalList && self.preset.is_some() {
            return Err(Error::input(
                "a preset reads what a program knows of its own recipients; a list of others has none",
            ));
        }
        let policy = app.policy.current();
        let Some(code) = &self.purpose else {
            let all = advertising(&policy);
            if all.is_empty() {
                return Err(Error::input("no purpose of the policy is advertising; name one by --purpose"));
            }
            return Ok(all);
        };
        match policy.purpose(code) {
            None => Err(Error::input(format!("there is no purpose `{code}`"))),
            Some(purpose) if !can_be_objected_to(purpose) => {
                Err(Error::input(format!("`{code}` cannot be objected to (Art. 21)")))
            }
            Some(_) => Ok(vec![code.clone()]),
        }
    }
}

/// What became of a line.
enum Fate {
    Matched,
    Unmatched,
    Unchanged,
}

/// An import under way.
struct Run<'a, T> {
    app: &'a App,
    import: &'a ObjectionImport,
    purposes: Vec<String>,
    door: Door,
    tell: T,
    report: ObjectionReport,
    statistics: Statistics,
}

/// Imports such a file. Problems of lines that object, or may, and are not taken are told first, the others as they are found.
///
/// Batches are written in transactions of their own; the same import again changes nothing, and goes on after an interruption.
///
/// # Errors
/// `BAD_USER_INPUT` if nothing can be imported at all, `INTERNAL` from the database, and what `tell` gives; batches before
/// that stay.
pub async fn objections<R: Read + Send>(
    app: &App,
    open: impl Fn() -> io::Result<R> + Send,
    import: &ObjectionImport,
    tell: impl FnMut(Problem) -> Result<(), Error> + Send,
) -> Result<ObjectionReport, Error> {
    let purposes = import.check(app)?;
    let door = Door::of(app, &import.actor)?;
    let report = ObjectionReport::new(import);
    let statistics = Statistics::begin();
    let mut run = Run { app, import, purposes, door, tell, report, statistics };
    let file = || open().map_err(|_| Error::input("the file cannot be opened"));
    run.look(file()?)?;
    run.write(file()?).await?;
    Ok(run.report)
}

impl<T: FnMut(Problem) -> Result<(), Error> + Send> Run<'_, T> {
    fn problem(&mut self, problem: Problem) -> Result<(), Error> {
        self.report.problems += 1;
        *self.report.reasons.entry(problem.reason.as_str()).or_default() += 1;
        (self.tell)(problem)
    }

    /// Tells of what objects, or may, and cannot be taken.
    fn look<R: Read>(&mut self, file: R) -> Result<(), Error> {
        let mut table = Table::open(file, &self.import.reading)?;
        let columns = Columns::of(&table, self.import)?;
        while let Some(row) = table.next()? {
            let problems = match row {
                Err(row) => {
                    let problem = Problem::of(row.line, None, row.reason).not_taken();
                    vec![Problem { last_line: row.last_line, ..problem }]
                }
                Ok(line) => {
                    lines::read(&table, &columns, self.import, (self.app.now(), self.app.reader), line).1
                }
            };
            if problems.iter().any(|problem| problem.no_not_taken) {
                self.report.noes_not_taken += 1;
                problems.into_iter().try_for_each(|problem| self.problem(problem))?;
            }
        }
        Ok(())
    }

    async fn write<R: Read + Send>(&mut self, file: R) -> Result<(), Error> {
        let mut table = Table::open(file, &self.import.reading)?;
        let columns = Columns::of(&table, self.import)?;
        let mut batch = Vec::new();
        while let Some(row) = table.next()? {
            self.report.rows += 1;
            let Ok(line) = row else {
                self.report.rejected += 1;
                continue;
            };
            let (told, problems) =
                lines::read(&table, &columns, self.import, (self.app.now(), self.app.reader), line);
            for head in columns.left_out(&table) {
                *self.report.unmapped.entry(head.to_owned()).or_default() += 1;
            }
            if problems.iter().all(|problem| !problem.no_not_taken) {
                problems.into_iter().try_for_each(|problem| self.problem(problem))?;
            }
            match told {
                Told::Says(line) => batch.push(line),
                Told::Passed => self.report.left_out += 1,
                Told::Lost => self.report.rejected += 1,
            }
            if batch.len() == BATCH {
                self.batch(std::mem::take(&mut batch)).await?;
            }
        }
        self.batch(batch).await
    }

    async fn batch(&mut self, lines: Vec<Line>) -> Result<(), Error> {
        if lines.is_empty() {
            return Ok(());
        }
        let (fates, recorded) = match self.import.kind {
            // A no is taken also while the audit log cannot be written; what nobody declared is none.
            Listing::Objection => audit::taken(|recorded| self.commit(&lines, recorded)).await?,
            _ => (audit::again(|| self.commit(&lines, Recorded::Now)).await?, Recorded::Now),
        };
        self.report.owed |= recorded == Recorded::Later;
        if !self.import.dry_run {
            self.statistics.after(self.app, count(lines.len())).await;
        }
        for fate in fates {
            *match fate {
                Fate::Matched => &mut self.report.matched,
                Fate::Unmatched => &mut self.report.unmatched,
                Fate::Unchanged => &mut self.report.unchanged,
            } += 1;
        }
        Ok(())
    }

    /// One transaction; a trial does the same and does not keep it.
    async fn commit(&self, lines: &[Line], recorded: Recorded) -> Result<Vec<Fate>, Error> {
        let author = Author::command(self.app, &self.import.actor, None);
        let mut tx = audit::begin(self.app, author).await?;
        tx.owe(recorded);
        // First all that the lines are about, in the order of locks.
        let all: Vec<&Who> = lines.iter().flat_map(|line| &line.who).collect();
        let lines_of = Lines { source: None, noes: all.clone(), all, brought: Vec::new() };
        let (known, _) = lines_of.lock(&mut tx).await?;
        let present: HashSet<Uuid> = known::present(tx.connection(), &ids(&known)).await?;
        let mut fates = Vec::with_capacity(lines.len());
        let mut any = false;
        for line in lines {
            let (changed, met) = match self.import.kind {
                Listing::Objection => self.objects(&mut tx, line, &known, &present).await?,
                kind => self.stops(&mut tx, line, kind.kind()).await?,
            };
            any |= changed;
            fates.push(match (changed, met) {
                // What meets nobody is kept of objections alone.
                (false, false) if self.import.kind != Listing::Objection => Fate::Unmatched,
                (false, _) => Fate::Unchanged,
                (true, false) => Fate::Unmatched,
                (true, true) => Fate::Matched,
            });
        }
        if any && !self.import.dry_run {
            tx.commit().await?;
        }
        Ok(fates)
    }

    /// Declares in the name of the person; tells whether anything is new, and whether there is a record.
    async fn objects(
        &self,
        tx: &mut Transaction,
        line: &Line,
        known: &Known,
        present: &HashSet<Uuid>,
    ) -> Result<(bool, bool), Error> {
        let found: BTreeSet<Uuid> =
            line.who.iter().filter_map(|who| known.get(who)).flatten().copied().collect();
        let found: Vec<Uuid> = found.into_iter().filter(|id| present.contains(id)).collect();
        let met = !found.is_empty();
        let contacts = known::of_one_person(tx.connection(), found, (None, None)).await?;
        let mut changed = false;
        for (purpose, channel) in self.declared(line) {
            let declared = line.declared(&contacts, purpose, channel);
            changed |= self.door.declare(tx, &declared).await?.changed;
        }
        Ok((changed, met))
    }

    /// Blocks the addresses, which nobody declared anything about; tells the same.
    async fn stops(
        &self,
        tx: &mut Transaction,
        line: &Line,
        kind: SuppressionKind,
    ) -> Result<(bool, bool), Error> {
        let (mut changed, mut met) = (false, false);
        for (purpose, channel) in self.declared(line) {
            let done = door::stop(tx, kind, &line.declared(&[], purpose, channel)).await?;
            changed |= done.changed;
            met |= done.contacts > 0;
        }
        Ok((changed, met))
    }

    /// Each purpose and channel that a line is about.
    fn declared<'l>(&'l self, line: &'l Line) -> impl Iterator<Item = (&'l str, Option<Channel>)> {
        let purposes = self.purposes.iter();
        purposes.flat_map(|purpose| line.channels.iter().map(move |channel| (purpose.as_str(), *channel)))
    }
}

impl Line {
    fn declared<'l>(
        &'l self,
        contacts: &'l [Uuid],
        purpose: &'l str,
        channel: Option<Channel>,
    ) -> Declared<'l> {
        let source = self.source.as_deref();
        Declared { contacts, addresses: &self.who, purpose, channel, at: self.at, source }
    }
}
