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
    pub(in crate::engine) fn subscription(
        &mut self,
        selected: &CollectedField<'p>,
    ) -> Result<RootPlan, Error> {
        let subscription = SUBSCRIPTIONS
            .iter()
            .find(|subscription| subscription.name == selected.name)
            .ok_or_else(|| Error::input("the document asks for an unknown field"))?;
        let (object, place) = (subscription.object, format!("Subscription.{}", subscription.name));
        self.check_readable(object, &place)?;
        let filter = match selected.nodes.first().map(|node| Arguments::of(&self.operation.variables, node)) {
            Some(arguments) => {
                let compares = |field: &Field| self.compares(object, field);
                let filter = arguments.get("filter");
                filter.map(|value| filter::filter(object, value, &compares)).transpose()?
            }
            None => None,
        };
        Ok(RootPlan::Change(self.level(object, &selected.sets(), 1)?, filter))
    }
}
