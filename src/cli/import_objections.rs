//! `zweck import objections`. Room: cli.

use std::{fs::File, path::PathBuf};

use clap::Args;
use entity::enums::Channel;
use zweck::{
    config::Config,
    exchange::imports::{self, Listing, ObjectionImport},
};

use super::{
    exit::CliError,
    failure,
    files::Overwrite,
    import::{EncodingArg, IMPORTER, NotTaken, csv_read_options, start_import},
};

/// Which file, and what is in it.
#[derive(Args)]
pub(crate) struct ImportObjectionsArgs {
    /// The CSV file; each line names somebody who must not receive advertising.
    file: PathBuf,
    /// What the file contains.
    #[arg(long, value_enum)]
    kind: KindArg,
    /// Purpose or group that the objections concern (default: all advertising).
    #[arg(long)]
    purpose: Option<String>,
    /// Channel, if neither the file nor the preset names it (default: all).
    #[arg(long, value_enum)]
    channel: Option<ChannelArg>,
    /// Suppression list exported by: hubspot, mailchimp, brevo or cleverreach.
    #[arg(long)]
    preset: Option<String>,
    /// What a column holds, e.g. email=Address; repeatable. Columns with these names are recognised automatically:
    /// email, phone, street, postalCode, city, country, familyName, channel, at, source, status.
    #[arg(long = "map", value_name = "FIELD=COLUMN")]
    map: Vec<String>,
    /// Column to ignore although it looks relevant; repeatable.
    #[arg(long = "ignore", value_name = "COLUMN")]
    ignore: Vec<String>,
    /// Where the objection was declared, for lines that name no source.
    #[arg(long)]
    source: Option<String>,
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

#[derive(Clone, Copy, clap::ValueEnum)]
enum KindArg {
    /// Persons who objected to advertising.
    #[value(name = "objection")]
    Objection,
    /// An external list, e.g. a Robinson list; matched against existing records, and nothing else of it is kept.
    #[value(name = "external_list")]
    ExternalList,
    /// Addresses that messages bounced from; a bounce is not a declaration.
    #[value(name = "undeliverable")]
    Undeliverable,
}

impl From<KindArg> for Listing {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Objection => Self::Objection,
            KindArg::ExternalList => Self::ExternalList,
            KindArg::Undeliverable => Self::Undeliverable,
        }
    }
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ChannelArg {
    /// E-mail.
    Email,
    /// Calls.
    Phone,
    /// Text messages.
    Sms,
    /// Letters.
    Post,
}

impl From<ChannelArg> for Channel {
    fn from(channel: ChannelArg) -> Self {
        match channel {
            ChannelArg::Email => Self::Email,
            ChannelArg::Phone => Self::Phone,
            ChannelArg::Sms => Self::Sms,
            ChannelArg::Post => Self::Post,
        }
    }
}

impl NotTaken for imports::ObjectionReport {
    fn not_taken(&self) -> u64 {
        self.noes_not_taken
    }

    fn rejected(&self) -> u64 {
        self.rejected
    }
}

impl ImportObjectionsArgs {
    fn import(self) -> Result<ObjectionImport, CliError> {
        Ok(ObjectionImport {
            kind: self.kind.into(),
            purpose: self.purpose,
            channel: self.channel.map(Channel::from),
            preset: self.preset,
            map: ObjectionImport::map_from(self.map.iter().map(String::as_str)).map_err(failure)?,
            ignore: self.ignore,
            source: self.source,
            actor: IMPORTER.to_owned(),
            read_options: csv_read_options(self.delimiter, self.no_header, self.encoding)?,
            dry_run: self.dry_run,
        })
    }
}

/// Imports such a file; what is rejected is reported and does not stop the others.
pub(crate) async fn objections(config: &Config, args: ImportObjectionsArgs) -> Result<(), CliError> {
    let (path, report, allowed) = (args.file.clone(), args.report.clone(), args.allow_rejected);
    let overwrite = args.overwrite;
    let import = args.import()?;
    // It is read twice.
    let (app, mut reporter) = start_import(config, &path, 2, report.as_deref(), overwrite).await?;
    let bar = reporter.bar.clone();
    let read = || Ok(bar.wrap_read(File::open(&path)?));
    let result = imports::objections(&app, read, &import, |problem| reporter.report_problem(&problem)).await;
    reporter.close(result, "lines", allowed)
}
