//! What one field of an object is planned as: a value, a flag, rows that hang on it (floor 2).

use super::{
    arguments::Arguments,
    document::Selected,
    levels::{Child, ChildKind, ColumnOf, Level, What},
    pages::Page,
    plan::Planner,
    rows::Flag,
};
use crate::{
    error::Error,
    policy::{Decision, Grounds},
    register::{Field, ObjectType, Read, RowRule, Scalar},
};

impl<'p> Planner<'p> {
    /// What a field of the rows of `level` becomes.
    pub(super) fn field(
        &mut self,
        level: &mut Level,
        field: &'static Field,
        coordinate: &str,
        selected: &Selected<'p>,
        decision: Decision,
        rows: u64,
    ) -> Result<What, Error> {
        let masked = decision == Decision::Mask;
        if masked && !self.plan.masked.iter().any(|known| known == coordinate) {
            self.plan.masked.push(coordinate.to_owned());
        }
        if let Some(object) = field.read.leads_to() {
            if masked || !self.readable(object) {
                self.deny(coordinate, selected);
                return Ok(What::Null);
            }
            self.plan.allowed += 1;
            return self.child(level, field, object, coordinate, selected, rows);
        }
        self.plan.allowed += u64::from(!masked);
        let mask = masked.then_some(field.mask);
        Ok(match field.read {
            Read::Column { column, scalar, .. } => {
                let of = match scalar {
                    Scalar::Expiring(_) => ColumnOf::Expiring(column),
                    Scalar::Sealed { after } => ColumnOf::Sealed { after },
                    _ => ColumnOf::Plain(column),
                };
                if let ColumnOf::Sealed { .. } = of {
                    level.column(ColumnOf::Plain("subject_id"), Scalar::Id);
                }
                What::Value {
                    slot: level.column(of, scalar),
                    scalar,
                    mask,
                    cover: self.cover(level, field, coordinate),
                }
            }
            Read::Localised { de, en } => {
                let arguments =
                    selected.nodes.first().map(|node| Arguments::of(&self.operation.variables, node));
                let language = arguments.as_ref().map(|given| given.text("language")).transpose()?.flatten();
                let column = match language.unwrap_or("en") {
                    "de" => de,
                    "en" => en,
                    _ => return Err(Error::input("`language` must be de or en").at(coordinate)),
                };
                let slot = level.column(ColumnOf::Plain(column), Scalar::Text);
                What::Value { slot, scalar: Scalar::Text, mask, cover: None }
            }
            Read::Preference { column } => {
                self.plan.makes_links = true;
                let slot = level.column(ColumnOf::Preference(column), Scalar::Text);
                What::Value { slot, scalar: Scalar::Text, mask, cover: self.cover(level, field, coordinate) }
            }
            read => Flag::of(&read).map_or(What::Null, |flag| What::Flag {
                slot: level.column(ColumnOf::Flag(flag), Scalar::Int),
                mask,
            }),
        })
    }

    /// Under a purpose on consent, the slot that says whether the row is covered, and where it is counted if not.
    fn cover(&mut self, level: &mut Level, field: &Field, coordinate: &str) -> Option<(usize, usize)> {
        let on_consent = self.actor.purpose.as_ref().is_some_and(|p| p.grounds == Grounds::Consent);
        let cover = field.cover.filter(|_| on_consent)?;
        let slot = level.column(ColumnOf::Cover(cover), Scalar::Int);
        let known = self.plan.withheld.iter().position(|known| known == coordinate);
        let withheld = known.unwrap_or_else(|| {
            self.plan.withheld.push(coordinate.to_owned());
            self.plan.withheld.len() - 1
        });
        Some((slot, withheld))
    }

    fn child(
        &mut self,
        level: &mut Level,
        field: &Field,
        object: &'static ObjectType,
        coordinate: &str,
        selected: &Selected<'p>,
        rows: u64,
    ) -> Result<What, Error> {
        let (parent_slot, slot, kind) = match field.read {
            Read::One { column, .. } => {
                let parent = level.column(ColumnOf::Plain(column), object.key_scalar());
                let inner = self.level(object, &selected.sets(), rows)?;
                // The database holds every reference to be one to a row that is there.
                let sure = inner.is_key_alone() && object.rows == RowRule::Everyone;
                (parent, 0, if sure { ChildKind::Key(inner) } else { ChildKind::One(inner) })
            }
            Read::Connection { column, .. } => {
                let Some(first) = selected.nodes.first() else { return Ok(What::Null) };
                let arguments = Arguments::of(&self.operation.variables, first);
                if rows > 1 && arguments.get("after").is_some() {
                    let message = "`after` needs a single parent: ask for one, by its id";
                    return Err(Error::input(message).at(coordinate));
                }
                let mut page = Page::plan(self, object, selected, &arguments, coordinate, rows)?;
                let slot = page.level.column(ColumnOf::Plain(column), level.object.key_scalar());
                (0, slot, ChildKind::Connection(Box::new(page)))
            }
            Read::Many { column, .. } => {
                let mut inner = self.level(object, &selected.sets(), rows.saturating_mul(10))?;
                let slot = inner.column(ColumnOf::Plain(column), level.object.key_scalar());
                (0, slot, ChildKind::Many(inner))
            }
            _ => return Ok(What::Null),
        };
        level.children.push(Child { parent_slot, slot, kind });
        Ok(What::Child { child: level.children.len() - 1, slot: parent_slot })
    }
}
