//! Leases of mails and their outcomes: a lease in the database ensures that only one of several servers sends a
//! mail. Room: domain/mail_outbox.

use chrono::{DateTime, TimeDelta, Utc};
use entity::mail;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};

use super::NotSentReason;
use crate::{
    app::App,
    audit::{self, Author, ChangeSet, Entry, Transaction},
    base::error::Error,
    registry::DataCategory,
};

/// How long a sender holds a mail; after a crash it is free again.
const LEASE_TIME: TimeDelta = TimeDelta::minutes(5);
/// Time until the second attempt; it doubles with every further one.
const FIRST_RETRY_DELAY: TimeDelta = TimeDelta::minutes(1);
/// Maximum time between two attempts.
const MAX_RETRY_DELAY: TimeDelta = TimeDelta::hours(6);
/// Mails examined to find one that nobody else leases.
const MAX_CANDIDATES: u64 = 16;

/// The outcome of an attempt. Error codes are ours: what a server says may quote an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// It was handed over.
    Sent,
    /// It is tried again later.
    Deferred(&'static str),
    /// It is not tried again.
    Abandoned(&'static str),
    /// It was not to be sent.
    NotSent(NotSentReason),
}

impl DeliveryOutcome {
    /// The label in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            DeliveryOutcome::Sent => "sent",
            DeliveryOutcome::Deferred(_) => "deferred",
            DeliveryOutcome::Abandoned(_) => "abandoned",
            DeliveryOutcome::NotSent(_) => "withheld",
        }
    }
}

/// The delay after `attempts` attempts.
fn retry_delay(attempts: i32) -> TimeDelta {
    let doublings = attempts.clamp(1, 10).unsigned_abs() - 1;
    (FIRST_RETRY_DELAY * (1 << doublings)).min(MAX_RETRY_DELAY)
}

fn is_due(now: DateTime<Utc>) -> Condition {
    Condition::all().add(mail::Column::NextAttemptAt.lte(now)).add(
        Condition::any().add(mail::Column::LeasedUntil.is_null()).add(mail::Column::LeasedUntil.lte(now)),
    )
}

/// Leases the next mail that is due to this sender. The attempt is recorded before it is made: a sender that
/// crashes after handing the mail over leaves a trace, and the mail is tried again.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn lease_next(app: &App) -> Result<Option<mail::Model>, Error> {
    let waiting = mail::Entity::find()
        .filter(is_due(app.now()))
        .order_by_asc(mail::Column::NextAttemptAt)
        .order_by_asc(mail::Column::Id)
        .limit(MAX_CANDIDATES);
    for row in waiting.all(&app.db.reader).await? {
        if let Some(mail) = audit::with_retry(|| lease(app, &row)).await? {
            return Ok(Some(mail));
        }
    }
    Ok(None)
}

async fn lease(app: &App, row: &mail::Model) -> Result<Option<mail::Model>, Error> {
    let mut tx = audit::begin(app, Author::command(app, "server", None)).await?;
    let attempts = row.attempts.saturating_add(1);
    let mail = mail::Model {
        attempts,
        leased_until: Some(tx.now() + LEASE_TIME),
        // If this sender crashes, it is tried again by then.
        next_attempt_at: Some(tx.now() + retry_delay(attempts)),
        ..row.clone()
    };
    let updated = mail::Entity::update_many()
        .col_expr(mail::Column::Attempts, Expr::value(mail.attempts))
        .col_expr(mail::Column::LeasedUntil, Expr::value(mail.leased_until))
        .col_expr(mail::Column::NextAttemptAt, Expr::value(mail.next_attempt_at))
        .filter(mail::Column::Id.eq(row.id))
        .filter(mail::Column::Attempts.eq(row.attempts))
        .filter(is_due(tx.now()))
        .exec(tx.connection())
        .await?;
    if updated.rows_affected != 1 {
        return Ok(None);
    }
    let changes =
        ChangeSet::single("Mail.attempts", DataCategory::Technical, row.attempts.into(), attempts.into());
    tx.record(entry("tryMail", row, changes)).await?;
    tx.commit().await?;
    Ok(Some(mail))
}

/// Stores the outcome of a leased mail and the purposes it was about, unless another sender has leased it
/// meanwhile.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn complete(app: &App, mail: &mail::Model, outcome: DeliveryOutcome) -> Result<(), Error> {
    audit::with_retry(|| store_outcome(app, mail, outcome)).await
}

async fn store_outcome(app: &App, mail: &mail::Model, outcome: DeliveryOutcome) -> Result<(), Error> {
    let mut tx = audit::begin(app, Author::command(app, "server", None)).await?;
    let (action, error_code) = match outcome {
        DeliveryOutcome::Sent => ("sendMail", None),
        DeliveryOutcome::Deferred(error_code) => ("postponeMail", Some(error_code)),
        DeliveryOutcome::Abandoned(error_code) => ("giveUpMail", Some(error_code)),
        DeliveryOutcome::NotSent(why) => ("giveUpMail", Some(why.as_str())),
    };
    let mut update = mail::Entity::update_many()
        .col_expr(mail::Column::LeasedUntil, Expr::value(None::<DateTime<Utc>>))
        .col_expr(mail::Column::Purposes, Expr::value(mail.purposes.as_str()))
        .col_expr(mail::Column::Fault, Expr::value(error_code));
    if !matches!(outcome, DeliveryOutcome::Deferred(_)) {
        let finished = match outcome {
            DeliveryOutcome::Sent => mail::Column::SentAt,
            _ => mail::Column::FailedAt,
        };
        update = update
            .col_expr(finished, Expr::value(tx.now()))
            .col_expr(mail::Column::NextAttemptAt, Expr::value(None::<DateTime<Utc>>))
            .col_expr(mail::Column::Recipient, Expr::value(None::<String>));
        if matches!(outcome, DeliveryOutcome::Abandoned(_) | DeliveryOutcome::NotSent(_)) {
            // Nobody got it: the next one need not wait.
            update = update.col_expr(mail::Column::Period, Expr::value(None::<String>));
        }
    }
    let updated = update
        .filter(mail::Column::Id.eq(mail.id))
        .filter(mail::Column::LeasedUntil.eq(mail.leased_until))
        .exec(tx.connection())
        .await?;
    if updated.rows_affected != 1 {
        return Ok(());
    }
    record(&mut tx, mail, action, error_code).await?;
    tx.commit().await
}

async fn record(
    tx: &mut Transaction,
    mail: &mail::Model,
    action: &'static str,
    error_code: Option<&'static str>,
) -> Result<(), Error> {
    let outcome = error_code.unwrap_or("SENT");
    let changes =
        ChangeSet::single("Mail.outcome", DataCategory::Technical, serde_json::Value::Null, outcome.into());
    tx.record(entry(action, mail, changes)).await
}

fn entry(action: &'static str, row: &mail::Model, changes: ChangeSet) -> Entry {
    Entry { action, entity_type: "Mail", entity_id: Some(row.id), contact_id: row.contact_id, changes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_six_hours() {
        let minutes: Vec<i64> = (1..=12).map(|attempts| retry_delay(attempts).num_minutes()).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360]);
        assert_eq!(retry_delay(i32::MAX), MAX_RETRY_DELAY);
        assert_eq!(retry_delay(0), FIRST_RETRY_DELAY);
    }
}
