//! `zweck bench`: measures, prints a table and writes JSON; and the yardsticks it starts (floor 7).

use std::{fs, path::PathBuf, sync::Arc};

use clap::Args;
use tokio::net::TcpListener;
use zweck::{
    bench::{self, Fault, Options, Yardstick},
    config::Config,
    http,
};

use super::{app, connect_within, note, policy, print};
use crate::Failure;

/// How it is measured.
#[derive(Args)]
pub(crate) struct BenchArgs {
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
    /// Only see that all of it works and the answers are equal, in seconds: little data, one short round. Works in a build without
    /// optimisation too.
    #[arg(long)]
    smoke: bool,
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
            smoke,
        }
    }
}

/// Measures. The database is only ever the one that the flag names: what the configuration names may be in use.
pub(crate) async fn run(args: &BenchArgs, database_url: Option<String>) -> Result<(), Failure> {
    let options = args.options(database_url);
    // Children, directories and clusters end with the future.
    let report = tokio::select! {
        report = bench::run(&options, &note) => report?,
        () = http::stop_signal() => return Err(anyhow::anyhow!("interrupted").into()),
    };
    print(&report.table())?;
    if let Some(file) = &args.json {
        fs::write(file, serde_json::to_string_pretty(&report)? + "\n")?;
    }
    match report.databases.iter().map(|measured| measured.failed).sum::<u64>() {
        0 => Ok(()),
        failed => Err(anyhow::anyhow!("{failed} requests failed").into()),
    }
}

/// Serves a yardstick at `server.listen`.
pub(crate) async fn yardstick(config: &Config, yardstick: Yardstick) -> Result<(), Failure> {
    let policy = policy(config).await?;
    let db = connect_within(config, config.limits.operation_time()).await?;
    let app = Arc::new(app(config, policy, db).await?);
    let listener = TcpListener::bind(config.server.listen).await?;
    Ok(bench::serve(yardstick, app, listener).await?)
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Usage(text) => Failure::Usage(text),
            Fault::Failed(_) | Fault::Differs(_) => Failure::Failed(anyhow::anyhow!(fault)),
        }
    }
}
