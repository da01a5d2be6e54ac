//! The list is looked over every three years, and ends for a purpose that is advertised for no more (Art. 5(1)(e), 17(1)). Room: domain/suppressions.

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

/// Months after which the list is looked over again.
const REVIEW_INTERVAL: Months = Months::new(36);
/// Name of a review in the audit log.
const REVIEWED: &str = "reviewSuppressions";
const ENTRIES: &str = "Suppression";
/// Id of the list in the audit log, which its entries are found by.
const LIST_ID: Uuid = Uuid::from_u128(0x5375_7070_7265_7373_696f_6e00_0000_0001);

/// How many addresses are on the list for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OverviewPart {
    /// Code of the purpose or group.
    pub purpose: String,
    /// Whether the policy knows it still.
    pub known: bool,
    /// `OBJECTION`, `WITHDRAWAL`, `EXTERNAL_LIST` or `UNDELIVERABLE`.
    pub kind: String,
    /// Addresses, each once for a channel.
    pub entries: i64,
    /// Since when the first of them is there.
    pub first_at: DateTime<Utc>,
    /// Since when the last of them is.
    pub last_at: DateTime<Utc>,
}

/// What is on the list, and when it was looked over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Overview {
    /// By purpose and kind.
    pub parts: Vec<OverviewPart>,
    /// When it was last looked over.
    pub reviewed_at: Option<DateTime<Utc>>,
    /// When that is to be done next; null where nothing is on the list.
    pub due_at: Option<DateTime<Utc>>,
}

/// Tells what is on the list; no address.
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

/// Whether it is time to look the list over.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn is_due(app: &App) -> Result<bool, Error> {
    Ok(overview(app).await?.due_at.is_some_and(|due| due <= app.now()))
}

/// Notes that the list was looked over, and takes off it what stands there for purposes that are `ended`. Gives the number of entries that
/// went.
///
/// # Errors
/// `BAD_USER_INPUT` for a purpose that the policy knows, or that nothing is listed for; `INTERNAL` from the database.
pub async fn review(app: &App, actor: &str, ended: &[String]) -> Result<u64, Error> {
    let overview = overview(app).await?;
    for code in ended {
        match overview.parts.iter().find(|part| part.purpose == *code) {
            None => return Err(Error::bad_input(format!("nothing is on the list for `{code}`"))),
            Some(part) if part.known => {
                let message =
                    format!("`{code}` is a purpose of the policy: a no to it holds as long as that");
                return Err(Error::bad_input(message));
            }
            Some(_) => {}
        }
    }
    let mut tx = audit::begin(app, Author::command(app, actor, None)).await?;
    // Servers may run by another policy than that of this command: what was put in force last stands in the database.
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
        return Err(Error::bad_input(format!("`{code}` is a purpose of the policy that servers run by")));
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
