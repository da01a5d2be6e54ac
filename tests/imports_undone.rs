//! Imports that are undone: what goes, what comes back, what stays because somebody else has written since, and that no
//! no is taken back.

use chrono::TimeDelta;
use entity::{audit_entry, contact, contact_point, ground, import_run, objection, provenance, suppression};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, Statement};
use serde_json::json;
use uuid::Uuid;
use zweck::{
    app::App,
    base::error::Code,
    exchange::imports::{self, ContactImport, UndoReport, UpdateMode},
};

use crate::{
    reads::{World, worlds},
    support::{
        an_import,
        dump::{assert_same, dump},
        import as import_file,
    },
    writes::{Staff, done},
};

const HEADER: &str = "id,first,last,mail,phone,mail2,no\n";

fn import(update: Option<UpdateMode>) -> ContactImport {
    let map = ["givenName=first", "familyName=last", "email=mail", "phone=phone", "email:work=mail2"];
    ContactImport {
        map: ContactImport::map_from(map).unwrap(),
        opt_outs: ContactImport::opt_outs_from(["all=no"]).unwrap(),
        external_id: Some("id".to_owned()),
        source: "shop".to_owned(),
        update,
        ..an_import()
    }
}

/// Imports rows a day later than all before and returns the id of the import.
async fn run(World { test, .. }: &World, rows: &str, update: Option<UpdateMode>) -> Uuid {
    test.clock.advance(TimeDelta::days(1));
    let file = format!("{HEADER}{rows}");
    let report = import_file(&test.app, file.as_bytes(), &import(update)).await.unwrap();
    assert!(report.problems.is_empty(), "{report}");
    test.clock.advance(TimeDelta::days(1));
    report.import_id.unwrap()
}

/// Undoes an import, which a trial foretells.
async fn undo(app: &App, id: Uuid) -> (UndoReport, Vec<(Uuid, &'static str)>) {
    let before = dump(&app.db.writer).await;
    let mut foretold = Vec::new();
    let on_left = |contact, reason| {
        foretold.push((contact, reason));
        Ok(())
    };
    let trial = imports::undo(app, "cli:import", (id, true), on_left).await.unwrap();
    assert_same(&dump(&app.db.writer).await, &before, "a trial");
    let mut left = Vec::new();
    let on_left = |contact, reason| {
        left.push((contact, reason));
        Ok(())
    };
    let report = imports::undo(app, "cli:import", (id, false), on_left).await.unwrap();
    assert_eq!(UndoReport { dry_run: false, ..trial }, report);
    assert_eq!(foretold, left);
    (report, left)
}

async fn contact(app: &App, external_id: &str) -> Option<contact::Model> {
    let source = provenance::Entity::find()
        .filter(provenance::Column::Source.eq("shop"))
        .filter(provenance::Column::ExternalId.eq(external_id));
    let id = source.one(&app.db.reader).await.unwrap()?.contact_id;
    contact::Entity::find_by_id(id).one(&app.db.reader).await.unwrap()
}

#[tokio::test]
async fn created_contacts_go_with_all_that_came_with_them() {
    for world in worlds().await {
        let app = &world.test.app;
        let counts = async || {
            let db = &app.db.reader;
            [
                contact::Entity::find().count(db).await.unwrap(),
                contact_point::Entity::find().count(db).await.unwrap(),
                provenance::Entity::find().count(db).await.unwrap(),
                ground::Entity::find().count(db).await.unwrap(),
                objection::Entity::find().count(db).await.unwrap(),
            ]
        };
        let before = counts().await;
        let rows: String = (0..230)
            .map(|n| format!("{n},Eva,Muster {n},e{n}@shop.example,+49 30 2312{n:04},w{n}@work.example,\n"))
            .collect();
        let id = run(&world, &rows, None).await;
        let row = import_run::Entity::find_by_id(id).one(&app.db.reader).await.unwrap().unwrap();
        assert_eq!((row.imported, row.updated, row.undone_at), (230, 0, None));
        assert_eq!(imports::latest_runs(app, 5).await.unwrap()[0].id, id);
        let created = contact(app, "7").await.unwrap().id;
        let (report, left) = undo(app, id).await;
        assert_eq!((report.deleted, report.restored, report.left), (230, 0, 0), "{left:?}");
        assert_eq!(counts().await, before);
        // The log tells of it, under the import as its request.
        let entries = audit_entry::Entity::find().filter(audit_entry::Column::ContactId.eq(created));
        let entries = entries.all(&app.db.reader).await.unwrap();
        let told = |action: &str| entries.iter().filter(|entry| entry.action == action).count();
        assert_eq!((told("importContact"), told("undoImport")), (2, 4));
        let request = id.to_string();
        assert!(entries.iter().all(|entry| entry.request_id.as_ref() == Some(&request)));
        // The same again has nothing to do, and the rows can come in again.
        let (again, _) = undo(app, id).await;
        assert_eq!((again.deleted, again.restored, again.left), (0, 0, 0));
        let second = run(&world, &rows, None).await;
        assert_ne!(second, id);
        assert_eq!(counts().await[0], before[0] + 230);
        let unknown = imports::undo(app, "cli:import", (Uuid::nil(), false), |_, _| Ok(())).await;
        assert_eq!(unknown.unwrap_err().code, Code::NotFound);
    }
}

#[tokio::test]
async fn updated_contacts_get_their_values_of_before() {
    for world in worlds().await {
        let (app, staff) = (&world.test.app, Staff::of(&world.test).await);
        run(&world, "1,Eva,Muster,eva@shop.example,,,\n", None).await;
        let before = contact(app, "1").await.unwrap();
        let yes = json!({ "contactId": before.id, "purpose": "newsletter", "channel": "EMAIL",
                          "textVersion": "2026-1", "language": "de", "proof": "signed_paper",
                          "declaredAt": app.now().to_rfc3339(), "source": "fair" });
        done(&world.client, &staff.consent, "recordConsent", yes, "consent { status }").await;
        let rows = "1,Ewa,Muster,ewa@shop.example,+49 30 23125001,w@work.example,\n";
        let id = run(&world, rows, Some(UpdateMode::Overwrite)).await;
        let updated = contact(app, "1").await.unwrap();
        assert_eq!((updated.given_name.as_deref(), updated.version), (Some("Ewa"), 2));
        let (report, left) = undo(app, id).await;
        assert_eq!((report.deleted, report.restored, report.left), (0, 1, 0), "{left:?}");
        let after = contact(app, "1").await.unwrap();
        let values = |contact: &contact::Model| {
            (
                contact.given_name.clone(),
                contact.email.clone(),
                contact.phone.clone(),
                contact.email_key.clone(),
            )
        };
        assert_eq!(values(&after), values(&before));
        assert_eq!(after.version, 3);
        let points = contact_point::Entity::find().filter(contact_point::Column::ContactId.eq(after.id));
        assert_eq!(points.count(&app.db.reader).await.unwrap(), 0);
        let sources = provenance::Entity::find().filter(provenance::Column::ContactId.eq(after.id));
        assert_eq!(sources.count(&app.db.reader).await.unwrap(), 1);
        // A consent that ended with the address does not come back.
        let query = format!("{{ contact(id: \"{}\") {{ consents {{ nodes {{ status }} }} }} }}", after.id);
        let consents = world.client.data(&staff.desk, &query).await;
        assert_eq!(consents["contact"]["consents"]["nodes"][0]["status"], "INVALIDATED");
        // A corrected file may update again.
        let rows = "1,Eva-Maria,Muster,eva@shop.example,,,\n";
        run(&world, rows, Some(UpdateMode::Overwrite)).await;
        assert_eq!(contact(app, "1").await.unwrap().given_name.as_deref(), Some("Eva-Maria"));
    }
}

#[tokio::test]
async fn what_was_written_on_top_stays() {
    for world in worlds().await {
        let (app, staff) = (&world.test.app, Staff::of(&world.test).await);
        run(&world, "9,Old,Muster,old@shop.example,,,\n", None).await;
        let rows = "1,A,Muster,a@shop.example,,,\n2,B,Muster,b@shop.example,,,\n3,C,Muster,c@shop.example,,,\n4,D,Muster,d@shop.example,,,\n9,New,Muster,old@shop.example,,,\n";
        let id = run(&world, rows, Some(UpdateMode::Overwrite)).await;
        let of = async |number: &str| contact(app, number).await.unwrap().id;
        // A correction, a request, a merge, a later import.
        let input = json!({ "contactId": of("1").await, "city": "Ulm" });
        done(&world.client, &staff.support, "updateContact", input, "contact { id }").await;
        let no = json!({ "contactId": of("2").await, "purpose": "direct_marketing", "source": "letter" });
        done(&world.client, &staff.consent, "recordObjection", no, "objection { id }").await;
        let gone = of("3").await;
        let merge = json!({ "contactId": of("4").await, "duplicateId": gone });
        done(&world.client, &staff.desk, "mergeContacts", merge, "contact { id }").await;
        run(&world, "9,Newer,Muster,old@shop.example,,,\n", Some(UpdateMode::Overwrite)).await;
        let before = dump(&app.db.writer).await;
        let (report, left) = undo(app, id).await;
        assert_eq!((report.deleted, report.restored, report.left), (0, 0, 5), "{left:?}");
        assert!(left.iter().all(|(_, reason)| *reason == "CHANGED_SINCE"), "{left:?}");
        assert!(left.iter().any(|(contact, _)| *contact == gone));
        let after = dump(&app.db.writer).await;
        assert_ne!(before, after, "the import is marked");
        assert_eq!(contact(app, "9").await.unwrap().given_name.as_deref(), Some("Newer"));
        assert!(contact(app, "2").await.is_some());
    }
}

/// A no of the file stays where the list remembers it; otherwise the contact stays.
#[tokio::test]
async fn no_no_is_taken_back() {
    for world in worlds().await {
        let app = &world.test.app;
        let rows = "1,A,Muster,no@shop.example,,,yes\n2,B,Muster,,,,yes\n3,C,Muster,c@shop.example,,,\n";
        let id = run(&world, rows, None).await;
        let listed = suppression::Entity::find().count(&app.db.reader).await.unwrap();
        assert!(listed > 0);
        let nowhere = contact(app, "2").await.unwrap().id;
        let (report, left) = undo(app, id).await;
        assert_eq!((report.deleted, report.left), (2, 1));
        assert_eq!(left, [(nowhere, "SAYS_NO")]);
        assert_eq!(suppression::Entity::find().count(&app.db.reader).await.unwrap(), listed);
        // Who comes in again meets the no.
        let row = "11,A,Muster,no@shop.example,,,\n";
        run(&world, row, None).await;
        let again = contact(app, "11").await.unwrap().id;
        let blocks = objection::Entity::find().filter(objection::Column::ContactId.eq(again));
        assert!(blocks.count(&app.db.reader).await.unwrap() > 0);
        // An update whose row says no: the values go back, the no stays.
        run(&world, "5,E,Muster,e@shop.example,,,\n", None).await;
        let id = run(&world, "5,Ee,Muster,e@shop.example,,,yes\n", Some(UpdateMode::Overwrite)).await;
        let (report, left) = undo(app, id).await;
        assert_eq!((report.restored, report.left), (1, 0), "{left:?}");
        let after = contact(app, "5").await.unwrap();
        assert_eq!(after.given_name.as_deref(), Some("E"));
        let noes = objection::Entity::find().filter(objection::Column::ContactId.eq(after.id));
        assert!(noes.count(&app.db.reader).await.unwrap() > 0);
    }
}

/// An import that is being undone writes nothing more.
#[tokio::test]
async fn an_import_does_not_go_on_while_it_is_undone() {
    for world in worlds().await {
        let app = &world.test.app;
        let rows: String = (0..250).map(|n| format!("{n},Eva,Muster,e{n}@shop.example,,,\n")).collect();
        let file = format!("{HEADER}{rows}");
        // The first batch tells of a repeated address; by then the run is there.
        let file = file.replace("e1@shop.example", "e0@shop.example");
        let mut marked = false;
        let runtime = tokio::runtime::Handle::current();
        let on_problem = |_| {
            marked = true;
            let sql = "UPDATE import_run SET undone_at = started_at";
            let statement = Statement::from_string(app.db.writer.get_database_backend(), sql.to_owned());
            let writer = app.db.writer.clone();
            let done = std::thread::scope(|scope| {
                scope.spawn(|| runtime.block_on(writer.execute_raw(statement))).join().unwrap()
            });
            assert_eq!(done.unwrap().rows_affected(), 1);
            Ok(())
        };
        let before = contact::Entity::find().count(&app.db.reader).await.unwrap();
        let read = move || Ok(std::io::Cursor::new(file.clone().into_bytes()));
        let error = imports::contacts(app, read, &import(None), on_problem).await.unwrap_err();
        assert_eq!(error.code, Code::Conflict);
        assert!(marked);
        assert_eq!(contact::Entity::find().count(&app.db.reader).await.unwrap(), before + 100);
    }
}

/// Every table that refers to a contact is one that an import fills, or stands in the way.
#[tokio::test]
async fn every_table_that_refers_to_a_contact_is_looked_at() {
    let filled = ["contact_point", "ground", "objection", "provenance"];
    let obstacles =
        ["consent", "contact_merge", "link", "mail", "privacy_request", "restriction", "sign_up", "stop"];
    let known: Vec<&str> = filled.iter().chain(&obstacles).copied().collect();
    for world in worlds().await {
        let db = &world.test.app.db.reader;
        let backend = db.get_database_backend();
        let sql = match backend {
            sea_orm::DbBackend::Postgres => {
                "SELECT DISTINCT c.relname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
                 WHERE k.contype = 'f' AND k.confrelid = 'contact'::regclass"
            }
            _ => {
                "SELECT DISTINCT m.name FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f
                 WHERE m.type = 'table' AND f.\"table\" = 'contact'"
            }
        };
        let rows = db.query_all_raw(Statement::from_string(backend, sql.to_owned())).await.unwrap();
        let tables: Vec<String> = rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect();
        assert!(tables.len() > 8, "{tables:?}");
        for table in tables {
            assert!(known.contains(&table.as_str()), "`{table}` refers to contacts");
        }
    }
}
