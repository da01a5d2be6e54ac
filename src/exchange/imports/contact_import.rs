//! The parameters of an import of contacts. Room: exchange/imports.

use chrono::{DateTime, Utc};

use super::target::{Map, OptOut};
use crate::exchange::imports::options::{Format, ReadOptions, check_text};
use crate::{
    app::App,
    base::error::Error,
    domain::contacts::source_updates::UpdateMode,
    policy::{Grounds, Policy},
};

/// The parameters of an import.
#[derive(Clone, Debug)]
pub struct ContactImport {
    /// Which column of a CSV file holds what.
    pub map: Map,
    /// Which columns say who does not want to be advertised to: that is an objection to direct marketing.
    pub opt_outs: Vec<OptOut>,
    /// Columns to ignore, even if they look relevant.
    pub ignore: Vec<String>,
    /// The column of the id in the source. Without one, a row is only recognised again while its values stay the same.
    pub external_id: Option<String>,
    /// How far contacts that earlier imports have made are updated; not at all if `None`.
    pub update: Option<UpdateMode>,
    /// The column of the version of a contact that the row is based on.
    pub expected_version: Option<String>,
    /// Name of the source (Art. 14(2)(f)).
    pub source: String,
    /// The purpose the contacts are kept for.
    pub purpose: String,
    /// The fact that makes the processing lawful, e.g. a contract.
    pub ground: String,
    /// Since when the ground holds; otherwise since now.
    pub since: Option<DateTime<Utc>>,
    /// The actor of the import.
    pub actor: String,
    /// How the file is read.
    pub read_options: ReadOptions,
    /// When the persons were informed, if they were (Art. 14(3)).
    pub informed_at: Option<DateTime<Utc>>,
    /// Version of the privacy notice they were given.
    pub notice_version: Option<String>,
    /// Whether to only check and write nothing.
    pub dry_run: bool,
}

impl ContactImport {
    /// Whether the file may contain opt-outs.
    pub(super) fn may_opt_out(&self) -> bool {
        !self.opt_outs.is_empty() || self.read_options.format != Format::Csv
    }

    fn check_update(&self) -> Result<(), Error> {
        let format = self.read_options.format;
        if self.update.is_some() && format == Format::Csv && self.external_id.is_none() {
            return Err(Error::bad_input(
                "an update needs the column of the id in the source: without it a changed row is a new contact",
            ));
        }
        match &self.expected_version {
            Some(_) if self.update.is_none() => {
                Err(Error::bad_input("an expected version means nothing without an update"))
            }
            Some(_) if format == Format::VCard => {
                Err(Error::bad_input("vCards have no version of a contact"))
            }
            _ => Ok(()),
        }
    }

    /// Checks what can be checked before the file is read.
    pub(super) fn check(&self, app: &App, policy: &Policy) -> Result<(), Error> {
        match (self.read_options.format, self.map.is_empty()) {
            (Format::Csv, true) => return Err(Error::bad_input("no column is mapped to a field")),
            (Format::VCard | Format::JsonLines, false) => {
                return Err(Error::bad_input("this kind of file has no columns to be mapped"));
            }
            _ => {}
        }
        let mut targets = self.map.iter().map(|(target, _)| target);
        while let Some(target) = targets.next() {
            if targets.clone().any(|other| other == target) {
                return Err(Error::bad_input("a field is mapped twice"));
            }
        }
        let notice = self.notice_version.as_ref().map(|version| ("notice version", version));
        for (name, value) in [("source", &self.source), ("ground", &self.ground)].into_iter().chain(notice) {
            check_text(name, value)?;
        }
        if self.since.is_some_and(|since| since > app.now()) {
            return Err(Error::bad_input("a ground cannot begin in the future"));
        }
        if self.informed_at.is_some_and(|informed| informed > app.now()) {
            return Err(Error::bad_input("nobody was informed in the future"));
        }
        self.check_update()?;
        self.read_options.check()?;
        let Some(purpose) = policy.purpose(&self.purpose) else {
            return Err(Error::bad_input(format!("there is no purpose `{}`", self.purpose)));
        };
        if purpose.is_group {
            return Err(Error::bad_input(format!("`{}` is a group of purposes", self.purpose)));
        }
        if purpose.grounds != Grounds::Recorded {
            // Art. 7(1): a consent needs a declaration of the person, which a file cannot make.
            return Err(Error::bad_input(format!(
                "an import cannot make a ground for the purpose `{}`",
                self.purpose
            )));
        }
        Ok(())
    }
}
