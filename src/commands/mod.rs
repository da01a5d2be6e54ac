//! What each command does (floor 7).

#[cfg(feature = "bench")]
pub(crate) mod bench;
pub(crate) mod config;
pub(crate) mod contacts;
pub(crate) mod demo;
pub(crate) mod export;
pub(crate) mod health;
pub(crate) mod import;
pub(crate) mod import_consents;
pub(crate) mod import_objections;
pub(crate) mod policy;
pub(crate) mod receipts;
pub(crate) mod schema;
pub(crate) mod stops;
pub(crate) mod tokens;

use std::{
    io::{self, Write},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use migration::{Migrator, MigratorTrait};
use tokio::net::TcpListener;
use zweck::{
    audit,
    config::Config,
    consents,
    context::{App, Clock, Keys, SystemClock},
    db::Db,
    error::{Code, Error},
    graphql::Engine,
    http::{self, Ending, Settings, SocketLimits},
    jobs,
    mailer::Mailer,
    oidc::Issuers,
    policy::{Live, Policy, Sources},
    purposes, register, watch,
};

use crate::Failure;

/// Who acts on the command line.
const ACTOR: &str = "cli:zweck";

/// What is said where there is no master key.
const NO_MASTER_KEY: &str = "no `secrets.master_key` is set; make one with `zweck keys generate` and keep it: without it the \
                             values of the audit log cannot be read";

/// Starts the server.
pub(crate) async fn serve(config: &Config, migrate: bool) -> Result<(), Failure> {
    config::check(config)?;
    let mailer = Mailer::new(&config.mail).map_err(failure)?;
    let policy = policy(config).await?;
    if config.pages.enabled {
        http::fit(&policy, &config.pages).map_err(|text| Failure::Usage(format!("configuration: {text}")))?;
    }
    let db = connect_within(config, config.limits.operation_time()).await?;
    if migrate {
        db.migrate().await.map_err(failure)?;
    }
    let app = Arc::new(app(config, policy, db).await?);
    purposes::sync(&app, ACTOR).await.map_err(failure)?;
    consents::settle(&app).await.map_err(failure)?;
    // Made now where they are missing, not while somebody reads.
    audit::ring(&app).await.map_err(failure)?;
    let engine = Arc::new(Engine::within(config.limits).map_err(failure)?);
    app.issuers.read_files(app.now()).await.map_err(usage)?;
    tokio::spawn(keep_keys(app.clone()));
    if let Some(directory) = &config.policy.dir {
        let watched = watch::policy(app.clone(), directory.clone());
        watched.with_context(|| format!("cannot watch {}", directory.display()))?;
    }
    tokio::spawn(jobs::run(app.clone(), mailer));
    let listener = bind(config.server.listen, "server.listen").await?;
    let ending = Ending::at(http::stop_signal());
    if let Some(address) = config.management.listen {
        let managed = bind(address, "management.listen").await?;
        tracing::info!(address = %managed.local_addr()?, "listening for the operators");
        let router = http::management(app.clone(), ending.clone()).map_err(failure)?;
        tokio::spawn(http::manage(managed, router));
    }
    let sockets = SocketLimits { origins: config.server.cors_origins.clone(), ..SocketLimits::default() };
    let settings = Settings {
        limits: config.limits,
        graphiql: config.server.graphiql,
        sockets,
        behind_proxy: config.server.behind_tls_proxy,
    };
    tracing::info!(address = %listener.local_addr()?, "listening");
    let router = http::guard(http::router(app, engine, settings), &config.server);
    let grace = Duration::from_secs(config.server.grace_seconds);
    http::serve_within(listener, router, &config.limits, ending, grace).await?;
    tracing::info!("stopped");
    Ok(())
}

async fn bind(address: SocketAddr, key: &str) -> Result<TcpListener, Failure> {
    let bound = TcpListener::bind(address).await;
    Ok(bound.with_context(|| format!("cannot listen on {address}; `{key}` names another address"))?)
}

/// Reads the keys of issuers now and when they are due anew. None of their servers holds up the start.
async fn keep_keys(app: Arc<App>) {
    while !app.issuers.is_empty() {
        app.issuers.refresh(app.now()).await;
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    }
}

/// Brings the database up to date.
pub(crate) async fn migrate(config: &Config) -> Result<(), Failure> {
    let policy = policy(config).await?;
    let db = connect(config).await?;
    db.migrate().await.map_err(failure)?;
    let app = app(config, policy, db).await?;
    purposes::sync(&app, ACTOR).await.map_err(failure)?;
    consents::settle(&app).await.map_err(failure)?;
    print("the database is up to date\n")
}

/// Prints a fresh master key.
pub(crate) fn generate_key() -> Result<(), Failure> {
    let key: [u8; 32] = rand::random();
    print(&format!("{}\n", key.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
}

/// Wraps every subject key anew under the present master key.
pub(crate) async fn rotate_keys(config: &Config) -> Result<(), Failure> {
    let app = open(config).await?;
    let done = audit::rewrap(&app, ACTOR).await.map_err(failure)?;
    print(&format!("{done} keys are wrapped anew; `secrets.previous_master_key` can be removed\n"))
}

/// Compares consents with their events, and mends those that differ unless it shall only check.
pub(crate) async fn rebuild_consents(config: &Config, check: bool) -> Result<(), Failure> {
    let app = open(config).await?;
    let rebuilt = consents::rebuild(&app, ACTOR, check).await.map_err(failure)?;
    for id in &rebuilt.differing {
        note(&format!("consent {id} is not what its events say"));
    }
    let (differing, total) = (rebuilt.differing.len(), rebuilt.consents);
    if check && differing > 0 {
        return Err(anyhow::anyhow!("{differing} of {total} consents are not what their events say").into());
    }
    let done = if check { "" } else { " and are mended" };
    print(&format!("{total} consents looked at; {differing} differed{done}\n"))
}

/// Says on standard error why a command did not do its work.
pub(crate) fn complain(text: &str) {
    note(&format!("error: {text}"));
}

fn sources(config: &Config) -> Result<Sources, Failure> {
    match &config.policy.dir {
        Some(dir) => Sources::read(dir).map_err(policy_failure),
        None => Ok(Sources::embedded()),
    }
}

async fn policy(config: &Config) -> Result<Policy, Failure> {
    Policy::load(&sources(config)?, &register::policy_objects()).await.map_err(policy_failure)
}

fn policy_failure(error: impl std::fmt::Display) -> Failure {
    Failure::Policy(error.to_string())
}

/// A configuration that says what cannot be.
fn usage(text: String) -> Failure {
    Failure::Usage(format!("configuration: {text}"))
}

async fn connect(config: &Config) -> Result<Db, Failure> {
    connect_within(config, Duration::ZERO).await
}

/// Connections on which no statement that reads takes longer than `time`; zero for no limit.
async fn connect_within(config: &Config, time: Duration) -> Result<Db, Failure> {
    let connected = Db::connect_within(&config.database.url, config.database.max_connections, time).await;
    connected.map_err(|error| match error {
        // What is wrong with the address; other errors may quote it, and with it a password.
        sea_orm::DbErr::Custom(text) => Failure::Usage(text),
        _ => Failure::Failed(anyhow::anyhow!("cannot open the database; check `database.url`")),
    })
}

/// The application over a database that is up to date; nothing else touches another.
async fn app(config: &Config, policy: Policy, db: Db) -> Result<App, Failure> {
    let pending = Migrator::get_pending_migrations(&db.writer).await.map_err(failure)?.len();
    if pending > 0 {
        let text = format!("the database lacks {pending} migrations; run: zweck migrate");
        return Err(Failure::Failed(anyhow::anyhow!(text)));
    }
    let Some(master) = config.secrets.master_key else {
        return Err(Failure::Usage(NO_MASTER_KEY.to_owned()));
    };
    let keys = Keys::with_previous(master, config.secrets.previous_master_key.into_iter().collect());
    let issuers = Issuers::new(&config.oidc, config.secrets.actor_key.unwrap_or_default()).map_err(usage)?;
    issuers.check(&policy).map_err(usage)?;
    let clock = Arc::new(SystemClock) as Arc<dyn Clock>;
    let app = App::new(db, Live::new(policy), clock, keys, issuers);
    let app = app.with_pages(config.pages.clone()).with_reader(config.identities.reader());
    Ok(app.with_keep_copy(config.recipients.keep_copy()))
}

async fn open(config: &Config) -> Result<App, Failure> {
    let policy = policy(config).await?;
    let app = app(config, policy, connect(config).await?).await?;
    // Another program or region may have made the keys that addresses are found by.
    consents::settle(&app).await.map_err(failure)?;
    Ok(app)
}

fn failure(error: impl Into<Error>) -> Failure {
    let error = error.into();
    match error.code {
        Code::BadUserInput => Failure::Usage(match error.input {
            Some(place) => format!("{} ({place})", error.message),
            None => error.message,
        }),
        _ => Failure::Failed(anyhow::anyhow!(error.message)),
    }
}

fn print(text: &str) -> Result<(), Failure> {
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

fn note(text: &str) {
    // Nothing can be said when standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}
