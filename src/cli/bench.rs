//! `zweck bench`: measures, prints a table and writes JSON; and the baselines it starts. Room: cli.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Args, Subcommand};
use serde::Serialize;
use tokio::net::TcpListener;
use zweck::{
    bench::{self, Baseline, BenchError, GrowthOptions, Options},
    config::Config,
    http,
};

use super::{
    app, connect_with_timeout,
    exit::CliError,
    files::{Overwrite, is_output, named},
    note, policy, print,
};

/// How it is measured.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    measurement: Option<BenchCommand>,
    /// Size of the data: 1 for 100,000 contacts, 300,000 consents and 20,000 requests.
    #[arg(long, value_parser = scale)]
    scale: Option<f64>,
    /// Seconds per measurement.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: Option<u32>,
    /// Number of rounds; the median counts.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Numbers of connections, one measurement for each.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_000))]
    connections: Vec<u32>,
    /// Also write the results to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    overwrite: Overwrite,
    /// Let the throw-away PostgreSQL sync every commit to disk, as a production server does.
    #[arg(long)]
    fsync: bool,
    /// Smoke test: check in seconds that everything works and the answers are equal, with little data and one short
    /// round. Also works in a debug build.
    #[arg(long)]
    smoke: bool,
}

/// What else is measured.
#[derive(Subcommand)]
enum BenchCommand {
    /// Measure how the cost of a page grows with the contacts, and the cost of a request with the policy, on throw-away
    /// databases.
    Growth(GrowthArgs),
}

/// How growth is measured.
#[derive(Args)]
struct GrowthArgs {
    /// Contacts in the largest database; the others have a tenth and a hundredth of it.
    #[arg(long, value_parser = clap::value_parser!(u64).range(500..=100_000_000))]
    contacts: Option<u64>,
    /// Number of rounds; the median counts.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Also write the results to FILE as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    overwrite: Overwrite,
    /// Smoke test: check in seconds that everything works. Also works in a debug build.
    #[arg(long)]
    smoke: bool,
}

impl GrowthArgs {
    fn growing(&self) -> GrowthOptions {
        let smoke = self.smoke;
        GrowthOptions {
            contacts: self.contacts.unwrap_or(if smoke { 5_000 } else { 1_000_000 }),
            rounds: self.rounds.unwrap_or(if smoke { 1 } else { 5 }),
            millis: if smoke { 10 } else { 300 },
            lines: if smoke { 500 } else { 50_000 },
            roles: if smoke { 4 } else { 64 },
        }
    }
}

fn scale(text: &str) -> Result<f64, String> {
    let scale = text.parse::<f64>().ok().filter(|scale| (0.001..=100.0).contains(scale));
    scale.ok_or_else(|| "a scale is a number from 0.001 to 100".to_owned())
}

impl BenchArgs {
    fn options(&self, database_url: Option<String>) -> Options {
        let smoke = self.smoke;
        let levels = if smoke { vec![4] } else { vec![1, 16, 64] };
        Options {
            database_url,
            scale: self.scale.unwrap_or(if smoke { 0.01 } else { 1.0 }),
            seconds: self.seconds.unwrap_or(if smoke { 1 } else { 2 }),
            rounds: self.rounds.unwrap_or(if smoke { 1 } else { 5 }),
            connections: if self.connections.is_empty() { levels } else { self.connections.clone() },
            fsync: self.fsync,
            smoke,
        }
    }
}

/// Measures. The database is only ever the one that the flag names: what the configuration names may be in use.
pub(crate) async fn run(args: &BenchArgs, database_url: Option<String>) -> Result<(), CliError> {
    if let Some(BenchCommand::Growth(args)) = &args.measurement {
        return grow(args, database_url.as_ref()).await;
    }
    if args.fsync && database_url.is_some() {
        let text = "--fsync is for the throw-away PostgreSQL; the server that --database-url names has settings of its own";
        return Err(CliError::Usage(text.to_owned()));
    }
    check_output(args.json.as_deref(), args.overwrite)?;
    let options = args.options(database_url);
    // Children, directories and clusters end with the future.
    let report = tokio::select! {
        report = bench::run(&options, &note) => report?,
        () = http::stop_signal() => return Err(anyhow::anyhow!("interrupted").into()),
    };
    print(&report.table())?;
    save_report(&report, args.json.as_deref(), args.overwrite)?;
    match report.databases.iter().map(|measured| measured.failed).sum::<u64>() {
        0 => Ok(()),
        failed => Err(anyhow::anyhow!("{failed} requests failed").into()),
    }
}

/// Measures growth.
async fn grow(args: &GrowthArgs, database_url: Option<&String>) -> Result<(), CliError> {
    if database_url.is_some() {
        let text = "growth is measured on several databases of its own; --database-url names only one";
        return Err(CliError::Usage(text.to_owned()));
    }
    check_output(args.json.as_deref(), args.overwrite)?;
    let options = args.growing();
    let report = tokio::select! {
        report = bench::grow(&options, args.smoke, &note) => report?,
        () = http::stop_signal() => return Err(anyhow::anyhow!("interrupted").into()),
    };
    print(&report.table())?;
    save_report(&report, args.json.as_deref(), args.overwrite)
}

/// Refuses a file that is there before anything is measured.
fn check_output(file: Option<&Path>, overwrite: Overwrite) -> Result<(), CliError> {
    named(file).map_or(Ok(()), |file| overwrite.check_writable(file))
}

/// Writes what was found to a file, where one is asked for.
fn save_report(report: &impl Serialize, file: Option<&Path>, overwrite: Overwrite) -> Result<(), CliError> {
    let Some(path) = file else { return Ok(()) };
    let text = serde_json::to_string_pretty(report)? + "\n";
    match is_output(path) {
        true => print(&text),
        false => Ok(overwrite.open(path)?.write_all(text.as_bytes())?),
    }
}

/// Serves a baseline at `server.listen`.
pub(crate) async fn baseline(config: &Config, baseline: Baseline) -> Result<(), CliError> {
    let policy = policy(config).await?;
    let db = connect_with_timeout(config, config.limits.operation_time()).await?;
    let app = Arc::new(app(config, policy, db).await?);
    let listener = TcpListener::bind(config.server.listen).await?;
    Ok(bench::serve(baseline, app, listener).await?)
}

impl From<BenchError> for CliError {
    fn from(error: BenchError) -> Self {
        match error {
            BenchError::Usage(text) => CliError::Usage(text),
            BenchError::Failed(_) | BenchError::Differs(_) => CliError::Failed(anyhow::anyhow!(error)),
        }
    }
}
