//! The command line (floor 7).

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use zweck::{
    config::{Config, Flags},
    db::Db,
    graphql,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A GDPR-native CRM core.
#[derive(Parser)]
#[command(name = "zweck", version, about)]
struct Cli {
    /// Configuration file (TOML). Environment variables ZWECK__SECTION__KEY and flags stand above it.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Database, sqlite://FILE or postgres://...
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Bring the database up to date.
    Migrate,
    /// Print the GraphQL schema.
    Schema,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let flags = Flags { database_url: cli.database_url, ..Flags::default() };
    let config = match Config::load(cli.config.as_deref(), &flags) {
        Ok(config) => config,
        Err(text) => return complain(2, &format!("configuration: {text}")),
    };
    match run(&cli.command, &config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(1, &format!("{error:#}")),
    }
}

fn run(command: &Command, config: &Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match command {
            Command::Migrate => {
                let db = Db::connect(&config.database.url, config.database.max_connections).await?;
                Ok(db.migrate().await?)
            }
            Command::Schema => Ok(std::io::stdout().lock().write_all(graphql::build()?.sdl().as_bytes())?),
        }
    })
}

fn complain(code: u8, text: &str) -> ExitCode {
    // Nothing can be said when standard error is closed.
    let _ = writeln!(std::io::stderr().lock(), "zweck: {text}");
    ExitCode::from(code)
}
