//! PostgreSQL, without artificial locks: importers, writers and noes at once over the same mailboxes and numbers. Each gets an answer, no
//! deadlock reaches one, and no record is left without its no.

use std::sync::Arc;

use chrono::TimeDelta;
use entity::{contact, enums::StopKind, objection};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use zweck::exchange::imports::{self, ConsentImport, ContactImport, Reason};

use super::{contact, yes};
use crate::{
    imports_consents, imports_objections,
    support::{
        an_import, app::TestApp, client::Client, database::TestDatabase, dump::number, import, in_full,
    },
    writes::{Staff, mutate},
};

/// Mailboxes, and numbers, of a round.
const BOXES: usize = 6;

/// Everybody of a round meets at these.
#[derive(Clone, Copy)]
struct Round(usize);

impl Round {
    fn email(self, at: usize) -> String {
        format!("box{at}r{}@example.org", self.0)
    }

    fn phone(self, at: usize) -> String {
        format!("+49 30 7{:05}{at}", self.0)
    }
}

/// What somebody may be told, who meets others: that the list stands against an address, that another was first, or that a contact is
/// gone into another. That the database gave up is nobody's business.
fn bearable(who: &str, answer: &Value) {
    let Some(errors) = answer.get("errors") else { return };
    for error in errors.as_array().unwrap() {
        let code = error["extensions"]["code"].as_str();
        assert!(matches!(code, Some("BAD_USER_INPUT" | "CONFLICT" | "NOT_FOUND")), "{who}: {answer}");
    }
}

/// Contacts of an order each, in a file of their own.
async fn contact_file(test: &TestApp, round: Round, name: &str, boxes: &[usize]) {
    let new = ContactImport {
        map: ContactImport::map_from(["familyName=name", "email=mail", "phone=phone"]).unwrap(),
        external_id: Some("id".to_owned()),
        source: format!("{name} {}", round.0),
        purpose: "existing_customer_mail".to_owned(),
        ground: "order".to_owned(),
        ..an_import()
    };
    let line =
        |at: &usize| format!("{at},{name} {at},{},{}\n", round.email(*at), round.phone(BOXES - 1 - at));
    let file = format!("id,name,mail,phone\n{}", boxes.iter().map(line).collect::<String>());
    let report = import(&test.app, file.as_bytes(), &new).await.unwrap();
    assert!(report.told().iter().all(|told| told.2 == Reason::Suppressed), "{report}");
}

async fn consent_file(test: &TestApp, round: Round) {
    let old = "2026-10-01T10:00:00Z";
    let line = |at: usize| match at % 3 {
        0 => format!("{},newsletter,EMAIL,WITHDRAWN,{old},,,\n", round.email(at)),
        _ => format!("{},newsletter,EMAIL,GRANTED,{old},2026-1,de,signed_paper\n", round.email(at)),
    };
    let lines: String = (0..BOXES).rev().map(line).collect();
    let file = format!("email,purpose,channel,status,declaredAt,textVersion,language,proof\n{lines}");
    let import = ConsentImport { source: Some("old list".to_owned()), ..imports_consents::import() };
    imports::consents(&test.app, || Ok(file.as_bytes()), &import, |_| Ok(())).await.unwrap();
}

async fn objection_file(test: &TestApp, round: Round) {
    let file = format!(
        "email,phone\n{},{}\n{},{}\n",
        round.email(5),
        round.phone(0),
        round.email(2),
        round.phone(4)
    );
    let import = imports_objections::list();
    imports::objections(&test.app, || Ok(file.as_bytes()), &import, |_| Ok(())).await.unwrap();
}

/// The mailboxes that have said no to all advertising at the end of a round.
const CLOSED: [usize; 4] = [1, 2, 4, 5];

async fn run(test: &Arc<TestApp>, client: &Client, staff: &Arc<Staff>, round: Round) {
    // Records that hold addresses of their own before, and come to the shared ones now.
    let names = ["Anna", "Bert", "Anna", "Cleo"];
    let mut ids = Vec::new();
    for (at, name) in names.iter().enumerate() {
        let values = json!({ "givenName": name, "familyName": format!("Muster {}", round.0),
            "email": format!("own{at}r{}@example.com", round.0) });
        let id = contact(client, &staff.desk, values).await;
        yes(client, &staff.consent, &id, ("newsletter", "EMAIL"), "2026-10-02T10:00:00Z").await;
        ids.push(id);
    }
    let mut tasks = JoinSet::new();
    let write = |tasks: &mut JoinSet<()>, who: &'static str, steps: Vec<(&'static str, Value)>| {
        let (client, staff) = (client.clone(), Arc::clone(staff));
        tasks.spawn(async move {
            for (name, input) in steps {
                let desk =
                    ["createContact", "updateContact", "addContactPoint", "mergeContacts"].contains(&name);
                let caller = if desk { &staff.desk } else { &staff.consent };
                bearable(who, &mutate(&client, caller, name, &input, "__typename").await);
            }
        });
    };
    write(
        &mut tasks,
        "corrects",
        vec![
            ("updateContact", json!({ "id": ids[0], "email": round.email(4), "phone": round.phone(1) })),
            ("addContactPoint", json!({ "contactId": ids[0], "kind": "EMAIL", "email": round.email(1) })),
        ],
    );
    write(
        &mut tasks,
        "corrects the other way",
        vec![
            ("updateContact", json!({ "id": ids[1], "email": round.email(1), "phone": round.phone(4) })),
            ("addContactPoint", json!({ "contactId": ids[1], "kind": "PHONE", "phone": round.phone(1) })),
        ],
    );
    write(
        &mut tasks,
        "merges",
        vec![
            ("updateContact", json!({ "id": ids[2], "email": round.email(5) })),
            ("mergeContacts", json!({ "id": ids[0], "duplicateId": ids[2] })),
        ],
    );
    write(
        &mut tasks,
        "merges the other way",
        vec![
            ("updateContact", json!({ "id": ids[3], "email": round.email(0) })),
            ("mergeContacts", json!({ "id": ids[3], "duplicateId": ids[1] })),
        ],
    );
    let new = |at: usize, name: &str| {
        json!({ "givenName": "Dora", "familyName": format!("{name} {}", round.0), "email": round.email(at), "phone": round.phone(at),
            "source": { "name": "shop" }, "ground": { "purpose": "existing_customer_mail", "reference": "order" } })
    };
    write(&mut tasks, "creates", vec![("createContact", new(2, "Neu")), ("createContact", new(1, "Neu"))]);
    write(
        &mut tasks,
        "says no by address",
        vec![
            ("recordObjection", json!({ "email": round.email(1), "purpose": "direct_marketing" })),
            ("recordObjection", json!({ "email": round.email(4), "purpose": "direct_marketing" })),
            ("withdrawConsent", json!({ "email": round.email(0), "purpose": "newsletter" })),
        ],
    );
    write(
        &mut tasks,
        "says no by number and record",
        vec![
            ("recordObjection", json!({ "phone": round.phone(4), "purpose": "direct_marketing" })),
            ("withdrawConsent", json!({ "contactId": ids[0], "purpose": "newsletter" })),
            ("recordObjection", json!({ "contactId": ids[1], "purpose": "newsletter" })),
        ],
    );
    for file in 0..4 {
        let (test, runtime) = (Arc::clone(test), tokio::runtime::Handle::current());
        // As the command does: in a thread of its own.
        tasks.spawn_blocking(move || {
            runtime.block_on(async {
                match file {
                    0 => contact_file(&test, round, "Shop", &[0, 1, 2, 3, 4, 5]).await,
                    1 => contact_file(&test, round, "Fair", &[5, 3, 4, 1, 0, 2]).await,
                    2 => consent_file(&test, round).await,
                    _ => objection_file(&test, round).await,
                }
            });
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let db = &test.app.db.reader;
    for at in CLOSED {
        let holders = contact::Entity::find().filter(contact::Column::EmailKey.eq(round.email(at)));
        for holder in holders.all(db).await.unwrap() {
            let stops = objection::Entity::find()
                .filter(objection::Column::ContactId.eq(holder.id))
                .filter(objection::Column::EndedAt.is_null())
                .all(db)
                .await
                .unwrap();
            let closed = stops.iter().any(|stop| {
                let kind = matches!(stop.kind, StopKind::Block | StopKind::Objection);
                kind && stop.purpose_code == "direct_marketing"
            });
            assert!(closed, "box {at} of round {} is open for {}: {stops:?}", round.0, holder.id);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn importers_writers_and_noes_never_lock_each_other_out() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let test = Arc::new(TestApp::over(database).await);
    let (client, staff) = (Client::of(&test), Arc::new(Staff::of(&test).await));
    let rounds = if in_full() { 500 } else { 25 };
    for round in 0..rounds {
        test.clock.advance(TimeDelta::seconds(1));
        run(&test, &client, &staff, Round(round)).await;
    }
    let deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    eprintln!(
        "{rounds} rounds: the database broke up {} deadlocks",
        number(&test.app.db.writer, deadlocks).await
    );
    assert_eq!(zweck::domain::consents::reconcile(&test.app).await.unwrap().repaired, 0);
}
