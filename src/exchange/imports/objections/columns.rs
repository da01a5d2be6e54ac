//! Columns of a file of addresses that must not be advertised to. Room: exchange/imports/objections.

use std::{collections::BTreeSet, io::Read};

use super::{
    presets::{Gate, PRESETS, Preset},
    wanted::{FIELDS, Listing, OPT_OUT, ObjectionImport},
};
use crate::{
    base::error::Error,
    exchange::imports::{
        csv_table::Table,
        heads::{looks_like, plain, tells_opt_outs},
    },
};

/// What says nothing without a street.
const BESIDE_A_STREET: [&str; 3] = ["city", "country", "familyName"];

/// The columns of a file, by what they hold.
pub(super) struct Columns {
    /// Columns of each field; of several the first that is filled counts, of addresses and numbers all.
    fields: Vec<(&'static str, usize, String)>,
    /// Columns that say whether a row is one of those that the file is read for; where there is none, every row is.
    pub gates: Vec<(usize, Gate)>,
    /// Columns of the other kind: of mail that did not get there, or of objections where that is what the file is read for.
    pub others: Vec<(usize, Gate)>,
    /// Columns that nothing is read of.
    unmapped: Vec<(usize, String)>,
}

impl Columns {
    /// Finds them, by their heads or as they are mapped.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a column that is not there, for one that looks like a field and is neither mapped nor ignored, and for a
    /// file that does not say whom it is about.
    pub fn of<R: Read>(table: &Table<R>, import: &ObjectionImport) -> Result<Self, Error> {
        let heads = table.heads();
        let mut ignored = Vec::with_capacity(import.ignore.len());
        for head in &import.ignore {
            ignored.push(table.find(head)?);
        }
        let mut fields: Vec<(&'static str, usize, String)> = Vec::new();
        for (field, column) in &import.map {
            fields.push((field, table.find(column)?, column.clone()));
        }
        let preset = import.preset.as_deref().map(named).transpose()?;
        let at = |name: &str| {
            let found = heads.iter().position(|head| import.reading.header && plain(head) == plain(name));
            found.filter(|index| !ignored.contains(index))
        };
        let of_field = |field: &'static str| -> &[&'static str] {
            match (preset, field) {
                (Some(preset), "email") => preset.email,
                (Some(preset), "phone") => preset.phone,
                (Some(preset), "at") => preset.at,
                _ => &[],
            }
        };
        for field in FIELDS.into_iter().filter(|field| *field != OPT_OUT) {
            if fields.iter().any(|(known, ..)| *known == field) {
                continue;
            }
            let own = [field];
            let declared = ["declaredAt"];
            let called: &[&str] = match (preset.is_some(), field) {
                (true, _) => of_field(field),
                (false, "at") if at("at").is_none() => &declared,
                (false, _) => &own,
            };
            // Two names of a preset may be the same head.
            let found: BTreeSet<usize> = called.iter().filter_map(|name| at(name)).collect();
            let found = found.into_iter().filter_map(|index| Some((field, index, heads.get(index)?.clone())));
            fields.extend(found);
        }
        if !fields.iter().any(|(field, ..)| matches!(*field, "email" | "phone" | "street")) {
            return Err(Error::bad_input("the file has no column for `email`, `phone` or `street`"));
        }
        let mut columns = Self { fields, gates: Vec::new(), others: Vec::new(), unmapped: Vec::new() };
        if let Some(preset) = preset {
            columns.gate(preset, import.kind, &at)?;
        }
        columns.take_opt_outs(import);
        let taken = |index: usize| {
            let gate = columns.gates.iter().any(|(gate, _)| *gate == index);
            let field = columns.fields.iter().any(|(_, field, _)| *field == index);
            gate || field || columns.others.iter().any(|(other, _)| *other == index)
        };
        // Parts of a postal address count beside a street alone.
        let with_street = columns.columns("street").next().is_some();
        let asked: Vec<&'static str> =
            FIELDS.into_iter().filter(|field| with_street || !BESIDE_A_STREET.contains(field)).collect();
        let unmapped: Vec<(usize, String)> =
            heads.iter().cloned().enumerate().filter(|(index, _)| !taken(*index)).collect();
        for (index, head) in unmapped.iter().filter(|(index, _)| !ignored.contains(index)) {
            match preset {
                Some(preset) if preset.kinds && import.kind == Listing::Undeliverable => {
                    columns.others.push((*index, Gate::True));
                }
                Some(preset) if preset.kinds => columns.gates.push((*index, Gate::True)),
                Some(_) => {}
                None if import.reading.header => {
                    if let Some(field) = looks_like(head, &asked) {
                        let field = if field == "status" && tells_opt_outs(head) { OPT_OUT } else { field };
                        return Err(Error::bad_input(format!(
                            "column `{head}` looks like `{field}` and is not read: say what it holds by --map {field}={head} (or another field), or that it does not count by --ignore {head}"
                        )));
                    }
                }
                None => {}
            }
        }
        columns.unmapped = unmapped;
        Ok(columns)
    }

    /// Columns under whose head a yes is a no say which rows object.
    fn take_opt_outs(&mut self, import: &ObjectionImport) {
        let header = import.reading.header;
        let meant = |(field, _, head): &(&'static str, usize, String)| {
            *field == OPT_OUT || (header && *field == "status" && tells_opt_outs(head))
        };
        let gates: Vec<(usize, Gate)> =
            self.fields.iter().filter(|one| meant(one)).map(|(_, index, _)| (*index, Gate::Says)).collect();
        self.fields.retain(|one| !meant(one));
        match import.kind {
            Listing::Undeliverable => self.others.extend(gates),
            _ => self.gates.extend(gates),
        }
    }

    fn gate(
        &mut self,
        preset: &Preset,
        kind: Listing,
        at: &dyn Fn(&str) -> Option<usize>,
    ) -> Result<(), Error> {
        let found = |all: &[(&str, Gate)]| -> Vec<(usize, Gate)> {
            all.iter().filter_map(|(name, gate)| Some((at(name)?, *gate))).collect()
        };
        let (objecting, undeliverable) = (found(preset.gates), found(preset.undeliverable));
        let (asked, what) = match kind {
            Listing::Undeliverable => {
                (self.gates, self.others) = (undeliverable, objecting);
                (preset.undeliverable, "which messages came back")
            }
            _ => {
                (self.gates, self.others) = (objecting, undeliverable);
                (preset.gates, "who objected")
            }
        };
        let everybody = preset.of_everybody.iter().any(|name| at(name).is_some());
        let bare = preset.bare && kind == Listing::Objection && !everybody && self.others.is_empty();
        if self.gates.is_empty() && !bare {
            let (name, names) = (preset.name, asked.iter().map(|(name, _)| *name).collect::<Vec<_>>());
            return Err(Error::bad_input(match names.as_slice() {
                [] => format!("nothing in an export of {name} says {what}"),
                names => format!(
                    "nothing in the file says {what}: with --preset {name} it must have one of the columns {}",
                    names.join(", ")
                ),
            }));
        }
        Ok(())
    }

    /// The columns of a field, with their heads.
    pub fn columns(&self, field: &str) -> impl Iterator<Item = (usize, &str)> {
        let own = self.fields.iter().filter(move |(known, ..)| *known == field);
        own.map(|(_, index, head)| (*index, head.as_str()))
    }

    /// Heads of columns that nothing is read of, where the row has something there.
    pub fn left_out<'a, R: Read>(&'a self, table: &'a Table<R>) -> impl Iterator<Item = &'a str> {
        let read = |index: usize| self.gates.iter().any(|gate| gate.0 == index && gate.1 != Gate::True);
        let unmapped =
            self.unmapped.iter().filter(move |(index, _)| !read(*index) && table.is_filled(*index));
        unmapped.map(|(_, head)| head.as_str())
    }
}

/// The export called so.
fn named(name: &str) -> Result<&'static Preset, Error> {
    PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
        let known: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        Error::bad_input(format!("there is no preset `{name}`; known are {}", known.join(", ")))
    })
}

/// The channel that an export is of.
pub(super) fn channel_of(preset: Option<&str>) -> Option<entity::enums::Channel> {
    PRESETS.iter().find(|known| Some(known.name) == preset).and_then(|preset| preset.channel)
}
