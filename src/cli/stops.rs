//! `zweck export stops`. Room: cli.

use std::{
    io::{self, BufWriter, Seek},
    path::PathBuf,
};

use anyhow::Context;
use clap::Args;
use uuid::Uuid;
use zweck::{
    audit,
    base::error::{Code, Error},
    config::Config,
    domain::stops,
    exchange::exports::{self, StopFormat},
};

use super::{
    ACTOR,
    exit::CliError,
    export::refused,
    files::{Overwrite, named},
    note, open,
};

/// The recipient, and what to do.
#[derive(Args)]
pub(crate) struct StopsArgs {
    /// Id or name of the recipient.
    #[arg(long)]
    recipient: String,
    /// Output format.
    #[arg(long, value_enum, default_value_t = FormatArg::Csv)]
    format: FormatArg,
    /// Write to FILE, readable only by its owner and only when complete (default, or -: standard output).
    #[arg(long, value_name = "FILE", conflicts_with = "acknowledge")]
    output: Option<PathBuf>,
    #[command(flatten)]
    overwrite: Overwrite,
    /// Export nothing; record that the recipient acted on this batch. Repeatable.
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

/// Writes a stop file, or records an acknowledgement.
pub(crate) async fn run(config: &Config, args: StopsArgs) -> Result<(), CliError> {
    let named = named(args.output.as_deref());
    named.map(|path| args.overwrite.check_writable(path)).transpose()?;
    let app = open(config).await?;
    let found = stops::find_recipient(&app.db.reader, &args.recipient).await;
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
    let output = named.map(|path| args.overwrite.create(path)).transpose()?;
    // A complete file counts as exported; only then is it moved to its target.
    let part = match &output {
        Some(output) => output.file().try_clone(),
        None => tempfile::tempfile(),
    };
    let mut part = part.context("cannot write a file")?;
    let done = audit::with_retry(|| async {
        // Nothing of an attempt that others were in the way of.
        let empty = part.set_len(0).and_then(|()| (&part).rewind());
        empty.map_err(|_| Error::bad_input("the file cannot be written"))?;
        exports::stops(&app, ACTOR, recipient, format, BufWriter::new(&part)).await
    });
    let summary = done.await.map_err(|error| match error.code {
        Code::BadUserInput => CliError::Failed(anyhow::anyhow!(error.message)),
        _ => refused(error),
    })?;
    // The names of the batches come first: they identify a file that did not arrive.
    note(&format!("{} stops to be acknowledged", summary.stops));
    for batch in &summary.batches {
        note(&format!("batch {batch}"));
    }
    match output {
        Some(output) => output.commit()?,
        None => {
            part.rewind()?;
            io::copy(&mut part, &mut io::stdout().lock())?;
        }
    }
    Ok(())
}
