//! Imports consents with their evidence from a CSV file: gaps are filled, no word of the person is overridden.
//! Room: exchange/imports/consents.
//!
//! The file is read three times, so that the order of its lines does not matter. The first pass reports possible
//! opt-outs that cannot be read. The second writes every withdrawal and refusal, and finds the latest of several
//! consents to the same. The third writes consents against the resulting state.

mod columns;
mod consent_import;
mod decisions;
mod dry_run;
mod held_back;
mod lines;
mod outcomes;
mod report;
mod suppression_entries;
mod targets;

use std::{
    collections::{HashMap, HashSet},
    io::{self, Read},
};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Problem, Reason,
    contact_lookup::{self, contact_ids},
    objection_recorder::{Declaration, ObjectionRecorder},
    report::count,
    statistics::Statistics,
};
use crate::exchange::imports::csv_table::Table;
use crate::{
    app::App,
    audit::{self, Author, EntryTiming, Transaction},
    base::error::Error,
    domain::consents::{self as declared, BulkOutcome, DeclaredState, ExistingConsents},
    exchange::imports::lock_scope::LockScope,
};
use columns::Columns;
pub use consent_import::ConsentImport;
use held_back::{HeldBack, UnclearLine};
use lines::{Line, ParsedLine, Rules};
use outcomes::{RowOutcome, with_suppression};
pub use report::ConsentReport;
use targets::{
    declaration_key, declaring_contacts, find_matches, grant_declaration, load_used_channels, sole_contact,
};

/// Lines that are written in one transaction.
const BATCH_SIZE: usize = 100;

/// The line that counts among several consents to the same: the latest declaration; at the same time the content
/// decides, not the order of lines.
#[derive(Clone, Copy)]
struct LatestGrant {
    rank: (DateTime<Utc>, u64),
    line: u64,
}

/// A pass over the file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Reports possible opt-outs that cannot be read.
    Scan,
    /// Writes what ends consents.
    Ends,
    /// Writes consents.
    Grants,
}

/// A running import. Its memory grows by some 50 bytes for each consent in the file.
struct ImportRun<'a, T> {
    app: &'a App,
    import: &'a ConsentImport,
    rules: Rules,
    recorder: ObjectionRecorder,
    on_problem: T,
    report: ConsentReport,
    latest_grants: HashMap<u64, LatestGrant>,
    /// What a dry run would have ended.
    trial_ends: HashMap<u64, Vec<declared::BulkDeclaration>>,
    held_back: HeldBack,
    /// Lines whose problems have all been reported.
    reported_lines: HashSet<u64>,
    /// What a dry run would have added to the suppression list.
    trial_suppressions: suppression_entries::TrialSuppressions,
    statistics: Statistics,
}

/// Imports consents, withdrawals and refusals. Problems are reported as they are found: first possible opt-outs that
/// cannot be recorded, then other lines, then consents; each in the order of the file.
///
/// Each batch is written in its own transaction. Repeating the import continues after an interruption, and changes
/// nothing once it is complete.
///
/// # Errors
/// `BAD_USER_INPUT` if nothing can be imported at all; `INTERNAL` from the database; errors of the callback. Batches
/// before the error stay.
pub async fn consents<R: Read + Send>(
    app: &App,
    open: impl Fn() -> io::Result<R> + Send,
    import: &ConsentImport,
    on_problem: impl FnMut(Problem) -> Result<(), Error> + Send,
) -> Result<ConsentReport, Error> {
    import.check()?;
    let (rules, recorder) = (Rules::load(app, import).await?, ObjectionRecorder::new(app, &import.actor)?);
    let report = ConsentReport { dry_run: import.dry_run, ..ConsentReport::default() };
    let (latest_grants, trial_ends, held_back, reported_lines, trial_suppressions) = Default::default();
    let statistics = Statistics::new();
    let mut run = ImportRun {
        app,
        import,
        rules,
        recorder,
        on_problem,
        report,
        latest_grants,
        trial_ends,
        held_back,
        reported_lines,
        trial_suppressions,
        statistics,
    };
    let file = || open().map_err(|_| Error::bad_input("the file cannot be opened"));
    for pass in [Pass::Scan, Pass::Ends, Pass::Grants] {
        run.pass(file()?, pass).await?;
    }
    Ok(run.report)
}

impl<T: FnMut(Problem) -> Result<(), Error> + Send> ImportRun<'_, T> {
    /// Reads the file once.
    async fn pass<R: Read + Send>(&mut self, file: R, pass: Pass) -> Result<(), Error> {
        let mut table = Table::open(file, &self.import.read_options)?;
        let columns = Columns::find(&table, self.import)?;
        let (mut unclear, mut ends, mut grants) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(row) = table.next()? {
            match row {
                Err(row) => {
                    if pass == Pass::Scan {
                        // It may be an opt-out.
                        let problem = Problem::new(row.line, None, row.reason).not_taken();
                        self.report_not_taken(
                            row.line,
                            vec![Problem { last_line: row.last_line, ..problem }],
                        )?;
                    } else if pass == Pass::Ends {
                        self.report.rows += 1;
                        self.report.rejected += 1;
                    }
                }
                Ok(line) => {
                    if pass == Pass::Scan {
                        columns.check_unmapped(&table)?;
                    }
                    let (parsed, problems) = lines::read(&table, &columns, &self.rules, line);
                    match pass {
                        Pass::Scan if problems.iter().any(|problem| problem.no_not_taken) => {
                            self.report_not_taken(line, problems)?;
                        }
                        Pass::Ends => {
                            self.report.rows += 1;
                            for header_name in columns.left_out(&table) {
                                *self.report.unmapped.entry(header_name.to_owned()).or_default() += 1;
                            }
                            self.report.left_out += u64::from(matches!(parsed, ParsedLine::Empty));
                            self.report.rejected += u64::from(matches!(
                                parsed,
                                ParsedLine::UnclearLine { .. } | ParsedLine::Invalid
                            ));
                            if !self.reported_lines.contains(&line) {
                                problems.into_iter().try_for_each(|problem| self.problem(problem))?;
                            }
                        }
                        _ => {}
                    }
                    match (pass, parsed) {
                        (Pass::Scan, ParsedLine::UnclearLine { persons: who, purposes }) => {
                            unclear.push(UnclearLine { persons: who, purposes })
                        }
                        (Pass::Scan | Pass::Ends, ParsedLine::End(line)) => ends.push(line),
                        (Pass::Ends | Pass::Grants, ParsedLine::Grant(line)) => grants.push(line),
                        _ => {}
                    }
                }
            }
            if unclear.len() == BATCH_SIZE {
                self.hold_back(std::mem::take(&mut unclear)).await?;
            }
            if ends.len() == BATCH_SIZE {
                self.ends(std::mem::take(&mut ends), pass).await?;
            }
            if grants.len() == BATCH_SIZE {
                self.grants(std::mem::take(&mut grants), pass).await?;
            }
        }
        self.hold_back(unclear).await?;
        self.ends(ends, pass).await?;
        self.grants(grants, pass).await
    }

    async fn ends(&mut self, lines: Vec<Line>, pass: Pass) -> Result<(), Error> {
        if pass == Pass::Scan { self.report_unknown(&lines).await } else { self.write(lines).await }
    }

    async fn grants(&mut self, lines: Vec<Line>, pass: Pass) -> Result<(), Error> {
        if pass == Pass::Ends { self.rank(&lines).await } else { self.write(lines).await }
    }

    /// Reports a line that is or may be an opt-out and was not recorded.
    fn report_not_taken(&mut self, line: u64, problems: Vec<Problem>) -> Result<(), Error> {
        if self.reported_lines.insert(line) {
            self.report.noes_not_taken += 1;
        }
        problems.into_iter().try_for_each(|problem| self.problem(problem))
    }

    fn problem(&mut self, problem: Problem) -> Result<(), Error> {
        self.report.problems += 1;
        *self.report.reasons.entry(problem.reason.as_str()).or_default() += 1;
        (self.on_problem)(problem)
    }

    /// Reports opt-outs of unknown persons: without a record, and without an address that could be suppressed.
    async fn report_unknown(&mut self, lines: &[Line]) -> Result<(), Error> {
        let lines: Vec<&Line> = lines
            .iter()
            .filter(|line| line.persons.iter().all(|person| person.address().is_none()))
            .collect();
        let reader = &self.app.db.reader;
        let persons = lines.iter().flat_map(|line| &line.persons);
        let matches =
            contact_lookup::find_contacts(reader, self.import.contact_source.as_deref(), persons).await?;
        let existing = contact_lookup::existing(reader, &contact_ids(&matches)).await?;
        for line in lines {
            let mut contacts = line.persons.iter().filter_map(|person| matches.get(person)).flatten();
            if !contacts.any(|id| existing.contains(id)) {
                let problem = Problem::new(line.line, None, Reason::UnknownContact).not_taken();
                self.report_not_taken(line.line, vec![problem])?;
            }
        }
        Ok(())
    }

    async fn hold_back(&mut self, unclear: Vec<UnclearLine>) -> Result<(), Error> {
        let persons = unclear.iter().flat_map(|unclear| &unclear.persons);
        let matches = contact_lookup::find_contacts(
            &self.app.db.reader,
            self.import.contact_source.as_deref(),
            persons,
        )
        .await?;
        unclear.iter().for_each(|unclear| self.held_back.add(&matches, unclear));
        Ok(())
    }

    /// Finds the consent that counts among several to the same, of those that are admissible.
    async fn rank(&mut self, lines: &[Line]) -> Result<(), Error> {
        let reader = &self.app.db.reader;
        let matches = find_matches(reader, self.import, lines).await?;
        let installation_keys = audit::existing_installation_keys(self.app).await?;
        let existing = ExistingConsents::read(
            reader,
            (installation_keys, &self.app.identity_reader),
            &contact_ids(&matches),
            false,
            (self.rules.now(), &self.import.actor),
        )
        .await?;
        for line in lines {
            let (Ok(contact), DeclaredState::Granted(grant)) =
                (sole_contact(&matches, &existing, line), &line.said)
            else {
                continue;
            };
            let Some(declaration) = grant_declaration(line, contact) else { continue };
            if existing.check_grant(&self.rules.policy, &declaration, grant).is_err() {
                continue;
            }
            let new = LatestGrant { rank: (grant.granted_at(), line.content()), line: line.line };
            let best = self.latest_grants.entry(declaration_key(&declaration)).or_insert(new);
            if new.rank > best.rank {
                *best = new;
            }
        }
        Ok(())
    }

    /// Writes a batch, or only evaluates it in a dry run, and reports the outcome of each line.
    async fn write(&mut self, lines: Vec<Line>) -> Result<(), Error> {
        if lines.is_empty() {
            return Ok(());
        }
        let outcomes = match self.import.dry_run {
            true => self.trial(&lines).await?,
            // Opt-outs come first, and are recorded even while the audit log cannot be written.
            false if lines.iter().all(Line::is_no) => {
                let (outcomes, timing) =
                    audit::with_deferred_entries(|timing| self.commit(&lines, timing)).await?;
                self.report.owed |= timing == EntryTiming::Deferred;
                outcomes
            }
            false => audit::with_retry(|| self.commit(&lines, EntryTiming::Immediate)).await?,
        };
        if !self.import.dry_run {
            self.statistics.count_rows(self.app, count(lines.len())).await;
        }
        for (line, outcome) in lines.iter().zip(outcomes) {
            let reason = match outcome {
                RowOutcome::Done(BulkOutcome::Applied) => {
                    let count = if line.is_no() { &mut self.report.ended } else { &mut self.report.granted };
                    *count += 1;
                    continue;
                }
                RowOutcome::UnmatchedWithdrawal(true) => {
                    self.report.strays += 1;
                    continue;
                }
                RowOutcome::UnmatchedWithdrawal(false) | RowOutcome::Done(BulkOutcome::Unchanged) => {
                    self.report.unchanged += 1;
                    continue;
                }
                RowOutcome::Done(BulkOutcome::Skipped(hindrance)) => {
                    self.report.left_out += 1;
                    hindrance.into()
                }
                RowOutcome::Repeated => {
                    self.report.left_out += 1;
                    Reason::RepeatedConsent
                }
                RowOutcome::HeldBack => {
                    self.report.left_out += 1;
                    Reason::HeldBack
                }
                RowOutcome::Rejected(reason) => {
                    self.report.rejected += 1;
                    reason
                }
            };
            let problem = Problem::new(line.line, None, reason);
            match line.is_no() {
                true if self.reported_lines.contains(&line.line) => {}
                true => self.report_not_taken(line.line, vec![problem.not_taken()])?,
                false => self.problem(problem)?,
            }
        }
        Ok(())
    }

    async fn commit(&self, lines: &[Line], timing: EntryTiming) -> Result<Vec<RowOutcome>, Error> {
        let author = Author::command(self.app, &self.import.actor, None);
        let mut tx = audit::begin(self.app, author).await?;
        tx.set_entry_timing(timing);
        let (matches, identities) = self.lock_scope(lines).lock(&mut tx).await?;
        let installation_keys = tx.existing_installation_keys().await?;
        let context = (tx.now(), self.import.actor.as_str());
        let mut existing = ExistingConsents::read(
            tx.connection(),
            (installation_keys.as_ref(), tx.reader()),
            &contact_ids(&matches),
            true,
            context,
        )
        .await?;
        let used = load_used_channels(tx.connection(), lines, &matches).await?;
        let mut outcomes = self.decide(&mut existing, (&matches, &used), lines, &|| tx.new_id())?;
        let declaring: Vec<Vec<Uuid>> =
            lines.iter().map(|line| declaring_contacts(line, &matches, &existing)).collect();
        let mut changed = existing.write(&mut tx, "importConsents").await? > 0;
        for ((line, outcome), contacts) in
            lines.iter().zip(&mut outcomes).zip(&declaring).filter(|((line, _), _)| line.is_no())
        {
            // Objections first: they depend on the existing consents.
            let objected = self.record_objections(&mut tx, line, contacts).await?;
            let ended = matches!(outcome, RowOutcome::Done(BulkOutcome::Applied));
            let is_listed = suppression_entries::suppress(&mut tx, &identities, line, ended).await?;
            if ended && !is_listed {
                suppression_entries::notify_recipients(&mut tx, line, contacts).await?;
            }
            *outcome = with_suppression(outcome, is_listed, objected);
            changed |= is_listed || objected;
        }
        if changed {
            tx.commit().await?;
        }
        Ok(outcomes)
    }

    /// The persons that lines name, and the identities of opt-outs to lock.
    fn lock_scope<'l>(&'l self, lines: &'l [Line]) -> LockScope<'l> {
        let noes = lines.iter().filter(|line| line.is_no());
        LockScope {
            source: self.import.contact_source.as_deref(),
            persons: lines.iter().flat_map(|line| &line.persons).collect(),
            noes: noes.flat_map(|line| &line.persons).collect(),
            extra_locks: Vec::new(),
        }
    }

    /// Records the objections of a line on the records that it names; returns whether anything is new.
    async fn record_objections(
        &self,
        tx: &mut Transaction,
        line: &Line,
        contacts: &[Uuid],
    ) -> Result<bool, Error> {
        let DeclaredState::Ended { at, source, .. } = &line.said else { return Ok(false) };
        let mut changed = false;
        for purpose in &line.objections {
            let (addresses, source) = (line.persons.as_slice(), source.as_deref());
            let declared =
                Declaration { contacts, addresses, purpose, channel: line.channel, at: *at, source };
            changed |= self.recorder.declare(tx, &declared).await?.changed;
        }
        Ok(changed)
    }
}
