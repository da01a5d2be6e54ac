//! The commands of the program. Room: cli.

pub(crate) mod args;
pub(crate) mod backup;
#[cfg(feature = "bench")]
pub(crate) mod bench;
pub(crate) mod config;
pub(crate) mod contacts;
pub(crate) mod demo;
pub(crate) mod examples;
pub(crate) mod exit;
pub(crate) mod export;
pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod import;
pub(crate) mod import_consents;
pub(crate) mod import_objections;
mod import_runs;
pub(crate) mod keys;
pub(crate) mod logs;
pub(crate) mod manual;
pub(crate) mod matrix;
pub(crate) mod policy;
pub(crate) mod receipts;
pub(crate) mod run;
pub(crate) mod schema;
pub(crate) mod stops;
pub(crate) mod suppressions;
pub(crate) mod tokens;

use std::{
    io::{self, Write},
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use migration::{Migrator, MigratorTrait};
use tokio::net::TcpListener;
use zweck::{
    app::App,
    audit,
    auth::oidc::Issuers,
    base::{
        clock::{Clock, SystemClock},
        error::{Code, Error},
        secret::SecretKey,
    },
    config::Config,
    crypto::master_keys::MasterKeys,
    db::{Db, describe_db_error},
    domain::{consents, purposes},
    graphql::Pipeline,
    http::{self, Settings, Shutdown, SocketLimits},
    jobs::{self, mailer::Mailer, policy_watch, servers},
    policy::{Policy, PolicyHandle, Sources},
    registry,
};

pub(crate) use exit::note;

use exit::CliError;

/// How a list is printed.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ListFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// How long closing a database may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a starting server waits for the keys of issuers.
const ISSUER_KEYS_TIMEOUT: Duration = Duration::from_secs(2);
/// The actor of the command line.
const ACTOR: &str = "cli:zweck";

/// The error if there is no master key.
const NO_MASTER_KEY: &str = "no `secrets.master_key` is set; make one with `zweck keys generate` and keep it: without it the \
                             values of the audit log cannot be read";

/// Starts the server.
pub(crate) async fn serve(config: &Config, migrate: bool) -> Result<(), CliError> {
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    let mailer = Mailer::new(&config.mail).map_err(failure)?;
    // Watched from before it is read: what changes meanwhile is noticed.
    let mut watch = match &config.policy.dir {
        Some(directory) => Some(
            policy_watch::Watch::new(directory.clone())
                .with_context(|| format!("cannot watch {}", directory.display()))?,
        ),
        None => None,
    };
    let policy = match &mut watch {
        Some(watch) => load_tested_policy(&watch.wait_until_settled().await.map_err(policy_failure)?).await?,
        None => policy(config).await?,
    };
    if config.pages.enabled {
        http::check_policy_supports_pages(&policy, &config.pages)
            .map_err(|text| CliError::Usage(format!("configuration: {text}")))?;
    }
    if !migrate {
        require_database(config)?;
    }
    let db = connect_with_timeout(config, config.limits.operation_time()).await?;
    if migrate {
        run_migrations(&db).await?;
    }
    let app = Arc::new(app(config, policy, db).await?);
    purposes::sync(&app, ACTOR).await.map_err(failure)?;
    consents::refresh_address_keys(&app).await.map_err(failure)?;
    // Made now where they are missing, not while somebody reads.
    audit::installation_keys(&app).await.map_err(failure)?;
    for master_key in audit::unknown_master_keys(&app).await.map_err(failure)? {
        tracing::warn!(
            master_key,
            "some values cannot be opened: their keys are wrapped by a master key that is not configured"
        );
    }
    for lax in app.db.durability_gaps().await.map_err(|error| database_error(&error))? {
        tracing::warn!(
            ?lax,
            "a power failure may lose acknowledged writes: this database setting is too lax"
        );
    }
    let registration = servers::ServerRegistration::new(&app);
    registration.heartbeat(&app).await.map_err(failure)?;
    let pipeline = Arc::new(Pipeline::with_limits(config.limits).map_err(failure)?);
    app.issuers.read_files(app.now()).await.map_err(usage)?;
    // Whoever comes first finds the keys of its issuer; one that does not answer keeps nobody waiting for longer.
    let first_refresh = tokio::spawn({
        let app = app.clone();
        async move { app.issuers.refresh(app.now()).await }
    });
    _ = tokio::time::timeout(ISSUER_KEYS_TIMEOUT, first_refresh).await;
    tokio::spawn(refresh_issuer_keys(app.clone()));
    if let Some(watch) = watch {
        watch.spawn(app.clone());
    }
    tokio::spawn(jobs::run(app.clone(), mailer));
    let heartbeats = tokio::spawn(jobs::send_heartbeats(app.clone(), registration));
    let listener = bind(config.server.listen, "server.listen").await?;
    let shutdown = Shutdown::on(http::stop_signal());
    if let Some(address) = config.management.listen {
        let management_listener = bind(address, "management.listen").await?;
        tracing::info!(address = %management_listener.local_addr()?, "listening for the operators");
        let router = http::management(app.clone(), shutdown.clone()).map_err(failure)?;
        tokio::spawn(http::serve_management(management_listener, router));
    }
    let sockets = SocketLimits { origins: config.server.cors_origins.clone(), ..SocketLimits::default() };
    let settings = Settings {
        limits: config.limits,
        graphiql: config.server.graphiql,
        sockets,
        behind_proxy: config.server.behind_tls_proxy,
    };
    let address = listener.local_addr()?;
    tracing::info!(%address, "listening");
    log_endpoints(config, address, app.policy.current().revision());
    let router = http::with_security_headers(http::router(app.clone(), pipeline, settings), &config.server);
    let grace = Duration::from_secs(config.server.grace_seconds);
    http::serve_within(listener, router, &config.limits, shutdown, grace).await?;
    heartbeats.abort();
    // Else it counts as running for a while yet.
    if let Err(error) = registration.deregister(&app).await {
        tracing::warn!(
            code = error.code.as_str(),
            "this server could not deregister; it counts as running until its heartbeat times out"
        );
    }
    tracing::info!("stopped");
    Ok(())
}

/// Logs the endpoints, and which features are off.
fn log_endpoints(config: &Config, address: SocketAddr, policy: &str) {
    let base = format!("http://{address}");
    tracing::info!(api = format!("{base}/graphql"), policy, database = config.database.kind(), "serving");
    match (config.server.graphiql, http::graphiql::is_built()) {
        (true, true) => {
            tracing::info!(graphiql = format!("{base}{}", http::graphiql::PATH), "GraphiQL is on")
        }
        (true, false) => tracing::warn!("GraphiQL is on, but its page is not in this build"),
        (false, _) => tracing::info!("GraphiQL is off; `server.graphiql = true` serves it"),
    }
    match (config.pages.enabled, &config.pages.public_url) {
        (true, Some(url)) => tracing::info!(pages = format!("{url}/p/link"), "the public pages are on"),
        _ => tracing::info!("the public pages are off; `[pages]` serves them"),
    }
}

/// The number of pending migrations.
async fn pending(db: &Db) -> Result<usize, CliError> {
    let pending = Migrator::get_pending_migrations(&db.writer).await;
    Ok(pending.map_err(|error| database_error(&error))?.len())
}

/// Runs pending migrations and logs how many.
async fn run_migrations(db: &Db) -> Result<(), CliError> {
    let pending = pending(db).await?;
    db.migrate().await.map_err(|error| database_error(&error))?;
    if pending > 0 {
        tracing::info!(migrations = pending, "the database was brought up to date");
    }
    Ok(())
}

async fn bind(address: SocketAddr, key: &str) -> Result<TcpListener, CliError> {
    let listener = TcpListener::bind(address).await;
    Ok(listener.with_context(|| format!("cannot listen on {address}; `{key}` names another address"))?)
}

/// Refreshes the keys of issuers when they are due.
async fn refresh_issuer_keys(app: Arc<App>) {
    while !app.issuers.is_empty() {
        app.issuers.refresh(app.now()).await;
        tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    }
}

/// Brings the database up to date.
pub(crate) async fn migrate(config: &Config) -> Result<(), CliError> {
    let policy = policy(config).await?;
    let db = connect_with_timeout(config, Duration::ZERO).await?;
    run_migrations(&db).await?;
    let app = app(config, policy, db).await?;
    purposes::sync(&app, ACTOR).await.map_err(failure)?;
    consents::refresh_address_keys(&app).await.map_err(failure)?;
    print("the database is up to date\n")
}

/// Compares consents with their events, and repairs those that differ unless it only checks.
pub(crate) async fn rebuild_consents(config: &Config, check: bool) -> Result<(), CliError> {
    let app = open(config).await?;
    let rebuilt = consents::rebuild(&app, ACTOR, check).await.map_err(failure)?;
    for id in &rebuilt.differing {
        note(&format!("consent {id} does not match its events"));
    }
    let (differing, total, unrecorded) = (rebuilt.differing.len(), rebuilt.consents, rebuilt.unrecorded);
    if check && (differing > 0 || unrecorded > 0) {
        let text = format!(
            "{differing} of {total} consents are not what their events say; of {unrecorded} those who follow were not told that they began or ended"
        );
        return Err(anyhow::anyhow!(text).into());
    }
    let mended = if check { "" } else { " and are mended" };
    print(&format!("{total} consents looked at; {differing} differed{mended}; {unrecorded} were not told\n"))
}

/// The files of the policy, once nobody writes to them.
async fn sources(config: &Config) -> Result<Sources, CliError> {
    match &config.policy.dir {
        Some(dir) => policy_watch::settling::read(dir).await.map_err(policy_failure),
        None => Ok(Sources::embedded()),
    }
}

/// The policy of the configuration, whose test cases pass.
async fn policy(config: &Config) -> Result<Policy, CliError> {
    load_tested_policy(&sources(config).await?).await
}

async fn load_tested_policy(sources: &Sources) -> Result<Policy, CliError> {
    Policy::load_proved(sources, &registry::policy_objects()).await.map_err(policy_failure)
}

/// The same without running its test cases, for inspection.
async fn untested_policy(config: &Config) -> Result<Policy, CliError> {
    Policy::load(&sources(config).await?, &registry::policy_objects()).await.map_err(policy_failure)
}

fn policy_failure(error: impl std::fmt::Display) -> CliError {
    CliError::Policy(error.to_string())
}

/// The error for an invalid configuration.
fn usage(text: String) -> CliError {
    CliError::Usage(format!("configuration: {text}"))
}

/// Connects to an existing database.
async fn connect(config: &Config) -> Result<Db, CliError> {
    require_database(config)?;
    connect_with_timeout(config, Duration::ZERO).await
}

/// Fails if the SQLite file does not exist. Only migrations create it; other commands would leave an empty one behind.
fn require_database(config: &Config) -> Result<(), CliError> {
    match config.database.url.strip_prefix("sqlite://") {
        Some(path) if !Path::new(path).exists() => {
            Err(CliError::Usage(format!("there is no database `{path}`; make it with: zweck migrate")))
        }
        _ => Ok(()),
    }
}

/// Open databases, to be closed when the command ends.
static OPENED: Mutex<Vec<Db>> = Mutex::new(Vec::new());

/// Registers a database that the command opened.
fn register_open(db: Db) -> Db {
    OPENED.lock().unwrap_or_else(PoisonError::into_inner).push(db.clone());
    db
}

/// Closes the open databases, so that a SQLite file is complete without its write-ahead log. Does not wait long for
/// databases in use.
pub(crate) async fn close() {
    let databases = std::mem::take(&mut *OPENED.lock().unwrap_or_else(PoisonError::into_inner));
    for db in databases {
        match tokio::time::timeout(CLOSE_TIMEOUT, db.close()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => tracing::warn!("the database could not be closed in time"),
        }
    }
}

/// Connects with a time limit for reading statements; zero means no limit.
async fn connect_with_timeout(config: &Config, time: Duration) -> Result<Db, CliError> {
    let database = &config.database;
    let (url, reader_url) = (database.url.as_str(), database.reader_url.as_deref());
    let connected = Db::connect_with_reader(url, reader_url, database.max_connections, time).await;
    connected.map(register_open).map_err(|error| match error {
        // What is wrong with the address, or what the database is asked for in vain; other errors may quote it, and
        // with it a password.
        sea_orm::DbErr::Custom(text) => CliError::Usage(text),
        error => database_error(&error),
    })
}

/// The error for an unusable database, with a fixed text for the reason.
fn database_error(error: &sea_orm::DbErr) -> CliError {
    CliError::Failed(anyhow::anyhow!(describe_db_error(error)))
}

/// The application on a database that is up to date and whose keys can be opened. Only this function adopts the master
/// key.
async fn app(config: &Config, policy: Policy, db: Db) -> Result<App, CliError> {
    let app = app_without_key_check(config, policy, db).await?;
    audit::adopt_master_key(&app).await.map_err(failure)?;
    Ok(app)
}

/// The same without checking that its keys can be opened.
async fn app_without_key_check(config: &Config, policy: Policy, db: Db) -> Result<App, CliError> {
    let pending = pending(&db).await?;
    if pending > 0 {
        let message = format!("the database lacks {pending} migrations; run: zweck migrate");
        return Err(CliError::Failed(anyhow::anyhow!(message)));
    }
    let Some(master) = config.secrets.master_key.clone() else {
        return Err(CliError::Usage(NO_MASTER_KEY.to_owned()));
    };
    let keys =
        MasterKeys::with_previous(master, config.secrets.previous_master_key.clone().into_iter().collect());
    let issuers =
        Issuers::new(&config.oidc, config.secrets.actor_key.clone().unwrap_or_else(SecretKey::random))
            .map_err(usage)?;
    issuers.check(&policy).map_err(usage)?;
    let clock = Arc::new(SystemClock) as Arc<dyn Clock>;
    let app = App::new(db, PolicyHandle::new(policy), clock, keys, issuers);
    let app = app.with_pages(config.pages.clone()).with_identity_reader(config.identities.reader());
    Ok(app.with_keep_copy(config.recipients.keep_copy()))
}

async fn open(config: &Config) -> Result<App, CliError> {
    let policy = policy(config).await?;
    let app = app(config, policy, connect(config).await?).await?;
    // Another program or region may have made the keys that addresses are found by.
    consents::refresh_address_keys(&app).await.map_err(failure)?;
    Ok(app)
}

fn failure(error: impl Into<Error>) -> CliError {
    let error = error.into();
    match error.code {
        Code::BadUserInput => CliError::Usage(match error.input_path {
            Some(path) => format!("{} ({path})", error.message),
            None => error.message,
        }),
        _ => CliError::Failed(anyhow::anyhow!(error.message)),
    }
}

fn print(text: &str) -> Result<(), CliError> {
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}
