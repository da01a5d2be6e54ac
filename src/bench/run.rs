//! One run: databases, data, servers, equality, load, report. Room: bench.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use entity::contact;
use sea_orm::{EntityTrait, PaginatorTrait, sqlx};

use super::{
    BenchError, Options, Say, Servers, Tokens, check,
    children::{Child, Common},
    data::{self, Data},
    databases::{TestDatabase, test_databases},
    load,
    measure::Bench,
    policy,
    queries::{Kind, Query},
    report::{Machine, Measured, Report, figures, median, targets},
};
use crate::{
    app::App,
    audit::{self, Author},
    auth::oidc::Issuers,
    base::clock::{Clock, SystemClock},
    crypto::master_keys::MasterKeys,
    db::Db,
    domain::{
        access_tokens::{self, NewToken},
        consents, purposes,
    },
    policy::{Policy, PolicyHandle, Sources},
    registry,
};

const ACTOR: &str = "cli:bench";
/// Starts of the server, of which the median counts.
const STARTS: usize = 5;
/// How long a server is left alone before its memory counts as idle.
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// Measures on each database.
///
/// # Errors
/// `Usage` for a database that is not empty, and without `wrk`; `Differs`; `Failed` for whatever does not work.
pub async fn run(options: &Options, say: &Say) -> Result<Report, BenchError> {
    let loads = load::is_installed();
    if !loads && !options.smoke {
        return Err(BenchError::Usage(
            "`wrk`, which makes the load, is not installed: apt install wrk".to_owned(),
        ));
    }
    if cfg!(debug_assertions) && !options.smoke {
        let text = "a build without optimisation measures nothing: cargo run --profile bench --features bench -- bench";
        return Err(BenchError::Usage(text.to_owned()));
    }
    if !loads {
        say("`wrk` is not installed: answers are compared, nothing is loaded");
    }
    let directory = tempfile::tempdir()?;
    let mut databases = Vec::new();
    for database in test_databases(options.database_url.as_deref(), directory.path(), options.fsync)? {
        databases.push(measure(options, &database, directory.path(), loads, say).await?);
    }
    let (seconds, rounds) = (options.seconds, options.rounds);
    Ok(Report { measured_at: SystemClock.now(), machine: machine()?, seconds, rounds, databases })
}

async fn measure(
    options: &Options,
    database: &TestDatabase,
    directory: &Path,
    loads: bool,
    say: &Say,
) -> Result<Measured, BenchError> {
    let rules = directory.join("policy");
    policy::write(&rules)?;
    let master: [u8; 32] = rand::random();
    let app = open(database, &rules, master).await?;
    let total = data::contacts_at(options.scale);
    say(&format!("{}: writing {total} contacts with their consents", database.name));
    let data = data::seed(&app, options.scale).await?;
    let tokens =
        Tokens { allowed: token(&app, policy::ROLE).await?, denied: token(&app, policy::DENIED).await? };
    let version = settle(&app).await?;
    let common = Common { url: &database.url, policy: &rules, directory, master: &master };
    let (servers, start_ms, idle) = start(options, &common, &data, &tokens).await?;
    let checked = check::equal(&app, &servers, &tokens, &data).await?;
    if options.smoke {
        // Who withdraws by hand has written what the server writes. Looking at all consents takes too long where there are many.
        let rebuilt = consents::rebuild(&app, ACTOR, true).await?;
        if let Some(id) = rebuilt.differing.first() {
            return Err(BenchError::Differs(format!("the consent {id} does not match its events")));
        }
    }
    say(&format!("{}: the answers are equal", database.name));
    let mut samples = Vec::new();
    if loads {
        let bench = Bench { app: &app, servers: &servers, tokens: &tokens, data: &data, directory, options };
        samples = bench.rounds(checked.withdrawn, say).await?;
    }
    let figures = figures(&samples);
    // Without optimisation no figure means anything.
    let targets = if cfg!(debug_assertions) { Vec::new() } else { targets(&figures, start_ms, idle) };
    Ok(Measured {
        database: format!("{} {version}", database.name),
        rows: [total, data.consents, data.requests],
        answer_bytes: checked.bytes,
        start_ms,
        idle,
        targets,
        failed: figures.iter().map(|figure| figure.sample.failed).sum(),
        figures,
    })
}

/// The application over the database, brought up to date.
async fn open(database: &TestDatabase, rules: &Path, master: [u8; 32]) -> Result<App, BenchError> {
    let sources = Sources::read(rules).map_err(|error| BenchError::Failed(error.to_string()))?;
    let policy = Policy::load(&sources, &registry::policy_objects()).await;
    let policy = policy.map_err(|error| BenchError::Failed(error.to_string()))?;
    let unusable = |_| {
        BenchError::Failed(format!("the {} database cannot be opened or brought up to date", database.name))
    };
    let db = Db::connect(&database.url, 4).await.map_err(unusable)?;
    db.migrate().await.map_err(unusable)?;
    let found = contact::Entity::find().count(&db.reader).await.map_err(unusable)?;
    if found > 0 {
        let text = format!("the database has {found} contacts; a bench takes an empty one of its own");
        return Err(BenchError::Usage(text));
    }
    let clock = Arc::new(SystemClock) as Arc<dyn Clock>;
    let app = App::new(db, PolicyHandle::new(policy), clock, MasterKeys::new(master), Issuers::default());
    purposes::sync(&app, ACTOR).await?;
    Ok(app)
}

async fn token(app: &App, role: &str) -> Result<String, BenchError> {
    let new = NewToken {
        name: format!("bench {role}"),
        roles: vec![role.to_owned()],
        purposes: vec![policy::PURPOSE.to_owned()],
        fields: None,
        expires_at: app.now() + TimeDelta::days(1),
        recipient_id: None,
    };
    let mut tx = audit::begin(app, Author::command(app, ACTOR, None)).await?;
    let (_, token) = access_tokens::create(&mut tx, &app.policy.current(), new).await?;
    tx.commit().await?;
    Ok(token.expose_secret().to_owned())
}

/// Lets the database do what it would have done by itself in time; gives its version.
async fn settle(app: &App) -> Result<String, BenchError> {
    let version = async {
        match app.db.backend() {
            sea_orm::DbBackend::Sqlite => {
                let pool = app.db.reader.get_sqlite_connection_pool();
                sqlx::query_scalar("SELECT sqlite_version()").fetch_one(pool).await
            }
            _ => {
                let pool = app.db.writer.get_postgres_connection_pool();
                sqlx::query("VACUUM (ANALYZE)").execute(pool).await?;
                sqlx::query_scalar("SHOW server_version").fetch_one(pool).await
            }
        }
    };
    version
        .await
        .map_err(|_: sqlx::Error| BenchError::Failed("the database does not tell its version".to_owned()))
}

/// Starts everybody; gives how long the server took until its first answer, and the memory that it then held.
async fn start(
    options: &Options,
    common: &Common<'_>,
    data: &Data,
    tokens: &Tokens,
) -> Result<(Servers, f64, u64), BenchError> {
    let first = data.visible.first().copied().unwrap_or_default().to_string();
    let mut times = Vec::new();
    let mut governed = None;
    for _ in 0..if options.smoke { 1 } else { STARTS } {
        drop(governed.take());
        let began = Instant::now();
        let mut child = Child::start(Kind::Governed, common)?;
        child.answers(&Query::Q2.request(Kind::Governed).about(&first), &tokens.allowed).await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        governed = Some(child);
    }
    tokio::time::sleep(SETTLE_TIME).await;
    let idle = governed.as_ref().map_or(Ok(0), Child::resident)?;
    let mut servers: Vec<Child> = governed.into_iter().collect();
    for kind in [Kind::Hand, Kind::Stock] {
        let mut child = Child::start(kind, common)?;
        child.answers(&Query::Q2.request(kind).about(&first), &tokens.allowed).await?;
        servers.push(child);
    }
    Ok((Servers(servers), median(times), idle))
}

pub(super) fn machine() -> Result<Machine, BenchError> {
    let cpus = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    Ok(Machine {
        cores: std::thread::available_parallelism()?.get(),
        processor: model.map_or_else(|| "unknown".to_owned(), |(_, model)| model.trim().to_owned()),
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("ZWECK_COMMIT"),
        debug: cfg!(debug_assertions),
        program_bytes: std::fs::metadata(std::env::current_exe()?)?.len(),
    })
}
