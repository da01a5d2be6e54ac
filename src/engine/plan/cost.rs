//! The cost of an operation and its name in metrics. Room: engine/plan.

use super::{Plan, RootPlan};
use crate::{
    base::metrics::UNKNOWN_OPERATION,
    registry::{MUTATIONS, root_field},
};

/// Values read per unit of cost.
const VALUES_PER_UNIT: u64 = 1_000;

/// The cost of a mutation: a transaction with its audit entry.
const MUTATION_COST: u64 = 10;

impl Plan {
    /// The cost of the operation: 1, plus 1 for every 1,000 values, plus 10 for every mutation.
    pub fn cost(&self) -> u64 {
        let writes = self.roots.iter().filter(|root| root.mutation().is_some()).count() as u64;
        1 + self.values / VALUES_PER_UNIT + writes.saturating_mul(MUTATION_COST)
    }

    /// The number of its columns, fields, fetches, conditions and denials: its weight in the plan cache.
    pub fn weight(&self) -> usize {
        let roots = self.roots.iter().map(|root| match &root.plan {
            RootPlan::One(fetch, _) | RootPlan::List(fetch) | RootPlan::Change(fetch, _) => fetch.weight(),
            RootPlan::Page(page) => page.weight(),
            _ => 1,
        });
        let denials = self.denials.iter().map(|denial| 2 + denial.positions.len());
        roots.sum::<usize>() + denials.sum::<usize>() + self.masked.len() + self.withheld.len()
    }

    /// The operation's name in metrics: its root field as the registry spells it, never text of the document.
    pub fn name(&self) -> &'static str {
        self.root_name.unwrap_or(UNKNOWN_OPERATION)
    }
}

/// The registry's spelling of a root field, so that no text of a document gets into metrics.
pub(in crate::engine) fn registered_name(name: &str) -> Option<&'static str> {
    let read = root_field(name).map(|root| root.name);
    read.or_else(|| MUTATIONS.iter().map(|mutation| mutation.name).find(|mutation| *mutation == name))
}
