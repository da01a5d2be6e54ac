//! `zweck export stops` (floor 7).

use std::{
    io::{self, BufWriter, Seek},
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use uuid::Uuid;
use zweck::{
    audit,
    config::Config,
    error::{Code, Error},
    exports::{self, StopFormat},
    stops,
};

use super::{ACTOR, export::refused, note, open};
use crate::Failure;

/// Whom it is for, and what becomes of it.
#[derive(Args)]
pub(crate) struct StopsArgs {
    /// Id or name of the recipient.
    #[arg(long)]
    recipient: String,
    /// How it is written.
    #[arg(long, value_enum, default_value_t = FormatArg::Csv)]
    format: FormatArg,
    /// Write to FILE, readable by its owner alone, once everything is in it; to standard output if absent.
    #[arg(long, value_name = "FILE", conflicts_with = "acknowledge")]
    output: Option<PathBuf>,
    /// Write nothing; note that the recipient did what this batch told it. May be repeated.
    #[arg(long, value_name = "BATCH")]
    acknowledge: Vec<Uuid>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum FormatArg {
    /// Comma-separated values.
    Csv,
    /// JSON.
    Json,
}

/// Writes a stop file, or notes that one was done.
pub(crate) async fn run(config: &Config, args: StopsArgs) -> Result<(), Failure> {
    let app = open(config).await?;
    let found = stops::recipient(&app.db.reader, &args.recipient).await;
    let recipient = found.map_err(refused)?;
    if !args.acknowledge.is_empty() {
        for batch in &args.acknowledge {
            let done = exports::acknowledge(&app, ACTOR, recipient, *batch).await.map_err(refused)?;
            note(&format!("batch {batch}: {done} stops acknowledged"));
        }
        return Ok(());
    }
    let format = match args.format {
        FormatArg::Csv => StopFormat::Csv,
        FormatArg::Json => StopFormat::Json,
    };
    // Beside the file that is asked for, readable by its owner alone; it takes its place once it is whole and counts as told.
    let path = args.output.as_deref();
    let beside = path.and_then(Path::parent).filter(|parent| !parent.as_os_str().is_empty());
    let part = tempfile::Builder::new().prefix(".zweck-export-").tempfile_in(match (path, beside) {
        (_, Some(parent)) => parent.to_owned(),
        (Some(_), None) => PathBuf::from("."),
        (None, None) => std::env::temp_dir(),
    });
    let part = part.context("cannot write a file beside the one that is asked for")?;
    let done = audit::again(|| async {
        // Nothing of an attempt that others were in the way of.
        let empty = part.as_file().set_len(0).and_then(|()| part.as_file().rewind());
        empty.map_err(|_| Error::input("the file cannot be written"))?;
        exports::stops(&app, ACTOR, recipient, format, BufWriter::new(part.as_file())).await
    });
    let told = done.await.map_err(|error| match error.code {
        Code::BadUserInput => Failure::Failed(anyhow::anyhow!(error.message)),
        _ => refused(error),
    })?;
    match path {
        Some(path) => {
            part.as_file().sync_all()?;
            part.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
        }
        None => {
            part.as_file().rewind()?;
            io::copy(&mut part.as_file(), &mut io::stdout().lock())?;
        }
    }
    note(&format!("{} stops to be acknowledged", told.stops));
    for batch in &told.batches {
        note(&format!("batch {batch}"));
    }
    Ok(())
}
