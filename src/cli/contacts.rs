//! `zweck contacts`. Room: cli.

use std::fmt::Write as _;

use clap::Args;
use zweck::{
    config::Config,
    exchange::duplicates::{self, Duplicates, Likelihood},
    graphql::Pipeline,
};

use super::{
    exit::CliError,
    export::{Caller, CallerArgs, refused},
    failure, note, open, print,
};

/// Arguments of the search for duplicates.
#[derive(Args)]
pub(crate) struct DuplicatesArgs {
    #[command(flatten)]
    caller: CallerArgs,
    /// Output format.
    #[arg(long, value_enum, default_value_t = FormatArg::Table)]
    format: FormatArg,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum FormatArg {
    /// One line per pair.
    Table,
    /// One pair as JSON on each line.
    Jsonl,
}

/// Lists contacts that are likely the same person, by id.
pub(crate) async fn duplicates(config: &Config, args: DuplicatesArgs) -> Result<(), CliError> {
    let caller = Caller::new(config, &args.caller)?;
    let app = open(config).await?;
    let pipeline = Pipeline::new().map_err(failure)?;
    let found =
        duplicates::find(&app, &pipeline, async || caller.actor(&app).await).await.map_err(refused)?;
    let text = match args.format {
        FormatArg::Table => table(&found),
        FormatArg::Jsonl => {
            let lines: Result<Vec<String>, _> = found.pairs.iter().map(serde_json::to_string).collect();
            lines?.iter().map(|line| format!("{line}\n")).collect()
        }
    };
    print(&text)?;
    let likely = found.pairs.iter().filter(|pair| pair.likelihood == Likelihood::Likely).count();
    let possible = found.pairs.len() - likely;
    note(&format!(
        "{} contacts: {likely} pairs are likely the same person, {possible} possibly",
        found.contacts
    ));
    if found.shared_too_often > 0 {
        note(&format!(
            "{} addresses and numbers are shared by too many to tell anything",
            found.shared_too_often
        ));
    }
    Ok(())
}

fn table(found: &Duplicates) -> String {
    let mut text = String::new();
    if !found.pairs.is_empty() {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "{:<10}{:<38}{:<38}in common", "", "id", "duplicateId");
    }
    for pair in &found.pairs {
        let likelihood = if pair.likelihood == Likelihood::Likely { "likely" } else { "possible" };
        let common: Vec<&str> = pair.common.iter().map(|common| common.as_str()).collect();
        let (id, duplicate) = (pair.id.to_string(), pair.duplicate_id.to_string());
        let _ = writeln!(text, "{likelihood:<10}{id:<38}{duplicate:<38}{}", common.join(", "));
    }
    text
}
