//! Imports consents with their evidence from a CSV file: gaps are filled, no word of the person is overridden (floor 4).
//!
//! The file is read twice, so that the order of its lines does not matter. First every withdrawal and refusal is written, and of
//! several consents to the same the last declared one is found; then consents are written, each against what is known by then.

mod lines;
mod noes;
mod report;
mod strays;

use std::{
    collections::{HashMap, HashSet},
    io::{self, Read},
};

use chrono::{DateTime, Utc};
use entity::{contact, contact_point, provenance};
use sea_orm::{ActiveEnum, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::{Problem, Reading, Reason, table::Table};
use crate::{
    audit::{self, Author},
    consents::{Hindrance, Outcome, Present, Said, Told},
    context::App,
    error::Error,
};
use lines::{Columns, FIELDS, Line, Rules, Who, short};
pub use report::ConsentReport;
use strays::{listed, stray};

/// Lines that are written in one transaction.
const BATCH: usize = 100;
/// Values in one list of a statement.
const PARAMETERS: usize = 10_000;

/// What to import, and how.
#[derive(Clone, Debug)]
pub struct ConsentImport {
    /// Which column holds what; one that is called as what it holds needs no word.
    pub map: Vec<(&'static str, String)>,
    /// Where consents were declared, for lines that do not say it.
    pub source: Option<String>,
    /// The source that external ids are those of; any otherwise.
    pub contact_source: Option<String>,
    /// Who imports.
    pub actor: String,
    /// How the file is read.
    pub reading: Reading,
    /// Whether to check only and write nothing.
    pub dry_run: bool,
}

impl ConsentImport {
    /// Pairs `field=Column` as the command line gives them.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for an unknown field, or one mapped twice.
    pub fn map_from<'a>(
        pairs: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<(&'static str, String)>, Error> {
        let mut map: Vec<(&'static str, String)> = Vec::new();
        for pair in pairs {
            let Some((name, column)) = pair.split_once('=') else {
                return Err(Error::input(format!("`{pair}` is not of the form field=Column")));
            };
            let Some(field) = FIELDS.into_iter().find(|field| *field == name.trim()) else {
                let known = FIELDS.join(", ");
                return Err(Error::input(format!("`{name}` is not part of a consent; known are {known}")));
            };
            if map.iter().any(|(other, _)| *other == field) {
                return Err(Error::input(format!("`{name}` is mapped twice")));
            }
            map.push((field, column.trim().to_owned()));
        }
        Ok(map)
    }

    fn check(&self) -> Result<(), Error> {
        let named = [("source", &self.source), ("contact source", &self.contact_source)];
        for (name, value) in named.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            if value.trim().is_empty() || value.chars().count() > 500 || value.chars().any(char::is_control) {
                let message = format!("`{name}` must be 1 to 500 characters without control characters");
                return Err(Error::input(message));
            }
        }
        if !self.reading.delimiter.is_ascii() || matches!(self.reading.delimiter, b'"' | b'\r' | b'\n') {
            return Err(Error::input("this delimiter cannot be used"));
        }
        Ok(())
    }
}

impl From<Hindrance> for Reason {
    fn from(hindrance: Hindrance) -> Self {
        match hindrance {
            Hindrance::NotActive => Reason::NotActive,
            Hindrance::OtherAddress => Reason::OtherAddress,
            Hindrance::Objected => Reason::Objected,
            Hindrance::Suppressed => Reason::Suppressed,
            Hindrance::Withdrawn => Reason::AlreadyWithdrawn,
            Hindrance::Refused => Reason::AlreadyRefused,
            Hindrance::Invalidated => Reason::AlreadyInvalidated,
            Hindrance::Expired => Reason::AlreadyExpired,
        }
    }
}

/// What became of a line.
enum Fate {
    Done(Outcome),
    Rejected(Reason),
    /// Another line tells of a later declaration of the same.
    Repeated,
}

/// Of several consents to the same, the line that counts: the last declared; where that is the same, the one that its content
/// decides, so that the order of lines does not.
#[derive(Clone, Copy)]
struct Best {
    rank: (DateTime<Utc>, u64),
    line: u64,
}

/// An import under way. What grows with the file are some 50 bytes for each consent that is told.
struct Run<'a, T> {
    app: &'a App,
    import: &'a ConsentImport,
    rules: Rules,
    tell: T,
    report: ConsentReport,
    best: HashMap<u64, Best>,
    /// What a trial would have ended.
    ended: HashMap<u64, Vec<Told>>,
}

/// Imports consents, withdrawals and refusals. Problems are told as they are found: those of lines that end consents and of lines
/// that cannot be read at all first, then those of consents; each in the order of the file.
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
    let rules = Rules::of(app, import).await?;
    let report = ConsentReport { dry_run: import.dry_run, ..ConsentReport::default() };
    let (best, ended) = (HashMap::new(), HashMap::new());
    let mut run = Run { app, import, rules, tell, report, best, ended };
    let file = || open().map_err(|_| Error::input("the file cannot be opened"));
    run.pass(file()?, true).await?;
    run.pass(file()?, false).await?;
    Ok(run.report)
}

impl<T: FnMut(Problem) -> Result<(), Error> + Send> Run<'_, T> {
    /// Reads the file once: `first` for what ends consents, then for consents.
    async fn pass<R: Read + Send>(&mut self, file: R, first: bool) -> Result<(), Error> {
        let mut table = Table::open(file, &self.import.reading)?;
        let columns = Columns::of(&table, self.import)?;
        let (mut ends, mut grants) = (Vec::new(), Vec::new());
        while let Some(row) = table.next()? {
            match row {
                Err(row) if first => {
                    self.report.rows += 1;
                    self.report.rejected += 1;
                    let (line, last_line) = (row.line, row.last_line);
                    self.problem(Problem { line, last_line, column: None, reason: row.reason })?;
                }
                Err(_) => {}
                Ok(line) => {
                    let (read, problems) = lines::read(&table, &columns, &self.rules, line);
                    if first {
                        self.report.rows += 1;
                        for head in columns.left_out(&table) {
                            *self.report.unmapped.entry(head.to_owned()).or_default() += 1;
                        }
                    }
                    if first {
                        self.report.rejected += u64::from(read.is_none());
                        problems.into_iter().try_for_each(|problem| self.problem(problem))?;
                    }
                    match read {
                        Some(line) if matches!(line.said, Said::Granted(_)) => grants.push(line),
                        Some(line) if first => ends.push(line),
                        _ => {}
                    }
                }
            }
            if ends.len() == BATCH {
                self.write(std::mem::take(&mut ends)).await?;
            }
            if grants.len() == BATCH {
                self.grants(std::mem::take(&mut grants), first).await?;
            }
        }
        self.write(ends).await?;
        self.grants(grants, first).await
    }

    async fn grants(&mut self, lines: Vec<Line>, first: bool) -> Result<(), Error> {
        if first { self.rank(&lines).await } else { self.write(lines).await }
    }

    fn problem(&mut self, problem: Problem) -> Result<(), Error> {
        self.report.problems += 1;
        *self.report.reasons.entry(problem.reason.as_str()).or_default() += 1;
        (self.tell)(problem)
    }

    /// Finds of several consents to the same the one that counts, among those that nothing stands against.
    async fn rank(&mut self, lines: &[Line]) -> Result<(), Error> {
        let reader = &self.app.db.reader;
        let known = find(reader, self.import, lines).await?;
        let ring = audit::known_ring(self.app).await?;
        let present = Present::read(
            reader,
            (ring, &self.app.reader),
            &ids(&known),
            false,
            (self.rules.now(), &self.import.actor),
        )
        .await?;
        for line in lines {
            let (Ok(contact), Said::Granted(grant)) = (one(&known, &present, &line.who), &line.said) else {
                continue;
            };
            let told = told(line, contact);
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
            false => audit::again(|| self.commit(&lines)).await?,
        };
        for (line, fate) in lines.iter().zip(fates) {
            let reason = match fate {
                Fate::Done(Outcome::Taken) => {
                    match line.said {
                        Said::Granted(_) => self.report.granted += 1,
                        Said::Ended { .. } => self.report.ended += 1,
                    }
                    continue;
                }
                Fate::Done(Outcome::Unchanged) => {
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
                Fate::Rejected(reason) => {
                    self.report.rejected += 1;
                    reason
                }
            };
            self.problem(Problem { line: line.line, last_line: None, column: None, reason })?;
        }
        Ok(())
    }

    async fn commit(&self, lines: &[Line]) -> Result<Vec<Fate>, Error> {
        let author = Author::command(self.app, &self.import.actor, None);
        let mut tx = audit::begin(self.app, author).await?;
        let known = find(tx.connection(), self.import, lines).await?;
        let about = noes::lock(&mut tx, &known, lines).await?;
        let ring = tx.known_ring().await?;
        let by = (tx.now(), self.import.actor.as_str());
        let mut present =
            Present::read(tx.connection(), (ring.as_ref(), tx.reader()), &ids(&known), true, by).await?;
        let mut fates = self.take(&mut present, &known, lines, &|| tx.new_id())?;
        let mut kept = 0;
        for (line, fate) in lines.iter().zip(&mut fates) {
            let Some((address, since, source)) = stray(line, fate, tx.now()) else { continue };
            let of = tx.known_ring().await?;
            let listed = listed(tx.connection(), (of.as_ref(), tx.reader()), address, line, since).await?;
            *fate = Fate::Done(if listed { Outcome::Unchanged } else { Outcome::Taken });
            _ = source;
            kept += usize::from(!listed);
        }
        let written = present.write(&mut tx, "importConsents").await?;
        for (line, fate) in lines.iter().zip(&fates) {
            if matches!(fate, Fate::Done(Outcome::Taken)) {
                noes::declare(&mut tx, &about, line).await?;
            }
        }
        if written + kept > 0 {
            tx.commit().await?;
        }
        Ok(fates)
    }

    async fn trial(&mut self, lines: &[Line]) -> Result<Vec<Fate>, Error> {
        let reader = &self.app.db.reader;
        let known = find(reader, self.import, lines).await?;
        let ring = audit::known_ring(self.app).await?;
        let by = (self.rules.now(), self.import.actor.as_str());
        let mut present = Present::read(reader, (ring, &self.app.reader), &ids(&known), false, by).await?;
        let new_id = || self.app.new_id();
        let told: Vec<Told> = lines
            .iter()
            .filter_map(|line| Some(told(line, one(&known, &present, &line.who).ok()?)))
            .collect();
        // What earlier lines would have ended by now.
        let mut before: HashSet<u64> = HashSet::new();
        for told in &told {
            for ended in self.ended.get(&key(told)).filter(|_| before.insert(key(told))).into_iter().flatten()
            {
                present.take(&self.rules.policy, &new_id, ended)?;
            }
        }
        let mut fates = self.take(&mut present, &known, lines, &new_id)?;
        for (line, fate) in lines.iter().zip(&mut fates) {
            if let Some((address, since, _)) = stray(line, fate, self.rules.now()) {
                let listed = listed(reader, (ring, &self.app.reader), address, line, since).await?;
                *fate = Fate::Done(if listed { Outcome::Unchanged } else { Outcome::Taken });
            }
        }
        for told in told.into_iter().filter(|told| matches!(told.said, Said::Ended { .. })) {
            self.ended.entry(key(&told)).or_default().push(told);
        }
        Ok(fates)
    }

    /// Decides about each line in its turn.
    fn take(
        &self,
        present: &mut Present,
        known: &Known,
        lines: &[Line],
        new_id: &(dyn Fn() -> Uuid + Sync),
    ) -> Result<Vec<Fate>, Error> {
        let mut fates = Vec::with_capacity(lines.len());
        for line in lines {
            let contact = match one(known, present, &line.who) {
                Ok(contact) => contact,
                Err(reason) => {
                    fates.push(Fate::Rejected(reason));
                    continue;
                }
            };
            let told = told(line, contact);
            let best = self.best.get(&key(&told)).map(|best| best.line);
            fates.push(match &told.said {
                Said::Granted(grant)
                    if best.is_some_and(|best| best != line.line)
                        && present.admits(&self.rules.policy, &told, grant).is_ok() =>
                {
                    Fate::Repeated
                }
                _ => Fate::Done(present.take(&self.rules.policy, new_id, &told)?),
            });
        }
        Ok(fates)
    }
}

fn told(line: &Line, contact_id: Uuid) -> Told {
    Told { contact_id, purpose: line.purpose.clone(), channel: line.channel, said: line.said.clone() }
}

/// Stands for contact, purpose and channel; of a million two that differ are taken for the same once in ten million files.
fn key(told: &Told) -> u64 {
    short(&format!("{}\0{}\0{}", told.contact_id, told.purpose, told.channel.to_value()))
}

/// Contacts by what lines name them by.
type Known = HashMap<Who, HashSet<Uuid>>;

fn ids(known: &Known) -> HashSet<Uuid> {
    known.values().flatten().copied().collect()
}

/// The one contact that is meant.
fn one(known: &Known, present: &Present, who: &Who) -> Result<Uuid, Reason> {
    let mut found = known.get(who).into_iter().flatten().copied().filter(|id| present.has(*id));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id),
        (None, _) => Err(Reason::UnknownContact),
        _ => Err(Reason::AmbiguousContact),
    }
}

/// Looks for the contacts of all lines: a statement for each kind of name.
async fn find<C: ConnectionTrait>(
    connection: &C,
    import: &ConsentImport,
    lines: &[Line],
) -> Result<Known, Error> {
    let mut known = Known::new();
    let (mut emails, mut externals) = (HashSet::new(), HashSet::new());
    for line in lines {
        match &line.who {
            Who::Id(id) => _ = known.entry(line.who.clone()).or_default().insert(*id),
            Who::Email(key) => _ = emails.insert(key.as_str()),
            Who::External(id) => _ = externals.insert(id.as_str()),
        }
    }
    let mut pairs: Vec<(Who, Uuid)> = Vec::new();
    let emails = Vec::from_iter(emails);
    for emails in emails.chunks(PARAMETERS) {
        use contact_point::Column as Point;
        let primary =
            contact::Entity::find().select_only().columns([contact::Column::EmailKey, contact::Column::Id]);
        let primary = primary.filter(contact::Column::EmailKey.is_in(emails.iter().copied()));
        let further =
            contact_point::Entity::find().select_only().columns([Point::EmailKey, Point::ContactId]);
        let further = further.filter(Point::EmailKey.is_in(emails.iter().copied()));
        let mut rows: Vec<(String, Uuid)> = primary.into_tuple().all(connection).await?;
        rows.extend(further.into_tuple::<(String, Uuid)>().all(connection).await?);
        pairs.extend(rows.into_iter().map(|(key, id)| (Who::Email(key), id)));
    }
    let externals = Vec::from_iter(externals);
    for externals in externals.chunks(PARAMETERS) {
        use provenance::Column as Source;
        let rows = provenance::Entity::find().select_only().columns([Source::ExternalId, Source::ContactId]);
        let rows = rows.filter(Source::ExternalId.is_in(externals.iter().copied()));
        let rows = match &import.contact_source {
            Some(source) => rows.filter(Source::Source.eq(source.trim())),
            None => rows,
        };
        let rows: Vec<(String, Uuid)> = rows.into_tuple().all(connection).await?;
        pairs.extend(rows.into_iter().map(|(key, id)| (Who::External(key), id)));
    }
    for (who, id) in pairs {
        known.entry(who).or_default().insert(id);
    }
    Ok(known)
}
