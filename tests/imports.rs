//! Imports: what comes in, what is refused with line and reason, and that nothing comes in twice.

use std::io::{self, Read};

use entity::{contact, ground, provenance};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter};
use zweck::{
    app::App,
    base::error::Code,
    exchange::imports::{ContactImport, Encoding, OnInvalid, ReadOptions, Reason},
};

use crate::support::{Imported, an_import, app::each, import as import_file, import_from, skipped};

fn import(map: &[&str]) -> ContactImport {
    ContactImport {
        map: ContactImport::map_from(map.iter().copied()).unwrap(),
        external_id: Some("id".to_owned()),
        read_options: ReadOptions { on_invalid: OnInvalid::SkipRow, ..ReadOptions::default() },
        ..an_import()
    }
}

fn basic() -> ContactImport {
    import(&[
        "givenName=first",
        "familyName=last",
        "email=mail",
        "phone=phone",
        "birthDate=born",
        "notes=notes",
    ])
}

const HEADER: &str = "id,first,last,mail,phone,born,notes\n";

async fn run(app: &App, text: &[u8]) -> Imported {
    import_file(app, text, &basic()).await.unwrap()
}

async fn contacts(app: &App) -> u64 {
    contact::Entity::find().count(&app.db.reader).await.unwrap()
}

#[tokio::test]
async fn the_example_comes_in_once() {
    let file = include_bytes!("../examples/contacts.csv");
    for test in each().await {
        let app = &test.app;
        let mut import = import(&[
            "givenName=FirstName",
            "familyName=LastName",
            "company=Company",
            "jobTitle=JobTitle",
            "street=Street",
            "postalCode=PostalCode",
            "city=City",
            "country=Country",
            "phone=Phone",
            "email=Email",
            "birthDate=BirthDate",
            "language=Language",
            "notes=Notes",
        ]);
        import.external_id = Some("CustomerId".to_owned());
        import.dry_run = true;
        let report = import_file(app, &file[..], &import).await.unwrap();
        assert_eq!((report.rows, report.imported, contacts(app).await), (12, 12, 0), "{report}");
        import.dry_run = false;
        let report = import_file(app, &file[..], &import).await.unwrap();
        assert_eq!((report.rows, report.imported, report.problems.len()), (12, 12, 0));
        let again = import_file(app, &file[..], &import).await.unwrap();
        assert_eq!((again.imported, again.unchanged, contacts(app).await), (0, 12, 12));

        let source = provenance::Entity::find()
            .filter(provenance::Column::ExternalId.eq("1001"))
            .one(&app.db.reader)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(source.source, "test");
        assert_eq!(source.recorded_by, "cli:import");
        let fields: Vec<String> = serde_json::from_str(&source.fields).unwrap();
        assert!(fields.contains(&"birthDate".to_owned()) && !fields.contains(&"notes".to_owned()));
        let contact =
            contact::Entity::find_by_id(source.contact_id).one(&app.db.reader).await.unwrap().unwrap();
        assert_eq!(contact.family_name.as_deref(), Some("Größler"));
        assert_eq!(contact.family_name_folded.as_deref(), Some("grossler"));
        assert_eq!(contact.postal_key.as_deref(), Some("lindenallee12|10115||"));
        assert_eq!(contact.notes, None);
        assert_eq!((contact.state, contact.version), (entity::enums::ContactState::Active, 1));
        let grounds = ground::Entity::find().all(&app.db.reader).await.unwrap();
        assert_eq!(grounds.len(), 12);
        assert!(
            grounds.iter().all(|ground| ground.purpose_code == "customer_care" && ground.since == app.now())
        );
    }
}

#[tokio::test]
async fn each_broken_row_is_named_by_line_and_reason() {
    for test in each().await {
        let long = "x".repeat(501);
        let rows: [(&str, Option<&str>, Option<Reason>); 12] = [
            ("1,Secretia,Hidden,a@example.com,+49 30 1234,1980-01-02,\"two\nlines\"", None, None),
            ("2,Secretia,Hidden,not-an-address-7,,,", Some("mail"), Some(Reason::InvalidEmail)),
            ("3,Secretia,Hidden,,call 4711,,", Some("phone"), Some(Reason::InvalidPhone)),
            ("4,Secretia,Hidden,,,02.01.1980,", Some("born"), Some(Reason::InvalidBirthDate)),
            ("5,Secretia,Hidden,,,2999-01-01,", Some("born"), Some(Reason::InvalidBirthDate)),
            ("6,Secretia,Hidden,,,", None, Some(Reason::WrongColumnCount)),
            ("7,,,,,1980-01-02,note", None, Some(Reason::NoNameOrContact)),
            (",Secretia,Hidden,,,,", Some("id"), Some(Reason::MissingExternalId)),
            ("1,Secretia,Hidden,,,,", Some("id"), Some(Reason::DuplicateRow)),
            ("8,Secre\u{7}tia,Hidden,,,,", Some("first"), Some(Reason::ControlCharacter)),
            (&format!("9,{long},Hidden,,,,"), Some("first"), Some(Reason::TooLong)),
            ("10,Secretia,Hidden,,,,", None, None),
        ];
        for end in ["\n", "\r\n", "\n\n"] {
            let mut text = HEADER.replace('\n', end);
            let mut expected = Vec::new();
            for (row, column, reason) in &rows {
                let line = u64::try_from(text.matches('\n').count()).unwrap() + 1;
                expected.extend(reason.map(|reason| (line, column.map(str::to_owned), reason)));
                text.push_str(row);
                text.push_str(end);
            }
            let report = run(&test.app, text.as_bytes()).await;
            let found: Vec<_> =
                report.problems.iter().map(|p| (p.line, p.column.clone(), p.reason)).collect();
            assert_eq!(found, expected, "{end:?}");
            assert_eq!((report.rows, report.rejected), (12, 10));
            let told = format!("{report}{}{report:?}", serde_json::to_string(&report).unwrap());
            for value in ["Secretia", "Hidden", "not-an-address", "4711", "02.01.1980", "2999", "xxxx"] {
                assert!(!told.contains(value), "{value}");
            }
        }
        assert_eq!(contacts(&test.app).await, 2);
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_named_by_line() {
    for test in each().await {
        let mut text =
            b"\xef\xbb\xbfid,first,last,mail,phone,born,notes\n1,A,B,,,,\n2,\xff,\xfe,,,,\n".to_vec();
        text.extend(b"3,A,B,,,,\n\xff,A,B,,,,");
        let report = run(&test.app, &text).await;
        let found: Vec<_> = report.problems.iter().map(|p| (p.line, p.column.as_deref(), p.reason)).collect();
        assert_eq!(
            found,
            [
                (3, Some("first"), Reason::InvalidUtf8),
                (3, Some("last"), Reason::InvalidUtf8),
                (5, Some("id"), Reason::InvalidUtf8)
            ]
        );
        assert_eq!((report.imported, report.rejected), (2, 2));
    }
}

#[tokio::test]
async fn an_import_that_cannot_be_right_does_not_begin() {
    for test in each().await {
        let changes: [fn(&mut ContactImport); 11] = [
            |import| import.purpose = "newsletter".to_owned(),
            |import| import.purpose = "direct_marketing".to_owned(),
            |import| import.purpose = "administration".to_owned(),
            |import| import.purpose = "unknown".to_owned(),
            |import| import.external_id = Some("nothing".to_owned()),
            |import| import.map[0].1 = "nothing".to_owned(),
            |import| import.map.clear(),
            |import| import.source = " ".to_owned(),
            |import| import.ground = String::new(),
            |import| import.read_options.delimiter = b'"',
            |import| import.since = Some("2999-01-01T00:00:00Z".parse().unwrap()),
        ];
        for (index, change) in changes.iter().enumerate() {
            let mut import = basic();
            change(&mut import);
            let text = format!("{HEADER}1,A,B,,,,\n");
            let error = import_file(&test.app, text.as_bytes(), &import).await.unwrap_err();
            assert_eq!(error.code, Code::BadUserInput, "case {index}");
        }
        for text in ["", "id,first,first,last,mail,phone,born,notes\n"] {
            let error = import_file(&test.app, text.as_bytes(), &basic()).await.unwrap_err();
            assert_eq!(error.code, Code::BadUserInput);
        }
        assert_eq!(contacts(&test.app).await, 0);
    }
    for map in ["shoeSize=x", "email", "id=x"] {
        assert_eq!(ContactImport::map_from([map]).unwrap_err().code, Code::BadUserInput, "{map}");
    }
    assert!(ContactImport::map_from(["email=a", "email=b"]).is_err());
}

#[tokio::test]
async fn without_an_external_id_the_row_itself_is_known_again() {
    for test in each().await {
        let import = ContactImport { external_id: None, ..import(&["email=mail", "givenName=first"]) };
        let read_options = ReadOptions { delimiter: b';', ..import.read_options.clone() };
        let import = ContactImport { read_options, ..import };
        let text = "mail;first\na@example.com;A\nb@example.com;B\na@example.com;A\n";
        let first = import_file(&test.app, text.as_bytes(), &import).await.unwrap();
        assert_eq!((first.imported, first.unchanged, first.rejected), (2, 0, 1));
        let again = import_file(&test.app, text.as_bytes(), &import).await.unwrap();
        assert_eq!((again.imported, again.unchanged, again.rejected), (0, 2, 1));
        // Another source is another source.
        let other = ContactImport { source: "other".to_owned(), ..import };
        assert_eq!(import_file(&test.app, text.as_bytes(), &other).await.unwrap().imported, 2);
    }
}

/// A file that breaks off.
#[derive(Clone)]
struct Broken(io::Cursor<Vec<u8>>);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer) {
            Ok(0) => Err(io::Error::other("broken")),
            read => read,
        }
    }
}

#[tokio::test]
async fn an_interrupted_import_goes_on_where_it_stopped() {
    let mut text = HEADER.to_owned();
    for number in 0..1200 {
        text.push_str(&format!("{number},Given {number},Family,p{number}@example.com,,,\n"));
    }
    let position = text.find("Given 1050").unwrap();
    for test in each().await {
        let broken =
            import_from(&test.app, Broken(io::Cursor::new(text.as_bytes()[..position].to_vec())), &basic())
                .await;
        assert_eq!(broken.unwrap_err().code, Code::BadUserInput);
        assert_eq!(contacts(&test.app).await, 1000);
        let report = run(&test.app, text.as_bytes()).await;
        assert_eq!((report.imported, report.unchanged), (200, 1000));
        assert_eq!(contacts(&test.app).await, 1200);
        assert_eq!(ground::Entity::find().count(&test.app.db.reader).await.unwrap(), 1200);
    }
}

/// A file written by others, beside the repository or under `ZWECK_DATA`; never part of it.
pub fn sample(name: &str) -> Option<Vec<u8>> {
    let beside = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let directory = std::env::var_os("ZWECK_DATA").map_or(beside, Into::into);
    let file = std::fs::read(directory.join(name)).ok();
    if file.is_none() {
        skipped(&format!("{name} is not beside the repository (ZWECK_DATA names another place)"));
    }
    file
}

#[tokio::test]
async fn chinooks_customers_come_in_whole() {
    let Some(file) = sample("chinook/customers.csv") else { return };
    for test in each().await {
        let app = &test.app;
        let mut import = import(&[
            "givenName=FirstName",
            "familyName=LastName",
            "email=Email",
            "phone=Phone",
            "company=Company",
            "street=Address",
            "city=City",
            "country=Country",
            "postalCode=PostalCode",
        ]);
        import.external_id = Some("CustomerId".to_owned());
        let report = import_file(app, file.as_slice(), &import).await.unwrap();
        assert_eq!((report.rows, report.imported, report.rejected), (59, 59, 0), "{report:?}");
        assert_eq!(provenance::Entity::find().count(&app.db.reader).await.unwrap(), 59);
        assert_eq!(ground::Entity::find().count(&app.db.reader).await.unwrap(), 59);
        let again = import_file(app, file.as_slice(), &import).await.unwrap();
        assert_eq!((again.imported, again.unchanged, contacts(app).await), (0, 59, 59));
    }
}

/// A value that cannot be right is kept as given, left out, or takes its row along; it is reported each time.
#[tokio::test]
async fn invalid_values_are_dealt_with_as_told() {
    let text = format!(
        "{HEADER}1,Anna,A,nobody,call me,31.12.1980,x\n2,Bernd,B,b@example.org,,,\n3,Clara,C,c@example.org,,,a\0b\n"
    );
    for (on_invalid, imported, emails) in [
        (OnInvalid::Keep, 3, vec![Some("nobody"), Some("b@example.org"), Some("c@example.org")]),
        (OnInvalid::SkipValue, 3, vec![None, Some("b@example.org"), Some("c@example.org")]),
        (OnInvalid::SkipRow, 1, vec![Some("b@example.org")]),
    ] {
        for test in each().await {
            let import = ContactImport {
                read_options: ReadOptions { on_invalid, ..ReadOptions::default() },
                ..basic()
            };
            let report = import_file(&test.app, text.as_bytes(), &import).await.unwrap();
            assert_eq!(
                (report.rows, report.imported, report.rejected),
                (3, imported, 3 - imported),
                "{on_invalid:?}"
            );
            let told: Vec<(u64, Reason)> =
                report.problems.iter().map(|problem| (problem.line, problem.reason)).collect();
            assert_eq!(
                told,
                [
                    (2, Reason::InvalidEmail),
                    (2, Reason::InvalidPhone),
                    (2, Reason::InvalidBirthDate),
                    (4, Reason::ControlCharacter)
                ]
            );
            assert!(!report.to_string().contains("nobody") && !report.to_string().contains("call me"));
            let mut kept: Vec<contact::Model> =
                contact::Entity::find().all(&test.app.db.reader).await.unwrap();
            kept.sort_by(|a, b| a.given_name.cmp(&b.given_name));
            let found: Vec<Option<&str>> = kept.iter().map(|contact| contact.email.as_deref()).collect();
            assert_eq!(found, emails, "{on_invalid:?}");
            assert!(
                kept.iter()
                    .all(|contact| contact.birth_date.is_none() && contact.notes.as_deref() != Some("a\0b"))
            );
        }
    }
}

#[tokio::test]
async fn files_without_header_and_of_windows_come_in() {
    for test in each().await {
        let mut import = import(&["givenName=2", "familyName=3", "city=4"]);
        import.external_id = Some("1".to_owned());
        import.informed_at = Some("2026-11-01T00:00:00Z".parse().unwrap());
        import.notice_version = Some("7".to_owned());
        import.read_options =
            ReadOptions { header: false, encoding: Encoding::Windows1252, ..ReadOptions::default() };
        let text = b"1,J\xfcrgen,Gr\xf6\xdfler,K\xf6ln\n2,\x8aime,\x80uro,Ulm\n";
        let report = import_file(&test.app, text.as_slice(), &import).await.unwrap();
        assert_eq!((report.rows, report.imported, report.problems.len()), (2, 2, 0), "{report:?}");
        let found = contact::Entity::find()
            .filter(contact::Column::CityFolded.eq("koln"))
            .one(&test.app.db.reader)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (found.given_name.as_deref(), found.family_name.as_deref()),
            (Some("Jürgen"), Some("Größler"))
        );
        let source = provenance::Entity::find()
            .filter(provenance::Column::ContactId.eq(found.id))
            .one(&test.app.db.reader)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((source.external_id.as_deref(), source.notice_version.as_deref()), (Some("1"), Some("7")));
        assert_eq!(source.informed_at, import.informed_at);
        for column in ["0", "5", "x"] {
            import.map = ContactImport::map_from([format!("givenName={column}").as_str()]).unwrap();
            assert_eq!(
                import_file(&test.app, text.as_slice(), &import).await.unwrap_err().code,
                Code::BadUserInput
            );
        }
        // A mark of byte order is no part of the first column.
        let marked = "\u{feff}id,first,last,mail,phone,born,notes\n9,Marked,M,,,,\n";
        assert_eq!(import_file(&test.app, marked.as_bytes(), &basic()).await.unwrap().imported, 1);
        // A preset passes over what the file does not have, but not over everything.
        let (map, external_id) = ContactImport::preset("hubspot").unwrap();
        let optional = map.iter().map(|(target, _)| target.clone()).collect();
        let read_options = ReadOptions { optional, ..ReadOptions::default() };
        let preset =
            ContactImport { map, external_id, read_options, source: "hubspot".to_owned(), ..basic() };
        let text = "Record ID,First Name,Email\n77,Hub,hub@example.org\n";
        assert_eq!(import_file(&test.app, text.as_bytes(), &preset).await.unwrap().imported, 1);
        assert!(import_file(&test.app, "Record ID,x\n1,2\n".as_bytes(), &preset).await.is_err());
    }
}

/// Employees and contacts of other systems, written by others.
#[tokio::test]
async fn other_samples_come_in_whole() {
    let (Some(employees), Some(people), Some(invalid)) = (
        sample("chinook/employees.csv"),
        sample("chatwoot/contacts.csv"),
        sample("chatwoot/invalid_contacts.csv"),
    ) else {
        return;
    };
    for test in each().await {
        let map = [
            "givenName=FirstName",
            "familyName=LastName",
            "jobTitle=Title",
            "birthDate=BirthDate",
            "email=Email",
            "phone=Phone",
        ];
        let staff = ContactImport {
            external_id: Some("EmployeeId".to_owned()),
            source: "employees".to_owned(),
            ..import(&map)
        };
        let report = import_file(&test.app, employees.as_slice(), &staff).await.unwrap();
        assert_eq!((report.rows, report.imported, report.problems.len()), (8, 8, 0), "{report:?}");
        let map = ["givenName=first_name", "familyName=last_name", "email=email"];
        let chat = ContactImport {
            external_id: Some("identifier".to_owned()),
            source: "chatwoot".to_owned(),
            ..import(&map)
        };
        let report = import_file(&test.app, people.as_slice(), &chat).await.unwrap();
        assert_eq!((report.rows, report.imported, report.problems.len()), (25, 25, 0), "{report:?}");
        let map = ["givenName=first_name", "familyName=last_name", "email=email", "phone=phone_number"];
        let other =
            ContactImport { external_id: Some("id".to_owned()), source: "other".to_owned(), ..import(&map) };
        let report = import_file(&test.app, invalid.as_slice(), &other).await.unwrap();
        // Row by row: the same address twice, and rows that lack a column.
        let mut expected = vec![(4, Some("email"), Reason::RepeatedEmail)];
        expected.extend((5..=26).map(|line| (line, None, Reason::WrongColumnCount)));
        assert_eq!(report.told(), expected);
        assert_eq!((report.rows, report.imported, report.rejected), (25, 3, 22), "{report}");
        // Where the region is known, a number that is too short is told too.
        let region = Some("IN".parse().unwrap());
        let read_options = ReadOptions { region, ..ReadOptions::default() };
        let strict = ContactImport { read_options, source: "strict".to_owned(), ..other };
        let report = import_file(&test.app, invalid.as_slice(), &strict).await.unwrap();
        expected.insert(0, (4, Some("phone_number"), Reason::UnknownPhoneNumber));
        assert_eq!(report.told(), expected);
    }
}

/// Without an external id a row is known again whatever becomes of its values.
#[tokio::test]
async fn a_row_is_known_again_however_its_values_are_dealt_with() {
    let text = "mail;first\nnobody;Anna\nnowhere;Anna\n";
    for test in each().await {
        let with = |on_invalid| ContactImport {
            external_id: None,
            read_options: ReadOptions { delimiter: b';', on_invalid, ..ReadOptions::default() },
            ..import(&["email=mail", "givenName=first"])
        };
        let first = import_file(&test.app, text.as_bytes(), &with(OnInvalid::Keep)).await.unwrap();
        assert_eq!((first.imported, first.rejected), (2, 0));
        let again = import_file(&test.app, text.as_bytes(), &with(OnInvalid::SkipValue)).await.unwrap();
        assert_eq!((again.imported, again.unchanged), (0, 2));
    }
}

/// Two persons do not become one where a quote is broken; quotes that are whole are no matter, nor those within plain text.
#[tokio::test]
async fn broken_quotes_are_reported_and_mix_nobody() {
    let text = "id,notes,mail,first\n1,\"hello,a@example.org,A\n2,\"bye\",b@example.org,B\n3,\"two\nlines, and \"\"more\"\"\",c@example.org,C\n4,5\" pipe,d@example.org,D\n5,\"never closed,e@example.org,E\n";
    for test in each().await {
        let import = import(&["notes=notes", "email=mail", "givenName=first"]);
        let report = import_file(&test.app, text.as_bytes(), &import).await.unwrap();
        let told: Vec<(u64, Reason)> =
            report.problems.iter().map(|problem| (problem.line, problem.reason)).collect();
        assert_eq!(told, [(2, Reason::BrokenQuotes), (7, Reason::BrokenQuotes)], "{report:?}");
        assert_eq!((report.rows, report.imported, report.rejected), (4, 2, 2));
        let mut names: Vec<String> = contact::Entity::find()
            .all(&test.app.db.reader)
            .await
            .unwrap()
            .into_iter()
            .filter_map(|row| row.given_name)
            .collect();
        names.sort();
        assert_eq!(names, ["C", "D"]);
    }
}

/// Killed in the middle, an import goes on where it stopped, and nobody comes in twice.
#[tokio::test]
async fn a_killed_import_goes_on() {
    use std::process::{Command, Stdio};
    const ROWS: u64 = 3_000;
    for test in each().await {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("many.csv");
        let mut text = "id,first,mail\n".to_owned();
        (0..ROWS)
            .for_each(|number| text.push_str(&format!("{number},Given {number},p{number}@example.com\n")));
        std::fs::write(&file, text).unwrap();
        let import = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_zweck"));
            for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ZWECK")) {
                command.env_remove(name);
            }
            command
                .args([
                    "import",
                    "contacts",
                    file.to_str().unwrap(),
                    "--source",
                    "many",
                    "--purpose",
                    "customer_care",
                ])
                .args([
                    "--ground",
                    "contract",
                    "--external-id",
                    "id",
                    "--map",
                    "givenName=first",
                    "--map",
                    "email=mail",
                ])
                .env("ZWECK__DATABASE__URL", &test.url)
                .env("ZWECK__SECRETS__MASTER_KEY", "07".repeat(32))
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            command
        };
        let mut killed = import().spawn().unwrap();
        while contacts(&test.app).await == 0 {
            assert!(killed.try_wait().unwrap().is_none(), "the import ended before anybody was in");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        killed.kill().unwrap();
        killed.wait().unwrap();
        let before = contacts(&test.app).await;
        assert!(before > 0 && before < ROWS && before.is_multiple_of(100), "{before} of {ROWS} were in");
        let done = import().output().unwrap();
        let report = String::from_utf8(done.stdout).unwrap();
        assert!(done.status.success(), "{report}{}", String::from_utf8_lossy(&done.stderr));
        let told = |name: &str| -> u64 {
            let line = report.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().last().unwrap().parse().unwrap()
        };
        assert_eq!((told("imported"), told("unchanged"), told("rejected")), (ROWS - before, before, 0));
        assert_eq!(contacts(&test.app).await, ROWS);
        assert_eq!(ground::Entity::find().count(&test.app.db.reader).await.unwrap(), ROWS);
    }
}

#[tokio::test]
async fn a_mark_of_byte_order_and_lone_carriage_returns_change_nothing() {
    for test in each().await {
        let marked = "\u{feff}\"a,\"\"b\"\"\",l\n1,B\n2,C\n3,\"D\"\n";
        let mut first = import(&["familyName=l"]);
        first.external_id = None;
        let report = import_file(&test.app, marked.as_bytes(), &first).await.unwrap();
        assert_eq!((report.imported, report.problems.len()), (3, 0), "{report}");
        let lines = "id,first,last,mail,phone,born,notes\r1,A,B,,,,\r2,A,B,x,,,\r\r3,A,B,y,,,\r";
        let report = run(&test.app, lines.as_bytes()).await;
        assert_eq!(report.told().iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [3, 5], "{report}");
    }
}

/// A quote that is never closed takes what follows along: up to where is told, and it does not take all memory.
#[tokio::test]
async fn an_unclosed_quote_is_told_with_all_that_it_takes() {
    for test in each().await {
        let text = format!("{HEADER}1,A,B,,,,\n2,\"A,B,,,,\n3,A,B,,,,\n4,A,B,,,,\n");
        let report = run(&test.app, text.as_bytes()).await;
        let problem = &report.problems[0];
        assert_eq!((problem.line, problem.last_line, problem.reason), (3, Some(5), Reason::BrokenQuotes));
        assert!(report.to_string().contains("BROKEN_QUOTES, up to line 5"), "{report}");
        let mut text = format!("{HEADER}1,A,B,,,,\n2,\"A,B,,,,\n");
        while text.len() < 17 << 20 {
            text.push_str("3,A,B,,,,\n");
        }
        let error = import_file(&test.app, text.as_bytes(), &basic()).await.unwrap_err();
        assert_eq!(error.code, Code::BadUserInput);
        assert!(error.message.contains("from line 3:"), "{}", error.message);
    }
}

/// What no column is mapped to is counted, by its head; a row without an id is known again whatever is mapped.
#[tokio::test]
async fn what_is_not_mapped_is_told_and_makes_no_other_row() {
    let text = "first,last,shoe\nA,B,44\nC,D,\n";
    for test in each().await {
        let with = |map: &[&str]| ContactImport { external_id: None, ..import(map) };
        let report = import_file(&test.app, text.as_bytes(), &with(&["givenName=first"])).await.unwrap();
        assert_eq!(report.imported, 2);
        assert_eq!(
            report.left_out.iter().map(|(name, count)| (name.as_str(), *count)).collect::<Vec<_>>(),
            [("last", 2), ("shoe", 1)]
        );
        let again = import_file(&test.app, text.as_bytes(), &with(&["givenName=first", "familyName=last"]))
            .await
            .unwrap();
        assert_eq!((again.imported, again.unchanged), (0, 2));
        let mut long = basic();
        long.notice_version = Some("x".repeat(501));
        assert_eq!(
            import_file(&test.app, HEADER.as_bytes(), &long).await.unwrap_err().code,
            Code::BadUserInput
        );
    }
}
