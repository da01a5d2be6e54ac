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
    bench::{self, Baseline, Fault, Growing, Options},
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
    what: Option<BenchCommand>,
    /// Size of the data: 1 for 100,000 contacts, 300,000 consents and 20,000 requests.
    #[arg(long, value_parser = scale)]
    scale: Option<f64>,
    /// Seconds of one measure.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: Option<u32>,
    /// Rounds, of which the median counts.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Connections, one measure for each.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=1_000))]
    connections: Vec<u32>,
    /// Write what was found to FILE too, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    overwrite: Overwrite,
    /// Have the throw-away PostgreSQL wait for the disk with every commit, as one that is in use does.
    #[arg(long)]
    fsync: bool,
    /// Only see that all of it works and the answers are equal, in seconds: little data, one short round. Works in a build without
    /// optimisation too.
    #[arg(long)]
    smoke: bool,
}

/// What else is measured.
#[derive(Subcommand)]
enum BenchCommand {
    /// Measure what a page costs as contacts grow, and a request as the policy grows; on throw-away databases.
    Growth(GrowthArgs),
}

/// How growth is measured.
#[derive(Args)]
struct GrowthArgs {
    /// Contacts of the largest database; the others have a tenth and a hundredth.
    #[arg(long, value_parser = clap::value_parser!(u64).range(500..=100_000_000))]
    contacts: Option<u64>,
    /// Rounds, of which the median counts.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Write what was found to FILE too, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    overwrite: Overwrite,
    /// Only see that all of it works, in seconds. Works in a build without optimisation too.
    #[arg(long)]
    smoke: bool,
}

impl GrowthArgs {
    fn growing(&self) -> Growing {
        let smoke = self.smoke;
        Growing {
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
    if let Some(BenchCommand::Growth(args)) = &args.what {
        return grow(args, database_url.as_ref()).await;
    }
    if args.fsync && database_url.is_some() {
        let text = "--fsync is for the throw-away PostgreSQL; the server that --database-url names has settings of its own";
        return Err(CliError::Usage(text.to_owned()));
    }
    look(args.json.as_deref(), args.overwrite)?;
    let options = args.options(database_url);
    // Children, directories and clusters end with the future.
    let report = tokio::select! {
        report = bench::run(&options, &note) => report?,
        () = http::stop_signal() => return Err(anyhow::anyhow!("interrupted").into()),
    };
    print(&report.table())?;
    kept(&report, args.json.as_deref(), args.overwrite)?;
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
    look(args.json.as_deref(), args.overwrite)?;
    let growing = args.growing();
    let grown = tokio::select! {
        grown = bench::grow(&growing, args.smoke, &note) => grown?,
        () = http::stop_signal() => return Err(anyhow::anyhow!("interrupted").into()),
    };
    print(&grown.table())?;
    kept(&grown, args.json.as_deref(), args.overwrite)
}

/// Refuses a file that is there before anything is measured.
fn look(file: Option<&Path>, overwrite: Overwrite) -> Result<(), CliError> {
    named(file).map_or(Ok(()), |file| overwrite.look(file))
}

/// Writes what was found to a file, where one is asked for.
fn kept(found: &impl Serialize, file: Option<&Path>, overwrite: Overwrite) -> Result<(), CliError> {
    let Some(path) = file else { return Ok(()) };
    let text = serde_json::to_string_pretty(found)? + "\n";
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

impl From<Fault> for CliError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Usage(text) => CliError::Usage(text),
            Fault::Failed(_) | Fault::Differs(_) => CliError::Failed(anyhow::anyhow!(fault)),
        }
    }
}
