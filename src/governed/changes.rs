//! What a subscriber is told of a row that changed: planned and read anew, by the row rule that holds then (floor 2).

use super::{
    arguments::Arguments,
    conditions,
    document::Selected,
    plan::{PlannedRoot, PlannedWhat, Planner},
    read::Reader,
};
use crate::{
    error::Error,
    feed::Change,
    register::{Field, SUBSCRIPTIONS},
};

impl<'p> Planner<'p> {
    /// Plans what a subscriber is told of a row.
    ///
    /// # Errors
    /// As a list of such rows.
    pub(super) fn subscription(&mut self, selected: &Selected<'p>) -> Result<PlannedWhat, Error> {
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
                filter.map(|value| conditions::filter(object, value, &compares)).transpose()?
            }
            None => None,
        };
        Ok(PlannedWhat::Change(self.level(object, &selected.sets(), 1)?, filter))
    }
}

impl Reader<'_> {
    /// The JSON of the row that changed; `None` where `root` is not about it: it is of another type, not visible, or does not
    /// fit the filter.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn change(&mut self, root: &PlannedRoot, change: &Change) -> Result<Option<String>, Error> {
        let PlannedWhat::Change(level, filter) = &root.what else { return Ok(None) };
        if level.object.name != change.entity_type {
            return Ok(None);
        }
        let mut sql = self.scope.select(level, "");
        sql.push(" AND t.").push(level.object.key_column()).push(" = ").bind(change.id);
        if let Some(filter) = filter {
            sql.push(" AND ");
            filter.push(&mut sql, &self.scope);
        }
        let fetched = self.fetch(sql, level).await?;
        let lines = fetched.lines(&level.columns);
        let written = self.children(level, &lines, Vec::new()).await?;
        let Some(line) = lines.first() else { return Ok(None) };
        self.write(level, *line, &written).map(Some)
    }
}
