//! Imports contacts from files: every value with its source, every contact with its ground, never a consent. Consents come in
//! from files of their own, with their evidence (floor 4).

mod batches;
mod bounded;
mod cards;
mod consents;
mod csv;
mod door;
mod drafts;
mod heads;
mod known;
mod lines;
mod mapping;
mod noes;
mod objections;
mod opt_outs;
mod own;
mod reader;
mod reading;
mod report;
mod statistics;
mod store;
mod table;
mod times;
mod vcard;
mod words;

use std::{
    collections::HashSet,
    io::{self, Read},
};

use chrono::{DateTime, Utc};

use batches::Batches;
pub use consents::{ConsentImport, ConsentReport, consents};
use drafts::{Checked, Checks};
pub use mapping::{Map, Mapping, OPT_OUTS_OF_OWN, OWN, OptOut, Target};
pub use objections::{Listing, ObjectionImport, ObjectionReport, objections};
pub use reading::{Encoding, Format, OnInvalid, Reading, Region};
pub use report::{Problem, Reason, Report};
use statistics::Statistics;
pub use vcard::{OPT_OUT, STATE};

use crate::{
    context::App,
    error::Error,
    policy::{Grounds, Policy},
    suppressions,
};

/// What to import, and how.
#[derive(Clone, Debug)]
pub struct Import {
    /// Which column of a CSV file holds what.
    pub map: Map,
    /// Which columns say who does not want to be advertised to: that is an objection to direct marketing.
    pub opt_outs: Vec<OptOut>,
    /// Columns that do not count, whatever they look like.
    pub ignore: Vec<String>,
    /// The column of the id in the source. Without one, a row is known again as long as its values stay the same.
    pub external_id: Option<String>,
    /// Name of the source (Art. 14(2)(f)).
    pub source: String,
    /// The purpose the contacts are kept for.
    pub purpose: String,
    /// The fact that makes it lawful, e.g. a contract.
    pub ground: String,
    /// Since when the ground holds; otherwise since now.
    pub since: Option<DateTime<Utc>>,
    /// Who imports.
    pub actor: String,
    /// How the file is read.
    pub reading: Reading,
    /// When the persons were informed, if they were (Art. 14(3)).
    pub informed_at: Option<DateTime<Utc>>,
    /// Version of the privacy notice they were given.
    pub notice_version: Option<String>,
    /// Whether to check only and write nothing.
    pub dry_run: bool,
}

impl Import {
    /// Whether the file may tell who does not want to be advertised to.
    fn may_opt_out(&self) -> bool {
        !self.opt_outs.is_empty() || self.reading.format != Format::Csv
    }

    /// Checks what can be checked before the file is read.
    fn check(&self, app: &App, policy: &Policy) -> Result<(), Error> {
        match (self.reading.format, self.map.is_empty()) {
            (Format::Csv, true) => return Err(Error::input("no column is mapped to a field")),
            (Format::VCard | Format::JsonLines, false) => {
                return Err(Error::input("this kind of file has no columns to be mapped"));
            }
            _ => {}
        }
        let mut targets = self.map.iter().map(|(target, _)| target);
        while let Some(target) = targets.next() {
            if targets.clone().any(|other| other == target) {
                return Err(Error::input("a field is mapped twice"));
            }
        }
        let notice = self.notice_version.as_ref().map(|version| ("notice version", version));
        for (name, value) in [("source", &self.source), ("ground", &self.ground)].into_iter().chain(notice) {
            if value.trim().is_empty() || value.chars().count() > 500 || value.chars().any(char::is_control) {
                return Err(Error::input(format!(
                    "`{name}` must be 1 to 500 characters without control characters"
                )));
            }
        }
        if self.since.is_some_and(|since| since > app.now()) {
            return Err(Error::input("a ground cannot begin in the future"));
        }
        if self.informed_at.is_some_and(|informed| informed > app.now()) {
            return Err(Error::input("nobody was informed in the future"));
        }
        if !self.reading.delimiter.is_ascii() || matches!(self.reading.delimiter, b'"' | b'\r' | b'\n') {
            return Err(Error::input("this delimiter cannot be used"));
        }
        let Some(purpose) = policy.purpose(&self.purpose) else {
            return Err(Error::input(format!("there is no purpose `{}`", self.purpose)));
        };
        if purpose.is_group {
            return Err(Error::input(format!("`{}` is a group of purposes", self.purpose)));
        }
        if purpose.grounds != Grounds::Recorded {
            // Art. 7(1): a consent needs a declaration of the person, which a file cannot make.
            return Err(Error::input(format!(
                "an import cannot make a ground for the purpose `{}`",
                self.purpose
            )));
        }
        Ok(())
    }
}

/// The rows of a file, whatever its format.
enum Rows<R> {
    Csv(Box<csv::CsvRows<R>>),
    VCard(vcard::CardRows<R>),
    JsonLines(own::JsonRows<R>),
}

impl<R: Read> Rows<R> {
    /// The rows, and what is wrong with the columns. For advertising a file in which an unmapped column may say no is looked through first.
    fn looked<F: Fn() -> io::Result<R>>(
        open: F,
        import: &Import,
        app: &App,
    ) -> Result<(Self, Vec<Problem>), Error> {
        let file = || open().map_err(|_| Error::input("the file cannot be opened"));
        let opened = Self::open(file()?, import, app)?;
        match opened {
            (Self::Csv(rows), _)
                if rows.is_doubtful()
                    && suppressions::is_advertising(&app.policy.current(), &import.purpose) =>
            {
                rows.look()?;
                Self::open(file()?, import, app)
            }
            opened => Ok(opened),
        }
    }

    /// The rows, and what is wrong with the columns.
    fn open(file: R, import: &Import, app: &App) -> Result<(Self, Vec<Problem>), Error> {
        let today = app.now().date_naive();
        let checks = Checks::new(&import.reading, today);
        let mut problems = Vec::new();
        let advertising = suppressions::is_advertising(&app.policy.current(), &import.purpose);
        let rows = match import.reading.format {
            Format::Csv => {
                let (rows, unclear) = csv::CsvRows::open(file, import, advertising, checks, today)?;
                problems = unclear;
                Self::Csv(Box::new(rows))
            }
            Format::VCard => Self::VCard(vcard::CardRows::new(file, import.reading.encoding, checks)),
            Format::JsonLines => {
                let ignored = import.ignore.iter().any(|name| name == own::OPT_OUTS);
                Self::JsonLines(own::JsonRows::new(file, checks, today, advertising && !ignored))
            }
        };
        Ok((rows, problems))
    }

    fn next(&mut self) -> Result<Option<Checked>, Error> {
        match self {
            Self::Csv(rows) => rows.next(),
            Self::VCard(rows) => rows.next(),
            Self::JsonLines(rows) => rows.next(),
        }
    }
}

/// Imports the file that `open` gives into contacts, each with provenance and a ground for the purpose. Every problem is told as it is found,
/// in the order of the file; a row that is rejected has at least one.
///
/// The file is read as a stream. A batch is read while the one before is written, and each is written in a transaction of its own: after an
/// interruption the same import again goes on where it stopped, since rows of earlier batches are found by source and external id. Only where an
/// unmapped column may say no to advertising it is read twice. While the audit log cannot be written its opt-outs are taken all the
/// same, and nothing else.
///
/// # Errors
/// `AUDIT_UNAVAILABLE` where contacts could not come in;
/// `BAD_USER_INPUT` if nothing can be imported at all, `INTERNAL` from the database, and what `tell` gives; batches before
/// that stay.
pub async fn contacts<R: Read + Send + 'static>(
    app: &App,
    open: impl Fn() -> io::Result<R> + Send,
    import: &Import,
    mut tell: impl FnMut(Problem) -> Result<(), Error> + Send,
) -> Result<Report, Error> {
    import.check(app, &app.policy.current())?;
    let (rows, mut unclear) = Rows::looked(open, import, app)?;
    let mut batches = Batches::begin(rows, app.reader)?;
    let (mut unwritten, mut statistics) = (None, Statistics::begin());
    let mut report = Report { dry_run: import.dry_run, ..Report::default() };
    loop {
        let batch = batches.next().await?;
        report.rows += batch.read;
        report.rejected += batch.rejected;
        for name in batch.left_out {
            *report.left_out.entry(name).or_default() += 1;
        }
        let mut problems = std::mem::take(&mut unclear);
        problems.extend(batch.problems);
        let total = count(batch.rows.len());
        let mut written = store::write(app, import, (batch.rows, batch.left), unwritten.is_some()).await?;
        unwritten = unwritten.or(written.unwritten.take());
        report.opted_out += written.opted_out;
        let lost = |line: &u64| Problem::of(*line, None, Reason::UnknownContact).not_taken();
        problems.extend(written.lost.iter().map(lost));
        report.imported += written.imported;
        if !import.dry_run {
            statistics.after(app, written.imported).await;
        }
        report.rejected += count(written.refused.len());
        report.unchanged += total - written.imported - count(written.refused.len());
        let refused = |(line, reason)| Problem::of(line, None, reason);
        problems.extend(written.refused.into_iter().map(refused));
        problems.sort_by_key(|problem| problem.line);
        report.problems += count(problems.len());
        let noes: HashSet<u64> =
            problems.iter().filter(|problem| problem.no_not_taken).map(|problem| problem.line).collect();
        report.noes_not_taken += count(noes.len());
        problems.into_iter().try_for_each(&mut tell)?;
        match (batch.is_last, &unwritten) {
            (false, _) => {}
            (true, None) => return Ok(report),
            (true, Some(error)) => {
                let taken = report.opted_out;
                return Err(Error::new(
                    error.code,
                    format!(
                        "the audit log cannot be written, so that contacts did not come in; opt-outs of the file are taken all the same ({taken}), and their entries follow"
                    ),
                ));
            }
        }
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or_default()
}

fn broken_off(line: u64) -> Error {
    Error::input(format!(
        "the file cannot be read on from line {line}: it breaks off, or a row there is longer than 16 MiB because a quote is not \
         closed; what was imported before stays"
    ))
}
