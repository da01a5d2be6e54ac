//! The arguments of the program and its commands. Room: cli.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::{
    config, contacts, export, files::Overwrite, import, import_consents, import_objections, import_runs,
    keys::KeysCommand, policy, receipts, schema, stops, suppressions, tokens::TokenCommand,
};

/// Heading of what every command takes.
const GLOBAL: &str = "Global options";

/// A GDPR-native CRM core.
#[derive(Parser)]
#[command(name = "zweck", version, about)]
pub(crate) struct Cli {
    /// Configuration file (TOML). Overridden by environment variables ZWECK__SECTION__KEY and by flags.
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    pub(crate) config: Option<PathBuf>,
    /// Database, sqlite://FILE or postgres://...
    #[arg(long, global = true, value_name = "URL", help_heading = GLOBAL)]
    pub(crate) database_url: Option<String>,
    /// Directory of the policy files (default: the embedded policy).
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
        /// Run pending migrations first.
        #[arg(long)]
        migrate: bool,
    },
    /// Serve a fresh database of invented people, and print queries to try.
    Demo {
        /// Keep the database in FILE, which must not exist yet (default: delete it when the demo ends).
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// How many people.
        #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        people: u32,
        /// Address and port, 127.0.0.1:8080 by default.
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<String>,
        /// Why the GraphiQL page is missing or outdated; printed below the tokens.
        #[arg(long, value_name = "WHY", hide = true)]
        page: Option<String>,
    },
    /// Run pending database migrations.
    Migrate,
    /// Write the whole database to FILE while servers run; for SQLite.
    Backup {
        /// A file that does not exist yet.
        file: PathBuf,
    },
    /// Restore a backup to the configured database path, or only check it with --check; for SQLite.
    Restore {
        /// A file written by `zweck backup`.
        file: PathBuf,
        /// Check only; exit with 1 if the backup is damaged or its keys cannot be opened.
        #[arg(long)]
        check: bool,
    },
    /// Print the GraphQL schema: all of it, or the part a token sees at GET /schema.graphql.
    Schema(schema::SchemaArgs),
    /// Manage access tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Import data.
    #[command(subcommand)]
    Import(ImportCommand),
    /// Export the data that a token may read for a purpose.
    #[command(subcommand)]
    Export(ExportCommand),
    /// Manage contacts.
    #[command(subcommand)]
    Contacts(ContactsCommand),
    /// Check the policy.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Manage the master key, which wraps the keys of the audit log.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Review the suppression list: addresses that must not receive advertising.
    #[command(subcommand)]
    Suppressions(suppressions::SuppressionsCommand),
    /// Manage consents.
    #[command(subcommand)]
    Consents(ConsentsCommand),
    /// Inspect the configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Check whether the running server with this configuration is ready.
    Healthcheck,
    /// Print shell completions, e.g. for bash: source <(zweck completions bash).
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages, one for each command, to a directory.
    Man {
        /// The directory; created if missing.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        #[command(flatten)]
        overwrite: Overwrite,
    },
    /// Benchmark this program against baselines, on an empty database of its own.
    #[cfg(feature = "bench")]
    Bench(super::bench::BenchArgs),
    /// Benchmark this program against baselines; only in a build with `--features bench`.
    #[cfg(not(feature = "bench"))]
    Bench {
        #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
        _rest: Vec<std::ffi::OsString>,
    },
    /// Serve a baseline for `zweck bench`.
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
    /// Compare every consent with its events and repair those that differ.
    Rebuild {
        /// Compare only; exit with 1 if any consent differs.
        #[arg(long)]
        check: bool,
    },
    /// Verify the signature of a receipt; exit with 1 if it does not match.
    VerifyReceipt(receipts::VerifyArgs),
    /// Issue the signed or the printable record of a consent, as far as the token may read it.
    Receipt(receipts::ReceiptArgs),
}

#[derive(Subcommand)]
pub(crate) enum ImportCommand {
    /// Import contacts from a CSV file, from vCards, or from an export of Zweck.
    Contacts(Box<import::ImportArgs>),
    /// Import consents, withdrawals and refusals with their evidence from a CSV file. Fills gaps; never overrides a
    /// withdrawal or an objection.
    Consents(Box<import_consents::ImportConsentsArgs>),
    /// Import objections to advertising from a list of addresses or numbers, such as the suppression list of another
    /// program.
    Objections(Box<import_objections::ImportObjectionsArgs>),
    /// List the latest imports of contacts.
    List(import_runs::ListArgs),
    /// Undo an import of contacts, as long as nothing else was written on top. Objections of the file stay.
    Undo(import_runs::UndoArgs),
}

#[derive(Subcommand)]
pub(crate) enum ExportCommand {
    /// Export contacts, with their further contact points and sources if the token may read them.
    Contacts(export::ExportArgs),
    /// Export what a recipient must stop after withdrawals and objections, or record that it did.
    Stops(stops::StopsArgs),
}

#[derive(Subcommand)]
pub(crate) enum ContactsCommand {
    /// List contacts that are likely the same person, using only what the token may read. Merge them with the mutation
    /// mergeContacts.
    Duplicates(contacts::DuplicatesArgs),
}
