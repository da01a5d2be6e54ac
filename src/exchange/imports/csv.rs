//! Rows of a CSV file. Room: exchange/imports.

use std::io::Read;

use chrono::NaiveDate;
use entity::enums::{Channel, ContactPointKind};

use super::{
    Import, OPT_OUTS_OF_OWN, Problem, Reason, Target,
    drafts::{Checked, Checks, Draft, Seen, Unwanted, digest, external_id},
    heads::{plain, surely_opt_outs, tells_consents, tells_opt_outs},
    words::{lacks_yes, opts_out, says_no_under},
};
use crate::base::error::Error;
use crate::exchange::imports::{
    csv_table::Table,
    native::{self, Told},
};

/// The rows of a file.
pub(super) struct CsvRows<R> {
    table: Table<R>,
    columns: Vec<Column>,
    /// Names of all columns: those of the header, else their numbers.
    heads: Vec<String>,
    /// Columns that hold nothing which is imported.
    unmapped: Vec<usize>,
    external_id: Option<(usize, String)>,
    /// Columns that say who does not want to be advertised to.
    opt_outs: Vec<OptOutColumn>,
    /// Columns of which nothing is read, and a cell of which may say so too; each is told once.
    doubtful: Vec<usize>,
    /// Columns that only an export of Zweck has, where this is one.
    own: Option<OwnColumns>,
    checks: Checks,
    today: NaiveDate,
    seen: Seen,
}

struct OptOutColumn {
    index: usize,
    channel: Option<Channel>,
    /// Whether its head asks for a yes, so that what is none opts out.
    asks_yes: bool,
    /// Whether it names what is objected to, as exports of Zweck do.
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

struct OwnColumns {
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
    /// `BAD_USER_INPUT` for a column that is not there, or there twice, for a file without the header it should have, and for a
    /// column of opt-outs that is not mapped where the contacts are to be advertised to.
    pub fn open(
        file: R,
        import: &Import,
        advertising: bool,
        checks: Checks,
        today: NaiveDate,
    ) -> Result<(Self, Vec<Problem>), Error> {
        let reading = &import.reading;
        let table = Table::open(file, reading)?;
        let find = |wanted: &str| table.find(wanted);
        let mut columns = Vec::with_capacity(import.map.len());
        for (target, name) in &import.map {
            match find(name) {
                Ok(index) => columns.push(Column { index, name: name.clone(), target: target.clone() }),
                Err(_) if reading.optional.contains(target) => {}
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
        let heads = table.heads();
        let mut opt_outs: Vec<OptOutColumn> = Vec::new();
        for opt_out in &import.opt_outs {
            let called = || heads.iter().position(|head| plain(head) == plain(&opt_out.column));
            let index = if opt_out.optional { called() } else { Some(find(&opt_out.column)?) };
            let asks_yes = reading.header && tells_consents(&opt_out.column);
            let tells_codes =
                reading.own && OPT_OUTS_OF_OWN.iter().any(|(_, column)| *column == opt_out.column);
            opt_outs.extend(index.map(|index| OptOutColumn {
                index,
                channel: opt_out.channel,
                asks_yes,
                tells_codes,
            }));
        }
        let told = |name: &str| reading.own && OPT_OUTS_OF_OWN.iter().any(|(_, column)| *column == name);
        let untold =
            |name: &&str| !import.ignore.iter().any(|ignored| ignored == name) && find(name).is_err();
        let missing: Vec<&str> = OPT_OUTS_OF_OWN.iter().map(|(_, column)| *column).filter(untold).collect();
        if reading.own && advertising && !missing.is_empty() {
            return Err(Error::bad_input(format!(
                "the file does not tell who objects to advertising: it lacks {}; export it by a token that reads objections, or name them \
                 with --ignore",
                missing.join(", ")
            )));
        }
        let ignored = import.ignore.iter().filter(|name| !(told(name) && find(name).is_err()));
        let ignored: Vec<usize> = ignored.map(|name| find(name)).collect::<Result<_, _>>()?;
        let optional = |name: &str| find(name).ok();
        let own = match (reading.own, &external_id) {
            (true, Some((id, _))) => Some(OwnColumns {
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
                || external_id.as_ref().is_some_and(|(id, _)| id == index)
        };
        // Zweck's own record tells more than comes in again.
        let unmapped: Vec<usize> =
            (0..table.width()).filter(|index| own.is_none() && !mapped(index)).collect();
        let (mut unclear, mut doubtful) = (Vec::new(), Vec::new());
        for index in unmapped.iter().filter(|index| reading.header && !ignored.contains(index)) {
            let Some(head) = heads.get(*index) else { continue };
            if !surely_opt_outs(head) {
                doubtful.extend(Some(*index).filter(|_| tells_opt_outs(head) || tells_consents(head)));
                continue;
            }
            if advertising {
                return Err(unmapped_no(head, "tells who does not want to be advertised to"));
            }
            unclear.push(Problem::of(1, Some(head.clone()), Reason::OptOutNotMapped));
        }
        let rows = Self {
            heads,
            opt_outs,
            doubtful,
            table,
            columns,
            unmapped,
            external_id,
            own,
            checks,
            today,
            seen: Seen::new(),
        };
        Ok((rows, unclear))
    }

    /// Whether a no may stand in a column of which nothing is read.
    pub fn is_doubtful(&self) -> bool {
        !self.doubtful.is_empty()
    }

    /// Looks through all rows for a no in a column of which nothing is read.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` with line and column of the first one, and where the file breaks off.
    pub fn look(mut self) -> Result<(), Error> {
        while let Some(row) = self.table.next()? {
            let Ok(line) = row else { continue };
            let head = self.saying_no().next().and_then(|index| self.heads.get(index));
            if let Some(head) = head {
                return Err(unmapped_no(head, &format!("says no to advertising on line {line}")));
            }
        }
        Ok(())
    }

    /// Doubtful columns in which the row says no, or holds what cannot be read.
    fn saying_no(&self) -> impl Iterator<Item = usize> {
        let says = |index: &usize| {
            let head = self.heads.get(*index).map_or("", String::as_str);
            self.table.is_filled(*index)
                && self.table.text(*index).map_or(true, |cell| says_no_under(head, &cell))
        };
        self.doubtful.iter().copied().filter(says)
    }

    /// The next row.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` where the file breaks off.
    pub fn next(&mut self) -> Result<Option<Checked>, Error> {
        Ok(match self.table.next()? {
            None => None,
            Some(Ok(line)) => {
                let mut checked = self.check(line);
                let said: Vec<usize> = self.saying_no().collect();
                self.doubtful.retain(|index| !said.contains(index));
                checked.problems.extend(
                    said.iter()
                        .filter_map(|index| self.heads.get(*index))
                        .map(|head| Problem::of(line, Some(head.clone()), Reason::OptOutNotMapped)),
                );
                Some(checked)
            }
            Some(Err(row)) => {
                let mut checked = Checked::refused_to(row.line, row.last_line, row.reason);
                // What stands there may opt out.
                checked
                    .problems
                    .iter_mut()
                    .for_each(|problem| problem.no_not_taken = !self.opt_outs.is_empty());
                Some(checked)
            }
        })
    }

    fn check(&mut self, line: u64) -> Checked {
        let mut draft = Draft::new(self.checks, line);
        let mut postal: Vec<PostalColumns<'_>> = Vec::new();
        for Column { index, name, target } in &self.columns {
            let given = match self.text(*index) {
                Ok(given) => given,
                Err(reason) => {
                    draft.fault(name, reason);
                    continue;
                }
            };
            match target {
                Target::Field(field) => draft.value(field, name, &given),
                Target::Point { kind: ContactPointKind::Postal, field, label } => {
                    // The columns of one address make one contact point.
                    match postal.iter_mut().find(|known| known.label == label) {
                        Some(known) => known.values.push((field, given)),
                        None => {
                            postal.push(PostalColumns { label, column: name, values: vec![(field, given)] })
                        }
                    }
                }
                Target::Point { kind, field, label } => {
                    draft.point(*kind, name, &[(field, &given), ("label", label)], None);
                }
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
            if let (true, Ok(told)) = (*tells_codes, &cell) {
                told.split_whitespace().for_each(|told| draft.opt_out(native::unwanted(told, *channel)));
                continue;
            }
            let says = |cell: String| if *asks_yes { lacks_yes(&cell) } else { opts_out(&cell) };
            // What cannot be read may be a no.
            if cell.map_or(true, says) {
                draft.opt_out(Unwanted { channel: *channel, purpose: None, at: None });
            }
        }
        for index in &self.unmapped {
            if let Some(head) = self.heads.get(*index).filter(|_| self.table.is_filled(*index)) {
                draft.leave_out(head);
            }
        }
        let told = self.own.as_ref().map(|columns| self.told(columns, &mut draft));
        match &self.external_id {
            None => {
                // Of all cells as they are, so that a row is known again whatever is mapped, and becomes of its values.
                let cells = self.heads.iter().map(|head| head.as_bytes());
                let cells = cells.zip(self.table.cells().map(<[u8]>::trim_ascii));
                draft.finish(digest(cells), None, None, &mut self.seen)
            }
            Some((index, name)) => match self.text(*index).and_then(|text| external_id(&text)) {
                Ok(id) => {
                    let own = told.and_then(|told| told.own(&id, name, &mut draft));
                    draft.finish(id, Some(name), own, &mut self.seen)
                }
                Err(reason) => draft.without_id(name, reason),
            },
        }
    }

    fn told(&self, columns: &OwnColumns, draft: &mut Draft) -> Told {
        let mut text = |index: Option<usize>, name: &str| match index.map(|index| self.text(index)) {
            Some(Ok(text)) if !text.is_empty() => Some(text),
            Some(Err(reason)) => {
                draft.refuse(Some(name), reason);
                None
            }
            _ => None,
        };
        let told = [
            text(columns.created_at, "createdAt"),
            text(columns.state, "state"),
            text(columns.points, "contactPoints"),
            text(columns.sources, "provenance"),
        ];
        Told::of_cells(told, self.today, draft)
    }

    /// The field at `index`, decoded and trimmed.
    fn text(&self, index: usize) -> Result<String, Reason> {
        let text = self.table.text(index)?;
        Ok(match &self.own {
            Some(own) if own.id != index => native::unescape(&text),
            _ => text,
        })
    }
}

/// A no that nothing is read of must not be passed over.
fn unmapped_no(head: &str, what: &str) -> Error {
    Error::bad_input(format!(
        "column `{head}` {what}, and is not mapped: say what it means by --opt-out email={head} (or phone, sms, post, all), or that it does not count by --ignore {head}"
    ))
}
