//! Reads the rows of a level, its pages and what hangs on them. Room: engine/executor.

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
            statement::{RowSelector, joined},
        },
    },
};

impl Executor<'_> {
    pub(in crate::engine) async fn page(&mut self, page: &Page) -> Result<String, Error> {
        let batches = if page.wants_rows() { self.behind(page).await? } else { Vec::new() };
        let (mut lines, mut along) = (Vec::new(), Vec::new());
        for batch in &batches {
            let (more, theirs) = batch.lines(&page.level)?;
            lines.extend(more);
            // Others come along only in the order of the keys, which is one range.
            along = theirs;
        }
        let mut total = 0;
        if page.wants_total() {
            let mut sql = SqlBuilder::new(self.scope.backend, "SELECT COUNT(*)");
            self.scope.from(&mut sql, &page.level);
            self.scope.narrow(&mut sql, page);
            let counted = self.db.query_one_raw(sql.statement()).await?;
            total = counted.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0))?;
        }
        // Where others came along, the rows are in the order of their keys already.
        let more = cut(&mut lines, page, page.backward && along.is_empty());
        let children = self.children(&page.level, &lines, along).await?;
        let mut out = String::new();
        self.write_page(&mut out, page, &lines, more, total, &children)?;
        Ok(out)
    }

    /// The rows of a page and one more, if there is one: from one range behind its cursor after the other, until there are enough.
    async fn behind(&self, page: &Page) -> Result<Vec<FetchedRows>, Error> {
        let cursor = page.cursor();
        let flipped = cursor.is_some_and(|(_, before)| before);
        // Rows before a cursor are read backwards by whoever asks for the last of them.
        let mut ranges = cursor.map_or_else(
            || vec![None],
            |(values, flipped)| keyset::ranges(&page.order, values, flipped).into_iter().map(Some).collect(),
        );
        if flipped != page.backward {
            ranges.reverse();
        }
        let (mut batches, mut rows) = (Vec::new(), 0);
        for range in ranges {
            let batch = self.read(&page.level, &RowSelector::Page(page, range)).await?;
            rows += batch.len() as u64;
            batches.push(batch);
            if rows > page.rows {
                break;
            }
        }
        Ok(batches)
    }

    /// A page for each of `keys`: a window per parent.
    pub(in crate::engine) async fn pages(
        &mut self,
        child: &ChildFetch,
        page: &Page,
        keys: &[CellRef<'_>],
    ) -> Result<JsonFragments, Error> {
        if keys.is_empty() {
            return Ok(JsonFragments::new("null"));
        }
        let joined = joined(&page.level, child);
        let cells: Vec<Cell> = keys.iter().map(|key| key.cell()).collect();
        let mut fetched = None;
        if page.wants_rows() {
            let mut window = SqlBuilder::new(self.scope.backend, "");
            self.scope.sort(&mut window, page);
            // The order of a child holds no channel-bound column, so that nothing is bound in the window.
            let order = window.statement().sql;
            let extra = format!(", ROW_NUMBER() OVER (PARTITION BY {joined}{order}) AS rn");
            let mut sql = self.scope.select(&page.level, &extra);
            sql.push(" AND ").among(&joined, &cells);
            self.scope.narrow(&mut sql, page);
            self.scope.seek(&mut sql, page);
            let sql =
                sql.wrap("SELECT * FROM (", &format!(") w WHERE w.rn <= {} ORDER BY w.rn", page.rows + 1));
            fetched = Some(self.fetch(sql, &page.level).await?);
        }
        let mut totals = HashMap::new();
        if page.wants_total() {
            let mut sql = SqlBuilder::new(self.scope.backend, &format!("SELECT {joined}, COUNT(*)"));
            self.scope.from(&mut sql, &page.level);
            sql.push(" AND ").among(&joined, &cells);
            self.scope.narrow(&mut sql, page);
            sql.push(" GROUP BY ").push(&joined);
            for row in self.db.query_all_raw(sql.statement()).await? {
                totals.insert(Cell::Uuid(row.try_get_by_index(0)?), row.try_get_by_index::<i64>(1)?);
            }
        }
        let lines = fetched.as_ref().map_or_else(Vec::new, |fetched| fetched.lines(&page.level.columns));
        let groups = RowGroups::of(lines, child.slot, false)?;
        self.parts(page, keys, &groups, page.backward, &totals).await
    }

    /// A page for each of `keys`, of rows that came along with their parents; the order within `groups` is that of their keys.
    pub(in crate::engine) async fn came(
        &mut self,
        page: &Page,
        keys: &[CellRef<'_>],
        groups: &RowGroups<'_>,
    ) -> Result<JsonFragments, Error> {
        self.parts(page, keys, groups, false, &HashMap::new()).await
    }

    async fn parts(
        &mut self,
        page: &Page,
        keys: &[CellRef<'_>],
        groups: &RowGroups<'_>,
        flipped: bool,
        totals: &HashMap<Cell, i64>,
    ) -> Result<JsonFragments, Error> {
        let mut parts = JsonFragments::new("null");
        let children = self.children(&page.level, groups.lines(), Vec::new()).await?;
        for key in keys {
            let mut lines = groups.get(*key).to_vec();
            let more = cut(&mut lines, page, flipped);
            let total = if totals.is_empty() { 0 } else { totals.get(&key.cell()).copied().unwrap_or(0) };
            let start = parts.text.len();
            self.write_page(&mut parts.text, page, &lines, more, total, &children)?;
            parts.note(*key, start);
        }
        Ok(parts)
    }
}

/// Cuts `lines` to the page, and says whether there are more. They come in the order of the type, or from its end when `flipped`;
/// they leave in the order of the type.
fn cut(lines: &mut Vec<RowRef<'_>>, page: &Page, flipped: bool) -> bool {
    let most = usize::try_from(page.rows).unwrap_or(usize::MAX);
    let more = lines.len() > most;
    if flipped {
        lines.truncate(most);
        lines.reverse();
    } else if page.backward {
        lines.drain(..lines.len().saturating_sub(most));
    } else {
        lines.truncate(most);
    }
    more
}

impl<'r> Executor<'r> {
    pub(in crate::engine) async fn one(&mut self, level: &Fetch, key: &Cell) -> Result<String, Error> {
        if *key == Cell::Null {
            return Ok("null".to_owned());
        }
        let batch = self.read(level, &RowSelector::One(key)).await?;
        let (lines, along) = batch.lines(level)?;
        let written = self.children(level, &lines, along).await?;
        match lines.first() {
            Some(line) => self.write(level, *line, &written),
            None => Ok("null".to_owned()),
        }
    }

    pub(in crate::engine) async fn list(
        &mut self,
        level: &Fetch,
        which: &RowSelector<'_>,
    ) -> Result<String, Error> {
        let batch = self.read(level, which).await?;
        let (lines, along) = batch.lines(level)?;
        let written = self.children(level, &lines, along).await?;
        let mut out = String::new();
        self.write_all(&mut out, level, 0, &lines, &written)?;
        Ok(out)
    }

    /// Writes the children of all `lines`: those that came along, the others by one statement for each kind.
    pub(in crate::engine) fn children<'s, 'p: 's, 'l: 's>(
        &'s mut self,
        level: &'p Fetch,
        lines: &'s [RowRef<'l>],
        along: Vec<(usize, Vec<RowRef<'l>>)>,
    ) -> Boxed<'s, Vec<ChildJson<'p>>> {
        let mut along = along;
        Box::pin(async move {
            let mut all = Vec::with_capacity(level.children.len());
            for (number, child) in level.children.iter().enumerate() {
                if let Relation::Key(level) = &child.kind {
                    all.push(ChildJson::Key(level));
                    continue;
                }
                let keys = keys_of(lines, child.parent_slot)?;
                let came = along.iter_mut().find(|(came, _)| *came == number);
                all.push(ChildJson::JsonFragments(match (&child.kind, came) {
                    (Relation::Connection(page), Some((_, came))) => {
                        let groups = RowGroups::of(std::mem::take(came), child.slot, true)?;
                        self.came(page, &keys, &groups).await?
                    }
                    (Relation::Connection(page), None) => self.pages(child, page, &keys).await?,
                    (Relation::Many(level), _) => self.linked(child, level, &keys, "[]").await?,
                    (Relation::One(level) | Relation::Key(level), _) => {
                        self.linked(child, level, &keys, "null").await?
                    }
                }));
            }
            Ok(all)
        })
    }

    /// The rows that hang on `keys`: one each, or a list each.
    async fn linked(
        &mut self,
        child: &ChildFetch,
        level: &Fetch,
        keys: &[CellRef<'_>],
        empty: &'static str,
    ) -> Result<JsonFragments, Error> {
        let mut parts = JsonFragments::new(empty);
        if keys.is_empty() {
            return Ok(parts);
        }
        let keys: Vec<Cell> = keys.iter().map(|key| key.cell()).collect();
        let mut sql = self.scope.select(level, "");
        sql.push(" AND ").among(&joined(level, child), &keys);
        sql.push(" ORDER BY t.").push(level.object.key_column());
        let fetched = self.fetch(sql, level).await?;
        let lines = fetched.lines(&level.columns);
        let children = self.children(level, &lines, Vec::new()).await?;
        for (key, lines) in RowGroups::of(lines.clone(), child.slot, false)?.iter() {
            let start = parts.text.len();
            match (&child.kind, lines) {
                (Relation::One(_), [line, ..]) => {
                    self.write_into(&mut parts.text, level, 0, *line, &children)?;
                }
                _ => self.write_all(&mut parts.text, level, 0, lines, &children)?,
            }
            parts.note(key, start);
        }
        Ok(parts)
    }

    /// The rows with these keys, ordered by key: as a list, or the only one.
    pub(in crate::engine) async fn keyed(
        &mut self,
        level: &Fetch,
        keys: &[Cell],
        list: bool,
    ) -> Result<String, Error> {
        match keys {
            [] => Ok(if list { "[]" } else { "null" }.to_owned()),
            keys if list => self.list(level, &RowSelector::Keys(keys)).await,
            [key, ..] => self.one(level, key).await,
        }
    }
}

/// What the children of `lines` hang on, in order.
fn keys_of<'a>(lines: &[RowRef<'a>], slot: usize) -> Result<Vec<CellRef<'a>>, Error> {
    let mut keys = Vec::with_capacity(lines.len());
    for line in lines {
        keys.push(line.seen(slot)?);
    }
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| *key != CellRef::Null);
    Ok(keys)
}
