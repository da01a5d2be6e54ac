//! `zweck import consents`. Room: cli.

use std::{fs::File, path::PathBuf};

use clap::Args;
use zweck::{
    config::Config,
    exchange::imports::{self, ConsentImport},
};

use super::{
    exit::CliError,
    failure,
    files::Overwrite,
    import::{EncodingArg, IMPORTER, csv_read_options, start_import},
};

/// Which file, and what is in it.
#[derive(Args)]
pub(crate) struct ImportConsentsArgs {
    /// The CSV file, with one declaration on each line.
    file: PathBuf,
    /// What a column holds, e.g. declaredAt=OptInDate; repeatable. Columns with these names are recognised
    /// automatically: contactId, email, phone, externalId, purpose, channel, status, declaredAt, confirmedAt,
    /// textVersion, language, proof, source, evidence, address, expiresAt.
    #[arg(long = "map", value_name = "FIELD=COLUMN")]
    map: Vec<String>,
    /// Column to ignore although it looks relevant; repeatable.
    #[arg(long = "ignore", value_name = "COLUMN")]
    ignore: Vec<String>,
    /// Where consents were declared, for lines that name no source.
    #[arg(long)]
    source: Option<String>,
    /// Look up external IDs only among contacts imported from this source (default: all).
    #[arg(long, value_name = "NAME")]
    contact_source: Option<String>,
    /// Character encoding of the file.
    #[arg(long, value_enum, default_value_t = EncodingArg::Utf8)]
    encoding: EncodingArg,
    /// The first row is data; refer to columns by number, from 1.
    #[arg(long)]
    no_header: bool,
    /// Character between fields (default: a comma).
    #[arg(long)]
    delimiter: Option<char>,
    /// Check only, write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Exit with 0 even if rows were rejected (default: import the valid rows and exit with 1).
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
        Ok(ConsentImport {
            map: ConsentImport::map_from(self.map.iter().map(String::as_str)).map_err(failure)?,
            ignore: self.ignore,
            source: self.source,
            contact_source: self.contact_source,
            actor: IMPORTER.to_owned(),
            read_options: csv_read_options(self.delimiter, self.no_header, self.encoding)?,
            dry_run: self.dry_run,
        })
    }
}

/// Imports consents; what is left out or rejected is reported and does not stop the others.
pub(crate) async fn consents(config: &Config, args: ImportConsentsArgs) -> Result<(), CliError> {
    let (path, report, allowed) = (args.file.clone(), args.report.clone(), args.allow_rejected);
    let overwrite = args.overwrite;
    let import = args.import()?;
    // It is read three times.
    let (app, mut reporter) = start_import(config, &path, 3, report.as_deref(), overwrite).await?;
    let bar = reporter.bar.clone();
    let read = || Ok(bar.wrap_read(File::open(&path)?));
    let result = imports::consents(&app, read, &import, |problem| reporter.report_problem(&problem)).await;
    reporter.close(result, "lines", allowed)
}
