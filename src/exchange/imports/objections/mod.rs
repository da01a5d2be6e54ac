//! Imports addresses that must not be advertised to, as other programs export them: objections, lists of others, and
//! mail that did not get there. Room: exchange/imports/objections.
//!
//! The file is read twice: objections that cannot be recorded are reported before anything is written.

mod columns;
mod lines;
mod objection_import;
mod presets;
mod report;

use std::{
    collections::{BTreeSet, HashSet},
    io::{self, Read},
};

use entity::enums::{Channel, SuppressionKind};
use uuid::Uuid;

use super::{
    Problem,
    contact_lookup::{self, ContactMatches, PersonRef, contact_ids},
    objection_recorder::{self, Declaration, ObjectionRecorder},
    report::count,
    statistics::Statistics,
};
use crate::exchange::imports::csv_table::Table;
use crate::exchange::imports::lock_scope::LockScope;
use crate::{
    app::App,
    audit::{self, Author, EntryTiming, Transaction},
    base::error::Error,
};
use columns::Columns;
use lines::{Line, ParsedLine};
pub use objection_import::{Listing, ObjectionImport};
pub use report::ObjectionReport;

/// Lines that are written in one transaction.
const BATCH_SIZE: usize = 100;

/// The outcome of a line.
enum RowOutcome {
    Matched,
    Unmatched,
    Unchanged,
}

/// An import under way.
struct ImportRun<'a, T> {
    app: &'a App,
    import: &'a ObjectionImport,
    purposes: Vec<String>,
    recorder: ObjectionRecorder,
    on_problem: T,
    report: ObjectionReport,
    statistics: Statistics,
}

/// Imports such a file. Problems of possible objections that cannot be recorded are reported first, the others as they
/// are found.
///
/// Each batch is written in its own transaction. Repeating the import continues after an interruption, and changes
/// nothing once it is complete.
///
/// # Errors
/// `BAD_USER_INPUT` if nothing can be imported at all; `INTERNAL` from the database; errors of the callback. Batches
/// before the error stay.
pub async fn objections<R: Read + Send>(
    app: &App,
    open: impl Fn() -> io::Result<R> + Send,
    import: &ObjectionImport,
    on_problem: impl FnMut(Problem) -> Result<(), Error> + Send,
) -> Result<ObjectionReport, Error> {
    let purposes = import.check(app)?;
    let recorder = ObjectionRecorder::new(app, &import.actor)?;
    let report = ObjectionReport::new(import);
    let statistics = Statistics::new();
    let mut run = ImportRun { app, import, purposes, recorder, on_problem, report, statistics };
    let file = || open().map_err(|_| Error::bad_input("the file cannot be opened"));
    run.report_not_taken(file()?)?;
    run.write(file()?).await?;
    Ok(run.report)
}

impl<T: FnMut(Problem) -> Result<(), Error> + Send> ImportRun<'_, T> {
    fn problem(&mut self, problem: Problem) -> Result<(), Error> {
        self.report.problems += 1;
        *self.report.reasons.entry(problem.reason.as_str()).or_default() += 1;
        (self.on_problem)(problem)
    }

    /// Reports objections, or possible ones, that cannot be recorded.
    fn report_not_taken<R: Read>(&mut self, file: R) -> Result<(), Error> {
        let mut table = Table::open(file, &self.import.read_options)?;
        let columns = Columns::find(&table, self.import)?;
        while let Some(row) = table.next()? {
            let problems = match row {
                Err(row) => {
                    let problem = Problem::new(row.line, None, row.reason).not_taken();
                    vec![Problem { last_line: row.last_line, ..problem }]
                }
                Ok(line) => {
                    lines::read(
                        &table,
                        &columns,
                        self.import,
                        (self.app.now(), self.app.identity_reader),
                        line,
                    )
                    .1
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
        let mut table = Table::open(file, &self.import.read_options)?;
        let columns = Columns::find(&table, self.import)?;
        let mut batch = Vec::new();
        while let Some(row) = table.next()? {
            self.report.rows += 1;
            let Ok(line) = row else {
                self.report.rejected += 1;
                continue;
            };
            let (parsed, problems) =
                lines::read(&table, &columns, self.import, (self.app.now(), self.app.identity_reader), line);
            for header_name in columns.left_out(&table) {
                *self.report.unmapped.entry(header_name.to_owned()).or_default() += 1;
            }
            if problems.iter().all(|problem| !problem.no_not_taken) {
                problems.into_iter().try_for_each(|problem| self.problem(problem))?;
            }
            match parsed {
                ParsedLine::Objection(line) => batch.push(line),
                ParsedLine::Skipped => self.report.left_out += 1,
                ParsedLine::NoAddress => self.report.rejected += 1,
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
        let (outcomes, timing) = match self.import.kind {
            // An objection is recorded even while the audit log cannot be written; other kinds are not declarations.
            Listing::Objection => audit::with_deferred_entries(|timing| self.commit(&lines, timing)).await?,
            _ => (
                audit::with_retry(|| self.commit(&lines, EntryTiming::Immediate)).await?,
                EntryTiming::Immediate,
            ),
        };
        self.report.owed |= timing == EntryTiming::Deferred;
        if !self.import.dry_run {
            self.statistics.count_rows(self.app, count(lines.len())).await;
        }
        for outcome in outcomes {
            *match outcome {
                RowOutcome::Matched => &mut self.report.matched,
                RowOutcome::Unmatched => &mut self.report.unmatched,
                RowOutcome::Unchanged => &mut self.report.unchanged,
            } += 1;
        }
        Ok(())
    }

    /// Writes one transaction; a dry run does the same and rolls back.
    async fn commit(&self, lines: &[Line], timing: EntryTiming) -> Result<Vec<RowOutcome>, Error> {
        let author = Author::command(self.app, &self.import.actor, None);
        let mut tx = audit::begin(self.app, author).await?;
        tx.set_entry_timing(timing);
        // First all that the lines are about, in the order of locks.
        let persons: Vec<&PersonRef> = lines.iter().flat_map(|line| &line.persons).collect();
        let scope = LockScope { source: None, noes: persons.clone(), persons, extra_locks: Vec::new() };
        let (matches, _) = scope.lock(&mut tx).await?;
        let existing: HashSet<Uuid> =
            contact_lookup::existing(tx.connection(), &contact_ids(&matches)).await?;
        let mut outcomes = Vec::with_capacity(lines.len());
        let mut any_changed = false;
        for line in lines {
            let (changed, has_record) = match self.import.kind {
                Listing::Objection => self.record_objection(&mut tx, line, &matches, &existing).await?,
                kind => self.block(&mut tx, line, kind.kind()).await?,
            };
            any_changed |= changed;
            outcomes.push(match (changed, has_record) {
                // Addresses without a record are only kept for objections.
                (false, false) if self.import.kind != Listing::Objection => RowOutcome::Unmatched,
                (false, _) => RowOutcome::Unchanged,
                (true, false) => RowOutcome::Unmatched,
                (true, true) => RowOutcome::Matched,
            });
        }
        if any_changed && !self.import.dry_run {
            tx.commit().await?;
        }
        Ok(outcomes)
    }

    /// Declares on behalf of the person; returns whether anything is new, and whether there is a record.
    async fn record_objection(
        &self,
        tx: &mut Transaction,
        line: &Line,
        matches: &ContactMatches,
        existing: &HashSet<Uuid>,
    ) -> Result<(bool, bool), Error> {
        let found: BTreeSet<Uuid> =
            line.persons.iter().filter_map(|person| matches.get(person)).flatten().copied().collect();
        let found: Vec<Uuid> = found.into_iter().filter(|id| existing.contains(id)).collect();
        let has_record = !found.is_empty();
        let contacts = contact_lookup::records_of_one_person(tx.connection(), found, (None, None)).await?;
        let mut changed = false;
        for (purpose, channel) in self.declared(line) {
            let declared = line.declared(&contacts, purpose, channel);
            changed |= self.recorder.declare(tx, &declared).await?.changed;
        }
        Ok((changed, has_record))
    }

    /// Blocks the addresses without a declaration; returns the same.
    async fn block(
        &self,
        tx: &mut Transaction,
        line: &Line,
        kind: SuppressionKind,
    ) -> Result<(bool, bool), Error> {
        let (mut changed, mut has_record) = (false, false);
        for (purpose, channel) in self.declared(line) {
            let outcome =
                objection_recorder::block_addresses(tx, kind, &line.declared(&[], purpose, channel)).await?;
            changed |= outcome.changed;
            has_record |= outcome.contacts > 0;
        }
        Ok((changed, has_record))
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
    ) -> Declaration<'l> {
        let source = self.source.as_deref();
        Declaration { contacts, addresses: &self.persons, purpose, channel, at: self.at, source }
    }
}
