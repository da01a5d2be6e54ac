//! Plans an operation: from a document to a plan, deciding every field on the way. Room: engine/planner.

pub(in crate::engine) mod consent_state;
pub(in crate::engine) mod context;
pub(in crate::engine) mod filter;
pub(in crate::engine) mod mutation;
pub(in crate::engine) mod receipt;
pub(in crate::engine) mod selection;
pub(in crate::engine) mod subscription;
pub(in crate::engine) mod viewer;

use async_graphql::Value;
use chrono::NaiveDate;

use self::context::Planner;
use crate::{
    auth::actor::Actor,
    base::{
        error::{Code, Error},
        limits::Limits,
    },
    crypto::master_keys::MasterKeys,
    engine::{
        document::{
            arguments::Arguments,
            operation::{CollectedField, Operation},
        },
        plan::{
            KeySource, Plan, PlannedConsentState, PlannedRoot, RootPlan,
            cost::known,
            selection::{Page, key},
        },
    },
    policy::Action,
    registry::{Root, RootField, root_field},
};

impl Plan {
    /// Plans `operation` for `actor`.
    ///
    /// # Errors
    /// What makes the operation as a whole impossible: `PURPOSE_REQUIRED`, `QUERY_TOO_COMPLEX`, `BAD_USER_INPUT`.
    pub fn of(
        operation: &Operation<'_>,
        actor: &Actor,
        limits: &Limits,
        keys: &MasterKeys,
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

impl<'p> Planner<'p> {
    fn root(&mut self, selected: &CollectedField<'p>) -> Result<RootPlan, Error> {
        let kind = self.operation.root_type();
        match selected.name {
            "__typename" => return Ok(RootPlan::Typename(kind)),
            name if name.starts_with("__") => {
                self.plan.reusable = false;
                return Ok(RootPlan::Introspection);
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
                return Ok(RootPlan::Null);
            }
        }
        let planned = if self.operation.writes {
            self.mutation(selected).map(|planned| RootPlan::Write(Box::new(planned)))
        } else if self.operation.subscribes {
            self.subscription(selected)
        } else {
            let root =
                read.flatten().ok_or_else(|| Error::input("the document asks for an unknown field"))?;
            self.permitted_root(root, selected)
        };
        self.plan.of_persons |= matches!(planned, Ok(RootPlan::State(_) | RootPlan::Receipt(_)));
        // Others hold what is so of the caller or at the moment.
        self.plan.reusable &=
            matches!(planned, Ok(RootPlan::One(..) | RootPlan::List(_) | RootPlan::Page(_) | RootPlan::Null));
        match planned {
            Ok(what) => Ok(what),
            // The viewer is never null: what is wrong with it is wrong with the request.
            Err(error) if error.code == Code::QueryTooComplex || coordinate == "Query.viewer" => Err(error),
            Err(error) => {
                self.refuse(error, selected);
                Ok(RootPlan::Null)
            }
        }
    }

    fn permitted_root(&mut self, root: &RootField, selected: &CollectedField<'p>) -> Result<RootPlan, Error> {
        let Some(first) = selected.nodes.first() else { return Ok(RootPlan::Null) };
        let arguments = Arguments::of(&self.operation.variables, first);
        match root.root {
            Root::Viewer => Ok(RootPlan::StaticFields(viewer::viewer(self, selected)?)),
            Root::ExplainAccess => Ok(RootPlan::StaticFields(viewer::explain(self, selected, &arguments)?)),
            Root::ConsentState => Ok(RootPlan::State(PlannedConsentState::plan(self, &arguments)?)),
            Root::ConsentReceipt => Ok(RootPlan::Receipt(receipt::plan(self, selected, &arguments)?)),
            Root::One(object) => {
                self.check_readable(object, &format!("Query.{}", root.name))?;
                let level = self.level(object, &selected.sets(), 1)?;
                if let Some(variable) = self.operation.late(&first.node, object.key) {
                    return Ok(RootPlan::One(level, KeySource::Variable(variable.to_owned())));
                }
                // A number is an ID too, though none of ours.
                let text = match arguments.get(object.key) {
                    Some(Value::Number(_)) => "",
                    _ => arguments.text(object.key)?.unwrap_or_default(),
                };
                Ok(RootPlan::One(level, KeySource::Value(key(object, text))))
            }
            Root::List(object) => {
                self.check_readable(object, &format!("Query.{}", root.name))?;
                Ok(RootPlan::List(self.level(object, &selected.sets(), 100)?))
            }
            Root::Connection(object) => {
                self.check_readable(object, &format!("Query.{}", root.name))?;
                // Cursors go on with the name that they were made under.
                let place = format!("Query.{}", root.was.unwrap_or(root.name));
                Ok(RootPlan::Page(Box::new(Page::plan(self, object, selected, &arguments, &place, 1)?)))
            }
        }
    }
}
