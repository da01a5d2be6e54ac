//! What the planner knows and decides: rights, denials, the number of rows. Room: engine/planner.

use chrono::NaiveDate;

use crate::{
    auth::actor::Actor,
    base::{
        error::{Code, Error},
        limits::Limits,
    },
    crypto::master_keys::MasterKeys,
    engine::{
        cell::Cell,
        cursor::Cursors,
        document::operation::{CollectedField, Operation},
        plan::{Denial, Plan},
    },
    policy::{Action, Decision},
    registry::{Field, ObjectType, Read},
};

pub(in crate::engine) struct Planner<'p> {
    pub(in crate::engine) operation: &'p Operation<'p>,
    pub(in crate::engine) actor: &'p Actor,
    pub(in crate::engine) limits: &'p Limits,
    /// The day by the application's clock, for dates in inputs.
    pub(in crate::engine) today: NaiveDate,
    pub(in crate::engine) keys: &'p MasterKeys,
    pub(in crate::engine) plan: Plan,
    pub(in crate::engine) rows: u64,
}

impl<'p> Planner<'p> {
    /// Whether lists may be filtered and ordered by a field: it is read in full, and of a link something behind it.
    pub(in crate::engine) fn can_compare(&self, object: &ObjectType, field: &Field) -> bool {
        let linked = match field.read {
            Read::One { object, .. } => self.is_readable(object),
            _ => true,
        };
        linked && self.decide(&format!("{}.{}", object.name, field.name)) == Decision::Allow
    }

    /// Refuses a root field as a whole.
    pub(in crate::engine) fn deny_root(&mut self, error: Error, selected: &CollectedField<'_>) {
        let root = Some(selected.key.to_owned());
        self.plan.denials.push(Denial { error, positions: selected.positions(), root });
    }

    /// Notes a denied coordinate, once for all places.
    pub(in crate::engine) fn deny(&mut self, coordinate: &str, selected: &CollectedField<'_>) {
        let existing =
            self.plan.denials.iter_mut().find(|denial| {
                denial.root.is_none() && denial.error.coordinate.as_deref() == Some(coordinate)
            });
        match existing {
            Some(denial) => denial.positions.extend(selected.positions()),
            None => {
                let error = Error::not_readable(coordinate);
                self.plan.denials.push(Denial { error, positions: selected.positions(), root: None });
            }
        }
    }

    /// Opens a cursor of `width` values. A plan that holds one is the plan of one page.
    pub(in crate::engine) fn open_cursor(
        &mut self,
        scope: &str,
        cursor: &str,
        width: usize,
    ) -> Result<Vec<Cell>, Error> {
        self.plan.cacheable = false;
        Cursors::new(self.keys)?.open(scope, cursor, width)
    }

    pub(in crate::engine) fn decide(&self, coordinate: &str) -> Decision {
        let id = self.actor.policy.object(coordinate);
        id.map_or(Decision::Deny, |id| self.actor.table.decide(id))
    }

    pub(in crate::engine) fn can(&self, coordinate: &str, action: Action) -> bool {
        self.actor.may(coordinate, action)
    }

    pub(in crate::engine) fn check_readable(
        &self,
        object: &ObjectType,
        coordinate: &str,
    ) -> Result<(), Error> {
        if self.is_readable(object) {
            return Ok(());
        }
        Err(Error::new(Code::ForbiddenField, "nothing of it is readable for this purpose").at(coordinate))
    }

    /// Whether anything of a type can be read: its key, which is never null, can.
    pub(in crate::engine) fn is_readable(&self, object: &ObjectType) -> bool {
        self.decide(&format!("{}.{}", object.name, object.key)) == Decision::Allow
    }

    /// Adds `rows` to what the operation may read at most.
    pub(in crate::engine) fn count_rows(&mut self, rows: u64) -> Result<(), Error> {
        self.rows = self.rows.saturating_add(rows);
        if self.rows > self.limits.rows {
            let message = format!("the pages of the document add up to more than {} rows", self.limits.rows);
            return Err(Error::new(Code::QueryTooComplex, message));
        }
        Ok(())
    }
}
