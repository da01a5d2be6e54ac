//! What an operation costs and what metrics call it, by its plan. Room: engine/plan.

use super::{Plan, RootPlan};
use crate::{
    base::metrics::UNKNOWN_OPERATION,
    registry::{MUTATIONS, root_field},
};

/// Values that are read at the cost of one.
const VALUES_PER_UNIT: u64 = 1_000;

/// What a mutation costs: a transaction with its audit entry.
const MUTATION_COST: u64 = 10;

impl Plan {
    /// What the operation costs: 1, and 1 for every 1,000 values, and 10 for every mutation.
    pub fn cost(&self) -> u64 {
        let writes = self.roots.iter().filter(|root| root.mutation().is_some()).count() as u64;
        1 + self.values / VALUES_PER_UNIT + writes.saturating_mul(MUTATION_COST)
    }

    /// How many columns, fields, levels, conditions and refusals it has in all: what it takes to be kept.
    pub fn weight(&self) -> usize {
        let roots = self.roots.iter().map(|root| match &root.plan {
            RootPlan::One(fetch, _) | RootPlan::List(fetch) | RootPlan::Change(fetch, _) => fetch.weight(),
            RootPlan::Page(page) => page.weight(),
            _ => 1,
        });
        let denials = self.denials.iter().map(|denial| 2 + denial.positions.len());
        roots.sum::<usize>() + denials.sum::<usize>() + self.masked.len() + self.withheld.len()
    }

    /// What the operation is called in measures: its root field, as the registry spells it.
    pub fn name(&self) -> &'static str {
        self.root_name.unwrap_or(UNKNOWN_OPERATION)
    }
}

/// The name of a root field from the registry: what a document says is not told further.
pub(in crate::engine) fn registered_name(name: &str) -> Option<&'static str> {
    let read = root_field(name).map(|root| root.name);
    read.or_else(|| MUTATIONS.iter().map(|mutation| mutation.name).find(|mutation| *mutation == name))
}
