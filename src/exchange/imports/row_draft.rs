//! Rows under construction; values are checked in the same way for every file format. Room: exchange/imports.

use std::{borrow::Cow, collections::HashSet, sync::OnceLock};

use chrono::{DateTime, NaiveDate, Utc};
use entity::{
    contact,
    enums::{Channel, ContactPointKind},
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    OnInvalid, Problem, ReadOptions, Reason, Region,
    address_cells::{mailboxes_in, numbers_in},
};
use crate::{
    base::{
        error::Error,
        fold::email_key,
        identities::{Reader, is_damaged},
    },
    domain::contacts::{self, MAX_CONTACT_POINTS, NewAddresses, NewContactPoint},
    registry::{CONTACT, CONTACT_POINT, Field, Validator},
};

/// Maximum number of opt-outs per row.
const MAX_OPT_OUTS: usize = 200;

/// A row that passed every check.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Where it begins.
    pub line: u64,
    /// Id in the source; if the file has none, a digest of the row, so that a repeated import finds it.
    pub external_id: String,
    /// The values that are not empty.
    pub values: contacts::Values,
    /// Further contact points, each with its creation time if the file has it.
    pub points: Vec<(NewContactPoint, Option<DateTime<Utc>>)>,
    /// Additional data of a Zweck export.
    pub native: Option<NativeExtras>,
    /// The version of the contact that the row is based on, if it states one.
    pub expected_version: Option<i32>,
    /// The opt-outs of the person.
    pub opt_outs: Vec<RowOptOut>,
    /// The row as a contact and its addresses, once they were read.
    as_contact: OnceLock<(contact::Model, NewAddresses)>,
}

/// An opt-out of advertising.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RowOptOut {
    /// On which channel; on all otherwise.
    pub channel: Option<Channel>,
    /// Code of the purpose or group, where an export of Zweck names it; all advertising otherwise.
    pub purpose: Option<String>,
    /// When the person opted out, if a Zweck export says so.
    pub at: Option<DateTime<Utc>>,
}

impl Row {
    /// The addresses by which the contact would be reached, under an id that stands for the row.
    pub fn addresses(&self, reader: &Reader) -> Result<&NewAddresses, Error> {
        Ok(&self.as_contact(reader)?.1)
    }

    /// The contact that the row becomes, with `id` and made at `now`.
    pub fn contact(&self, reader: &Reader, id: Uuid, now: DateTime<Utc>) -> Result<contact::Model, Error> {
        let (contact, _) = self.as_contact(reader)?;
        Ok(contact::Model { id, created_at: now, updated_at: now, ..contact.clone() })
    }

    /// Read once, since every row is looked up, locked and written by its addresses: all readers of a program read
    /// alike.
    fn as_contact(&self, reader: &Reader) -> Result<&(contact::Model, NewAddresses), Error> {
        if let Some(as_contact) = self.as_contact.get() {
            return Ok(as_contact);
        }
        let id = Uuid::from_u128(u128::from(self.line));
        let mut contact = contacts::blank(reader, id, DateTime::<Utc>::UNIX_EPOCH);
        let values = self.values.iter().map(|(field, value)| (*field, value.as_str()));
        contacts::set_all(reader, &mut contact, values)?;
        let points = self.points.iter().map(|(point, _)| point.row(reader, Uuid::nil(), contact.created_at));
        let points: Vec<_> = points.collect();
        let reached = NewAddresses::of_contact(reader, &contact, &points);
        Ok(self.as_contact.get_or_init(|| (contact, reached)))
    }
}

/// Data that only a Zweck export contains.
#[derive(Clone, Debug)]
pub(super) struct NativeExtras {
    /// Id of the contact, which it keeps.
    pub id: Uuid,
    /// When it was made.
    pub created_at: Option<DateTime<Utc>>,
    /// Where its values come from.
    pub sources: Vec<NativeSource>,
}

/// A source in a Zweck export.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NativeSource {
    pub source: String,
    pub external_id: Option<String>,
    pub collected_at: Option<DateTime<Utc>>,
    pub recorded_at: Option<DateTime<Utc>>,
    pub recorded_by: Option<String>,
    #[serde(default)]
    pub fields: Vec<String>,
    pub informed_at: Option<DateTime<Utc>>,
    pub notice_version: Option<String>,
}

/// A row, unless it is rejected, with its problems.
#[derive(Debug, Default)]
pub(super) struct CheckedRow {
    pub row: Option<Row>,
    /// A rejected row that opts out: the opt-out is recorded anyway.
    pub rejected: Option<Row>,
    pub problems: Vec<Problem>,
    /// Names of contents without a field.
    pub left_out: Vec<String>,
}

impl CheckedRow {
    /// A row that cannot be read at all.
    pub fn unreadable(line: u64, reason: Reason) -> Self {
        Self::unreadable_up_to(line, None, reason)
    }

    /// Rows that cannot be separated, up to the line `last_line`.
    pub fn unreadable_up_to(line: u64, last_line: Option<u64>, reason: Reason) -> Self {
        let problem = Problem { last_line, ..Problem::new(line, None, reason) };
        Self { problems: vec![problem], ..Self::default() }
    }
}

/// Options for checking values.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValueChecks {
    today: NaiveDate,
    on_invalid: OnInvalid,
    region: Option<Region>,
}

impl ValueChecks {
    pub fn new(read_options: &ReadOptions, today: NaiveDate) -> Self {
        Self { today, on_invalid: read_options.on_invalid, region: read_options.region }
    }
}

/// The ids and e-mail addresses of the rows read so far, 8 bytes of a digest of each: of a million rows two that differ
/// are taken for the same once in ten million files, and that is reported.
pub(super) type SeenKeys = HashSet<u64>;

/// A row under construction.
pub(super) struct RowDraft {
    checks: ValueChecks,
    line: u64,
    fatal: bool,
    values: contacts::Values,
    points: Vec<(NewContactPoint, Option<DateTime<Utc>>)>,
    /// Column and key of the e-mail address of the contact.
    mailbox: Option<(String, String)>,
    problems: Vec<Problem>,
    left_out: Vec<String>,
    opt_outs: Vec<RowOptOut>,
    expected_version: Option<i32>,
}

impl RowDraft {
    pub fn new(checks: ValueChecks, line: u64) -> Self {
        let (values, points, mailbox, problems, left_out) = Default::default();
        let opt_outs = Vec::new();
        Self {
            checks,
            line,
            fatal: false,
            values,
            points,
            mailbox,
            problems,
            left_out,
            opt_outs,
            expected_version: None,
        }
    }

    /// Adds a problem that does not reject the row.
    pub fn warn(&mut self, column: Option<&str>, reason: Reason) {
        self.problems.push(Problem::new(self.line, column.map(str::to_owned), reason));
    }

    /// Adds a problem of a value; rejects the row if the options say so.
    pub fn invalid_value(&mut self, column: &str, reason: Reason) {
        self.warn(Some(column), reason);
        self.fatal |= self.checks.on_invalid == OnInvalid::SkipRow;
    }

    /// Rejects the row.
    pub fn reject(&mut self, column: Option<&str>, reason: Reason) {
        self.warn(column, reason);
        self.fatal = true;
    }

    /// Adds an opt-out.
    pub fn add_opt_out(&mut self, opt_out: RowOptOut) {
        // Implausibly many: treat as an opt-out of everything.
        let is_full = self.opt_outs.len() >= MAX_OPT_OUTS;
        let opt_out = if is_full { RowOptOut { channel: None, purpose: None, at: None } } else { opt_out };
        if !self.opt_outs.contains(&opt_out) {
            self.opt_outs.push(opt_out);
        }
    }

    /// The version that the row is based on; an empty cell states none.
    pub fn expect_version(&mut self, column: &str, cell: &str) {
        match cell.trim() {
            "" => {}
            text => match text.parse() {
                Ok(version) => self.expected_version = Some(version),
                Err(_) => self.reject(Some(column), Reason::WrongType),
            },
        }
    }

    /// Adds the name of a content without a field.
    pub fn mark_left_out(&mut self, name: impl Into<String>) {
        self.left_out.push(name.into());
    }

    /// Of a cell with several addresses or numbers the first, where each can be read; the others become contact points.
    fn first_of_several<'g>(&mut self, field: &Field, column: &str, cell: &'g str) -> Cow<'g, str> {
        let (kind, parts) = match field.validator {
            Some(Validator::Email) => (ContactPointKind::Email, mailboxes_in(cell)),
            Some(Validator::Phone) => (ContactPointKind::Phone, numbers_in(cell)),
            _ => return Cow::Borrowed(cell),
        };
        let is_valid = |part: &String| {
            let check_value = field.validator.map(|validator| validator.validate(part, self.checks.today));
            matches!(check_value, Some(Ok(Some(_))))
        };
        let [first_of_several, others @ ..] = parts.as_slice() else { return Cow::Borrowed(cell) };
        if others.is_empty() || !parts.iter().all(is_valid) {
            return Cow::Borrowed(cell);
        }
        self.warn(Some(column), Reason::SeveralValues);
        for further in others.iter().filter(|further| *further != first_of_several) {
            self.point(kind, column, &[(field.name, further), ("label", "other")], None);
        }
        Cow::Owned(first_of_several.clone())
    }

    /// The value of a field of the contact; the first, where there are several.
    pub fn value(&mut self, field: &'static Field, column: &str, cell: &str) {
        if self.values.iter().any(|(present, _)| present.name == field.name) {
            if !cell.trim().is_empty() {
                self.mark_left_out(column);
            }
            return;
        }
        let cell = self.first_of_several(field, column, cell);
        if let Some(value) = self.check_value(field, column, &cell) {
            if field.validator == Some(Validator::Email) {
                self.mailbox = Some((column.to_owned(), email_key(&value)));
            }
            self.values.push((field, value));
        }
    }

    /// The value of the field called `name`.
    pub fn set(&mut self, name: &str, column: &str, cell: &str) {
        if let Some(field) = CONTACT.field(name) {
            self.value(field, column, cell);
        }
    }

    /// A contact point of the values that are not empty, unless there is none.
    pub fn point(
        &mut self,
        kind: ContactPointKind,
        column: &str,
        values: &[(&str, &str)],
        created_at: Option<DateTime<Utc>>,
    ) {
        let mut checked_values = Vec::with_capacity(values.len());
        for (name, cell) in values {
            let Some(field) = CONTACT_POINT.field(name) else { continue };
            let cell = &self.first_of_several(field, column, cell);
            checked_values.extend(self.check_value(field, column, cell).map(|value| (field.name, value)));
        }
        let point = NewContactPoint { contact_id: Uuid::nil(), kind, values: checked_values };
        let is_same = |existing: &NewContactPoint| existing.kind == kind && existing.values == point.values;
        if point.check().is_err() {
            if point.values.iter().any(|(name, _)| *name != "label") {
                // A value of another kind of contact point.
                self.invalid_value(column, Reason::WrongType);
            }
            return;
        }
        if self.points.iter().any(|(existing, _)| is_same(existing)) {
            return;
        }
        if self.points.len() == MAX_CONTACT_POINTS {
            if !self.problems.iter().any(|problem| problem.reason == Reason::TooManyContactPoints) {
                self.invalid_value(column, Reason::TooManyContactPoints);
            }
            return;
        }
        self.points.push((point, created_at));
    }

    /// Whether `cell` is a valid value of the field called `name`.
    pub fn fits(&self, name: &str, cell: &str) -> bool {
        let validator = CONTACT.field(name).and_then(|field| field.validator);
        validator.is_some_and(|validator| {
            validator.validate(cell, self.checks.today).is_ok_and(|value| value.is_some())
        })
    }

    /// A value as it is kept: checked, and as given where it does not have the shape of its field but may stay.
    fn check_value(&mut self, field: &Field, column: &str, cell: &str) -> Option<String> {
        let validator = field.validator?;
        match validator.validate(cell, self.checks.today) {
            Ok(Some(value)) if validator == Validator::Phone => Some(self.phone_as_e164(column, value)?),
            Ok(value) => value,
            Err(error) => {
                self.invalid_value(column, error.into());
                // As given, where the column holds any text and the text itself is sound.
                let is_format_error =
                    matches!(validator, Validator::Email | Validator::Phone | Validator::Language);
                let line = Validator::Line.validate(cell, self.checks.today).ok().flatten();
                line.filter(|_| is_format_error && self.checks.on_invalid == OnInvalid::Keep)
            }
        }
    }

    /// A phone number in the form of ITU-T E.164, where the region of national numbers is known.
    fn phone_as_e164(&mut self, column: &str, number: String) -> Option<String> {
        if is_damaged(&number) {
            self.invalid_value(column, Reason::UnknownPhoneNumber);
            return Some(number).filter(|_| self.checks.on_invalid == OnInvalid::Keep);
        }
        let Some(region) = self.checks.region else { return Some(number) };
        match phonenumber::parse(Some(region), &number) {
            Ok(number) if number.is_valid() => {
                let extension = number.extension().map(|extension| format!(";ext={extension}"));
                let number = number.format().mode(phonenumber::Mode::E164);
                Some(format!("{number}{}", extension.unwrap_or_default()))
            }
            _ => {
                self.invalid_value(column, Reason::UnknownPhoneNumber);
                Some(number).filter(|_| self.checks.on_invalid == OnInvalid::Keep)
            }
        }
    }

    /// The row, unless it is left out. `id_column` is the column that the id was read from.
    pub fn finish(
        mut self,
        external_id: String,
        id_column: Option<&str>,
        native: Option<NativeExtras>,
        seen: &mut SeenKeys,
    ) -> CheckedRow {
        let identifies = !self.points.is_empty() || self.values.iter().any(|(field, _)| field.is_identifying);
        if !self.fatal && !identifies {
            self.reject(None, Reason::NoNameOrContact);
        }
        if (!self.fatal || id_column.is_some()) && !is_first(seen, "id", &external_id) {
            self.reject(id_column, Reason::DuplicateRow);
        }
        for source in native.iter().flat_map(|native| &native.sources) {
            let Some(id) = &source.external_id else { continue };
            if !self.fatal && !is_first(seen, "source", &format!("{}\0{id}", source.source)) {
                self.reject(Some("provenance"), Reason::DuplicateRow);
            }
        }
        if let Some((column, mailbox)) = self.mailbox.take().filter(|_| !self.fatal)
            && !is_first(seen, "mailbox", &mailbox)
        {
            // Of a family it may be, or of the same person: that is not for an import to say.
            self.warn(Some(&column), Reason::RepeatedEmail);
        }
        let opts_out = !self.opt_outs.is_empty();
        let row = Row {
            line: self.line,
            external_id,
            values: self.values,
            points: self.points,
            native,
            expected_version: self.expected_version,
            opt_outs: self.opt_outs,
            as_contact: OnceLock::new(),
        };
        let (row, rejected_row) = if self.fatal { (None, Some(row)) } else { (Some(row), None) };
        CheckedRow {
            row,
            rejected: rejected_row.filter(|_| opts_out),
            problems: self.problems,
            left_out: if self.fatal { Vec::new() } else { self.left_out },
        }
    }

    /// A row without an id cannot come in.
    pub fn without_id(mut self, column: &str, reason: Reason) -> CheckedRow {
        self.reject(Some(column), reason);
        // Without an id it can still be matched by its addresses.
        let (values, points, opt_outs) = (self.values, self.points, self.opt_outs);
        let opts_out = !opt_outs.is_empty();
        let rejected_row = Row {
            line: self.line,
            external_id: String::new(),
            values,
            points,
            native: None,
            expected_version: None,
            opt_outs,
            as_contact: OnceLock::new(),
        };
        CheckedRow {
            problems: self.problems,
            rejected: opts_out.then_some(rejected_row),
            ..CheckedRow::default()
        }
    }
}

/// Whether no earlier row had this `text`.
fn is_first(seen: &mut SeenKeys, kind: &str, text: &str) -> bool {
    let hash = Sha256::new().chain_update(kind).chain_update([0]).chain_update(text).finalize();
    seen.insert(hash.first_chunk().copied().map_or(0, u64::from_be_bytes))
}

/// The id of a row in its source.
pub(super) fn external_id(text: &str) -> Result<String, Reason> {
    match text {
        "" => Err(Reason::MissingExternalId),
        text if text.chars().count() > 500 => Err(Reason::TooLong),
        text if text.chars().any(char::is_control) => Err(Reason::ControlCharacter),
        text => Ok(text.to_owned()),
    }
}

/// Stands for the id of a row that has none. It lies beside the values themselves and goes with them.
pub(super) fn digest<'a>(cells: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> String {
    let mut sorted: Vec<_> = cells.filter(|(_, cell)| !cell.is_empty()).collect();
    sorted.sort_unstable();
    let mut hash = Sha256::new();
    for (name, cell) in sorted {
        for part in [name, cell] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
    }
    let bytes = hash.finalize();
    let number = bytes.first_chunk().copied().map_or(0, u128::from_be_bytes);
    format!("row:{number:032x}")
}
