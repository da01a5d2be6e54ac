//! What an operation costs, by its plan, before anything of it is done (floor 2).

use super::Plan;

/// Values that are read at the cost of one.
const VALUES_AT_ONE: u64 = 1_000;
/// What a mutation costs: a transaction with its audit entry.
const COST_OF_WRITING: u64 = 10;

impl Plan {
    /// What the operation costs: 1, and 1 for every 1,000 values, and 10 for every mutation.
    pub fn cost(&self) -> u64 {
        let writes = self.roots.iter().filter(|root| root.write().is_some()).count() as u64;
        1 + self.values / VALUES_AT_ONE + writes.saturating_mul(COST_OF_WRITING)
    }
}
