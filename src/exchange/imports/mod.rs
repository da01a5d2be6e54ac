//! Imports contacts from files: every value with its source, every contact with its ground, never a consent. Consents
//! come in from files of their own, with their evidence. Room: exchange/imports.
//!
//! A reader per format splits the file into rows, cards or lines of limited length. Each value passes through a
//! `RowDraft`, which applies the checks and the treatment of invalid values. `batches.rs` reads a batch while the
//! previous one is written; `writer.rs` writes each batch in its own transaction. Problems are reported as they are
//! found and never kept; memory grows only by 8 bytes of a digest per id and per e-mail address, to detect repeats.
//! Consent files (`imports/consents`) are read three times: the first pass reports possible opt-outs that cannot be
//! recorded; the second writes what ends consents, and finds the latest of several consents to the same; the third
//! writes consents against the resulting state, so that the order of lines does not matter.

mod address_cells;
mod batches;
mod bounded_lines;
mod consents;
mod contact_import;
mod contact_lookup;
mod csv;
mod csv_scanner;
mod csv_table;
mod header_names;
mod lock_scope;
mod mapping;
mod native;
mod objection_recorder;
mod objections;
mod opt_outs;
mod options;
mod report;
mod row_draft;
mod rows;
mod runs;
mod statistics;
mod target;
mod times;
mod undo;
mod updates;
mod vcard;
mod vcard_splitter;
mod words;
mod writer;

use std::{
    collections::HashSet,
    io::{self, Read},
};

use batches::Batches;
pub use consents::{ConsentImport, ConsentReport, consents};
pub use contact_import::ContactImport;
pub use mapping::{Mapping, OPT_OUTS_OF_OWN, OWN};
pub use objections::{Listing, ObjectionImport, ObjectionReport, objections};
pub use options::{Encoding, Format, OnInvalid, ReadOptions, Region};
use report::count;
pub use report::{ContactReport, Problem, Reason};
use rows::Rows;
use runs::Run;
pub use runs::latest_runs;
use statistics::Statistics;
pub use target::{Map, OptOut, Target};
pub use undo::{UndoReport, undo};
pub use vcard::{OPT_OUT, STATE};

use crate::{app::App, base::error::Error};

pub use crate::domain::contacts::source_updates::UpdateMode;

/// Imports contacts from the file that `open` returns, each with provenance and a ground for the purpose. Every problem
/// is reported as it is found, in the order of the file; a rejected row has at least one.
///
/// The file is read as a stream. A batch is read while the previous one is written, each in its own transaction. After
/// an interruption the same import continues where it stopped, because rows of earlier batches are found by source and
/// external id. The file is only read twice if an unmapped column may contain opt-outs. While the audit log cannot be
/// written, only opt-outs are recorded.
///
/// # Errors
/// `AUDIT_UNAVAILABLE` if contacts could not be imported; `BAD_USER_INPUT` if nothing can be imported at all;
/// `INTERNAL` from the database; errors of the callback. Batches before the error stay.
pub async fn contacts<R: Read + Send + 'static>(
    app: &App,
    open: impl Fn() -> io::Result<R> + Send,
    import: &ContactImport,
    mut on_problem: impl FnMut(Problem) -> Result<(), Error> + Send,
) -> Result<ContactReport, Error> {
    import.check(app, &app.policy.current())?;
    let (rows, mut column_problems) = Rows::open_checked(open, import, app)?;
    let mut batches = Batches::spawn(rows, app.identity_reader)?;
    let run = Run::begin(app);
    let (mut unwritten, mut statistics) = (None, Statistics::new());
    let mut report = ContactReport::new(import.dry_run, import.update.is_some());
    loop {
        let batch = batches.next().await?;
        report.rows += batch.read;
        report.rejected += batch.rejected;
        for name in batch.left_out {
            *report.left_out.entry(name).or_default() += 1;
        }
        let mut problems = std::mem::take(&mut column_problems);
        problems.extend(batch.problems);
        let total = count(batch.rows.len());
        let mut written =
            writer::write(app, (import, &run), (batch.rows, batch.rejected_rows), unwritten.is_some())
                .await?;
        unwritten = unwritten.or(written.unwritten.take());
        report.opted_out += written.opted_out;
        let not_taken = |line: &u64| Problem::new(*line, None, Reason::UnknownContact).not_taken();
        problems.extend(written.lost.iter().map(not_taken));
        report.imported += written.imported;
        written.updates.add_to(&mut report);
        problems.extend(written.updates.problems);
        if !import.dry_run {
            statistics.count_rows(app, written.imported).await;
        }
        report.rejected += count(written.refused.len());
        let changed = written.imported + written.updates.updated + written.updates.rejected;
        report.unchanged += total - changed - count(written.refused.len());
        let to_problem = |(line, reason)| Problem::new(line, None, reason);
        problems.extend(written.refused.into_iter().map(to_problem));
        problems.sort_by_key(|problem| problem.line);
        report.problems += count(problems.iter().filter(|problem| !problem.is_difference).count());
        let not_taken_lines: HashSet<u64> =
            problems.iter().filter(|problem| problem.no_not_taken).map(|problem| problem.line).collect();
        report.noes_not_taken += count(not_taken_lines.len());
        problems.into_iter().try_for_each(&mut on_problem)?;
        report.import_id = Some(run.id).filter(|_| run.is_stored());
        match (batch.is_last, &unwritten) {
            (false, _) => {}
            (true, None) => return Ok(report),
            (true, Some(error)) => {
                let taken = report.opted_out;
                return Err(Error::new(
                    error.code,
                    format!(
                        "the audit log cannot be written, so no contacts were imported; opt-outs of the file were recorded ({taken}), and their audit entries will follow"
                    ),
                ));
            }
        }
    }
}
