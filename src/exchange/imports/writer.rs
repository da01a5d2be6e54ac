//! Writes a batch of rows: contact, provenance, ground and audit entry together or not at all. Room: exchange/imports.

use std::collections::HashSet;

use entity::{contact, contact_point, provenance};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::{
    Import, Reason,
    door::Door,
    drafts::{OwnSource, Row},
    opt_outs,
    report::count,
};
use crate::{
    app::App,
    audit::{self, Author, EntryTiming, LockMode, Transaction},
    base::{
        error::{Code, Error},
        identities::Reader,
    },
    crypto::installation_keys::InstallationKeys,
    domain::{
        contacts::NewAddresses,
        grounds::NewGround,
        operations::{self, CreationLog, NewContactRows},
        suppressions::{self, Found},
    },
    policy::Policy,
};

/// Rows whose entries are sealed while they are written.
const SEALING_BATCH: usize = 250;
/// Values in one list of a statement.
const MAX_BIND_VALUES: usize = 10_000;

/// What became of a batch; the other rows were there already.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Rows that came in, or would have.
    pub imported: u64,
    /// Lines of rows that cannot come in, and why.
    pub refused: Vec<(u64, Reason)>,
    /// Rows that opt out of advertising, and lines of those of nobody who is known.
    pub opted_out: u64,
    pub lost: Vec<u64>,
    /// Why no contact came in, where opt-outs are taken all the same.
    pub unwritten: Option<Error>,
}

/// Writes the rows that are not there yet, and what they and those that are `left` out opt out of; that `alone` where nothing else can be
/// written.
pub(super) async fn write(
    app: &App,
    import: &Import,
    (rows, left): (Vec<Row>, Vec<Row>),
    alone: bool,
) -> Result<Written, Error> {
    if rows.is_empty() && left.is_empty() {
        return Ok(Written::default());
    }
    let opting = rows.iter().chain(&left).filter(|row| !row.opt_outs.is_empty()).count();
    let lost = opt_outs::lost(&app.db.reader, &app.reader, import, left.iter().collect()).await?;
    let opted_out = count(opting - lost.len());
    if import.dry_run {
        let mut sorted = sort(&app.db.reader, import, &rows).await?;
        let ring = audit::existing_installation_keys(app).await?;
        let policy = app.policy.current();
        suppress(&app.db.reader, (ring, &app.reader), &policy, import, &mut sorted).await?;
        let (imported, refused) = (count(sorted.missing.len()), sorted.refused);
        return Ok(Written { imported, refused, opted_out, lost, unwritten: None });
    }
    let door = match opting {
        0 => None,
        _ => Some(Door::of(app, &import.actor)?),
    };
    let mut unwritten = None;
    if !alone {
        match audit::with_retry(|| insert(app, import, (&rows, &left), door.as_ref())).await {
            Err(error) if error.code == Code::AuditUnavailable && import.may_opt_out() => {
                unwritten = Some(error);
            }
            done => return Ok(Written { opted_out, lost, ..done? }),
        }
    }
    // Who says no is believed, also where nothing else can be written.
    if let Some(door) = &door {
        audit::with_deferred_entries(|timing| take(app, import, (&rows, &left), door, timing)).await?;
    }
    let lost =
        opt_outs::lost(&app.db.reader, &app.reader, import, rows.iter().chain(&left).collect()).await?;
    Ok(Written { opted_out: count(opting - lost.len()), lost, unwritten, ..Written::default() })
}

async fn insert(
    app: &App,
    import: &Import,
    (rows, left): (&[Row], &[Row]),
    door: Option<&Door>,
) -> Result<Written, Error> {
    let author = Author::command(app, &import.actor, Some(&import.purpose));
    let mut tx = audit::begin(app, author).await?;
    // Before the first statistics of the import a kept plan would go on scanning.
    tx.use_custom_plans(true).await?;
    // Before anything is looked up: whoever declares something about one of these addresses comes before or after.
    let locks = brought(app, rows.iter().chain(left))?;
    match door {
        // A file that says no declares something about its addresses, and about those of whom it means.
        Some(_) => opt_outs::lock(&mut tx, import, rows.iter().chain(left), locks).await?,
        None => tx.lock_identities(locks, LockMode::Shared).await?,
    }
    let mut sorted = sort(tx.connection(), import, rows).await?;
    let ring = tx.existing_installation_keys().await?;
    let policy = app.policy.current();
    let found = suppress(tx.connection(), (ring.as_ref(), tx.reader()), &policy, import, &mut sorted).await?;
    // Kept plans check each row that is written.
    tx.use_custom_plans(false).await?;
    let Sorted { missing, refused } = sorted;
    for chunk in missing.chunks(SEALING_BATCH) {
        let rows = chunk.iter().map(|row| new_contact(&mut tx, import, row, &found));
        let rows = rows.collect::<Result<_, _>>()?;
        operations::insert_contacts(&mut tx, rows, CreationLog::Import).await?;
    }
    // Those too that were there already or cannot come in: who says no is believed.
    let objected = match door {
        Some(door) => opt_outs::declare(&mut tx, door, &policy, import, rows.iter().chain(left)).await?,
        None => false,
    };
    let written = Written { imported: count(missing.len()), refused, ..Written::default() };
    if !missing.is_empty() || objected {
        tx.commit().await?;
    }
    Ok(written)
}

/// Takes what rows opt out of, and nothing else of them.
async fn take(
    app: &App,
    import: &Import,
    (rows, left): (&[Row], &[Row]),
    door: &Door,
    timing: EntryTiming,
) -> Result<(), Error> {
    let author = Author::command(app, &import.actor, Some(&import.purpose));
    let mut tx = audit::begin(app, author).await?;
    tx.set_entry_timing(timing);
    let all = || rows.iter().chain(left);
    let locks = brought(app, all())?;
    opt_outs::lock(&mut tx, import, all(), locks).await?;
    if opt_outs::declare(&mut tx, door, &app.policy.current(), import, all()).await? {
        tx.commit().await?;
    }
    Ok(())
}

/// What is locked of the addresses of rows.
fn brought<'r>(app: &App, rows: impl Iterator<Item = &'r Row>) -> Result<Vec<u64>, Error> {
    let reached: Vec<&NewAddresses> = rows.map(|row| row.reached(&app.reader)).collect::<Result<_, _>>()?;
    Ok(reached.into_iter().flat_map(NewAddresses::locks).collect())
}

/// Asks the suppression list for all addresses of the missing rows at once. A row that would be kept for a purpose alone which one
/// of its addresses is on the list for is refused.
async fn suppress<C: ConnectionTrait>(
    connection: &C,
    (ring, reader): (Option<&InstallationKeys>, &Reader),
    policy: &Policy,
    import: &Import,
    sorted: &mut Sorted<'_>,
) -> Result<Found, Error> {
    if ring.is_none() {
        return Ok(Found::default());
    }
    let mut reached = Vec::with_capacity(sorted.missing.len());
    for row in &sorted.missing {
        reached.push(row.reached(reader)?.clone());
    }
    let found = suppressions::find(connection, ring, reader, &reached).await?;
    let mut reached = reached.iter();
    sorted.missing.retain(|row| {
        let blocked = reached.next().is_some_and(|of| found.blocked(policy, of, &import.purpose).is_some());
        if blocked {
            sorted.refused.push((row.line, Reason::Suppressed));
        }
        !blocked
    });
    Ok(found)
}

/// What a row becomes.
fn new_contact(
    tx: &mut Transaction,
    import: &Import,
    row: &Row,
    found: &Found,
) -> Result<NewContactRows, Error> {
    let (id, created_at) = match &row.own {
        // It may have been here before: its keys are looked for.
        Some(own) => (own.id, own.created_at),
        None => (tx.new_subject(), None),
    };
    let mut contact = row.contact(tx.reader(), id, tx.now())?;
    contact.created_at = created_at.unwrap_or(tx.now());
    let points = row.points.iter().map(|(point, created_at)| contact_point::Model {
        contact_id: id,
        ..point.row(tx.reader(), tx.new_id(), created_at.unwrap_or(tx.now()))
    });
    // The row was looked up before it had an id.
    let listed = found.of(row.reached(tx.reader())?);
    let ground = NewGround {
        purpose: import.purpose.clone(),
        reference: Some(import.ground.trim().to_owned()),
        since: import.since,
        until: None,
        place: "ground",
    };
    Ok(NewContactRows {
        points: points.collect(),
        sources: sources_of(tx, import, row, id),
        ground: Some(ground.row(tx, id)),
        blocks: suppressions::rows_of(tx, id, &listed),
        contact,
    })
}

/// The rows of a batch: those that no earlier import has brought, and those that cannot come in.
struct Sorted<'a> {
    missing: Vec<&'a Row>,
    refused: Vec<(u64, Reason)>,
}

/// Looks for what is there: rows are known by their source and id there, those of an export of Zweck by their own id.
async fn sort<'a, C: ConnectionTrait>(
    connection: &C,
    import: &Import,
    rows: &'a [Row],
) -> Result<Sorted<'a>, Error> {
    let sources: Vec<Vec<(&str, &str)>> = rows.iter().map(|row| keys(import, row)).collect();
    let known = known(connection, &sources).await?;
    let own: Vec<Uuid> = rows.iter().filter_map(|row| row.own.as_ref().map(|own| own.id)).collect();
    let mut present: HashSet<Uuid> = HashSet::new();
    for own in own.chunks(MAX_BIND_VALUES) {
        let ids = contact::Entity::find().select_only().column(contact::Column::Id);
        let ids = ids.filter(contact::Column::Id.is_in(own.iter().copied())).into_tuple::<Uuid>();
        present.extend(ids.all(connection).await?);
    }
    let mut sorted = Sorted { missing: Vec::new(), refused: Vec::new() };
    for (row, keys) in rows.iter().zip(sources) {
        let held = |(source, id): &(&str, &str)| known.contains(&((*source).to_owned(), (*id).to_owned()));
        let held = keys.iter().any(held);
        match row.own.as_ref().filter(|own| !own.sources.is_empty()) {
            _ if row.own.as_ref().is_some_and(|own| present.contains(&own.id)) => {}
            // Somebody else has that id in that source: two persons do not become one.
            Some(_) if held => sorted.refused.push((row.line, Reason::SourceTaken)),
            _ if held => {}
            _ => sorted.missing.push(row),
        }
    }
    Ok(sorted)
}

/// Which of these sources and ids there are known.
async fn known<C: ConnectionTrait>(
    connection: &C,
    sources: &[Vec<(&str, &str)>],
) -> Result<HashSet<(String, String)>, Error> {
    let (names, ids): (HashSet<&str>, HashSet<&str>) = sources.iter().flatten().copied().unzip();
    let (names, ids) = (Vec::from_iter(names), Vec::from_iter(ids));
    let mut known = HashSet::new();
    for names in names.chunks(MAX_BIND_VALUES) {
        for ids in ids.chunks(MAX_BIND_VALUES) {
            let present: Vec<(String, Option<String>)> = provenance::Entity::find()
                .select_only()
                .column(provenance::Column::Source)
                .column(provenance::Column::ExternalId)
                .filter(provenance::Column::Source.is_in(names.iter().copied()))
                .filter(provenance::Column::ExternalId.is_in(ids.iter().copied()))
                .into_tuple()
                .all(connection)
                .await?;
            known.extend(present.into_iter().filter_map(|(source, id)| Some((source, id?))));
        }
    }
    Ok(known)
}

/// Sources and ids there by which a row is known again.
fn keys<'a>(import: &'a Import, row: &'a Row) -> Vec<(&'a str, &'a str)> {
    match row.own.as_ref().filter(|own| !own.sources.is_empty()) {
        None => vec![(import.source.trim(), row.external_id.as_str())],
        Some(own) => {
            let pair = |source: &'a OwnSource| Some((source.source.as_str(), source.external_id.as_deref()?));
            own.sources.iter().filter_map(pair).collect()
        }
    }
}

/// Where the values come from: as an export of Zweck tells it, else from this import.
fn sources_of(tx: &Transaction, import: &Import, row: &Row, contact_id: Uuid) -> Vec<provenance::Model> {
    let told = row.own.iter().flat_map(|own| &own.sources);
    let told: Vec<provenance::Model> = told
        .map(|told| provenance::Model {
            id: tx.new_id(),
            contact_id,
            source: told.source.clone(),
            external_id: told.external_id.clone(),
            collected_at: told.collected_at,
            recorded_at: told.recorded_at.unwrap_or(tx.now()),
            recorded_by: told.recorded_by.clone().unwrap_or_else(|| import.actor.clone()),
            fields: serde_json::json!(told.fields).to_string(),
            informed_at: told.informed_at.or(import.informed_at),
            notice_version: told.notice_version.clone().or_else(|| import.notice_version.clone()),
        })
        .collect();
    if !told.is_empty() {
        return told;
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
    }]
}
