//! vCards of every version: who comes in, with which contact points, and what is told of the rest.

use std::collections::BTreeMap;

use entity::{contact, contact_point, enums::ContactPointKind, provenance};
use sea_orm::EntityTrait;
use zweck::{
    app::App,
    exchange::imports::{ContactImport, Format, OnInvalid, ReadOptions, Reason},
};

use crate::{
    imports::sample,
    support::{an_import, app::each, import},
};

fn cards(region: Option<&str>) -> ContactImport {
    let region = region.map(|region| region.parse().unwrap());
    let read_options = ReadOptions { format: Format::VCard, region, ..ReadOptions::default() };
    ContactImport { source: "cards".to_owned(), read_options, ..an_import() }
}

async fn contacts(app: &App) -> Vec<contact::Model> {
    let mut all = contact::Entity::find().all(&app.db.reader).await.unwrap();
    all.sort_by(|a, b| a.email.cmp(&b.email));
    all
}

/// Contact points as kind, value and label.
async fn points(app: &App) -> Vec<(ContactPointKind, String, Option<String>)> {
    let all = contact_point::Entity::find().all(&app.db.reader).await.unwrap();
    let mut points: Vec<_> = all
        .into_iter()
        .map(|point| {
            let address = [point.street, point.postal_code, point.city, point.country];
            let address: Vec<String> = address.into_iter().flatten().collect();
            (point.kind, point.email.or(point.phone).unwrap_or(address.join("|")), point.label)
        })
        .collect();
    points.sort_by(|a, b| (a.1.as_str(), &a.2).cmp(&(b.1.as_str(), &b.2)));
    points
}

const MIXED: &str = "BEGIN:VCARD\r
VERSION:2.1\r
N;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:Gr=F6=DFler;J=FCrgen\r
TEL;WORK;FAX:030 2312599\r
TEL;CELL:0171 2345678\r
TEL;HOME:030 23125000\r
EMAIL;INTERNET:juergen@example.org\r
EMAIL;INTERNET;PREF:j.groessler@example.com\r
ADR;HOME:;;Lindenallee 12;Berlin;;10115;Germany\r
ADR;WORK;PREF:;Hof 2;Am Markt 1;Potsdam;BB;14467;Germany\r
BDAY:19800322\r
NOTE;ENCODING=QUOTED-PRINTABLE:first=0D=0A=\r
second\r
NOTE:third\r
PHOTO;ENCODING=BASE64;TYPE=JPEG:/9j/4AAQ\r
CATEGORIES:Newsletter\r
END:VCARD\r
\r
This is no card.\r
BEGIN:VCARD\r
VERSION:4.0\r
KIND:org\r
FN:Example Ltd\r
END:VCARD\r
BEGIN:VCARD\r
VERSION:4.0\r
UID:urn:uuid:4fbe8971-0bc3-424c-9c26-36c3e1eff6b1\r
FN:Simone Example\r
N:Example;Simone;Anna,Maria;Dr.;\r
item1.EMAIL;PREF=2:simone@example.net\r
item1.X-ABLabel:_$!<Club>!$_\r
EMAIL;PREF=1:simone@example.com\r
TEL;VALUE=uri;TYPE=\"work,voice\":tel:+49-30-23125-900;ext=102\r
BDAY:--0203\r
LANG;PREF=2:en\r
LANG;PREF=1:de\r
ORG:Example GmbH;Sales\r
ROLE:Buyer\r
X-SPOUSE:somebody else\r
END:VCARD\r
BEGIN:VCARD\r
VERSION:4.0\r
UID:urn:uuid:4fbe8971-0bc3-424c-9c26-36c3e1eff6b1\r
FN:Simone again\r
END:VCARD\r
BEGIN:VCARD\r
VERSION:3.0\r
CATEGORIES:nobody\r
END:VCARD\r
BEGIN:VCARD\r
VERSION:3.0\r
FN:Only Full Name\r
TEL:call me\r
END:VCARD\r
BEGIN:VCARD\r
FN:never closed\r
";

#[tokio::test]
async fn cards_become_contacts_with_their_contact_points() {
    for test in each().await {
        let app = &test.app;
        let report = import(app, MIXED.as_bytes(), &cards(Some("DE"))).await.unwrap();
        assert_eq!(
            report.told(),
            [
                (1, Some("PHOTO"), Reason::PictureRefused),
                (19, None, Reason::NotACard),
                (20, Some("KIND"), Reason::NotAPerson),
                (25, Some("BDAY"), Reason::InvalidBirthDate),
                (41, Some("UID"), Reason::DuplicateRow),
                (46, None, Reason::NoNameOrContact),
                (50, Some("TEL"), Reason::InvalidPhone),
                (55, None, Reason::BrokenCard),
            ]
        );
        assert_eq!((report.rows, report.imported, report.rejected), (8, 3, 5));
        let left_out = [
            ("ADR (region)", 1),
            ("ADR (use of the first)", 1),
            ("TEL (use of the first)", 2),
            ("CATEGORIES", 1),
            ("LANG", 1),
            ("N (prefix, suffix)", 1),
            ("ORG (unit)", 1),
            ("X-", 1),
        ];
        let left_out: BTreeMap<String, u64> =
            left_out.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        assert_eq!(report.left_out, left_out);
        for value in ["Simone", "somebody", "example", "never", "call"] {
            let report = format!("{report}{}", serde_json::to_string(&report).unwrap());
            assert!(!report.contains(value), "{value}");
        }

        let people = contacts(app).await;
        let [full, juergen, simone] = people.as_slice() else { panic!("{people:?}") };
        assert_eq!((full.given_name.as_deref(), full.family_name.as_deref()), (None, Some("Only Full Name")));
        // As given, since the default keeps what cannot be right.
        assert_eq!(full.phone.as_deref(), Some("call me"));
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        assert_eq!([text(&juergen.given_name), text(&juergen.family_name)], ["Jürgen", "Größler"]);
        assert_eq!(
            [text(&juergen.email), text(&juergen.phone)],
            ["j.groessler@example.com", "+491712345678"]
        );
        assert_eq!(
            [&juergen.street, &juergen.postal_code, &juergen.city, &juergen.country].map(text),
            ["Hof 2, Am Markt 1", "14467", "Potsdam", "Germany"]
        );
        assert_eq!(text(&juergen.notes), "first\nsecond\n\nthird");
        assert_eq!(juergen.birth_date.unwrap().to_string(), "1980-03-22");
        assert_eq!(text(&simone.given_name), "Simone Anna Maria");
        assert_eq!(
            [text(&simone.email), text(&simone.phone)],
            ["simone@example.com", "+493023125900;ext=102"]
        );
        assert_eq!(
            [&simone.company, &simone.job_title, &simone.language].map(text),
            ["Example GmbH", "Buyer", "de"]
        );
        assert_eq!(simone.birth_date, None);

        let point = |kind, value: &str, label: &str| (kind, value.to_owned(), Some(label.to_owned()));
        assert_eq!(
            points(app).await,
            [
                point(ContactPointKind::Phone, "+493023125000", "home"),
                point(ContactPointKind::Phone, "+49302312599", "work, fax"),
                point(ContactPointKind::Postal, "Lindenallee 12|10115|Berlin|Germany", "home"),
                (ContactPointKind::Email, "juergen@example.org".to_owned(), None),
                point(ContactPointKind::Email, "simone@example.net", "club"),
            ]
        );
        // A flag in a file is no consent.
        assert!(entity::consent::Entity::find().all(&app.db.reader).await.unwrap().is_empty());
        // The same file again brings nothing.
        let again = import(app, MIXED.as_bytes(), &cards(Some("DE"))).await.unwrap();
        assert_eq!((again.imported, again.unchanged, again.rejected), (0, 3, 5));
        assert_eq!(points(app).await.len(), 5);
    }
}

#[tokio::test]
async fn phone_numbers_take_the_form_of_e164_where_the_region_is_known() {
    let text = "id,first,phone\n1,A,030 23125000\n2,B,+49 0711 2842222\n3,C,123456\n4,D,+44 (0) 20 7946 0958\n5,E,call me\n";
    let kept = ["+493023125000", "+497112842222", "123456", "+442079460958", "call me"];
    let reasons = [(4, Some("phone"), Reason::UnknownPhoneNumber), (6, Some("phone"), Reason::InvalidPhone)];
    for (on_invalid, count) in [(OnInvalid::Keep, 5), (OnInvalid::SkipValue, 3), (OnInvalid::SkipRow, 3)] {
        for test in each().await {
            let mut import_ = cards(Some("DE"));
            import_.map = ContactImport::map_from(["givenName=first", "phone=phone"]).unwrap();
            import_.external_id = Some("id".to_owned());
            import_.read_options = ReadOptions { format: Format::Csv, on_invalid, ..import_.read_options };
            let report = import(&test.app, text.as_bytes(), &import_).await.unwrap();
            assert_eq!(report.told(), reasons);
            let mut found: Vec<String> =
                contacts(&test.app).await.into_iter().filter_map(|contact| contact.phone).collect();
            found.sort();
            let mut expected: Vec<&str> =
                kept.into_iter().filter(|phone| count == 5 || phone.starts_with('+')).collect();
            expected.sort_unstable();
            assert_eq!(found, expected);
        }
    }
}

/// Cards written by others: by telephones, by mail programs, and the examples of the standards.
#[tokio::test]
async fn cards_of_others_come_in_whole() {
    let files = [
        ("John_Doe_ANDROID.vcf", 6, 3),
        ("John_Doe_GMAIL.vcf", 1, 0),
        ("John_Doe_IPHONE.vcf", 1, 1),
        ("John_Doe_MS_OUTLOOK.vcf", 1, 1),
        ("gmail-list.vcf", 3, 0),
        ("outlook-2003.vcf", 1, 4),
        ("rfc2426-example.vcf", 2, 0),
        ("rfc6350-example.vcf", 1, 1),
    ];
    let mut read = Vec::new();
    for (name, cards, problems) in files {
        let Some(file) = sample(&format!("vcard/{name}")) else { return };
        read.push((name, file, cards, problems));
    }
    for test in each().await {
        for (name, file, rows, problems) in &read {
            let import_ = ContactImport { source: (*name).to_owned(), ..cards(None) };
            let report = import(&test.app, file.as_slice(), &import_).await.unwrap();
            assert_eq!((report.rows, report.imported), (*rows, *rows), "{name} {report}");
            assert_eq!(report.problems.len(), *problems, "{name} {report}");
        }
        let all = points(&test.app).await;
        let has = |value: &str, label: Option<&str>| {
            all.iter().any(|(_, known, named)| known == value && named.as_deref() == label)
        };
        assert!(has("fdawson@earthlink.net", None), "{all:?}");
        assert!(has("905-222-1234", Some("assistantphone")) && has("905-111-1234", Some("pager")), "{all:?}");
        assert!(has("+1-418-262-6501", Some("work, cell")), "{all:?}");
        let people = contacts(&test.app).await;
        assert_eq!(people.len(), 16);
        let named =
            |email: &str| people.iter().find(|contact| contact.email.as_deref() == Some(email)).unwrap();
        assert_eq!(named("Frank_Dawson@Lotus.com").family_name.as_deref(), Some("Frank Dawson"));
        assert_eq!(named("simon.perreault@viagenie.ca").phone.as_deref(), Some("+1-418-656-9254;ext=102"));
        assert_eq!(named("jdoe@hotmail.com").birth_date.unwrap().to_string(), "1980-03-21");
        assert_eq!(provenance::Entity::find().all(&test.app.db.reader).await.unwrap().len(), 16);
    }
}

/// What address books write beside the standards.
#[tokio::test]
async fn odd_cards_are_read_as_they_are_meant() {
    let person = |lines: &str| format!("BEGIN:VCARD\nVERSION:3.0\n{lines}END:VCARD\n");
    let text = [
        // Lines that hold nothing cost nobody the address that follows; nor do addresses that cannot be right.
        person("FN:A\nEMAIL:\nEMAIL;TYPE=home:a@example.org\nTEL;TYPE=WORK:\nTEL;TYPE=CELL:030 1234567\nADR;TYPE=work:;;;;;;\nADR;TYPE=home:;;Str. 1;Ulm;;89073;\n"),
        person("FN:B\nEMAIL:nobody\nEMAIL:b@example.org\nBDAY;X-APPLE-OMIT-YEAR=1604:1604-03-14\n"),
        // The first of several names holds, whole.
        person("N:Two;B\nN:Zwei\nFN:x\nFN:y\nBDAY:19790314\nBDAY:1980-01-01\n"),
        person("FN:D\nTEL;VALUE=uri:TEL:+49%2030%2012345\nEMAIL:MAILTO:d@example.org\n"),
        person("N:;;;;\nFN:Acme GmbH\nORG:Acme GmbH\nX-ABShowAs:COMPANY\n"),
        person("FN:E\nitem1.TEL:030 1\nitem1.X-ABLabel:Halifax Office\nTEL;TYPE=fax:030 222222\n"),
    ]
    .concat();
    for test in each().await {
        let report = import(&test.app, text.as_bytes(), &cards(None)).await.unwrap();
        assert_eq!((report.rows, report.imported), (6, 5), "{report}");
        let told: Vec<_> = report.told().into_iter().map(|(_, column, reason)| (column, reason)).collect();
        assert_eq!(
            told,
            [
                (Some("BDAY"), Reason::InvalidBirthDate),
                (Some("EMAIL"), Reason::InvalidEmail),
                (Some("KIND"), Reason::NotAPerson),
            ]
        );
        let people = contacts(&test.app).await;
        let by =
            |name: &str| people.iter().find(|contact| contact.family_name.as_deref() == Some(name)).unwrap();
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let a = by("A");
        assert_eq!([&a.email, &a.phone, &a.street].map(text), ["a@example.org", "030 1234567", "Str. 1"]);
        assert_eq!((text(&by("B").email), by("B").birth_date), ("b@example.org".to_owned(), None));
        let two = by("Two");
        assert_eq!(
            (text(&two.given_name), two.birth_date.unwrap().to_string()),
            ("B".to_owned(), "1979-03-14".to_owned())
        );
        assert_eq!((report.left_out["N"], report.left_out["FN"], report.left_out["BDAY"]), (1, 1, 1));
        assert_eq!([&by("D").email, &by("D").phone].map(text), ["d@example.org", "+49 30 12345"]);
        // `Halifax` is no fax.
        assert_eq!(text(&by("E").phone), "030 1");
    }
}

/// A card that is made to take long is refused, and too many contact points are told once.
#[tokio::test]
async fn cards_beyond_measure_are_refused() {
    let lines =
        |count: usize| -> String { (0..count).map(|n| format!("i{n}.TEL:0301234{n:05}\n")).collect() };
    let text = format!(
        "BEGIN:VCARD\nVERSION:3.0\nFN:A\n{}END:VCARD\nBEGIN:VCARD\nVERSION:3.0\nFN:B\n{}END:VCARD\n",
        lines(20_000),
        lines(150)
    );
    for test in each().await {
        let report = import(&test.app, text.as_bytes(), &cards(None)).await.unwrap();
        assert_eq!(
            report.told(),
            [(1, None, Reason::TooLong), (20_005, Some("TEL"), Reason::TooManyContactPoints)]
        );
        assert_eq!((report.imported, points(&test.app).await.len()), (1, 100));
    }
}
