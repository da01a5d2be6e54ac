//! Cache of query plans for callers with the same decisions. Room: graphql.
//!
//! A plan says which columns are read and how they are written. Rows are found by the statement of each run, which
//! carries the row rule and the instant. A plan belongs to the decision table that it was made with: another policy,
//! role, purpose or field restriction has another table, and so another plan.

use std::sync::Arc;

use by_address::ByAddress;
use serde_json::{Map, Value as Json};

use crate::graphql::document_cache::{Document, OperationVariant};
use crate::{auth::actor::Actor, base::cache::Cache, engine::Plan, policy::DecisionTable};

/// Most columns, fields and values of all plans that are kept; each takes some 200 bytes.
const MAX_CACHED_PARTS: usize = 32 * 1024;

/// Everything that a plan depends on.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct PlanKey {
    document: ByAddress<Arc<Document>>,
    variant: ByAddress<Arc<OperationVariant>>,
    table: ByAddress<Arc<DecisionTable>>,
    /// Values of the variables that are not runtime variables, as JSON, in the order of their declaration.
    values: String,
}

impl PlanKey {
    pub(super) fn new(
        document: &Arc<Document>,
        variant: &Arc<OperationVariant>,
        actor: &Actor,
        variables: &Map<String, Json>,
    ) -> Self {
        Self {
            document: ByAddress(document.clone()),
            variant: ByAddress(variant.clone()),
            table: ByAddress(actor.decisions.clone()),
            values: variant.values(variables),
        }
    }
}

/// Recently used plans.
pub(super) struct PlanCache(Cache<PlanKey, Arc<Plan>>);

impl PlanCache {
    pub(super) fn new() -> Self {
        Self(Cache::new(MAX_CACHED_PARTS))
    }

    pub(super) fn get(&self, key: &PlanKey) -> Option<Arc<Plan>> {
        self.0.get(key)
    }

    /// Stores a cacheable plan.
    pub(super) fn insert(&self, key: PlanKey, plan: Arc<Plan>) {
        let weight = plan.weight() + key.values.len() / 64 + 16;
        self.0.insert(key, plan, weight);
    }
}
