//! The plan: decisions, columns and children of a whole operation, known before anything is read (floor 2).

use async_graphql::{Pos, Value, parser::types::SelectionSet};
use chrono::NaiveDate;

use super::{
    arguments::Arguments,
    conditions::Condition,
    costs::known,
    cursors::Cursors,
    document::{Operation, Selected},
    levels::{Level, Node, Out, What},
    pages::Page,
    receipts::{self, PlannedReceipt},
    states::ConsentState,
    technical::{self, Technical},
    write::Cell,
    write::write_text,
    writes::PlannedWrite,
};
use crate::{
    context::{Actor, Keys},
    error::{Code, Error},
    limits::Limits,
    policy::{Action, Decision},
    register::{Field, ObjectType, Read, Root, RootField, RowRule, Scalar, root_field},
};

/// A planned operation.
#[derive(Default)]
pub struct Plan {
    /// The root fields, in the order of the document.
    pub roots: Vec<PlannedRoot>,
    /// One entry per denied coordinate, in the order of the document.
    pub denials: Vec<Denial>,
    /// Coordinates of which only masked values are read.
    pub masked: Vec<String>,
    /// Coordinates whose values a missing consent may keep back.
    pub withheld: Vec<String>,
    /// How many fields are read in full.
    pub allowed: u64,
    /// The root field it asks for, if it is one.
    pub(super) only: Option<&'static str>,
    /// Whether links of persons are made, which needs the keys of the installation.
    pub makes_links: bool,
    /// Values that may be read at most: the fields of every row.
    pub values: u64,
    /// Whether it may tell anything of persons.
    pub of_persons: bool,
    /// Whether it is that of a mutation.
    pub writes: bool,
    /// Whether it holds nothing of the caller but its decisions, and of the moment nothing: it may serve again.
    pub reusable: bool,
}

/// The key of the one row that is asked for.
pub(super) enum KeyOf {
    /// Known.
    Is(Cell),
    /// Whatever this variable says.
    Variable(String),
}

/// A denied coordinate.
#[derive(Clone, Debug)]
pub struct Denial {
    /// What is refused, with its coordinate.
    pub error: Error,
    /// Everywhere the document asks for it.
    pub positions: Vec<Pos>,
    /// The root field that is refused as a whole, if one is.
    pub root: Option<String>,
}

/// A root field.
pub struct PlannedRoot {
    /// Its response key.
    pub key: String,
    pub(super) what: PlannedWhat,
}

impl PlannedRoot {
    /// What it writes, if it is a mutation.
    pub fn write(&self) -> Option<&PlannedWrite> {
        match &self.what {
            PlannedWhat::Write(planned) => Some(planned),
            _ => None,
        }
    }

    /// The receipt it asks for, if it asks for one.
    pub fn receipt(&self) -> Option<&PlannedReceipt> {
        match &self.what {
            PlannedWhat::Receipt(planned) => Some(planned),
            _ => None,
        }
    }
}

pub(super) enum PlannedWhat {
    /// Answered by async-graphql: introspection.
    Introspection,
    /// The name of the root type.
    Typename(&'static str),
    /// Refused; the denial says why.
    Null,
    One(Level, KeyOf),
    List(Level),
    Page(Box<Page>),
    Technical(Vec<Technical>),
    State(ConsentState),
    /// Made of what stands on higher floors.
    Receipt(PlannedReceipt),
    /// What is told of a row that changed, if it fits the filter.
    Change(Level, Option<Condition>),
    Write(Box<PlannedWrite>),
}

impl Plan {
    /// Plans `operation` for `actor`.
    ///
    /// # Errors
    /// What makes the operation as a whole impossible: `PURPOSE_REQUIRED`, `QUERY_TOO_COMPLEX`, `BAD_USER_INPUT`.
    pub fn of(
        operation: &Operation<'_>,
        actor: &Actor,
        limits: &Limits,
        keys: &Keys,
        today: NaiveDate,
    ) -> Result<Self, Error> {
        let reusable = !operation.writes && !operation.subscribes;
        let plan = Plan { reusable, writes: operation.writes, ..Plan::default() };
        let mut planner = Planner { operation, actor, limits, today, keys, plan, rows: 0 };
        let selection = operation.collect(&[operation.root], operation.root_type())?;
        // GraphQL, 5.2.3.1.
        if operation.subscribes
            && (selection.len() != 1 || selection.iter().any(|one| one.name.starts_with("__")))
        {
            return Err(Error::input("a subscription has exactly one root field"));
        }
        for selected in selection {
            let what = planner.root(&selected)?;
            planner.plan.roots.push(PlannedRoot { key: selected.key.to_owned(), what });
            let single = planner.plan.roots.len() == 1;
            planner.plan.only = single.then(|| known(selected.name)).flatten();
        }
        Ok(planner.plan)
    }
}

pub(super) struct Planner<'p> {
    pub(super) operation: &'p Operation<'p>,
    pub(super) actor: &'p Actor,
    limits: &'p Limits,
    /// The day by the application's clock, for dates in inputs.
    pub(super) today: NaiveDate,
    keys: &'p Keys,
    pub(super) plan: Plan,
    rows: u64,
}

/// The key of a row that `text` names. What is no id is the id of nothing: the same answer as for one that is not there.
pub(super) fn key(object: &ObjectType, text: &str) -> Cell {
    match object.key_scalar() {
        Scalar::Id => uuid::Uuid::try_parse(text).map_or(Cell::Null, Cell::Uuid),
        _ => Cell::Text(text.to_owned()),
    }
}

/// `key` as JSON with its colon.
pub(super) fn json_key(key: &str) -> String {
    let mut json = String::with_capacity(key.len() + 3);
    write_text(&mut json, key);
    json.push(':');
    json
}

impl<'p> Planner<'p> {
    fn root(&mut self, selected: &Selected<'p>) -> Result<PlannedWhat, Error> {
        let kind = self.operation.root_type();
        match selected.name {
            "__typename" => return Ok(PlannedWhat::Typename(kind)),
            name if name.starts_with("__") => {
                self.plan.reusable = false;
                return Ok(PlannedWhat::Introspection);
            }
            _ => {}
        }
        let read = (!self.operation.writes && !self.operation.subscribes).then(|| root_field(selected.name));
        let coordinate = format!("{kind}.{}", read.flatten().map_or(selected.name, |root| root.name));
        if coordinate != "Query.viewer" {
            if self.actor.purpose.is_none() {
                let message = "this credential permits several purposes; name one in X-Processing-Purpose";
                return Err(Error::new(Code::PurposeRequired, message));
            }
            if !self.allows(&coordinate, Action::Execute) {
                let error = Error::new(Code::Forbidden, "not permitted for this purpose").at(coordinate);
                self.refuse(error, selected);
                return Ok(PlannedWhat::Null);
            }
        }
        let planned = if self.operation.writes {
            self.mutation(selected).map(|planned| PlannedWhat::Write(Box::new(planned)))
        } else if self.operation.subscribes {
            self.subscription(selected)
        } else {
            let root =
                read.flatten().ok_or_else(|| Error::input("the document asks for an unknown field"))?;
            self.permitted_root(root, selected)
        };
        self.plan.of_persons |= matches!(planned, Ok(PlannedWhat::State(_) | PlannedWhat::Receipt(_)));
        // Others hold what is so of the caller or at the moment.
        self.plan.reusable &= matches!(
            planned,
            Ok(PlannedWhat::One(..) | PlannedWhat::List(_) | PlannedWhat::Page(_) | PlannedWhat::Null)
        );
        match planned {
            Ok(what) => Ok(what),
            // The viewer is never null: what is wrong with it is wrong with the request.
            Err(error) if error.code == Code::QueryTooComplex || coordinate == "Query.viewer" => Err(error),
            Err(error) => {
                self.refuse(error, selected);
                Ok(PlannedWhat::Null)
            }
        }
    }

    fn permitted_root(&mut self, root: &RootField, selected: &Selected<'p>) -> Result<PlannedWhat, Error> {
        let Some(first) = selected.nodes.first() else { return Ok(PlannedWhat::Null) };
        let arguments = Arguments::of(&self.operation.variables, first);
        match root.root {
            Root::Viewer => Ok(PlannedWhat::Technical(technical::viewer(self, selected)?)),
            Root::ExplainAccess => {
                Ok(PlannedWhat::Technical(technical::explain(self, selected, &arguments)?))
            }
            Root::ConsentState => Ok(PlannedWhat::State(ConsentState::plan(self, &arguments)?)),
            Root::ConsentReceipt => Ok(PlannedWhat::Receipt(receipts::plan(self, selected, &arguments)?)),
            Root::One(object) => {
                self.check_readable(object, &format!("Query.{}", root.name))?;
                let level = self.level(object, &selected.sets(), 1)?;
                if let Some(variable) = self.operation.late(&first.node, object.key) {
                    return Ok(PlannedWhat::One(level, KeyOf::Variable(variable.to_owned())));
                }
                // A number is an ID too, though none of ours.
                let text = match arguments.get(object.key) {
                    Some(Value::Number(_)) => "",
                    _ => arguments.text(object.key)?.unwrap_or_default(),
                };
                Ok(PlannedWhat::One(level, KeyOf::Is(key(object, text))))
            }
            Root::List(object) => {
                self.check_readable(object, &format!("Query.{}", root.name))?;
                Ok(PlannedWhat::List(self.level(object, &selected.sets(), 100)?))
            }
            Root::Connection(object) => {
                self.check_readable(object, &format!("Query.{}", root.name))?;
                // Cursors go on with the name that they were made under.
                let place = format!("Query.{}", root.was.unwrap_or(root.name));
                Ok(PlannedWhat::Page(Box::new(Page::plan(self, object, selected, &arguments, &place, 1)?)))
            }
        }
    }

    /// Whether lists may be filtered and ordered by a field: it is read in full, and of a link something behind it.
    pub(super) fn compares(&self, object: &ObjectType, field: &Field) -> bool {
        let linked = match field.read {
            Read::One { object, .. } => self.readable(object),
            _ => true,
        };
        linked && self.decide(&format!("{}.{}", object.name, field.name)) == Decision::Allow
    }

    /// Refuses a root field as a whole.
    fn refuse(&mut self, error: Error, selected: &Selected<'_>) {
        let root = Some(selected.key.to_owned());
        self.plan.denials.push(Denial { error, positions: selected.positions(), root });
    }

    /// Notes a denied coordinate, once for all places.
    pub(super) fn deny(&mut self, coordinate: &str, selected: &Selected<'_>) {
        let known =
            self.plan.denials.iter_mut().find(|denial| {
                denial.root.is_none() && denial.error.coordinate.as_deref() == Some(coordinate)
            });
        match known {
            Some(denial) => denial.positions.extend(selected.positions()),
            None => {
                let error = Error::not_readable(coordinate);
                self.plan.denials.push(Denial { error, positions: selected.positions(), root: None });
            }
        }
    }

    /// Opens a cursor of `width` values. A plan that holds one is the plan of one page.
    pub(super) fn open(&mut self, place: &str, cursor: &str, width: usize) -> Result<Vec<Cell>, Error> {
        self.plan.reusable = false;
        Cursors::new(self.keys)?.open(place, cursor, width)
    }

    pub(super) fn decide(&self, coordinate: &str) -> Decision {
        let id = self.actor.policy.object(coordinate);
        id.map_or(Decision::Deny, |id| self.actor.table.decide(id))
    }

    pub(super) fn allows(&self, coordinate: &str, action: Action) -> bool {
        self.actor.may(coordinate, action)
    }

    pub(super) fn check_readable(&self, object: &ObjectType, coordinate: &str) -> Result<(), Error> {
        if self.readable(object) {
            return Ok(());
        }
        Err(Error::new(Code::ForbiddenField, "nothing of it is readable for this purpose").at(coordinate))
    }

    /// Whether anything of a type can be read: its key, which is never null, can.
    pub(super) fn readable(&self, object: &ObjectType) -> bool {
        self.decide(&format!("{}.{}", object.name, object.key)) == Decision::Allow
    }

    /// Adds `rows` to what the operation may read at most.
    pub(super) fn count(&mut self, rows: u64) -> Result<(), Error> {
        self.rows = self.rows.saturating_add(rows);
        if self.rows > self.limits.rows {
            let message = format!("the pages of the document add up to more than {} rows", self.limits.rows);
            return Err(Error::new(Code::QueryTooComplex, message));
        }
        Ok(())
    }

    /// Plans the objects that `sets` ask for, of at most `rows` rows.
    pub(super) fn level(
        &mut self,
        object: &'static ObjectType,
        sets: &[&'p SelectionSet],
        rows: u64,
    ) -> Result<Level, Error> {
        self.count(rows)?;
        let mut level = Level::new(object);
        self.node(&mut level, sets, rows)?;
        Ok(level)
    }

    /// Plans one more object written from the rows of `level`, and gives its number.
    pub(super) fn node(
        &mut self,
        level: &mut Level,
        sets: &[&'p SelectionSet],
        rows: u64,
    ) -> Result<usize, Error> {
        self.plan.of_persons |= level.object.rows != RowRule::Everyone;
        let mut node = Node::default();
        for selected in self.operation.collect(sets, level.object.name)? {
            let what = if selected.name == "__typename" {
                What::Typename(level.object.name)
            } else {
                let field = level
                    .object
                    .field(selected.name)
                    .ok_or_else(|| Error::input("the document asks for an unknown field"))?;
                let coordinate = format!("{}.{}", level.object.name, field.name);
                match self.decide(&coordinate) {
                    Decision::Deny => {
                        self.deny(&coordinate, &selected);
                        What::Null
                    }
                    decision => self.field(level, field, &coordinate, &selected, decision, rows)?,
                }
            };
            node.outs.push(Out { key: json_key(selected.key), what });
        }
        self.plan.values = self.plan.values.saturating_add(rows.saturating_mul(node.outs.len() as u64));
        if self.plan.values > self.limits.values {
            let message = format!("the document asks for more than {} values", self.limits.values);
            return Err(Error::new(Code::QueryTooComplex, message));
        }
        level.nodes.push(node);
        Ok(level.nodes.len() - 1)
    }
}
