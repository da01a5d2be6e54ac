//! One mailbox on 20,000 records: one no closes all of them in one step.

use std::time::Instant;

use chrono::TimeDelta;
use entity::{
    consent, consent_event, contact,
    enums::{Channel, ConsentEventKind, ConsentStatus, ContactState},
};
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::json;
use zweck::{
    base::{fold::fold, identities::Reader},
    exchange::exports::{self, StopFormat},
};

use crate::{
    stops::token_of,
    support::{
        app::{TestApp, each, start},
        client::Client,
        dump::number,
        world::id,
    },
    writes::{Staff, done},
};

const RECORDS: u128 = 20_000;
const EMAIL: &str = "everybody@example.org";

async fn fill(test: &TestApp) {
    let (reader, db) = (Reader::default(), &test.app.db.writer);
    let at = start() - TimeDelta::days(50);
    let all: Vec<u128> = (1..=RECORDS).collect();
    for numbers in all.chunks(500) {
        let contacts = numbers.iter().map(|number| {
            let name = format!("Name {number}");
            contact::ActiveModel {
                id: Set(id(0, *number)),
                family_name_folded: Set(Some(fold(&name))),
                family_name_key: Set(zweck::base::identities::household(Some(&name))),
                family_name: Set(Some(name)),
                email: Set(Some(EMAIL.to_owned())),
                email_folded: Set(Some(fold(EMAIL))),
                email_key: Set(Some(reader.email_key(EMAIL))),
                key_version: Set(reader.version()),
                state: Set(ContactState::Active),
                created_at: Set(at),
                updated_at: Set(at),
                version: Set(1),
                ..Default::default()
            }
        });
        contact::Entity::insert_many(contacts).exec_without_returning(db).await.unwrap();
        let consents = numbers.iter().map(|number| consent::ActiveModel {
            id: Set(id(1, *number)),
            contact_id: Set(id(0, *number)),
            purpose_code: Set("newsletter".to_owned()),
            channel: Set(Channel::Email),
            status: Set(ConsentStatus::Granted),
            bound_address: Set(Some(reader.email_key(EMAIL))),
            declared_at: Set(Some(at)),
            granted_at: Set(Some(at)),
            created_at: Set(at),
            updated_at: Set(at),
            ..Default::default()
        });
        consent::Entity::insert_many(consents).exec_without_returning(db).await.unwrap();
        let events = numbers.iter().map(|number| consent_event::ActiveModel {
            id: Set(id(2, *number)),
            consent_id: Set(id(1, *number)),
            kind: Set(ConsentEventKind::Granted),
            declared_at: Set(Some(at)),
            recorded_at: Set(at),
            actor: Set("test".to_owned()),
            ..Default::default()
        });
        consent_event::Entity::insert_many(events).exec_without_returning(db).await.unwrap();
    }
}

#[tokio::test]
async fn one_no_closes_twenty_thousand_records_of_one_mailbox() {
    for test in each().await {
        fill(&test).await;
        let (client, staff) = (Client::of(&test), Staff::of(&test).await);
        let partner = token_of(&test, test.recipient().await, ("partner", "newsletter")).await;
        let shown = async |query: &str| client.data(&partner, query).await["contacts"].clone();
        assert_eq!(
            shown("{ contacts(first: 5) { nodes { id } } }").await["nodes"].as_array().unwrap().len(),
            5
        );
        let begun = Instant::now();
        let input = json!({ "email": "Everybody@Example.org", "purpose": "direct_marketing" });
        let told = done(&client, &staff.consent, "recordObjection", input, "objections { id }").await;
        eprintln!("one no for {RECORDS} records: {:?}", begun.elapsed());
        // They are of different persons: nobody is known to have spoken.
        assert_eq!(told["objections"], json!([]));
        assert_eq!(shown("{ contacts(first: 5) { nodes { id } } }").await["nodes"], json!([]));
        let blocked =
            "SELECT COUNT(DISTINCT contact_id) FROM objection WHERE kind = 'BLOCK' AND ended_at IS NULL";
        assert_eq!(number(&test.app.db.writer, blocked).await, i64::try_from(RECORDS).unwrap());
        // Each is owed to who read the list, and a file tells it.
        let owed = "SELECT COUNT(DISTINCT contact_id) FROM stop WHERE acknowledged_at IS NULL";
        assert_eq!(number(&test.app.db.writer, owed).await, i64::try_from(RECORDS).unwrap());
        let house = entity::recipient::Entity::find().one(&test.app.db.reader).await.unwrap().unwrap().id;
        let (begun, mut file) = (Instant::now(), Vec::new());
        let told = exports::stops(&test.app, "cli:test", house, StopFormat::Csv, &mut file).await.unwrap();
        eprintln!("a file of {RECORDS} duties: {:?}", begun.elapsed());
        let lines = file.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!((told.stops, told.batches.len(), lines), (20_000, 1, 20_001));
        let granted = "SELECT COUNT(*) FROM consent WHERE status = 'GRANTED'";
        assert_eq!(number(&test.app.db.writer, granted).await, i64::try_from(RECORDS).unwrap());
    }
}
