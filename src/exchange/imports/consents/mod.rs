//! Imports consents with their evidence from a CSV file: gaps are filled, no word of the person is overridden. Room: exchange/imports/consents.
//!
//! The file is read three times, so that the order of its lines does not matter. First it is looked through: what may say no and
//! cannot be taken is told before all else. Then every withdrawal and refusal is written, and of several consents to the same the
//! last declared one is found; then consents are written, each against what is known by then.

mod columns;
mod fates;
mod held;
mod lines;
mod meant;
mod report;
mod telling;
mod trial;
mod wanted;

use std::{
    collections::{HashMap, HashSet},
    io::{self, Read},
};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Problem, Reason,
    door::{Declared, Door},
    known::{self, Known, ids},
    report::count,
    statistics::Statistics,
};
use crate::exchange::imports::csv_table::Table;
use crate::{
    app::App,
    audit::{self, Author, EntryTiming, Transaction},
    base::error::Error,
    domain::consents::{self as declared, ExistingConsents, Outcome, Said},
    exchange::imports::noes::Lines,
};
use columns::Columns;
use fates::{Fate, with_list};
use held::{Held, Unclear};
use lines::{Line, Rules, Told};
use meant::{Used, all_told, contacts, find, key, one, speaking, told, used};
pub use report::ConsentReport;
pub use wanted::ConsentImport;

/// Lines that are written in one transaction.
const BATCH_SIZE: usize = 100;

/// Of several consents to the same, the line that counts: the last declared; where that is the same, the one that its content
/// decides, so that the order of lines does not.
#[derive(Clone, Copy)]
struct Best {
    rank: (DateTime<Utc>, u64),
    line: u64,
}

/// What the file is read for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// For what cannot be taken though it may be a no.
    Look,
    /// For what ends consents.
    Ends,
    /// For consents.
    Grants,
}

/// An import under way. What grows with the file are some 50 bytes for each consent that is told.
struct Run<'a, T> {
    app: &'a App,
    import: &'a ConsentImport,
    rules: Rules,
    door: Door,
    tell: T,
    report: ConsentReport,
    best: HashMap<u64, Best>,
    /// What a trial would have ended.
    ended: HashMap<u64, Vec<declared::Told>>,
    held: Held,
    /// Lines of which all is told.
    told: HashSet<u64>,
    /// What a trial would have put on the suppression list.
    listed: telling::Listed,
    statistics: Statistics,
}

/// Imports consents, withdrawals and refusals. Problems are told as they are found: first those of lines that say no, or may say it,
/// and cannot be taken; then those of the other lines, then those of consents; each in the order of the file.
///
/// Batches are written in transactions of their own; the same import again goes on after an interruption, and changes nothing
/// when it is done.
///
/// # Errors
/// `BAD_USER_INPUT` if nothing can be imported at all, `INTERNAL` from the database, and what `tell` gives; batches before
/// that stay.
pub async fn consents<R: Read + Send>(
    app: &App,
    open: impl Fn() -> io::Result<R> + Send,
    import: &ConsentImport,
    tell: impl FnMut(Problem) -> Result<(), Error> + Send,
) -> Result<ConsentReport, Error> {
    import.check()?;
    let (rules, door) = (Rules::of(app, import).await?, Door::of(app, &import.actor)?);
    let report = ConsentReport { dry_run: import.dry_run, ..ConsentReport::default() };
    let (best, ended, held, told, listed) = Default::default();
    let statistics = Statistics::begin();
    let mut run = Run { app, import, rules, door, tell, report, best, ended, held, told, listed, statistics };
    let file = || open().map_err(|_| Error::bad_input("the file cannot be opened"));
    for pass in [Pass::Look, Pass::Ends, Pass::Grants] {
        run.pass(file()?, pass).await?;
    }
    Ok(run.report)
}

impl<T: FnMut(Problem) -> Result<(), Error> + Send> Run<'_, T> {
    /// Reads the file once.
    async fn pass<R: Read + Send>(&mut self, file: R, pass: Pass) -> Result<(), Error> {
        let mut table = Table::open(file, &self.import.reading)?;
        let columns = Columns::of(&table, self.import)?;
        let (mut unclear, mut ends, mut grants) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(row) = table.next()? {
            match row {
                Err(row) => {
                    if pass == Pass::Look {
                        // What stands there may be a no.
                        let problem = Problem::of(row.line, None, row.reason).not_taken();
                        self.lost(row.line, vec![Problem { last_line: row.last_line, ..problem }])?;
                    } else if pass == Pass::Ends {
                        self.report.rows += 1;
                        self.report.rejected += 1;
                    }
                }
                Ok(line) => {
                    if pass == Pass::Look {
                        columns.check_unmapped(&table)?;
                    }
                    let (told, problems) = lines::read(&table, &columns, &self.rules, line);
                    match pass {
                        Pass::Look if problems.iter().any(|problem| problem.no_not_taken) => {
                            self.lost(line, problems)?;
                        }
                        Pass::Ends => {
                            self.report.rows += 1;
                            for head in columns.left_out(&table) {
                                *self.report.unmapped.entry(head.to_owned()).or_default() += 1;
                            }
                            self.report.left_out += u64::from(matches!(told, Told::Silent));
                            self.report.rejected +=
                                u64::from(matches!(told, Told::Unclear { .. } | Told::Nothing));
                            if !self.told.contains(&line) {
                                problems.into_iter().try_for_each(|problem| self.problem(problem))?;
                            }
                        }
                        _ => {}
                    }
                    match (pass, told) {
                        (Pass::Look, Told::Unclear { who, purposes }) => {
                            unclear.push(Unclear { who, purposes })
                        }
                        (Pass::Look | Pass::Ends, Told::No(line)) => ends.push(line),
                        (Pass::Ends | Pass::Grants, Told::Yes(line)) => grants.push(line),
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
        if pass == Pass::Look { self.look(&lines).await } else { self.write(lines).await }
    }

    async fn grants(&mut self, lines: Vec<Line>, pass: Pass) -> Result<(), Error> {
        if pass == Pass::Ends { self.rank(&lines).await } else { self.write(lines).await }
    }

    /// Tells of a line that says no, or may say it, which is not taken.
    fn lost(&mut self, line: u64, problems: Vec<Problem>) -> Result<(), Error> {
        if self.told.insert(line) {
            self.report.noes_not_taken += 1;
        }
        problems.into_iter().try_for_each(|problem| self.problem(problem))
    }

    fn problem(&mut self, problem: Problem) -> Result<(), Error> {
        self.report.problems += 1;
        *self.report.reasons.entry(problem.reason.as_str()).or_default() += 1;
        (self.tell)(problem)
    }

    /// Tells of noes that are of nobody: without a record, and without an address that could be kept.
    async fn look(&mut self, lines: &[Line]) -> Result<(), Error> {
        let lines: Vec<&Line> =
            lines.iter().filter(|line| line.who.iter().all(|who| who.address().is_none())).collect();
        let reader = &self.app.db.reader;
        let named = lines.iter().flat_map(|line| &line.who);
        let known = known::find(reader, self.import.contact_source.as_deref(), named).await?;
        let present = known::present(reader, &ids(&known)).await?;
        for line in lines {
            let mut contacts = line.who.iter().filter_map(|who| known.get(who)).flatten();
            if !contacts.any(|id| present.contains(id)) {
                let problem = Problem::of(line.line, None, Reason::UnknownContact).not_taken();
                self.lost(line.line, vec![problem])?;
            }
        }
        Ok(())
    }

    async fn hold_back(&mut self, unclear: Vec<Unclear>) -> Result<(), Error> {
        let named = unclear.iter().flat_map(|unclear| &unclear.who);
        let known = known::find(&self.app.db.reader, self.import.contact_source.as_deref(), named).await?;
        unclear.iter().for_each(|unclear| self.held.add(&known, unclear));
        Ok(())
    }

    /// Finds of several consents to the same the one that counts, among those that nothing stands against.
    async fn rank(&mut self, lines: &[Line]) -> Result<(), Error> {
        let reader = &self.app.db.reader;
        let known = find(reader, self.import, lines).await?;
        let ring = audit::existing_installation_keys(self.app).await?;
        let present = ExistingConsents::read(
            reader,
            (ring, &self.app.reader),
            &ids(&known),
            false,
            (self.rules.now(), &self.import.actor),
        )
        .await?;
        for line in lines {
            let (Ok(contact), Said::Granted(grant)) = (one(&known, &present, line), &line.said) else {
                continue;
            };
            let Some(told) = told(line, contact) else { continue };
            if present.admits(&self.rules.policy, &told, grant).is_err() {
                continue;
            }
            let new = Best { rank: (grant.granted_at(), line.content()), line: line.line };
            let best = self.best.entry(key(&told)).or_insert(new);
            if new.rank > best.rank {
                *best = new;
            }
        }
        Ok(())
    }

    /// Writes a batch, or says what it would do, and tells what became of each line.
    async fn write(&mut self, lines: Vec<Line>) -> Result<(), Error> {
        if lines.is_empty() {
            return Ok(());
        }
        let fates = match self.import.dry_run {
            true => self.trial(&lines).await?,
            // Noes come before all else, and are taken also while the audit log cannot be written.
            false if lines.iter().all(Line::is_no) => {
                let (fates, timing) =
                    audit::with_deferred_entries(|timing| self.commit(&lines, timing)).await?;
                self.report.owed |= timing == EntryTiming::Deferred;
                fates
            }
            false => audit::with_retry(|| self.commit(&lines, EntryTiming::Immediate)).await?,
        };
        if !self.import.dry_run {
            self.statistics.after(self.app, count(lines.len())).await;
        }
        for (line, fate) in lines.iter().zip(fates) {
            let reason = match fate {
                Fate::Done(Outcome::Taken) => {
                    let count = if line.is_no() { &mut self.report.ended } else { &mut self.report.granted };
                    *count += 1;
                    continue;
                }
                Fate::Stray(true) => {
                    self.report.strays += 1;
                    continue;
                }
                Fate::Stray(false) | Fate::Done(Outcome::Unchanged) => {
                    self.report.unchanged += 1;
                    continue;
                }
                Fate::Done(Outcome::LeftOut(hindrance)) => {
                    self.report.left_out += 1;
                    hindrance.into()
                }
                Fate::Repeated => {
                    self.report.left_out += 1;
                    Reason::RepeatedConsent
                }
                Fate::HeldBack => {
                    self.report.left_out += 1;
                    Reason::HeldBack
                }
                Fate::Rejected(reason) => {
                    self.report.rejected += 1;
                    reason
                }
            };
            let problem = Problem::of(line.line, None, reason);
            match line.is_no() {
                true if self.told.contains(&line.line) => {}
                true => self.lost(line.line, vec![problem.not_taken()])?,
                false => self.problem(problem)?,
            }
        }
        Ok(())
    }

    async fn commit(&self, lines: &[Line], timing: EntryTiming) -> Result<Vec<Fate>, Error> {
        let author = Author::command(self.app, &self.import.actor, None);
        let mut tx = audit::begin(self.app, author).await?;
        tx.set_entry_timing(timing);
        let (known, about) = self.named(lines).lock(&mut tx).await?;
        let ring = tx.existing_installation_keys().await?;
        let by = (tx.now(), self.import.actor.as_str());
        let mut present =
            ExistingConsents::read(tx.connection(), (ring.as_ref(), tx.reader()), &ids(&known), true, by)
                .await?;
        let used = used(tx.connection(), lines, &known).await?;
        let mut fates = self.take(&mut present, (&known, &used), lines, &|| tx.new_id())?;
        let meant: Vec<Vec<Uuid>> = lines.iter().map(|line| speaking(line, &known, &present)).collect();
        let mut kept = present.write(&mut tx, "importConsents").await? > 0;
        for ((line, fate), contacts) in
            lines.iter().zip(&mut fates).zip(&meant).filter(|((line, _), _)| line.is_no())
        {
            // Objections first: they look at the consents that there are.
            let objected = self.object(&mut tx, line, contacts).await?;
            let ended = matches!(fate, Fate::Done(Outcome::Taken));
            let listed = telling::declare(&mut tx, &about, line, ended).await?;
            if ended && !listed {
                telling::owe(&mut tx, line, contacts).await?;
            }
            *fate = with_list(fate, listed, objected);
            kept |= listed || objected;
        }
        if kept {
            tx.commit().await?;
        }
        Ok(fates)
    }

    /// Whom lines name; of whom they say no is locked.
    fn named<'l>(&'l self, lines: &'l [Line]) -> Lines<'l> {
        let noes = lines.iter().filter(|line| line.is_no());
        Lines {
            source: self.import.contact_source.as_deref(),
            all: lines.iter().flat_map(|line| &line.who).collect(),
            noes: noes.flat_map(|line| &line.who).collect(),
            brought: Vec::new(),
        }
    }

    /// Records what a line objects to, of the records that it names; tells whether that is new.
    async fn object(&self, tx: &mut Transaction, line: &Line, contacts: &[Uuid]) -> Result<bool, Error> {
        let Said::Ended { at, source, .. } = &line.said else { return Ok(false) };
        let mut changed = false;
        for purpose in &line.objections {
            let (addresses, source) = (line.who.as_slice(), source.as_deref());
            let declared = Declared { contacts, addresses, purpose, channel: line.channel, at: *at, source };
            changed |= self.door.declare(tx, &declared).await?.changed;
        }
        Ok(changed)
    }

    /// Decides about each line in its turn.
    fn take(
        &self,
        present: &mut ExistingConsents,
        (known, used): (&Known, &Used),
        lines: &[Line],
        new_id: &(dyn Fn() -> Uuid + Sync),
    ) -> Result<Vec<Fate>, Error> {
        let mut fates = Vec::with_capacity(lines.len());
        for line in lines {
            fates.push(match &line.said {
                Said::Granted(_) => self.take_grant(present, known, line, new_id)?,
                Said::Ended { .. } => {
                    let contacts = contacts(line, known, present);
                    let mut taken = false;
                    for told in all_told(line, &speaking(line, known, present), used) {
                        taken |= present.take(&self.rules.policy, new_id, &told)? == Outcome::Taken;
                    }
                    match (contacts.is_empty(), taken) {
                        (true, _) if line.who.iter().all(|who| who.address().is_none()) => {
                            Fate::Rejected(Reason::UnknownContact)
                        }
                        (true, _) => Fate::Stray(false),
                        (false, true) => Fate::Done(Outcome::Taken),
                        (false, false) => Fate::Done(Outcome::Unchanged),
                    }
                }
            });
        }
        Ok(fates)
    }

    fn take_grant(
        &self,
        present: &mut ExistingConsents,
        known: &Known,
        line: &Line,
        new_id: &(dyn Fn() -> Uuid + Sync),
    ) -> Result<Fate, Error> {
        let contact = match one(known, present, line) {
            Ok(contact) => contact,
            Err(reason) => return Ok(Fate::Rejected(reason)),
        };
        let (Some(told), Said::Granted(grant)) = (told(line, contact), &line.said) else {
            return Err(Error::internal("a consent to nothing"));
        };
        if self.held.has(contact, &told.purpose) {
            return Ok(Fate::HeldBack);
        }
        let best = self.best.get(&key(&told)).map(|best| best.line);
        if best.is_some_and(|best| best != line.line)
            && present.admits(&self.rules.policy, &told, grant).is_ok()
        {
            return Ok(Fate::Repeated);
        }
        Ok(Fate::Done(present.take(&self.rules.policy, new_id, &told)?))
    }
}
