//! Which function runs a command. Room: cli.

use zweck::config::Config;

use super::{
    args::{Command, ConsentsCommand, ContactsCommand, ExportCommand, ImportCommand},
    backup, config, contacts, demo,
    exit::CliError,
    export, health, import, import_consents, import_objections, import_runs,
    keys::{self, KeysCommand},
    logs, policy, receipts, schema, stops, suppressions,
    tokens::{self, TokenCommand},
};

/// What is said where measuring is not built in.
#[cfg(not(feature = "bench"))]
const NO_BENCH: &str =
    "this build cannot measure; one that can: cargo run --profile bench --features bench -- bench";

/// Runs a command to its end.
pub(crate) fn run(command: Command, config: &Config, database_url: Option<String>) -> Result<(), CliError> {
    // A bench reports its own progress.
    let quiet = matches!(command, Command::Bench { .. });
    logs::log(config, if quiet { "warn" } else { &config.log.filter })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let done = match command {
            Command::Serve { migrate, .. } => super::serve(config, migrate).await,
            Command::Demo { file, people, page, .. } => {
                demo::run(config, file, usize::try_from(people).unwrap_or(500), page.as_deref()).await
            }
            Command::Migrate => super::migrate(config).await,
            Command::Backup { file } => backup::backup(config, &file).await,
            Command::Restore { file, check } => backup::restore(config, &file, check).await,
            Command::Schema(args) => schema::print(config, &args).await,
            Command::Token(TokenCommand::Create(args)) => tokens::create(config, args).await,
            Command::Token(TokenCommand::List { format, state }) => {
                tokens::list(config, format, state.as_deref()).await
            }
            Command::Token(TokenCommand::Rotate(args)) => tokens::rotate(config, args).await,
            Command::Token(TokenCommand::Actor { issuer }) => tokens::actor(config, &issuer).await,
            Command::Token(TokenCommand::Revoke { token }) => tokens::revoke(config, &token).await,
            Command::Import(ImportCommand::Contacts(args)) => import::contacts(config, *args).await,
            Command::Import(ImportCommand::Consents(args)) => import_consents::consents(config, *args).await,
            Command::Import(ImportCommand::Objections(args)) => {
                import_objections::objections(config, *args).await
            }
            Command::Import(ImportCommand::List(args)) => import_runs::list(config, args).await,
            Command::Import(ImportCommand::Undo(args)) => import_runs::undo(config, args).await,
            Command::Export(ExportCommand::Contacts(args)) => export::contacts(config, args).await,
            Command::Export(ExportCommand::Stops(args)) => stops::run(config, args).await,
            Command::Contacts(ContactsCommand::Duplicates(args)) => contacts::duplicates(config, args).await,
            Command::Policy(command) => policy::run(config, command).await,
            Command::Keys(KeysCommand::Generate { out }) => keys::generate(out.as_deref()),
            Command::Keys(KeysCommand::Status { format }) => keys::status(config, format).await,
            Command::Keys(KeysCommand::Rotate) => keys::rotate(config).await,
            Command::Keys(KeysCommand::Remake { .. }) => keys::remake(config).await,
            Command::Consents(ConsentsCommand::Rebuild { check }) => {
                super::rebuild_consents(config, check).await
            }
            Command::Consents(ConsentsCommand::VerifyReceipt(args)) => receipts::verify(config, args).await,
            Command::Consents(ConsentsCommand::Receipt(args)) => receipts::receipt(config, args).await,
            Command::Suppressions(command) => suppressions::run(config, command).await,
            Command::Config(command) => config::run(config, &command).await,
            Command::Healthcheck => health::check(config).await,
            Command::Completions { .. } | Command::Man { .. } => Ok(()),
            #[cfg(feature = "bench")]
            Command::Bench(args) => super::bench::run(&args, database_url).await,
            #[cfg(feature = "bench")]
            Command::Baseline { kind } => super::bench::baseline(config, kind).await,
            #[cfg(not(feature = "bench"))]
            Command::Bench { .. } => {
                let _ = database_url;
                Err(CliError::Usage(NO_BENCH.to_owned()))
            }
        };
        super::close().await;
        done
    })
}
