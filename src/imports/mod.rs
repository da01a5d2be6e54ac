//! Imports contacts from files: every value with its source, every contact with its ground, never a consent (floor 4).

mod lines;
mod reading;
mod report;
mod rows;
mod store;

use std::{collections::HashSet, io::Read};

use chrono::{DateTime, Utc};

pub use reading::{Encoding, Mapping, OnInvalid, Reading};
pub use report::{Problem, Reason, Report};

use crate::{
    context::App,
    error::Error,
    policy::{Grounds, Policy},
    register::{CONTACT, Field},
};

/// Rows that are written in one transaction.
const BATCH: usize = 500;

/// What to import, and how.
#[derive(Clone, Debug)]
pub struct Import {
    /// Which column holds which field.
    pub map: Vec<(&'static Field, String)>,
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
    /// Pairs `field=Column` as the command line gives them.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for an unknown field, or one mapped twice.
    pub fn map_from<'a>(
        pairs: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<(&'static Field, String)>, Error> {
        let mut map: Vec<(&'static Field, String)> = Vec::new();
        for pair in pairs {
            let Some((name, column)) = pair.split_once('=') else {
                return Err(Error::input(format!("`{pair}` is not of the form field=Column")));
            };
            let field = CONTACT.given().map(|(field, _)| field).find(|field| field.name == name.trim());
            let field = field.ok_or_else(|| {
                let known: Vec<&str> = CONTACT.given().map(|(field, _)| field.name).collect();
                let known = known.join(", ");
                Error::input(format!("`{name}` is not a field that can be imported; known are {known}"))
            })?;
            if map.iter().any(|(other, _)| other.name == field.name) {
                return Err(Error::input(format!("`{name}` is mapped twice")));
            }
            map.push((field, column.trim().to_owned()));
        }
        Ok(map)
    }

    /// Checks what can be checked before the file is read.
    fn check(&self, app: &App, policy: &Policy) -> Result<(), Error> {
        if self.map.is_empty() {
            return Err(Error::input("no column is mapped to a field"));
        }
        let fields: HashSet<&str> = self.map.iter().map(|(field, _)| field.name).collect();
        if fields.len() != self.map.len() {
            return Err(Error::input("a field is mapped twice"));
        }
        for (name, value) in [("source", &self.source), ("ground", &self.ground)] {
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

/// Imports the CSV `file` into contacts, each with provenance and a ground for the purpose.
///
/// The file is read as a stream and written in batches, each in a transaction of its own: after an interruption the
/// same import again goes on where it stopped, since rows of earlier batches are found by source and external id.
///
/// # Errors
/// `BAD_USER_INPUT` if nothing can be imported at all, `INTERNAL` from the database; batches before that stay.
pub async fn contacts<R: Read + Send>(app: &App, file: R, import: &Import) -> Result<Report, Error> {
    import.check(app, &app.policy.current())?;
    let mut rows = rows::Rows::open(file, import, app.now().date_naive())?;
    let mut report = Report { dry_run: import.dry_run, ..Report::default() };
    loop {
        let mut batch = Vec::with_capacity(BATCH);
        let mut ended = false;
        while batch.len() < BATCH {
            match rows.next()? {
                None => {
                    ended = true;
                    break;
                }
                Some((row, problems)) => {
                    report.problems.extend(problems);
                    match row {
                        Some(row) => batch.push(row),
                        None => report.rejected += 1,
                    }
                }
            }
            report.rows += 1;
        }
        let total = u64::try_from(batch.len()).unwrap_or_default();
        let imported = store::write(app, import, batch).await?;
        report.imported += imported;
        report.unchanged += total - imported;
        if ended {
            return Ok(report);
        }
    }
}
