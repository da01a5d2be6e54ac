//! Updates contacts that earlier imports from the same source have made. Room: exchange/imports.
//!
//! The comparison runs without locks, so that a file without changes costs no transaction. What differs is compared again
//! behind the locks and written in batches.

use std::collections::HashSet;

use uuid::Uuid;

use super::{ContactImport, ContactReport, Problem, Reason, report::count, row_draft::Row, runs::Run};
use crate::{
    app::App,
    audit,
    auth::{actor::Actor, credential::Credential},
    base::error::Error,
    domain::{
        contacts::source_updates::{
            self, Comparison, Difference, Refusal, SourceRecord, UpdateMode, UpdateSource, View,
        },
        operations,
    },
};

/// The result for the known rows of a batch.
#[derive(Debug, Default)]
pub(super) struct UpdateResult {
    /// Rows whose contact was updated, or would have been.
    pub updated: u64,
    /// Rows that are not what the file expects: each has a problem.
    pub rejected: u64,
    /// Values of the file that differ from those of their contacts.
    pub differences: u64,
    /// Those of them that were not taken over.
    pub not_applied: u64,
    /// What is reported.
    pub problems: Vec<Problem>,
}

/// A row that is known, and its contact.
type KnownRow<'r> = (&'r Row, Uuid);

/// Updates the contacts of known rows.
///
/// # Errors
/// `INTERNAL` from the database; `AUDIT_UNAVAILABLE`.
pub(super) async fn update(
    app: &App,
    (import, run): (&ContactImport, &Run),
    rows: &[KnownRow<'_>],
) -> Result<UpdateResult, Error> {
    let Some(mode) = import.update else { return Ok(UpdateResult::default()) };
    let mut result = UpdateResult::default();
    let mut expected = Vec::with_capacity(rows.len());
    for (row, contact) in rows {
        match (&import.expected_version, row.expected_version) {
            (Some(column), None) => {
                result.rejected += 1;
                result.problems.push(Problem::new(row.line, Some(column.clone()), Reason::MissingValue));
            }
            _ => expected.push((*row, *contact)),
        }
    }
    let actor = actor(app, import)?;
    let records: Vec<SourceRecord> = expected.iter().map(record).collect();
    let view = View {
        connection: &app.db.reader,
        keys: &app.keys,
        reader: &app.identity_reader,
        actor: &actor,
        now: app.now(),
    };
    let compared = source_updates::compare(&view, mode, &records).await?;
    let mut due: Vec<(u64, SourceRecord)> = Vec::new();
    for (((row, _), record), comparison) in expected.iter().zip(records).zip(compared) {
        match comparison {
            Some(comparison) if comparison.is_update() && !import.dry_run => due.push((row.line, record)),
            comparison => result.add(import, row.line, comparison.unwrap_or_default()),
        }
    }
    while !due.is_empty() {
        // A contact that was merged may have several rows: each is compared with what the previous one has left.
        let mut contacts = HashSet::new();
        let (now, later): (Vec<_>, Vec<_>) =
            due.into_iter().partition(|(_, record)| contacts.insert(record.contact_id));
        let (lines, records): (Vec<u64>, Vec<SourceRecord>) = now.into_iter().unzip();
        let comparisons = audit::with_retry(|| write(app, (import, run), (&actor, mode), &records)).await?;
        for (line, comparison) in lines.into_iter().zip(comparisons) {
            result.add(import, line, comparison.unwrap_or_default());
        }
        due = later;
    }
    Ok(result)
}

async fn write(
    app: &App,
    (import, run): (&ContactImport, &Run),
    (actor, mode): (&Actor, UpdateMode),
    records: &[SourceRecord],
) -> Result<Vec<Option<Comparison>>, Error> {
    let mut tx = audit::begin(app, run.author(app, import)).await?;
    let source = UpdateSource {
        name: import.source.trim().to_owned(),
        import_id: run.id,
        informed_at: import.informed_at,
        notice_version: import.notice_version.clone(),
    };
    let comparisons = operations::update_from_source(&mut tx, actor, (mode, &source), records).await?;
    if tx.is_recorded() {
        let updated = comparisons.iter().flatten().filter(|comparison| comparison.is_update()).count();
        run.count(&tx, import, (0, count(updated))).await?;
        tx.commit().await?;
        run.note_stored();
    }
    Ok(comparisons)
}

/// The import as a caller under its own purpose.
fn actor(app: &App, import: &ContactImport) -> Result<Actor, Error> {
    let credential = Credential {
        actor_id: import.actor.clone(),
        roles: Vec::new(),
        purposes: vec![import.purpose.clone()],
        fields: None,
        expires_at: app.now(),
        recipient: None,
    };
    Actor::new(app.policy.current(), &credential, Some(&import.purpose), import.actor.clone())
}

fn record((row, contact): &KnownRow<'_>) -> SourceRecord {
    SourceRecord {
        contact_id: *contact,
        expected_version: row.expected_version,
        values: row.values.clone(),
        points: row.points.iter().map(|(point, _)| point.clone()).collect(),
    }
}

impl UpdateResult {
    /// Adds the counts to those of the import.
    pub fn add_to(&self, report: &mut ContactReport) {
        report.updated += self.updated;
        report.rejected += self.rejected;
        report.differences += self.differences;
        report.not_applied += self.not_applied;
    }

    fn add(&mut self, import: &ContactImport, line: u64, comparison: Comparison) {
        self.updated += u64::from(comparison.is_update());
        self.differences += count(comparison.differences.len());
        if let Some(refusal) = comparison.refusal {
            self.not_applied += count(comparison.differences.len());
            let column = import.expected_version.clone().filter(|_| refusal == Refusal::VersionConflict);
            let problem = Problem::new(line, column, refusal.into());
            if refusal == Refusal::VersionConflict {
                self.rejected += 1;
                self.problems.push(problem);
            } else {
                self.problems.push(problem.difference());
            }
            return;
        }
        let not_applied =
            comparison.differences.iter().filter(|(_, difference)| !difference.is_taken()).count();
        self.not_applied += count(not_applied);
        // What is written is only listed before it is written.
        let listed = comparison
            .differences
            .into_iter()
            .filter(|(_, difference)| import.dry_run || !difference.is_taken());
        let problem = |(field, difference): (&str, Difference)| {
            Problem::new(line, Some(field.to_owned()), difference.into()).difference()
        };
        self.problems.extend(listed.map(problem));
    }
}

impl From<Difference> for Reason {
    fn from(difference: Difference) -> Self {
        match difference {
            Difference::Filled => Self::Filled,
            Difference::Changed => Self::Changed,
            Difference::Added => Self::Added,
            Difference::Differs => Self::Differs,
            Difference::Protected => Self::Protected,
            Difference::Merged => Self::Merged,
            Difference::Removed => Self::Removed,
            Difference::TooManyContactPoints => Self::TooManyContactPoints,
        }
    }
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotActive => Self::NotActive,
            Refusal::NotVisible => Self::NoGround,
            Refusal::VersionConflict => Self::VersionConflict,
        }
    }
}
