//! The statements that a mutation takes, as PostgreSQL logs them: one too many shows in review.
//!
//! SQLite has no log of its own, and an answer of it costs no way to a server; what it is asked is the same but for what is written
//! together.

use std::{fmt::Write as _, path::Path, time::Duration};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};
use zweck::{app::App, domain::consents};

use super::{Staff, mutate, person};
use crate::{
    reads::worlds,
    support::{
        client::{Caller, Client},
        dump::number,
        world::id,
    },
};

const FILE: &str = "tests/golden/statements.txt";
const WIDTH: usize = 118;

pub async fn text(db: &DatabaseConnection, sql: &str) -> String {
    let statement = Statement::from_string(DbBackend::Postgres, sql.to_owned());
    db.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// Has the server log each statement of connections that are opened from now on.
pub async fn log_all(db: &DatabaseConnection) {
    let name = text(db, "SELECT current_database()").await;
    for setting in
        ["log_statement = 'all'", "log_parameter_max_length = 0", "log_parameter_max_length_on_error = 0"]
    {
        db.execute_unprepared(&format!("ALTER DATABASE {name} SET {setting}")).await.unwrap();
    }
}

/// What the server has logged until now. The cluster's log lies beside its data.
pub async fn log(db: &DatabaseConnection) -> String {
    text(db, "SELECT pg_read_file(current_setting('data_directory') || '/../log')").await
}

/// The statements in a piece of the log, in their order. Other databases of the cluster log none.
pub fn statements(log: &str) -> Vec<String> {
    let told = |line: &str| {
        let (_, rest) = line.split_once(" LOG:  ")?;
        let sql = match rest.strip_prefix("execute ") {
            Some(prepared) => prepared.split_once(": ")?.1,
            None => rest.strip_prefix("statement: ")?,
        };
        // A connection that was idle for long is asked whether it is there still.
        (!sql.contains("SQLx ping"))
            .then(|| sql.replace('"', "").split_whitespace().collect::<Vec<_>>().join(" "))
    };
    log.lines().filter_map(told).collect()
}

/// What a statement does to which tables: `SELECT consent, contact`.
fn summary(sql: &str) -> String {
    let words: Vec<&str> = sql.split([' ', '(', ')', ',', ';']).filter(|word| !word.is_empty()).collect();
    let mut parts: Vec<(String, Vec<&str>)> = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let next = words.get(index + 1).copied().unwrap_or_default();
        match *word {
            "BEGIN" | "COMMIT" | "ROLLBACK" | "SELECT" | "DELETE" => {
                parts.push(((*word).to_owned(), Vec::new()))
            }
            "INSERT" => parts.push(("INSERT".to_owned(), Vec::new())),
            "UPDATE" if index == 0 || words[index - 1] != "FOR" => {
                parts.push(("UPDATE".to_owned(), vec![next]))
            }
            "UPDATE" => {
                let lock = parts.iter_mut().find(|part| part.0 == "SELECT").unwrap();
                lock.0 = "SELECT FOR UPDATE".to_owned();
            }
            "FROM" | "JOIN" | "INTO" if !["SELECT", "LATERAL", "ARRAY"].contains(&next) => {
                if let Some(part) = parts.last_mut() {
                    part.1.push(next);
                }
            }
            _ => {}
        }
    }
    // What is asked within a question belongs to it.
    let mut told: Vec<(String, Vec<&str>)> = Vec::new();
    for (verb, tables) in parts {
        match told.last_mut() {
            Some(last) if verb == "SELECT" && last.0.starts_with("SELECT") => last.1.extend(tables),
            _ => told.push((verb, tables)),
        }
    }
    let told = told.into_iter().map(|(verb, mut tables)| {
        tables.retain(|table| !table.starts_with("jsonb_"));
        let mut seen = std::collections::HashSet::new();
        tables.retain(|table| seen.insert(*table));
        format!("{verb} {}", tables.join(", ")).trim_end().to_owned()
    });
    told.collect::<Vec<_>>().join(" + ")
}

/// The text in lines that can be reviewed.
fn wrapped(sql: &str) -> String {
    let (mut out, mut length) = (String::new(), WIDTH);
    for word in sql.split(' ') {
        if length + 1 + word.len() > WIDTH {
            out.push_str("\n   ");
            length = 3;
        }
        out.push(' ');
        out.push_str(word);
        length += 1 + word.len();
    }
    out
}

struct Logged {
    client: Client,
    db: DatabaseConnection,
}

impl Logged {
    /// What one mutation takes, that of the look-up of the token and of the answer with it.
    async fn of(&self, caller: &Caller, name: &str, input: Value, payload: &str) -> Vec<String> {
        let before = log(&self.db).await.len();
        let answer = mutate(&self.client, caller, name, &input, payload).await;
        assert!(answer.get("errors").is_none(), "{name}: {answer}");
        statements(&log(&self.db).await[before..])
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "ZWECK_BLESS writes the file anew")]
async fn mutations_take_these_statements() {
    for world in worlds().await {
        let db = &world.test.app.db.writer;
        if db.get_database_backend() != DbBackend::Postgres {
            continue;
        }
        // What is in force is known to those who follow, so that there is something to tell.
        consents::backfill_changes(&world.test.app).await.unwrap();
        log_all(db).await;
        // Connections that are open keep what they began with: the server is started anew.
        let app = App::new(
            zweck::db::Db::connect(&world.test.url, 1).await.unwrap(),
            zweck::policy::PolicyHandle::new(world.test.app.policy.current()),
            world.test.clock.clone(),
            zweck::crypto::master_keys::MasterKeys::new([7; 32]),
            zweck::auth::oidc::Issuers::default(),
        );
        let client = Client::over(std::sync::Arc::new(app));
        let staff = Staff::of(&world.test).await;
        // Sealing makes a key the first time; that a token is used is noted the first time.
        for (number, caller) in [(1, &staff.consent), (1, &staff.support)] {
            let query = format!("{{ contact(id: \"{}\") {{ id }} }}", person(number));
            client.data(caller, &query).await;
        }
        let input = json!({ "contactId": person(7), "purpose": "newsletter", "channel": "EMAIL" });
        mutate(&client, &staff.consent, "withdrawConsent", &input, "consents { id }").await;
        let input = json!({ "contactId": person(1), "jobTitle": "first" });
        mutate(&client, &staff.support, "updateContact", &input, "contact { id }").await;
        let input = json!({ "consentId": id(1, 101) });
        mutate(&client, &staff.consent, "withdrawConsent", &input, "consent { id }").await;
        for _ in 0..100 {
            let unused = "SELECT COUNT(*) FROM access_token WHERE last_used_at IS NULL AND roles IN ('[\"marketing\"]', '[\"support\"]')";
            if number(db, unused).await == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let logged = Logged { client, db: db.clone() };
        let mut text = String::from(
            "# The statements of mutations on PostgreSQL, each a way to the server and back: from the look-up of the token to the answer.\n",
        );
        let withdrawn = logged
            .of(
                &staff.consent,
                "withdrawConsent",
                json!({ "consentId": id(1, 100) }),
                "consent { id status }",
            )
            .await;
        let others = [
            (
                "recordConsent",
                &staff.consent,
                super::newsletter(1, "2026-11-02T08:30:00Z"),
                "consent { id status }",
            ),
            (
                "renewConsent",
                &staff.consent,
                json!({ "consentId": id(1, 700), "textVersion": "2026-1", "language": "de", "proof": "signed_paper",
                        "declaredAt": "2026-11-02T08:40:00Z", "source": "fair" }),
                "consent { id status }",
            ),
            (
                "recordObjection",
                &staff.consent,
                json!({ "contactId": person(7), "purpose": "event_invitations" }),
                "objection { id }",
            ),
            ("endObjection", &staff.consent, json!({ "objectionId": id(4, 400) }), "objection { id }"),
            (
                "updateContact",
                &staff.support,
                json!({ "contactId": person(1), "phone": "+49 30 23125 999" }),
                "contact { id }",
            ),
            (
                "createContact",
                &staff.support,
                json!({ "familyName": "Neumann", "email": "neumann@example.org", "source": { "name": "fair" },
                        "ground": { "purpose": "customer_care", "reference": "contract" } }),
                "contact { id }",
            ),
        ];
        let mut all = vec![("withdrawConsent", withdrawn.clone())];
        for (name, caller, input, payload) in others {
            all.push((name, logged.of(caller, name, input, payload).await));
        }
        for (name, statements) in &all {
            write!(text, "\n{name}: {}\n", statements.len()).unwrap();
            for statement in statements {
                writeln!(text, "    {}", summary(statement)).unwrap();
            }
        }
        text.push_str("\n# Those of withdrawConsent as they are.\n");
        for (index, statement) in withdrawn.iter().enumerate() {
            writeln!(text, "\n{}.{}", index + 1, wrapped(statement)).unwrap();
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
        if std::env::var("ZWECK_BLESS").is_ok() {
            std::fs::write(&path, &text).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        let changed = kept.lines().zip(text.lines()).find(|(kept, now)| kept != now);
        assert!(
            kept == text,
            "{FILE} is stale, first at {changed:?}; to repair: ZWECK_BLESS=1 cargo test these_statements"
        );
    }
}
