//! Writes a batch of rows: contact, provenance, ground and audit entry together or not at all (floor 4).

use std::collections::HashSet;

use entity::{contact, ground, provenance};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect};

use super::{Import, rows::Row};
use crate::{
    audit::{self, Author, Changes, Entry, Transaction},
    contacts,
    context::App,
    error::Error,
    register::{CONTACT, GROUND, PROVENANCE},
};

/// Attempts at a batch that another import of the same source disturbs.
const ATTEMPTS: usize = 3;
/// Rows per INSERT: a contact has some 35 columns, and SQLite takes 32,766 parameters.
const CHUNK: usize = 250;

/// Writes the rows that are not there yet and gives their number.
pub(super) async fn write(app: &App, import: &Import, rows: Vec<Row>) -> Result<u64, Error> {
    if rows.is_empty() {
        return Ok(0);
    }
    if import.dry_run {
        let missing = missing(&app.db.reader, import, &rows).await?;
        return Ok(count(missing.len()));
    }
    let mut attempt = 1;
    loop {
        match insert(app, import, &rows).await {
            Err(error) if attempt < ATTEMPTS && error.transient => attempt += 1,
            done => return done,
        }
    }
}

async fn insert(app: &App, import: &Import, rows: &[Row]) -> Result<u64, Error> {
    let author = Author::command(app, &import.actor, Some(&import.purpose));
    let mut tx = audit::begin(app, author).await?;
    let missing = missing(tx.connection(), import, rows).await?;
    if missing.is_empty() {
        return Ok(0);
    }
    for chunk in missing.chunks(CHUNK) {
        insert_chunk(import, chunk, &mut tx).await?;
    }
    tx.commit().await?;
    Ok(count(missing.len()))
}

async fn insert_chunk(import: &Import, rows: &[&Row], tx: &mut Transaction) -> Result<(), Error> {
    let mut made = Vec::with_capacity(rows.len());
    for row in rows {
        let mut contact = contacts::blank(tx.new_subject(), tx.now());
        for (field, value) in &row.values {
            contacts::set(&mut contact, field, Some(value))?;
        }
        let provenance = provenance_of(tx, import, row, &contact);
        let ground = ground_of(tx, import, &contact);
        made.push((contact, provenance, ground));
    }
    tx.insert_all::<contact::Entity>(made.iter().map(|(contact, ..)| contact.clone())).await?;
    tx.insert_all::<provenance::Entity>(made.iter().map(|(_, source, _)| source.clone())).await?;
    tx.insert_all::<ground::Entity>(made.iter().map(|(.., ground)| ground.clone())).await?;
    for (contact, source, ground) in &made {
        let changes = Changes::between(&CONTACT, None, Some(contact))
            .and(Changes::between(&PROVENANCE, None, Some(source)))
            .and(Changes::between(&GROUND, None, Some(ground)));
        tx.record(Entry {
            action: "importContact",
            entity_type: CONTACT.name,
            entity_id: Some(contact.id),
            contact_id: Some(contact.id),
            changes,
        })
        .await?;
    }
    Ok(())
}

/// The rows that no earlier import of this source has brought.
async fn missing<'a, C: ConnectionTrait>(
    connection: &C,
    import: &Import,
    rows: &'a [Row],
) -> Result<Vec<&'a Row>, Error> {
    let present: Vec<Option<String>> = provenance::Entity::find()
        .select_only()
        .column(provenance::Column::ExternalId)
        .filter(provenance::Column::Source.eq(import.source.trim()))
        .filter(provenance::Column::ExternalId.is_in(rows.iter().map(|row| row.external_id.as_str())))
        .into_tuple()
        .all(connection)
        .await?;
    let present: HashSet<String> = present.into_iter().flatten().collect();
    Ok(rows.iter().filter(|row| !present.contains(&row.external_id)).collect())
}

fn provenance_of(
    tx: &Transaction,
    import: &Import,
    row: &Row,
    contact: &contact::Model,
) -> provenance::Model {
    let fields: Vec<&str> = row.values.iter().map(|(field, _)| field.name).collect();
    provenance::Model {
        id: tx.new_id(),
        contact_id: contact.id,
        source: import.source.trim().to_owned(),
        external_id: Some(row.external_id.clone()),
        collected_at: None,
        recorded_at: tx.now(),
        recorded_by: import.actor.clone(),
        fields: serde_json::json!(fields).to_string(),
        informed_at: import.informed_at,
        notice_version: import.notice_version.clone(),
    }
}

fn ground_of(tx: &Transaction, import: &Import, contact: &contact::Model) -> ground::Model {
    ground::Model {
        id: tx.new_id(),
        contact_id: contact.id,
        purpose_code: import.purpose.clone(),
        reference: Some(import.ground.trim().to_owned()),
        since: import.since.unwrap_or(tx.now()),
        until: None,
        recorded_by: import.actor.clone(),
        created_at: tx.now(),
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or_default()
}
