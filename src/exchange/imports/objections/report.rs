//! What an import of addresses that must not be advertised to did, in numbers. Room: exchange/imports/objections.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use super::objection_import::{Listing, ObjectionImport};
use crate::exchange::imports::report::{write_counts, write_reasons};

/// The outcome. `rows = matched + unmatched + unchanged + leftOut + rejected`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectionReport {
    /// The contents of the file.
    pub kind: Listing,
    /// Whether it was a dry run; the counts then say what would have been written.
    pub dry_run: bool,
    /// Lines in the file, without the header.
    pub rows: u64,
    /// Lines with the address of a record, which changed something.
    pub matched: u64,
    /// Lines whose address nobody has. Of an objection it is on the suppression list now; of other kinds nothing is
    /// kept.
    pub unmatched: u64,
    /// Lines that change nothing.
    pub unchanged: u64,
    /// Lines that say something else.
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
    /// Columns that are not read, with the number of filled cells.
    pub unmapped: BTreeMap<String, u64>,
}

impl ObjectionReport {
    pub(super) fn new(import: &ObjectionImport) -> Self {
        Self {
            kind: import.kind,
            dry_run: import.dry_run,
            rows: 0,
            matched: 0,
            unmatched: 0,
            unchanged: 0,
            left_out: 0,
            rejected: 0,
            noes_not_taken: 0,
            owed: false,
            problems: 0,
            reasons: BTreeMap::new(),
            unmapped: BTreeMap::new(),
        }
    }
}

impl fmt::Display for ObjectionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.noes_not_taken > 0 {
            write_counts(f, &[("noes not taken", self.noes_not_taken)])?;
        }
        let (matched, unmatched) = match (self.kind, self.dry_run) {
            (Listing::Objection, false) => ("objected", "met no record"),
            (Listing::Objection, true) => ("would object", "met no record"),
            (_, false) => ("blocked", "not kept"),
            (_, true) => ("would block", "not kept"),
        };
        let counts = [
            ("rows", self.rows),
            (matched, self.matched),
            (unmatched, self.unmatched),
            ("unchanged", self.unchanged),
            ("left out", self.left_out),
            ("rejected", self.rejected),
            ("problems", self.problems),
        ];
        write_counts(f, &counts)?;
        write_reasons(f, self.owed, &self.reasons, &self.unmapped)
    }
}
