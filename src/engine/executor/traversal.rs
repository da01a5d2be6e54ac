//! Walks the plan: reads the rows of a fetch, its pages and children, and writes them as JSON.
//! Room: engine/executor.

use std::collections::HashMap;

use sea_orm::ConnectionTrait as _;

use super::{
    context::{Boxed, Executor, FetchedRows},
    rows::{RowGroups, RowRef},
    writer::{ChildJson, JsonFragments},
};
use crate::{
    base::error::Error,
    engine::{
        cell::{Cell, CellRef},
        plan::selection::{ChildFetch, Fetch, Page, Relation},
        sql::{
            builder::SqlBuilder,
            keyset,
            statement::{RowSelector, parent_column},
        },
    },
};

impl Executor<'_> {
    pub(in crate::engine) async fn read_page(&mut self, page: &Page) -> Result<String, Error> {
        let batches = if page.wants_rows() { self.rows_after_cursor(page).await? } else { Vec::new() };
        let (mut rows, mut inlined) = (Vec::new(), Vec::new());
        for batch in &batches {
            let (fetched, child_rows) = batch.rows(&page.fetch)?;
            rows.extend(fetched);
            // Children are inlined only in key order, which is a single range.
            inlined = child_rows;
        }
        let mut total = 0;
        if page.wants_total() {
            let mut sql = SqlBuilder::new(self.scope.backend, "SELECT COUNT(*)");
            self.scope.push_from_table(&mut sql, &page.fetch);
            self.scope.push_filters(&mut sql, page);
            let counted = self.db.query_one_raw(sql.into_statement()).await?;
            total = counted.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0))?;
        }
        // With inlined children, the rows are already sorted by key.
        let has_more = trim_page(&mut rows, page, page.backward && inlined.is_empty());
        let children = self.write_children(&page.fetch, &rows, inlined).await?;
        let mut out = String::new();
        self.write_page(&mut out, page, &rows, has_more, total, &children)?;
        Ok(out)
    }

    /// The rows of a page, and one more if there is one: reads one range after another until there are enough.
    async fn rows_after_cursor(&self, page: &Page) -> Result<Vec<FetchedRows>, Error> {
        let cursor = page.cursor();
        let reversed = cursor.is_some_and(|(_, before)| before);
        // The last rows before a cursor are read backwards.
        let mut ranges = cursor.map_or_else(
            || vec![None],
            |(values, reversed)| {
                keyset::ranges(&page.order, values, reversed).into_iter().map(Some).collect()
            },
        );
        if reversed != page.backward {
            ranges.reverse();
        }
        let (mut batches, mut rows) = (Vec::new(), 0);
        for range in ranges {
            let batch = self.fetch_rows(&page.fetch, &RowSelector::Page(page, range)).await?;
            rows += batch.len() as u64;
            batches.push(batch);
            if rows > page.rows {
                break;
            }
        }
        Ok(batches)
    }

    /// Writes a page for each of `keys`, with a window function over the parents.
    pub(in crate::engine) async fn write_child_pages(
        &mut self,
        child: &ChildFetch,
        page: &Page,
        keys: &[CellRef<'_>],
    ) -> Result<JsonFragments, Error> {
        if keys.is_empty() {
            return Ok(JsonFragments::new("null"));
        }
        let parent_column = parent_column(&page.fetch, child);
        let cells: Vec<Cell> = keys.iter().map(|key| key.to_cell()).collect();
        let mut fetched = None;
        if page.wants_rows() {
            let mut window = SqlBuilder::new(self.scope.backend, "");
            self.scope.push_order_by(&mut window, page);
            // The order of a child has no channel-bound column, so the window binds no value.
            let order = window.into_statement().sql;
            let extra = format!(", ROW_NUMBER() OVER (PARTITION BY {parent_column}{order}) AS rn");
            let mut sql = self.scope.select(&page.fetch, &extra);
            sql.push(" AND ").push_in(&parent_column, &cells);
            self.scope.push_filters(&mut sql, page);
            self.scope.push_cursor(&mut sql, page);
            let sql =
                sql.wrap("SELECT * FROM (", &format!(") w WHERE w.rn <= {} ORDER BY w.rn", page.rows + 1));
            fetched = Some(self.fetch_statement(sql, &page.fetch).await?);
        }
        let mut totals = HashMap::new();
        if page.wants_total() {
            let mut sql = SqlBuilder::new(self.scope.backend, &format!("SELECT {parent_column}, COUNT(*)"));
            self.scope.push_from_table(&mut sql, &page.fetch);
            sql.push(" AND ").push_in(&parent_column, &cells);
            self.scope.push_filters(&mut sql, page);
            sql.push(" GROUP BY ").push(&parent_column);
            for row in self.db.query_all_raw(sql.into_statement()).await? {
                totals.insert(Cell::Uuid(row.try_get_by_index(0)?), row.try_get_by_index::<i64>(1)?);
            }
        }
        let rows = fetched.as_ref().map_or_else(Vec::new, |fetched| fetched.rows(&page.fetch.columns));
        let groups = RowGroups::group_by(rows, child.slot, false)?;
        self.write_pages(page, keys, &groups, page.backward, &totals).await
    }

    /// Writes a page for each of `keys` from inlined rows, which `groups` holds in key order.
    pub(in crate::engine) async fn write_inlined_pages(
        &mut self,
        page: &Page,
        keys: &[CellRef<'_>],
        groups: &RowGroups<'_>,
    ) -> Result<JsonFragments, Error> {
        self.write_pages(page, keys, groups, false, &HashMap::new()).await
    }

    async fn write_pages(
        &mut self,
        page: &Page,
        keys: &[CellRef<'_>],
        groups: &RowGroups<'_>,
        reversed: bool,
        totals: &HashMap<Cell, i64>,
    ) -> Result<JsonFragments, Error> {
        let mut fragments = JsonFragments::new("null");
        let children = self.write_children(&page.fetch, groups.rows(), Vec::new()).await?;
        for key in keys {
            let mut rows = groups.get(*key).to_vec();
            let has_more = trim_page(&mut rows, page, reversed);
            let total = if totals.is_empty() { 0 } else { totals.get(&key.to_cell()).copied().unwrap_or(0) };
            let start = fragments.text.len();
            self.write_page(&mut fragments.text, page, &rows, has_more, total, &children)?;
            fragments.add(*key, start);
        }
        Ok(fragments)
    }
}

/// Cuts `rows` to the page size, and returns whether there are more. The rows come in list order, or from its end
/// if `reversed`; they leave in list order.
fn trim_page(rows: &mut Vec<RowRef<'_>>, page: &Page, reversed: bool) -> bool {
    let most = usize::try_from(page.rows).unwrap_or(usize::MAX);
    let has_more = rows.len() > most;
    if reversed {
        rows.truncate(most);
        rows.reverse();
    } else if page.backward {
        rows.drain(..rows.len().saturating_sub(most));
    } else {
        rows.truncate(most);
    }
    has_more
}

impl<'r> Executor<'r> {
    pub(in crate::engine) async fn read_one(&mut self, fetch: &Fetch, key: &Cell) -> Result<String, Error> {
        if *key == Cell::Null {
            return Ok("null".to_owned());
        }
        let batch = self.fetch_rows(fetch, &RowSelector::One(key)).await?;
        let (rows, inlined) = batch.rows(fetch)?;
        let children = self.write_children(fetch, &rows, inlined).await?;
        match rows.first() {
            Some(row) => self.write_object(fetch, *row, &children),
            None => Ok("null".to_owned()),
        }
    }

    pub(in crate::engine) async fn read_list(
        &mut self,
        fetch: &Fetch,
        selector: &RowSelector<'_>,
    ) -> Result<String, Error> {
        let batch = self.fetch_rows(fetch, selector).await?;
        let (rows, inlined) = batch.rows(fetch)?;
        let children = self.write_children(fetch, &rows, inlined).await?;
        let mut out = String::new();
        self.write_objects(&mut out, fetch, 0, &rows, &children)?;
        Ok(out)
    }

    /// Writes the children of all `rows`: inlined ones from their rows, others with one statement for each
    /// relation.
    pub(in crate::engine) fn write_children<'s, 'p: 's, 'l: 's>(
        &'s mut self,
        fetch: &'p Fetch,
        rows: &'s [RowRef<'l>],
        inlined: Vec<(usize, Vec<RowRef<'l>>)>,
    ) -> Boxed<'s, Vec<ChildJson<'p>>> {
        let mut inlined = inlined;
        Box::pin(async move {
            let mut all = Vec::with_capacity(fetch.children.len());
            for (index, child) in fetch.children.iter().enumerate() {
                if let Relation::Key(fetch) = &child.relation {
                    all.push(ChildJson::Key(fetch));
                    continue;
                }
                let keys = keys_of(rows, child.parent_slot)?;
                let inlined_rows = inlined.iter_mut().find(|(child, _)| *child == index);
                all.push(ChildJson::JsonFragments(match (&child.relation, inlined_rows) {
                    (Relation::Connection(page), Some((_, inlined_rows))) => {
                        let groups = RowGroups::group_by(std::mem::take(inlined_rows), child.slot, true)?;
                        self.write_inlined_pages(page, &keys, &groups).await?
                    }
                    (Relation::Connection(page), None) => self.write_child_pages(child, page, &keys).await?,
                    (Relation::Many(fetch), _) => self.write_related(child, fetch, &keys, "[]").await?,
                    (Relation::One(fetch) | Relation::Key(fetch), _) => {
                        self.write_related(child, fetch, &keys, "null").await?
                    }
                }));
            }
            Ok(all)
        })
    }

    /// Writes the rows that belong to `keys`: one each, or a list each.
    async fn write_related(
        &mut self,
        child: &ChildFetch,
        fetch: &Fetch,
        keys: &[CellRef<'_>],
        empty: &'static str,
    ) -> Result<JsonFragments, Error> {
        let mut fragments = JsonFragments::new(empty);
        if keys.is_empty() {
            return Ok(fragments);
        }
        let keys: Vec<Cell> = keys.iter().map(|key| key.to_cell()).collect();
        let mut sql = self.scope.select(fetch, "");
        sql.push(" AND ").push_in(&parent_column(fetch, child), &keys);
        sql.push(" ORDER BY t.").push(fetch.object.key_column());
        let fetched = self.fetch_statement(sql, fetch).await?;
        let rows = fetched.rows(&fetch.columns);
        let children = self.write_children(fetch, &rows, Vec::new()).await?;
        for (key, rows) in RowGroups::group_by(rows.clone(), child.slot, false)?.iter() {
            let start = fragments.text.len();
            match (&child.relation, rows) {
                (Relation::One(_), [row, ..]) => {
                    self.write_object_into(&mut fragments.text, fetch, 0, *row, &children)?;
                }
                _ => self.write_objects(&mut fragments.text, fetch, 0, rows, &children)?,
            }
            fragments.add(key, start);
        }
        Ok(fragments)
    }

    /// Writes the rows with these keys, ordered by key: as a list, or a single one.
    pub(in crate::engine) async fn read_by_keys(
        &mut self,
        fetch: &Fetch,
        keys: &[Cell],
        list: bool,
    ) -> Result<String, Error> {
        match keys {
            [] => Ok(if list { "[]" } else { "null" }.to_owned()),
            keys if list => self.read_list(fetch, &RowSelector::Keys(keys)).await,
            [key, ..] => self.read_one(fetch, key).await,
        }
    }
}

/// The distinct keys that the children of `rows` are joined by, sorted.
fn keys_of<'a>(rows: &[RowRef<'a>], slot: usize) -> Result<Vec<CellRef<'a>>, Error> {
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        keys.push(row.get(slot)?);
    }
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| *key != CellRef::Null);
    Ok(keys)
}
