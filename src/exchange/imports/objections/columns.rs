//! Columns of a file of addresses that must not be advertised to. Room: exchange/imports/objections.

use std::{collections::BTreeSet, io::Read};

use super::{
    objection_import::{FIELDS, Listing, OPT_OUT, ObjectionImport},
    presets::{PRESETS, Preset, RowCondition},
};
use crate::{
    base::error::Error,
    exchange::imports::{
        csv_table::Table,
        header_names::{is_opt_out_header, looks_like, normalize},
    },
};

/// Fields that only count together with a street.
const BESIDE_A_STREET: [&str; 3] = ["city", "country", "familyName"];

/// The columns of a file, by what they hold.
pub(super) struct Columns {
    /// Columns of each field; of several the first that is filled counts, of addresses and numbers all.
    fields: Vec<(&'static str, usize, String)>,
    /// Columns that decide whether a row counts; without any, every row does.
    pub conditions: Vec<(usize, RowCondition)>,
    /// Columns of the other kind: of mail that did not get there, or of objections where that is what the file is read
    /// for.
    pub others: Vec<(usize, RowCondition)>,
    /// Columns that nothing is read of.
    unmapped: Vec<(usize, String)>,
}

impl Columns {
    /// Finds the columns by their headers or the mapping.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a column that is not there, for one that looks like a field and is neither mapped nor
    /// ignored, and for a file that does not say whom it is about.
    pub fn find<R: Read>(table: &Table<R>, import: &ObjectionImport) -> Result<Self, Error> {
        let header_names = table.header_names();
        let mut ignored = Vec::with_capacity(import.ignore.len());
        for header_name in &import.ignore {
            ignored.push(table.find(header_name)?);
        }
        let mut fields: Vec<(&'static str, usize, String)> = Vec::new();
        for (field, column) in &import.map {
            fields.push((field, table.find(column)?, column.clone()));
        }
        let preset = import.preset.as_deref().map(find_preset).transpose()?;
        let index_of = |name: &str| {
            let found = header_names.iter().position(|header_name| {
                import.read_options.header && normalize(header_name) == normalize(name)
            });
            found.filter(|index| !ignored.contains(index))
        };
        let preset_columns = |field: &'static str| -> &[&'static str] {
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
            let field_name = [field];
            let declared_at = ["declaredAt"];
            let names: &[&str] = match (preset.is_some(), field) {
                (true, _) => preset_columns(field),
                (false, "at") if index_of("at").is_none() => &declared_at,
                (false, _) => &field_name,
            };
            // Two names of a preset may be the same header.
            let found: BTreeSet<usize> = names.iter().filter_map(|name| index_of(name)).collect();
            let found =
                found.into_iter().filter_map(|index| Some((field, index, header_names.get(index)?.clone())));
            fields.extend(found);
        }
        if !fields.iter().any(|(field, ..)| matches!(*field, "email" | "phone" | "street")) {
            return Err(Error::bad_input("the file has no column for `email`, `phone` or `street`"));
        }
        let mut columns = Self { fields, conditions: Vec::new(), others: Vec::new(), unmapped: Vec::new() };
        if let Some(preset) = preset {
            columns.condition(preset, import.kind, &index_of)?;
        }
        columns.move_opt_outs(import);
        let is_taken = |index: usize| {
            let condition = columns.conditions.iter().any(|(condition, _)| *condition == index);
            let field = columns.fields.iter().any(|(_, field, _)| *field == index);
            condition || field || columns.others.iter().any(|(other, _)| *other == index)
        };
        // Parts of a postal address count beside a street alone.
        let with_street = columns.columns("street").next().is_some();
        let expected: Vec<&'static str> =
            FIELDS.into_iter().filter(|field| with_street || !BESIDE_A_STREET.contains(field)).collect();
        let unmapped: Vec<(usize, String)> =
            header_names.iter().cloned().enumerate().filter(|(index, _)| !is_taken(*index)).collect();
        for (index, header_name) in unmapped.iter().filter(|(index, _)| !ignored.contains(index)) {
            match preset {
                Some(preset) if preset.kinds && import.kind == Listing::Undeliverable => {
                    columns.others.push((*index, RowCondition::True));
                }
                Some(preset) if preset.kinds => columns.conditions.push((*index, RowCondition::True)),
                Some(_) => {}
                None if import.read_options.header => {
                    if let Some(field) = looks_like(header_name, &expected) {
                        let field =
                            if field == "status" && is_opt_out_header(header_name) { OPT_OUT } else { field };
                        return Err(Error::bad_input(format!(
                            "column `{header_name}` looks like `{field}` and is not read: say what it holds by --map {field}={header_name} (or another field), or that it does not count by --ignore {header_name}"
                        )));
                    }
                }
                None => {}
            }
        }
        columns.unmapped = unmapped;
        Ok(columns)
    }

    /// Turns opt-out columns into conditions for the rows that object.
    fn move_opt_outs(&mut self, import: &ObjectionImport) {
        let header = import.read_options.header;
        let is_opt_out = |(field, _, header_name): &(&'static str, usize, String)| {
            *field == OPT_OUT || (header && *field == "status" && is_opt_out_header(header_name))
        };
        let conditions: Vec<(usize, RowCondition)> = self
            .fields
            .iter()
            .filter(|column| is_opt_out(column))
            .map(|(_, index, _)| (*index, RowCondition::Says))
            .collect();
        self.fields.retain(|column| !is_opt_out(column));
        match import.kind {
            Listing::Undeliverable => self.others.extend(conditions),
            _ => self.conditions.extend(conditions),
        }
    }

    fn condition(
        &mut self,
        preset: &Preset,
        kind: Listing,
        index_of: &dyn Fn(&str) -> Option<usize>,
    ) -> Result<(), Error> {
        let found = |all: &[(&str, RowCondition)]| -> Vec<(usize, RowCondition)> {
            all.iter().filter_map(|(name, condition)| Some((index_of(name)?, *condition))).collect()
        };
        let (objecting, undeliverable) = (found(preset.conditions), found(preset.undeliverable));
        let (expected, missing) = match kind {
            Listing::Undeliverable => {
                (self.conditions, self.others) = (undeliverable, objecting);
                (preset.undeliverable, "which messages came back")
            }
            _ => {
                (self.conditions, self.others) = (objecting, undeliverable);
                (preset.conditions, "who objected")
            }
        };
        let has_unaffected = preset.of_everybody.iter().any(|name| index_of(name).is_some());
        let bare = preset.bare && kind == Listing::Objection && !has_unaffected && self.others.is_empty();
        if self.conditions.is_empty() && !bare {
            let (name, names) = (preset.name, expected.iter().map(|(name, _)| *name).collect::<Vec<_>>());
            return Err(Error::bad_input(match names.as_slice() {
                [] => format!("nothing in an export of {name} says {missing}"),
                names => format!(
                    "nothing in the file says {missing}: with --preset {name} it must have one of the columns {}",
                    names.join(", ")
                ),
            }));
        }
        Ok(())
    }

    /// The columns of a field, with their heads.
    pub fn columns(&self, field: &str) -> impl Iterator<Item = (usize, &str)> {
        let matching = self.fields.iter().filter(move |(known_field, ..)| *known_field == field);
        matching.map(|(_, index, header_name)| (*index, header_name.as_str()))
    }

    /// Headers of columns that are not read but filled in this row.
    pub fn left_out<'a, R: Read>(&'a self, table: &'a Table<R>) -> impl Iterator<Item = &'a str> {
        let is_read = |index: usize| {
            self.conditions.iter().any(|condition| condition.0 == index && condition.1 != RowCondition::True)
        };
        let unmapped =
            self.unmapped.iter().filter(move |(index, _)| !is_read(*index) && table.is_filled(*index));
        unmapped.map(|(_, header_name)| header_name.as_str())
    }
}

/// The export called so.
fn find_preset(name: &str) -> Result<&'static Preset, Error> {
    PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
        let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        Error::bad_input(format!("there is no preset `{name}`; known are {}", names.join(", ")))
    })
}

/// The channel that an export is of.
pub(super) fn preset_channel(preset: Option<&str>) -> Option<entity::enums::Channel> {
    PRESETS.iter().find(|candidate| Some(candidate.name) == preset).and_then(|preset| preset.channel)
}
