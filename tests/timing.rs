//! Nobody learns from the time that an answer takes, or from what is busy after it, whether an address is known.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::DbBackend;
use serde_json::json;
use zweck::{
    app::App,
    auth::oidc::Issuers,
    config::public_pages::Mail,
    crypto::master_keys::MasterKeys,
    db::Db,
    domain::signups,
    jobs::{self, mailer::Mailer},
    policy::PolicyHandle,
};

use crate::{
    reads::worlds,
    signups::newsletter,
    support::{
        app::{TestApp, pages},
        smtp::Smtp,
        world::id,
    },
    writes::{
        done,
        statements::{log, log_all, statements},
    },
};

/// The same application over connections of its own.
async fn anew(test: &TestApp) -> App {
    let db = Db::connect(&test.url, 1).await.unwrap();
    let policy = PolicyHandle::new(test.app.policy.current());
    App::new(db, policy, test.clock.clone(), MasterKeys::new([7; 32]), Issuers::default()).with_pages(pages())
}

async fn sign_up(app: &App, address: &str, at: DateTime<Utc>) {
    let author = zweck::audit::Author::command(app, "page", None);
    let mut tx = zweck::audit::begin(app, author).await.unwrap();
    signups::sign_up(&mut tx, app, &newsletter(address, at)).await.unwrap();
    tx.commit().await.unwrap();
}

/// The statements are the same to the letter, whoever it is: known, unknown, in other letters, blocked, asked a moment ago, asked again
/// after the link was used, so that the mail goes later.
#[tokio::test]
async fn every_address_takes_the_same_statements() {
    let mut compared = 0;
    for world in worlds().await {
        let (test, db) = (&world.test, &world.test.app.db.writer);
        if db.get_database_backend() != DbBackend::Postgres {
            continue;
        }
        let desk = test.caller("privacy_desk", "rights_fulfilment").await;
        let objection = json!({ "email": "listed@example.org", "purpose": "direct_marketing" });
        done(&world.client, &desk, "recordObjection", objection, "objections { id }").await;
        let withdrawn = json!({ "contactId": id(0, 3), "purpose": "newsletter" });
        done(&world.client, &desk, "withdrawConsent", withdrawn, "consents { id }").await;
        zweck::audit::installation_keys(&test.app).await.unwrap();
        log_all(db).await;
        let app = anew(test).await;
        zweck::audit::installation_keys(&app).await.unwrap();
        let now = test.app.now();
        sign_up(&app, "used@example.org", now).await;
        test.clock.advance(TimeDelta::minutes(1));
        let token = crate::signups::tokens(test).await.remove(0);
        assert!(signups::confirm(&app, &token, "r").await.unwrap().is_some());
        let addresses = [
            "anna@example.org",
            "ANNA@example.org",
            "nobody@example.org",
            "nobody@example.org",
            "clara@example.org",
            "dora@example.org",
            "emil@example.org",
            "fritz@example.org",
            "listed@example.org",
            "used@example.org",
            "used@example.org",
        ];
        let mut first: [Option<Vec<String>>; 2] = [None, None];
        for address in addresses {
            // One who was withdrawn a moment ago is blocked at that time.
            let at = if address.starts_with("clara") { now } else { test.app.now() };
            let before = log(db).await.len();
            sign_up(&app, address, at).await;
            let middle = log(db).await.len();
            signups::send_magic_link(&app, address, "de", "r").await.unwrap();
            let log = log(db).await;
            for (first, part) in first.iter_mut().zip([&log[before..middle], &log[middle..]]) {
                let taken: Vec<String> = statements(part)
                    .into_iter()
                    .filter(|statement| !statement.contains("pg_read_file"))
                    .collect();
                assert!(taken.len() > 6, "{taken:?}");
                let first = first.get_or_insert_with(|| taken.clone());
                assert_eq!(*first, taken, "{address}");
                compared += 1;
            }
            test.clock.advance(TimeDelta::seconds(1));
        }
        let faults: Vec<_> =
            test.mails().await.into_iter().map(|mail| mail.fault.unwrap_or_default()).collect();
        for fault in ["TOO_SOON", "ENDED_SINCE", "NOBODY", ""] {
            assert!(faults.iter().any(|known| known == fault), "{fault} {faults:?}");
        }
    }
    assert!(compared == 0 || compared == 22);
}

/// What a sender asks of the database at the stroke is as much for a mail that must not be sent: but for the SMTP server nothing is busier.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn senders_write_as_much_for_what_is_withheld() {
    for world in worlds().await {
        let (test, db) = (&world.test, &world.test.app.db.writer);
        let Some(smtp) = Smtp::start() else { return };
        if db.get_database_backend() != DbBackend::Postgres {
            continue;
        }
        zweck::audit::installation_keys(&test.app).await.unwrap();
        log_all(db).await;
        let app = anew(test).await;
        zweck::audit::installation_keys(&app).await.unwrap();
        let mut taken = Vec::new();
        for address in ["anna@example.org", "nobody@example.org", "gina@example.org", "no.one@example.org"] {
            signups::send_magic_link(&app, address, "de", "r").await.unwrap();
            let before = log(db).await.len();
            smtp.mailer().deliver(&app).await.unwrap();
            let tables = statements(&log(db).await[before..]).into_iter();
            let tables = tables.filter(|statement| !statement.contains("pg_read_file"));
            let verbs = tables.map(|statement| statement.split(" SET ").next().unwrap().to_owned());
            taken.push(verbs.collect::<Vec<_>>());
            test.clock.advance(TimeDelta::seconds(1));
        }
        assert_eq!(smtp.mails().len(), 2);
        assert!(taken[0].len() > 8 && taken.iter().all(|verbs| *verbs == taken[0]), "{taken:#?}");
        let row = test.mails().await.remove(1);
        assert_eq!((row.fault.as_deref(), row.failed_at.is_some()), (Some("NOBODY"), true));
        assert_eq!((row.recipient, row.next_attempt_at), (None, None));
    }
}

/// A mail that is queued waits for the stroke of the clock: a sender that was woken for it would be busy right behind the request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_is_queued_wakes_nobody() {
    for world in worlds().await {
        let test = &world.test;
        // Nobody listens there: that a mail is tried is seen all the same.
        let settings = Mail {
            url: Some("smtp://127.0.0.1:1".to_owned()),
            from: Some("Example GmbH <privacy@example.com>".to_owned()),
        };
        let mailer = Mailer::new(&settings).unwrap();
        let app = Arc::new(anew(test).await);
        // The clock of the application stands still, right at a stroke: it is three seconds to the next.
        let begun = Instant::now();
        let running = tokio::spawn(jobs::run(app.clone(), mailer));
        // The senders have looked for the first time, found nothing and gone to sleep.
        tokio::time::sleep(Duration::from_secs(1)).await;
        signups::send_magic_link(&test.app, "anna@example.org", "de", "r").await.unwrap();
        signups::send_magic_link(&app, "gina@example.org", "de", "r").await.unwrap();
        while test.mails().await.iter().any(|mail| mail.attempts == 0) {
            assert!(begun.elapsed() < Duration::from_secs(60), "no sender came");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(begun.elapsed() >= Duration::from_secs(3), "{:?}", begun.elapsed());
        running.abort();
    }
}
