//! The parameters of an import of objections. Room: exchange/imports/objections.

use entity::enums::{Channel, SuppressionKind};
use serde::Serialize;

use crate::{
    app::App,
    base::error::Error,
    exchange::imports::{
        objection_recorder::{advertising_purposes, can_be_objected_to},
        options::{ReadOptions, check_text, parse_map},
    },
};

/// The opt-out column: a yes there is an opt-out.
pub(super) const OPT_OUT: &str = "optOut";

/// The fields that a column may hold.
pub(super) const FIELDS: [&str; 12] = [
    "email",
    "phone",
    "street",
    "postalCode",
    "city",
    "country",
    "familyName",
    "channel",
    "at",
    "source",
    "status",
    OPT_OUT,
];

/// The contents of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Listing {
    /// Persons who objected to advertising (Art. 21(2)).
    Objection,
    /// A list that others keep, e.g. a Robinson list. It stops what rests on no consent, for records that are there; a
    /// line that meets no record is not kept.
    ExternalList,
    /// Addresses that messages come back from. Nobody declared anything by that; a line that meets no record is not
    /// kept.
    Undeliverable,
}

impl Listing {
    /// The kind of the suppression entries.
    pub(super) fn kind(self) -> SuppressionKind {
        match self {
            Self::Objection => SuppressionKind::Objection,
            Self::ExternalList => SuppressionKind::ExternalList,
            Self::Undeliverable => SuppressionKind::Undeliverable,
        }
    }
}

/// The parameters of an import.
#[derive(Clone, Debug)]
pub struct ObjectionImport {
    /// The contents of the file.
    pub kind: Listing,
    /// The purpose or group that it is about; all advertising otherwise.
    pub purpose: Option<String>,
    /// On which channel, where neither file nor preset says it; on all otherwise.
    pub channel: Option<Channel>,
    /// Name of a common export.
    pub preset: Option<String>,
    /// The mapped columns; a column with the name of its field needs no mapping.
    pub map: Vec<(&'static str, String)>,
    /// Columns to ignore, even if they look relevant.
    pub ignore: Vec<String>,
    /// Where it was declared, for lines that do not say it.
    pub source: Option<String>,
    /// The actor of the import.
    pub actor: String,
    /// How the file is read.
    pub read_options: ReadOptions,
    /// Whether to only check and write nothing.
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
        parse_map(pairs, &FIELDS, "an objection")
    }

    pub(super) fn check(&self, app: &App) -> Result<Vec<String>, Error> {
        if let Some(source) = &self.source {
            check_text("source", source)?;
        }
        self.read_options.check()?;
        if self.kind == Listing::ExternalList && self.preset.is_some() {
            return Err(Error::bad_input(
                "a preset reads what a program knows of its own recipients; a list of others has none",
            ));
        }
        let policy = app.policy.current();
        let Some(code) = &self.purpose else {
            let all = advertising_purposes(&policy);
            if all.is_empty() {
                return Err(Error::bad_input(
                    "no purpose of the policy is advertising; name one by --purpose",
                ));
            }
            return Ok(all);
        };
        match policy.purpose(code) {
            None => Err(Error::bad_input(format!("there is no purpose `{code}`"))),
            Some(purpose) if !can_be_objected_to(purpose) => {
                Err(Error::bad_input(format!("`{code}` cannot be objected to (Art. 21)")))
            }
            Some(_) => Ok(vec![code.clone()]),
        }
    }
}
