//! Chinook's customers, written by others: each caller sees exactly what it should.

use std::collections::BTreeMap;

use entity::{
    consent, contact,
    enums::{Channel, ConsentStatus},
};
use sea_orm::{ActiveValue::Set, EntityTrait};
use serde_json::{Value, json};
use zweck::exchange::imports::{ContactImport, OnInvalid, ReadOptions};

use crate::{
    imports::sample,
    support::{
        an_import,
        app::{TestApp, each},
        client::{Client, problems},
        import as import_file,
    },
};

const EVERYTHING: &str = "{ contacts(first: 1000) { nodes { id givenName familyName email phone birthDate company street city country notes state } } }";

async fn import(test: &TestApp, file: &[u8]) {
    let map = [
        "givenName=FirstName",
        "familyName=LastName",
        "email=Email",
        "phone=Phone",
        "company=Company",
        "street=Address",
        "city=City",
        "country=Country",
        "postalCode=PostalCode",
    ];
    let import = ContactImport {
        map: ContactImport::map_from(map).unwrap(),
        external_id: Some("CustomerId".to_owned()),
        source: "chinook".to_owned(),
        read_options: ReadOptions { on_invalid: OnInvalid::SkipRow, ..ReadOptions::default() },
        ..an_import()
    };
    let report = import_file(&test.app, file, &import).await.unwrap();
    assert_eq!((report.rows, report.imported), (59, 59));
}

/// The customers of Germany consent to the newsletter by e-mail.
async fn consent_of_germans(test: &TestApp) {
    for person in contact::Entity::find().all(&test.app.db.reader).await.unwrap() {
        if person.country.as_deref() == Some("Germany") {
            let row = consent::ActiveModel {
                id: Set(test.app.new_id()),
                contact_id: Set(person.id),
                purpose_code: Set("newsletter".to_owned()),
                channel: Set(Channel::Email),
                status: Set(ConsentStatus::Granted),
                bound_address: Set(person.email_key),
                granted_at: Set(Some(test.app.now())),
                created_at: Set(test.app.now()),
                updated_at: Set(test.app.now()),
                ..Default::default()
            };
            consent::Entity::insert(row).exec(&test.app.db.writer).await.unwrap();
        }
    }
}

/// The file as a person reads it: customers by e-mail.
fn customers(file: &[u8]) -> BTreeMap<String, csv::StringRecord> {
    csv::Reader::from_reader(file)
        .records()
        .map(|row| row.unwrap())
        .map(|row| (row[11].to_owned(), row))
        .collect()
}

#[tokio::test]
async fn each_caller_sees_exactly_what_it_should() {
    let Some(file) = sample("chinook/customers.csv") else { return };
    let customers = customers(&file);
    let germans: Vec<&csv::StringRecord> = customers.values().filter(|row| &row[7] == "Germany").collect();
    assert_eq!((customers.len(), germans.len()), (59, 4));
    // White space around values is no part of them.
    let or_null = |text: &str| match text.trim() {
        "" => Value::Null,
        text => json!(text),
    };
    for test in each().await {
        import(&test, &file).await;
        consent_of_germans(&test).await;
        let client = Client::of(&test);
        for (role, purpose, everyone, denied) in [
            ("marketing", "newsletter", false, "birthDate company notes phone state street"),
            ("support", "customer_care", true, "notes"),
            ("dpo", "rights_fulfilment", true, ""),
            ("partner", "newsletter", false, "birthDate city company familyName notes phone state street"),
        ] {
            let caller = test.caller(role, purpose).await;
            let answer = client.ask(&caller, EVERYTHING).await;
            let told = problems(&answer).join(" ").replace("FORBIDDEN_FIELD Contact.", "");
            assert_eq!(told, denied, "{role} {purpose}");
            let nodes = answer["data"]["contacts"]["nodes"].as_array().unwrap();
            assert_eq!(nodes.len(), if everyone { 59 } else { 4 }, "{role} {purpose}");
            for node in nodes {
                let row = &customers[node["email"].as_str().unwrap()];
                assert!(everyone || &row[7] == "Germany");
                let city = match role {
                    "marketing" => json!(format!("{}***", row[5].chars().next().unwrap())),
                    _ => or_null(&row[5]),
                };
                for (field, value) in [
                    ("givenName", or_null(&row[1])),
                    ("familyName", or_null(&row[2])),
                    ("company", or_null(&row[3])),
                    ("street", or_null(&row[4])),
                    ("city", city),
                    ("country", or_null(&row[7])),
                    ("phone", or_null(&row[9])),
                    ("birthDate", Value::Null),
                    ("notes", Value::Null),
                    ("state", json!("ACTIVE")),
                ] {
                    let expected =
                        if denied.split(' ').any(|name| name == field) { Value::Null } else { value };
                    assert_eq!(node[field], expected, "{role} {purpose} {field}");
                }
            }
        }
    }
}
