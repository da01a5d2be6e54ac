//! The parameters of an import of consents. Room: exchange/imports/consents.

use std::collections::HashSet;

use crate::{
    base::error::Error,
    exchange::imports::options::{ReadOptions, check_text, parse_map},
};

/// The opt-out column: a yes there is an opt-out, and nothing there is a consent.
pub(super) const OPT_OUT: &str = "optOut";

/// The fields that a column may hold.
pub(super) const FIELDS: [&str; 17] = [
    "contactId",
    "email",
    "phone",
    "externalId",
    "purpose",
    "channel",
    "status",
    "declaredAt",
    "confirmedAt",
    "textVersion",
    "language",
    "proof",
    "source",
    "evidence",
    "address",
    "expiresAt",
    OPT_OUT,
];

/// The parameters of an import.
#[derive(Clone, Debug)]
pub struct ConsentImport {
    /// The mapped columns; a column with the name of its field needs no mapping.
    pub map: Vec<(&'static str, String)>,
    /// Columns to ignore, even if they look relevant.
    pub ignore: Vec<String>,
    /// The source of the declarations, for lines without one.
    pub source: Option<String>,
    /// Look up external ids only in this source; in any if `None`.
    pub contact_source: Option<String>,
    /// The actor of the import.
    pub actor: String,
    /// How the file is read.
    pub read_options: ReadOptions,
    /// Whether to only check and write nothing.
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
        let map = parse_map(pairs, &FIELDS, "a consent")?;
        let mut seen = HashSet::new();
        if let Some((field, _)) = map.iter().find(|(field, _)| !seen.insert(*field)) {
            return Err(Error::bad_input(format!("`{field}` is mapped twice")));
        }
        Ok(map)
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let named = [("source", &self.source), ("contact source", &self.contact_source)];
        for (name, value) in named.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            check_text(name, value)?;
        }
        self.read_options.check()?;
        Ok(())
    }
}
