//! Opt-outs that come with contacts, and lists of those who object: none is lost, and none is made up.

use entity::{contact, enums::StopKind, objection};
use sea_orm::EntityTrait;
use serde_json::json;
use zweck::{
    app::App,
    base::error::Error,
    exchange::imports::{
        self, ContactImport, Listing, ObjectionImport, ObjectionReport, Problem, ReadOptions, Reason,
    },
};

use crate::{
    reads::{World, worlds},
    support::{
        Imported, an_import,
        app::each,
        dump::{assert_same, dump},
        import as import_file, process,
        world::id,
    },
    writes::{Staff, done, person},
};

pub fn list() -> ObjectionImport {
    ObjectionImport {
        kind: Listing::Objection,
        purpose: None,
        channel: None,
        preset: None,
        map: Vec::new(),
        ignore: Vec::new(),
        source: Some("old tool".to_owned()),
        actor: "cli:import".to_owned(),
        read_options: ReadOptions::default(),
        dry_run: false,
    }
}

fn of(preset: &str) -> ObjectionImport {
    ObjectionImport { preset: Some(preset.to_owned()), ..list() }
}

/// What an import did, and each problem as line, column and reason.
pub async fn run(
    app: &App,
    text: &str,
    import: &ObjectionImport,
) -> Result<(ObjectionReport, Vec<String>), Error> {
    let mut told = Vec::new();
    let tell = |problem: Problem| {
        let column = problem.column.unwrap_or_else(|| "-".to_owned());
        let no = if problem.no_not_taken { "NO " } else { "" };
        told.push(format!("{no}{} {column} {}", problem.line, problem.reason.as_str()));
        Ok(())
    };
    let report = imports::objections(app, || Ok(text.as_bytes()), import, tell).await?;
    let ends = report.matched + report.unmatched + report.unchanged;
    assert_eq!(report.rows, ends + report.left_out + report.rejected, "{report}");
    assert_eq!(report.problems, u64::try_from(told.len()).unwrap());
    Ok((report, told))
}

/// A trial says the same and writes nothing; the same again changes nothing.
pub async fn thrice(app: &App, text: &str, import: &ObjectionImport) -> (ObjectionReport, Vec<String>) {
    let before = dump(&app.db.writer).await;
    let trial = ObjectionImport { dry_run: true, ..import.clone() };
    let (trial, of_trial) = run(app, text, &trial).await.unwrap();
    assert_same(&dump(&app.db.writer).await, &before, "a trial");
    let (report, told) = run(app, text, import).await.unwrap();
    assert_eq!((ObjectionReport { dry_run: false, ..trial }, of_trial), (report.clone(), told.clone()));
    let before = dump(&app.db.writer).await;
    let (again, _) = run(app, text, import).await.unwrap();
    assert_same(&dump(&app.db.writer).await, &before, "a repeat");
    // Of what meets nobody objections alone are kept.
    let unmatched = if import.kind == Listing::Objection { 0 } else { report.unmatched };
    assert_eq!((again.matched, again.unmatched), (0, unmatched));
    (report, told)
}

/// Purposes that a contact objects to.
async fn objected(app: &App, number: u128) -> Vec<String> {
    standing(app, number, StopKind::Objection).await
}

async fn standing(app: &App, number: u128, kind: StopKind) -> Vec<String> {
    let rows = objection::Entity::find().all(&app.db.reader).await.unwrap();
    let own = rows
        .into_iter()
        .filter(|row| row.contact_id == id(0, number) && row.ended_at.is_none() && row.kind == kind);
    own.map(|row| row.purpose_code).collect()
}

/// Each address is an objection: of the records that have it, else on the list for whoever comes.
#[tokio::test]
async fn a_list_of_addresses_is_a_list_of_objections() {
    for World { test, client } in worlds().await {
        let (app, staff) = (&test.app, Staff::of(&test).await);
        let text = "E-Mail,phone,at,Note\nANNA@example.org,,2026-10-01T10:00:00Z,a\nnobody@list.example,,,b\n,+49 (30) 23125 008,01.10.2026,\nnot an address,,,\n,,,\n\"x@list.example; y@list.example\",,,\n";
        let (report, told) = thrice(app, text, &list()).await;
        assert_eq!(told, ["NO 5 E-Mail INVALID_EMAIL", "NO 6 email MISSING_VALUE"]);
        assert_eq!(
            (report.matched, report.unmatched, report.rejected, report.noes_not_taken),
            (2, 2, 2, 2),
            "{report}"
        );
        assert_eq!(objected(app, 1).await, ["direct_marketing"]);
        assert_eq!(objected(app, 8).await, ["direct_marketing"]);
        let json = serde_json::to_string(&report).unwrap();
        assert!(!json.contains("list.example") && json.contains("\"unmatched\":2"), "{json}");
        // Anna is not shown for advertising any more, and whoever comes with a listed address is not either.
        let news = test.caller("marketing", "newsletter").await;
        let anna = format!("{{ contact(id: \"{}\") {{ email }} }}", person(1));
        assert!(client.data(&news, &anna).await["contact"].is_null());
        let new = json!({ "familyName": "Neu", "email": "Y@list.example", "source": { "name": "letter" } });
        let made = done(&client, &staff.desk, "createContact", new, "contact { id }").await;
        let query = format!(
            "{{ contact(id: {}) {{ objections {{ id }} blocks {{ purpose {{ code }} channel }} }} }}",
            made["contact"]["id"]
        );
        assert_eq!(
            client.data(&staff.desk, &query).await["contact"],
            json!({ "objections": [], "blocks": [{ "purpose": { "code": "direct_marketing" }, "channel": "EMAIL" }] })
        );
        // One purpose alone, and what cannot be objected to.
        let mail = ObjectionImport { purpose: Some("existing_customer_mail".to_owned()), ..list() };
        run(app, "email\njan@example.org\n", &mail).await.unwrap();
        assert!(objected(app, 10).await.contains(&"existing_customer_mail".to_owned()));
        for purpose in ["customer_care", "lottery"] {
            let wrong = ObjectionImport { purpose: Some(purpose.to_owned()), ..list() };
            assert!(run(app, "email\njan@example.org\n", &wrong).await.is_err(), "{purpose}");
        }
        // Files that do not say who.
        for text in
            ["", "name\nJan\n", "email,Telefon\njan@example.org,1\n", "email,Status2\njan@example.org,1\n"]
        {
            assert!(run(app, text, &list()).await.is_err(), "{text}");
        }
        // A yes among them is none, and is said.
        let (_, told) =
            run(app, "email,status\ngina@example.org,subscribed\nida@example.org,unsubscribed\n", &list())
                .await
                .unwrap();
        assert_eq!(told, ["NO 2 status UNEXPECTED_VALUE"]);
        assert_eq!((objected(app, 7).await.len(), objected(app, 9).await.len()), (0, 1));
    }
}

/// Lists as programs export them: who objected, and nobody else.
#[tokio::test]
async fn suppression_lists_of_other_programs_are_read() {
    for World { test, .. } in worlds().await {
        let app = &test.app;
        let all: [(&str, &str, &[u128], &[&str]); 6] = [
            (
                "hubspot",
                "Email,Portal Bounce,Portal Unsubscribe,Portal Spam Report,Global Bounce,Marketing Information\nanna@example.org,,TRUE,,,\nbernd@example.org,TRUE,,,TRUE,\nclara@example.org,,,TRUE,,\nhans@example.org,,,,,TRUE\nida@example.org,FALSE,FALSE,FALSE,,FALSE\n",
                &[1, 3, 8],
                &["3 - UNDELIVERABLE"],
            ),
            (
                "hubspot",
                "Record ID,Email,Unsubscribed from all email\n1,gina@example.org,true\n2,ida@example.org,\n",
                &[7],
                // An id is no kind of mail.
                &[],
            ),
            (
                "mailchimp",
                "Email Address,First Name,OPTIN_TIME,UNSUB_TIME,UNSUB_REASON,LEID\nbernd@example.org,B,2024-01-01 10:00:00,2025-03-21 10:00:00,N/A,7\n",
                &[2],
                &[],
            ),
            (
                "brevo",
                "CONTACT ID,EMAIL,SMS,_BLOCKLISTED,_SUBSCRIBED\n1,emil@example.org,,email_marketing,sms_marketing\n2,ida@example.org,,,email_marketing\n",
                &[5],
                &[],
            ),
            (
                "cleverreach",
                "email,registered,activated,deactivated,bounced\nkarl@example.org,1700000000,1700000000,1750000000,0\nida@example.org,1700000000,1700000000,0,0\n",
                &[11],
                &[],
            ),
            ("cleverreach", "email\nida@example.org\n*@example.com\n", &[9], &["NO 3 email INVALID_EMAIL"]),
        ];
        let mut expected: Vec<u128> = vec![4];
        for (preset, text, objecting, problems) in all {
            let (report, told) = thrice(app, text, &of(preset)).await;
            assert_eq!(told, problems, "{preset}");
            assert_eq!(report.matched, u64::try_from(objecting.len()).unwrap(), "{preset} {report}");
            expected.extend(objecting);
            for number in 1..=11 {
                // Who objected to all advertising before has Dora, number 4, been.
                let has = objected(app, number).await.contains(&"direct_marketing".to_owned());
                assert_eq!(has, expected.contains(&number), "{preset} {number}");
            }
        }
        let rows = objection::Entity::find().all(&app.db.reader).await.unwrap();
        let bernd = rows.iter().find(|row| row.contact_id == id(0, 2)).unwrap();
        // Its clock is not known: nowhere it was later.
        assert_eq!(
            bernd.objected_at,
            "2025-03-21T22:00:00Z".parse::<chrono::DateTime<chrono::Utc>>().unwrap()
        );
        // A file of others says nothing of objections.
        for (preset, text) in [
            ("mailchimp", "Email Address,OPTIN_TIME,LEID\njan@example.org,2024-01-01 10:00:00,7\n"),
            ("brevo", "EMAIL,_BLOCKLISTED2\njan@example.org,x\n"),
            ("mailchimp", "Email Address,CLEAN_TIME,LEID\njan@example.org,2024-01-01 10:00:00,7\n"),
            ("cleverreach", "email,registered,activated\njan@example.org,1,1\n"),
            ("brevo", "EMAIL,SMS\njan@example.org,\n"),
            ("hubspot", "Email\njan@example.org\n"),
            ("sap", "email\njan@example.org\n"),
        ] {
            assert!(run(app, text, &of(preset)).await.is_err(), "{preset} {text}");
        }
        assert!(objected(app, 10).await.is_empty());
    }
}

/// Contacts as a program exports them, by its preset, for a purpose that is advertising or not.
async fn by_preset(app: &App, name: &str, text: &str, purpose: &str) -> Result<Imported, Error> {
    let (map, external_id) = ContactImport::preset(name).unwrap();
    let optional = map.iter().map(|(target, _)| target.clone()).collect();
    let import = ContactImport {
        map,
        external_id,
        opt_outs: ContactImport::preset_opt_outs(name),
        read_options: ReadOptions { optional, ..ReadOptions::default() },
        source: name.to_owned(),
        purpose: purpose.to_owned(),
        ..an_import()
    };
    import_file(app, text.as_bytes(), &import).await
}

async fn shown(world: &World, purpose: &str) -> Vec<String> {
    let caller = world.test.caller("marketing", purpose).await;
    let answer = world.client.data(&caller, "{ contacts { nodes { email } } }").await;
    let nodes = answer["contacts"]["nodes"].as_array().unwrap().clone();
    nodes.iter().map(|node| node["email"].as_str().unwrap_or("-").to_owned()).collect()
}

/// Who opted out where the contacts come from is not advertised to here.
#[tokio::test]
async fn opt_outs_come_along_with_their_contacts() {
    for world in worlds().await {
        let app = &world.test.app;
        let before = shown(&world, "existing_customer_mail").await;
        let text = "Record ID,First Name,Email,Unsubscribed from all email\n1,Olga,olga@hub.example,true\n2,Piet,piet@hub.example,\n3,Quin,quin@hub.example,false\n4,Rob,,true\n";
        let report = by_preset(app, "hubspot", text, "existing_customer_mail").await.unwrap();
        assert_eq!((report.imported, report.opted_out, report.noes_not_taken), (4, 2, 0), "{report}");
        assert!(report.left_out.is_empty(), "{:?}", report.left_out);
        let text = "Id,FirstName,Email,Phone,HasOptedOutOfEmail,DoNotCall,HasOptedOutOfFax\na,Sam,sam@force.example,+49 30 8880001,0,1,0\nb,Tom,tom@force.example,,1,0,0\nc,Uli,uli@force.example,,0,0,0\n";
        let report = by_preset(app, "salesforce", text, "existing_customer_mail").await.unwrap();
        assert_eq!((report.imported, report.opted_out), (3, 2), "{report}");
        let mut after = shown(&world, "existing_customer_mail").await;
        after.retain(|email| !before.contains(email));
        after.sort();
        // Who is not to be called may be written to.
        assert_eq!(after, ["piet@hub.example", "quin@hub.example", "sam@force.example", "uli@force.example"]);
        // The same again changes nothing.
        let before = dump(&app.db.writer).await;
        let again = by_preset(app, "salesforce", text, "existing_customer_mail").await.unwrap();
        assert_same(&dump(&app.db.writer).await, &before, "a repeat");
        assert_eq!((again.unchanged, again.opted_out), (3, 2));
        // Whoever opted out since is believed, though the contact was there already; and who cannot come in, too.
        let later = "Id,FirstName,Email,HasOptedOutOfEmail\nc,Uli,uli@force.example,1\nc,Uli,uli.new@force.example,1\n,Anna,anna@example.org,x\n,Vera,bernd@example.org,x\n,Wim,,1\n";
        let report = by_preset(app, "salesforce", later, "customer_care").await.unwrap();
        assert_eq!(
            report.told(),
            [
                (3, Some("Id"), Reason::DuplicateRow),
                (4, Some("Id"), Reason::MissingExternalId),
                (5, Some("Id"), Reason::MissingExternalId),
                (6, Some("Id"), Reason::MissingExternalId),
                (6, None, Reason::UnknownContact),
            ]
        );
        assert_eq!((report.imported, report.opted_out, report.noes_not_taken), (0, 4, 1), "{report}");
        assert!(!shown(&world, "existing_customer_mail").await.contains(&"uli@force.example".to_owned()));
        assert_eq!(objected(app, 1).await, ["direct_marketing"]);
        // The mailbox of somebody of another name is closed, and nobody's word is made up.
        assert!(objected(app, 2).await.is_empty());
        assert_eq!(standing(app, 2, StopKind::Block).await, ["direct_marketing"]);
        // The address stays on the list, however it comes again.
        let text = "id,mail\n9,Tom@Force.example\n";
        let back = ContactImport {
            map: ContactImport::map_from(["email=mail"]).unwrap(),
            external_id: Some("id".to_owned()),
            purpose: "existing_customer_mail".to_owned(),
            source: "again".to_owned(),
            ..an_import()
        };
        let report = import_file(app, text.as_bytes(), &back).await.unwrap();
        assert_eq!(report.told(), [(2, None, Reason::Suppressed)], "{report}");
    }
}

/// A column of opt-outs that nobody mapped stops an import for advertising, and is told in any other.
#[tokio::test]
async fn a_column_of_opt_outs_is_never_passed_over() {
    for test in each().await {
        let app = &test.app;
        for (head, cell) in [
            ("Email Opt Out", "1"),
            ("do_not_email", "yes"),
            ("BLACKLISTED", "1"),
            ("Werbesperre", "x"),
            ("UNSUB_TIME", "2026-01-01"),
        ] {
            let text = format!("id,mail,{head}\n1,one@columns.example,{cell}\n");
            let with = |purpose: &str, opt_outs: &[&str], ignore: &[&str]| ContactImport {
                map: ContactImport::map_from(["email=mail"]).unwrap(),
                external_id: Some("id".to_owned()),
                opt_outs: ContactImport::opt_outs_from(opt_outs.iter().copied()).unwrap(),
                ignore: ignore.iter().map(|head| (*head).to_owned()).collect(),
                source: format!("{head} {purpose} {}", ignore.len()),
                purpose: purpose.to_owned(),
                dry_run: true,
                ..an_import()
            };
            for purpose in ["existing_customer_mail", "direct_mail"] {
                let error = import_file(app, text.as_bytes(), &with(purpose, &[], &[])).await.unwrap_err();
                for part in
                    [format!("`{head}`"), format!("--opt-out email={head}"), format!("--ignore {head}")]
                {
                    assert!(error.message.contains(&part), "{}", error.message);
                }
            }
            let report = import_file(app, text.as_bytes(), &with("existing_customer_mail", &[], &[head]))
                .await
                .unwrap();
            assert_eq!((report.imported, report.opted_out, report.problems.len()), (1, 0, 0), "{report}");
            let mapped = format!("email={head}");
            let report = import_file(app, text.as_bytes(), &with("existing_customer_mail", &[&mapped], &[]))
                .await
                .unwrap();
            assert_eq!((report.imported, report.opted_out), (1, 1), "{report}");
            let report = import_file(app, text.as_bytes(), &with("customer_care", &[], &[])).await.unwrap();
            assert_eq!(report.told(), [(1, Some(head), Reason::OptOutNotMapped)]);
            assert_eq!((report.imported, report.noes_not_taken), (1, 0));
        }
        assert!(
            ContactImport::opt_outs_from(["fax=Fax"]).is_err()
                && ContactImport::opt_outs_from(["email"]).is_err()
        );
        assert!(contact::Entity::find().all(&app.db.reader).await.unwrap().is_empty());
    }
}

/// Of several addresses in a cell the first is that of the contact, and none is lost.
#[tokio::test]
async fn several_addresses_in_a_cell_become_contact_points() {
    for test in each().await {
        let app = &test.app;
        let import = ContactImport {
            map: ContactImport::map_from(["email=mail", "phone=phone"]).unwrap(),
            external_id: Some("id".to_owned()),
            ..an_import()
        };
        let text = "id,mail,phone\n1,\"eva@cells.example, bob@cells.example\",0171 2345670 / 030 23125001\n2,fay@cells.example ::: gus@cells.example,030 / 23125002\n3,\"hal@cells.example, no address\",\n";
        let report = import_file(app, text.as_bytes(), &import).await.unwrap();
        assert_eq!(
            report.told(),
            [
                (2, Some("mail"), Reason::SeveralValues),
                (2, Some("phone"), Reason::SeveralValues),
                (3, Some("mail"), Reason::SeveralValues),
                (4, Some("mail"), Reason::InvalidEmail),
            ]
        );
        let mut rows = contact::Entity::find().all(&app.db.reader).await.unwrap();
        rows.sort_by(|one, other| one.email.cmp(&other.email));
        let primary: Vec<(Option<&str>, Option<&str>)> =
            rows.iter().map(|row| (row.email.as_deref(), row.phone.as_deref())).collect();
        assert_eq!(
            primary[..2],
            [
                (Some("eva@cells.example"), Some("0171 2345670")),
                (Some("fay@cells.example"), Some("030 / 23125002"))
            ]
        );
        let points = entity::contact_point::Entity::find().all(&app.db.reader).await.unwrap();
        let mut further: Vec<String> =
            points.into_iter().filter_map(|point| point.email.or(point.phone)).collect();
        further.sort();
        assert_eq!(further, ["030 23125001", "bob@cells.example", "gus@cells.example"]);
    }
}

#[tokio::test]
async fn the_commands_take_opt_outs_and_lists() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("z.db").display());
    let settings = [("ZWECK__DATABASE__URL", url.as_str())];
    let command = |arguments: &[&str]| process::run(directory.path(), &settings, arguments);
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    assert!(command(&["migrate"]).status.success());
    write(
        "people.csv",
        "Record ID,Email,Unsubscribed from all email,Do not call\n1,una@shop.example,true,1\n2,ugo@shop.example,,\n",
    );
    let contacts = [
        "import",
        "contacts",
        "people.csv",
        "--preset",
        "hubspot",
        "--source",
        "shop",
        "--purpose",
        "existing_customer_mail",
        "--ground",
        "purchase",
    ];
    let refused = command(&contacts);
    assert!(!refused.status.success());
    assert!(
        process::text(&refused.stderr).contains("--opt-out email=Do not call"),
        "{}",
        process::text(&refused.stderr)
    );
    let output = command(&[contacts.as_slice(), &["--opt-out", "phone=Do not call"]].concat());
    let told = process::text(&output.stdout);
    assert!(
        output.status.success() && told.contains("opted out              1"),
        "{told}{}",
        process::text(&output.stderr)
    );
    write("list.csv", "email\nugo@shop.example\nvin@shop.example\nnowhere\n");
    let list = [
        "import",
        "objections",
        "list.csv",
        "--kind",
        "objection",
        "--source",
        "old tool",
        "--report",
        "report.json",
        "--force",
    ];
    let trial = command(&[list.as_slice(), &["--dry-run"]].concat());
    assert!(
        process::text(&trial.stdout).contains("would object           1"),
        "{}",
        process::text(&trial.stdout)
    );
    for (objected, unchanged) in [(1, 0), (0, 2)] {
        let output = command(&list);
        let (told, errors) = (process::text(&output.stdout), process::text(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{told}{errors}");
        assert!(told.starts_with("a no that was not taken\n"), "{told}");
        assert!(
            told.contains(&format!("objected      {objected:>10}\n"))
                && told.contains(&format!("unchanged     {unchanged:>10}\n")),
            "{told}"
        );
    }
    let db = zweck::db::Db::connect(&url, 1).await.unwrap();
    let rows = objection::Entity::find().all(&db.reader).await.unwrap();
    assert_eq!(rows.iter().filter(|row| row.kind == StopKind::Objection).count(), 3);
    write("list.csv", "vin@shop.example\n");
    let bare = command(&[
        "import",
        "objections",
        "list.csv",
        "--kind",
        "objection",
        "--no-header",
        "--map",
        "email=1",
    ]);
    assert_eq!(bare.status.code(), Some(0), "{}", process::text(&bare.stderr));
}

/// A no to one channel of somebody who is reached on another alone is kept for the address that comes, and closes nothing else.
#[tokio::test]
async fn a_no_to_a_channel_without_an_address_closes_no_other() {
    for World { test, client } in worlds().await {
        let (app, staff) = (&test.app, Staff::of(&test).await);
        let new = async |name: &str, email: &str, phone: Option<&str>| {
            let new =
                json!({ "familyName": name, "email": email, "phone": phone, "source": { "name": "letter" } });
            let made = done(&client, &staff.desk, "createContact", new, "contact { id }").await;
            made["contact"]["id"].as_str().unwrap().to_owned()
        };
        let read = async |contact: &str| {
            let fields = "objections { channel } blocks { channel }";
            let query = format!("{{ contact(id: \"{contact}\") {{ {fields} }} }}");
            client.data(&staff.desk, &query).await["contact"].clone()
        };
        let texts = ObjectionImport { channel: Some(entity::enums::Channel::Sms), ..list() };
        let vera = new("Vera", "vera@channel.example", None).await;
        let (report, told) =
            run(app, "email\nvera@channel.example\nnobody@channel.example\n", &texts).await.unwrap();
        assert_eq!((report.matched, report.unmatched, told.as_slice()), (1, 1, &[][..]), "{report}");
        let said = json!({ "objections": [{ "channel": "SMS" }], "blocks": [] });
        assert_eq!(read(&vera).await, said);
        // With the number it is closed there, for whoever has it.
        let number = "+49 30 5550 777";
        let input = json!({ "contactId": vera, "phone": number });
        done(&client, &staff.desk, "updateContact", input, "contact { id }").await;
        let sms = json!({ "objections": [], "blocks": [{ "channel": "SMS" }] });
        assert_eq!(read(&new("Otto", "otto@channel.example", Some(number)).await).await, sms);
        // Nobody has a record on which it could stand: then all that leads there is closed.
        let mail = json!({ "objections": [], "blocks": [{ "channel": "EMAIL" }] });
        assert_eq!(read(&new("Nemo", "nobody@channel.example", None).await).await, mail);
    }
}
