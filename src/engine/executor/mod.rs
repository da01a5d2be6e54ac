//! Runs a plan: one statement for each fetch, children for all parents at once, JSON text in one plain loop.
//! Room: engine/executor.

pub(in crate::engine) mod consent_state;
pub(in crate::engine) mod consents_in_force;
pub(in crate::engine) mod context;
pub(in crate::engine) mod fetch;
pub(in crate::engine) mod links;
pub(in crate::engine) mod lookup;
pub(in crate::engine) mod mutation;
pub(in crate::engine) mod page_writer;
pub(in crate::engine) mod traversal;

pub(in crate::engine) mod receipt;
pub(in crate::engine) mod rows;
pub(in crate::engine) mod subscription;
pub(in crate::engine) mod viewer;
pub(in crate::engine) mod writer;

use chrono::{DateTime, Utc};
use sea_orm::{DatabaseConnection, DbBackend};

use self::{context::Executor, rows::RowSet};
use crate::{
    auth::actor::Actor,
    base::error::Error,
    crypto::master_keys::MasterKeys,
    engine::{
        cell::Row,
        plan::{KeySource, Plan, PlannedRoot, RootPlan, selection::parse_key},
        scope::Scope,
        sql::statement::RowSelector,
    },
};

/// Writes the first root field of `plan`, a page without children, from `rows` instead of a database: execution and
/// serialisation only, as the benchmarks measure them. Cells are in the order of the plan's columns.
///
/// # Errors
/// Keys that cannot be derived; a root field that is no page.
pub fn write_page_from_rows(
    plan: &Plan,
    actor: &Actor,
    keys: &MasterKeys,
    now: DateTime<Utc>,
    rows: &[Row],
) -> Result<String, Error> {
    let Some(RootPlan::Page(page)) = plan.roots.first().map(|root| &root.plan) else {
        return Err(Error::internal("the first root field is no page"));
    };
    let no_database = DatabaseConnection::default();
    let runtime_variables = serde_json::Map::new();
    let scope = Scope::for_actor(actor, now, DbBackend::Sqlite);
    let mut executor = Executor::without_app(plan, &no_database, actor, keys, scope, &runtime_variables);
    let mut out = String::new();
    executor.write_page(&mut out, page, &RowSet::row_refs(rows, &page.fetch.columns), false, 0, &[])?;
    Ok(out)
}

impl<'r> Executor<'r> {
    /// The JSON of a root field; `None` for those that introspection answers.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a cursor that is not valid here, `INTERNAL` from the database.
    pub async fn execute_root(&mut self, root: &PlannedRoot) -> Result<Option<String>, Error> {
        Ok(Some(match &root.plan {
            RootPlan::Introspection => return Ok(None),
            RootPlan::Null
            | RootPlan::Mutation(_)
            | RootPlan::ConsentState(_)
            | RootPlan::Receipt(_)
            | RootPlan::Change(..) => "null".to_owned(),
            RootPlan::Typename(name) => format!("\"{name}\""),
            RootPlan::One(fetch, KeySource::Value(key)) => self.read_one(fetch, key).await?,
            RootPlan::One(fetch, KeySource::Variable(name)) => {
                let text =
                    self.runtime_variables.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
                self.read_one(fetch, &parse_key(fetch.object, text)).await?
            }
            RootPlan::List(fetch) => self.read_list(fetch, &RowSelector::All).await?,
            RootPlan::Page(page) => self.read_page(page).await?,
            RootPlan::StaticFields(parts) => self.write_static_fields(parts).await?,
        }))
    }
}
