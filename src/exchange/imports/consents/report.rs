//! What an import of consents did, in numbers. Room: exchange/imports/consents.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::exchange::imports::report::{write_counts, write_reasons};

/// The outcome. `rows = granted + ended + strays + unchanged + leftOut + rejected`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsentReport {
    /// Whether nothing was written; the counts then say what would have been.
    pub dry_run: bool,
    /// Lines in the file, without the header.
    pub rows: u64,
    /// Consents that fill a gap.
    pub granted: u64,
    /// Withdrawals, refusals and objections of those who have a record.
    pub ended: u64,
    /// The same of those who have none: their addresses are on the suppression list now.
    pub strays: u64,
    /// Lines that tell what is known already.
    pub unchanged: u64,
    /// Lines against which a withdrawal, an objection or another address of the person stands.
    pub left_out: u64,
    /// Lines that cannot be right.
    pub rejected: u64,
    /// Lines that say no, or may say it, and were not taken, or not in all that they say.
    pub noes_not_taken: u64,
    /// Whether the audit log could not be written, so that entries of it follow.
    pub owed: bool,
    /// How many problems were told.
    #[serde(rename = "problemCount")]
    pub problems: u64,
    /// How often each reason was told.
    pub reasons: BTreeMap<&'static str, u64>,
    /// Columns that hold nothing which is imported, with how often.
    pub unmapped: BTreeMap<String, u64>,
}

impl fmt::Display for ConsentReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [granted, ended] = if self.dry_run { ["would grant", "would end"] } else { ["granted", "ended"] };
        if self.noes_not_taken > 0 {
            write_counts(f, &[("noes not taken", self.noes_not_taken)])?;
        }
        let counts = [
            ("rows", self.rows),
            (granted, self.granted),
            (ended, self.ended),
            ("met no record", self.strays),
            ("unchanged", self.unchanged),
            ("left out", self.left_out),
            ("rejected", self.rejected),
            ("problems", self.problems),
        ];
        write_counts(f, &counts)?;
        write_reasons(f, self.owed, &self.reasons, &self.unmapped)
    }
}
