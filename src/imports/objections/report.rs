//! What an import of objections did, in numbers (floor 4).

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

/// The outcome. `rows = objected + strays + unchanged + leftOut + rejected`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectionReport {
    /// Whether nothing was written; the counts then say what would have been.
    pub dry_run: bool,
    /// Lines in the file, without the header.
    pub rows: u64,
    /// Objections of those who have a record.
    pub objected: u64,
    /// The same of those who have none: their addresses are on the suppression list now.
    pub strays: u64,
    /// Lines that tell what is known already.
    pub unchanged: u64,
    /// Lines that do not object.
    pub left_out: u64,
    /// Lines that cannot be right.
    pub rejected: u64,
    /// Lines that object, or may, and were not taken, or not in all that they say.
    pub noes_not_taken: u64,
    /// How many problems were told.
    #[serde(rename = "problemCount")]
    pub problems: u64,
    /// How often each reason was told.
    pub reasons: BTreeMap<&'static str, u64>,
    /// Columns that nothing is read of, with how often.
    pub unmapped: BTreeMap<String, u64>,
}

impl fmt::Display for ObjectionReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.noes_not_taken > 0 {
            writeln!(f, "{:<14}{:>10}", "noes not taken", self.noes_not_taken)?;
        }
        let objected = if self.dry_run { "would object" } else { "objected" };
        for (name, count) in [
            ("rows", self.rows),
            (objected, self.objected),
            ("met no record", self.strays),
            ("unchanged", self.unchanged),
            ("left out", self.left_out),
            ("rejected", self.rejected),
            ("problems", self.problems),
        ] {
            writeln!(f, "{name:<14}{count:>10}")?;
        }
        for (reason, count) in &self.reasons {
            writeln!(f, "  {reason:<24}{count:>10}")?;
        }
        if !self.unmapped.is_empty() {
            let names = self.unmapped.iter().map(|(name, count)| format!("{name} {count}"));
            writeln!(f, "{:<14}{}", "not imported", names.collect::<Vec<_>>().join(", "))?;
        }
        Ok(())
    }
}
