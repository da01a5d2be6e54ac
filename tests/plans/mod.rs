//! Query plans of the statements that the engine sends, on both databases, as snapshots: an index that is lost, or that the planner
//! does not take, shows in review. A table that grows is read as a whole only with a written reason.

#[path = "../../src/bench/bulk.rs"]
mod bulk;
mod cases;
mod explain;
mod rows;
mod writes;

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use entity::access_token;
use sea_orm::{ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter, QueryTrait, Statement};
use serde_json::Value;
use zweck::{
    app::App,
    auth::actor::Actor,
    domain::access_tokens,
    engine::record_statements,
    graphql::{Pipeline, Request},
};

use crate::support::{
    app::{TestApp, each},
    skipped,
};
use bulk::{Bulk, Of};
use cases::{CASES, Case};
use explain::explain;

/// Rows that a page of 50 may look at: of tables that grow, in all its statements.
const MOST_ROWS: f64 = 2_500.0;
/// The server whose planner the snapshot is of; under another one the plans are only looked through.
const MAJOR: &str = "PostgreSQL 15";

/// What is filled into queries.
type Filled = BTreeMap<&'static str, String>;

async fn actor(test: &TestApp, case: &Case) -> Actor {
    let caller = test.caller(case.role, case.purpose).await;
    let credential = access_tokens::authenticate(&test.app, caller.token.expose_secret()).await.unwrap();
    let policy = test.app.policy.current();
    Actor::new(policy, &credential, Some(case.purpose), "test".to_owned()).unwrap()
}

async fn ask(engine: &Pipeline, app: &App, actor: &Actor, query: &str, filled: &Filled) -> Value {
    let query = filled.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value));
    let answer = engine.execute(app, actor, Request { query: query.clone(), ..Request::default() }).await;
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    assert!(answer.get("errors").is_none(), "{query}: {answer}");
    answer["data"].clone()
}

/// The statements that a case sends.
async fn statements(engine: &Pipeline, test: &TestApp, case: &Case, filled: &Filled) -> Vec<Statement> {
    let actor = actor(test, case).await;
    let mut filled = filled.clone();
    if let Some(query) = case.cursor {
        let data = ask(engine, &test.app, &actor, query, &filled).await;
        let connection = data.as_object().unwrap().values().next().unwrap();
        filled.insert("{cursor}", connection["pageInfo"]["startCursor"].as_str().unwrap().to_owned());
    }
    let (_, heard) = record_statements(ask(engine, &test.app, &actor, case.query, &filled)).await;
    let reads = |one: &Statement| one.sql.starts_with("SELECT") || one.sql.starts_with("WITH p ");
    let heard: Vec<Statement> = heard.into_iter().filter(reads).collect();
    assert!(!heard.is_empty(), "{} sends nothing", case.name);
    heard
}

/// Ids of some rows.
fn ids() -> Filled {
    let id = |of, number| Bulk::uuid(of, number);
    Filled::from([("{contact}", id(Of::CONTACT, 4_712)), ("{consent}", id(Of::CONSENT, 4 * 4_712))])
}

/// The plans of all cases, and what is wrong with them.
async fn plans(test: &TestApp) -> (String, Vec<String>) {
    let reader = &test.app.db.reader;
    let engine = Pipeline::new().unwrap();
    let filled = ids();
    let (mut text, mut faults) = (String::new(), Vec::new());
    for case in CASES {
        let (mut rows, mut whole) = (0.0, Vec::new());
        writeln!(text, "\n{}", case.name).unwrap();
        for statement in statements(&engine, test, case, &filled).await {
            let explained = explain(reader, &statement).await;
            text.push_str(&explained.text);
            rows += explained.rows;
            whole.extend(explained.whole);
        }
        let name = case.name;
        match case.reads_all {
            Some(reason) => writeln!(text, "  reads all: {reason}").unwrap(),
            None if !whole.is_empty() => {
                faults.push(format!("`{name}` reads all of {whole:?}; where it must be so, say why"));
            }
            None if rows > MOST_ROWS => faults.push(format!("`{name}` looks at {rows} rows")),
            None => {}
        }
    }
    (text, faults)
}

/// The look-up of a token, which every request begins with.
async fn lookup(test: &TestApp) -> String {
    let reader = &test.app.db.reader;
    let found = access_token::Entity::find().filter(access_token::Column::Lookup.eq("0123456789abcdef"));
    explain(reader, &found.build(reader.get_database_backend())).await.text
}

#[expect(clippy::disallowed_methods, reason = "ZWECK_BLESS writes the file anew")]
fn compare(file: &str, text: &str, faults: &mut Vec<String>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans").join(file);
    if std::env::var("ZWECK_BLESS").is_ok() {
        std::fs::write(&path, text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    if kept != text {
        let changed = kept.lines().zip(text.lines()).find(|(kept, now)| kept != now);
        faults.push(format!(
            "tests/plans/{file} is stale, first at {changed:?}; to repair: ZWECK_BLESS=1 cargo test --test it -- plans"
        ));
    }
}

#[tokio::test]
async fn every_statement_has_the_plan_of_its_snapshot() {
    let mut faults = Vec::new();
    for test in each().await {
        rows::fill(&test.app.db.writer).await;
        let found = lookup(&test).await;
        let (text, more) = plans(&test).await;
        let text = format!("look-up of a token\n{found}{text}");
        let reader = &test.app.db.reader;
        faults.extend(more);
        if reader.get_database_backend() != DbBackend::Postgres {
            compare("sqlite.txt", &text, &mut faults);
            continue;
        }
        let statement = Statement::from_string(DbBackend::Postgres, "SELECT version()");
        let version: String =
            reader.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap();
        if version.starts_with(MAJOR) {
            compare("postgres.txt", &text, &mut faults);
        } else {
            skipped(&format!("snapshots of plans are of {MAJOR}, this is {version:.13}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
