//! Background jobs: mails, expiry and maintenance. Room: jobs.
//!
//! Every job is repeatable and may run on several servers at once; work that must happen once is leased or locked in
//! the database.

pub mod mailer;
pub mod policy_watch;
pub mod servers;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use chrono::{DateTime, Utc};
use sea_orm::DbBackend;

use crate::{
    app::App,
    audit,
    base::{error::Error, metrics},
    domain::{consents, signups, suppressions},
    jobs::mailer::Mailer,
};

/// How often due mails are sent. Sending follows the clock, not requests, so that its timing and load do not reveal
/// whether an address is known.
const MAIL_INTERVAL: Duration = Duration::from_secs(3);
/// How often consent changes queued by other servers are numbered.
const NUMBERING_INTERVAL: Duration = Duration::from_secs(1);
/// How long changes accumulate before the next batch is numbered; also the delay before a retry while another server
/// numbers.
const GATHER_TIME: Duration = Duration::from_millis(10);
/// How often subscribers are notified of consents that expired or ended by a policy change.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// How often every contact is compared with the suppression list.
const SUPPRESSION_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// Delay of the first run after the start.
const SUPPRESSION_DELAY: Duration = Duration::from_secs(600);
/// How often maintenance runs.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(3600);

/// Runs the jobs until the server stops; failures are logged by their code and retried.
pub async fn run(app: Arc<App>, mailer: Option<Mailer>) {
    let mail_loop = async {
        while let Some(mailer) = &mailer {
            log_failure(&app, "mails", mailer.deliver(&app).await.map(|_| ()));
            tokio::time::sleep(until_next(MAIL_INTERVAL, app.now())).await;
        }
    };
    let numbering_loop = run_numbering(&app);
    let expiry_loop = async {
        let mut revision = String::new();
        loop {
            log_failure(&app, "owed", audit::write_deferred_entries(&app).await.map(|_| ()));
            log_failure(&app, "ends", consents::expire(&app).await.map(|_| ()));
            let current = app.policy.current().revision().to_owned();
            if revision != current {
                let backfilled = consents::backfill_changes(&app).await;
                if backfilled.is_ok() {
                    revision = current;
                }
                log_failure(&app, "catch_up", backfilled.map(|_| ()));
            }
            tokio::time::sleep(EXPIRY_INTERVAL).await;
        }
    };
    let maintenance_loop = async {
        loop {
            log_failure(&app, "upkeep", run_maintenance(&app).await);
            tokio::time::sleep(MAINTENANCE_INTERVAL).await;
        }
    };
    let suppression_loop = async {
        // Delayed, but short enough for servers that restart every day.
        tokio::time::sleep(SUPPRESSION_DELAY).await;
        loop {
            log_failure(&app, "agree", reconcile_suppressions(&app).await);
            log_failure(&app, "review", check_review_due(&app).await);
            tokio::time::sleep(SUPPRESSION_INTERVAL).await;
        }
    };
    tokio::join!(mail_loop, numbering_loop, expiry_loop, maintenance_loop, suppression_loop);
}

/// Sends heartbeats until the server stops, and refreshes which master key is in use.
pub async fn send_heartbeats(app: Arc<App>, registration: servers::ServerRegistration) {
    loop {
        tokio::time::sleep(servers::HEARTBEAT_INTERVAL).await;
        log_failure(&app, "beat", registration.heartbeat(&app).await);
    }
}

/// Numbers consent changes until the server stops; changes queued in this process are numbered at once.
pub(crate) async fn run_numbering(app: &App) {
    // SQLite has no queue.
    while app.db.backend() != DbBackend::Sqlite {
        let numbered = audit::number_changes(app).await;
        let pause = match &numbered {
            Ok(_) => GATHER_TIME,
            Err(_) => NUMBERING_INTERVAL,
        };
        let was_first = !matches!(numbered, Ok(None));
        log_failure(app, "order", numbered.map(|_| ()));
        tokio::time::sleep(pause).await;
        if was_first {
            let _ = tokio::time::timeout(NUMBERING_INTERVAL, app.db.feed.queued()).await;
        }
    }
}

/// The time from `now` to the next multiple of `interval` on the clock.
fn until_next(interval: Duration, now: DateTime<Utc>) -> Duration {
    let (interval, now) = (interval.as_nanos(), now.timestamp_nanos_opt().unwrap_or_default().unsigned_abs());
    let elapsed = u128::from(now) % interval.max(1);
    Duration::from_nanos(u64::try_from(interval - elapsed).unwrap_or(u64::MAX))
}

/// Applies the suppression list to contacts that lack its blocks. Every write that adds an address or an opt-out does
/// so itself, so any repair here means a bug and is logged as an error.
async fn reconcile_suppressions(app: &App) -> Result<(), Error> {
    let reconciled = consents::reconcile(app).await?;
    if reconciled.repaired > 0 {
        tracing::error!(
            contacts = reconciled.repaired,
            "contacts lacked blocks that the suppression list requires"
        );
    }
    Ok(())
}

/// Checks whether the review of the suppression list is due.
async fn check_review_due(app: &App) -> Result<(), Error> {
    let due = suppressions::is_due(app).await?;
    app.suppression_review_due.store(due, Ordering::Relaxed);
    if due {
        tracing::warn!(
            "the suppression list has not been reviewed for three years; see `zweck suppressions status`"
        );
    }
    Ok(())
}

fn log_failure(app: &App, job: &'static str, result: Result<(), Error>) {
    app.failing.note(job, result.is_err());
    metrics::count_job(job, result.is_ok());
    if let Err(error) = result {
        tracing::warn!(job, code = error.code.as_str(), "a background job failed and will be retried");
    }
}

/// Runs every job once, including mails if there is a mailer.
///
/// # Errors
/// The first error.
pub async fn run_once(app: &App, mailer: Option<&Mailer>) -> Result<(), Error> {
    audit::write_deferred_entries(app).await?;
    consents::expire(app).await?;
    consents::backfill_changes(app).await?;
    audit::number_changes(app).await?;
    reconcile_suppressions(app).await?;
    check_review_due(app).await?;
    run_maintenance(app).await?;
    if let Some(mailer) = mailer {
        mailer.deliver(app).await?;
    }
    Ok(())
}

/// Runs maintenance. A failure of one task does not stop the others.
async fn run_maintenance(app: &App) -> Result<(), Error> {
    let results = [
        audit::delete_expired_outcomes(app).await.map(|_| ()),
        signups::delete_expired(app).await.map(|_| ()),
        consents::require_renewals(app).await.map(|_| ()),
        signups::request_renewals(app).await.map(|_| ()),
    ];
    results.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_strikes_at_multiples_whenever_one_looks() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        for (now, left) in [
            ("2026-11-02T09:00:00Z", Duration::from_secs(3)),
            ("2026-11-02T09:00:00.000001Z", Duration::from_micros(2_999_999)),
            ("2026-11-02T09:00:02Z", Duration::from_secs(1)),
            ("2026-11-02T09:00:02.999Z", Duration::from_millis(1)),
        ] {
            assert_eq!(until_next(MAIL_INTERVAL, at(now)), left, "{now}");
        }
    }
}
