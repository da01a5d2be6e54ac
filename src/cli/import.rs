//! `zweck import`. Room: cli.

use std::{
    fmt::Display,
    fs::File,
    io::{BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use zweck::{
    app::App,
    base::error::{Code, Error},
    config::Config,
    domain::purposes,
    exchange::imports::{
        self, ContactImport, Encoding, Format, OWN, OnInvalid, Problem, ReadOptions, Region, Target,
        UpdateMode,
    },
};

use super::{
    ACTOR,
    exit::CliError,
    failure,
    files::{Overwrite, is_output},
    note, open, print,
};

/// The actor.
pub(super) const IMPORTER: &str = "cli:import";

/// Which file, and what is in it.
#[derive(Args)]
pub(crate) struct ImportArgs {
    /// The file.
    file: PathBuf,
    /// Kind of file (default: from its extension: .vcf, .jsonl, otherwise CSV).
    #[arg(long, value_enum)]
    format: Option<FormatArg>,
    /// Field and its CSV column, e.g. givenName=FirstName, or phone:fax=Fax for a further contact point. Repeatable;
    /// overrides a preset or map file.
    #[arg(long = "map", value_name = "FIELD=COLUMN")]
    map: Vec<String>,
    /// Column names of a common export: hubspot, salesforce, outlook, google, or zweck.
    #[arg(long, conflicts_with = "map_file")]
    preset: Option<String>,
    /// TOML file with `externalId` and a table `[fields]` that maps fields to columns.
    #[arg(long, value_name = "FILE")]
    map_file: Option<PathBuf>,
    /// Channel (email, phone, sms, post or all) and the CSV column that says who opted out of advertising on it, e.g.
    /// email=OptOut. Repeatable; added to those of a preset.
    #[arg(long = "opt-out", value_name = "CHANNEL=COLUMN")]
    opt_outs: Vec<String>,
    /// Column to ignore although it looks relevant; repeatable.
    #[arg(long = "ignore", value_name = "COLUMN")]
    ignore: Vec<String>,
    /// Column of the id in the source.
    #[arg(long, value_name = "COLUMN")]
    external_id: Option<String>,
    /// Update contacts that earlier imports from this source have made: fill empty fields, or overwrite values too. Values
    /// that a person or an application has recorded stay.
    #[arg(long, value_enum, value_name = "MODE")]
    update: Option<UpdateArg>,
    /// Column of the version of the contact that the row is based on; a contact with another version is not updated.
    #[arg(long, value_name = "COLUMN", requires = "update")]
    expected_version: Option<String>,
    /// Name of the source.
    #[arg(long)]
    source: String,
    /// Purpose the contacts are kept for.
    #[arg(long)]
    purpose: String,
    /// The fact that makes the processing lawful, e.g. a contract.
    #[arg(long)]
    ground: String,
    /// Since when the ground holds (YYYY-MM-DD; default: now).
    #[arg(long, value_name = "DATE")]
    since: Option<NaiveDate>,
    /// When the persons were informed (YYYY-MM-DD, Art. 14(3)).
    #[arg(long, value_name = "DATE")]
    informed_at: Option<NaiveDate>,
    /// Version of the privacy notice they were given.
    #[arg(long)]
    notice_version: Option<String>,
    /// How to treat values that do not have the format of their field; each is reported.
    #[arg(long, value_enum, default_value_t = OnInvalidArg::Keep)]
    on_invalid: OnInvalidArg,
    /// Region of phone numbers without a country code (ISO 3166-1, e.g. DE); every number is then stored as +49…
    #[arg(long, value_name = "CODE")]
    region: Option<String>,
    /// Character encoding of the file.
    #[arg(long, value_enum, default_value_t = EncodingArg::Utf8)]
    encoding: EncodingArg,
    /// The first row is data; refer to columns by number, from 1.
    #[arg(long)]
    no_header: bool,
    /// Check only, write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Character between fields (default: a comma).
    #[arg(long)]
    delimiter: Option<char>,
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
enum FormatArg {
    /// Comma-separated values.
    Csv,
    /// vCards 2.1, 3.0 or 4.0.
    Vcard,
    /// An export of Zweck, with one contact as JSON on each line.
    Jsonl,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum OnInvalidArg {
    /// Keep the value as given if the field can hold it, otherwise drop it.
    Keep,
    /// Drop the value.
    SkipValue,
    /// Drop the row.
    SkipRow,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum UpdateArg {
    /// Set fields that have no value.
    Fill,
    /// Set fields that have no value, and replace values that differ.
    Overwrite,
}

#[derive(Clone, Copy, clap::ValueEnum)]
pub(super) enum EncodingArg {
    /// UTF-8, with or without a byte order mark.
    #[value(name = "utf-8")]
    Utf8,
    /// Windows-1252.
    #[value(name = "windows-1252")]
    Windows1252,
}

impl From<EncodingArg> for Encoding {
    fn from(encoding: EncodingArg) -> Self {
        match encoding {
            EncodingArg::Utf8 => Self::Utf8,
            EncodingArg::Windows1252 => Self::Windows1252,
        }
    }
}

impl ImportArgs {
    fn format(&self) -> Format {
        let end = self.file.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
        match (self.format, end.as_deref()) {
            (Some(FormatArg::Vcard), _) | (None, Some("vcf" | "vcard")) => Format::VCard,
            (Some(FormatArg::Jsonl), _) | (None, Some("jsonl" | "ndjson")) => Format::JsonLines,
            _ => Format::Csv,
        }
    }

    /// Rejects flags that do not apply to this kind of file.
    fn check(&self) -> Result<(), CliError> {
        let (of_csv, encoded) = match self.format() {
            Format::Csv => return Ok(()),
            Format::VCard => (self.preset.is_some(), false),
            // Its own preset says nothing new of it.
            Format::JsonLines => (
                self.preset.as_deref().is_some_and(|preset| preset != OWN),
                matches!(self.encoding, EncodingArg::Windows1252),
            ),
        };
        for (flag, is_given) in [
            ("--map", !self.map.is_empty()),
            ("--opt-out", !self.opt_outs.is_empty()),
            ("--ignore", !self.ignore.is_empty()),
            ("--map-file", self.map_file.is_some()),
            ("--preset", of_csv),
            ("--external-id", self.external_id.is_some()),
            ("--no-header", self.no_header),
            ("--delimiter", self.delimiter.is_some()),
            ("--encoding", encoded),
        ] {
            if is_given {
                return Err(CliError::Usage(format!("`{flag}` means nothing for this kind of file")));
            }
        }
        Ok(())
    }

    fn read_options(&self, optional: Vec<Target>) -> Result<ReadOptions, CliError> {
        let region = self.region.as_deref().map(|code| {
            let region: Result<Region, _> = code.to_ascii_uppercase().parse();
            region.map_err(|_| CliError::Usage(format!("`{code}` is not the code of a region, e.g. DE")))
        });
        Ok(ReadOptions {
            format: self.format(),
            on_invalid: match self.on_invalid {
                OnInvalidArg::Keep => OnInvalid::Keep,
                OnInvalidArg::SkipValue => OnInvalid::SkipValue,
                OnInvalidArg::SkipRow => OnInvalid::SkipRow,
            },
            region: region.transpose()?,
            optional,
            is_native: self.preset.as_deref() == Some(OWN),
            ..csv_read_options(self.delimiter, self.no_header, self.encoding)?
        })
    }

    fn import(self) -> Result<ContactImport, CliError> {
        self.check()?;
        let (mut map, external_id) = match (&self.preset, &self.map_file) {
            _ if self.format() != Format::Csv => (Vec::new(), None),
            (Some(name), _) => ContactImport::preset(name).map_err(failure)?,
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("cannot read {}", file.display()))?;
                ContactImport::mapping_from_toml(&text).map_err(failure)?
            }
            (None, None) => (Vec::new(), None),
        };
        // Flags override a preset or map file.
        let mapped = ContactImport::map_from(self.map.iter().map(String::as_str)).map_err(failure)?;
        map.retain(|(target, _)| !mapped.iter().any(|(other, _)| other == target));
        let optional = match &self.preset {
            Some(_) => map.iter().map(|(target, _)| target.clone()).collect(),
            None => Vec::new(),
        };
        map.extend(mapped);
        let mut opt_outs =
            ContactImport::opt_outs_from(self.opt_outs.iter().map(String::as_str)).map_err(failure)?;
        let preset_columns = self.preset.iter().flat_map(|preset| ContactImport::preset_opt_outs(preset));
        opt_outs
            .extend(preset_columns.filter(|preset_columns| !self.ignore.contains(&preset_columns.column)));
        let midnight = |date: NaiveDate| -> DateTime<Utc> { date.and_time(NaiveTime::MIN).and_utc() };
        Ok(ContactImport {
            map,
            opt_outs,
            ignore: self.ignore.clone(),
            read_options: self.read_options(optional)?,
            external_id: self.external_id.or(external_id),
            update: self.update.map(|update| match update {
                UpdateArg::Fill => UpdateMode::Fill,
                UpdateArg::Overwrite => UpdateMode::Overwrite,
            }),
            expected_version: self.expected_version,
            source: self.source,
            purpose: self.purpose,
            ground: self.ground,
            since: self.since.map(midnight),
            actor: IMPORTER.to_owned(),
            informed_at: self.informed_at.map(midnight),
            notice_version: self.notice_version,
            dry_run: self.dry_run,
        })
    }
}

/// Imports contacts; rejected rows are reported and do not stop the others.
pub(crate) async fn contacts(config: &Config, args: ImportArgs) -> Result<(), CliError> {
    let (path, report, allowed) = (args.file.clone(), args.report.clone(), args.allow_rejected);
    let overwrite = args.overwrite;
    let import = args.import()?;
    let (app, mut reporter) = start_import(config, &path, 1, report.as_deref(), overwrite).await?;
    let bar = reporter.bar.clone();
    let read = || Ok(bar.wrap_read(File::open(&path)?));
    let result = imports::contacts(&app, read, &import, |problem| reporter.report_problem(&problem)).await;
    reporter.close(result, "rows", allowed)
}

/// The read options from the flags.
pub(super) fn csv_read_options(
    delimiter: Option<char>,
    no_header: bool,
    encoding: EncodingArg,
) -> Result<ReadOptions, CliError> {
    let Ok(delimiter) = u8::try_from(delimiter.unwrap_or(',')) else {
        return Err(CliError::Usage("the delimiter must be one ASCII character".to_owned()));
    };
    Ok(ReadOptions { delimiter, header: !no_header, encoding: encoding.into(), ..ReadOptions::default() })
}

/// Opens the application, with the purposes of the policy, and the progress of the import of `path`, which is read
/// `passes` times.
pub(super) async fn start_import(
    config: &Config,
    path: &Path,
    passes: u64,
    report: Option<&Path>,
    overwrite: Overwrite,
) -> Result<(App, ProblemReporter), CliError> {
    let app = open(config).await?;
    purposes::sync(&app, ACTOR).await.map_err(failure)?;
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let size = file.metadata().map(|about| about.len() * passes).unwrap_or_default();
    Ok((app, ProblemReporter::new(size, report, overwrite)?))
}

/// Shows the progress of an import, and each problem when it is found.
pub(super) struct ProblemReporter {
    pub(super) bar: ProgressBar,
    json: Option<JsonReport>,
    /// The report file.
    fresh: Option<PathBuf>,
    /// Whether the last problem was an opt-out that was not recorded.
    section: Option<bool>,
    is_read: bool,
}

impl ProblemReporter {
    /// The progress for a file of that size, also written to a report. The report is created first: an import does not
    /// start if its report cannot be written.
    fn new(bytes: u64, report: Option<&Path>, overwrite: Overwrite) -> Result<Self, CliError> {
        if report.is_some_and(is_output) {
            let text = "--report writes a file; standard output tells the problems already";
            return Err(CliError::Usage(text.to_owned()));
        }
        let fresh = report.filter(|path| path.symlink_metadata().is_err()).map(Path::to_owned);
        let json = report.map(|path| JsonReport::create(overwrite.open(path)?)).transpose()?;
        Ok(Self { bar: bar(bytes), json, fresh, section: None, is_read: true })
    }

    pub(super) fn report_problem(&mut self, problem: &Problem) -> Result<(), Error> {
        if let Some(json) = &mut self.json {
            json.problem(problem).map_err(|_| Error::bad_input("the report cannot be written"))?;
        }
        let table_header = match (self.section, problem.no_not_taken) {
            (Some(last), now) if last == now => String::new(),
            (None, false) => Problem::table_header() + "\n",
            (None, true) => format!("{NOT_TAKEN}\n{}\n", Problem::table_header()),
            (Some(_), true) => format!("\n{NOT_TAKEN}\n{}\n", Problem::table_header()),
            (Some(_), false) => format!("\n{}\n", Problem::table_header()),
        };
        self.section = Some(problem.no_not_taken);
        // If nobody reads the output, the import continues; the JSON report is complete.
        if self.is_read {
            self.is_read = self.bar.suspend(|| print(&format!("{table_header}{problem}\n"))).is_ok();
        }
        Ok(())
    }

    /// Reports the outcome of an import.
    ///
    /// # Errors
    /// If an opt-out was not recorded, or rows were rejected without `--allow-rejected`: a script must not continue as if
    /// all were well.
    pub(super) fn close<R: Serialize + Display + NotTaken>(
        self,
        done: Result<R, Error>,
        subject: &str,
        allow_rejected: bool,
    ) -> Result<(), CliError> {
        self.bar.finish_and_clear();
        let refused = matches!(&done, Err(error) if error.code == Code::BadUserInput);
        if let Some(json) = self.json {
            let has_problems = !json.empty;
            json.close(done.as_ref().ok())?;
            // Of what was refused as a whole there is nothing to report, and the next attempt finds nothing in its way.
            if let Some(path) = self.fresh.filter(|_| refused && !has_problems) {
                std::fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
            }
        }
        let report = done.map_err(|error| {
            if error.code != Code::BadUserInput {
                note(&format!(
                    "{subject} written before this error stay; the same import again goes on after them"
                ));
            }
            failure(error)
        })?;
        if !self.is_read {
            note("nobody read all of the problems");
        } else {
            print(&format!("{}{report}", if self.section.is_some() { "\n" } else { "" }))?;
        }
        match (report.not_taken(), report.rejected()) {
            (0, 0) => Ok(()),
            (0, _) if allow_rejected => Ok(()),
            (0, rejected) => {
                let text = format!(
                    "{subject} rejected: {rejected}; all others are as told above (--allow-rejected ends with 0)"
                );
                Err(anyhow::anyhow!(text).into())
            }
            (count, _) => Err(anyhow::anyhow!("noes not taken: {count}").into()),
        }
    }
}

/// Prints a heading.
const NOT_TAKEN: &str = "a no that was not taken";

/// A report that knows which rows were not imported.
pub(super) trait NotTaken {
    /// Their number.
    fn not_taken(&self) -> u64;
    /// Rows that were rejected.
    fn rejected(&self) -> u64;
}

impl NotTaken for imports::ContactReport {
    fn not_taken(&self) -> u64 {
        self.noes_not_taken
    }

    fn rejected(&self) -> u64 {
        self.rejected
    }
}

impl NotTaken for imports::ConsentReport {
    fn not_taken(&self) -> u64 {
        self.noes_not_taken
    }

    fn rejected(&self) -> u64 {
        self.rejected
    }
}

/// The progress bar, on a terminal only.
fn bar(size: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {eta} left");
    ProgressBar::new(size).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// The report as JSON, written during the import: `{"problems": […], "completed": true, "rows": …}`.
struct JsonReport {
    file: BufWriter<File>,
    empty: bool,
}

#[derive(Serialize)]
struct Closing<'a, R> {
    completed: bool,
    #[serde(flatten)]
    report: Option<&'a R>,
}

impl JsonReport {
    fn create(file: File) -> Result<Self, CliError> {
        let mut file = BufWriter::new(file);
        file.write_all(b"{\"problems\": [")?;
        Ok(Self { file, empty: true })
    }

    fn problem(&mut self, problem: &Problem) -> std::io::Result<()> {
        self.file.write_all(if self.empty { b"\n  " } else { b",\n  " })?;
        self.empty = false;
        Ok(serde_json::to_writer(&mut self.file, problem)?)
    }

    /// Ends the report; `completed` is false if the import ended with an error.
    fn close<R: Serialize>(mut self, report: Option<&R>) -> Result<(), CliError> {
        let closing = serde_json::to_string(&Closing { completed: report.is_some(), report })?;
        // The members go on in the object that is open.
        let members = closing.strip_prefix('{').unwrap_or_default();
        self.file.write_all(format!("],\n {members}\n").as_bytes())?;
        Ok(self.file.flush()?)
    }
}
