//! `zweck config`: the defaults, what is in force, and what is wrong with it. Room: cli.

use clap::Subcommand;
use zweck::{
    config::{Config, DEFAULTS},
    jobs::mailer::Mailer,
};

use super::{
    ListFormat, app, connect_with_timeout, exit::CliError, logs::log_filter, note, policy, print,
    require_database, usage,
};

/// What is done with the configuration.
#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every setting with its default and what it means.
    Default,
    /// Print the effective settings and where each comes from, with secrets redacted.
    Print {
        /// Output format.
        #[arg(long, value_enum, default_value_t = ListFormat::Text)]
        format: ListFormat,
    },
    /// Check whether a server can start with these settings; if not, list every error.
    Check {
        /// Check the database too: reachable, up to date, and set up with this master key.
        #[arg(long)]
        online: bool,
    },
}

/// Does it.
pub(crate) async fn run(config: &Config, command: &ConfigCommand) -> Result<(), CliError> {
    match *command {
        ConfigCommand::Default => print(DEFAULTS),
        ConfigCommand::Print { format: ListFormat::Text } => print(&config.to_toml()),
        ConfigCommand::Print { format: ListFormat::Json } => {
            print(&(serde_json::to_string_pretty(&config.to_json())? + "\n"))
        }
        ConfigCommand::Check { online } => {
            for warning in config.warnings() {
                note(&format!("warning: {warning}"));
            }
            if !online {
                return print(
                    "the configuration can be served; whether its database can be reached is told by --online\n",
                );
            }
            require_database(config)?;
            let db = connect_with_timeout(config, config.limits.operation_time()).await?;
            let app = app(config, policy(config).await?, db).await?;
            app.issuers.read_files(app.now()).await.map_err(usage)?;
            print(
                "the configuration can be served, and its database is reached, up to date and opened by its keys\n",
            )
        }
    }
}

/// What is wrong with a configuration beside its values: what cannot be logged by, and where it is served what a server
/// for real data must not be started with.
pub(crate) fn configuration_errors(config: &Config, is_server: bool) -> Vec<String> {
    let mut errors: Vec<String> = log_filter(&config.log.filter).err().into_iter().collect();
    if !is_server {
        return errors;
    }
    let secrets = &config.secrets;
    if secrets.master_key.is_none() && secrets.master_key_file.is_none() {
        errors.push(super::NO_MASTER_KEY.to_owned());
    }
    errors.extend(config.insecure_settings());
    if let Some(dir) = config.policy.dir.as_ref().filter(|dir| !dir.is_dir()) {
        errors.push(format!("`policy.dir`: {} is not a directory", dir.display()));
    }
    errors.extend(Mailer::setting_errors(&config.mail));
    errors
}
