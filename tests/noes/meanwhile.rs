//! PostgreSQL, without artificial locks: noes by address while files with the same addresses come in.

use std::sync::Arc;

use entity::{contact, enums::StopKind, objection};
use sea_orm::EntityTrait;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use zweck::exchange::imports::ContactImport;

use crate::{
    support::{
        an_import,
        app::TestApp,
        client::{Caller, Client},
        database::TestDatabase,
        import, in_full,
    },
    writes::{Staff, mutate},
};

const TASKS: usize = 8;
/// Files that come in at once.
const FILES: usize = 3;

fn address(number: usize) -> String {
    format!("row{number}@example.org")
}

fn answered(answer: &Value) {
    assert!(answer.get("errors").is_none(), "{answer}");
}

/// Says the noes of one task, and after each answer looks whether a read shows the address.
async fn say(client: Client, consent: Caller, marketing: Caller, mine: Vec<(usize, bool)>) {
    for (number, objects) in mine {
        let email = address(number);
        let (mutation, purpose) =
            if objects { ("recordObjection", "direct_marketing") } else { ("withdrawConsent", "newsletter") };
        let input = json!({ "email": email.to_uppercase(), "purpose": purpose });
        answered(&mutate(&client, &consent, mutation, &input, "__typename").await);
        if objects {
            let query = format!(
                "{{ contacts(filter: {{ email: {{ eq: \"{email}\" }} }}, first: 3) {{ nodes {{ id }} }} }}"
            );
            let shown = client.data(&marketing, &query).await;
            assert_eq!(shown["contacts"]["nodes"], json!([]), "{number} is shown after the answer");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_no_and_a_file_that_come_at_once_meet() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let test = TestApp::over(database).await;
    let (client, staff) = (Client::of(&test), Staff::of(&test).await);
    let marketing = test.caller("marketing", "existing_customer_mail").await;
    let (rows, noes) = if in_full() { (6_000, 1_000) } else { (600, 100) };
    // Every third address is objected to, every third withdraws, from all over the files.
    let all: Vec<(usize, bool)> = (0..noes)
        .flat_map(|no| {
            let at = no * rows / noes;
            [(at, true), (at + rows / noes / 2, false)]
        })
        .collect();
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let mine = all.iter().skip(task).step_by(TASKS).copied().collect();
        tasks.spawn(say(client.clone(), staff.consent.clone(), marketing.clone(), mine));
    }
    for file in 0..FILES {
        let app = Arc::clone(&test.app);
        let runtime = tokio::runtime::Handle::current();
        // As the command does: in a thread of its own.
        tasks.spawn_blocking(move || {
            let new = ContactImport {
                map: ContactImport::map_from(["familyName=name", "email=mail"]).unwrap(),
                external_id: Some("id".to_owned()),
                source: format!("file {file}"),
                purpose: if file == 0 { "customer_care" } else { "existing_customer_mail" }.to_owned(),
                ground: "order".to_owned(),
                ..an_import()
            };
            let lines = (0..rows).filter(|row| row % FILES == file);
            let lines: String = lines.map(|row| format!("{row},Name {row},{}\n", address(row))).collect();
            let file = format!("id,name,mail\n{lines}");
            let report = runtime.block_on(import(&app, file.as_bytes(), &new)).unwrap();
            assert!(
                report.told().iter().all(|told| told.2 == zweck::exchange::imports::Reason::Suppressed),
                "{report}"
            );
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let db = &test.app.db.reader;
    let contacts = contact::Entity::find().all(db).await.unwrap();
    let stops = objection::Entity::find().all(db).await.unwrap();
    let mut without = Vec::new();
    for (number, objects) in &all {
        let email = address(*number);
        for contact in contacts.iter().filter(|contact| contact.email.as_deref() == Some(&email)) {
            let stopped = stops.iter().any(|stop| {
                let purpose = if *objects { "direct_marketing" } else { "newsletter" };
                let kind = matches!(stop.kind, StopKind::Block | StopKind::Objection);
                stop.contact_id == contact.id
                    && stop.purpose_code == purpose
                    && kind
                    && stop.ended_at.is_none()
            });
            if !stopped {
                without.push(*number);
            }
        }
    }
    assert!(contacts.len() > rows / 2);
    assert_eq!(without, Vec::<usize>::new(), "contacts without their no");
    assert_eq!(zweck::domain::consents::reconcile(&test.app).await.unwrap().repaired, 0);
}
