//! Who sends a mail, and what came of it: a lease in the database, so that of several servers one sends it. Room: domain/mail_outbox.

use chrono::{DateTime, TimeDelta, Utc};
use entity::mail;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};

use super::Withheld;
use crate::{
    app::App,
    audit::{self, Author, ChangeSet, Entry, Transaction},
    base::error::Error,
    registry::DataCategory,
};

/// How long a sender has a mail. One that fell over lets it go by then.
const LEASE_TIME: TimeDelta = TimeDelta::minutes(5);
/// Time until a second attempt; it doubles with every further one.
const FIRST_RETRY_DELAY: TimeDelta = TimeDelta::minutes(1);
/// Longest time between two attempts.
const MAX_RETRY_DELAY: TimeDelta = TimeDelta::hours(6);
/// Mails looked at to find one that nobody else takes.
const MAX_CANDIDATES: u64 = 16;

/// What came of an attempt. Faults are codes of ours: what a server says may quote an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was handed over.
    Sent,
    /// It is tried again later.
    Postponed(&'static str),
    /// It will not be tried again.
    GivenUp(&'static str),
    /// It was never to be sent.
    Withheld(Withheld),
}

impl Outcome {
    /// The word that measures count by.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Sent => "sent",
            Outcome::Postponed(_) => "postponed",
            Outcome::GivenUp(_) => "given_up",
            Outcome::Withheld(_) => "withheld",
        }
    }
}

/// The time after `attempts` attempts until the next.
fn pause(attempts: i32) -> TimeDelta {
    let doublings = attempts.clamp(1, 10).unsigned_abs() - 1;
    (FIRST_RETRY_DELAY * (1 << doublings)).min(MAX_RETRY_DELAY)
}

fn due(now: DateTime<Utc>) -> Condition {
    Condition::all().add(mail::Column::NextAttemptAt.lte(now)).add(
        Condition::any().add(mail::Column::LeasedUntil.is_null()).add(mail::Column::LeasedUntil.lte(now)),
    )
}

/// The next mail that is due, for this sender alone until its lease ends. That it is tried is recorded before it is: a sender that
/// falls over after handing it over leaves a trace, and the mail is tried again.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn take(app: &App) -> Result<Option<mail::Model>, Error> {
    let waiting = mail::Entity::find()
        .filter(due(app.now()))
        .order_by_asc(mail::Column::NextAttemptAt)
        .order_by_asc(mail::Column::Id)
        .limit(MAX_CANDIDATES);
    for row in waiting.all(&app.db.reader).await? {
        if let Some(taken) = audit::with_retry(|| lease(app, &row)).await? {
            return Ok(Some(taken));
        }
    }
    Ok(None)
}

async fn lease(app: &App, row: &mail::Model) -> Result<Option<mail::Model>, Error> {
    let mut tx = audit::begin(app, Author::command(app, "server", None)).await?;
    let attempts = row.attempts.saturating_add(1);
    let taken = mail::Model {
        attempts,
        leased_until: Some(tx.now() + LEASE_TIME),
        // Should this sender fall over, it is tried again by then.
        next_attempt_at: Some(tx.now() + pause(attempts)),
        ..row.clone()
    };
    let done = mail::Entity::update_many()
        .col_expr(mail::Column::Attempts, Expr::value(taken.attempts))
        .col_expr(mail::Column::LeasedUntil, Expr::value(taken.leased_until))
        .col_expr(mail::Column::NextAttemptAt, Expr::value(taken.next_attempt_at))
        .filter(mail::Column::Id.eq(row.id))
        .filter(mail::Column::Attempts.eq(row.attempts))
        .filter(due(tx.now()))
        .exec(tx.connection())
        .await?;
    if done.rows_affected != 1 {
        return Ok(None);
    }
    let changes =
        ChangeSet::single("Mail.attempts", DataCategory::Technical, row.attempts.into(), attempts.into());
    tx.record(entry("tryMail", row, changes)).await?;
    tx.commit().await?;
    Ok(Some(taken))
}

/// Keeps what came of the attempt at a mail that was taken, and which purposes it was about, unless somebody else has it by now.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn settle(app: &App, taken: &mail::Model, outcome: Outcome) -> Result<(), Error> {
    audit::with_retry(|| keep(app, taken, outcome)).await
}

async fn keep(app: &App, taken: &mail::Model, outcome: Outcome) -> Result<(), Error> {
    let mut tx = audit::begin(app, Author::command(app, "server", None)).await?;
    let (action, fault) = match outcome {
        Outcome::Sent => ("sendMail", None),
        Outcome::Postponed(fault) => ("postponeMail", Some(fault)),
        Outcome::GivenUp(fault) => ("giveUpMail", Some(fault)),
        Outcome::Withheld(why) => ("giveUpMail", Some(why.as_str())),
    };
    let mut update = mail::Entity::update_many()
        .col_expr(mail::Column::LeasedUntil, Expr::value(None::<DateTime<Utc>>))
        .col_expr(mail::Column::Purposes, Expr::value(taken.purposes.as_str()))
        .col_expr(mail::Column::Fault, Expr::value(fault));
    if !matches!(outcome, Outcome::Postponed(_)) {
        let over = match outcome {
            Outcome::Sent => mail::Column::SentAt,
            _ => mail::Column::FailedAt,
        };
        update = update
            .col_expr(over, Expr::value(tx.now()))
            .col_expr(mail::Column::NextAttemptAt, Expr::value(None::<DateTime<Utc>>))
            .col_expr(mail::Column::Recipient, Expr::value(None::<String>));
        if matches!(outcome, Outcome::GivenUp(_) | Outcome::Withheld(_)) {
            // Nobody got it: the next one need not wait.
            update = update.col_expr(mail::Column::Period, Expr::value(None::<String>));
        }
    }
    let done = update
        .filter(mail::Column::Id.eq(taken.id))
        .filter(mail::Column::LeasedUntil.eq(taken.leased_until))
        .exec(tx.connection())
        .await?;
    if done.rows_affected != 1 {
        return Ok(());
    }
    record(&mut tx, taken, action, fault).await?;
    tx.commit().await
}

async fn record(
    tx: &mut Transaction,
    taken: &mail::Model,
    action: &'static str,
    fault: Option<&'static str>,
) -> Result<(), Error> {
    let told = fault.unwrap_or("SENT");
    let changes =
        ChangeSet::single("Mail.outcome", DataCategory::Technical, serde_json::Value::Null, told.into());
    tx.record(entry(action, taken, changes)).await
}

fn entry(action: &'static str, row: &mail::Model, changes: ChangeSet) -> Entry {
    Entry { action, entity_type: "Mail", entity_id: Some(row.id), contact_id: row.contact_id, changes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_six_hours() {
        let minutes: Vec<i64> = (1..=12).map(|attempts| pause(attempts).num_minutes()).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360, 360]);
        assert_eq!(pause(i32::MAX), MAX_RETRY_DELAY);
        assert_eq!(pause(0), FIRST_RETRY_DELAY);
    }
}
