//! Stop files: what a recipient must stop, without any value that it did not receive. Room: exchange/exports.

use std::io::Write;

use chrono::SecondsFormat;
use sea_orm::ActiveEnum;
use serde_json::json;
use uuid::Uuid;

use crate::{
    app::App,
    audit::{self, Author},
    base::error::Error,
    domain::stops::{self, Line, StopReport},
};

/// The columns of a stop file.
const COLUMNS: [&str; 7] =
    ["batch", "contactId", "purpose", "channel", "addressKind", "addressSha256", "since"];

/// How a stop file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopFormat {
    /// Comma-separated values (RFC 4180) in UTF-8.
    Csv,
    /// One JSON object.
    Json,
}

/// Writes every unacknowledged duty of `recipient` to `out`. The duties count as sent once the file is complete; a
/// failure before that changes nothing.
///
/// # Errors
/// `BAD_USER_INPUT` where `out` cannot be written, and from the database.
pub async fn stops<W: Write>(
    app: &App,
    actor: &str,
    recipient: Uuid,
    format: StopFormat,
    out: W,
) -> Result<StopReport, Error> {
    let mut tx = audit::begin(app, Author::command(app, actor, None)).await?;
    let mut writer = StopWriter::open(format, recipient, out)?;
    let summary = stops::export(&mut tx, recipient, |line| writer.line(line)).await?;
    writer.finish()?;
    tx.commit().await?;
    Ok(summary)
}

/// Records that `recipient` acted on a batch; returns the number of duties.
///
/// # Errors
/// `NOT_FOUND` for a batch that was never sent to this recipient.
pub async fn acknowledge(app: &App, actor: &str, recipient: Uuid, batch: Uuid) -> Result<u64, Error> {
    audit::with_retry(|| async {
        let mut tx = audit::begin(app, Author::command(app, actor, None)).await?;
        let done = stops::acknowledge(&mut tx, recipient, batch).await?;
        tx.commit().await?;
        Ok(done)
    })
    .await
}

/// Writes lines one by one.
enum StopWriter<W: Write> {
    Csv(Box<csv::Writer<W>>),
    Json { out: W, any: bool },
}

fn write_error() -> Error {
    Error::bad_input("the file cannot be written")
}

impl<W: Write> StopWriter<W> {
    fn open(format: StopFormat, recipient: Uuid, mut out: W) -> Result<Self, Error> {
        match format {
            StopFormat::Csv => {
                let mut csv = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(out);
                csv.write_record(COLUMNS).map_err(|_| write_error())?;
                Ok(Self::Csv(Box::new(csv)))
            }
            StopFormat::Json => {
                write!(out, "{{\"recipient\":\"{recipient}\",\"stops\":[").map_err(|_| write_error())?;
                Ok(Self::Json { out, any: false })
            }
        }
    }

    fn line(&mut self, line: &Line) -> Result<(), Error> {
        let since = line.since.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let channel = line.channel.map(|channel| channel.to_value());
        let kind = line.address_kind.map(|kind| kind.to_value());
        match self {
            Self::Csv(csv) => {
                let cells = [
                    line.batch.to_string(),
                    line.contact_id.to_string(),
                    line.purpose.clone(),
                    channel.unwrap_or_default(),
                    kind.unwrap_or_default(),
                    line.address_sha256.clone().unwrap_or_default(),
                    since,
                ];
                csv.write_record(cells).map_err(|_| write_error())
            }
            Self::Json { out, any } => {
                let comma = if std::mem::replace(any, true) { "," } else { "" };
                let entry = json!({
                    "batch": line.batch, "contactId": line.contact_id, "purpose": line.purpose, "channel": channel,
                    "addressKind": kind, "addressSha256": line.address_sha256, "since": since,
                });
                write!(out, "{comma}\n{entry}").map_err(|_| write_error())
            }
        }
    }

    fn finish(self) -> Result<(), Error> {
        let mut out = match self {
            Self::Csv(csv) => csv.into_inner().map_err(|_| write_error())?,
            Self::Json { mut out, .. } => {
                writeln!(out, "\n]}}").map_err(|_| write_error())?;
                out
            }
        };
        out.flush().map_err(|_| write_error())
    }
}
