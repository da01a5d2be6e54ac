//! The program: reads the arguments, loads the configuration, runs a command and ends with its exit code. Room: cli.

mod cli;

use std::process::ExitCode;

use clap::FromArgMatches;
use zweck::config::{Config, Flags};

use cli::{
    args::{Cli, Command},
    config, examples,
    exit::CliError,
    manual,
    run::run,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::from_arg_matches(&examples::command().get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    // These tell of the program alone, whatever is configured.
    let output = match &cli.command {
        Command::Completions { shell } => Some(manual::completions(*shell)),
        Command::Man { out, overwrite } => Some(manual::write(out, *overwrite)),
        _ => None,
    };
    match output {
        Some(Ok(())) => return ExitCode::SUCCESS,
        Some(Err(error)) => return error.exit(),
        None => {}
    }
    let listen = match &cli.command {
        Command::Serve { listen, .. } | Command::Demo { listen, .. } => listen.clone(),
        _ => None,
    };
    let flags = Flags { listen, database_url: cli.database_url.clone(), policy_dir: cli.policy_dir.clone() };
    let is_server_config =
        matches!(cli.command, Command::Serve { .. } | Command::Config(config::ConfigCommand::Check { .. }));
    let loaded = Config::load_for(cli.config.as_deref(), &flags, |config| {
        config::configuration_errors(config, is_server_config)
    });
    let config = match loaded {
        Ok(config) => config,
        Err(text) => return CliError::Usage(format!("configuration: {text}")).exit(),
    };
    for warning in config.sources.warnings() {
        cli::note(&format!("warning: configuration: {warning}"));
    }
    match run(cli.command, &config, cli.database_url) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.exit(),
    }
}
