//! Columns of a file of consents: what each holds, and those that may hold what is not read. Room: exchange/imports/consents.

use std::io::Read;

use super::wanted::{ConsentImport, FIELDS, OPT_OUT};
use crate::{
    base::error::Error,
    exchange::imports::{
        csv_table::Table,
        heads::{looks_like, plain, tells_consents, tells_opt_outs},
        times::{tells_time, tells_year},
        words::{says_no_under, tells_status},
    },
};

/// The columns of a file, by what they hold.
pub(super) struct Columns {
    known: Vec<(&'static str, usize, String)>,
    /// Columns that hold nothing which is imported, with their heads, and whether that is said.
    unmapped: Vec<(usize, String, bool)>,
}

impl Columns {
    /// Finds those that are mapped, and those that are called as what they hold, however that is written.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a column that is not there, or there twice; for one that looks like a field and is neither mapped nor
    /// ignored; and where contact, purpose or status have none.
    pub fn of<R: Read>(table: &Table<R>, import: &ConsentImport) -> Result<Self, Error> {
        let heads = table.heads();
        let mut ignored = Vec::with_capacity(import.ignore.len());
        for head in &import.ignore {
            ignored.push(table.find(head)?);
        }
        let mut known: Vec<(&'static str, usize, String)> = Vec::new();
        for (field, column) in &import.map {
            known.push((field, table.find(column)?, column.clone()));
        }
        let mapped = known.clone();
        let taken =
            |index: usize| ignored.contains(&index) || mapped.iter().any(|(_, known, _)| *known == index);
        // What a no is read of is named: a head alone may ask for either.
        let called = FIELDS.into_iter().filter(|field| *field != OPT_OUT);
        for field in called.filter(|_| import.reading.header) {
            if known.iter().any(|(known, ..)| *known == field) {
                continue;
            }
            let called = heads.iter().enumerate().filter(|(_, head)| plain(head) == plain(field));
            let mut called = called.filter(|(index, _)| !taken(*index));
            match (called.next(), called.next()) {
                (Some((index, head)), None) => known.push((field, index, head.clone())),
                (Some(_), Some(_)) => {
                    return Err(Error::bad_input(format!("the file has several columns for `{field}`")));
                }
                (None, _) => {}
            }
        }
        let unmapped = heads.into_iter().enumerate();
        let unmapped = unmapped.filter(|(index, _)| !known.iter().any(|(_, known, _)| known == index));
        let unmapped: Vec<(usize, String, bool)> =
            unmapped.map(|(index, head)| (index, head, ignored.contains(&index))).collect();
        if import.reading.header {
            for (_, head, _) in unmapped.iter().filter(|(.., ignored)| !ignored) {
                match looks_like(head, &FIELDS) {
                    Some("status") if tells_opt_outs(head) => {
                        return Err(unclear(head, "tells who does not want it", OPT_OUT));
                    }
                    Some(field) => return Err(unclear(head, &format!("looks like `{field}`"), field)),
                    None => {}
                }
            }
        }
        // A yes under such a head is a no, by whatever field it is mapped.
        for (field, _, head) in known.iter_mut().filter(|_| import.reading.header) {
            if *field == "status" && tells_opt_outs(head) {
                *field = OPT_OUT;
            }
        }
        let has = |names: &[&str]| known.iter().any(|(field, ..)| names.contains(field));
        for names in [&["contactId", "externalId", "email", "phone"][..], &["purpose"], &["status", OPT_OUT]]
        {
            if !has(names) {
                return Err(Error::bad_input(format!(
                    "the file has no column for `{}`",
                    names.join("` or `")
                )));
            }
        }
        Ok(Self { known, unmapped })
    }

    /// The column of a field, with its head.
    pub fn column(&self, field: &str) -> Option<(usize, &str)> {
        let found = self.known.iter().find(|(known, ..)| *known == field);
        found.map(|(_, index, head)| (*index, head.as_str()))
    }

    /// Heads of columns that hold nothing which is imported, where the row has something there.
    pub fn left_out<'a, R: Read>(&'a self, table: &'a Table<R>) -> impl Iterator<Item = &'a str> {
        self.unmapped.iter().filter(|(index, ..)| table.is_filled(*index)).map(|(_, head, _)| head.as_str())
    }

    /// The head of a column that is neither mapped nor ignored and says no in this row.
    pub fn no_beside<R: Read>(&self, table: &Table<R>) -> Option<&str> {
        let mut unmapped = self.unmapped.iter().filter(|(.., ignored)| !ignored);
        // What cannot be read may be one.
        let no = unmapped.find(|(index, head, _)| match table.text(*index) {
            Ok(cell) => says_no_under(head, &cell),
            Err(_) => tells_opt_outs(head) || tells_consents(head),
        });
        no.map(|(_, head, _)| head.as_str())
    }

    /// Looks whether the row has something in a column that is not mapped which looks like a status or a time.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` naming the column.
    pub fn check_unmapped<R: Read>(&self, table: &Table<R>) -> Result<(), Error> {
        for (index, head, _) in self.unmapped.iter().filter(|(.., ignored)| !ignored) {
            let Ok(cell) = table.text(*index) else { continue };
            if tells_status(&cell) {
                return Err(unclear(head, "holds words of a status", "status"));
            }
            if tells_time(&cell) || (tells_year(&cell) && looks_like(head, &["postalCode"]).is_none()) {
                return Err(unclear(head, "holds times", "expiresAt"));
            }
        }
        Ok(())
    }
}

/// What is not read must not make a consent wider than it is.
fn unclear(head: &str, what: &str, field: &str) -> Error {
    Error::bad_input(format!(
        "column `{head}` {what} and is not read: say what it holds by --map {field}={head} (or another field), or that it does not count by --ignore {head}"
    ))
}
