//! Databases that differ in nothing but the number of contacts. Room: bench/growth.

use std::{path::Path, sync::Arc};

use chrono::TimeDelta;
use sea_orm::{
    DbBackend,
    sqlx::{
        AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions, raw_sql,
        sqlite::SqliteConnectOptions,
    },
};

use super::super::{
    BenchError, Say,
    bulk::{Bulk, Of},
    databases::TestDatabase,
    policy,
};
use crate::{
    app::App,
    audit::{self, Author},
    auth::{actor::Actor, credential::Credential, oidc::Issuers},
    base::clock::{Clock, SystemClock},
    crypto::master_keys::MasterKeys,
    db::Db,
    domain::{
        access_tokens::{self, BearerToken, NewToken},
        purposes,
    },
    graphql::{Outcome, Pipeline, Request},
    policy::{Policy, PolicyHandle, Sources},
    registry,
};

/// Who is told as the author of what a bench writes.
pub(super) const ACTOR: &str = "cli:bench";
/// Contacts of one statement.
const BATCH_SIZE: u64 = 50_000;
/// Connections that read: there is one caller.
const READERS: u32 = 1;

/// A database with so many contacts, and a caller.
pub(super) struct World {
    pub(super) contacts: u64,
    pub(super) app: App,
    pipeline: Pipeline,
    token: BearerToken,
}

impl World {
    /// Makes a database of `database` and fills it.
    pub(super) async fn make(
        database: &TestDatabase,
        directory: &Path,
        contacts: u64,
        sources: &Sources,
        say: &Say,
    ) -> Result<Self, BenchError> {
        say(&format!("{}: making {contacts} contacts", database.name));
        let url = fresh(database, directory, contacts).await?;
        let unusable = |_| BenchError::Failed(format!("the {} database cannot be opened", database.name));
        let db = Db::connect(&url, READERS).await.map_err(unusable)?;
        db.migrate().await.map_err(unusable)?;
        let policy = Policy::load(sources, &registry::policy_objects()).await;
        let policy = policy.map_err(|error| BenchError::Failed(error.to_string()))?;
        let clock = Arc::new(SystemClock) as Arc<dyn Clock>;
        let app = App::new(db, PolicyHandle::new(policy), clock, MasterKeys::random(), Issuers::default());
        purposes::sync(&app, ACTOR).await?;
        let filled = fill(&url, app.db.backend(), contacts).await;
        filled.map_err(|_| BenchError::Failed(format!("the {} database cannot be filled", database.name)))?;
        let token = token(&app).await?;
        let pipeline = Pipeline::new()?;
        Ok(Self { contacts, app, pipeline, token })
    }

    /// The id of the contact with this number.
    pub(super) fn id(number: u64) -> String {
        Bulk::uuid(Of::CONTACT, number)
    }

    /// Asks as a request does, but for HTTP: the credential is looked up, the caller's decisions are made, the answer is written.
    pub(super) async fn ask(&self, request: Request) -> Result<Vec<u8>, BenchError> {
        let credential: Credential =
            access_tokens::authenticate(&self.app, self.token.expose_secret()).await?;
        let policy = self.app.policy.current();
        let actor = Actor::new(policy, &credential, Some(policy::PURPOSE), "bench".to_owned())?;
        let answer = self.pipeline.execute(&self.app, &actor, request).await;
        match answer.outcome {
            Outcome::Executed if !answer.body.starts_with(b"{\"errors\"") => Ok(answer.body),
            _ => Err(BenchError::Failed(String::from_utf8_lossy(&answer.body).into_owned())),
        }
    }

    /// Has the schema shown to a caller that is narrowed to `fields`.
    pub(super) async fn look(&self, fields: Vec<String>) -> Result<(), BenchError> {
        let mut credential = access_tokens::authenticate(&self.app, self.token.expose_secret()).await?;
        credential.fields = Some(fields);
        let policy = self.app.policy.current();
        let actor = Actor::new(policy, &credential, Some(policy::PURPOSE), "bench".to_owned())?;
        self.pipeline.sdl_for(&actor)?;
        Ok(())
    }
}

/// The address of a database of its own.
async fn fresh(database: &TestDatabase, directory: &Path, contacts: u64) -> Result<String, BenchError> {
    if database.url.starts_with("sqlite:") {
        return Ok(format!("sqlite://{}", directory.join(format!("grown{contacts}.db")).display()));
    }
    let failed = |_| BenchError::Failed("a database cannot be made".to_owned());
    let mut admin = PgConnection::connect(&database.url).await.map_err(failed)?;
    let name = format!("grown{contacts}");
    let made = raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut admin).await;
    made.map_err(failed)?;
    admin.close().await.map_err(failed)?;
    let (server, _) = database.url.rsplit_once('/').unwrap_or_default();
    Ok(format!("{server}/{name}"))
}

/// The rows, past the door and without what a running database would check of each.
async fn fill(url: &str, backend: DbBackend, contacts: u64) -> Result<(), sea_orm::sqlx::Error> {
    let bulk = Bulk(backend);
    let mut statements = Vec::new();
    let mut from = 1;
    while from <= contacts {
        let to = (from + BATCH_SIZE - 1).min(contacts);
        statements.push(bulk.contacts(from, to));
        statements.push(bulk.consents(from, to, policy::PURPOSE));
        from = to + 1;
    }
    if backend == DbBackend::Postgres {
        // They are long, and take as long as they take.
        let options = url.parse::<PgConnectOptions>()?.disable_statement_logging();
        let mut connection = options.connect().await?;
        statements.insert(0, "SET session_replication_role = replica".to_owned());
        statements.push("VACUUM (ANALYZE)".to_owned());
        for statement in statements {
            raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
        }
        return connection.close().await;
    }
    let options = url.parse::<SqliteConnectOptions>()?.disable_statement_logging();
    let mut connection = options.connect().await?;
    statements.insert(0, "PRAGMA foreign_keys = OFF; PRAGMA synchronous = OFF".to_owned());
    for statement in statements {
        raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await?;
    }
    connection.close().await
}

async fn token(app: &App) -> Result<BearerToken, BenchError> {
    let new = NewToken {
        name: "bench".to_owned(),
        roles: vec![policy::ROLE.to_owned()],
        purposes: vec![policy::PURPOSE.to_owned()],
        fields: None,
        expires_at: app.now() + TimeDelta::days(1),
        recipient_id: None,
    };
    let mut tx = audit::begin(app, Author::command(app, ACTOR, None)).await?;
    let (_, token) = access_tokens::create(&mut tx, &app.policy.current(), new).await?;
    tx.commit().await?;
    Ok(token)
}
