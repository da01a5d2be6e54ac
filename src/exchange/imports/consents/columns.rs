//! Columns of a file of consents: what each holds, and those that may hold what is not read.
//! Room: exchange/imports/consents.

use std::io::Read;

use super::consent_import::{ConsentImport, FIELDS, OPT_OUT};
use crate::{
    base::error::Error,
    exchange::imports::{
        csv_table::Table,
        header_names::{is_consent_header, is_opt_out_header, looks_like, normalize},
        times::{is_time, is_year},
        words::{is_status_word, says_no_under},
    },
};

/// The columns of a file, by what they hold.
pub(super) struct Columns {
    mapped: Vec<(&'static str, usize, String)>,
    /// Columns that are not imported, with their headers, and whether they are ignored explicitly.
    unmapped: Vec<(usize, String, bool)>,
}

impl Columns {
    /// Finds the mapped columns, and those whose headers match a field.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a column that is not there, or there twice; for one that looks like a field and is neither
    /// mapped nor ignored; and where contact, purpose or status have none.
    pub fn find<R: Read>(table: &Table<R>, import: &ConsentImport) -> Result<Self, Error> {
        let header_names = table.header_names();
        let mut ignored = Vec::with_capacity(import.ignore.len());
        for header_name in &import.ignore {
            ignored.push(table.find(header_name)?);
        }
        let mut mapped: Vec<(&'static str, usize, String)> = Vec::new();
        for (field, column) in &import.map {
            mapped.push((field, table.find(column)?, column.clone()));
        }
        let explicit = mapped.clone();
        let is_taken =
            |index: usize| ignored.contains(&index) || explicit.iter().any(|(_, taken, _)| *taken == index);
        // The opt-out column must be mapped: its header alone is ambiguous.
        let by_name = FIELDS.into_iter().filter(|field| *field != OPT_OUT);
        for field in by_name.filter(|_| import.read_options.header) {
            if mapped.iter().any(|(known, ..)| *known == field) {
                continue;
            }
            let called = header_names
                .iter()
                .enumerate()
                .filter(|(_, header_name)| normalize(header_name) == normalize(field));
            let mut called = called.filter(|(index, _)| !is_taken(*index));
            match (called.next(), called.next()) {
                (Some((index, header_name)), None) => mapped.push((field, index, header_name.clone())),
                (Some(_), Some(_)) => {
                    return Err(Error::bad_input(format!("the file has several columns for `{field}`")));
                }
                (None, _) => {}
            }
        }
        let unmapped = header_names.into_iter().enumerate();
        let unmapped = unmapped.filter(|(index, _)| !mapped.iter().any(|(_, column, _)| column == index));
        let unmapped: Vec<(usize, String, bool)> =
            unmapped.map(|(index, header_name)| (index, header_name, ignored.contains(&index))).collect();
        if import.read_options.header {
            for (_, header_name, _) in unmapped.iter().filter(|(.., ignored)| !ignored) {
                match looks_like(header_name, &FIELDS) {
                    Some("status") if is_opt_out_header(header_name) => {
                        return Err(unread_column(header_name, "tells who does not want it", OPT_OUT));
                    }
                    Some(field) => {
                        return Err(unread_column(header_name, &format!("looks like `{field}`"), field));
                    }
                    None => {}
                }
            }
        }
        // A yes under such a header is an opt-out, whichever field it is mapped to.
        for (field, _, header_name) in mapped.iter_mut().filter(|_| import.read_options.header) {
            if *field == "status" && is_opt_out_header(header_name) {
                *field = OPT_OUT;
            }
        }
        let has = |names: &[&str]| mapped.iter().any(|(field, ..)| names.contains(field));
        for names in [&["contactId", "externalId", "email", "phone"][..], &["purpose"], &["status", OPT_OUT]]
        {
            if !has(names) {
                return Err(Error::bad_input(format!(
                    "the file has no column for `{}`",
                    names.join("` or `")
                )));
            }
        }
        Ok(Self { mapped, unmapped })
    }

    /// The column of a field, with its head.
    pub fn column(&self, field: &str) -> Option<(usize, &str)> {
        let found = self.mapped.iter().find(|(known, ..)| *known == field);
        found.map(|(_, index, header_name)| (*index, header_name.as_str()))
    }

    /// Headers of columns that are not imported but filled in this row.
    pub fn left_out<'a, R: Read>(&'a self, table: &'a Table<R>) -> impl Iterator<Item = &'a str> {
        self.unmapped
            .iter()
            .filter(|(index, ..)| table.is_filled(*index))
            .map(|(_, header_name, _)| header_name.as_str())
    }

    /// The header of a column that is neither mapped nor ignored and contains an opt-out in this row.
    pub fn header_saying_no<R: Read>(&self, table: &Table<R>) -> Option<&str> {
        let mut unmapped = self.unmapped.iter().filter(|(.., ignored)| !ignored);
        // What cannot be read may be one.
        let no = unmapped.find(|(index, header_name, _)| match table.text(*index) {
            Ok(cell) => says_no_under(header_name, &cell),
            Err(_) => is_opt_out_header(header_name) || is_consent_header(header_name),
        });
        no.map(|(_, header_name, _)| header_name.as_str())
    }

    /// Checks whether an unmapped column contains something that looks like a status or a time in this row.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` naming the column.
    pub fn check_unmapped<R: Read>(&self, table: &Table<R>) -> Result<(), Error> {
        for (index, header_name, _) in self.unmapped.iter().filter(|(.., ignored)| !ignored) {
            let Ok(cell) = table.text(*index) else { continue };
            if is_status_word(&cell) {
                return Err(unread_column(header_name, "holds words of a status", "status"));
            }
            if is_time(&cell) || (is_year(&cell) && looks_like(header_name, &["postalCode"]).is_none()) {
                return Err(unread_column(header_name, "holds times", "expiresAt"));
            }
        }
        Ok(())
    }
}

/// The error for a column that must not be ignored silently, because it may restrict a consent.
fn unread_column(header_name: &str, reason: &str, field: &str) -> Error {
    Error::bad_input(format!(
        "column `{header_name}` {reason} and is not read: say what it holds by --map {field}={header_name} (or another field), or that it does not count by --ignore {header_name}"
    ))
}
