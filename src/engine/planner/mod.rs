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
            cost::registered_name,
            selection::{Page, parse_key},
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
    pub fn new(
        operation: &Operation<'_>,
        actor: &Actor,
        limits: &Limits,
        keys: &MasterKeys,
        today: NaiveDate,
    ) -> Result<Self, Error> {
        let cacheable = !operation.is_mutation() && !operation.is_subscription();
        let plan = Plan { cacheable, is_mutation: operation.is_mutation(), ..Plan::default() };
        let mut planner = Planner { operation, actor, limits, today, keys, plan, rows: 0 };
        let selection = operation.collect_fields(&[operation.root], operation.root_type())?;
        // GraphQL, 5.2.3.1.
        if operation.is_subscription()
            && (selection.len() != 1 || selection.iter().any(|field| field.name.starts_with("__")))
        {
            return Err(Error::input("a subscription has exactly one root field"));
        }
        for selected in selection {
            let plan = planner.plan_root(&selected)?;
            planner.plan.roots.push(PlannedRoot { key: selected.key.to_owned(), plan });
            let single = planner.plan.roots.len() == 1;
            planner.plan.root_name = single.then(|| registered_name(selected.name)).flatten();
        }
        Ok(planner.plan)
    }
}

impl<'p> Planner<'p> {
    fn plan_root(&mut self, selected: &CollectedField<'p>) -> Result<RootPlan, Error> {
        let kind = self.operation.root_type();
        match selected.name {
            "__typename" => return Ok(RootPlan::Typename(kind)),
            name if name.starts_with("__") => {
                self.plan.cacheable = false;
                return Ok(RootPlan::Introspection);
            }
            _ => {}
        }
        let read = (!self.operation.is_mutation() && !self.operation.is_subscription())
            .then(|| root_field(selected.name));
        let coordinate = format!("{kind}.{}", read.flatten().map_or(selected.name, |root| root.name));
        if coordinate != "Query.viewer" {
            if self.actor.purpose.is_none() {
                let message = "this credential permits several purposes; name one in X-Processing-Purpose";
                return Err(Error::new(Code::PurposeRequired, message));
            }
            if !self.can(&coordinate, Action::Execute) {
                let error = Error::new(Code::Forbidden, "not permitted for this purpose").at(coordinate);
                self.deny_root(error, selected);
                return Ok(RootPlan::Null);
            }
        }
        let planned = if self.operation.is_mutation() {
            self.plan_mutation(selected).map(|planned| RootPlan::Mutation(Box::new(planned)))
        } else if self.operation.is_subscription() {
            self.plan_subscription(selected)
        } else {
            let root =
                read.flatten().ok_or_else(|| Error::input("the document asks for an unknown field"))?;
            self.plan_query_root(root, selected)
        };
        self.plan.reads_personal_data |=
            matches!(planned, Ok(RootPlan::ConsentState(_) | RootPlan::Receipt(_)));
        // Others hold what is so of the caller or at the moment.
        self.plan.cacheable &=
            matches!(planned, Ok(RootPlan::One(..) | RootPlan::List(_) | RootPlan::Page(_) | RootPlan::Null));
        match planned {
            Ok(what) => Ok(what),
            // The viewer is never null: what is wrong with it is wrong with the request.
            Err(error) if error.code == Code::QueryTooComplex || coordinate == "Query.viewer" => Err(error),
            Err(error) => {
                self.deny_root(error, selected);
                Ok(RootPlan::Null)
            }
        }
    }

    fn plan_query_root(
        &mut self,
        root: &RootField,
        selected: &CollectedField<'p>,
    ) -> Result<RootPlan, Error> {
        let Some(first) = selected.nodes.first() else { return Ok(RootPlan::Null) };
        let arguments = Arguments::new(&self.operation.variables, first);
        match root.root {
            Root::Viewer => Ok(RootPlan::StaticFields(viewer::plan_viewer(self, selected)?)),
            Root::ExplainAccess => {
                Ok(RootPlan::StaticFields(viewer::plan_explanation(self, selected, &arguments)?))
            }
            Root::ConsentState => Ok(RootPlan::ConsentState(PlannedConsentState::plan(self, &arguments)?)),
            Root::ConsentReceipt => Ok(RootPlan::Receipt(receipt::plan(self, selected, &arguments)?)),
            Root::One(object) => {
                self.check_readable(object, &format!("Query.{}", root.name))?;
                let fetch = self.plan_fetch(object, &selected.selection_sets(), 1)?;
                if let Some(variable) = self.operation.runtime_variable(&first.node, object.key) {
                    return Ok(RootPlan::One(fetch, KeySource::Variable(variable.to_owned())));
                }
                // A number is an ID too, though none of ours.
                let text = match arguments.get(object.key) {
                    Some(Value::Number(_)) => "",
                    _ => arguments.text(object.key)?.unwrap_or_default(),
                };
                Ok(RootPlan::One(fetch, KeySource::Value(parse_key(object, text))))
            }
            Root::List(object) => {
                self.check_readable(object, &format!("Query.{}", root.name))?;
                Ok(RootPlan::List(self.plan_fetch(object, &selected.selection_sets(), 100)?))
            }
            Root::Connection(object) => {
                self.check_readable(object, &format!("Query.{}", root.name))?;
                // Cursors go on with the name that they were made under.
                let scope = format!("Query.{}", root.was.unwrap_or(root.name));
                Ok(RootPlan::Page(Box::new(Page::plan(self, object, selected, &arguments, &scope, 1)?)))
            }
        }
    }
}
