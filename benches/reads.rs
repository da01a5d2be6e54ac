//! Execution and serialisation of 1,000 contacts with 8 fields: governed against stock async-graphql without any check.
//!
//! Both start from the parsed document and rows in memory, and end with the bytes of the answer, which must be equal.

#![allow(missing_docs, clippy::unwrap_used, reason = "a bench")]

use async_graphql::{
    EmptyMutation, EmptySubscription, ID, Object, Request, Schema, SimpleObject, parser::parse_query,
};
use chrono::{DateTime, Utc};
use criterion::{Criterion, criterion_group, criterion_main};
use uuid::Uuid;
use zweck::{
    auth::{actor::Actor, credential::Credential},
    base::limits::Limits,
    crypto::master_keys::MasterKeys,
    engine::{Cell, Operation, Plan, Row, write_page_of},
    policy::{Policy, Sources},
    registry,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: u128 = 1_000;
const QUERY: &str =
    "{ contacts(first: 1000) { nodes { id givenName familyName email company jobTitle city country } } }";

#[derive(SimpleObject, Clone)]
struct Contact {
    id: ID,
    given_name: Option<String>,
    family_name: Option<String>,
    email: Option<String>,
    company: Option<String>,
    job_title: Option<String>,
    city: Option<String>,
    country: Option<String>,
}

#[derive(SimpleObject)]
struct ContactConnection {
    nodes: Vec<Contact>,
}

struct Query(Vec<Contact>);

#[Object]
impl Query {
    async fn contacts(&self, first: i32) -> ContactConnection {
        let rows = usize::try_from(first).unwrap_or_default();
        ContactConnection { nodes: self.0.iter().take(rows).cloned().collect() }
    }
}

fn contacts() -> Vec<Contact> {
    let text = |word: &str, number: u128| Some(format!("{word} {number}"));
    (0..ROWS)
        .map(|number| Contact {
            id: Uuid::from_u128(number).to_string().into(),
            given_name: text("Käthe", number),
            family_name: text("Größler", number),
            email: Some(format!("kaethe.{number}@example.org")),
            company: text("Beispielwerk", number),
            job_title: (number % 3 != 0).then(|| "Einkauf".to_owned()),
            city: text("Stuttgart", number % 50),
            country: Some("Germany".to_owned()),
        })
        .collect()
}

/// The cells in the order of the plan's columns: the key, then as the document asks.
fn rows(contacts: &[Contact]) -> Vec<Row> {
    let text = |value: &Option<String>| value.clone().map_or(Cell::Null, Cell::Text);
    contacts
        .iter()
        .map(|c| {
            // The key once as such and once as the order's last step.
            let id = Cell::Uuid(c.id.parse().unwrap());
            let mut row = vec![id.clone(), id];
            row.extend(
                [&c.given_name, &c.family_name, &c.email, &c.company, &c.job_title, &c.city, &c.country]
                    .map(text),
            );
            row
        })
        .collect()
}

async fn actor() -> Actor {
    let policy = Policy::load(&Sources::embedded(), &registry::policy_objects()).await.unwrap();
    let credential = Credential {
        actor_id: "token:bench".to_owned(),
        roles: vec!["sales".to_owned()],
        purposes: vec!["business_contact".to_owned()],
        fields: None,
        expires_at: DateTime::<Utc>::MAX_UTC,
        recipient: None,
    };
    Actor::new(policy.into(), &credential, None, "bench".to_owned()).unwrap()
}

fn reads(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let actor = runtime.block_on(actor());
    let keys = MasterKeys::new([7; 32]);
    let now: DateTime<Utc> = "2026-11-02T09:00:00Z".parse().unwrap();
    let contacts = contacts();
    let rows = rows(&contacts);
    let schema = Schema::new(Query(contacts), EmptyMutation, EmptySubscription);
    let document = parse_query(QUERY).unwrap();
    let stock = || {
        let mut request = Request::new("");
        request.set_parsed_query(document.clone());
        serde_json::to_string(&runtime.block_on(schema.execute(request))).unwrap()
    };
    let governed = || {
        let limits = Limits::default();
        let operation = Operation::from_document(&document, None, serde_json::Map::new(), &limits).unwrap();
        let plan = Plan::new(&operation, &actor, &limits, &keys, now.date_naive()).unwrap();
        assert!(plan.denials.is_empty());
        let page = write_page_of(&plan, &actor, &keys, now, &rows).unwrap();
        format!("{{\"data\":{{\"contacts\":{page}}}}}")
    };
    assert_eq!(governed(), stock(), "the answers must be the same, byte for byte");
    let mut group = criterion.benchmark_group("1,000 contacts x 8 fields");
    group.bench_function("stock", |bencher| bencher.iter(stock));
    group.bench_function("governed", |bencher| bencher.iter(governed));
    group.finish();
}

criterion_group!(benches, reads);
criterion_main!(benches);
