//! Imports addresses that must not be advertised to, as other programs export them: objections, lists of others, and mail that did not
//! get there. Room: exchange/imports/objections.
//!
//! The file is read twice: what objects and cannot be taken is told before anything is written.

mod columns;
mod lines;
mod presets;
mod report;
mod wanted;

use std::{
    collections::{BTreeSet, HashSet},
    io::{self, Read},
};

use entity::enums::{Channel, SuppressionKind};
use uuid::Uuid;

use super::{
    Problem,
    door::{self, Declared, Door},
    known::{self, Known, Who, ids},
    report::count,
    statistics::Statistics,
};
use crate::exchange::imports::csv_table::Table;
use crate::exchange::imports::noes::Lines;
use crate::{
    app::App,
    audit::{self, Author, EntryTiming, Transaction},
    base::error::Error,
};
use columns::Columns;
use lines::{Line, Told};
pub use report::ObjectionReport;
pub use wanted::{Listing, ObjectionImport};

/// Lines that are written in one transaction.
const BATCH_SIZE: usize = 100;

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
    let file = || open().map_err(|_| Error::bad_input("the file cannot be opened"));
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
            if batch.len() == BATCH_SIZE {
                self.batch(std::mem::take(&mut batch)).await?;
            }
        }
        self.batch(batch).await
    }

    async fn batch(&mut self, lines: Vec<Line>) -> Result<(), Error> {
        if lines.is_empty() {
            return Ok(());
        }
        let (fates, timing) = match self.import.kind {
            // A no is taken also while the audit log cannot be written; what nobody declared is none.
            Listing::Objection => audit::with_deferred_entries(|timing| self.commit(&lines, timing)).await?,
            _ => (
                audit::with_retry(|| self.commit(&lines, EntryTiming::Immediate)).await?,
                EntryTiming::Immediate,
            ),
        };
        self.report.owed |= timing == EntryTiming::Deferred;
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
    async fn commit(&self, lines: &[Line], timing: EntryTiming) -> Result<Vec<Fate>, Error> {
        let author = Author::command(self.app, &self.import.actor, None);
        let mut tx = audit::begin(self.app, author).await?;
        tx.set_entry_timing(timing);
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
