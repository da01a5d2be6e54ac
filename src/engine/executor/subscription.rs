//! Reads the row that changed anew, by the row rule that holds then. Room: engine/executor.

use super::context::Executor;
use crate::{
    base::error::Error,
    db::change_feed::Change,
    engine::plan::{PlannedRoot, RootPlan},
};

impl Executor<'_> {
    /// The JSON of the row that changed; `None` where `root` is not about it: it is of another type, not visible, or does not
    /// fit the filter.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn change(&mut self, root: &PlannedRoot, change: &Change) -> Result<Option<String>, Error> {
        let RootPlan::Change(level, filter) = &root.what else { return Ok(None) };
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
