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
    import::{EncodingArg, IMPORTER, Noes, begin, csv_reading},
};

/// Which file, and what is in it.
#[derive(Args)]
pub(crate) struct ImportObjectionsArgs {
    /// The CSV file, on each line who must not be advertised to.
    file: PathBuf,
    /// What stands in the file.
    #[arg(long, value_enum)]
    kind: KindArg,
    /// Purpose or group that it is about; all advertising if absent.
    #[arg(long)]
    purpose: Option<String>,
    /// Channel, where neither the file nor the preset says it; all if absent.
    #[arg(long, value_enum)]
    channel: Option<ChannelArg>,
    /// A suppression list as a program exports it: hubspot, mailchimp, brevo or cleverreach.
    #[arg(long)]
    preset: Option<String>,
    /// What a column holds, e.g. email=Address; may be repeated. Columns called email, phone, street, postalCode, city, country, familyName,
    /// channel, at, source or status need no word.
    #[arg(long = "map", value_name = "FIELD=COLUMN")]
    map: Vec<String>,
    /// Column that does not count, though it looks as if; may be repeated.
    #[arg(long = "ignore", value_name = "COLUMN")]
    ignore: Vec<String>,
    /// Where it was declared, for lines without a source of their own.
    #[arg(long)]
    source: Option<String>,
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

#[derive(Clone, Copy, clap::ValueEnum)]
enum KindArg {
    /// Persons who do not want to be advertised to, and said so.
    #[value(name = "objection")]
    Objection,
    /// A list that others keep, e.g. a Robinson list; it is matched with the records that are there, and nothing else of it is kept.
    #[value(name = "external_list")]
    ExternalList,
    /// Addresses that messages come back from; nobody declared anything by that.
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

impl Noes for imports::ObjectionReport {
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
            read_options: csv_reading(self.delimiter, self.no_header, self.encoding)?,
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
    let (app, mut teller) = begin(config, &path, 2, report.as_deref(), overwrite).await?;
    let bar = teller.bar.clone();
    let read = || Ok(bar.wrap_read(File::open(&path)?));
    let done = imports::objections(&app, read, &import, |problem| teller.tell(&problem)).await;
    teller.close(done, "lines", allowed)
}
