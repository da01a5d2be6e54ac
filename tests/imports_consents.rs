//! Imports of consents: what fills a gap, what stands in its way, and that neither order nor repetition changes anything.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use entity::{consent, consent_event, contact, enums::ConsentStatus, suppression};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use sea_orm::EntityTrait;
use serde_json::json;
use zweck::{
    context::App,
    error::Error,
    imports::{self, ConsentImport, ConsentReport, Encoding, Problem, Reading},
};

use crate::{
    reads::{World, worlds},
    support::{
        app::{each, start},
        dump::{assert_same, dump, number},
        process,
        world::{id, persons, seed},
    },
    writes::{Staff, done, mutate, newsletter, person},
};

const HEADER: &str = "contactId,email,externalId,purpose,channel,status,declaredAt,confirmedAt,textVersion,language,proof,source,evidence,address,expiresAt\n";

fn import() -> ConsentImport {
    ConsentImport {
        map: Vec::new(),
        source: None,
        contact_source: None,
        actor: "cli:import".to_owned(),
        reading: Reading::default(),
        dry_run: false,
    }
}

/// What an import did, and each problem as line, column and reason.
struct Done {
    report: ConsentReport,
    told: Vec<String>,
}

async fn try_run(app: &App, text: &[u8], import: &ConsentImport) -> Result<Done, Error> {
    let mut told = Vec::new();
    let tell = |problem: Problem| {
        let column = problem.column.unwrap_or_else(|| "-".to_owned());
        told.push((problem.line, format!("{} {column} {}", problem.line, problem.reason.as_str())));
        Ok(())
    };
    let report = imports::consents(app, || Ok(text), import, tell).await?;
    assert_eq!(
        report.rows,
        report.granted + report.ended + report.unchanged + report.left_out + report.rejected,
        "{report}"
    );
    assert_eq!(report.problems, u64::try_from(told.len()).unwrap());
    assert_eq!(report.problems, report.reasons.values().sum::<u64>());
    told.sort();
    Ok(Done { report, told: told.into_iter().map(|(_, told)| told).collect() })
}

async fn run(app: &App, text: &str) -> Done {
    try_run(app, text.as_bytes(), &import()).await.unwrap()
}

/// A file of these lines.
fn of_lines(lines: String) -> String {
    format!("{HEADER}{lines}")
}

/// A line with these cells, in the columns of the header.
fn line(cells: &[(&str, &str)]) -> String {
    let names = HEADER.trim().split(',');
    let cell = |name: &str| cells.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value);
    names.map(cell).collect::<Vec<_>>().join(",") + "\n"
}

/// A consent to the newsletter on paper by who is named, declared at `at`, with other cells on top.
fn granted(who: (&str, &str), at: &str, others: &[(&str, &str)]) -> String {
    let cells = [
        who,
        ("purpose", "newsletter"),
        ("channel", "EMAIL"),
        ("declaredAt", at),
        ("textVersion", "2026-1"),
        ("language", "de"),
        ("proof", "signed_paper"),
        ("source", "fair"),
    ];
    line(&[others, &cells].concat())
}

fn ended(who: (&str, &str), at: &str, status: &str) -> String {
    line(&[who, ("purpose", "newsletter"), ("channel", "EMAIL"), ("declaredAt", at), ("status", status)])
}

async fn status(app: &App, number: u128) -> Option<ConsentStatus> {
    let rows = consent::Entity::find().all(&app.db.reader).await.unwrap();
    let mut rows = rows.into_iter();
    rows.find(|row| row.contact_id == id(0, number) && row.purpose_code == "newsletter").map(|row| row.status)
}

const AT: &str = "2026-10-01T10:00:00+02:00";

#[tokio::test]
async fn each_line_is_judged_by_the_rules() {
    for World { test, client } in worlds().await {
        let (app, staff) = (&test.app, Staff::of(&test).await);
        let mail = |name: &'static str| ("email", name);
        // Gina's address is on the list; Hans was erased of all but his; Jan objected and took it back; Bernd is twice there.
        for input in [
            json!({ "email": "gina@example.org", "purpose": "direct_marketing", "at": "2026-10-15T00:00:00Z" }),
        ] {
            done(&client, &staff.consent, "recordObjection", input, "__typename").await;
        }
        // Only the list knows of it: an older yes does not count, a newer one would.
        let objection = "DELETE FROM objection WHERE objected_at >= '2026-10-15'";
        sea_orm::ConnectionTrait::execute_unprepared(&app.db.writer, objection).await.unwrap();
        let twin =
            json!({ "familyName": "Twin", "email": "hans@example.org", "source": { "name": "letter" } });
        done(&client, &staff.desk, "createContact", twin, "contact { id }").await;
        let moved = json!({ "id": person(8), "phone": "+49 30 23125 888" });
        done(&client, &staff.desk, "updateContact", moved, "contact { id }").await;
        test.clock.advance(TimeDelta::minutes(1));
        let hans = person(8);
        let (hans, anna, karl) =
            (("contactId", hans.as_str()), mail("ANNA@example.org"), mail("karl@example.org"));
        let doi = [
            ("proof", "double_opt_in"),
            ("confirmedAt", "2026-10-01T11:00:00+02:00"),
            ("evidence", "mail 7"),
        ];
        let phone = [("purpose", "event_invitations"), ("channel", "PHONE"), ("proof", "recorded_call")];
        let mut cases: Vec<(String, &str)> = vec![
            // Fills a gap, by each way to name a contact.
            (granted(hans, AT, &doi), ""),
            (granted(("externalId", "8"), AT, &[]), "- REPEATED_CONSENT"),
            // Known, ended, objected to, listed, of another address, only kept, erased.
            (granted(anna, AT, &[]), ""),
            (granted(mail("bernd@example.org"), AT, &[]), "- ALREADY_WITHDRAWN"),
            (granted(mail("clara@example.org"), AT, &[]), "- ALREADY_EXPIRED"),
            (granted(mail("dora@example.org"), AT, &[]), "- OBJECTED"),
            (granted(mail("gina@example.org"), AT, &[]), "- SUPPRESSED"),
            (granted(mail("anna@work.example"), AT, &[]), "- OTHER_ADDRESS"),
            (granted(hans, AT, &[("address", "old@example.org")]), "- OTHER_ADDRESS"),
            (granted(hans, AT, &phone), "- OTHER_ADDRESS"),
            (
                granted(
                    hans,
                    AT,
                    &[&[("address", "+49 (30) 23125-888"), ("purpose", "phone_marketing")], phone.as_slice()]
                        .concat(),
                ),
                "",
            ),
            (granted(karl, AT, &[]), "- NOT_ACTIVE"),
            (granted(mail("fritz@example.org"), AT, &[]), "- UNKNOWN_CONTACT"),
            (granted(mail("nobody@example.org"), AT, &[]), "- UNKNOWN_CONTACT"),
            (granted(mail("hans@example.org"), AT, &[]), "- AMBIGUOUS_CONTACT"),
            // Its time has ended already.
            (granted(hans, "2023-10-01T10:00:00Z", &[("purpose", "event_invitations")]), "- ALREADY_EXPIRED"),
            // What cannot be right.
            (granted(("contactId", "7"), AT, &[]), "contactId INVALID_ID"),
            (granted(("email", ""), AT, &[]), "contactId MISSING_VALUE"),
            (granted(anna, "", &[]), "declaredAt MISSING_VALUE"),
            (granted(anna, "2026-10-01", &[]), "declaredAt INVALID_TIME"),
            (granted(anna, "2026-11-02T09:02:00Z", &[]), "declaredAt FUTURE_TIME"),
            (granted(anna, AT, &[("purpose", "")]), "purpose MISSING_VALUE"),
            (granted(anna, AT, &[("purpose", "lottery")]), "purpose UNKNOWN_PURPOSE"),
            (granted(anna, AT, &[("purpose", "direct_marketing")]), "purpose NOT_ON_CONSENT"),
            (granted(anna, AT, &[("purpose", "customer_care")]), "purpose NOT_ON_CONSENT"),
            (granted(anna, AT, &[("channel", "FAX")]), "channel INVALID_CHANNEL"),
            (granted(anna, AT, &[("channel", "PHONE")]), "channel CHANNEL_NOT_USED"),
            (granted(anna, AT, &[("status", "MAYBE")]), "status INVALID_STATUS"),
            (granted(anna, AT, &[("textVersion", "1999-1")]), "textVersion UNKNOWN_TEXT"),
            (granted(anna, AT, &[("language", "fr")]), "textVersion UNKNOWN_TEXT"),
            (granted(anna, AT, &[("textVersion", "")]), "textVersion MISSING_VALUE"),
            (granted(anna, AT, &[("proof", "recorded_call")]), "proof PROOF_NOT_ACCEPTED"),
            (granted(anna, AT, &[("proof", "")]), "proof MISSING_VALUE"),
            (granted(anna, AT, &[("source", "")]), "source MISSING_VALUE"),
            (granted(anna, AT, &[("evidence", "a\u{1}b")]), "evidence CONTROL_CHARACTER"),
            (granted(anna, AT, &[doi[0], doi[1]]), "evidence MISSING_EVIDENCE"),
            (granted(anna, AT, &[doi[0], doi[2]]), "confirmedAt MISSING_VALUE"),
            (
                granted(anna, AT, &[doi[0], doi[2], ("confirmedAt", "2026-10-01T09:59:59+02:00")]),
                "confirmedAt INVALID_TIME",
            ),
            (
                granted(anna, AT, &[("confirmedAt", "2026-10-01T11:00:00+02:00")]),
                "confirmedAt UNEXPECTED_VALUE",
            ),
            // By mail nothing is proved about the phone.
            (granted(hans, AT, &[&phone[..2], &doi].concat()), "proof PROOF_NOT_ACCEPTED"),
            (granted(anna, AT, &[("expiresAt", AT)]), "expiresAt INVALID_EXPIRY"),
            (granted(anna, AT, &[("expiresAt", "2028-10-02T00:00:00Z")]), "expiresAt INVALID_EXPIRY"),
            // Ends are always taken, of what was never given and of who is only kept too.
            (ended(mail("emil@example.org"), "2026-10-05T10:00:00Z", "WITHDRAWN"), ""),
            (ended(karl, "2026-10-05+02:00", "REFUSED"), ""),
            (ended(mail("dora@example.org"), "", "withdrawn"), ""),
            (ended(karl, "2026-11-03Z", "WITHDRAWN"), "declaredAt FUTURE_TIME"),
            // Nobody has the address yet: it is kept on the suppression list.
            (ended(mail("nobody@example.org"), AT, "WITHDRAWN"), ""),
            ("a,b\n".to_owned(), "- WRONG_COLUMN_COUNT"),
        ];
        // Later the same is told once more: the confirmed one is the last declared.
        cases.push((granted(hans, "2026-10-01T09:00:00+02:00", &[]), "- REPEATED_CONSENT"));
        let file = of_lines(cases.iter().map(|(line, _)| line.as_str()).collect());
        let expected = cases.iter().enumerate().filter(|(_, (_, told))| !told.is_empty());
        let expected: Vec<String> =
            expected.map(|(index, (_, told))| format!("{} {told}", index + 2)).collect();
        // A trial says the same and writes nothing.
        let before = dump(&app.db.writer).await;
        let trial = ConsentImport { dry_run: true, ..import() };
        let trial = try_run(app, file.as_bytes(), &trial).await.unwrap();
        assert_same(&dump(&app.db.writer).await, &before, "a trial");
        let first = run(app, &file).await;
        assert_eq!(first.told, expected);
        assert_eq!(trial.told, expected);
        let counts = |report: &ConsentReport| (report.granted, report.ended, report.unchanged);
        assert_eq!(counts(&first.report), (2, 4, 2), "{}", first.report);
        assert_eq!(counts(&trial.report), (2, 4, 2));
        assert!(trial.report.to_string().contains("would grant"));
        assert_eq!(status(app, 8).await, Some(ConsentStatus::Granted));
        assert_eq!(status(app, 5).await, Some(ConsentStatus::Withdrawn));
        assert_eq!(status(app, 11).await, Some(ConsentStatus::Refused));
        assert_eq!(status(app, 4).await, Some(ConsentStatus::Withdrawn));
        // The same again changes nothing at all.
        let before = dump(&app.db.writer).await;
        let again = run(app, &file).await;
        assert_same(&dump(&app.db.writer).await, &before, "a repeat");
        assert_eq!(again.told, expected);
        assert_eq!(counts(&again.report), (0, 0, 8), "{}", again.report);
        let own = "SELECT COUNT(*) FROM audit_entry WHERE action = 'importConsents' AND outcome = 'CHANGED' AND actor = 'cli:import'";
        assert_eq!(number(&app.db.writer, own).await, 5);
        // No value in what is told.
        let json = serde_json::to_string(&again.report).unwrap();
        assert!(
            !json.contains('@') && json.contains("\"leftOut\"") && json.contains("\"AMBIGUOUS_CONTACT\":1"),
            "{json}"
        );
    }
}

/// The evidence is kept as it is told, and opens what the purpose shows.
#[tokio::test]
async fn evidence_comes_along_and_opens_the_contact() {
    for World { test, client } in worlds().await {
        let (app, staff) = (&test.app, Staff::of(&test).await);
        let news = test.caller("marketing", "newsletter").await;
        let query = format!("{{ contact(id: \"{}\") {{ email }} }}", person(7));
        assert!(client.data(&news, &query).await["contact"].is_null());
        let heads = HEADER.trim().replace(',', ";").replace("email", "Mail").replace("declaredAt", "OptIn");
        let heads = heads.replace("confirmedAt", "Click").replace("evidence", "Wer");
        let file = heads
            + ";Was\n;gina@example.org;;newsletter;EMAIL;;2026-10-01T10:00:00+02:00;2026-10-01T10:05:00+02:00;2026-1;de;double_opt_in;;K\u{e4}the 7;;;x\n";
        let bytes: Vec<u8> = file.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        let import = ConsentImport {
            map: ConsentImport::map_from([
                "email=Mail",
                "declaredAt=OptIn",
                "confirmedAt = Click",
                "evidence=Wer",
            ])
            .unwrap(),
            source: Some("old newsletter tool".to_owned()),
            reading: Reading { delimiter: b';', encoding: Encoding::Windows1252, ..Reading::default() },
            ..import()
        };
        let report = try_run(app, &bytes, &import).await.unwrap();
        assert_eq!((report.report.granted, report.told.len()), (1, 0), "{:?}", report.told);
        assert_eq!(report.report.unmapped, BTreeMap::from([("Was".to_owned(), 1)]));
        assert_eq!(client.data(&news, &query).await["contact"]["email"], "gina@example.org");
        let query = format!(
            "{{ contact(id: \"{}\") {{ consents(filter: {{ purpose: {{ eq: \"newsletter\" }} }}) {{ nodes {{ status declaredAt grantedAt confirmedAt expiresAt reviewDueAt source text {{ version language }} events {{ kind declaredAt proof evidence source }} }} }} }} }}",
            person(7)
        );
        let consent = client.data(&staff.consent, &query).await["contact"]["consents"]["nodes"][0].clone();
        assert_eq!(
            consent,
            json!({ "status": "GRANTED", "declaredAt": "2026-10-01T08:05:00Z", "grantedAt": "2026-10-01T08:05:00Z", "confirmedAt": "2026-10-01T08:05:00Z",
                    "expiresAt": "2028-10-01T08:05:00Z", "reviewDueAt": "2028-08-01T08:05:00Z", "source": "old newsletter tool",
                    "text": { "version": "2026-1", "language": "de" },
                    "events": [
                        { "kind": "REQUESTED", "declaredAt": "2026-10-01T08:00:00Z", "proof": null, "evidence": "K\u{e4}the 7", "source": "old newsletter tool" },
                        { "kind": "CONFIRMED", "declaredAt": "2026-10-01T08:05:00Z", "proof": "double_opt_in", "evidence": "K\u{e4}the 7", "source": "old newsletter tool" },
                    ] })
        );
        let events = consent_event::Entity::find().all(&app.db.reader).await.unwrap();
        let addresses = events.iter().filter(|event| event.address.as_deref() == Some("gina@example.org"));
        assert_eq!(addresses.count(), 2);
        // Bound to its address: with another it is over.
        let moved = json!({ "id": person(7), "email": "gina@new.example" });
        done(&client, &staff.desk, "updateContact", moved, "contact { id }").await;
        assert_eq!(status(app, 7).await, Some(ConsentStatus::Invalidated));
        let again = try_run(app, &bytes, &import).await.unwrap();
        assert_eq!(again.told, ["2 - UNKNOWN_CONTACT"]);
        let other = of_lines(granted(("contactId", &person(7)), AT, &[]));
        assert_eq!(run(app, &other).await.told, ["2 - OTHER_ADDRESS"]);
    }
}

/// A file that cannot be meant is refused before anything of it is taken.
#[tokio::test]
async fn what_cannot_be_a_file_of_consents_is_refused() {
    for pair in ["email", "shoe=Size", "email=a"] {
        let twice = ConsentImport::map_from([pair, "email=b"]);
        assert!(twice.is_err(), "{pair}");
    }
    let test = each().await.remove(0);
    let cases: [(&str, ConsentImport); 6] = [
        ("", import()),
        ("purpose,channel\n", import()),
        ("email,purpose\n", import()),
        ("email,email,purpose,channel\n", import()),
        ("email,purpose,channel\n", ConsentImport { source: Some(" ".to_owned()), ..import() }),
        ("email,purpose,channel\n", ConsentImport { map: vec![("proof", "Proof".to_owned())], ..import() }),
    ];
    for (file, import) in cases {
        let error = try_run(&test.app, file.as_bytes(), &import).await.err().unwrap();
        assert_eq!(error.code, zweck::error::Code::BadUserInput, "{file}");
    }
    // Without a header columns have numbers.
    let numbered = ConsentImport {
        map: ConsentImport::map_from(["email=1", "purpose=2", "channel=3", "status=4"]).unwrap(),
        reading: Reading { header: false, ..Reading::default() },
        ..import()
    };
    let file = "a@example.org,newsletter,EMAIL,WITHDRAWN\n";
    let report = try_run(&test.app, file.as_bytes(), &numbered).await.unwrap();
    assert_eq!((report.report.rows, report.report.ended, report.told), (1, 1, Vec::new()));
}

/// Consents with their events, but for ids and what depends on the run.
async fn state(app: &App) -> Vec<String> {
    let events = consent_event::Entity::find().all(&app.db.reader).await.unwrap();
    let consents = consent::Entity::find().all(&app.db.reader).await.unwrap();
    let mut all: Vec<String> = consents
        .iter()
        .map(|row| {
            let own = events.iter().filter(|event| event.consent_id == row.id);
            let mut own: Vec<String> = own
                .map(|event| format!("{:?} {:?} {:?}", event.kind, event.declared_at, event.evidence))
                .collect();
            own.sort();
            format!(
                "{} {} {:?} {:?} {:?} {own:?}",
                row.contact_id, row.purpose_code, row.channel, row.status, row.declared_at
            )
        })
        .collect();
    all.sort();
    all
}

/// Any order of lines makes the same consents; where a file says no, it ends with no.
#[tokio::test]
async fn the_order_of_lines_does_not_matter() {
    let mut runner = TestRunner::deterministic();
    let lines = proptest::collection::vec((0..3_usize, 1..6_u32, 0..3_usize, 0..2_u32), 1..12);
    let cases = (lines, proptest::num::u64::ANY);
    for World { test, .. } in worlds().await {
        let app = &test.app;
        for _ in 0..25 {
            let (lines, turn) = cases.new_tree(&mut runner).unwrap().current();
            let mut outcomes = Vec::new();
            let mut rows: Vec<String> = lines
                .iter()
                .map(|(who, day, kind, evidence)| {
                    let number = [5, 7, 8][*who];
                    let (contact, at) = (person(number), format!("2026-10-0{day}T10:00:00Z"));
                    let who = ("contactId", contact.as_str());
                    let paper = format!("paper {evidence}");
                    match kind {
                        0 => ended(who, &at, "WITHDRAWN"),
                        _ => granted(who, &at, &[("evidence", &paper)]),
                    }
                })
                .collect();
            for round in 0..3_u64 {
                // What an earlier round has made goes.
                for statement in clear(&app.db.writer) {
                    sea_orm::ConnectionTrait::execute_unprepared(&app.db.writer, &statement).await.unwrap();
                }
                match round {
                    1 => rows.reverse(),
                    2 => rows.shuffle(&mut StdRng::seed_from_u64(turn)),
                    _ => {}
                }
                run(app, &of_lines(rows.concat())).await;
                outcomes.push(state(app).await);
            }
            assert_eq!(outcomes[0], outcomes[1], "{rows:?}");
            assert_eq!(outcomes[0], outcomes[2], "{rows:?}");
            for (who, _, kind, _) in &lines {
                if *kind == 0 {
                    assert_eq!(status(app, [5, 7, 8][*who]).await, Some(ConsentStatus::Withdrawn));
                }
            }
        }
    }
}

/// Takes away every consent, past the triggers that keep events.
fn clear(db: &sea_orm::DatabaseConnection) -> Vec<String> {
    let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    match db.get_database_backend() {
        sea_orm::DbBackend::Postgres => owned(&[
            "ALTER TABLE consent_event DISABLE TRIGGER USER",
            "DELETE FROM consent_event",
            "ALTER TABLE consent_event ENABLE TRIGGER USER",
            "DELETE FROM consent",
        ]),
        _ => owned(&[
            "DROP TRIGGER IF EXISTS consent_event_no_delete",
            "DELETE FROM consent_event",
            "DELETE FROM consent",
        ]),
    }
}

/// Many lines over several batches: of a file twice over, the second half tells nothing new.
#[tokio::test]
async fn ten_thousand_lines_come_in_batches() {
    for test in each().await {
        let app = &test.app;
        let contacts = (0..2_500_u128).map(|number| {
            let mut contact =
                zweck::contacts::blank(&zweck::identities::Reader::default(), id(0, number), start());
            contact.email = Some(format!("p{number}@example.org"));
            contact.email_key = contact.email.clone();
            contact
        });
        let rows: Vec<contact::ActiveModel> = contacts
            .map(|contact| {
                sea_orm::ActiveModelTrait::reset_all(sea_orm::IntoActiveModel::into_active_model(contact))
            })
            .collect();
        for rows in rows.chunks(500) {
            contact::Entity::insert_many(rows.iter().cloned())
                .exec_without_returning(&app.db.writer)
                .await
                .unwrap();
        }
        let mut file = HEADER.to_owned();
        for number in 0..5_000_u32 {
            let who = format!("p{}@example.org", number / 2);
            file += &*granted(
                ("email", &who),
                AT,
                &[("purpose", if number % 2 == 0 { "newsletter" } else { "event_invitations" })],
            );
        }
        for number in 0..5_000_u32 {
            // A fifth of them says no in the end.
            let who = format!("p{}@example.org", number / 2);
            file += &*match number % 10 {
                0 => ended(("email", &who), "2026-09-01T10:00:00Z", "WITHDRAWN"),
                _ => granted(
                    ("email", &who),
                    "2026-09-30T10:00:00Z",
                    &[("purpose", if number % 2 == 0 { "newsletter" } else { "event_invitations" })],
                ),
            };
        }
        let first = run(app, &file).await;
        assert_eq!(first.report.rows, 10_000);
        assert_eq!(
            (first.report.granted, first.report.ended, first.report.left_out),
            (4_500, 500, 5_000),
            "{}",
            first.report
        );
        assert_eq!(
            first.report.reasons,
            BTreeMap::from([("ALREADY_WITHDRAWN", 500), ("REPEATED_CONSENT", 4_500)])
        );
        let again = run(app, &file).await;
        assert_eq!((again.report.granted, again.report.ended, again.report.unchanged), (0, 0, 5_000));
        let entries = "SELECT COUNT(*) FROM audit_entry WHERE action = 'importConsents'";
        assert_eq!(number(&app.db.writer, entries).await, 5_000);
    }
}

/// The list is asked, and a file brings nothing to it.
#[tokio::test]
async fn a_recorded_withdrawal_stands_against_every_file() {
    for World { test, client } in worlds().await {
        let (app, staff) = (&test.app, Staff::of(&test).await);
        let withdraw = json!({ "email": "hans@example.org", "purpose": "newsletter" });
        done(&client, &staff.consent, "withdrawConsent", withdraw, "__typename").await;
        let file = of_lines(granted(("email", "hans@example.org"), AT, &[]));
        assert_eq!(run(app, &file).await.told, ["2 - SUPPRESSED"]);
        assert_eq!(status(app, 8).await, Some(ConsentStatus::Withdrawn));
        assert_eq!(suppression::Entity::find().all(&app.db.reader).await.unwrap().len(), 1);
        // What the person declares to staff afterwards holds.
        test.clock.advance(TimeDelta::days(1));
        let mut consent = newsletter(8, "2026-11-02T10:00:00Z");
        consent["contactId"] = json!(person(8));
        let answer = mutate(&client, &staff.consent, "recordConsent", &consent, "consent { status }").await;
        assert_eq!(answer["data"]["recordConsent"]["consent"]["status"], "GRANTED", "{answer}");
    }
}

#[tokio::test]
async fn the_command_reads_a_file_and_reports_line_by_line() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("z.db").display());
    let settings = [("ZWECK__DATABASE__URL", url.as_str())];
    let command = |arguments: &[&str]| process::run(directory.path(), &settings, arguments);
    assert!(command(&["migrate"]).status.success());
    let db = zweck::db::Db::connect(&url, 1).await.unwrap();
    seed(&db.writer, &persons()[7..8]).await;
    drop(db);
    let file = of_lines(
        granted(("email", "hans@example.org"), AT, &[("source", "")])
            + granted(("email", "nobody@example.org"), AT, &[]).as_str(),
    );
    std::fs::write(directory.path().join("consents.csv"), file).unwrap();
    let arguments = ["import", "consents", "consents.csv", "--source", "old tool", "--report", "report.json"];
    let trial = command(&[arguments.as_slice(), &["--dry-run"]].concat());
    assert!(
        process::text(&trial.stdout).contains("would grant            1"),
        "{}",
        process::text(&trial.stdout)
    );
    for expected in ["granted                1", "unchanged              1"] {
        let output = command(&arguments);
        let (told, errors) = (process::text(&output.stdout), process::text(&output.stderr));
        assert!(output.status.success(), "{told}{errors}");
        assert!(
            told.contains(expected) && told.contains("3  -                       UNKNOWN_CONTACT"),
            "{told}"
        );
        let report: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(directory.path().join("report.json")).unwrap())
                .unwrap();
        assert_eq!(report["problems"], json!([{ "line": 3, "column": null, "reason": "UNKNOWN_CONTACT" }]));
        assert_eq!((&report["completed"], &report["rows"]), (&json!(true), &json!(2)));
    }
    let wrong = command(&["import", "consents", "consents.csv", "--map", "shoe=Size"]);
    assert!(!wrong.status.success());
    assert!(process::text(&wrong.stderr).contains("is not part of a consent"));
}

/// Who says no is believed, whatever else is wrong with the line.
#[tokio::test]
async fn a_withdrawal_at_a_time_that_cannot_be_is_told_and_taken() {
    for World { test, .. } in worlds().await {
        let hans = id(0, 8).to_string();
        for wrong in ["2027-01-01T00:00:00Z", "yesterday", "01.10.2026"] {
            let no = ended(("contactId", &hans), wrong, "WITHDRAWN");
            let yes = granted(("contactId", &hans), "2026-10-01T09:00:00+02:00", &[]);
            let done = run(&test.app, &of_lines([yes, no].concat())).await;
            assert!(done.told.iter().any(|told| told.starts_with("3 declaredAt ")), "{:?}", done.told);
            assert_eq!(done.report.granted, 0, "{wrong}");
            assert_eq!(status(&test.app, 8).await, Some(ConsentStatus::Withdrawn), "{wrong}");
        }
    }
}
