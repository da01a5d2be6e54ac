//! Mails: handed to a real SMTP server, each once; nothing is lost, nothing of them stays.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use entity::mail;
use sea_orm::{EntityTrait, QueryOrder};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use zweck::{
    app::App,
    base::clock::{Clock, ManualClock, SystemClock},
    crypto::master_keys::MasterKeys,
    db::Db,
    domain::signups::{self, SignUp},
    jobs,
    policy::PolicyHandle,
};

use crate::{
    reads::worlds,
    signups::{newsletter, sign_up},
    support::{
        app::{TestApp, pages},
        dump::dump,
        process::{KEY, Server},
        smtp::Smtp,
        world::id,
    },
};

impl TestApp {
    /// Does the background work once.
    pub async fn run_jobs(&self, smtp: Option<&Smtp>) {
        let mailer = smtp.map(Smtp::mailer);
        jobs::run_once(&self.app, mailer.as_ref()).await.unwrap();
    }

    /// Every mail, the oldest first.
    pub async fn mails(&self) -> Vec<mail::Model> {
        mail::Entity::find().order_by_asc(mail::Column::Id).all(&self.app.db.reader).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_up_is_mailed_confirmed_and_read() {
    for world in worlds().await {
        let Some(smtp) = Smtp::start() else { return };
        let test = &world.test;
        let marketing = test.caller("marketing", "newsletter").await;
        let all = "{ contacts(first: 100) { nodes { email } } }";
        sign_up(test, &newsletter("New.Reader@example.org", test.app.now())).await.unwrap();
        test.run_jobs(Some(&smtp)).await;
        test.run_jobs(Some(&smtp)).await;
        let mails = smtp.mails();
        let [mail] = mails.as_slice() else { panic!("{mails:?}") };
        assert_eq!(mail.value("X-To"), Some("New.Reader@example.org"));
        assert_eq!(mail.value("To"), Some("New.Reader@example.org"));
        assert_eq!(mail.value("From"), Some("\"Example GmbH\" <privacy@example.com>"));
        assert_eq!(mail.value("Auto-Submitted"), Some("auto-generated"));
        assert_eq!(mail.value("MIME-Version"), Some("1.0"));
        assert_eq!(mail.value("Content-Type"), Some("text/plain; charset=utf-8"));
        assert_eq!(mail.value("Content-Transfer-Encoding"), Some("quoted-printable"));
        assert_eq!(mail.value("List-Unsubscribe"), None);
        let row = test.mails().await.remove(0);
        assert_eq!(mail.value("Message-ID"), Some(format!("<{}@example.com>", row.id).as_str()));
        assert!(mail.raw.is_ascii() && mail.raw.lines().all(|line| line.len() <= 78), "{}", mail.raw);
        for part in [
            "Example GmbH",
            "- Newsletter",
            "privacy office, room 4",
            "https://crm.example/p/m",
            "04.11.2026, 09:00 Uhr (UTC)",
            "müssen Sie nichts tun",
        ] {
            assert!(mail.text.contains(part), "{part}: {}", mail.text);
        }
        // Nobody's name, whatever was typed.
        assert!(!mail.raw.contains("Saatgut"), "{}", mail.raw);
        let before = world.client.data(&marketing, all).await.to_string();
        assert!(!before.contains("New.Reader"), "{before}");
        let token = mail.token();
        // Neither the token nor the address is left where the mail was.
        let left = dump(&test.app.db.reader).await;
        assert!(!left["mail"].iter().chain(&left["link"]).any(|row| row.contains(&token)));
        assert!(!left["mail"].iter().any(|row| row.to_lowercase().contains("new.reader")));
        assert!(left["audit_entry"].iter().any(|row| row.contains("sendMail")));
        let contact = signups::confirm(&test.app, &token, "r").await.unwrap().unwrap();
        let after = world.client.data(&marketing, all).await.to_string();
        assert!(after.contains("New.Reader@example.org"), "{after}");
        let desk = test.caller("privacy_desk", "rights_fulfilment").await;
        let events = world.client.data(&desk, &format!(
            "{{ contact(id: \"{contact}\") {{ consents {{ nodes {{ events {{ kind source proof address evidence text {{ version language }} }} }} }} }} }}"
        )).await;
        let events = events["contact"]["consents"]["nodes"][0]["events"].clone();
        assert_eq!(events[0]["kind"], "REQUESTED");
        assert_eq!(events[1]["kind"], "CONFIRMED");
        assert_eq!(events[1]["proof"], "double_opt_in");
        assert_eq!(events[1]["address"], "New.Reader@example.org");
        assert_eq!(events[1]["evidence"], format!("mail {}", row.id));
        assert_eq!(events[1]["text"]["language"], "de");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_mail_says_what_it_must_in_both_languages() {
    for world in worlds().await {
        let Some(smtp) = Smtp::start() else { return };
        let test = &world.test;
        let english = SignUp { language: "en".to_owned(), ..newsletter("e@example.org", test.app.now()) };
        sign_up(test, &english).await.unwrap();
        test.run_jobs(Some(&smtp)).await;
        signups::send_magic_link(&test.app, "Anna@example.org", "de", "r").await.unwrap();
        signups::send_magic_link(&test.app, "nobody@example.org", "de", "r").await.unwrap();
        test.run_jobs(Some(&smtp)).await;
        let mails = smtp.mails();
        assert_eq!(mails.len(), 2, "{mails:?}");
        assert_eq!(mails[0].value("Subject"), Some("Please confirm your sign-up"));
        assert!(mails[0].text.contains("4 November 2026, 09:00 (UTC)"), "{}", mails[0].text);
        assert_eq!(mails[1].value("X-To"), Some("anna@example.org"));
        assert!(mails[1].text.contains("02.11.2026, 10:00 Uhr (UTC)"), "{}", mails[1].text);
        let contact = signups::confirm(&test.app, &mails[0].token(), "r").await.unwrap().unwrap();
        test.clock.advance(TimeDelta::days(2 * 365 - 50));
        test.run_jobs(Some(&smtp)).await;
        let mails = smtp.mails();
        assert_eq!(mails.len(), 3, "{mails:?}");
        let renewal = &mails[2];
        assert_eq!(renewal.value("Subject"), Some("Your consent is about to end"));
        assert!(renewal.text.contains("2 November 2028"), "{}", renewal.text);
        assert_eq!(renewal.value("List-Unsubscribe-Post"), Some("List-Unsubscribe=One-Click"));
        let unsubscribe = renewal.value("List-Unsubscribe").unwrap();
        assert!(unsubscribe.starts_with("<https://crm.example/p/p") && unsubscribe.ends_with('>'));
        let preference = unsubscribe.trim_matches(['<', '>']).rsplit('/').next().unwrap().to_owned();
        let ring = zweck::audit::installation_keys(&test.app).await.unwrap();
        let opened = zweck::crypto::link_tokens::open_preference(ring, &preference).unwrap();
        assert_eq!((opened.contact, opened.purpose.as_str()), (contact, "newsletter"));
        assert!(renewal.text.contains(&preference));
        // The header is never folded: folding would break the address in it.
        assert!(renewal.raw.lines().any(|line| line == format!("List-Unsubscribe: {unsubscribe}")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_gets_one_mail_of_a_kind_in_a_period() {
    for world in worlds().await {
        let Some(smtp) = Smtp::start() else { return };
        let test = &world.test;
        let again = async |address: &str| {
            sign_up(test, &newsletter(address, test.app.now())).await.unwrap();
            signups::send_magic_link(&test.app, "anna@example.org", "de", "r").await.unwrap();
            test.run_jobs(Some(&smtp)).await;
            smtp.mails().len()
        };
        assert_eq!(again("often@example.org").await, 2);
        assert_eq!(again("Often@EXAMPLE.org").await, 2);
        test.clock.advance(TimeDelta::minutes(61));
        assert_eq!(again("often@example.org").await, 3, "a fresh link again");
        test.clock.advance(TimeDelta::hours(23));
        assert_eq!(again("often@example.org").await, 5, "both again");
        // At once, whoever comes first.
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let app = test.app.clone();
                tokio::spawn(async move {
                    signups::send_magic_link(&app, "gina@example.org", "de", "r").await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        test.run_jobs(Some(&smtp)).await;
        assert_eq!(smtp.mails().len(), 6);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_gets_the_mail_later_and_one_that_refuses_does_not() {
    for world in worlds().await {
        let Some(mut smtp) = Smtp::start() else { return };
        let test = &world.test;
        smtp.down();
        sign_up(test, &newsletter("late@example.org", test.app.now())).await.unwrap();
        test.run_jobs(Some(&smtp)).await;
        let state = |mail: &mail::Model| (mail.attempts, mail.fault.clone(), mail.recipient.is_some());
        assert_eq!(state(&test.mails().await[0]), (1, Some("UNREACHABLE".to_owned()), true));
        smtp.up();
        test.run_jobs(Some(&smtp)).await;
        assert_eq!(smtp.mails().len(), 0, "not before its time");
        test.clock.advance(TimeDelta::minutes(1));
        smtp.mode("later");
        test.run_jobs(Some(&smtp)).await;
        assert_eq!(state(&test.mails().await[0]), (2, Some("REFUSED_FOR_NOW".to_owned()), true));
        smtp.mode("accept");
        test.clock.advance(TimeDelta::minutes(1));
        test.run_jobs(Some(&smtp)).await;
        assert_eq!(smtp.mails().len(), 0, "the pause doubles");
        test.clock.advance(TimeDelta::minutes(1));
        test.run_jobs(Some(&smtp)).await;
        assert_eq!(smtp.mails().len(), 1);
        let sent = test.mails().await.remove(0);
        assert_eq!((state(&sent), sent.sent_at), ((3, None, false), Some(test.app.now())));
        // For good.
        smtp.mode("refuse");
        sign_up(test, &newsletter("never@example.org", test.app.now())).await.unwrap();
        test.run_jobs(Some(&smtp)).await;
        smtp.mode("accept");
        test.clock.advance(TimeDelta::days(1));
        test.run_jobs(Some(&smtp)).await;
        let refused = test.mails().await.remove(1);
        assert_eq!(
            (state(&refused), refused.next_attempt_at),
            ((1, Some("REFUSED".to_owned()), false), None)
        );
        assert!(refused.failed_at.is_some());
        // No mail goes to a name that the server has no letters for; a domain has ASCII letters.
        sign_up(test, &newsletter("käthe@example.org", test.app.now())).await.unwrap();
        test.clock.advance(TimeDelta::seconds(1));
        sign_up(test, &newsletter("info@bücher.example", test.app.now())).await.unwrap();
        test.run_jobs(Some(&smtp)).await;
        let unusable = test.mails().await.remove(2);
        assert_eq!(state(&unusable), (1, Some("UNUSABLE_ADDRESS".to_owned()), false));
        assert_eq!(smtp.mails().last().unwrap().value("X-To"), Some("info@xn--bcher-kva.example"));
        // A link that ends before its mail could be sent.
        smtp.down();
        test.clock.advance(TimeDelta::seconds(1));
        sign_up(test, &newsletter("ended@example.org", test.app.now())).await.unwrap();
        test.run_jobs(Some(&smtp)).await;
        smtp.up();
        test.clock.advance(TimeDelta::hours(48));
        test.run_jobs(Some(&smtp)).await;
        assert_eq!(state(&test.mails().await[4]), (2, Some("LINK_ENDED".to_owned()), false));
        assert_eq!(smtp.mails().len(), 2);
        let log = dump(&test.app.db.reader).await["audit_entry"].join("\n");
        for action in ["tryMail", "sendMail", "postponeMail", "giveUpMail"] {
            assert!(log.contains(action), "{action}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_senders_one_sends_each_mail() {
    for world in worlds().await {
        let Some(smtp) = Smtp::start() else { return };
        let test = &world.test;
        for number in 0..12 {
            let address = format!("reader.{number}@example.org");
            sign_up(test, &newsletter(&address, test.app.now())).await.unwrap();
        }
        let senders: Vec<_> = (0..3)
            .map(|_| {
                let (app, mailer) = (test.app.clone(), smtp.mailer());
                tokio::spawn(async move { mailer.deliver(&app).await.unwrap() })
            })
            .collect();
        let mut sent = 0;
        for sender in senders {
            sent += sender.await.unwrap();
        }
        let mut to: Vec<_> = smtp.mails().iter().map(|mail| mail.value("To").unwrap().to_owned()).collect();
        assert_eq!((sent, to.len()), (12, 12));
        to.sort();
        to.dedup();
        assert_eq!(to.len(), 12, "each once");
    }
}

/// The database of a server that was killed, as the next one sees it after a while.
async fn after(server: &Server) -> App {
    let url = format!("sqlite://{}", server.directory.path().join("zweck.db").display());
    let db = Db::connect(&url, 2).await.unwrap();
    let master: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&KEY[2 * at..2 * at + 2], 16).unwrap()).collect();
    let later: DateTime<Utc> = SystemClock.now() + TimeDelta::minutes(10);
    let policy = PolicyHandle::new(crate::policy::shipped().await);
    let keys = MasterKeys::new(<[u8; 32]>::try_from(master).unwrap());
    App::new(db, policy, Arc::new(ManualClock::new(later)), keys, zweck::auth::oidc::Issuers::default())
        .with_pages(pages())
}

async fn post(port: u16, token: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Killed with -9 while it hands the mail over: before the server has taken it, or after that and before it is noted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_no_confirmation_and_makes_no_link_work_twice() {
    for (mode, copies) in [("hang before", 1), ("hang after", 2)] {
        let Some(smtp) = Smtp::start() else { return };
        smtp.mode(mode);
        let settings = smtp.settings();
        let mut server = Server::start(&[
            ("ZWECK__PAGES__ENABLED", "true"),
            ("ZWECK__PAGES__PUBLIC_URL", "https://crm.example"),
            ("ZWECK__SERVER__BEHIND_TLS_PROXY", "true"),
            ("ZWECK__PAGES__CONTROLLER", "Example GmbH"),
            ("ZWECK__PAGES__CONTROLLER_ADDRESS", "Musterstrasse 1, 10115 Berlin"),
            ("ZWECK__PAGES__CONTROLLER_CONTACT", "privacy office, room 4"),
            ("ZWECK__MAIL__URL", settings.url.as_deref().unwrap()),
            ("ZWECK__MAIL__FROM", settings.from.as_deref().unwrap()),
        ])
        .await;
        let token = server.token("partner", "newsletter");
        let query = "mutation($i: RequestConsentInput!) { requestConsent(input: $i) { consent { id } } }";
        let input = json!({ "email": "crash@example.org", "purpose": "newsletter", "language": "de", "form": "site",
                            "declaredAt": SystemClock.now().to_rfc3339() });
        let answer =
            post(server.port, &token, &json!({ "query": query, "variables": { "i": input } }).to_string())
                .await;
        assert!(answer.contains("{\"data\":{\"requestConsent\":{\"consent\":null}}}"), "{answer}");
        let mut waited = 0;
        while !smtp.keeps_waiting() {
            waited += 1;
            assert!(waited < 400, "{mode}: no mail came: {}", server.log());
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        server.child.kill().unwrap();
        server.child.wait().unwrap();
        smtp.mode("accept");
        let app = after(&server).await;
        let row = mail::Entity::find().one(&app.db.reader).await.unwrap().unwrap();
        assert!(row.sent_at.is_none() && row.leased_until.is_some() && row.attempts == 1, "{mode}: {row:?}");
        jobs::run_once(&app, Some(&smtp.mailer())).await.unwrap();
        jobs::run_once(&app, Some(&smtp.mailer())).await.unwrap();
        let mails = smtp.mails();
        assert_eq!(mails.len(), copies, "{mode}");
        // A repeat is the same mail, and known as such.
        assert!(mails.iter().all(|mail| mail.raw == mails[0].raw), "{mode}: {mails:?}");
        let contact = signups::confirm(&app, &mails[0].token(), "r").await.unwrap();
        assert!(contact.is_some(), "{mode}");
        assert_eq!(signups::confirm(&app, &mails[copies - 1].token(), "r").await.unwrap(), None, "{mode}");
        assert_ne!(contact, Some(id(0, 1)));
        assert!(!server.log().contains("crash@"), "{}", server.log());
    }
}
