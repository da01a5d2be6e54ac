//! Writes a batch of rows: contact, provenance and ground together or not at all (floor 4).

use std::collections::HashSet;

use entity::{contact, enums::ContactState, ground, provenance};
use sea_orm::{
    ActiveValue::{self, Set},
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect, SqlErr,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use uuid::Uuid;

use super::{Import, ImportField, rows::Row};
use crate::{context::App, error::Error, fold::fold};

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
            Err(error) if attempt < ATTEMPTS && is_race(&error) => attempt += 1,
            done => return Ok(done?),
        }
    }
}

async fn insert(app: &App, import: &Import, rows: &[Row]) -> Result<u64, sea_orm::DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..Default::default()
    };
    let transaction = app.db.writer.begin_with_options(options).await?;
    let missing = missing(&transaction, import, rows).await?;
    for chunk in missing.chunks(CHUNK) {
        insert_chunk(app, import, chunk, &transaction).await?;
    }
    transaction.commit().await?;
    Ok(count(missing.len()))
}

async fn insert_chunk(
    app: &App,
    import: &Import,
    rows: &[&Row],
    transaction: &DatabaseTransaction,
) -> Result<(), sea_orm::DbErr> {
    let mut contacts = Vec::with_capacity(rows.len());
    let mut sources = Vec::with_capacity(rows.len());
    let mut grounds = Vec::with_capacity(rows.len());
    for row in rows {
        let contact = contact_of(app, row);
        let contact_id = contact.id.clone();
        sources.push(provenance_of(app, import, row, contact_id.clone()));
        grounds.push(ground_of(app, import, contact_id));
        contacts.push(contact);
    }
    contact::Entity::insert_many(contacts).exec_without_returning(transaction).await?;
    provenance::Entity::insert_many(sources).exec_without_returning(transaction).await?;
    ground::Entity::insert_many(grounds).exec_without_returning(transaction).await?;
    Ok(())
}

/// The rows that no earlier import of this source has brought.
async fn missing<'a, C: ConnectionTrait>(
    connection: &C,
    import: &Import,
    rows: &'a [Row],
) -> Result<Vec<&'a Row>, sea_orm::DbErr> {
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

fn contact_of(app: &App, row: &Row) -> contact::ActiveModel {
    let now = app.now();
    let value = |field| row.value(field).map(str::to_owned);
    let folded = |field| Set(row.value(field).map(fold));
    let address: Vec<&str> =
        [ImportField::Street, ImportField::PostalCode, ImportField::City, ImportField::Country]
            .into_iter()
            .map(|field| row.value(field).unwrap_or_default())
            .collect();
    let has_address = address.iter().any(|part| !part.is_empty());
    contact::ActiveModel {
        id: Set(app.new_id()),
        given_name: Set(value(ImportField::GivenName)),
        given_name_folded: folded(ImportField::GivenName),
        family_name: Set(value(ImportField::FamilyName)),
        family_name_folded: folded(ImportField::FamilyName),
        email: Set(value(ImportField::Email)),
        email_folded: folded(ImportField::Email),
        phone: Set(value(ImportField::Phone)),
        phone_folded: folded(ImportField::Phone),
        // Checked to be a date when the row was read.
        birth_date: Set(value(ImportField::BirthDate).and_then(|date| date.parse().ok())),
        company: Set(value(ImportField::Company)),
        company_folded: folded(ImportField::Company),
        job_title: Set(value(ImportField::JobTitle)),
        job_title_folded: folded(ImportField::JobTitle),
        street: Set(value(ImportField::Street)),
        street_folded: folded(ImportField::Street),
        postal_code: Set(value(ImportField::PostalCode)),
        postal_code_folded: folded(ImportField::PostalCode),
        city: Set(value(ImportField::City)),
        city_folded: folded(ImportField::City),
        country: Set(value(ImportField::Country)),
        country_folded: folded(ImportField::Country),
        language: Set(value(ImportField::Language)),
        language_folded: folded(ImportField::Language),
        address_folded: Set(has_address.then(|| fold(&address.join("|")))),
        notes: Set(value(ImportField::Notes)),
        state: Set(ContactState::Active),
        version: Set(1),
        created_at: Set(now),
        updated_at: Set(now),
        restricted_at: Set(None),
    }
}

fn provenance_of(
    app: &App,
    import: &Import,
    row: &Row,
    contact_id: ActiveValue<Uuid>,
) -> provenance::ActiveModel {
    let fields: Vec<&str> = row.values.iter().map(|(field, _)| field.as_str()).collect();
    provenance::ActiveModel {
        id: Set(app.new_id()),
        contact_id,
        source: Set(import.source.trim().to_owned()),
        external_id: Set(Some(row.external_id.clone())),
        collected_at: Set(None),
        recorded_at: Set(app.now()),
        recorded_by: Set(import.actor.clone()),
        fields: Set(serde_json::json!(fields).to_string()),
        informed_at: Set(None),
        notice_version: Set(None),
    }
}

fn ground_of(app: &App, import: &Import, contact_id: ActiveValue<Uuid>) -> ground::ActiveModel {
    let now = app.now();
    ground::ActiveModel {
        id: Set(app.new_id()),
        contact_id,
        purpose_code: Set(import.purpose.clone()),
        reference: Set(Some(import.ground.trim().to_owned())),
        since: Set(import.since.unwrap_or(now)),
        until: Set(None),
        recorded_by: Set(import.actor.clone()),
        created_at: Set(now),
    }
}

/// Whether another import has written one of the rows in between.
fn is_race(error: &sea_orm::DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or_default()
}
