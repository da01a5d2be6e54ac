//! Work that nobody waits for: mails, ends by time, what is kept for a while only. Room: jobs.
//!
//! Each piece may be done again, and by several servers at once: what is done once only is leased or locked in the database.

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

/// How often is looked for mails that are due. The clock strikes for them, and no request: how soon after it something is sent, and
/// what is busy then, tells nobody whether an address is known.
const MAIL_INTERVAL: Duration = Duration::from_secs(3);
/// How often is looked for changes of consents that others have queued.
const NUMBERING_INTERVAL: Duration = Duration::from_secs(1);
/// How long changes gather before the next are given their places; and until is tried again what another does meanwhile.
const GATHER_TIME: Duration = Duration::from_millis(10);
/// How often consents that time or another policy has ended are told to those who follow.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);
/// How often every contact is compared with the suppression list.
const SUPPRESSION_INTERVAL: Duration = Duration::from_secs(24 * 3600);
/// How long after the start it is done first.
const SUPPRESSION_DELAY: Duration = Duration::from_secs(600);
/// How often all else is done.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(3600);

/// Does the work until the server ends; what fails is told by its code and done again.
pub async fn run(app: Arc<App>, mailer: Option<Mailer>) {
    let mails = async {
        while let Some(mailer) = &mailer {
            told(&app, "mails", mailer.deliver(&app).await.map(|_| ()));
            tokio::time::sleep(until_next(MAIL_INTERVAL, app.now())).await;
        }
    };
    let order = order(&app);
    let ends = async {
        let mut revision = String::new();
        loop {
            told(&app, "owed", audit::write_deferred_entries(&app).await.map(|_| ()));
            told(&app, "ends", consents::expire(&app).await.map(|_| ()));
            let present = app.policy.current().revision().to_owned();
            if revision != present {
                let caught_up = consents::backfill_changes(&app).await;
                if caught_up.is_ok() {
                    revision = present;
                }
                told(&app, "catch_up", caught_up.map(|_| ()));
            }
            tokio::time::sleep(EXPIRY_INTERVAL).await;
        }
    };
    let rest = async {
        loop {
            told(&app, "upkeep", upkeep(&app).await);
            tokio::time::sleep(MAINTENANCE_INTERVAL).await;
        }
    };
    let agree = async {
        // A server that is started anew every day does it too, once the first requests are answered.
        tokio::time::sleep(SUPPRESSION_DELAY).await;
        loop {
            told(&app, "agree", agree(&app).await);
            told(&app, "review", review(&app).await);
            tokio::time::sleep(SUPPRESSION_INTERVAL).await;
        }
    };
    tokio::join!(mails, order, ends, rest, agree);
}

/// Says that this server runs until it ends, and learns which master key is in use.
pub async fn beat(app: Arc<App>, own: servers::Own) {
    loop {
        tokio::time::sleep(servers::HEARTBEAT_INTERVAL).await;
        told(&app, "beat", own.beat(&app).await);
    }
}

/// Gives changes of consents their places until the server ends: at once what is queued here.
pub(crate) async fn order(app: &App) {
    // SQLite has no queue.
    while app.db.backend() != DbBackend::Sqlite {
        let numbered = audit::number_changes(app).await;
        let gather = match &numbered {
            Ok(_) => GATHER_TIME,
            Err(_) => NUMBERING_INTERVAL,
        };
        let alone = !matches!(numbered, Ok(None));
        told(app, "order", numbered.map(|_| ()));
        tokio::time::sleep(gather).await;
        if alone {
            let _ = tokio::time::timeout(NUMBERING_INTERVAL, app.db.feed.queued()).await;
        }
    }
}

/// How long it is at `now` until the clock strikes the next multiple of `every`.
fn until_next(every: Duration, now: DateTime<Utc>) -> Duration {
    let (every, now) = (every.as_nanos(), now.timestamp_nanos_opt().unwrap_or_default().unsigned_abs());
    let past = u128::from(now) % every.max(1);
    Duration::from_nanos(u64::try_from(every - past).unwrap_or(u64::MAX))
}

/// Carries what the suppression list says to contacts that lack it. There is nothing to be mended: what brings an address or a no does so
/// itself. Anything else is a fault of ours, and told as one.
async fn agree(app: &App) -> Result<(), Error> {
    let settled = consents::reconcile(app).await?;
    if settled.repaired > 0 {
        tracing::error!(
            contacts = settled.repaired,
            "contacts lacked a block that the suppression list says"
        );
    }
    Ok(())
}

/// Looks whether the suppression list is to be looked over.
async fn review(app: &App) -> Result<(), Error> {
    let due = suppressions::is_due(app).await?;
    app.unreviewed.store(due, Ordering::Relaxed);
    if due {
        tracing::warn!(
            "the suppression list was not looked over for three years; `zweck suppressions status` tells what is on it"
        );
    }
    Ok(())
}

fn told(app: &App, job: &'static str, done: Result<(), Error>) {
    app.failing.note(job, done.is_err());
    metrics::count_job(job, done.is_ok());
    if let Err(error) = done {
        tracing::warn!(job, code = error.code.as_str(), "a background job failed; it is done again later");
    }
}

/// Does everything once, mails where there is a mailer.
///
/// # Errors
/// The first one.
pub async fn round(app: &App, mailer: Option<&Mailer>) -> Result<(), Error> {
    audit::write_deferred_entries(app).await?;
    consents::expire(app).await?;
    consents::backfill_changes(app).await?;
    audit::number_changes(app).await?;
    agree(app).await?;
    review(app).await?;
    upkeep(app).await?;
    if let Some(mailer) = mailer {
        mailer.deliver(app).await?;
    }
    Ok(())
}

/// All else. One piece that fails does not hold up the others.
async fn upkeep(app: &App) -> Result<(), Error> {
    let done = [
        audit::delete_expired_outcomes(app).await.map(|_| ()),
        signups::sweep(app).await.map(|_| ()),
        consents::require_renewals(app).await.map(|_| ()),
        signups::ask_renewals(app).await.map(|_| ()),
    ];
    done.into_iter().collect()
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
