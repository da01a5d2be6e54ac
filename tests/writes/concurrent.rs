//! Many writers at once: nothing is lost, nothing is done twice, and a withdrawal wins.

use std::sync::Arc;

use sea_orm::{ConnectionTrait, DbBackend};
use serde_json::{Value, json};
use tokio::{sync::Semaphore, task::JoinSet};

use super::{Staff, mutate, person};
use crate::{
    reads::{World, worlds},
    support::{
        client::{Caller, Client},
        dump::number,
        world::id,
    },
};

const WRITERS: usize = 64;

async fn version(world: &World, caller: &Caller) -> i64 {
    let query = format!("{{ contact(id: \"{}\") {{ version }} }}", person(1));
    world.client.data(caller, &query).await["contact"]["version"].as_i64().unwrap()
}

fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or("DONE")
}

/// Of 64 writers that start from the same version one is done; each tries again until all are.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn optimistic_locking_loses_no_update() {
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (client, caller) = (world.client.clone(), staff.support.clone());
            writers.spawn(async move {
                let input =
                    json!({ "contactId": person(1), "expectedVersion": 1, "jobTitle": format!("first {writer}") });
                code(&mutate(&client, &caller, "updateContact", &input, "contact { version }").await)
                    .to_owned()
            });
        }
        let first = writers.join_all().await;
        assert_eq!(first.iter().filter(|code| *code == "DONE").count(), 1, "{first:?}");
        assert_eq!(first.iter().filter(|code| *code == "CONFLICT").count(), WRITERS - 1, "{first:?}");
        assert_eq!(version(&world, &staff.support).await, 2);
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (client, caller) = (world.client.clone(), staff.support.clone());
            writers.spawn(async move {
                loop {
                    let query = format!("{{ contact(id: \"{}\") {{ version }} }}", person(1));
                    let seen = client.data(&caller, &query).await["contact"]["version"].clone();
                    let input = json!({ "contactId": person(1), "expectedVersion": seen, "jobTitle": format!("second {writer}") });
                    let answer = mutate(&client, &caller, "updateContact", &input, "contact { version }").await;
                    match code(&answer) {
                        "DONE" => return,
                        code => assert_eq!(code, "CONFLICT", "{answer}"),
                    }
                }
            });
        }
        writers.join_all().await;
        let db = &world.test.app.db.writer;
        assert_eq!(version(&world, &staff.support).await, 2 + i64::try_from(WRITERS).unwrap());
        let entries =
            "SELECT COUNT(*) FROM audit_entry WHERE action = 'updateContact' AND outcome = 'CHANGED'";
        assert_eq!(number(db, entries).await, 1 + i64::try_from(WRITERS).unwrap());
    }
}

/// 64 requests with one Idempotency-Key make one contact, and each is told of that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_key_is_done_once_however_many_send_it() {
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let mut writers = JoinSet::new();
        for _ in 0..WRITERS {
            let (client, caller) = (world.client.clone(), staff.support.clone());
            writers.spawn(async move {
                let body = json!({ "query": "mutation { createContact(input: {familyName: \"Einmal\", source: {name: \"call\"}, ground: {purpose: \"customer_care\"}}) { contact { id } } }" });
                client.send(&caller, body, &[("idempotency-key", "once")]).await
            });
        }
        let answers = writers.join_all().await;
        assert!(answers[0].1.contains("\"contact\":{\"id\":"), "{:?}", answers[0]);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        let db = &world.test.app.db.writer;
        assert_eq!(number(db, "SELECT COUNT(*) FROM contact WHERE family_name_folded = 'einmal'").await, 1);
        assert_eq!(number(db, "SELECT COUNT(*) FROM audit_entry WHERE action = 'createContact'").await, 1);
    }
}

/// Under SERIALIZABLE isolation PostgreSQL refuses transactions that met; they are tried again until they are done.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn serialization_failures_are_tried_again() {
    for world in worlds().await {
        let db = &world.test.app.db.writer;
        if db.get_database_backend() != DbBackend::Postgres {
            continue;
        }
        let name = "SELECT current_database()";
        let statement = sea_orm::Statement::from_string(DbBackend::Postgres, name.to_owned());
        let name: String = db.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap();
        let strict = format!("ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'");
        db.execute_unprepared(&strict).await.unwrap();
        // Connections that are open keep what they began with: the server is started anew.
        let app = zweck::app::App::new(
            zweck::db::Db::connect(&world.test.url, 8).await.unwrap(),
            zweck::policy::PolicyHandle::new(world.test.app.policy.current()),
            world.test.clock.clone(),
            zweck::crypto::master_keys::MasterKeys::new([7; 32]),
            zweck::auth::oidc::Issuers::default(),
        );
        let isolation = "SELECT COUNT(*) FROM pg_settings WHERE name = 'transaction_isolation' AND setting = 'serializable'";
        assert_eq!(number(&app.db.writer, isolation).await, 1);
        let client = Client::over(Arc::new(app));
        let staff = Staff::of(&world.test).await;
        let mut writers = JoinSet::new();
        for writer in 0..6 {
            let (client, caller) = (client.clone(), staff.support.clone());
            writers.spawn(async move {
                let input = json!({ "contactId": person(1), "jobTitle": format!("writer {writer}") });
                mutate(&client, &caller, "updateContact", &input, "contact { version }").await
            });
        }
        for answer in writers.join_all().await {
            assert_eq!(code(&answer), "DONE", "{answer}");
        }
        assert_eq!(version(&world, &staff.support).await, 7);
    }
}

/// 1,000 withdrawals, each beside a reader: no read that begins after the answer of the withdrawal returns the field.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn withdraw_wins() {
    const PAIRS: u128 = 1_000;
    for world in worlds().await {
        let staff = Staff::of(&world.test).await;
        let partner = world.test.caller("partner", "newsletter").await;
        let db = &world.test.app.db.writer;
        consenting(db, PAIRS).await;
        let places = Arc::new(Semaphore::new(16));
        let mut pairs = JoinSet::new();
        for number in 0..PAIRS {
            let (client, consent, partner) = (world.client.clone(), staff.consent.clone(), partner.clone());
            let places = places.clone();
            pairs.spawn(async move {
                let _place = places.acquire_owned().await.unwrap();
                let contact = id(8, number).to_string();
                let query = format!("{{ contact(id: \"{contact}\") {{ email }} }}");
                let beside = {
                    let (client, partner, query) = (client.clone(), partner.clone(), query.clone());
                    tokio::spawn(async move { client.data(&partner, &query).await })
                };
                let input = json!({ "consentId": id(9, number) });
                let answer = mutate(&client, &consent, "withdrawConsent", &input, "consent { status }").await;
                assert_eq!(answer["data"]["withdrawConsent"]["consent"]["status"], "WITHDRAWN", "{answer}");
                let after = client.data(&partner, &query).await;
                assert_eq!(after, json!({ "contact": null }), "pair {number}");
                let beside = beside.await.unwrap();
                let email = format!("w{number}@example.org");
                assert!(beside["contact"].is_null() || beside["contact"]["email"] == email, "{beside}");
            });
        }
        pairs.join_all().await;
        let withdrawn =
            "SELECT COUNT(*) FROM audit_entry WHERE action = 'withdrawConsent' AND outcome = 'CHANGED'";
        assert_eq!(number(db, withdrawn).await, i64::try_from(PAIRS).unwrap());
    }
}

/// Contacts with a consent each.
async fn consenting(db: &sea_orm::DatabaseConnection, many: u128) {
    use entity::{
        consent, contact,
        enums::{Channel, ConsentStatus},
    };
    use sea_orm::{ActiveModelTrait, ActiveValue::Set, EntityTrait, IntoActiveModel};
    let now = crate::support::app::start();
    let contacts = (0..many).map(|number| {
        let mut row =
            zweck::domain::contacts::blank(&zweck::base::identities::Reader::default(), id(8, number), now);
        row.email = Some(format!("w{number}@example.org"));
        row.email_folded.clone_from(&row.email);
        row.email_key.clone_from(&row.email);
        row.into_active_model().reset_all()
    });
    let contacts: Vec<contact::ActiveModel> = contacts.collect();
    for chunk in contacts.chunks(250) {
        contact::Entity::insert_many(chunk.to_vec()).exec_without_returning(db).await.unwrap();
    }
    let consents = (0..many).map(|number| consent::ActiveModel {
        id: Set(id(9, number)),
        contact_id: Set(id(8, number)),
        purpose_code: Set("newsletter".to_owned()),
        channel: Set(Channel::Email),
        status: Set(ConsentStatus::Granted),
        declared_at: Set(Some(now - chrono::TimeDelta::days(1))),
        created_at: Set(now),
        updated_at: Set(now),
        ..Default::default()
    });
    for chunk in consents.collect::<Vec<_>>().chunks(250) {
        consent::Entity::insert_many(chunk.to_vec()).exec_without_returning(db).await.unwrap();
    }
}
