//! The figures as a table. Room: bench/growth.

use std::fmt::Write as _;

use super::{GrowthReport, Page, Rules};
use crate::bench::report::Machine;

impl GrowthReport {
    /// The report as a table.
    pub fn table(&self) -> String {
        let Machine { cores, processor, version, debug, .. } = &self.machine;
        let built = if *debug { ", built without optimisation: its figures mean nothing" } else { "" };
        let mut out = format!("zweck {version}{built}; {cores} cores, {processor}\n");
        let mut pages = self.pages.as_slice();
        while let Some(first) = pages.first() {
            let (of, rest) = pages.split_at(
                pages.iter().position(|page| page.database != first.database).unwrap_or(pages.len()),
            );
            writeln!(out, "\n{}\n{}", first.database, Page::HEADING).unwrap_or_default();
            of.iter().for_each(|page| page.write(&mut out));
            pages = rest;
        }
        writeln!(out, "\n{}", Rules::HEADING).unwrap_or_default();
        self.policies.iter().for_each(|rules| rules.write(&mut out));
        writeln!(out, "\nheld").unwrap_or_default();
        for held in &self.held {
            writeln!(out, "{:>5} {:30} {:>8} kB", held.count, held.what, held.kib).unwrap_or_default();
        }
        if !self.targets.is_empty() {
            out.push('\n');
        }
        for target in &self.targets {
            let (met, sign) =
                (if target.met { "met" } else { "missed" }, if target.at_least { ">=" } else { "<=" });
            let (found, limit) = (target.found, target.limit);
            writeln!(out, "{met:7} {}: {found:.2} ({sign} {limit})", target.name).unwrap_or_default();
        }
        out
    }
}

impl Page {
    const HEADING: &str =
        "query                 contacts      p50 us      cpu us       bytes  of the smallest";

    fn write(&self, out: &mut String) {
        let Self { query, contacts, p50, cpu, bytes, .. } = self;
        let grown = self.of_smallest.map_or_else(String::new, |grown| format!("{grown:.2}"));
        let by_nature = if self.flat { "" } else { " (grows by its nature)" };
        let line =
            format!("{query:20} {contacts:>9} {p50:>11.0} {cpu:>11.0} {bytes:>11}  {grown:>15}{by_nature}");
        writeln!(out, "{}", line.trim_end()).unwrap_or_default();
    }
}

impl Rules {
    const HEADING: &str = "policy: lines  roles  pairs     load ms   reload ms          kB       Q2 us";

    #[expect(clippy::cast_precision_loss, reason = "figures with a few digits")]
    fn write(&self, out: &mut String) {
        let Self { lines, roles, pairs, load_ms, bytes, .. } = self;
        let figure =
            |figure: Option<f64>| figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.1}"));
        let (reload, q2, bytes) = (figure(self.reload_ms), figure(self.q2_us), *bytes as f64 / 1e3);
        let line =
            format!("{lines:>13} {roles:>6} {pairs:>6} {load_ms:>11.1} {reload:>11} {bytes:>11.0} {q2:>11}");
        writeln!(out, "{line}").unwrap_or_default();
    }
}
