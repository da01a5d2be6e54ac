//! Updates by a later import from the same source: what is taken over, what stays because somebody else has said it, and
//! that a trial foretells all of it.

use entity::{audit_entry, consent, contact, contact_point, enums::ConsentStatus, objection, provenance};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};
use zweck::{
    app::App,
    base::error::Code,
    exchange::imports::{ContactImport, Format, ReadOptions, Reason, UpdateMode},
};

use crate::{
    reads::{World, worlds},
    support::{
        Imported, an_import,
        dump::{assert_same, dump},
        import as import_file,
    },
    writes::{Staff, done, mutate},
};

const HEADER: &str = "id,first,last,mail,phone,street,zip,city,mail2,notes,version\n";

/// A file of the source with its usual columns.
fn import(update: Option<UpdateMode>) -> ContactImport {
    let map = [
        "givenName=first",
        "familyName=last",
        "email=mail",
        "phone=phone",
        "street=street",
        "postalCode=zip",
        "city=city",
        "email:work=mail2",
        "notes=notes",
    ];
    ContactImport {
        map: ContactImport::map_from(map).unwrap(),
        external_id: Some("id".to_owned()),
        source: "shop".to_owned(),
        update,
        ..an_import()
    }
}

/// Runs an import. A trial before it says the same, lists more and writes nothing; a repeat changes nothing.
async fn run_with(app: &App, rows: &str, import: &ContactImport) -> Imported {
    let file = format!("{HEADER}{rows}");
    let before = dump(&app.db.writer).await;
    let trial = ContactImport { dry_run: true, ..import.clone() };
    let trial = import_file(app, file.as_bytes(), &trial).await.unwrap();
    assert_same(&dump(&app.db.writer).await, &before, "a trial");
    let done = import_file(app, file.as_bytes(), import).await.unwrap();
    let counts = |report: &Imported| {
        (
            report.imported,
            report.updated,
            report.unchanged,
            report.rejected,
            report.differences,
            report.not_applied,
        )
    };
    assert_eq!(counts(&trial), counts(&done), "{file}");
    let lasting = |told: &Imported| -> Vec<_> {
        let is_taken = |reason| matches!(reason, Reason::Filled | Reason::Changed | Reason::Added);
        let told = told.told().into_iter().filter(|(.., reason)| !is_taken(*reason));
        told.map(|(line, column, reason)| (line, column.map(str::to_owned), reason)).collect()
    };
    assert_eq!(lasting(&trial), lasting(&done), "{file}");
    assert_eq!(lasting(&done).len(), done.problems.len(), "{file}");
    if import.expected_version.is_none() {
        let before = dump(&app.db.writer).await;
        let again = import_file(app, file.as_bytes(), import).await.unwrap();
        assert_eq!((again.imported, again.updated), (0, 0), "{file}");
        assert_same(&dump(&app.db.writer).await, &before, "a repeat");
    }
    done
}

async fn run(app: &App, rows: &str, update: UpdateMode) -> Imported {
    run_with(app, rows, &import(Some(update))).await
}

/// What a trial lists.
async fn foretold(app: &App, rows: &str, update: UpdateMode) -> Vec<(u64, String, Reason)> {
    let trial = ContactImport { dry_run: true, ..import(Some(update)) };
    let trial = import_file(app, format!("{HEADER}{rows}").as_bytes(), &trial).await.unwrap();
    let told = trial.told().into_iter();
    told.map(|(line, column, reason)| (line, column.unwrap_or("-").to_owned(), reason)).collect()
}

/// The contact that the source knows by this id.
async fn contact(app: &App, external_id: &str) -> contact::Model {
    let source = provenance::Entity::find().filter(provenance::Column::ExternalId.eq(external_id));
    let source = source.filter(provenance::Column::Source.eq("shop"));
    let id = source.one(&app.db.reader).await.unwrap().unwrap().contact_id;
    contact::Entity::find_by_id(id).one(&app.db.reader).await.unwrap().unwrap()
}

async fn id_of(app: &App, external_id: &str) -> String {
    contact(app, external_id).await.id.to_string()
}

async fn further_mails(app: &App, external_id: &str) -> Vec<String> {
    let id = contact(app, external_id).await.id;
    let points = contact_point::Entity::find().filter(contact_point::Column::ContactId.eq(id));
    let points = points.order_by_asc(contact_point::Column::Id).all(&app.db.reader).await.unwrap();
    points.into_iter().filter_map(|point| point.email).collect()
}

fn differences(report: &Imported) -> Vec<(&str, Reason)> {
    report.told().into_iter().map(|(_, column, reason)| (column.unwrap_or("-"), reason)).collect()
}

async fn rectify(World { client, test }: &World, input: Value) {
    let staff = Staff::of(test).await;
    done(client, &staff.support, "updateContact", input, "contact { id }").await;
}

#[tokio::test]
async fn gaps_are_filled_and_values_replaced_only_on_request() {
    for world in worlds().await {
        let app = &world.test.app;
        run_with(app, "1,Eva,,eva@shop.example,,,,,,,\n", &import(None)).await;
        let later = "1,Ewa,Muster,eva.muster@shop.example,+49 30 23125001,,,,eva@work.example,VIP,\n";
        // Without an update nothing of a known contact changes.
        let done = run_with(app, later, &import(None)).await;
        assert_eq!((done.unchanged, done.updated, done.differences), (1, 0, 0));
        let listed = foretold(app, later, UpdateMode::Fill).await;
        let expected = [
            ("givenName", Reason::Differs),
            ("familyName", Reason::Filled),
            ("email", Reason::Differs),
            ("phone", Reason::Filled),
            ("notes", Reason::Filled),
            ("contactPoints", Reason::Added),
        ];
        assert_eq!(listed, expected.map(|(field, reason)| (2, field.to_owned(), reason)));
        let done = run(app, later, UpdateMode::Fill).await;
        assert_eq!((done.updated, done.unchanged, done.differences, done.not_applied), (1, 0, 6, 2));
        assert_eq!(differences(&done), [("givenName", Reason::Differs), ("email", Reason::Differs)]);
        let filled = contact(app, "1").await;
        assert_eq!(
            (filled.given_name.as_deref(), filled.family_name.as_deref(), filled.version),
            (Some("Eva"), Some("Muster"), 2)
        );
        assert_eq!(filled.email.as_deref(), Some("eva@shop.example"));
        assert_eq!(further_mails(app, "1").await, ["eva@work.example"]);
        let done = run(app, later, UpdateMode::Overwrite).await;
        assert_eq!((done.updated, done.differences, done.not_applied), (1, 2, 0));
        let replaced = contact(app, "1").await;
        assert_eq!(
            (replaced.given_name.as_deref(), replaced.email.as_deref(), replaced.version),
            (Some("Ewa"), Some("eva.muster@shop.example"), 3)
        );
        assert!(replaced.email_changed_at.is_some());
        // An empty cell says nothing, in either mode.
        for mode in [UpdateMode::Fill, UpdateMode::Overwrite] {
            let done = run(app, "1,Ewa,,,,,,,,,\n", mode).await;
            assert_eq!((done.unchanged, done.differences), (1, 0));
        }
        // Every value has its source, and every change its entry.
        let sources = provenance::Entity::find().filter(provenance::Column::ContactId.eq(replaced.id));
        let sources = sources.order_by_asc(provenance::Column::Id).all(&app.db.reader).await.unwrap();
        let mut fields: Vec<&str> = sources.iter().map(|source| source.fields.as_str()).collect();
        // All of the same instant.
        fields.sort_by_key(|fields| fields.len());
        assert_eq!(
            fields,
            [
                "[\"givenName\",\"email\"]",
                "[\"givenName\",\"email\"]",
                "[\"familyName\",\"phone\",\"notes\",\"contactPoints\"]"
            ]
        );
        let ids: Vec<Option<&str>> = sources.iter().map(|source| source.external_id.as_deref()).collect();
        assert_eq!(ids.iter().flatten().collect::<Vec<_>>(), [&"1"], "the source names the id once");
        assert!(sources.iter().all(|source| source.source == "shop" && source.import_id.is_some()));
        let entries = audit_entry::Entity::find().filter(audit_entry::Column::Action.eq("importUpdate"));
        let entries = entries.all(&app.db.reader).await.unwrap();
        let count = |object: &str| entries.iter().filter(|entry| entry.entity_type == object).count();
        assert_eq!((count("Contact"), count("ContactPoint"), count("Provenance")), (2, 1, 2));
        assert!(entries.iter().all(|entry| entry.contact_id == Some(replaced.id)));
    }
}

#[tokio::test]
async fn what_a_person_corrected_is_never_overwritten() {
    for world in worlds().await {
        let app = &world.test.app;
        run_with(
            app,
            "1,Eva,Muster,eva@shop.example,+493023125001,Am Markt 1,10115,Berlin,,,\n",
            &import(None),
        )
        .await;
        let id = id_of(app, "1").await;
        rectify(&world, json!({ "contactId": id, "familyName": "Beispiel", "clear": ["PHONE"] })).await;
        let file = "1,Ewa,Muster,eva@shop.example,+493023125001,Am Markt 1,10115,Berlin,,,\n";
        for mode in [UpdateMode::Fill, UpdateMode::Overwrite] {
            let told = foretold(app, file, mode).await;
            assert!(told.contains(&(2, "familyName".to_owned(), Reason::Protected)), "{told:?}");
            assert!(told.contains(&(2, "phone".to_owned(), Reason::Protected)), "{told:?}");
        }
        let done = run(app, file, UpdateMode::Overwrite).await;
        assert_eq!((done.updated, done.differences, done.not_applied), (1, 3, 2));
        let after = contact(app, "1").await;
        assert_eq!(
            (after.given_name.as_deref(), after.family_name.as_deref(), after.phone.as_deref()),
            (Some("Ewa"), Some("Beispiel"), None)
        );
        // Of an address that was corrected in one part nothing is replaced.
        rectify(&world, json!({ "contactId": id, "postalCode": "10117" })).await;
        let file = "1,,,,,Neue Gasse 2,20095,Hamburg,,,\n";
        let done = run(app, file, UpdateMode::Overwrite).await;
        assert_eq!((done.updated, done.not_applied), (0, 3));
        assert!(done.problems.iter().all(|told| told.reason == Reason::Protected), "{:?}", done.problems);
        assert_eq!(contact(app, "1").await.city.as_deref(), Some("Berlin"));
    }
}

#[tokio::test]
async fn a_postal_address_is_replaced_as_a_whole() {
    for world in worlds().await {
        let app = &world.test.app;
        run_with(app, "1,Eva,Muster,,,Am Markt 1,10115,Berlin,,,\n", &import(None)).await;
        // A gap of another address is none.
        let done = run(app, "1,,,,,,20095,Hamburg,,,\n", UpdateMode::Fill).await;
        assert_eq!((done.updated, done.not_applied), (0, 2));
        // A city alone is no other address.
        let done = run(app, "1,,,,,,,Hamburg,,,\n", UpdateMode::Overwrite).await;
        assert_eq!((done.updated, differences(&done)), (0, vec![("city", Reason::Differs)]));
        let done = run(app, "1,,,,,Neue Gasse 2,,Hamburg,,,\n", UpdateMode::Overwrite).await;
        assert_eq!((done.updated, done.not_applied), (1, 0));
        let after = contact(app, "1").await;
        assert_eq!(
            (after.street.as_deref(), after.postal_code.as_deref(), after.city.as_deref()),
            (Some("Neue Gasse 2"), None, Some("Hamburg"))
        );
        // The gap of the same address is filled.
        let done = run(app, "1,,,,,Neue Gasse 2,20095,Hamburg,,,\n", UpdateMode::Fill).await;
        assert_eq!((done.updated, contact(app, "1").await.postal_code.as_deref()), (1, Some("20095")));
    }
}

#[tokio::test]
async fn an_address_that_was_removed_does_not_come_back() {
    for world in worlds().await {
        let (app, staff) = (&world.test.app, Staff::of(&world.test).await);
        run_with(app, "1,Eva,Muster,eva@shop.example,,,,,eva@work.example,,\n", &import(None)).await;
        let id = id_of(app, "1").await;
        let query = format!("{{ contact(id: \"{id}\") {{ contactPoints {{ id }} }} }}");
        let points = world.client.data(&staff.support, &query).await;
        let point = points["contact"]["contactPoints"][0]["id"].as_str().unwrap();
        let remove = format!("mutation {{ removeContactPoint(id: \"{point}\") {{ contact {{ id }} }} }}");
        world.client.data(&staff.support, &remove).await;
        // Neither as a further address nor in the place of the own one.
        for file in ["1,,,,,,,,EVA@work.example,,\n", "1,,,eva@work.example,,,,,,,\n"] {
            let done = run(app, file, UpdateMode::Overwrite).await;
            assert_eq!((done.updated, done.not_applied), (0, 1), "{file}");
            assert_eq!(done.problems[0].reason, Reason::Removed, "{file}");
        }
        assert!(further_mails(app, "1").await.is_empty());
        // One that a person replaced does not come back as a further address.
        rectify(&world, json!({ "contactId": id, "email": "eva@new.example" })).await;
        let done = run(app, "1,,,,,,,,eva@shop.example,,\n", UpdateMode::Fill).await;
        assert_eq!((done.updated, differences(&done)), (0, vec![("contactPoints", Reason::Removed)]));
        // What the own source replaced before may come back.
        run_with(app, "2,Ida,Muster,ida@shop.example,,,,,,,\n", &import(None)).await;
        assert_eq!(run(app, "2,,,ida@two.example,,,,,,,\n", UpdateMode::Overwrite).await.updated, 1);
        assert_eq!(run(app, "2,,,ida@shop.example,,,,,,,\n", UpdateMode::Overwrite).await.updated, 1);
    }
}

#[tokio::test]
async fn contacts_that_must_not_be_used_stay_as_they_are() {
    for world in worlds().await {
        let (app, staff) = (&world.test.app, Staff::of(&world.test).await);
        let files = "1,Eva,Muster,eva@shop.example,,,,,,,\n2,Ida,Muster,ida@shop.example,,,,,,,\n";
        run_with(app, files, &import(None)).await;
        let restriction = json!({ "contactId": id_of(app, "1").await, "limb": "A", "reason": "asked" });
        done(&world.client, &staff.desk, "restrictContact", restriction, "contact { id }").await;
        let grounds = format!(
            "{{ contact(id: \"{}\") {{ grounds {{ id purpose {{ code }} }} }} }}",
            id_of(app, "2").await
        );
        let grounds = world.client.data(&staff.desk, &grounds).await;
        let ground = grounds["contact"]["grounds"][0]["id"].as_str().unwrap();
        let end = json!({ "groundId": ground });
        done(&world.client, &staff.desk, "endGround", end, "ground { id }").await;
        let file = "1,Ewa,Muster,eva@shop.example,,,,,,,\n2,Ita,Muster,ida@shop.example,,,,,,,\n";
        let done = run(app, file, UpdateMode::Overwrite).await;
        assert_eq!((done.updated, done.unchanged, done.not_applied), (0, 2, 2));
        assert_eq!(done.told(), [(2, None, Reason::NotActive), (3, None, Reason::NoGround)]);
        // What is the same is no difference.
        assert!(run(app, files, UpdateMode::Overwrite).await.problems.is_empty());
    }
}

#[tokio::test]
async fn a_row_that_is_based_on_another_version_is_refused() {
    for world in worlds().await {
        let app = &world.test.app;
        run_with(app, "1,Eva,Muster,eva@shop.example,,,,,,,\n", &import(None)).await;
        let expecting = ContactImport {
            expected_version: Some("version".to_owned()),
            ..import(Some(UpdateMode::Overwrite))
        };
        let done = run_with(app, "1,Ewa,,,,,,,,,1\n", &expecting).await;
        assert_eq!((done.updated, done.rejected), (1, 0));
        let rows = "1,Eda,,,,,,,,,1\n2,New,Contact,,,,,,,,\n3,,Other,,,,,,,,x\n";
        let done = run_with(app, rows, &expecting).await;
        assert_eq!((done.updated, done.imported, done.rejected), (0, 1, 2));
        assert_eq!(
            done.told(),
            [(2, Some("version"), Reason::VersionConflict), (4, Some("version"), Reason::WrongType),]
        );
        let done = run_with(app, "1,Eda,,,,,,,,,\n", &expecting).await;
        assert_eq!(done.told(), [(2, Some("version"), Reason::MissingValue)]);
        assert_eq!(contact(app, "1").await.given_name.as_deref(), Some("Ewa"));
        // An export tells the version, as a number.
        let id = id_of(app, "1").await;
        let line = |version: u32, name: &str| {
            format!(
                "{{\"id\": \"{id}\", \"state\": \"ACTIVE\", \"version\": {version}, \"givenName\": \"{name}\"}}\n"
            )
        };
        let native = ContactImport {
            map: Vec::new(),
            external_id: None,
            read_options: ReadOptions { format: Format::JsonLines, ..ReadOptions::default() },
            ..expecting
        };
        let done = import_file(app, line(1, "Ada").as_bytes(), &native).await.unwrap();
        assert_eq!(done.told(), [(1, Some("version"), Reason::VersionConflict)]);
        let done = import_file(app, line(2, "Ada").as_bytes(), &native).await.unwrap();
        assert_eq!((done.updated, done.problems.len()), (1, 0));
        assert_eq!(contact(app, "1").await.given_name.as_deref(), Some("Ada"));
    }
}

#[tokio::test]
async fn an_update_that_cannot_be_one_is_refused() {
    for world in worlds().await {
        let app = &world.test.app;
        let file = format!("{HEADER}1,Eva,,,,,,,,,\n");
        let refused = async |import: ContactImport| {
            let error = import_file(app, file.as_bytes(), &import).await.unwrap_err();
            assert_eq!(error.code, Code::BadUserInput);
            error.message
        };
        let without_id = ContactImport { external_id: None, ..import(Some(UpdateMode::Fill)) };
        assert!(refused(without_id).await.contains("id in the source"));
        let version = Some("version".to_owned());
        let without_update = ContactImport { expected_version: version.clone(), ..import(None) };
        assert!(refused(without_update).await.contains("without an update"));
        let cards = ContactImport {
            map: Vec::new(),
            expected_version: version,
            read_options: ReadOptions { format: Format::VCard, ..ReadOptions::default() },
            ..import(Some(UpdateMode::Fill))
        };
        assert!(refused(cards).await.contains("vCards"));
    }
}

/// A new address of an update passes the same doors as one that a client brings.
#[tokio::test]
async fn noes_meet_the_addresses_of_an_update() {
    for world in worlds().await {
        let (app, staff) = (&world.test.app, Staff::of(&world.test).await);
        run_with(app, "1,Eva,Muster,eva@shop.example,,,,,,,\n", &import(None)).await;
        let id = id_of(app, "1").await;
        let yes = json!({ "contactId": id, "purpose": "newsletter", "channel": "EMAIL", "textVersion": "2026-1",
                          "language": "de", "proof": "signed_paper", "declaredAt": app.now().to_rfc3339(),
                          "source": "fair" });
        done(&world.client, &staff.consent, "recordConsent", yes, "consent { status }").await;
        for email in ["no@shop.example", "never@shop.example"] {
            let no = json!({ "email": email, "purpose": "direct_marketing", "source": "letter" });
            done(&world.client, &staff.consent, "recordObjection", no, "objection { id }").await;
        }
        let blocks = async || {
            let blocks =
                objection::Entity::find().filter(objection::Column::ContactId.eq(contact(app, "1").await.id));
            blocks.all(&app.db.reader).await.unwrap().len()
        };
        assert_eq!(blocks().await, 0);
        // A further address of the list blocks the contact.
        assert_eq!(run(app, "1,,,,,,,,never@shop.example,,\n", UpdateMode::Fill).await.updated, 1);
        let after_point = blocks().await;
        assert!(after_point > 0);
        // A consent was given for the address before.
        assert_eq!(run(app, "1,,,no@shop.example,,,,,,,\n", UpdateMode::Overwrite).await.updated, 1);
        let consents =
            consent::Entity::find().filter(consent::Column::ContactId.eq(contact(app, "1").await.id));
        let consents = consents.all(&app.db.reader).await.unwrap();
        assert_eq!(consents.len(), 1);
        assert_ne!(consents[0].status, ConsentStatus::Granted);
        assert_eq!(blocks().await, after_point, "the same kinds of blocks");
    }
}

#[tokio::test]
async fn a_merged_contact_only_gets_what_it_lacks() {
    for world in worlds().await {
        let (app, staff) = (&world.test.app, Staff::of(&world.test).await);
        let rows = "1,Eva,Muster,eva@shop.example,,,,,,,\n2,Ewa,Muster,ewa@shop.example,,,,,,,\n";
        run_with(app, rows, &import(None)).await;
        let (kept, gone) = (id_of(app, "1").await, id_of(app, "2").await);
        let merge = json!({ "contactId": kept, "duplicateId": gone });
        done(&world.client, &staff.desk, "mergeContacts", merge, "contact { id }").await;
        let rows = "1,Eva,Muster,eva@shop.example,,,,,,from 1,\n2,Ewa,Muster,ewa@shop.example,+49 30 23125001,,,,,from 2,\n";
        let file = format!("{HEADER}{rows}");
        let done = import_file(app, file.as_bytes(), &import(Some(UpdateMode::Overwrite))).await.unwrap();
        assert_eq!(done.updated, 2);
        let after = contact(app, "1").await;
        assert_eq!(
            (
                after.given_name.as_deref(),
                after.email.as_deref(),
                after.notes.as_deref(),
                after.phone.is_some()
            ),
            (Some("Eva"), Some("eva@shop.example"), Some("from 1"), true)
        );
        assert!(done.told().contains(&(3, Some("givenName"), Reason::Merged)), "{:?}", done.problems);
        assert!(done.told().contains(&(3, Some("notes"), Reason::Merged)), "{:?}", done.problems);
        let again = import_file(app, file.as_bytes(), &import(Some(UpdateMode::Overwrite))).await.unwrap();
        assert_eq!((again.updated, again.unchanged), (0, 2));
    }
}

/// Whatever comes first, the value of the person stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_correction_at_the_same_instant_wins() {
    for world in worlds().await {
        let app = &world.test.app;
        for round in 0..12 {
            run_with(app, &format!("{round},Eva,Muster,{round}@shop.example,,,,,,,\n"), &import(None)).await;
            let (id, external_id) = (id_of(app, &round.to_string()).await, round.to_string());
            let file =
                format!("{HEADER}{round},Import,Import,{round}@new.example,,,,,{round}@work.example,,\n");
            let overwrite = import(Some(UpdateMode::Overwrite));
            let staff = Staff::of(&world.test).await;
            let input = json!({ "contactId": id, "familyName": "Corrected", "email": "person@own.example" });
            let (imported, corrected) = tokio::join!(
                import_file(app, file.as_bytes(), &overwrite),
                mutate(&world.client, &staff.support, "updateContact", &input, "contact { id }"),
            );
            imported.unwrap();
            assert!(corrected.get("errors").is_none(), "{corrected}");
            let after = contact(app, &external_id).await;
            assert_eq!(after.family_name.as_deref(), Some("Corrected"));
            assert_eq!(after.email.as_deref(), Some("person@own.example"));
            assert_eq!(after.given_name.as_deref(), Some("Import"));
            assert_eq!(after.version, 3);
        }
        let statement = "SELECT 1 FROM contact WHERE email = 'person@own.example'";
        assert_eq!(
            app.db
                .reader
                .query_all_raw(sea_orm::Statement::from_string(
                    app.db.reader.get_database_backend(),
                    statement.to_owned()
                ))
                .await
                .unwrap()
                .len(),
            12
        );
    }
}
