//! Rows of a CSV file. Room: exchange/imports.

use std::io::Read;

use chrono::NaiveDate;
use entity::enums::{Channel, ContactPointKind};

use super::{
    ContactImport, OPT_OUTS_OF_OWN, Problem, Reason, Target,
    header_names::{is_consent_header, is_definite_opt_out_header, is_opt_out_header, normalize},
    row_draft::{CheckedRow, RowDraft, RowOptOut, SeenKeys, ValueChecks, digest, external_id},
    words::{lacks_yes, opts_out, says_no_under},
};
use crate::base::error::Error;
use crate::exchange::imports::{
    csv_table::Table,
    native::{self, NativeFields},
};

/// The rows of a file.
pub(super) struct CsvRows<R> {
    table: Table<R>,
    columns: Vec<Column>,
    /// Names of all columns: those of the header, else their numbers.
    header_names: Vec<String>,
    /// Columns that are not imported.
    unmapped: Vec<usize>,
    external_id: Option<(usize, String)>,
    /// The column of the version that a row is based on.
    expected_version: Option<(usize, String)>,
    /// Columns with opt-outs.
    opt_outs: Vec<OptOutColumn>,
    /// Unmapped columns whose cells may contain opt-outs; each is reported once.
    doubtful: Vec<usize>,
    /// Columns that only a Zweck export has, if this is one.
    native_columns: Option<NativeColumns>,
    checks: ValueChecks,
    today: NaiveDate,
    seen: SeenKeys,
}

struct OptOutColumn {
    index: usize,
    channel: Option<Channel>,
    /// Whether its header asks for consent, so that anything but a yes opts out.
    asks_yes: bool,
    /// Whether it contains codes of purposes, as Zweck exports do.
    tells_codes: bool,
}

struct Column {
    index: usize,
    name: String,
    target: Target,
}

/// The columns of one postal address.
struct PostalColumns<'a> {
    label: &'a str,
    column: &'a str,
    values: Vec<(&'static str, String)>,
}

struct NativeColumns {
    id: usize,
    created_at: Option<usize>,
    state: Option<usize>,
    points: Option<usize>,
    sources: Option<usize>,
}

impl<R: Read> CsvRows<R> {
    /// Reads the header, if there is one, and finds the mapped columns.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a column that is not there, or there twice, for a file without the header it should have,
    /// and for a column of opt-outs that is not mapped where the contacts are to be advertised to.
    pub fn open(
        file: R,
        import: &ContactImport,
        advertising: bool,
        checks: ValueChecks,
        today: NaiveDate,
    ) -> Result<(Self, Vec<Problem>), Error> {
        let read_options = &import.read_options;
        let table = Table::open(file, read_options)?;
        let find = |name: &str| table.find(name);
        let mut columns = Vec::with_capacity(import.map.len());
        for (target, name) in &import.map {
            match find(name) {
                Ok(index) => columns.push(Column { index, name: name.clone(), target: target.clone() }),
                Err(_) if read_options.optional.contains(target) => {}
                Err(error) => return Err(error),
            }
        }
        if columns.is_empty() {
            return Err(Error::bad_input("the file has none of the mapped columns"));
        }
        let external_id = match &import.external_id {
            Some(name) => Some((find(name)?, name.clone())),
            None => None,
        };
        let expected_version = match &import.expected_version {
            Some(name) => Some((find(name)?, name.clone())),
            None => None,
        };
        let header_names = table.header_names();
        let mut opt_outs: Vec<OptOutColumn> = Vec::new();
        for opt_out in &import.opt_outs {
            let by_name = || {
                header_names
                    .iter()
                    .position(|header_name| normalize(header_name) == normalize(&opt_out.column))
            };
            let index = if opt_out.optional { by_name() } else { Some(find(&opt_out.column)?) };
            let asks_yes = read_options.header && is_consent_header(&opt_out.column);
            let tells_codes =
                read_options.is_native && OPT_OUTS_OF_OWN.iter().any(|(_, column)| *column == opt_out.column);
            opt_outs.extend(index.map(|index| OptOutColumn {
                index,
                channel: opt_out.channel,
                asks_yes,
                tells_codes,
            }));
        }
        let is_native_column =
            |name: &str| read_options.is_native && OPT_OUTS_OF_OWN.iter().any(|(_, column)| *column == name);
        let is_missing =
            |name: &&str| !import.ignore.iter().any(|ignored| ignored == name) && find(name).is_err();
        let missing: Vec<&str> =
            OPT_OUTS_OF_OWN.iter().map(|(_, column)| *column).filter(is_missing).collect();
        if read_options.is_native && advertising && !missing.is_empty() {
            return Err(Error::bad_input(format!(
                "the file does not tell who objects to advertising: it lacks {}; export it by a token that reads objections, or name them \
                 with --ignore",
                missing.join(", ")
            )));
        }
        let ignored = import.ignore.iter().filter(|name| !(is_native_column(name) && find(name).is_err()));
        let ignored: Vec<usize> = ignored.map(|name| find(name)).collect::<Result<_, _>>()?;
        let optional = |name: &str| find(name).ok();
        let native_columns = match (read_options.is_native, &external_id) {
            (true, Some((id, _))) => Some(NativeColumns {
                id: *id,
                created_at: optional("createdAt"),
                state: optional("state"),
                points: optional("contactPoints"),
                sources: optional("provenance"),
            }),
            _ => None,
        };
        let mapped = |index: &usize| {
            columns.iter().any(|column| column.index == *index)
                || opt_outs.iter().any(|opt_out| opt_out.index == *index)
                || external_id.iter().chain(&expected_version).any(|(column, _)| column == index)
        };
        // A Zweck export has more columns than are imported again.
        let unmapped: Vec<usize> =
            (0..table.width()).filter(|index| native_columns.is_none() && !mapped(index)).collect();
        let (mut unclear, mut doubtful) = (Vec::new(), Vec::new());
        for index in unmapped.iter().filter(|index| read_options.header && !ignored.contains(index)) {
            let Some(header_name) = header_names.get(*index) else { continue };
            if !is_definite_opt_out_header(header_name) {
                doubtful.extend(
                    Some(*index).filter(|_| is_opt_out_header(header_name) || is_consent_header(header_name)),
                );
                continue;
            }
            if advertising {
                return Err(unmapped_no(header_name, "tells who does not want to be advertised to"));
            }
            unclear.push(Problem::new(1, Some(header_name.clone()), Reason::OptOutNotMapped));
        }
        let rows = Self {
            header_names,
            opt_outs,
            doubtful,
            table,
            columns,
            unmapped,
            external_id,
            expected_version,
            native_columns,
            checks,
            today,
            seen: SeenKeys::new(),
        };
        Ok((rows, unclear))
    }

    /// Whether an unmapped column may contain an opt-out.
    pub fn is_doubtful(&self) -> bool {
        !self.doubtful.is_empty()
    }

    /// Checks all rows for an opt-out in an unmapped column.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` with line and column of the first one, and where the file breaks off.
    pub fn check_doubtful_columns(mut self) -> Result<(), Error> {
        while let Some(row) = self.table.next()? {
            let Ok(line) = row else { continue };
            let header_name = self.saying_no().next().and_then(|index| self.header_names.get(index));
            if let Some(header_name) = header_name {
                return Err(unmapped_no(header_name, &format!("says no to advertising on line {line}")));
            }
        }
        Ok(())
    }

    /// Doubtful columns that contain an opt-out or an unreadable cell in this row.
    fn saying_no(&self) -> impl Iterator<Item = usize> {
        let says = |index: &usize| {
            let header_name = self.header_names.get(*index).map_or("", String::as_str);
            self.table.is_filled(*index)
                && self.table.text(*index).map_or(true, |cell| says_no_under(header_name, &cell))
        };
        self.doubtful.iter().copied().filter(says)
    }

    /// The next row.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` where the file breaks off.
    pub fn next(&mut self) -> Result<Option<CheckedRow>, Error> {
        Ok(match self.table.next()? {
            None => None,
            Some(Ok(line)) => {
                let mut checked = self.check(line);
                let columns: Vec<usize> = self.saying_no().collect();
                self.doubtful.retain(|index| !columns.contains(index));
                checked.problems.extend(
                    columns.iter().filter_map(|index| self.header_names.get(*index)).map(|header_name| {
                        Problem::new(line, Some(header_name.clone()), Reason::OptOutNotMapped)
                    }),
                );
                Some(checked)
            }
            Some(Err(row)) => {
                let mut checked = CheckedRow::unreadable_up_to(row.line, row.last_line, row.reason);
                // It may opt out.
                checked
                    .problems
                    .iter_mut()
                    .for_each(|problem| problem.no_not_taken = !self.opt_outs.is_empty());
                Some(checked)
            }
        })
    }

    fn check(&mut self, line: u64) -> CheckedRow {
        let mut draft = RowDraft::new(self.checks, line);
        let mut postal: Vec<PostalColumns<'_>> = Vec::new();
        for Column { index, name, target } in &self.columns {
            let cell = match self.text(*index) {
                Ok(cell) => cell,
                Err(reason) => {
                    draft.invalid_value(name, reason);
                    continue;
                }
            };
            match target {
                Target::Field(field) => draft.value(field, name, &cell),
                Target::Point { kind: ContactPointKind::Postal, field, label } => {
                    // The columns of one address make one contact point.
                    match postal.iter_mut().find(|address| address.label == label) {
                        Some(address) => address.values.push((field, cell)),
                        None => {
                            postal.push(PostalColumns { label, column: name, values: vec![(field, cell)] })
                        }
                    }
                }
                Target::Point { kind, field, label } => {
                    draft.point(*kind, name, &[(field, &cell), ("label", label)], None);
                }
            }
        }
        if let Some((index, name)) = &self.expected_version {
            match self.text(*index) {
                Ok(cell) => draft.expect_version(name, &cell),
                Err(reason) => draft.reject(Some(name), reason),
            }
        }
        for PostalColumns { label, column, values } in &postal {
            let mut values: Vec<(&str, &str)> =
                values.iter().map(|(name, value)| (*name, value.as_str())).collect();
            values.push(("label", label));
            draft.point(ContactPointKind::Postal, column, &values, None);
        }
        for OptOutColumn { index, channel, asks_yes, tells_codes } in &self.opt_outs {
            if !self.table.is_filled(*index) {
                continue;
            }
            let cell = self.text(*index);
            if let (true, Ok(native_fields)) = (*tells_codes, &cell) {
                native_fields.split_whitespace().for_each(|native_fields| {
                    draft.add_opt_out(native::parse_opt_out(native_fields, *channel))
                });
                continue;
            }
            let opted_out = |cell: String| if *asks_yes { lacks_yes(&cell) } else { opts_out(&cell) };
            // An unreadable cell may be an opt-out.
            if cell.map_or(true, opted_out) {
                draft.add_opt_out(RowOptOut { channel: *channel, purpose: None, at: None });
            }
        }
        for index in &self.unmapped {
            if let Some(header_name) = self.header_names.get(*index).filter(|_| self.table.is_filled(*index))
            {
                draft.mark_left_out(header_name);
            }
        }
        let native_fields =
            self.native_columns.as_ref().map(|columns| self.native_fields(columns, &mut draft));
        match &self.external_id {
            None => {
                // From all cells as they are, so that a row is recognised again whatever the mapping and the corrected
                // values.
                let cells = self.header_names.iter().map(|header_name| header_name.as_bytes());
                let cells = cells.zip(self.table.cells().map(<[u8]>::trim_ascii));
                draft.finish(digest(cells), None, None, &mut self.seen)
            }
            Some((index, name)) => match self.text(*index).and_then(|text| external_id(&text)) {
                Ok(id) => {
                    let native_columns = native_fields
                        .and_then(|native_fields| native_fields.into_extras(&id, name, &mut draft));
                    draft.finish(id, Some(name), native_columns, &mut self.seen)
                }
                Err(reason) => draft.without_id(name, reason),
            },
        }
    }

    fn native_fields(&self, columns: &NativeColumns, draft: &mut RowDraft) -> NativeFields {
        let mut text = |index: Option<usize>, name: &str| match index.map(|index| self.text(index)) {
            Some(Ok(text)) if !text.is_empty() => Some(text),
            Some(Err(reason)) => {
                draft.reject(Some(name), reason);
                None
            }
            _ => None,
        };
        let native_fields = [
            text(columns.created_at, "createdAt"),
            text(columns.state, "state"),
            text(columns.points, "contactPoints"),
            text(columns.sources, "provenance"),
        ];
        NativeFields::from_cells(native_fields, self.today, draft)
    }

    /// The field at `index`, decoded and trimmed.
    fn text(&self, index: usize) -> Result<String, Reason> {
        let text = self.table.text(index)?;
        Ok(match &self.native_columns {
            Some(native_columns) if native_columns.id != index => native::unescape(&text),
            _ => text,
        })
    }
}

/// The error for an unmapped opt-out, which must not be ignored silently.
fn unmapped_no(header_name: &str, reason: &str) -> Error {
    Error::bad_input(format!(
        "column `{header_name}` {reason}, and is not mapped: say what it means by --opt-out email={header_name} (or phone, sms, post, all), or that it does not count by --ignore {header_name}"
    ))
}
