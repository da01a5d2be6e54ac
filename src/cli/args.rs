//! The arguments of the program and its commands. Room: cli.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::{
    config, contacts, export, files::Overwrite, import, import_consents, import_objections,
    keys::KeysCommand, policy, receipts, schema, stops, suppressions, tokens::TokenCommand,
};

/// Heading of what every command takes.
const GLOBAL: &str = "Global options";

/// A GDPR-native CRM core.
#[derive(Parser)]
#[command(name = "zweck", version, about)]
pub(crate) struct Cli {
    /// Configuration file (TOML). Environment variables ZWECK__SECTION__KEY and flags stand above it.
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    pub(crate) config: Option<PathBuf>,
    /// Database, sqlite://FILE or postgres://...
    #[arg(long, global = true, value_name = "URL", help_heading = GLOBAL)]
    pub(crate) database_url: Option<String>,
    /// Directory of the policy files; the embedded policy if absent.
    #[arg(long, global = true, value_name = "DIR", help_heading = GLOBAL)]
    pub(crate) policy_dir: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
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
    /// Measure this program against baselines, on an empty database of its own.
    #[cfg(feature = "bench")]
    Bench(super::bench::BenchArgs),
    /// Measure this program against baselines; only in a build with `--features bench`.
    #[cfg(not(feature = "bench"))]
    Bench {
        #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
        _rest: Vec<std::ffi::OsString>,
    },
    /// Serve what `zweck bench` measures against.
    #[cfg(feature = "bench")]
    #[command(hide = true)]
    Baseline {
        /// hand or stock.
        #[arg(value_parser = |word: &str| zweck::bench::Baseline::parse(word).ok_or("hand or stock"))]
        kind: zweck::bench::Baseline,
    },
}

#[derive(Subcommand)]
pub(crate) enum ConsentsCommand {
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
pub(crate) enum ImportCommand {
    /// Import contacts from a CSV file, from vCards, or from an export of Zweck.
    Contacts(Box<import::ImportArgs>),
    /// Import consents, withdrawals and refusals with their evidence from a CSV file: gaps are filled, no withdrawal or objection is overridden.
    Consents(Box<import_consents::ImportConsentsArgs>),
    /// Import objections to advertising from a list of addresses or numbers, such as the suppression list of another program.
    Objections(Box<import_objections::ImportObjectionsArgs>),
}

#[derive(Subcommand)]
pub(crate) enum ExportCommand {
    /// Export contacts, with their further contact points and sources where the token may read them.
    Contacts(export::ExportArgs),
    /// Export what a recipient is to stop since persons said no, or note that it did.
    Stops(stops::StopsArgs),
}

#[derive(Subcommand)]
pub(crate) enum ContactsCommand {
    /// List contacts that are likely the same person, by what the token may read; merge them by the mutation mergeContacts.
    Duplicates(contacts::DuplicatesArgs),
}
