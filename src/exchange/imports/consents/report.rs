//! The report of an import of consents. Room: exchange/imports/consents.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::exchange::imports::report::{write_counts, write_reasons};

/// The outcome. `rows = granted + ended + strays + unchanged + leftOut + rejected`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConsentReport {
    /// Whether it was a dry run; the counts then say what would have been written.
    pub dry_run: bool,
    /// Lines in the file, without the header.
    pub rows: u64,
    /// Consents that fill a gap.
    pub granted: u64,
    /// Withdrawals, refusals and objections of those who have a record.
    pub ended: u64,
    /// The same for persons without a record: their addresses are on the suppression list now.
    pub strays: u64,
    /// Lines that change nothing.
    pub unchanged: u64,
    /// Lines that are overridden by a withdrawal, an objection or another address of the person.
    pub left_out: u64,
    /// Invalid lines.
    pub rejected: u64,
    /// Lines that are or may be opt-outs and were not recorded, or not completely.
    pub noes_not_taken: u64,
    /// Whether the audit log could not be written, so that its entries follow later.
    pub owed: bool,
    /// Number of reported problems.
    #[serde(rename = "problemCount")]
    pub problems: u64,
    /// Number of problems by reason.
    pub reasons: BTreeMap<&'static str, u64>,
    /// Columns that are not imported, with the number of filled cells.
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
