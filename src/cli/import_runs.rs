//! `zweck import list` and `zweck import undo`. Room: cli.

use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;
use uuid::Uuid;
use zweck::{
    base::error::Code,
    config::Config,
    exchange::imports::{self, UndoReport},
};

use super::{ListFormat, exit::CliError, failure, import::IMPORTER, open, print};

/// How many imports are listed.
#[derive(Args)]
pub(crate) struct ListArgs {
    /// How many, the latest first.
    #[arg(long, default_value_t = 20)]
    limit: u64,
    /// Output format.
    #[arg(long, value_enum, default_value_t = ListFormat::Text)]
    format: ListFormat,
}

/// Which import.
#[derive(Args)]
pub(crate) struct UndoArgs {
    /// Its ID, as the import and `zweck import list` print it.
    id: Uuid,
    /// Only say what would be undone.
    #[arg(long)]
    dry_run: bool,
    /// Exit with 0 even if contacts were left as they are.
    #[arg(long)]
    allow_left: bool,
}

/// An import as programs read it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    id: Uuid,
    source: String,
    purpose: String,
    actor: String,
    started_at: DateTime<Utc>,
    last_at: DateTime<Utc>,
    imported: i64,
    updated: i64,
    undone_at: Option<DateTime<Utc>>,
}

impl From<entity::import_run::Model> for Listed {
    fn from(run: entity::import_run::Model) -> Self {
        Self {
            id: run.id,
            source: run.source,
            purpose: run.purpose_code,
            actor: run.actor,
            started_at: run.started_at,
            last_at: run.last_at,
            imported: run.imported,
            updated: run.updated,
            undone_at: run.undone_at,
        }
    }
}

/// Lists the latest imports.
pub(crate) async fn list(config: &Config, args: ListArgs) -> Result<(), CliError> {
    let app = open(config).await?;
    let runs = imports::latest_runs(&app, args.limit).await.map_err(failure)?;
    if args.format == ListFormat::Json {
        let runs: Vec<Listed> = runs.into_iter().map(Listed::from).collect();
        return print(&(serde_json::to_string_pretty(&runs)? + "\n"));
    }
    print(&format!(
        "{:<38}{:<22}{:>10}{:>10}  {:<22}source\n",
        "import", "began", "imported", "updated", "undone"
    ))?;
    let time = |at: DateTime<Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    for run in runs {
        let undone = run.undone_at.map_or_else(|| "-".to_owned(), time);
        let (id, began) = (run.id.to_string(), time(run.started_at));
        let line = format!(
            "{id:<38}{began:<22}{:>10}{:>10}  {undone:<22}{}\n",
            run.imported, run.updated, run.source
        );
        print(&line)?;
    }
    Ok(())
}

/// Undoes an import, as far as nothing else was written on top.
pub(crate) async fn undo(config: &Config, args: UndoArgs) -> Result<(), CliError> {
    let app = open(config).await?;
    let mut has_lines = false;
    let on_left = |contact: Uuid, reason: &'static str| {
        let header = if has_lines { String::new() } else { format!("{:<38}reason\n", "contact") };
        has_lines = true;
        // If nobody reads the output, the rest is undone all the same.
        _ = print(&format!("{header}{:<38}{reason}\n", contact.to_string()));
        Ok(())
    };
    let done = imports::undo(&app, IMPORTER, (args.id, args.dry_run), on_left).await;
    let report: UndoReport = done.map_err(|error| match error.code {
        Code::NotFound => CliError::Failed(anyhow::anyhow!(error.message)),
        _ => failure(error),
    })?;
    print(&format!("{}{report}", if has_lines { "\n" } else { "" }))?;
    match report.left {
        0 => Ok(()),
        _ if args.allow_left => Ok(()),
        left => Err(anyhow::anyhow!("contacts left as they are: {left} (--allow-left ends with 0)").into()),
    }
}
