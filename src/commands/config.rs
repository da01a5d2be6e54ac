//! `zweck config`: the defaults, what is in force, and what is wrong with it (floor 7).

use clap::Subcommand;
use zweck::{
    config::{Config, DEFAULTS},
    mailer::Mailer,
};

use super::{app, connect_within, is_made, note, policy, print, usage};
use crate::Failure;

/// What is done with the configuration.
#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every setting with its default and what it means.
    Default,
    /// Print the settings in force and where each comes from, secrets starred.
    Print,
    /// Say whether a server could be started with these settings; if not, all that is wrong and why.
    Check {
        /// Open the database too: whether it can be reached, is up to date, and was set up with this master key.
        #[arg(long)]
        online: bool,
    },
}

/// Does it.
pub(crate) async fn run(config: &Config, command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Default => print(DEFAULTS),
        ConfigCommand::Print => print(&config.shown()),
        ConfigCommand::Check { online: true } => {
            check(config)?;
            is_made(config)?;
            let db = connect_within(config, config.limits.operation_time()).await?;
            let app = app(config, policy(config).await?, db).await?;
            app.issuers.read_files(app.now()).await.map_err(usage)?;
            print(
                "the configuration can be served, and its database is reached, up to date and opened by its keys\n",
            )
        }
        ConfigCommand::Check { online: false } => {
            check(config)?;
            for warning in config.warnings() {
                note(&format!("warning: {warning}"));
            }
            print(
                "the configuration can be served; whether its database can be reached is told by --online\n",
            )
        }
    }
}

/// Refuses what a server for real data must not be started with.
pub(crate) fn check(config: &Config) -> Result<(), Failure> {
    let mut faults = config.dangers();
    if config.secrets.master_key.is_none() {
        faults.insert(0, super::NO_MASTER_KEY.to_owned());
    }
    if let Some(dir) = config.policy.dir.as_ref().filter(|dir| !dir.is_dir()) {
        faults.push(format!("`policy.dir`: {} is not a directory", dir.display()));
    }
    if let Err(error) = Mailer::new(&config.mail) {
        faults.push(error.message);
    }
    match faults.is_empty() {
        true => Ok(()),
        false => Err(Failure::Usage(format!("configuration: {}", faults.join("\nerror: configuration: ")))),
    }
}
