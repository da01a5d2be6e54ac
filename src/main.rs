//! The command line: starts the server, migrates, manages tokens, imports, exports, checks the policy. Room: main.

mod cli;

use std::{path::PathBuf, process::ExitCode};

use clap::{FromArgMatches, Parser, Subcommand};
use cli::{
    backup, config, contacts, demo, examples, export,
    files::Overwrite,
    health, import, import_consents, import_objections,
    keys::{self, KeysCommand},
    logs, manual, policy, receipts, schema, stops, suppressions,
    tokens::{self, TokenCommand},
};
use zweck::config::{Config, Flags};

pub(crate) use cli::exit::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Heading of what every command takes.
const GLOBAL: &str = "Global options";

/// A GDPR-native CRM core.
#[derive(Parser)]
#[command(name = "zweck", version, about)]
struct Cli {
    /// Configuration file (TOML). Environment variables ZWECK__SECTION__KEY and flags stand above it.
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    config: Option<PathBuf>,
    /// Database, sqlite://FILE or postgres://...
    #[arg(long, global = true, value_name = "URL", help_heading = GLOBAL)]
    database_url: Option<String>,
    /// Directory of the policy files; the embedded policy if absent.
    #[arg(long, global = true, value_name = "DIR", help_heading = GLOBAL)]
    policy_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start the server.
    Serve {
        /// Address and port, 127.0.0.1:8080 by default.
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<String>,
        /// Bring the database up to date first.
        #[arg(long)]
        migrate: bool,
    },
    /// Serve a fresh database full of people who do not exist, and print queries to try.
    Demo {
        /// Keep the database in FILE, which must not exist yet; otherwise it goes with the demo.
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// How many people.
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        people: u32,
        /// Address and port, 127.0.0.1:8080 by default.
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<String>,
        /// Why the page GraphiQL is left out or old, told under the tokens.
        #[arg(long, value_name = "WHY", hide = true)]
        page: Option<String>,
    },
    /// Bring the database up to date.
    Migrate,
    /// Write the whole database to FILE while servers run; for SQLite.
    Backup {
        /// A file that is not there yet.
        file: PathBuf,
    },
    /// Put a backup where the configuration has its database, or only look whether it is whole; for SQLite.
    Restore {
        /// What `zweck backup` wrote.
        file: PathBuf,
        /// Look only; exit with 1 where it is damaged or cannot be opened.
        #[arg(long)]
        check: bool,
    },
    /// Print the GraphQL schema: all of it, or what a token would be shown by GET /schema.graphql.
    Schema(schema::SchemaArgs),
    /// Manage access tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Import data.
    #[command(subcommand)]
    Import(ImportCommand),
    /// Export what a token may read for a purpose.
    #[command(subcommand)]
    Export(ExportCommand),
    /// Look after contacts.
    #[command(subcommand)]
    Contacts(ContactsCommand),
    /// Check the policy.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Manage the master key, under which the keys of the audit log are wrapped.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Look over the suppression list: addresses that must not be advertised to.
    #[command(subcommand)]
    Suppressions(suppressions::SuppressionsCommand),
    /// Look after consents.
    #[command(subcommand)]
    Consents(ConsentsCommand),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Ask the running server of this configuration whether it is ready.
    Healthcheck,
    /// Print what a shell completes commands by, e.g. for bash: source <(zweck completions bash).
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual, one page for each command, to a directory.
    Man {
        /// The directory, which is made where it is missing.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        #[command(flatten)]
        overwrite: Overwrite,
    },
    /// Measure this program against yardsticks, on an empty database of its own.
    #[cfg(feature = "bench")]
    Bench(cli::bench::BenchArgs),
    /// Measure this program against yardsticks; only in a build with `--features bench`.
    #[cfg(not(feature = "bench"))]
    Bench {
        #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
        _rest: Vec<std::ffi::OsString>,
    },
    /// Serve what `zweck bench` measures against.
    #[cfg(feature = "bench")]
    #[command(hide = true)]
    Yardstick {
        /// hand or stock.
        #[arg(value_parser = |word: &str| zweck::bench::Yardstick::parse(word).ok_or("hand or stock"))]
        kind: zweck::bench::Yardstick,
    },
}

#[derive(Subcommand)]
enum ConsentsCommand {
    /// Compare every consent with its events and mend those that differ.
    Rebuild {
        /// Compare only; exit with 1 where one differs.
        #[arg(long)]
        check: bool,
    },
    /// Say whether a receipt is as it was signed; exit with 1 where it is not.
    VerifyReceipt(receipts::VerifyArgs),
    /// Issue the signed record of a consent, or the record to be printed, by what the token may read.
    Receipt(receipts::ReceiptArgs),
}

#[derive(Subcommand)]
enum ImportCommand {
    /// Import contacts from a CSV file, from vCards, or from an export of Zweck.
    Contacts(Box<import::ImportArgs>),
    /// Import consents, withdrawals and refusals with their evidence from a CSV file: gaps are filled, no withdrawal or objection is overridden.
    Consents(Box<import_consents::ImportConsentsArgs>),
    /// Import objections to advertising from a list of addresses or numbers, such as the suppression list of another program.
    Objections(Box<import_objections::ImportObjectionsArgs>),
}

#[derive(Subcommand)]
enum ExportCommand {
    /// Export contacts, with their further contact points and sources where the token may read them.
    Contacts(export::ExportArgs),
    /// Export what a recipient is to stop since persons said no, or note that it did.
    Stops(stops::StopsArgs),
}

#[derive(Subcommand)]
enum ContactsCommand {
    /// List contacts that are likely the same person, by what the token may read; merge them by the mutation mergeContacts.
    Duplicates(contacts::DuplicatesArgs),
}

/// What is said where measuring is not built in.
#[cfg(not(feature = "bench"))]
const NO_BENCH: &str =
    "this build cannot measure; one that can: cargo run --profile bench --features bench -- bench";

fn main() -> ExitCode {
    let cli = match Cli::from_arg_matches(&examples::command().get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    // These tell of the program alone, whatever is configured.
    let told = match &cli.command {
        Command::Completions { shell } => Some(manual::completions(*shell)),
        Command::Man { out, overwrite } => Some(manual::write(out, *overwrite)),
        _ => None,
    };
    match told {
        Some(Ok(())) => return ExitCode::SUCCESS,
        Some(Err(failure)) => return failure.exit(),
        None => {}
    }
    let listen = match &cli.command {
        Command::Serve { listen, .. } | Command::Demo { listen, .. } => listen.clone(),
        _ => None,
    };
    let flags = Flags { listen, database_url: cli.database_url.clone(), policy_dir: cli.policy_dir.clone() };
    let served =
        matches!(cli.command, Command::Serve { .. } | Command::Config(config::ConfigCommand::Check { .. }));
    let loaded = Config::load_for(cli.config.as_deref(), &flags, |config| config::refusals(config, served));
    let config = match loaded {
        Ok(config) => config,
        Err(text) => return Failure::Usage(format!("configuration: {text}")).exit(),
    };
    match start(cli.command, &config, cli.database_url) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.exit(),
    }
}

fn start(command: Command, config: &Config, database_url: Option<String>) -> Result<(), Failure> {
    // A bench tells by itself how far it is.
    let quiet = matches!(command, Command::Bench { .. });
    logs::log(config, if quiet { "warn" } else { &config.log.filter })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let done = match command {
            Command::Serve { migrate, .. } => cli::serve(config, migrate).await,
            Command::Demo { file, people, page, .. } => {
                demo::run(config, file, usize::try_from(people).unwrap_or(500), page.as_deref()).await
            }
            Command::Migrate => cli::migrate(config).await,
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
            Command::Export(ExportCommand::Contacts(args)) => export::contacts(config, args).await,
            Command::Export(ExportCommand::Stops(args)) => stops::run(config, args).await,
            Command::Contacts(ContactsCommand::Duplicates(args)) => contacts::duplicates(config, args).await,
            Command::Policy(command) => policy::run(config, command).await,
            Command::Keys(KeysCommand::Generate { out }) => keys::generate(out.as_deref()),
            Command::Keys(KeysCommand::Status { format }) => keys::status(config, format).await,
            Command::Keys(KeysCommand::Rotate) => keys::rotate(config).await,
            Command::Keys(KeysCommand::Remake { .. }) => keys::remake(config).await,
            Command::Consents(ConsentsCommand::Rebuild { check }) => {
                cli::rebuild_consents(config, check).await
            }
            Command::Consents(ConsentsCommand::VerifyReceipt(args)) => receipts::verify(config, args).await,
            Command::Consents(ConsentsCommand::Receipt(args)) => receipts::receipt(config, args).await,
            Command::Suppressions(command) => suppressions::run(config, command).await,
            Command::Config(command) => config::run(config, &command).await,
            Command::Healthcheck => health::check(config).await,
            Command::Completions { .. } | Command::Man { .. } => Ok(()),
            #[cfg(feature = "bench")]
            Command::Bench(args) => cli::bench::run(&args, database_url).await,
            #[cfg(feature = "bench")]
            Command::Yardstick { kind } => cli::bench::yardstick(config, kind).await,
            #[cfg(not(feature = "bench"))]
            Command::Bench { .. } => {
                let _ = database_url;
                Err(Failure::Usage(NO_BENCH.to_owned()))
            }
        };
        cli::close().await;
        done
    })
}
