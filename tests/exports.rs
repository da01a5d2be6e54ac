//! Exports: nothing that the caller may not read, nothing lost on the way back, each with its trace.

use std::sync::Arc;

use entity::{contact, contact_point, provenance};
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use zweck::{
    app::App,
    auth::actor::Actor,
    base::error::{Code, Error},
    domain::access_tokens,
    exchange::{
        exports::{self, Exported, Format},
        imports::{self, ContactImport, ReadOptions, Reason},
    },
    graphql::Pipeline,
};

use crate::{
    support::{
        an_import,
        app::{TestApp, each},
        client::{Caller, Client},
        import, world,
    },
    writes::{Staff, done},
};

async fn actor(app: &App, caller: &Caller) -> Result<Actor, Error> {
    let credential = access_tokens::authenticate(app, caller.token.expose_secret()).await?;
    Actor::new(app.policy.current(), &credential, Some(&caller.purpose), "test".to_owned())
}

pub async fn export(test: &TestApp, caller: &Caller, format: Format) -> Result<(Exported, String), Error> {
    let mut out = Vec::new();
    let engine = Pipeline::new().unwrap();
    let exported =
        exports::contacts(&test.app, &engine, async || actor(&test.app, caller).await, format, &mut out)
            .await?;
    Ok((exported, String::from_utf8(out).unwrap()))
}

/// An import of an export of Zweck.
pub fn own(format: imports::Format) -> ContactImport {
    let (map, external_id) = match format {
        imports::Format::Csv => ContactImport::preset(imports::OWN).unwrap(),
        _ => (Vec::new(), None),
    };
    let optional = map.iter().map(|(target, _)| target.clone()).collect();
    let read_options = ReadOptions { format, optional, is_native: true, ..ReadOptions::default() };
    let opt_outs = ContactImport::preset_opt_outs(imports::OWN);
    ContactImport {
        map,
        external_id,
        opt_outs,
        source: "other database".to_owned(),
        read_options,
        ..an_import()
    }
}

/// Everything that is to come back: contacts with their ids, points and sources without ids of their own.
async fn kept(app: &App) -> Vec<(contact::Model, Vec<contact_point::Model>, Vec<provenance::Model>)> {
    let db = &app.db.reader;
    let points = contact_point::Entity::find().all(db).await.unwrap();
    let sources = provenance::Entity::find().all(db).await.unwrap();
    let mut contacts = contact::Entity::find().all(db).await.unwrap();
    contacts.sort_by_key(|contact| contact.id);
    let nil = uuid::Uuid::nil();
    contacts
        .into_iter()
        .map(|mut contact| {
            // Made anew: when it was last changed here.
            contact.updated_at = contact.created_at;
            let mut points: Vec<_> = points
                .iter()
                .filter(|point| point.contact_id == contact.id)
                .map(|point| contact_point::Model { id: nil, ..point.clone() })
                .collect();
            points.sort_by_key(|point| format!("{point:?}"));
            let mut sources: Vec<_> = sources
                .iter()
                .filter(|source| source.contact_id == contact.id)
                // Ids of imports stay in their database.
                .map(|source| provenance::Model { id: nil, import_id: None, ..source.clone() })
                .collect();
            sources.sort_by_key(|source| format!("{source:?}"));
            (contact, points, sources)
        })
        .collect()
}

const PEOPLE: &str = "id,first,last,mail,phone,fax,born,street,city,notes,home
1,Anna,\"=HYPERLINK(\"\"x\"\")\",anna@example.org,+49 30 1234,+49 30 1235,1980-02-29,\"-12, Hof\",Köln,\"two
=lines; +more, and \"\"quotes\"\"\",Lindenallee 12
2,'=Bernd,@Beispiel,,030/99,,,,,'+1,
3,Clara,,clara@example.org,,,,,,,
4,\"a;=b\",\",;'=|\",d@example.org,,+1 5,1999-12-31,Am Hof 1,,\"{\"\"json\"\": [1]}\",\" +1\"
";

async fn fill(test: &TestApp) {
    let map = [
        "givenName=first",
        "familyName=last",
        "email=mail",
        "phone=phone",
        "phone:fax=fax",
        "birthDate=born",
        "street=street",
        "city=city",
        "notes=notes",
        "street:home=home",
    ];
    let first = ContactImport {
        map: ContactImport::map_from(map).unwrap(),
        external_id: Some("id".to_owned()),
        source: "first; =source".to_owned(),
        informed_at: Some("2026-10-01T00:00:00Z".parse().unwrap()),
        notice_version: Some("+7".to_owned()),
        read_options: ReadOptions::default(),
        ..own(imports::Format::JsonLines)
    };
    let report = import(&test.app, PEOPLE.as_bytes(), &first).await.unwrap();
    assert_eq!((report.imported, report.rejected), (4, 0), "{report}");
    // More than a page.
    let mut many = "id,first\n".to_owned();
    (0..1_100).for_each(|number| many.push_str(&format!("{number},Given {number}\n")));
    let second = ContactImport {
        map: ContactImport::map_from(["givenName=first"]).unwrap(),
        source: "many".to_owned(),
        ..first
    };
    assert_eq!(import(&test.app, many.as_bytes(), &second).await.unwrap().imported, 1_100);
}

#[tokio::test]
async fn an_export_comes_back_whole() {
    for format in [(Format::Csv, imports::Format::Csv), (Format::JsonLines, imports::Format::JsonLines)] {
        for (from, to) in each().await.into_iter().zip(each().await) {
            fill(&from).await;
            from.clock.advance(chrono::TimeDelta::days(1));
            to.clock.advance(chrono::TimeDelta::days(2));
            let dpo = from.caller("dpo", "rights_fulfilment").await;
            let (exported, file) = export(&from, &dpo, format.0).await.unwrap();
            // Links to act in a person's name are not for the officer.
            assert_eq!(exported.columns.left_out, ["Contact.preferenceUrl"]);
            assert_eq!(exported.rows, 1_104, "{exported:?}");
            if format.0 == Format::Csv {
                assert!(file.contains("\"'=HYPERLINK("), "{}", &file[..600]);
            }
            let report = import(&to.app, file.as_bytes(), &own(format.1)).await.unwrap();
            // One number was kept as given, and is told again.
            assert_eq!((report.imported, report.problems.len()), (1_104, 1), "{report}");
            let (before, after) = (kept(&from.app).await, kept(&to.app).await);
            for (before, after) in before.iter().zip(&after) {
                assert_eq!(before, after);
            }
            assert_eq!(before.len(), after.len());
            // The same again changes nothing, in either database.
            for test in [&from, &to] {
                let again = import(&test.app, file.as_bytes(), &own(format.1)).await.unwrap();
                assert_eq!((again.imported, again.unchanged), (0, 1_104));
            }
        }
    }
}

#[tokio::test]
async fn cards_hold_contacts_and_their_contact_points() {
    for (from, to) in each().await.into_iter().zip(each().await) {
        fill(&from).await;
        let dpo = from.caller("dpo", "rights_fulfilment").await;
        let (_, file) = export(&from, &dpo, Format::VCard).await.unwrap();
        let cards = ContactImport {
            read_options: ReadOptions { format: imports::Format::VCard, ..ReadOptions::default() },
            ..own(imports::Format::VCard)
        };
        let report = import(&to.app, file.as_bytes(), &cards).await.unwrap();
        // One number was kept as given, and is told again.
        assert_eq!((report.imported, report.problems.len()), (1_104, 1), "{report}");
        let mut values: Vec<Vec<_>> = Vec::new();
        for test in [&from, &to] {
            let people = kept(&test.app).await;
            let mut told: Vec<_> = people
                .into_iter()
                .map(|(contact, points, _)| {
                    let points: Vec<_> = points
                        .into_iter()
                        .map(|point| (point.kind, point.label, point.email, point.phone, point.street))
                        .collect();
                    (
                        contact.given_name,
                        contact.family_name,
                        contact.email,
                        contact.phone,
                        contact.birth_date,
                        contact.street,
                        contact.city,
                        contact.notes,
                        points,
                    )
                })
                .collect();
            told.sort_by_key(|told| format!("{told:?}"));
            values.push(told);
        }
        for (before, after) in values[0].iter().zip(&values[1]) {
            assert_eq!(before, after);
        }
    }
}

/// Whatever a caller may not read stands in no export, whatever its format.
#[tokio::test]
async fn no_export_holds_what_may_not_be_read() {
    for test in each().await {
        world::seed(&test.app.db.writer, &world::persons()).await;
        let client = Client::of(&test);
        for (role, purpose) in [
            ("marketing", "newsletter"),
            ("marketing", "event_invitations"),
            ("partner", "newsletter"),
            ("support", "customer_care"),
            ("dpo", "rights_fulfilment"),
        ] {
            let caller = test.caller(role, purpose).await;
            let (exported, file) = export(&test, &caller, Format::JsonLines).await.unwrap();
            let rows: Vec<Value> = file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(exported.rows, u64::try_from(rows.len()).unwrap());
            // Each row is what a client reads of it, and the fields are those that may be read in full.
            let fields = exported.columns.contact.join(" ");
            let query = format!("{{ contacts(first: 1000) {{ nodes {{ {fields} }} }} }}");
            let answer = client.ask(&caller, &query).await;
            assert!(answer["errors"].is_null() && answer["extensions"]["masked"].is_null(), "{answer}");
            let mut bare = rows.clone();
            for row in &mut bare {
                row.as_object_mut()
                    .unwrap()
                    .retain(|name, _| !["contactPoints", "provenance", "optOuts"].contains(&name.as_str()));
            }
            assert_eq!(json!(bare), answer["data"]["contacts"]["nodes"], "{role} {purpose}");
            for format in [Format::Csv, Format::VCard] {
                let (_, other) = export(&test, &caller, format).await.unwrap();
                assert_eq!(other.contains("likes tea"), role == "dpo", "{role} {purpose}");
                assert_eq!(other.contains("23125"), file.contains("23125"), "{role} {purpose}");
                assert!(!other.contains("***"), "{other}");
            }
            assert!(!file.contains("Gone"), "an erased person in {role} {purpose}");
        }
        let partner = test.caller("partner", "newsletter").await;
        let (exported, file) = export(&test, &partner, Format::Csv).await.unwrap();
        assert!(!file.contains("anna@work.example") && file.contains("anna@example.org"), "{file}");
        assert!(exported.columns.left_out.contains(&"Contact.contactPoints".to_owned()), "{exported:?}");
    }
}

#[tokio::test]
async fn exports_are_refused_and_audited_like_every_other_read_and_write() {
    for test in each().await {
        world::seed(&test.app.db.writer, &world::persons()).await;
        let client = Client::of(&test);
        // No right to list contacts: nothing is written, and no entry tells of an export.
        let admin = test.caller("admin", "administration").await;
        let error = export(&test, &admin, Format::Csv).await.unwrap_err();
        assert!(matches!(error.code, Code::Forbidden | Code::ForbiddenField), "{error}");
        let wrong = Caller { purpose: "newsletter".to_owned(), ..admin.clone() };
        assert_eq!(export(&test, &wrong, Format::Csv).await.unwrap_err().code, Code::PurposeNotPermitted);
        let dpo = test.caller("dpo", "rights_fulfilment").await;
        let log = "{ auditLog(last: 10, filter: {action: {eq: \"exportContacts\"}}) { nodes { actor purpose action entityType contact { id } after } } }";
        assert_eq!(client.data(&dpo, log).await["auditLog"]["nodes"], json!([]));

        let support = test.caller("support", "customer_care").await;
        let (exported, _) = export(&test, &support, Format::Csv).await.unwrap();
        let answer = client.data(&dpo, log).await;
        let entries = answer["auditLog"]["nodes"].as_array().unwrap();
        assert_eq!(entries.len(), 2, "{answer}");
        for entry in entries {
            assert_eq!(
                (&entry["purpose"], &entry["entityType"]),
                (&json!("customer_care"), &json!("Contact"))
            );
            assert!(entry["actor"].as_str().unwrap().starts_with("token:"), "{entry}");
        }
        let mut told: Vec<&Value> =
            entries.iter().map(|entry| &entry["after"]["AuditEntry.action"]).collect();
        // Both of the same instant, as the clock stands still.
        told.sort_by_key(|told| told["begun"].as_bool());
        assert_eq!(told[0], &json!({"begun": false, "format": "csv", "rows": exported.rows}), "{told:?}");
        assert!(told[1]["fields"].as_array().unwrap().contains(&json!("Contact.email")), "{told:?}");

        // A token that ends while pages are read ends the export.
        let calls = std::sync::atomic::AtomicU32::new(0);
        let mut many = "id,first\n".to_owned();
        (0..600).for_each(|number| many.push_str(&format!("{number},Given {number}\n")));
        let more = ContactImport {
            map: ContactImport::map_from(["givenName=first"]).unwrap(),
            external_id: Some("id".to_owned()),
            read_options: ReadOptions::default(),
            ..own(imports::Format::JsonLines)
        };
        import(&test.app, many.as_bytes(), &more).await.unwrap();
        let ending = async || match calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => actor(&test.app, &support).await,
            _ => Err(Error::new(Code::Unauthenticated, "revoked")),
        };
        let engine = Arc::new(Pipeline::new().unwrap());
        let error = exports::contacts(&test.app, &engine, ending, Format::Csv, Vec::new()).await.unwrap_err();
        assert_eq!(error.code, Code::Unauthenticated);
    }
}

/// What restricts a contact does not come along, so it may not come in as if nothing did; nor two persons as one.
#[tokio::test]
async fn what_cannot_come_back_whole_is_told() {
    let id = |number: u8| format!("01990000-0000-7000-8000-0000000000{number:02}");
    let row = |number: u8, rest: &str| format!("{{\"id\":\"{}\",\"state\":\"ACTIVE\"{rest}}}\n", id(number));
    let source = |id: &str| {
        format!(",\"givenName\":\"A\",\"provenance\":[{{\"source\":\"s\",\"externalId\":\"{id}\"}}]")
    };
    let many_sources = vec!["{\"source\":\"s\"}"; 101].join(",");
    let lines = [
        format!("{{\"id\":\"{}\",\"givenName\":\"A\",\"state\":\"RESTRICTED\"}}\n", id(1)),
        row(2, ",\"givenName\":\"B\""),
        "{\"id\":\"no id\",\"state\":\"ACTIVE\",\"givenName\":\"C\"}\n".to_owned(),
        "{\"givenName\":\"D\",\"state\":\"ACTIVE\"}\n".to_owned(),
        "not json\n".to_owned(),
        row(
            3,
            ",\"givenName\":5,\"shoeSize\":\"x\",\"createdAt\":\"3000-01-01T00:00:00Z\",\"email\":\"e@example.org\"",
        ),
        row(4, ",\"givenName\":\"F\",\"contactPoints\":[{\"kind\":\"FAX\"}]"),
        "\n".to_owned(),
        row(5, ",\"givenName\":\"G\",\"provenance\":[{\"source\":\" \"}]"),
        row(2, ",\"givenName\":\"B again\""),
        row(
            6,
            ",\"givenName\":\"H\",\"contactPoints\":[{\"kind\":\"EMAIL\",\"phone\":\"110\"},{\"kind\":\"PHONE\",\"label\":\"x\"}]",
        ),
        format!("{{\"id\":\"{}\",\"givenName\":\"no state\"}}\n", id(7)),
        format!("{{\"id\":\"{{{}}}\",\"state\":\"ACTIVE\",\"givenName\":\"other spelling\"}}\n", id(2)),
        row(8, &source("1")),
        row(9, &source("1")),
        row(10, &source("known")),
        row(11, &format!(",\"givenName\":\"I\",\"provenance\":[{many_sources}]")),
        row(12, ",\"givenName\":\"J\",\"provenance\":[{\"source\":\"s\",\"fields\":[\"shoeSize\"]}]"),
        row(13, ",\"givenName\":\"K\",\"createdAt\":\"0001-01-01T00:00:00Z\""),
    ];
    for test in each().await {
        let first = ContactImport {
            map: ContactImport::map_from(["givenName=g"]).unwrap(),
            external_id: Some("id".to_owned()),
            source: "s".to_owned(),
            ..an_import()
        };
        import(&test.app, "id,g\nknown,Somebody else\n".as_bytes(), &first).await.unwrap();
        let report =
            import(&test.app, lines.concat().as_bytes(), &own(imports::Format::JsonLines)).await.unwrap();
        assert_eq!(
            report.told(),
            [
                (1, Some("state"), Reason::NotActive),
                (3, Some("id"), Reason::InvalidId),
                (4, Some("id"), Reason::MissingExternalId),
                (5, None, Reason::InvalidJson),
                (6, Some("givenName"), Reason::WrongType),
                (6, Some("createdAt"), Reason::InvalidDate),
                (7, Some("contactPoints"), Reason::InvalidJson),
                (9, Some("provenance"), Reason::InvalidJson),
                (10, Some("id"), Reason::DuplicateRow),
                (11, Some("contactPoints"), Reason::WrongType),
                (12, Some("state"), Reason::NotActive),
                (13, Some("id"), Reason::InvalidId),
                (15, Some("provenance"), Reason::DuplicateRow),
                (16, None, Reason::SourceTaken),
                (17, Some("provenance"), Reason::InvalidJson),
                (18, Some("provenance"), Reason::InvalidJson),
                (19, Some("createdAt"), Reason::InvalidDate),
            ]
        );
        assert_eq!((report.rows, report.imported, report.unchanged), (18, 5, 0), "{report}");
        assert_eq!(report.left_out["unknown"], 1);
    }
}

/// Who sees restricted contacts and may not read that they are, exports nothing that comes in as active.
#[tokio::test]
async fn restricted_contacts_stay_restricted_on_every_way_back() {
    for (from, to) in each().await.into_iter().zip(each().await) {
        fill(&from).await;
        let client = Client::of(&from);
        let desk = from.caller("privacy_desk", "rights_fulfilment").await;
        let id = client.data(&desk, "{ contacts(search: \"Clara\") { nodes { id } } }").await;
        let id = id["contacts"]["nodes"][0]["id"].as_str().unwrap().to_owned();
        let restrict = format!(
            "mutation {{ restrictContact(input: {{contactId: \"{id}\", limb: A, reason: \"disputed\"}}) {{ contact {{ state }} }} }}"
        );
        client.data(&desk, &restrict).await;
        for (role, purpose, active) in
            [("dpo", "rights_fulfilment", true), ("marketing", "consent_management", false)]
        {
            let caller = from.caller(role, purpose).await;
            for (format, back) in [
                (Format::Csv, own(imports::Format::Csv)),
                (Format::JsonLines, own(imports::Format::JsonLines)),
                (
                    Format::VCard,
                    ContactImport {
                        read_options: ReadOptions {
                            format: imports::Format::VCard,
                            ..ReadOptions::default()
                        },
                        ..an_import()
                    },
                ),
            ] {
                let (exported, file) = export(&from, &caller, format).await.unwrap();
                let back = ContactImport { source: format!("{role} {format:?}"), dry_run: true, ..back };
                let report = import(&to.app, file.as_bytes(), &back).await.unwrap();
                let refused = report.problems.iter().filter(|told| told.reason == Reason::NotActive).count();
                let expected = if active { 1 } else { usize::try_from(exported.rows).unwrap() };
                assert_eq!(refused, expected, "{role} {format:?} {}", report.report);
            }
        }
    }
}

/// Wherever a line of a card is folded, it comes back whole.
#[tokio::test]
async fn folded_lines_do_not_end_a_card() {
    for (from, to) in each().await.into_iter().zip(each().await) {
        let mut text = "id,notes,first\n".to_owned();
        (0..160).for_each(|n| text.push_str(&format!("{n},{}END:VCARD BEGIN:VCARD,A\n", "x".repeat(n))));
        let map = ContactImport::map_from(["notes=notes", "givenName=first"]).unwrap();
        let first = ContactImport { map, external_id: Some("id".to_owned()), ..an_import() };
        import(&from.app, text.as_bytes(), &first).await.unwrap();
        let dpo = from.caller("dpo", "rights_fulfilment").await;
        let (_, file) = export(&from, &dpo, Format::VCard).await.unwrap();
        let cards = ContactImport {
            read_options: ReadOptions { format: imports::Format::VCard, ..ReadOptions::default() },
            ..an_import()
        };
        let report = import(&to.app, file.as_bytes(), &cards).await.unwrap();
        assert_eq!((report.rows, report.imported, report.problems.len()), (160, 160, 0), "{report}");
        let notes = |people: Vec<(contact::Model, Vec<contact_point::Model>, Vec<provenance::Model>)>| {
            let mut notes: Vec<_> = people.into_iter().map(|(contact, ..)| contact.notes).collect();
            notes.sort();
            notes
        };
        assert_eq!(notes(kept(&from.app).await), notes(kept(&to.app).await));
    }
}

/// A narrowed token's export holds no contact points without their kind, and so comes back.
#[tokio::test]
async fn what_an_import_needs_comes_along_or_nothing_does() {
    for test in each().await {
        fill(&test).await;
        let fields = ["Contact.state", "Contact.givenName", "Contact.contactPoints", "ContactPoint.email"];
        let new = access_tokens::NewToken {
            name: "narrow".to_owned(),
            roles: vec!["dpo".to_owned()],
            purposes: vec!["rights_fulfilment".to_owned()],
            fields: Some(fields.map(str::to_owned).to_vec()),
            expires_at: test.app.now() + chrono::TimeDelta::days(1),
            recipient_id: None,
        };
        let token = test.make_token(new).await.unwrap().1;
        let caller = Caller { token, purpose: "rights_fulfilment".to_owned() };
        let (exported, file) = export(&test, &caller, Format::JsonLines).await.unwrap();
        assert!(exported.columns.left_out.contains(&"Contact.contactPoints".to_owned()), "{exported:?}");
        assert!(!file.contains("contactPoints") && !file.contains("familyName"), "{file}");
    }
}

/// What a person objects to in one installation is objected to in the next, to the purpose and channel.
#[tokio::test]
async fn who_objects_to_advertising_does_so_where_the_file_comes_in() {
    for format in [
        (Format::Csv, imports::Format::Csv),
        (Format::JsonLines, imports::Format::JsonLines),
        (Format::VCard, imports::Format::VCard),
    ] {
        for (from, to) in each().await.into_iter().zip(each().await) {
            let (client, staff) = (Client::of(&from), Staff::of(&from).await);
            let said = |name: &str| match name {
                "All" => vec![json!({ "purpose": "direct_marketing" })],
                "News" => vec![json!({ "purpose": "newsletter" })],
                "Letters" => vec![json!({ "purpose": "direct_marketing", "channel": "POST" })],
                "Back" => vec![json!({ "purpose": "direct_marketing" })],
                "Calls" => vec![json!({ "purpose": "phone_marketing" }), json!({ "purpose": "newsletter" })],
                _ => vec![],
            };
            let names = ["All", "News", "Letters", "Back", "Calls", "Nothing"];
            for name in names {
                let input = json!({ "familyName": name, "email": format!("{}@example.org", name.to_lowercase()),
                    "street": format!("{name}weg 1"), "postalCode": "10969", "source": { "name": "shop" } });
                let made = done(&client, &staff.desk, "createContact", input, "contact { id }").await;
                for objection in said(name) {
                    let mut input = objection;
                    input["contactId"] = made["contact"]["id"].clone();
                    let made =
                        done(&client, &staff.consent, "recordObjection", input, "objection { id }").await;
                    if name == "Back" {
                        from.clock.advance(chrono::TimeDelta::seconds(1));
                        let ended = json!({ "id": made["objection"]["id"] });
                        done(&client, &staff.consent, "endObjection", ended, "__typename").await;
                    }
                }
            }
            let dpo = from.caller("dpo", "rights_fulfilment").await;
            // The clock there is not behind: what is said later than now is said now.
            to.clock.advance(chrono::TimeDelta::seconds(5));
            let (exported, file) = export(&from, &dpo, format.0).await.unwrap();
            assert!(exported.columns.opt_outs, "{exported:?}");
            let into = ContactImport {
                purpose: "existing_customer_mail".to_owned(),
                ground: "order".to_owned(),
                ..own(format.1)
            };
            let report = import(&to.app, file.as_bytes(), &into).await.unwrap();
            assert_eq!((report.rows, report.problems.len()), (6, 0), "{report}");
            // The block that the own objection is has been told.
            assert_eq!(exported.blocked, 0, "{format:?}");
            let query = "{ contacts(first: 9) { nodes { familyName objections { purpose { code } channel objectedAt endedAt } } } }";
            let before = client.data(&dpo, query).await["contacts"]["nodes"].clone();
            let (client, dpo) = (Client::of(&to), to.caller("dpo", "rights_fulfilment").await);
            let told = client.data(&dpo, query).await["contacts"]["nodes"].clone();
            // Since the same time.
            let times = |all: &Value| {
                let mut times: Vec<String> = Vec::new();
                for contact in all.as_array().unwrap() {
                    let open = contact["objections"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .filter(|one| one["endedAt"].is_null());
                    times.extend(open.map(|one| format!("{} {one}", contact["familyName"])));
                }
                times.sort();
                times
            };
            assert_eq!(times(&told), times(&before), "{format:?}");
            assert_eq!(times(&told).len(), 5);
            for contact in told.as_array().unwrap() {
                let mut expected = said(contact["familyName"].as_str().unwrap());
                if contact["familyName"] == "Back" {
                    expected.clear();
                }
                let mut objections = contact["objections"].as_array().unwrap().clone();
                objections.sort_by_key(|objection| objection["purpose"]["code"].to_string());
                expected.sort_by_key(|objection| objection["purpose"].to_string());
                let told: Vec<Value> =
                    objections.iter().map(|one| json!([one["purpose"]["code"], one["channel"]])).collect();
                let expected: Vec<Value> =
                    expected.iter().map(|one| json!([one["purpose"], one["channel"]])).collect();
                assert_eq!(told, expected, "{format:?}: {contact}");
            }
            assert_eq!(told.as_array().unwrap().len(), 6);
            let marketing = to.caller("marketing", "existing_customer_mail").await;
            let shown = client.data(&marketing, "{ contacts(first: 9) { nodes { email } } }").await;
            let mut shown: Vec<&str> = shown["contacts"]["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|one| one["email"].as_str().unwrap())
                .collect();
            shown.sort_unstable();
            let open = [
                "back@example.org",
                "calls@example.org",
                "letters@example.org",
                "news@example.org",
                "nothing@example.org",
            ];
            assert_eq!(shown, open, "{format:?}");
        }
    }
}

/// Whoever may not read objections is told that the file does not tell them.
#[tokio::test]
async fn an_export_without_objections_says_so() {
    for test in each().await {
        world::seed(&test.app.db.writer, &world::persons()).await;
        let support = test.caller("support", "customer_care").await;
        let (exported, file) = export(&test, &support, Format::Csv).await.unwrap();
        assert!(!exported.columns.opt_outs && !file.contains("optOut"));
        assert!(exported.columns.left_out.contains(&"Contact.objections".to_owned()), "{exported:?}");
        // Such a file brings nobody in for advertising, unless somebody says so.
        let advertising =
            |format| ContactImport { purpose: "existing_customer_mail".to_owned(), ..own(format) };
        let csv = advertising(imports::Format::Csv);
        let refused = import(&test.app, file.as_bytes(), &csv).await.unwrap_err();
        assert!(
            refused.message.contains("it lacks optOutEmail, optOutPhone, optOutSms, optOutPost"),
            "{refused}"
        );
        let (_, lines) = export(&test, &support, Format::JsonLines).await.unwrap();
        let json = advertising(imports::Format::JsonLines);
        let report = import(&test.app, lines.as_bytes(), &json).await.unwrap();
        assert!(report.rows > 0 && report.rejected == report.rows, "{report}");
        assert!(report.problems.iter().all(|problem| problem.column.as_deref() == Some("optOuts")));
        let ignore = ["optOutEmail", "optOutPhone", "optOutSms", "optOutPost"].map(str::to_owned).to_vec();
        let said = ContactImport { ignore, dry_run: true, source: "said".to_owned(), ..csv };
        assert_eq!(import(&test.app, file.as_bytes(), &said).await.unwrap().rows, report.rows);
        let said = ContactImport { ignore: vec!["optOuts".to_owned()], dry_run: true, ..json };
        let report = import(&test.app, lines.as_bytes(), &said).await.unwrap();
        assert!(report.problems.iter().all(|problem| problem.column.as_deref() != Some("optOuts")));
    }
}

/// A no of a row that does not come in stands against the address that it tells.
#[tokio::test]
async fn a_no_of_a_contact_that_stays_out_is_kept() {
    for test in each().await {
        let line = json!({ "id": "0199c0de-0000-7000-8000-000000000001", "familyName": "Vera", "phone": "+49 30 5550 991",
            "state": "RESTRICTED", "optOuts": [{ "purpose": "newsletter", "channel": "EMAIL" }] });
        let report =
            import(&test.app, line.to_string().as_bytes(), &own(imports::Format::JsonLines)).await.unwrap();
        assert_eq!((report.imported, report.opted_out, report.noes_not_taken), (0, 1, 0), "{report}");
        let (client, staff) = (Client::of(&test), Staff::of(&test).await);
        let new = json!({ "familyName": "Vera", "phone": "030 5550991", "source": { "name": "letter" } });
        let made =
            done(&client, &staff.desk, "createContact", new, "contact { blocks { purpose { code } } }").await;
        let blocks = made["contact"]["blocks"].as_array().unwrap();
        assert!(
            !blocks.is_empty() && blocks.iter().all(|block| block["purpose"]["code"] == "newsletter"),
            "{made}"
        );
    }
}
