//! Noes of files that are easily passed over: known for another reason, older than a yes, in a column that nobody mapped, damaged,
//! or while somebody else is writing.

use std::time::Duration;

use chrono::TimeDelta;
use entity::{
    consent, contact,
    enums::{Channel, ConsentStatus, StopKind},
    objection, suppression,
};
use sea_orm::{ConnectOptions, ConnectionTrait, Database, EntityTrait};
use serde_json::json;
use zweck::{
    app::App,
    exchange::imports::{ContactImport, Listing, ObjectionImport, Reason},
};

use crate::{
    imports_consents::{self, people},
    imports_objections::{list, run},
    reads::{World, worlds},
    support::{
        an_import,
        app::each,
        dump::{assert_same, dump, number},
        import as import_file,
        world::id,
    },
    writes::{Staff, done, mutate},
};

async fn visible(World { test, client }: &World, purpose: &str, contact: &str) -> bool {
    let caller = test.caller("marketing", purpose).await;
    let query = format!("{{ contact(id: \"{contact}\") {{ id }} }}");
    !client.data(&caller, &query).await["contact"].is_null()
}

/// A record of this name with a mailbox.
async fn made(World { test, client }: &World, name: &str, email: &str) -> String {
    let staff = Staff::of(test).await;
    let new = json!({ "familyName": name, "email": email, "source": { "name": "letter" } });
    let made = done(client, &staff.desk, "createContact", new, "contact { id }").await;
    made["contact"]["id"].as_str().unwrap().to_owned()
}

/// The person consents to the newsletter on paper.
async fn consents(World { test, client }: &World, contact: &str, at: &str) {
    let staff = Staff::of(test).await;
    let input = json!({ "contactId": contact, "purpose": "newsletter", "channel": "EMAIL", "textVersion": "2026-1",
                        "language": "de", "proof": "signed_paper", "declaredAt": at, "source": "fair" });
    done(client, &staff.consent, "recordConsent", input, "consent { status }").await;
}

/// Imports consents, which a trial foretells; the same again changes nothing.
async fn told(app: &App, text: &str) -> (u64, u64, u64) {
    let counts =
        |done: &imports_consents::Done| (done.report.ended, done.report.strays, done.report.unchanged);
    let before = dump(&app.db.writer).await;
    let trial = zweck::exchange::imports::ConsentImport { dry_run: true, ..imports_consents::import() };
    let trial = imports_consents::try_run(app, text.as_bytes(), &trial).await.unwrap();
    assert_same(&dump(&app.db.writer).await, &before, "a trial");
    let first = imports_consents::try_run(app, text.as_bytes(), &imports_consents::import()).await.unwrap();
    assert_eq!(counts(&trial), counts(&first), "{text}");
    let before = dump(&app.db.writer).await;
    imports_consents::try_run(app, text.as_bytes(), &imports_consents::import()).await.unwrap();
    assert_same(&dump(&app.db.writer).await, &before, "a repeat");
    counts(&first)
}

/// What the list knows for another reason, on another channel or of an earlier time is no such no.
#[tokio::test]
async fn a_no_is_not_passed_over_for_what_the_list_knows() {
    for world in worlds().await {
        let (app, staff) = (&world.test.app, Staff::of(&world.test).await);
        let yes = "2026-10-05T10:00:00Z";
        // A list of others says nothing against a consent.
        let (a, b) = (
            made(&world, "Eins", "list@twins.example").await,
            made(&world, "Zwei", "list@twins.example").await,
        );
        consents(&world, &a, yes).await;
        consents(&world, &b, yes).await;
        let others =
            ObjectionImport { kind: Listing::ExternalList, purpose: Some("newsletter".to_owned()), ..list() };
        run(app, "email\nlist@twins.example\n", &others).await.unwrap();
        assert!(visible(&world, "newsletter", &a).await && visible(&world, "newsletter", &b).await);
        let no = "email,purpose,channel,status\nlist@twins.example,newsletter,EMAIL,withdrawn\n";
        assert_eq!(told(app, no).await, (1, 0, 0));
        assert!(!visible(&world, "newsletter", &a).await && !visible(&world, "newsletter", &b).await);
        // A no of September is older than a yes of October: one without a time is not.
        for (name, by_id) in [("mail", false), ("record", true)] {
            let email = format!("{name}@twins.example");
            let september = format!(
                "email,purpose,channel,status,declaredAt\n{email},newsletter,EMAIL,withdrawn,2026-09-15T10:00:00Z\n"
            );
            assert_eq!(told(app, &september).await, (0, 1, 0), "{name}");
            let (a, b) = (made(&world, "Eins", &email).await, made(&world, "Zwei", &email).await);
            consents(&world, &a, yes).await;
            consents(&world, &b, yes).await;
            assert!(visible(&world, "newsletter", &a).await && visible(&world, "newsletter", &b).await);
            // The old one says nothing new.
            assert_eq!(told(app, &september).await, (0, 0, 1), "{name}");
            assert!(visible(&world, "newsletter", &a).await && visible(&world, "newsletter", &b).await);
            let no = match by_id {
                true => format!("contactId,purpose,channel,status\n{a},newsletter,EMAIL,unsubscribed\n"),
                false => format!("email,purpose,channel,status\n{email},newsletter,EMAIL,unsubscribed\n"),
            };
            assert_eq!(told(app, &no).await, (1, 0, 0), "{name}");
            assert!(!visible(&world, "newsletter", &a).await, "{name}");
            assert!(!visible(&world, "newsletter", &b).await, "{name}");
            // A yes that B declares after it is one, and the same line, which has no time, a no after that.
            world.test.clock.advance(TimeDelta::days(1));
            consents(&world, &b, &app.now().to_rfc3339()).await;
            assert!(visible(&world, "newsletter", &b).await && !visible(&world, "newsletter", &a).await);
            world.test.clock.advance(TimeDelta::days(1));
            assert_eq!(told(app, &no).await, (1, 0, 0), "{name}");
            assert!(!visible(&world, "newsletter", &b).await, "{name}");
        }
        // Another channel is another no.
        let new = json!({ "familyName": "Drei", "email": "drei@twins.example", "phone": "+49 30 7770001",
                          "source": { "name": "letter" } });
        let c = done(&world.client, &staff.desk, "createContact", new, "contact { id }").await;
        let c = c["contact"]["id"].as_str().unwrap().to_owned();
        for (channel, blocks) in [("EMAIL", vec!["EMAIL"]), ("PHONE", vec!["EMAIL", "PHONE"])] {
            let no = format!("contactId,purpose,channel,status\n{c},event_invitations,{channel},withdrawn\n");
            assert_eq!(told(app, &no).await, (1, 0, 0), "{channel}");
            let rows = objection::Entity::find().all(&app.db.reader).await.unwrap();
            let own =
                rows.iter().filter(|row| row.contact_id.to_string() == c && row.kind == StopKind::Block);
            let mut on: Vec<_> =
                own.filter_map(|row| row.channel).map(|on| format!("{on:?}").to_uppercase()).collect();
            on.sort();
            assert_eq!(on, blocks);
        }
        // By the door of objections, too: of an address of several persons nobody is known to have spoken.
        let (a, b) = (
            made(&world, "Eins", "door@twins.example").await,
            made(&world, "Zwei", "door@twins.example").await,
        );
        consents(&world, &a, yes).await;
        run(app, "email\ndoor@twins.example\n", &list()).await.unwrap();
        assert!(!visible(&world, "newsletter", &a).await);
        world.test.clock.advance(TimeDelta::days(1));
        consents(&world, &b, &app.now().to_rfc3339()).await;
        assert!(visible(&world, "newsletter", &b).await);
        world.test.clock.advance(TimeDelta::days(1));
        let (report, _) = run(app, "email\ndoor@twins.example\n", &list()).await.unwrap();
        assert_eq!((report.matched, report.unchanged), (1, 0), "{report}");
        assert!(!visible(&world, "newsletter", &b).await);
        assert_eq!(run(app, "email\ndoor@twins.example\n", &list()).await.unwrap().0.unchanged, 1);
    }
}

/// Mail that comes back after a new yes stops the mailbox again, though it was known to come back before.
#[tokio::test]
async fn mail_that_comes_back_after_a_yes_is_news() {
    for world in worlds().await {
        let app = &world.test.app;
        let a = made(&world, "Eins", "back@bounce.example").await;
        consents(&world, &a, "2026-10-05T10:00:00Z").await;
        let bounces = ObjectionImport { kind: Listing::Undeliverable, ..list() };
        let text = "email\nback@bounce.example\n";
        for round in 0..3 {
            assert!(visible(&world, "newsletter", &a).await, "{round}");
            let (report, _) = run(app, text, &bounces).await.unwrap();
            assert_eq!((report.matched, report.unchanged), (1, 0), "{round} {report}");
            assert!(!visible(&world, "newsletter", &a).await, "{round}");
            assert_eq!(run(app, text, &bounces).await.unwrap().0.unchanged, 1, "{round}");
            world.test.clock.advance(TimeDelta::days(1));
            consents(&world, &a, &app.now().to_rfc3339()).await;
            world.test.clock.advance(TimeDelta::days(1));
        }
        // A list of others is no new word: who has a block of it taken back is not blocked by the same list.
        let others = ObjectionImport { kind: Listing::ExternalList, ..list() };
        assert_eq!(run(app, text, &others).await.unwrap().0.matched, 1);
        world.test.clock.advance(TimeDelta::days(1));
        consents(&world, &a, &app.now().to_rfc3339()).await;
        assert_eq!(run(app, text, &others).await.unwrap().0.unchanged, 1);
    }
}

/// A column that nobody mapped stops an import for advertising where a cell of it says no, before anything is written.
#[tokio::test]
async fn a_no_in_a_column_that_nobody_mapped_stops_an_import() {
    for test in each().await {
        let app = &test.app;
        let with = |purpose: &str, opt_outs: &[&str], ignore: &[&str]| ContactImport {
            map: ContactImport::map_from(["email=mail"]).unwrap(),
            external_id: Some("id".to_owned()),
            opt_outs: ContactImport::opt_outs_from(opt_outs.iter().copied()).unwrap(),
            ignore: ignore.iter().map(|head| (*head).to_owned()).collect(),
            source: "columns".to_owned(),
            purpose: purpose.to_owned(),
            ..an_import()
        };
        let before = dump(&app.db.writer).await;
        for (head, no, not) in [
            ("Email Status", "Unsubscribed", "Subscribed"),
            ("status", "unsubscribed", "active"),
            ("Email Marketing Status", "UNSUBSCRIBED", "SUBSCRIBED"),
            ("Einwilligung", "widerrufen", "erteilt"),
            ("Marketing consent", "withdrawn", "granted"),
            ("Gesperrt", "1", "0"),
            ("Sperre", "1", ""),
            ("Mailsperre", "ja", "nein"),
            ("Kein Newsletter", "x", ""),
            ("keine E-Mails", "x", "nein"),
            ("DNC", "x", "0"),
            ("Kontaktverbot", "ja", "nein"),
            ("Opt-in", "no", "yes"),
            ("Subscribed", "no", "yes"),
            ("Accepts Email Marketing", "no", "yes"),
            ("Newsletter", "abgemeldet", "angemeldet"),
            ("GDPR", "objected", "ok"),
        ] {
            // Behind the first batch, so that nothing of that is written either.
            let lines: String =
                (0..150).map(|line| format!("{line},p{line}@columns.example,{not}\n")).collect();
            let clear = format!("id,mail,{head}\n{lines}");
            let text = format!("{clear}1000,no@columns.example,{no}\n");
            let error = import_file(app, text.as_bytes(), &with("existing_customer_mail", &[], &[]))
                .await
                .unwrap_err();
            for part in [
                format!("`{head}`"),
                "line 152".to_owned(),
                format!("--opt-out email={head} "),
                format!("--ignore {head}"),
            ] {
                assert!(error.message.contains(&part), "{part}: {}", error.message);
            }
            assert!(!error.message.contains("example"), "{}", error.message);
            assert_same(&dump(&app.db.writer).await, &before, "an import that stopped");
            let trial = |import: ContactImport| ContactImport { dry_run: true, ..import };
            // Where no cell says no it goes on, and so it does for what is no advertising, which is told.
            let report = import_file(app, clear.as_bytes(), &trial(with("existing_customer_mail", &[], &[])))
                .await
                .unwrap();
            assert_eq!((report.imported, report.problems.len()), (150, 0), "{head}");
            let report =
                import_file(app, text.as_bytes(), &trial(with("customer_care", &[], &[]))).await.unwrap();
            assert_eq!(report.told(), [(152, Some(head), Reason::OptOutNotMapped)], "{head}");
            let ignored = with("existing_customer_mail", &[], &[head]);
            assert_eq!(
                import_file(app, text.as_bytes(), &trial(ignored)).await.unwrap().imported,
                151,
                "{head}"
            );
            // As it is advised to be mapped the no is taken, and nothing else.
            let mapped = with("existing_customer_mail", &[&format!("email={head}")], &[]);
            let report = import_file(app, text.as_bytes(), &trial(mapped)).await.unwrap();
            assert_eq!((report.imported, report.opted_out), (151, 1), "{head} {report}");
        }
    }
}

/// Under a head that asks who does not want it, a yes in a list of objections is one, and a no is none.
#[tokio::test]
async fn a_column_of_opt_outs_says_who_objects() {
    for World { test, .. } in worlds().await {
        let app = &test.app;
        let text = "email,Unsubscribed\nanna@example.org,yes\nhans@example.org,no\ngina@example.org,\n";
        let error = run(app, text, &list()).await.unwrap_err();
        assert!(error.message.contains("--map optOut=Unsubscribed "), "{}", error.message);
        for (field, matched) in [("status", 1), ("optOut", 0)] {
            let pair = format!("{field}=Unsubscribed");
            let map = ObjectionImport::map_from([pair.as_str()]).unwrap();
            let (report, told) =
                run(app, text, &ObjectionImport { map: map.clone(), ..list() }).await.unwrap();
            assert_eq!(
                (report.matched, report.unchanged, report.left_out, told.len()),
                (matched, 1 - matched, 2, 0)
            );
            // In a file of mail that came back it is a no that another import takes.
            let bounces = ObjectionImport { kind: Listing::Undeliverable, map, dry_run: true, ..list() };
            let (_, told) = run(app, text, &bounces).await.unwrap();
            assert!(told.contains(&"NO 2 - SAYS_NO".to_owned()), "{told:?}");
        }
        let rows = objection::Entity::find().all(&app.db.reader).await.unwrap();
        let own = |number| {
            rows.iter().any(|row| {
                row.contact_id == id(0, number)
                    && row.kind == StopKind::Objection
                    && row.purpose_code == "direct_marketing"
            })
        };
        assert!(own(1) && !own(8) && !own(7));
    }
}

/// What a spreadsheet has made of a number is nobody's number: it is said, and not filed.
#[tokio::test]
async fn damaged_numbers_are_said_and_not_filed() {
    for World { test, client } in worlds().await {
        let (app, staff) = (&test.app, Staff::of(&test).await);
        let damaged = ["4.91712E+11", "1712345670.0", "491712345670.0", "0171 234567o"];
        for text in damaged {
            let input = json!({ "phone": text, "purpose": "direct_marketing" });
            let answer = mutate(&client, &staff.desk, "recordObjection", &input, "__typename").await;
            assert_eq!(answer["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{text} {answer}");
            let (report, told) = run(app, &format!("phone\n{text}\n"), &list()).await.unwrap();
            assert_eq!(told, ["NO 2 phone INVALID_PHONE"], "{text}");
            assert_eq!((report.rejected, report.noes_not_taken), (1, 1), "{text}");
        }
        assert!(suppression::Entity::find().all(&app.db.reader).await.unwrap().is_empty());
        for text in ["0171 2345670", "+49.171.2345671", "0171.2345672", "030 23125001 x12", "0800-CALLNOW"] {
            let input = json!({ "phone": text, "purpose": "direct_marketing" });
            done(&client, &staff.desk, "recordObjection", input, "__typename").await;
        }
    }
}

/// The number that a mailbox is locked by.
fn lock(email: &str) -> i64 {
    zweck::base::identities::Reader::default().emails(email).identities[0].lock().cast_signed()
}

/// A connection of somebody else, of whose statements nothing is logged.
async fn quiet(url: &str) -> sea_orm::DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.sqlx_logging(false);
    Database::connect(options).await.unwrap()
}

async fn until_stuck(app: &App) {
    let stuck = "SELECT COUNT(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database \
                 WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted";
    for _ in 0..500 {
        if number(&app.db.reader, stuck).await > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody waits");
}

/// What comes while a file waits for its locks is found behind them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_comes_before_the_locks_is_met() {
    for World { test, .. } in worlds().await {
        let app = test.app.clone();
        if app.db.writer.get_database_backend() != sea_orm::DbBackend::Postgres {
            continue;
        }
        for (first, mail) in [(70, "door@race.example"), (80, "file@race.example")] {
            people(
                &app,
                &[(first, Some(mail), None), (first + 1, Some(&format!("other{first}@race.example")), None)],
            )
            .await;
            let holder = quiet(&test.url).await;
            let moved = format!(
                "BEGIN; SELECT pg_advisory_xact_lock({}); UPDATE contact SET email = '{mail}', email_folded = '{mail}', \
                 email_key = '{mail}' WHERE id = '{}'",
                lock(mail),
                id(0, first + 1)
            );
            holder.execute_unprepared(&moved).await.unwrap();
            let import = {
                let (app, mail) = (app.clone(), mail.to_owned());
                tokio::spawn(async move {
                    if first == 70 {
                        run(&app, &format!("email\n{mail}\n"), &list()).await.unwrap().0.matched
                    } else {
                        let text =
                            format!("email,purpose,channel,status\n{mail},newsletter,EMAIL,unsubscribed\n");
                        let import = imports_consents::import();
                        imports_consents::try_run(&app, text.as_bytes(), &import).await.unwrap().report.ended
                    }
                })
            };
            until_stuck(&app).await;
            holder.execute_unprepared("COMMIT").await.unwrap();
            assert_eq!(import.await.unwrap(), 1, "{mail}");
            // Both records are one person's, by their name.
            for contact in [id(0, first), id(0, first + 1)] {
                if first == 70 {
                    let rows = objection::Entity::find().all(&app.db.reader).await.unwrap();
                    let own =
                        |row: &objection::Model| row.contact_id == contact && row.kind == StopKind::Objection;
                    assert!(rows.iter().any(own), "{contact}");
                } else {
                    let rows = consent::Entity::find().all(&app.db.reader).await.unwrap();
                    let own =
                        rows.iter().find(|row| row.contact_id == contact && row.channel == Channel::Email);
                    assert_eq!(own.map(|row| row.status), Some(ConsentStatus::Withdrawn), "{contact}");
                }
            }
        }
    }
}

/// An address that a record gets while a file of opt-outs waits is locked by the next attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_address_that_comes_while_opt_outs_wait_is_met() {
    for test in each().await {
        let app = test.app.clone();
        if app.db.writer.get_database_backend() != sea_orm::DbBackend::Postgres {
            continue;
        }
        let import = |opt_outs: &[&str]| ContactImport {
            map: ContactImport::map_from(["email=mail"]).unwrap(),
            external_id: Some("id".to_owned()),
            opt_outs: ContactImport::opt_outs_from(opt_outs.iter().copied()).unwrap(),
            source: "shop".to_owned(),
            ..an_import()
        };
        import_file(&app, &b"id,mail\n1,one@opts.example\n2,two@opts.example\n"[..], &import(&[]))
            .await
            .unwrap();
        let holder = quiet(&test.url).await;
        let phone = format!(
            "BEGIN; SELECT pg_advisory_xact_lock({}); UPDATE contact SET phone = '+49307770001', phone_key = '+49307770001' \
             WHERE email = 'two@opts.example'",
            lock("two@opts.example")
        );
        holder.execute_unprepared(&phone).await.unwrap();
        let file = {
            let (app, import) = (app.clone(), import(&["all=out"]));
            let runtime = tokio::runtime::Handle::current();
            tokio::task::spawn_blocking(move || {
                let text = &b"id,mail,out\n1,one@opts.example,1\n2,two@opts.example,1\n"[..];
                runtime.block_on(import_file(&app, text, &import)).map(|done| done.report)
            })
        };
        until_stuck(&app).await;
        holder.execute_unprepared("COMMIT").await.unwrap();
        let report = file.await.unwrap().unwrap();
        assert_eq!((report.unchanged, report.opted_out), (2, 2), "{report}");
        let rows = objection::Entity::find().all(&app.db.reader).await.unwrap();
        assert_eq!(rows.iter().filter(|row| row.kind == StopKind::Objection).count(), 2);
        // The number is closed as well.
        assert!(rows.iter().any(|row| row.kind == StopKind::Block && row.channel == Some(Channel::Phone)));
    }
}

/// Files with the same persons in another order do not stand in each other's way for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn files_of_opt_outs_in_another_order_come_in_side_by_side() {
    for test in each().await {
        let app = test.app.clone();
        let import = |source: &str, opt_outs: &[&str]| ContactImport {
            map: ContactImport::map_from(["email=mail"]).unwrap(),
            external_id: Some("id".to_owned()),
            opt_outs: ContactImport::opt_outs_from(opt_outs.iter().copied()).unwrap(),
            source: source.to_owned(),
            ..an_import()
        };
        let rows = |order: &mut dyn Iterator<Item = u32>| -> String {
            order.map(|number| format!("{number},p{number}@order.example,1\n")).collect()
        };
        let text = format!("id,mail,out\n{}", rows(&mut (0..20)));
        import_file(
            &app,
            text.as_bytes(),
            &ContactImport { ignore: vec!["out".to_owned()], ..import("shop", &[]) },
        )
        .await
        .unwrap();
        let mut files = tokio::task::JoinSet::new();
        for turn in 0..3_u32 {
            let lines = match turn % 2 {
                0 => rows(&mut (0..20)),
                _ => rows(&mut (0..20).rev()),
            };
            let (app, import, text) =
                (app.clone(), import("shop", &["email=out"]), format!("id,mail,out\n{lines}"));
            let runtime = tokio::runtime::Handle::current();
            files.spawn_blocking(move || {
                let done = runtime.block_on(import_file(&app, text.as_bytes(), &import));
                done.map(|done| done.report.opted_out)
            });
        }
        while let Some(done) = files.join_next().await {
            assert_eq!(done.unwrap().unwrap(), 20);
        }
        let rows = objection::Entity::find().all(&app.db.reader).await.unwrap();
        assert_eq!(rows.iter().filter(|row| row.kind == StopKind::Objection).count(), 20);
        assert_eq!(contact::Entity::find().all(&app.db.reader).await.unwrap().len(), 20);
    }
}
