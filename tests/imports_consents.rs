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
    app::App,
    base::error::Error,
    exchange::imports::{self, ConsentImport, ConsentReport, Encoding, Problem, ReadOptions},
};

use crate::{
    reads::{World, worlds},
    support::{
        app::{each, start},
        dump::{assert_same, dump, number},
        in_full, process,
        world::{id, persons, seed},
    },
    writes::{Staff, done, mutate, newsletter, person},
};

const HEADER: &str = "contactId,email,phone,externalId,purpose,channel,status,declaredAt,confirmedAt,textVersion,language,proof,source,evidence,address,expiresAt\n";

pub fn import() -> ConsentImport {
    ConsentImport {
        map: Vec::new(),
        ignore: Vec::new(),
        source: None,
        contact_source: None,
        actor: "cli:import".to_owned(),
        read_options: ReadOptions::default(),
        dry_run: false,
    }
}

/// What an import did, and each problem as line, column and reason.
pub struct Done {
    pub report: ConsentReport,
    pub told: Vec<String>,
}

pub async fn try_run(app: &App, text: &[u8], import: &ConsentImport) -> Result<Done, Error> {
    let mut told = Vec::new();
    let tell = |problem: Problem| {
        let column = problem.column.unwrap_or_else(|| "-".to_owned());
        told.push((problem.line, format!("{} {column} {}", problem.line, problem.reason.as_str())));
        Ok(())
    };
    let report = imports::consents(app, || Ok(text), import, tell).await?;
    assert_eq!(
        report.rows,
        report.granted + report.ended + report.strays + report.unchanged + report.left_out + report.rejected,
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
        ("status", "GRANTED"),
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
            json!({ "email": "gina@example.org", "purpose": "direct_marketing", "declaredAt": "2026-10-15T00:00:00Z" }),
        ] {
            done(&client, &staff.consent, "recordObjection", input, "__typename").await;
        }
        // Only the list knows of it: an older yes does not count, a newer one would.
        let objection = "DELETE FROM objection WHERE objected_at >= '2026-10-15'";
        sea_orm::ConnectionTrait::execute_unprepared(&app.db.writer, objection).await.unwrap();
        let twin =
            json!({ "familyName": "Twin", "email": "hans@example.org", "source": { "name": "letter" } });
        done(&client, &staff.desk, "createContact", twin, "contact { id }").await;
        let moved = json!({ "contactId": person(8), "phone": "+49 30 23125 888" });
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
            (granted(mail("emil@example.org"), AT, &[("status", "MAYBE")]), "status UNKNOWN_STATUS"),
            (granted(anna, AT, &[("status", "")]), "status MISSING_VALUE"),
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
        assert_eq!(counts(&first.report), (2, 3, 2), "{}", first.report);
        assert_eq!(counts(&trial.report), (2, 3, 2));
        // Whose address nobody has did not end anything: that is said apart.
        assert_eq!((first.report.strays, trial.report.strays), (1, 1));
        // A word that may be a no, and a row that cannot be read.
        assert_eq!((first.report.noes_not_taken, trial.report.noes_not_taken), (2, 2));
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
            + ";Was\n;gina@example.org;;;newsletter;EMAIL;opted in;2026-10-01T10:00:00+02:00;2026-10-01T10:05:00+02:00;2026-1;de;double_opt_in;;K\u{e4}the 7;;;x\n";
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
            read_options: ReadOptions {
                delimiter: b';',
                encoding: Encoding::Windows1252,
                ..ReadOptions::default()
            },
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
        let moved = json!({ "contactId": person(7), "email": "gina@new.example" });
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
        assert_eq!(error.code, zweck::base::error::Code::BadUserInput, "{file}");
    }
    // Without a header columns have numbers.
    let numbered = ConsentImport {
        map: ConsentImport::map_from(["email=1", "purpose=2", "channel=3", "status=4"]).unwrap(),
        read_options: ReadOptions { header: false, ..ReadOptions::default() },
        ..import()
    };
    let file = "a@example.org,newsletter,EMAIL,WITHDRAWN\n";
    let report = try_run(&test.app, file.as_bytes(), &numbered).await.unwrap();
    assert_eq!((report.report.rows, report.report.strays, report.told), (1, 1, Vec::new()));
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
async fn many_lines_come_in_batches() {
    let persons = if in_full() { 2_500_u32 } else { 500 };
    let (half, fifth) = (u64::from(persons) * 2, u64::from(persons) / 5);
    for test in each().await {
        let app = &test.app;
        let contacts = (0..u128::from(persons)).map(|number| {
            let mut contact = zweck::domain::contacts::blank(
                &zweck::base::identities::Reader::default(),
                id(0, number),
                start(),
            );
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
        for number in 0..persons * 2 {
            let who = format!("p{}@example.org", number / 2);
            file += &*granted(
                ("email", &who),
                AT,
                &[("purpose", if number % 2 == 0 { "newsletter" } else { "event_invitations" })],
            );
        }
        for number in 0..persons * 2 {
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
        assert_eq!(first.report.rows, half * 2);
        assert_eq!(
            (first.report.granted, first.report.ended, first.report.left_out),
            (half - fifth, fifth, half),
            "{}",
            first.report
        );
        assert_eq!(
            first.report.reasons,
            BTreeMap::from([("ALREADY_WITHDRAWN", fifth), ("REPEATED_CONSENT", half - fifth)])
        );
        let again = run(app, &file).await;
        assert_eq!((again.report.granted, again.report.ended, again.report.unchanged), (0, 0, half));
        let entries = "SELECT COUNT(*) FROM audit_entry WHERE action = 'importConsents'";
        assert_eq!(number(&app.db.writer, entries).await, i64::from(persons) * 2);
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
    let arguments =
        ["import", "consents", "consents.csv", "--source", "old tool", "--report", "report.json", "--force"];
    let trial = command(&[arguments.as_slice(), &["--dry-run"]].concat());
    assert!(
        process::text(&trial.stdout).contains("would grant            1"),
        "{}",
        process::text(&trial.stdout)
    );
    for expected in ["granted                1", "unchanged              1"] {
        let output = command(&arguments);
        let (told, errors) = (process::text(&output.stdout), process::text(&output.stderr));
        // A line did not come in: whoever starts this by a script is told so, unless he allows for it.
        assert!(output.status.code() == Some(1) && errors.contains("lines rejected: 1"), "{told}{errors}");
        assert!(
            command(&[arguments.as_slice(), &["--allow-rejected", "--dry-run"]].concat()).status.success()
        );
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

/// Contacts with these addresses and numbers, by their number.
pub async fn people(app: &App, all: &[(u128, Option<&str>, Option<&str>)]) {
    for (number, email, phone) in all {
        let mut contact = zweck::domain::contacts::blank(
            &zweck::base::identities::Reader::default(),
            id(0, *number),
            start(),
        );
        contact.email = email.map(str::to_owned);
        // Records of one mailbox that have one name are one person's.
        contact.family_name = Some("Muster".to_owned());
        contact.family_name_folded = Some("muster".to_owned());
        contact.phone = phone.map(str::to_owned);
        contact.phone_folded = phone.map(zweck::base::fold::fold);
        zweck::domain::contacts::set_keys(&zweck::base::identities::Reader::default(), &mut contact);
        let row = sea_orm::ActiveModelTrait::reset_all(sea_orm::IntoActiveModel::into_active_model(contact));
        contact::Entity::insert(row).exec_without_returning(&app.db.writer).await.unwrap();
    }
}

/// A trial says the same as what is done then, and writes nothing; the same again changes nothing.
async fn thrice(app: &App, text: &str) -> Done {
    let before = dump(&app.db.writer).await;
    let trial = ConsentImport { dry_run: true, ..import() };
    let trial = try_run(app, text.as_bytes(), &trial).await.unwrap();
    assert_same(&dump(&app.db.writer).await, &before, "a trial");
    let done = run(app, text).await;
    let counts = |report: &ConsentReport| {
        let ended = (report.ended, report.strays, report.noes_not_taken);
        (report.granted, ended, report.unchanged, report.left_out, report.rejected)
    };
    assert_eq!((counts(&trial.report), &trial.told), (counts(&done.report), &done.told));
    let before = dump(&app.db.writer).await;
    let again = run(app, text).await;
    assert_same(&dump(&app.db.writer).await, &before, "a repeat");
    assert_eq!((again.report.granted, again.report.ended, again.report.strays), (0, 0, 0));
    done
}

/// Purposes and channels of the consents in force of a contact.
async fn in_force(app: &App, number: u128) -> Vec<String> {
    let rows = consent::Entity::find().all(&app.db.reader).await.unwrap();
    let own = rows.iter().filter(|row| row.contact_id == id(0, number));
    let mut own: Vec<String> = own
        .filter(|row| row.status == ConsentStatus::Granted)
        .map(|row| format!("{} {:?}", row.purpose_code, row.channel))
        .collect();
    own.sort();
    own
}

/// What says no, or until when, is never passed over because of how a column is called.
#[tokio::test]
async fn nothing_widens_by_absence() {
    for World { test, .. } in worlds().await {
        let app = &test.app;
        let cells = "hans@example.org,newsletter,EMAIL,2026-10-01T10:00:00Z,2026-1,de,signed_paper,fair";
        let heads = "email,purpose,channel,declaredAt,textVersion,language,proof,source";
        let file = |head: &str, cell: &str| format!("{heads},{head}\n{cells},{cell}\n");
        let before = dump(&app.db.writer).await;
        for (head, cell, field) in [
            // No word for a yes at all.
            ("evidence", "folder 9", "status"),
            ("State", "WITHDRAWN", "status"),
            ("Statuss", "WITHDRAWN", "status"),
            ("Einwilligung", "nein", "status"),
            ("Abmeldung", "", "optOut"),
            ("Opt-in", "0", "status"),
            ("Opt-out", "1", "optOut"),
            ("status,Ablauf", "GRANTED,2026-12-01T00:00:00Z", "expiresAt"),
            ("status,valid until", "GRANTED,2026-12-01T00:00:00Z", "expiresAt"),
            ("status,expireAt", "GRANTED,2026-12-01T00:00:00Z", "expiresAt"),
            ("status,Adress", "GRANTED,other@example.org", "address"),
            ("status,confirmdAt", "GRANTED,", "confirmedAt"),
            // Called as nobody could know, with what tells.
            ("status,Info", "GRANTED,Abgemeldet", "status"),
            ("status,Frist", "GRANTED,2026-12-01", "expiresAt"),
            ("status,Stamp", "GRANTED,2026-12-01T00:00:00Z", "expiresAt"),
            // As people write it short.
            ("status,Frist", "GRANTED,12/2025", "expiresAt"),
            ("status,Frist", "GRANTED,2025", "expiresAt"),
            ("status,Frist", "GRANTED,25.11.26", "expiresAt"),
            ("status,Frist", "GRANTED,11/25/2026", "expiresAt"),
            ("status,Status", "GRANTED,WITHDRAWN", "status"),
        ] {
            let error = try_run(app, file(head, cell).as_bytes(), &import()).await.err().unwrap();
            assert_eq!(error.code, zweck::base::error::Code::BadUserInput, "{head}");
            assert!(
                error.message.contains(&format!("`{field}`"))
                    || error.message.contains(&format!("--map {field}=")),
                "{head}: {}",
                error.message
            );
            let last = head.rsplit(',').next().unwrap();
            if !["evidence", "Status"].contains(&last) {
                let remedies = [format!("`{last}`"), format!("={last} "), format!("--ignore {last}")];
                assert!(remedies.iter().all(|remedy| error.message.contains(remedy)), "{}", error.message);
            }
        }
        assert_same(&dump(&app.db.writer).await, &before, "a file that is not clear");
        // An empty cell is no word either.
        let empty = run(app, &file("status", "")).await;
        assert_eq!((empty.report.granted, empty.told), (0, vec!["2 status MISSING_VALUE".to_owned()]));
        // However they are written, heads are what they say; what is ignored does not count.
        let file = format!(
            "\u{feff}{},Status,expires_at,EVIDENCE,State\n{cells},granted,2026-12-01T00:00:00Z,folder 9,gone\n",
            heads.replace("textVersion", "Text Version").replace("declaredAt", "declared-at")
        );
        let ignoring = ConsentImport { ignore: vec!["State".to_owned()], ..import() };
        let done = try_run(app, file.as_bytes(), &ignoring).await.unwrap();
        assert_eq!((done.report.granted, done.told), (1, Vec::new()));
        assert_eq!(done.report.unmapped, BTreeMap::from([("State".to_owned(), 1)]));
        let rows = consent::Entity::find().all(&app.db.reader).await.unwrap();
        let row =
            rows.iter().find(|row| row.contact_id == id(0, 8) && row.purpose_code == "newsletter").unwrap();
        assert_eq!(row.expires_at, Some("2026-12-01T00:00:00Z".parse().unwrap()));
        let unknown = ConsentImport { ignore: vec!["Nothing".to_owned()], ..import() };
        assert!(try_run(app, file.as_bytes(), &unknown).await.is_err());
    }
}

/// The usual words for a no end what they name.
#[tokio::test]
async fn the_usual_words_for_a_no_are_understood() {
    const WORDS: [&str; 24] = [
        "WITHDRAWN",
        "unsubscribed",
        "Unsubscribe",
        "opt-out",
        "Opted out",
        "opted_out",
        "revoked",
        "refused",
        "declined",
        "cleaned",
        "blocklisted",
        "blacklisted",
        "suppressed",
        "complained",
        "abgemeldet",
        "widerrufen",
        "Widerruf",
        "abgelehnt",
        "ausgetragen",
        "gesperrt",
        "nein",
        "no",
        "FALSE",
        "0",
    ];
    for World { test, .. } in worlds().await {
        let app = &test.app;
        let names: Vec<String> = (0..WORDS.len()).map(|number| format!("w{number}@words.example")).collect();
        for (number, name) in (100..).zip(&names) {
            people(app, &[(number, Some(name), None)]).await;
        }
        let yes = ["GRANTED", "subscribed", "Opted in", "confirmed", "ja", "yes", "TRUE", "1"];
        let lines = names.iter().zip(yes.iter().cycle());
        let lines: String =
            lines.map(|(name, yes)| granted(("email", name), AT, &[("status", yes)])).collect();
        let done = run(app, &of_lines(lines)).await;
        assert_eq!((done.report.granted, done.told), (24, Vec::new()));
        let lines =
            names.iter().zip(WORDS).map(|(name, word)| ended(("email", name), "2026-10-20T10:00:00Z", word));
        let done = run(app, &of_lines(lines.collect())).await;
        assert_eq!((done.report.ended, done.report.noes_not_taken, done.told), (24, 0, Vec::new()));
        for (number, word) in (100..).zip(WORDS) {
            let expected = match word {
                "refused" | "declined" | "abgelehnt" => ConsentStatus::Refused,
                _ => ConsentStatus::Withdrawn,
            };
            assert_eq!(status(app, number).await, Some(expected), "{word}");
        }
        // Of mail that did not get there nobody declared anything.
        let bounced = ended(("email", "gina@example.org"), AT, "bounced");
        let done = run(app, &of_lines(bounced)).await;
        assert_eq!((done.report.ended, done.told), (0, vec!["2 status UNDELIVERABLE".to_owned()]));
    }
}

/// What may be a no holds back each yes of the same person to the same purpose; what may be to anything, each.
#[tokio::test]
async fn a_word_that_nobody_knows_holds_back_the_yes() {
    for World { test, .. } in worlds().await {
        let app = &test.app;
        people(
            app,
            &[
                (50, Some("uta@example.org"), None),
                (51, Some("udo@example.org"), None),
                (52, Some("ida@one.example"), None),
            ],
        )
        .await;
        let events = [("purpose", "event_invitations")];
        let (uta, udo, ida) =
            (("email", "uta@example.org"), ("email", "udo@example.org"), ("email", "ida@one.example"));
        let uta_id = id(0, 50).to_string();
        let file = of_lines(
            [
                granted(uta, AT, &[]),
                granted(uta, AT, &events),
                // By another name than the yes.
                ended(("contactId", &uta_id), AT, "pending removal"),
                granted(udo, AT, &[]),
                granted(udo, AT, &events),
                line(&[udo, ("purpose", "lottery"), ("channel", "EMAIL"), ("status", "maybe")]),
                granted(ida, AT, &[]),
                granted(ida, AT, &events),
                // A group stands for its kinds.
                line(&[ida, ("purpose", "direct_marketing"), ("status", "on hold")]),
            ]
            .concat(),
        );
        let done = thrice(app, &file).await;
        let held: Vec<&str> = done.told.iter().map(String::as_str).collect();
        assert_eq!(
            held,
            [
                "2 - HELD_BACK",
                "4 status UNKNOWN_STATUS",
                "5 - HELD_BACK",
                "6 - HELD_BACK",
                "7 status UNKNOWN_STATUS",
                "8 - HELD_BACK",
                "9 - HELD_BACK",
                "10 status UNKNOWN_STATUS",
            ]
        );
        assert_eq!((done.report.granted, done.report.left_out, done.report.noes_not_taken), (1, 5, 3));
        assert_eq!(in_force(app, 50).await, ["event_invitations Email"]);
        assert_eq!((in_force(app, 51).await.len(), in_force(app, 52).await.len()), (0, 0));
        // A no to what cannot be read, too.
        let file = of_lines(
            [granted(udo, AT, &[]), line(&[udo, ("purpose", "newsleter"), ("status", "WITHDRAWN")])].concat(),
        );
        let done = thrice(app, &file).await;
        assert_eq!(done.told, ["2 - HELD_BACK", "3 purpose UNKNOWN_PURPOSE"]);
        assert_eq!(done.report.noes_not_taken, 1);
    }
}

/// A no is taken for all that it can be meant for.
#[tokio::test]
async fn a_no_is_taken_as_widely_as_it_can_be_meant() {
    for World { test, client } in worlds().await {
        let (app, staff) = (&test.app, Staff::of(&test).await);
        people(
            app,
            &[
                (60, Some("kim@example.net"), None),
                (61, Some("Kim@Example.NET"), None),
                (62, Some("val@example.net"), Some("+49 30 7770062")),
                (63, Some("vic@example.net"), Some("+49 30 7770063")),
                (64, Some("wes@example.net"), None),
                (65, Some("xia@example.net"), Some("0049 30 7770065")),
                (66, Some("yan@example.net"), None),
                (67, Some("yan.home@example.net"), None),
                (68, Some("zoe@example.net"), None),
            ],
        )
        .await;
        let events = |channel| [("purpose", "event_invitations"), ("channel", channel)];
        let call = [("proof", "recorded_call")];
        let mut lines = String::new();
        for number in 60..69 {
            lines += &granted(("contactId", &person(number)), AT, &[]);
            lines += &granted(("contactId", &person(number)), AT, &events("EMAIL"));
        }
        for number in [62, 63, 65] {
            let spoken = [events("PHONE").as_slice(), &call].concat();
            lines += &granted(("contactId", &person(number)), AT, &spoken);
        }
        let done = run(app, &of_lines(lines)).await;
        assert_eq!((done.report.granted, &done.told), (21, &Vec::new()));
        let at = ("declaredAt", "2026-10-20T10:00:00Z");
        let withdrawn = ("status", "WITHDRAWN");
        let (zoe, unknown) = (person(68), person(4_000));
        let cases = [
            // All records of the mailbox.
            line(&[
                ("email", "KIM@example.net"),
                ("purpose", "newsletter"),
                ("channel", "EMAIL"),
                withdrawn,
                at,
            ]),
            // A group: its kinds, and an objection to it.
            line(&[
                ("email", "val@example.net"),
                ("purpose", "direct_marketing"),
                ("channel", "EMAIL"),
                withdrawn,
                at,
            ]),
            // No channel: all of them. By a number, however it is written.
            line(&[("phone", "0049 (30) 7770063"), ("purpose", "event_invitations"), withdrawn, at]),
            // A channel by another word, one that is none, and one that the purpose does not use.
            line(&[
                ("email", "wes@example.net"),
                ("purpose", "Newsletter"),
                ("channel", "E-Mail"),
                withdrawn,
                at,
            ]),
            line(&[
                ("email", "xia@example.net"),
                ("purpose", "event_invitations"),
                ("channel", "FAX"),
                withdrawn,
                at,
            ]),
            line(&[
                ("email", "xia@example.net"),
                ("purpose", "newsletter"),
                ("channel", "PHONE"),
                withdrawn,
                at,
            ]),
            // All that the line tells of the person; nobody has the last one.
            line(&[
                ("contactId", &person(66)),
                ("email", "yan.home@example.net; yan.old@example.net"),
                ("purpose", "newsletter"),
                withdrawn,
                at,
            ]),
            // What is no consent is objected to.
            line(&[
                ("contactId", &zoe),
                ("purpose", "existing_customer_mail"),
                ("channel", "EMAIL"),
                withdrawn,
                at,
            ]),
            // Nobody has it: the list does.
            line(&[
                ("email", "new@example.net"),
                ("phone", "+49 30 7770099"),
                ("purpose", "direct_marketing"),
                withdrawn,
                at,
            ]),
            // What cannot be taken is said, and first.
            line(&[("email", "nobody"), ("purpose", "newsletter"), withdrawn, at]),
            line(&[("contactId", &unknown), ("purpose", "newsletter"), withdrawn, at]),
            line(&[("externalId", "none"), ("purpose", "newsletter"), withdrawn, at]),
            line(&[("email", "zoe@example.net"), ("purpose", "customer_care"), withdrawn, at]),
            line(&[("purpose", "newsletter"), withdrawn, at]),
            // Taken for the record, and not for the address.
            line(&[
                ("contactId", &zoe),
                ("email", "zoe at home"),
                ("purpose", "event_invitations"),
                withdrawn,
                at,
            ]),
        ];
        let mut order = Vec::new();
        let file = of_lines(cases.concat());
        let told = |problem: Problem| {
            order.push((problem.no_not_taken, problem.line));
            Ok(())
        };
        imports::consents(app, || Ok(file.as_bytes()), &ConsentImport { dry_run: true, ..import() }, told)
            .await
            .unwrap();
        // A no that was not taken comes first.
        assert!(order.is_sorted_by_key(|(no, _)| !no), "{order:?}");
        let done = thrice(app, &file).await;
        assert_eq!(
            done.told,
            [
                "6 channel INVALID_CHANNEL",
                "7 channel CHANNEL_NOT_USED",
                "11 email INVALID_EMAIL",
                "12 - UNKNOWN_CONTACT",
                "13 - UNKNOWN_CONTACT",
                "14 purpose NOT_ON_CONSENT",
                "15 contactId MISSING_VALUE",
                "16 email INVALID_EMAIL",
            ]
        );
        let report = &done.report;
        assert_eq!(
            (report.ended, report.strays, report.rejected, report.noes_not_taken),
            (9, 1, 5, 6),
            "{report}"
        );
        assert!(report.to_string().starts_with("noes not taken         6\n"), "{report}");
        for number in [60, 61] {
            assert_eq!(in_force(app, number).await, ["event_invitations Email"], "{number}");
        }
        // The objection stands in the way of the calls too.
        assert_eq!(in_force(app, 62).await, ["event_invitations Phone"]);
        let objections = async |number: u128| {
            let query = format!(
                "{{ contact(id: \"{}\") {{ objections {{ purpose {{ code }} }} }} }}",
                person(number)
            );
            client.data(&staff.desk, &query).await["contact"]["objections"].clone()
        };
        assert_eq!(objections(62).await, json!([{ "purpose": { "code": "direct_marketing" } }]));
        assert_eq!(in_force(app, 63).await, ["newsletter Email"]);
        assert_eq!(in_force(app, 64).await, ["event_invitations Email"]);
        assert!(in_force(app, 65).await.is_empty());
        for number in [66, 67] {
            assert_eq!(in_force(app, number).await, ["event_invitations Email"], "{number}");
        }
        assert_eq!(objections(68).await, json!([{ "purpose": { "code": "existing_customer_mail" } }]));
        assert_eq!(in_force(app, 68).await, ["newsletter Email"]);
        // Who comes in later with a listed address is not advertised to.
        for value in [json!({ "email": "yan.old@example.net" }), json!({ "phone": "+49 30 7770099" })] {
            let mut new = value.clone();
            new["familyName"] = json!("Later");
            new["source"] = json!({ "name": "letter" });
            let made = done_with(&client, &staff, new).await;
            let query = format!("{{ contact(id: \"{made}\") {{ blocks {{ purpose {{ code }} }} }} }}");
            let blocks = client.data(&staff.desk, &query).await["contact"]["blocks"].clone();
            assert!(!blocks.as_array().unwrap().is_empty(), "{value}");
        }
    }
}

async fn done_with(client: &crate::support::client::Client, staff: &Staff, new: serde_json::Value) -> String {
    let made = done(client, &staff.desk, "createContact", new, "contact { id }").await;
    made["contact"]["id"].as_str().unwrap().to_owned()
}

/// A no that was not taken is told before all else, and whoever started it by a script learns of it.
#[tokio::test]
async fn the_command_ends_with_1_where_a_no_was_not_taken() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("z.db").display());
    let settings = [("ZWECK__DATABASE__URL", url.as_str())];
    let command = |arguments: &[&str]| process::run(directory.path(), &settings, arguments);
    assert!(command(&["migrate"]).status.success());
    let write = |lines: String| std::fs::write(directory.path().join("no.csv"), of_lines(lines)).unwrap();
    let taken = ended(("email", "gone@example.org"), AT, "abgemeldet");
    let lost = ended(("email", "no address"), AT, "abgemeldet");
    write([granted(("email", "nobody@example.org"), AT, &[]), taken.clone(), lost].concat());
    let arguments = ["import", "consents", "no.csv", "--report", "report.json", "--force"];
    let output = command(&arguments);
    let (told, errors) = (process::text(&output.stdout), process::text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{told}{errors}");
    assert!(told.starts_with("a no that was not taken\n    line"), "{told}");
    assert!(told.find("INVALID_EMAIL").unwrap() < told.find("UNKNOWN_CONTACT").unwrap(), "{told}");
    assert!(told.contains("noes not taken         1") && told.contains("met no record          1"), "{told}");
    assert!(errors.contains("noes not taken: 1"), "{errors}");
    let report = std::fs::read_to_string(directory.path().join("report.json")).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!(
        report["problems"][0],
        json!({ "line": 4, "column": "email", "reason": "INVALID_EMAIL", "noNotTaken": true })
    );
    assert_eq!((&report["noesNotTaken"], &report["strays"]), (&json!(1), &json!(1)));
    write(taken);
    assert_eq!(command(&arguments).status.code(), Some(0));
    // What may hold a no and cannot be told apart counts as one.
    write("a,b\n".to_owned());
    assert_eq!(command(&arguments).status.code(), Some(1));
    std::fs::write(directory.path().join("no.csv"), "email,purpose,channel,State\n").unwrap();
    let refused = command(&arguments);
    assert!(process::text(&refused.stderr).contains("--ignore State"), "{}", process::text(&refused.stderr));
}

const CELLS: &str = "newsletter,EMAIL,2026-10-01T10:00:00Z,2026-1,de,signed_paper,fair";
const HEADS: &str = "purpose,channel,declaredAt,textVersion,language,proof,source";

/// Under a head that asks who does not want it a yes is a no, by whatever field the column is mapped.
#[tokio::test]
async fn a_column_of_opt_outs_never_makes_a_consent() {
    for World { test, .. } in worlds().await {
        let app = &test.app;
        let heads = ["Opt-out", "Unsubscribed", "Abgemeldet", "Blacklisted", "Widerspruch", "Gesperrt"];
        for (number, head) in (100..).zip(heads) {
            people(
                app,
                &[
                    (number, Some(&format!("out{number}@opts.example")), None),
                    (number + 50, Some(&format!("in{number}@opts.example")), None),
                    (number + 100, Some(&format!("none{number}@opts.example")), None),
                ],
            )
            .await;
            let file = format!(
                "email,{HEADS},{head}\nout{number}@opts.example,{CELLS},yes\nin{number}@opts.example,{CELLS},no\nnone{number}@opts.example,{CELLS},\n"
            );
            // What is advised is never to read it as a status.
            let error = try_run(app, file.as_bytes(), &import()).await.err().unwrap();
            assert!(
                !error.message.contains("status=")
                    && error.message.contains(&format!("--map optOut={head} ")),
                "{}",
                error.message
            );
            for field in ["status", "optOut"] {
                let pair = format!("{field}={head}");
                let mapped =
                    ConsentImport { map: ConsentImport::map_from([pair.as_str()]).unwrap(), ..import() };
                let done = try_run(app, file.as_bytes(), &mapped).await.unwrap();
                let report = &done.report;
                assert_eq!((report.granted, report.left_out, done.told), (0, 2, Vec::new()), "{head}");
                assert_eq!(report.ended + report.unchanged, 1, "{head}");
            }
            assert_eq!(status(app, number).await, Some(ConsentStatus::Withdrawn), "{head}");
            assert_eq!(status(app, number + 50).await, None, "{head}");
        }
        // Beside a status the column counts where it says no.
        people(app, &[(300, Some("ja@opts.example"), None), (301, Some("nein@opts.example"), None)]).await;
        let file = format!(
            "email,{HEADS},status,Opt-out\nja@opts.example,{CELLS},granted,0\nnein@opts.example,{CELLS},granted,1\n"
        );
        let mapped = ConsentImport { map: ConsentImport::map_from(["optOut=Opt-out"]).unwrap(), ..import() };
        let done = try_run(app, file.as_bytes(), &mapped).await.unwrap();
        assert_eq!((done.report.granted, done.report.ended, done.told), (1, 1, Vec::new()));
        assert_eq!(status(app, 301).await, Some(ConsentStatus::Withdrawn));
    }
}

/// A no that stands beside a yes in a column that nothing is read of holds the yes back.
#[tokio::test]
async fn a_no_beside_a_yes_holds_it_back() {
    for World { test, .. } in worlds().await {
        let app = &test.app;
        let cases = [
            ("Newsletter", "nein"),
            ("DNC", "x"),
            ("Mail erlaubt", "0"),
            ("Info", "no"),
            ("Kein Newsletter", "ja"),
        ];
        for (number, (head, cell)) in (100..).zip(cases) {
            let (no, yes) = (format!("no{number}@beside.example"), format!("yes{number}@beside.example"));
            people(app, &[(number, Some(&no), None), (number + 50, Some(&yes), None)]).await;
            let file =
                format!("email,{HEADS},status,{head}\n{no},{CELLS},granted,{cell}\n{yes},{CELLS},granted,\n");
            let done = thrice(app, &file).await;
            assert_eq!(done.told, [format!("2 {head} HELD_BACK")]);
            assert_eq!((done.report.granted, done.report.noes_not_taken), (1, 1), "{head}");
            assert_eq!(
                (status(app, number).await, status(app, number + 50).await),
                (None, Some(ConsentStatus::Granted))
            );
            // Who says that it does not count is believed.
            let ignoring = ConsentImport { ignore: vec![head.to_owned()], ..import() };
            assert_eq!(try_run(app, file.as_bytes(), &ignoring).await.unwrap().report.granted, 1, "{head}");
        }
        // A number is no answer where nobody asks.
        people(app, &[(300, Some("orders@beside.example"), None)]).await;
        let file = format!("email,{HEADS},status,Orders\norders@beside.example,{CELLS},granted,0\n");
        assert_eq!(thrice(app, &file).await.report.granted, 1);
    }
}

/// A yes is the word of the person for the addresses that its line tells.
#[tokio::test]
async fn a_yes_with_the_address_of_somebody_else_is_none() {
    for World { test, .. } in worlds().await {
        let app = &test.app;
        people(
            app,
            &[
                (50, Some("uta@example.org"), Some("+49 30 7770050")),
                (51, Some("udo@example.org"), Some("+49 30 7770051")),
            ],
        )
        .await;
        let (uta, call) = (
            ("contactId", person(50)),
            [("purpose", "event_invitations"), ("channel", "PHONE"), ("proof", "recorded_call")],
        );
        let uta = (uta.0, uta.1.as_str());
        let with = |others: &[(&str, &str)]| granted(uta, AT, others);
        let file = of_lines(
            [
                with(&[("email", "old@example.org")]),
                with(&[("email", "udo@example.org")]),
                with(&[("email", "uta@example.org; old@example.org")]),
                with(&[("email", "no address")]),
                with(&[&call[..], &[("phone", "+49 30 7770051")]].concat()),
                granted(("externalId", "none"), AT, &[uta, ("email", "udo@example.org")]),
                // Written otherwise it is the same; another kind of address is not what the yes is for.
                with(&[("email", "UTA@example.org"), ("phone", "+49 30 7770051")]),
                with(&[&call[..], &[("phone", "0049 (30) 777 0050"), ("email", "old@example.org")]].concat()),
            ]
            .concat(),
        );
        let done = thrice(app, &file).await;
        assert_eq!(
            done.told,
            [
                "2 - OTHER_ADDRESS",
                "3 - OTHER_ADDRESS",
                "4 - OTHER_ADDRESS",
                "5 email INVALID_EMAIL",
                "6 - OTHER_ADDRESS",
                "7 - OTHER_ADDRESS",
            ]
        );
        assert_eq!(in_force(app, 50).await, ["event_invitations Phone", "newsletter Email"]);
        assert!(in_force(app, 51).await.is_empty());
    }
}
