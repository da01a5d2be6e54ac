//! Writes a batch of rows: contact, provenance, ground and audit entry together or not at all. Room: exchange/imports.

use std::collections::{HashMap, HashSet};

use entity::{contact, contact_point, provenance};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::{
    ContactImport, Reason,
    objection_recorder::ObjectionRecorder,
    opt_outs,
    report::count,
    row_draft::{NativeSource, Row},
    runs::Run,
    updates::{self, UpdateResult},
};
use crate::{
    app::App,
    audit::{self, EntryTiming, LockMode, Transaction},
    base::{
        error::{Code, Error},
        identities::Reader,
    },
    crypto::installation_keys::InstallationKeys,
    domain::{
        contacts::NewAddresses,
        grounds::NewGround,
        operations::{self, CreationLog, NewContactRows},
        suppressions::{self, SuppressionMatches},
    },
    policy::Policy,
};

/// Rows whose entries are sealed while they are written.
const SEALING_BATCH: usize = 250;
/// Values in one list of a statement.
const MAX_BIND_VALUES: usize = 10_000;

/// The result of a batch; the other rows existed already.
#[derive(Debug, Default)]
pub(super) struct BatchResult {
    /// Rows that came in, or would have.
    pub imported: u64,
    /// Lines of rows that cannot come in, and why.
    pub refused: Vec<(u64, Reason)>,
    /// Rows that opt out of advertising, and lines of those of nobody who is known.
    pub opted_out: u64,
    pub lost: Vec<u64>,
    /// Positions of rows whose contacts are there already, with these.
    pub known: Vec<(usize, Uuid)>,
    /// What became of known rows.
    pub updates: UpdateResult,
    /// Why no contacts were imported, if only opt-outs were recorded.
    pub unwritten: Option<Error>,
}

/// Writes the new rows, and the opt-outs of these and of the rejected rows; only the opt-outs if nothing else can be
/// written.
pub(super) async fn write(
    app: &App,
    (import, run): (&ContactImport, &Run),
    (rows, rejected): (Vec<Row>, Vec<Row>),
    opt_outs_only: bool,
) -> Result<BatchResult, Error> {
    if rows.is_empty() && rejected.is_empty() {
        return Ok(BatchResult::default());
    }
    let opting_out = rows.iter().chain(&rejected).filter(|row| !row.opt_outs.is_empty()).count();
    let lost =
        opt_outs::lost(&app.db.reader, &app.identity_reader, import, rejected.iter().collect()).await?;
    let opted_out = count(opting_out - lost.len());
    if import.dry_run {
        let mut sorted = sort_rows(&app.db.reader, import, &rows).await?;
        let installation_keys = audit::existing_installation_keys(app).await?;
        let policy = app.policy.current();
        reject_suppressed(
            &app.db.reader,
            (installation_keys, &app.identity_reader),
            &policy,
            import,
            &mut sorted,
        )
        .await?;
        let (imported, refused) = (count(sorted.missing.len()), sorted.refused);
        let updates = updates::update(app, (import, run), &known_rows(&rows, &sorted.known)).await?;
        return Ok(BatchResult { imported, refused, opted_out, lost, updates, ..BatchResult::default() });
    }
    let recorder = match opting_out {
        0 => None,
        _ => Some(ObjectionRecorder::new(app, &import.actor)?),
    };
    let mut unwritten = None;
    if !opt_outs_only {
        match audit::with_retry(|| insert(app, (import, run), (&rows, &rejected), recorder.as_ref())).await {
            Err(error) if error.code == Code::AuditUnavailable && import.may_opt_out() => {
                unwritten = Some(error);
            }
            result => {
                let result = result?;
                let known = known_rows(&rows, &result.known);
                let (updates, unwritten) = match updates::update(app, (import, run), &known).await {
                    Err(error) if error.code == Code::AuditUnavailable && import.may_opt_out() => {
                        (UpdateResult::default(), Some(error))
                    }
                    updates => (updates?, None),
                };
                return Ok(BatchResult { opted_out, lost, updates, unwritten, ..result });
            }
        }
    }
    // Opt-outs are recorded even if nothing else can be written.
    if let Some(recorder) = &recorder {
        audit::with_deferred_entries(|timing| {
            record_opt_outs(app, (import, run), (&rows, &rejected), recorder, timing)
        })
        .await?;
    }
    let lost =
        opt_outs::lost(&app.db.reader, &app.identity_reader, import, rows.iter().chain(&rejected).collect())
            .await?;
    Ok(BatchResult { opted_out: count(opting_out - lost.len()), lost, unwritten, ..BatchResult::default() })
}

async fn insert(
    app: &App,
    (import, run): (&ContactImport, &Run),
    (rows, rejected): (&[Row], &[Row]),
    recorder: Option<&ObjectionRecorder>,
) -> Result<BatchResult, Error> {
    let mut tx = audit::begin(app, run.author(app, import)).await?;
    // Before the first statistics of the import a kept plan would go on scanning.
    tx.use_custom_plans(true).await?;
    // Locks before any lookup, to serialise with declarations about the same addresses.
    let locks = identity_locks(app, rows.iter().chain(rejected))?;
    match recorder {
        // A file with opt-outs declares something about its addresses and about those of the persons it names.
        Some(_) => opt_outs::lock(&mut tx, import, rows.iter().chain(rejected), locks).await?,
        None => tx.lock_identities(locks, LockMode::Shared).await?,
    }
    let mut sorted = sort_rows(tx.connection(), import, rows).await?;
    let installation_keys = tx.existing_installation_keys().await?;
    let policy = app.policy.current();
    let found = reject_suppressed(
        tx.connection(),
        (installation_keys.as_ref(), tx.reader()),
        &policy,
        import,
        &mut sorted,
    )
    .await?;
    // Kept plans check each row that is written.
    tx.use_custom_plans(false).await?;
    let SortedRows { missing, known, refused } = sorted;
    for chunk in missing.chunks(SEALING_BATCH) {
        let rows = chunk.iter().map(|row| new_contact(&mut tx, (import, run), row, &found));
        let rows = rows.collect::<Result<_, _>>()?;
        operations::insert_contacts(&mut tx, rows, CreationLog::Import).await?;
    }
    // Includes rows that exist already or are rejected: every opt-out counts.
    let objected = match recorder {
        Some(recorder) => {
            opt_outs::declare(&mut tx, recorder, &policy, import, rows.iter().chain(rejected)).await?
        }
        None => false,
    };
    let result = BatchResult { imported: count(missing.len()), refused, known, ..BatchResult::default() };
    if !missing.is_empty() {
        run.count(&tx, import, (result.imported, 0)).await?;
    }
    if !missing.is_empty() || objected {
        tx.commit().await?;
    }
    if !missing.is_empty() {
        run.note_stored();
    }
    Ok(result)
}

/// Takes what rows opt out of, and nothing else of them.
async fn record_opt_outs(
    app: &App,
    (import, run): (&ContactImport, &Run),
    (rows, rejected): (&[Row], &[Row]),
    recorder: &ObjectionRecorder,
    timing: EntryTiming,
) -> Result<(), Error> {
    let mut tx = audit::begin(app, run.author(app, import)).await?;
    tx.set_entry_timing(timing);
    let all = || rows.iter().chain(rejected);
    let locks = identity_locks(app, all())?;
    opt_outs::lock(&mut tx, import, all(), locks).await?;
    if opt_outs::declare(&mut tx, recorder, &app.policy.current(), import, all()).await? {
        tx.commit().await?;
    }
    Ok(())
}

/// The locks for the addresses of rows.
fn identity_locks<'r>(app: &App, rows: impl Iterator<Item = &'r Row>) -> Result<Vec<u64>, Error> {
    let reached: Vec<&NewAddresses> =
        rows.map(|row| row.addresses(&app.identity_reader)).collect::<Result<_, _>>()?;
    Ok(reached.into_iter().flat_map(NewAddresses::locks).collect())
}

/// Looks up all addresses of the new rows in the suppression list at once. Rejects a row whose only purpose is one for
/// which an address of it is on the list.
async fn reject_suppressed<C: ConnectionTrait>(
    connection: &C,
    (installation_keys, reader): (Option<&InstallationKeys>, &Reader),
    policy: &Policy,
    import: &ContactImport,
    sorted: &mut SortedRows<'_>,
) -> Result<SuppressionMatches, Error> {
    if installation_keys.is_none() {
        return Ok(SuppressionMatches::default());
    }
    let mut reached = Vec::with_capacity(sorted.missing.len());
    for row in &sorted.missing {
        reached.push(row.addresses(reader)?.clone());
    }
    let found = suppressions::find(connection, installation_keys, reader, &reached).await?;
    let mut reached = reached.iter();
    sorted.missing.retain(|row| {
        let blocked = reached
            .next()
            .is_some_and(|addresses| found.blocked_channel(policy, addresses, &import.purpose).is_some());
        if blocked {
            sorted.refused.push((row.line, Reason::Suppressed));
        }
        !blocked
    });
    Ok(found)
}

/// The new records of a row.
fn new_contact(
    tx: &mut Transaction,
    (import, run): (&ContactImport, &Run),
    row: &Row,
    found: &SuppressionMatches,
) -> Result<NewContactRows, Error> {
    let (id, created_at) = match &row.native {
        // It may have been here before: its keys are looked for.
        Some(native) => (native.id, native.created_at),
        None => (tx.new_subject(), None),
    };
    let mut contact = row.contact(tx.reader(), id, tx.now())?;
    contact.created_at = created_at.unwrap_or(tx.now());
    let points = row.points.iter().map(|(point, created_at)| contact_point::Model {
        contact_id: id,
        ..point.row(tx.reader(), tx.new_id(), created_at.unwrap_or(tx.now()))
    });
    let points = points.collect();
    let ground = NewGround {
        purpose: import.purpose.clone(),
        reference: Some(import.ground.trim().to_owned()),
        since: import.since,
        until: None,
        input_path: "ground",
    };
    let sources = sources_of(tx, (import, run), row, id);
    // The row was looked up before it had an id.
    let addresses = row.addresses(tx.reader())?;
    Ok(NewContactRows::new(tx, (contact, points), sources, Some(&ground), (found, addresses)))
}

/// The rows of a batch: those that no earlier import has brought, those that one has brought, by their position and with
/// their contact, and those that cannot come in.
struct SortedRows<'a> {
    missing: Vec<&'a Row>,
    known: Vec<(usize, Uuid)>,
    refused: Vec<(u64, Reason)>,
}

/// The rows at these positions, with their contacts.
fn known_rows<'r>(rows: &'r [Row], known: &[(usize, Uuid)]) -> Vec<(&'r Row, Uuid)> {
    known.iter().filter_map(|(position, contact)| Some((rows.get(*position)?, *contact))).collect()
}

/// Looks for what is there: rows are known by their source and id there, those of an export of Zweck by their own id.
async fn sort_rows<'a, C: ConnectionTrait>(
    connection: &C,
    import: &ContactImport,
    rows: &'a [Row],
) -> Result<SortedRows<'a>, Error> {
    let sources: Vec<Vec<(&str, &str)>> = rows.iter().map(|row| source_ids(import, row)).collect();
    let known = known_source_ids(connection, &sources).await?;
    let native: Vec<Uuid> =
        rows.iter().filter_map(|row| row.native.as_ref().map(|native| native.id)).collect();
    let mut present: HashSet<Uuid> = HashSet::new();
    for native in native.chunks(MAX_BIND_VALUES) {
        let ids = contact::Entity::find().select_only().column(contact::Column::Id);
        let ids = ids.filter(contact::Column::Id.is_in(native.iter().copied())).into_tuple::<Uuid>();
        present.extend(ids.all(connection).await?);
    }
    let mut sorted = SortedRows { missing: Vec::new(), known: Vec::new(), refused: Vec::new() };
    for (position, (row, source_ids)) in rows.iter().zip(sources).enumerate() {
        let contact_of =
            |(source, id): &(&str, &str)| known.get(&((*source).to_owned(), (*id).to_owned())).copied();
        let by_source = source_ids.iter().find_map(contact_of);
        let by_id = row.native.as_ref().map(|native| native.id).filter(|id| present.contains(id));
        let has_sources = row.native.as_ref().is_some_and(|native| !native.sources.is_empty());
        match (by_id, by_source) {
            (Some(contact), _) => sorted.known.push((position, contact)),
            // Somebody else has that id in that source: two persons do not become one.
            (None, Some(_)) if has_sources => sorted.refused.push((row.line, Reason::SourceTaken)),
            (None, Some(contact)) => sorted.known.push((position, contact)),
            (None, None) => sorted.missing.push(row),
        }
    }
    Ok(sorted)
}

/// Which of these sources and ids there are known, and for which contact.
async fn known_source_ids<C: ConnectionTrait>(
    connection: &C,
    sources: &[Vec<(&str, &str)>],
) -> Result<HashMap<(String, String), Uuid>, Error> {
    let (names, ids): (HashSet<&str>, HashSet<&str>) = sources.iter().flatten().copied().unzip();
    let (names, ids) = (Vec::from_iter(names), Vec::from_iter(ids));
    let mut known_source_ids = HashMap::new();
    for names in names.chunks(MAX_BIND_VALUES) {
        for ids in ids.chunks(MAX_BIND_VALUES) {
            let present: Vec<(String, Option<String>, Uuid)> = provenance::Entity::find()
                .select_only()
                .column(provenance::Column::Source)
                .column(provenance::Column::ExternalId)
                .column(provenance::Column::ContactId)
                .filter(provenance::Column::Source.is_in(names.iter().copied()))
                .filter(provenance::Column::ExternalId.is_in(ids.iter().copied()))
                .into_tuple()
                .all(connection)
                .await?;
            known_source_ids.extend(
                present.into_iter().filter_map(|(source, id, contact)| Some(((source, id?), contact))),
            );
        }
    }
    Ok(known_source_ids)
}

/// Sources and ids there by which a row is known again.
fn source_ids<'a>(import: &'a ContactImport, row: &'a Row) -> Vec<(&'a str, &'a str)> {
    match row.native.as_ref().filter(|native| !native.sources.is_empty()) {
        None => vec![(import.source.trim(), row.external_id.as_str())],
        Some(native) => {
            let pair =
                |source: &'a NativeSource| Some((source.source.as_str(), source.external_id.as_deref()?));
            native.sources.iter().filter_map(pair).collect()
        }
    }
}

/// The sources of the values: those in a Zweck export, otherwise this import.
fn sources_of(
    tx: &Transaction,
    (import, run): (&ContactImport, &Run),
    row: &Row,
    contact_id: Uuid,
) -> Vec<provenance::Model> {
    let sources = row.native.iter().flat_map(|native| &native.sources);
    let sources: Vec<provenance::Model> = sources
        .map(|sources| provenance::Model {
            id: tx.new_id(),
            contact_id,
            source: sources.source.clone(),
            external_id: sources.external_id.clone(),
            collected_at: sources.collected_at,
            recorded_at: sources.recorded_at.unwrap_or(tx.now()),
            recorded_by: sources.recorded_by.clone().unwrap_or_else(|| import.actor.clone()),
            fields: serde_json::json!(sources.fields).to_string(),
            informed_at: sources.informed_at.or(import.informed_at),
            notice_version: sources.notice_version.clone().or_else(|| import.notice_version.clone()),
            // Whoever recorded it where it comes from.
            import_id: None,
        })
        .collect();
    if !sources.is_empty() {
        return sources;
    }
    let mut fields: Vec<&str> = row.values.iter().map(|(field, _)| field.name).collect();
    if !row.points.is_empty() {
        fields.push("contactPoints");
    }
    vec![provenance::Model {
        id: tx.new_id(),
        contact_id,
        source: import.source.trim().to_owned(),
        external_id: Some(row.external_id.clone()),
        collected_at: None,
        recorded_at: tx.now(),
        recorded_by: import.actor.clone(),
        fields: serde_json::json!(fields).to_string(),
        informed_at: import.informed_at,
        notice_version: import.notice_version.clone(),
        import_id: Some(run.id),
    }]
}
