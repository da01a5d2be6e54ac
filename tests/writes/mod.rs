//! Writing: one door, one entry for each change, nothing told to who may not read it.

mod bad_inputs;
mod battery;
mod concurrent;
mod consents;
mod crash;
pub mod door;
mod merge;
mod mutations;
mod owed;
mod panics;
mod projection;
mod retries;
mod security;
pub mod statements;

use serde_json::{Value, json};

use crate::support::{
    app::TestApp,
    client::{Caller, Client},
    world::id,
};

/// Everybody who writes.
#[derive(Clone)]
pub struct Staff {
    pub support: Caller,
    pub sales: Caller,
    pub desk: Caller,
    pub consent: Caller,
    pub admin: Caller,
    pub dpo: Caller,
}

impl Staff {
    pub async fn of(test: &TestApp) -> Self {
        Self {
            support: test.caller("support", "customer_care").await,
            sales: test.caller("sales", "pre_contract").await,
            desk: test.caller("privacy_desk", "rights_fulfilment").await,
            consent: test.caller("marketing", "consent_management").await,
            admin: test.caller("admin", "administration").await,
            dpo: test.caller("dpo", "rights_fulfilment").await,
        }
    }
}

/// A block of Clara's number, which `liftBlock` ends: its id.
pub async fn blocked(test: &TestApp) -> String {
    use entity::{
        enums::{Channel, StopKind},
        objection,
    };
    use sea_orm::{ActiveValue::Set, EntityTrait};
    let at = crate::support::app::start() - chrono::TimeDelta::days(20);
    let row = objection::ActiveModel {
        id: Set(id(4, 399)),
        contact_id: Set(id(0, 3)),
        purpose_code: Set("phone_marketing".to_owned()),
        objected_at: Set(at),
        ended_at: Set(None),
        source: Set(None),
        created_at: Set(at),
        kind: Set(StopKind::Block),
        channel: Set(Some(Channel::Phone)),
        every_channel: Set(false),
    };
    objection::Entity::insert(row).exec_without_returning(&test.app.db.writer).await.unwrap();
    id(4, 399).to_string()
}

/// A duty that a recipient was told of, which `acknowledgeStops` ends: recipient and batch.
pub async fn owed(test: &TestApp) -> (uuid::Uuid, uuid::Uuid) {
    use entity::stop;
    use sea_orm::{ActiveValue::Set, EntityTrait};
    let (recipient, at) = (test.recipient().await, crate::support::app::start() - chrono::TimeDelta::days(2));
    let row = stop::ActiveModel {
        id: Set(id(9, 1)),
        recipient_id: Set(recipient),
        contact_id: Set(id(0, 3)),
        purpose_code: Set("newsletter".to_owned()),
        since: Set(at),
        made_at: Set(at),
        batch_id: Set(Some(id(9, 2))),
        exported_at: Set(Some(at)),
        ..Default::default()
    };
    stop::Entity::insert(row).exec_without_returning(&test.app.db.writer).await.unwrap();
    (recipient, id(9, 2))
}

/// The id of a person of the test world.
pub fn person(number: u128) -> String {
    id(0, number).to_string()
}

/// Runs a mutation with its input as a variable, and gives the whole answer.
pub async fn mutate(client: &Client, caller: &Caller, name: &str, input: &Value, payload: &str) -> Value {
    let ty = format!("{}{}Input", name[..1].to_uppercase(), &name[1..]);
    let query = format!("mutation($input: {ty}!) {{ {name}(input: $input) {{ {payload} }} }}");
    client.ask_with(caller, &query, json!({ "input": input })).await
}

/// The payload of a mutation that must succeed.
pub async fn done(client: &Client, caller: &Caller, name: &str, input: Value, payload: &str) -> Value {
    let answer = mutate(client, caller, name, &input, payload).await;
    assert!(answer.get("errors").is_none(), "{name}: {answer}");
    answer["data"][name].clone()
}

/// The code of a mutation that must be refused as a whole, by exactly one error with the path of its field.
pub fn refusal(answer: &Value, name: &str) -> String {
    assert_eq!(answer["data"][name], Value::Null, "{answer}");
    let errors = answer["errors"].as_array().unwrap_or_else(|| panic!("{answer}"));
    assert_eq!(errors.len(), 1, "{answer}");
    assert_eq!(errors[0]["path"], json!([name]), "{answer}");
    errors[0]["extensions"]["code"].as_str().unwrap().to_owned()
}

/// A consent to the newsletter by e-mail, declared at `at`.
pub fn newsletter(number: u128, at: &str) -> Value {
    json!({ "contactId": person(number), "purpose": "newsletter", "channel": "EMAIL", "textVersion": "2026-1",
            "language": "de", "proof": "signed_paper", "declaredAt": at, "source": "fair" })
}
