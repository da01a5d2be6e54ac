//! Formats of an export. Room: exchange/exports.

use std::io::{self, Write};

use sea_orm::ActiveEnum;
use serde_json::{Map, Value as Json};

use super::{columns::Columns, opt_outs, vcard};
use crate::{
    base::{csv_injection::escape, error::Error},
    exchange::imports::OPT_OUTS_OF_OWN,
};

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values (RFC 4180) in UTF-8, with spreadsheet formulas escaped; contact points and sources as
    /// JSON.
    Csv,
    /// One contact as JSON on each line.
    JsonLines,
    /// vCards 4.0 (RFC 6350), without sources.
    VCard,
}

impl Format {
    /// The name in the audit log.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::JsonLines => "jsonl",
            Format::VCard => "vcard",
        }
    }

    pub(super) fn open<W: Write>(
        self,
        columns: &Columns,
        all_active: bool,
        out: W,
    ) -> Result<FormatWriter<W>, Error> {
        Ok(match self {
            Format::JsonLines => FormatWriter::JsonLines(out),
            Format::VCard => FormatWriter::VCard(out, all_active),
            Format::Csv => {
                let mut header = columns.contact.clone();
                header.extend((!columns.points.is_empty()).then_some("contactPoints"));
                header.extend((!columns.sources.is_empty()).then_some("provenance"));
                header.extend(OPT_OUTS_OF_OWN.iter().map(|(_, head)| *head).filter(|_| columns.opt_outs));
                // Every cell is quoted, so that no other separator splits it.
                let mut csv = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(out);
                csv.write_record(&header).map_err(|_| write_error())?;
                FormatWriter::Csv(Box::new(csv), header)
            }
        })
    }
}

/// Writes contacts one by one.
pub(super) enum FormatWriter<W: Write> {
    Csv(Box<csv::Writer<W>>, Vec<&'static str>),
    JsonLines(W),
    VCard(W, bool),
}

fn write_error() -> Error {
    Error::bad_input("the file cannot be written")
}

impl<W: Write> FormatWriter<W> {
    /// Writes one contact.
    pub fn write(&mut self, contact: &Map<String, Json>) -> Result<(), Error> {
        match self {
            Self::Csv(csv, header) => {
                // The id is not escaped, because it identifies the row.
                let cell = |column: &&'static str| match contact.get(*column) {
                    None if OPT_OUTS_OF_OWN.iter().any(|(_, name)| name == column) => {
                        opt_out_cell(contact, column)
                    }
                    None | Some(Json::Null) => String::new(),
                    Some(Json::String(text)) if *column == "id" => text.clone(),
                    Some(Json::String(text)) => escape(text),
                    Some(Json::Array(list)) if list.is_empty() => String::new(),
                    Some(value) => escape(&value.to_string()),
                };
                csv.write_record(header.iter().map(cell)).map_err(|_| write_error())
            }
            Self::JsonLines(out) => {
                serde_json::to_writer(&mut *out, contact).map_err(|_| write_error())?;
                out.write_all(b"\n").map_err(|_| write_error())
            }
            Self::VCard(out, all_active) => {
                out.write_all(vcard::card(contact, *all_active)?.as_bytes()).map_err(|_| write_error())
            }
        }
    }

    /// Flushes the output.
    pub fn finish(self) -> Result<(), Error> {
        let flushed: io::Result<()> = match self {
            Self::Csv(mut csv, _) => csv.flush(),
            Self::JsonLines(mut out) | Self::VCard(mut out, _) => out.flush(),
        };
        flushed.map_err(|_| write_error())
    }
}

/// Codes of the purposes that the contact objects to on the channel of a column, separated by spaces.
fn opt_out_cell(contact: &Map<String, Json>, column: &str) -> String {
    let channel =
        OPT_OUTS_OF_OWN.iter().find(|(_, name)| *name == column).map(|(channel, _)| channel.to_value());
    let mut codes: Vec<String> = opt_outs::opt_outs_of(contact)
        .filter(|(_, opt_out_channel)| opt_out_channel.is_none() || *opt_out_channel == channel.as_deref())
        .map(|(code, _)| code)
        .collect();
    codes.sort_unstable();
    codes.dedup();
    codes.join(" ")
}
