//! Plans what a subscriber receives of a row that changed. Room: engine/planner.

use super::{context::Planner, filter};
use crate::{
    base::error::Error,
    engine::{
        document::{arguments::Arguments, operation::CollectedField},
        plan::RootPlan,
    },
    registry::{Field, SUBSCRIPTIONS},
};

impl<'p> Planner<'p> {
    /// Plans what a subscriber is told of a row.
    ///
    /// # Errors
    /// As a list of such rows.
    pub(in crate::engine) fn plan_subscription(
        &mut self,
        selected: &CollectedField<'p>,
    ) -> Result<RootPlan, Error> {
        let subscription = SUBSCRIPTIONS
            .iter()
            .find(|subscription| subscription.name == selected.name)
            .ok_or_else(|| Error::input("the document asks for an unknown field"))?;
        let (object, coordinate) = (subscription.object, format!("Subscription.{}", subscription.name));
        self.check_readable(object, &coordinate)?;
        let filter = match selected.nodes.first().map(|node| Arguments::new(&self.operation.variables, node))
        {
            Some(arguments) => {
                let can_compare = |field: &Field| self.can_compare(object, field);
                let filter = arguments.get("filter");
                filter.map(|value| filter::parse_filter(object, value, &can_compare)).transpose()?
            }
            None => None,
        };
        Ok(RootPlan::Change(self.plan_fetch(object, &selected.selection_sets(), 1)?, filter))
    }
}
