//! Reviews: the list is reviewed every three years, and entries end when their purpose is no longer advertised
//! (Art. 5(1)(e), 17(1)). Room: domain/suppressions.

use chrono::{DateTime, Months, Utc};
use entity::{
    audit_entry,
    enums::SuppressionKind,
    purpose,
    suppression::{Column, Entity},
};
use sea_orm::{ActiveEnum, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::{
    app::App,
    audit::{self, Author, ChangeSet, Entry},
    base::error::Error,
    registry::DataCategory,
};

/// Months between two reviews.
const REVIEW_INTERVAL: Months = Months::new(36);
/// Name of a review in the audit log.
const REVIEWED: &str = "reviewSuppressions";
const ENTRIES: &str = "Suppression";
/// Id of the list in the audit log, by which its entries are found.
const LIST_ID: Uuid = Uuid::from_u128(0x5375_7070_7265_7373_696f_6e00_0000_0001);

/// The number of addresses listed for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OverviewPart {
    /// Code of the purpose or group.
    pub purpose: String,
    /// Whether the policy still knows it.
    pub known: bool,
    /// `OBJECTION`, `WITHDRAWAL`, `EXTERNAL_LIST` or `UNDELIVERABLE`.
    pub kind: String,
    /// Addresses, counted once per channel.
    pub entries: i64,
    /// When the first was added.
    pub first_at: DateTime<Utc>,
    /// When the last was added.
    pub last_at: DateTime<Utc>,
}

/// The content of the list, and its last review.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// By purpose and kind.
    pub parts: Vec<OverviewPart>,
    /// When it was last reviewed.
    pub reviewed_at: Option<DateTime<Utc>>,
    /// When the next review is due; null if the list is empty.
    pub due_at: Option<DateTime<Utc>>,
}

/// Summarises the list, without addresses.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn overview(app: &App) -> Result<Overview, Error> {
    let db = &app.db.reader;
    type Row = (String, SuppressionKind, i64, DateTime<Utc>, DateTime<Utc>);
    let rows: Vec<Row> = Entity::find()
        .select_only()
        .column(Column::PurposeCode)
        .column(Column::Kind)
        .column_as(Column::Id.count(), "entries")
        .column_as(Column::CreatedAt.min(), "first_at")
        .column_as(Column::CreatedAt.max(), "last_at")
        .group_by(Column::PurposeCode)
        .group_by(Column::Kind)
        .order_by_asc(Column::PurposeCode)
        .order_by_asc(Column::Kind)
        .into_tuple()
        .all(db)
        .await?;
    let policy = app.policy.current();
    let parts: Vec<OverviewPart> = rows
        .into_iter()
        .map(|(purpose, kind, entries, first_at, last_at)| {
            let known = policy.purpose(&purpose).is_some();
            OverviewPart { purpose, known, kind: kind.to_value(), entries, first_at, last_at }
        })
        .collect();
    let reviewed_at: Option<DateTime<Utc>> = audit_entry::Entity::find()
        .select_only()
        .column(audit_entry::Column::At)
        .filter(audit_entry::Column::EntityId.eq(LIST_ID))
        .filter(audit_entry::Column::Action.eq(REVIEWED))
        .order_by_desc(audit_entry::Column::Id)
        .into_tuple()
        .one(db)
        .await?;
    let first = parts.iter().map(|part| part.first_at).min();
    let due_at =
        first.and_then(|first| reviewed_at.unwrap_or(first).max(first).checked_add_months(REVIEW_INTERVAL));
    Ok(Overview { parts, reviewed_at, due_at })
}

/// Whether a review is due.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn is_due(app: &App) -> Result<bool, Error> {
    Ok(overview(app).await?.due_at.is_some_and(|due| due <= app.now()))
}

/// Records a review, and removes the entries of purposes that are `ended`. Returns the number of removed entries.
///
/// # Errors
/// `BAD_USER_INPUT` for a purpose that the policy knows, or without entries; `INTERNAL` from the database.
pub async fn review(app: &App, actor: &str, ended: &[String]) -> Result<u64, Error> {
    let overview = overview(app).await?;
    for code in ended {
        match overview.parts.iter().find(|part| part.purpose == *code) {
            None => return Err(Error::bad_input(format!("nothing is on the list for `{code}`"))),
            Some(part) if part.known => {
                let message =
                    format!("`{code}` is still a purpose of the policy: its opt-outs remain in force");
                return Err(Error::bad_input(message));
            }
            Some(_) => {}
        }
    }
    let mut tx = audit::begin(app, Author::command(app, actor, None)).await?;
    // Servers may use another policy than this command: the database holds the one put in force last.
    let loaded: Vec<(String, String)> = purpose::Entity::find()
        .select_only()
        .column(purpose::Column::Code)
        .column(purpose::Column::Revision)
        .order_by_desc(purpose::Column::LoadedAt)
        .into_tuple()
        .all(tx.connection())
        .await?;
    let last = loaded.first().map(|(_, revision)| revision);
    let in_force =
        |code: &&String| loaded.iter().any(|(candidate, of)| candidate == *code && Some(of) == last);
    if let Some(code) = ended.iter().find(in_force) {
        return Err(Error::bad_input(format!("`{code}` is a purpose of the policy that the servers use")));
    }
    let deleted =
        Entity::delete_many().filter(Column::PurposeCode.is_in(ended)).exec(tx.connection()).await?;
    let details = json!({ "entries": overview.parts.iter().map(|part| part.entries).sum::<i64>(), "gone": deleted.rows_affected });
    tx.record(entry(details)).await?;
    tx.commit().await?;
    Ok(deleted.rows_affected)
}

fn entry(details: serde_json::Value) -> Entry {
    Entry {
        action: REVIEWED,
        entity_type: ENTRIES,
        entity_id: Some(LIST_ID),
        contact_id: None,
        changes: ChangeSet::single(
            "AuditEntry.action",
            DataCategory::Audit,
            serde_json::Value::Null,
            details,
        ),
    }
}
