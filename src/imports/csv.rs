//! Rows of a CSV file (floor 4).

use std::io::Read;

use chrono::NaiveDate;
use entity::enums::{Channel, ContactPointKind};

use super::{
    Import, Problem, Reason, Target,
    drafts::{Checked, Checks, Draft, Seen, digest, external_id},
    heads::{plain, tells_opt_outs},
    own::{self, Told},
    table::Table,
    words::opts_out,
};
use crate::error::Error;

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
    opt_outs: Vec<(usize, Option<Channel>)>,
    /// Columns that only an export of Zweck has, where this is one.
    own: Option<OwnColumns>,
    checks: Checks,
    today: NaiveDate,
    seen: Seen,
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
            return Err(Error::input("the file has none of the mapped columns"));
        }
        let external_id = match &import.external_id {
            Some(name) => Some((find(name)?, name.clone())),
            None => None,
        };
        let heads = table.heads();
        let mut opt_outs: Vec<(usize, Option<Channel>)> = Vec::new();
        for opt_out in &import.opt_outs {
            let called = || heads.iter().position(|head| plain(head) == plain(&opt_out.column));
            let index = if opt_out.optional { called() } else { Some(find(&opt_out.column)?) };
            opt_outs.extend(index.map(|index| (index, opt_out.channel)));
        }
        let ignored: Vec<usize> = import.ignore.iter().map(|name| find(name)).collect::<Result<_, _>>()?;
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
                || opt_outs.iter().any(|(opt_out, _)| opt_out == index)
                || external_id.as_ref().is_some_and(|(id, _)| id == index)
        };
        // Zweck's own record tells more than comes in again.
        let unmapped: Vec<usize> =
            (0..table.width()).filter(|index| own.is_none() && !mapped(index)).collect();
        let mut unclear = Vec::new();
        for index in unmapped.iter().filter(|index| reading.header && !ignored.contains(index)) {
            let Some(head) = heads.get(*index).filter(|head| tells_opt_outs(head)) else { continue };
            if advertising {
                return Err(Error::input(format!(
                    "column `{head}` tells who does not want to be advertised to, and is not mapped: say what it means by --opt-out email={head} (or phone, sms, post, all), or that it does not count by --ignore {head}"
                )));
            }
            unclear.push(Problem::of(1, Some(head.clone()), Reason::OptOutNotMapped));
        }
        let rows = Self {
            heads,
            opt_outs,
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

    /// The next row.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` where the file breaks off.
    pub fn next(&mut self) -> Result<Option<Checked>, Error> {
        Ok(match self.table.next()? {
            None => None,
            Some(Ok(line)) => Some(self.check(line)),
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
        for (index, channel) in &self.opt_outs {
            // What cannot be read may be a no.
            if self.table.is_filled(*index) && self.text(*index).map_or(true, |cell| opts_out(&cell)) {
                draft.opt_out(*channel);
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
            Some(own) if own.id != index => own::unguarded(&text),
            _ => text,
        })
    }
}
