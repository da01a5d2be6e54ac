//! Reads the row that changed anew, by the row rule that holds then. Room: engine/executor.

use super::context::Executor;
use crate::{
    base::error::Error,
    db::change_feed::Change,
    engine::plan::{PlannedRoot, RootPlan},
};

impl Executor<'_> {
    /// The JSON of the row that changed; `None` where `execute_root` is not about it: it is of another type, not visible, or does not
    /// fit the filter.
    ///
    /// # Errors
    /// `INTERNAL` from the database.
    pub async fn read_change(
        &mut self,
        root: &PlannedRoot,
        change: &Change,
    ) -> Result<Option<String>, Error> {
        let RootPlan::Change(fetch, filter) = &root.plan else { return Ok(None) };
        if fetch.object.name != change.entity_type {
            return Ok(None);
        }
        let mut sql = self.scope.select(fetch, "");
        sql.push(" AND t.").push(fetch.object.key_column()).push(" = ").bind(change.id);
        if let Some(filter) = filter {
            sql.push(" AND ");
            filter.push(&mut sql, &self.scope);
        }
        let fetched = self.fetch_statement(sql, fetch).await?;
        let rows = fetched.rows(&fetch.columns);
        let written = self.write_children(fetch, &rows, Vec::new()).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        self.write_object(fetch, *row, &written).map(Some)
    }
}
