//! `zweck import consents`. Room: cli.

use std::{fs::File, path::PathBuf};

use anyhow::Context;
use clap::Args;
use zweck::{
    config::Config,
    domain::purposes,
    exchange::imports::{self, ConsentImport, Reading},
};

use super::exit::CliError;
use super::{
    ACTOR, failure,
    files::Overwrite,
    import::{EncodingArg, IMPORTER, Teller},
    open,
};

/// Which file, and what is in it.
#[derive(Args)]
pub(crate) struct ImportConsentsArgs {
    /// The CSV file, one declaration on each line.
    file: PathBuf,
    /// What a column holds, e.g. declaredAt=OptInDate; may be repeated. Columns called contactId, email, phone, externalId, purpose, channel, status, declaredAt, confirmedAt, textVersion, language, proof, source, evidence, address or expiresAt need no word.
    #[arg(long = "map", value_name = "FIELD=COLUMN")]
    map: Vec<String>,
    /// Column that does not count, though it looks as if; may be repeated.
    #[arg(long = "ignore", value_name = "COLUMN")]
    ignore: Vec<String>,
    /// Where consents were declared, for lines without a source of their own.
    #[arg(long)]
    source: Option<String>,
    /// Source of the contacts that external ids are those of; any if absent.
    #[arg(long, value_name = "NAME")]
    contact_source: Option<String>,
    /// Characters of the file.
    #[arg(long, value_enum, default_value_t = EncodingArg::Utf8)]
    encoding: EncodingArg,
    /// The first row is data; columns are named by their number, from 1.
    #[arg(long)]
    no_header: bool,
    /// Character between fields; a comma if absent.
    #[arg(long)]
    delimiter: Option<char>,
    /// Check only, write nothing.
    #[arg(long)]
    dry_run: bool,
    /// End with 0 also where rows were rejected; without it with 1, though what can come in does.
    #[arg(long)]
    allow_rejected: bool,
    /// Write the report as JSON to FILE.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    overwrite: Overwrite,
}

impl ImportConsentsArgs {
    fn import(self) -> Result<ConsentImport, CliError> {
        let Ok(delimiter) = u8::try_from(self.delimiter.unwrap_or(',')) else {
            return Err(CliError::Usage("the delimiter must be one ASCII character".to_owned()));
        };
        Ok(ConsentImport {
            map: ConsentImport::map_from(self.map.iter().map(String::as_str)).map_err(failure)?,
            ignore: self.ignore,
            source: self.source,
            contact_source: self.contact_source,
            actor: IMPORTER.to_owned(),
            reading: Reading {
                delimiter,
                header: !self.no_header,
                encoding: self.encoding.into(),
                ..Reading::default()
            },
            dry_run: self.dry_run,
        })
    }
}

/// Imports consents; what is left out or rejected is reported and does not stop the others.
pub(crate) async fn consents(config: &Config, args: ImportConsentsArgs) -> Result<(), CliError> {
    let (path, report, allowed) = (args.file.clone(), args.report.clone(), args.allow_rejected);
    let overwrite = args.overwrite;
    let import = args.import()?;
    let app = open(config).await?;
    purposes::sync(&app, ACTOR).await.map_err(failure)?;
    let file = File::open(&path).with_context(|| format!("cannot read {}", path.display()))?;
    // It is read three times.
    let size = file.metadata().map(|about| about.len() * 3).unwrap_or_default();
    let mut teller = Teller::new(size, report.as_deref(), overwrite)?;
    let bar = teller.bar.clone();
    let read = || Ok(bar.wrap_read(File::open(&path)?));
    let done = imports::consents(&app, read, &import, |problem| teller.tell(&problem)).await;
    teller.close(done, "lines", allowed)
}
