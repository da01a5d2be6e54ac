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
    /// Comma-separated values (RFC 4180) in UTF-8, spreadsheet formulas neutralised; contact points and sources as JSON.
    Csv,
    /// A contact as JSON on each line.
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

    pub(super) fn begin<W: Write>(
        self,
        columns: &Columns,
        all_active: bool,
        out: W,
    ) -> Result<Writer<W>, Error> {
        Ok(match self {
            Format::JsonLines => Writer::JsonLines(out),
            Format::VCard => Writer::VCard(out, all_active),
            Format::Csv => {
                let mut heads = columns.contact.clone();
                heads.extend((!columns.points.is_empty()).then_some("contactPoints"));
                heads.extend((!columns.sources.is_empty()).then_some("provenance"));
                heads.extend(OPT_OUTS_OF_OWN.iter().map(|(_, head)| *head).filter(|_| columns.opt_outs));
                // Every cell in quotes, so that no other separator divides it.
                let mut csv = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(out);
                csv.write_record(&heads).map_err(|_| unwritten())?;
                Writer::Csv(Box::new(csv), heads)
            }
        })
    }
}

/// Writes contacts as they come.
pub(super) enum Writer<W: Write> {
    Csv(Box<csv::Writer<W>>, Vec<&'static str>),
    JsonLines(W),
    VCard(W, bool),
}

fn unwritten() -> Error {
    Error::bad_input("the file cannot be written")
}

impl<W: Write> Writer<W> {
    /// Writes one contact.
    pub fn write(&mut self, contact: &Map<String, Json>) -> Result<(), Error> {
        match self {
            Self::Csv(csv, heads) => {
                // The id stays as it is: it tells which row this is.
                let cell = |head: &&'static str| match contact.get(*head) {
                    None if OPT_OUTS_OF_OWN.iter().any(|(_, known)| known == head) => {
                        opted_out(contact, head)
                    }
                    None | Some(Json::Null) => String::new(),
                    Some(Json::String(text)) if *head == "id" => text.clone(),
                    Some(Json::String(text)) => escape(text),
                    Some(Json::Array(list)) if list.is_empty() => String::new(),
                    Some(other) => escape(&other.to_string()),
                };
                csv.write_record(heads.iter().map(cell)).map_err(|_| unwritten())
            }
            Self::JsonLines(out) => {
                serde_json::to_writer(&mut *out, contact).map_err(|_| unwritten())?;
                out.write_all(b"\n").map_err(|_| unwritten())
            }
            Self::VCard(out, all_active) => {
                out.write_all(vcard::card(contact, *all_active)?.as_bytes()).map_err(|_| unwritten())
            }
        }
    }

    /// Writes what is left.
    pub fn finish(self) -> Result<(), Error> {
        let flushed: io::Result<()> = match self {
            Self::Csv(mut csv, _) => csv.flush(),
            Self::JsonLines(mut out) | Self::VCard(mut out, _) => out.flush(),
        };
        flushed.map_err(|_| unwritten())
    }
}

/// Codes of what the contact objects to on the channel of a column, with blanks between them.
fn opted_out(contact: &Map<String, Json>, head: &str) -> String {
    let channel =
        OPT_OUTS_OF_OWN.iter().find(|(_, known)| *known == head).map(|(channel, _)| channel.to_value());
    let mut codes: Vec<String> = opt_outs::told(contact)
        .filter(|(_, of)| of.is_none() || *of == channel.as_deref())
        .map(|(code, _)| code)
        .collect();
    codes.sort_unstable();
    codes.dedup();
    codes.join(" ")
}
