//! Reads and writes pages: a window per parent, cursors both ways (floor 2).

use std::collections::HashMap;

use sea_orm::ConnectionTrait;

use super::{
    fetched::{Groups, Line, Seen},
    levels::Child,
    pages::{EdgeWhat, InfoWhat, Page, PageWhat},
    read::{Batch, Reader},
    seeking,
    sql::Sql,
    statements::{Which, joined},
    write::{Cell, Parts, Written, write_text},
};
use crate::error::Error;

impl Reader<'_> {
    pub(super) async fn page(&mut self, page: &Page) -> Result<String, Error> {
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
            let mut sql = Sql::new(self.scope.backend, "SELECT COUNT(*)");
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
    async fn behind(&self, page: &Page) -> Result<Vec<Batch>, Error> {
        let cursor = page.cursor();
        let flipped = cursor.is_some_and(|(_, before)| before);
        // Rows before a cursor are read backwards by whoever asks for the last of them.
        let mut ranges = cursor.map_or_else(
            || vec![None],
            |(values, flipped)| seeking::ranges(&page.order, values, flipped).into_iter().map(Some).collect(),
        );
        if flipped != page.backward {
            ranges.reverse();
        }
        let (mut batches, mut rows) = (Vec::new(), 0);
        for range in ranges {
            let batch = self.read(&page.level, &Which::Page(page, range)).await?;
            rows += batch.len() as u64;
            batches.push(batch);
            if rows > page.rows {
                break;
            }
        }
        Ok(batches)
    }

    /// A page for each of `keys`: a window per parent.
    pub(super) async fn pages(
        &mut self,
        child: &Child,
        page: &Page,
        keys: &[Seen<'_>],
    ) -> Result<Parts, Error> {
        if keys.is_empty() {
            return Ok(Parts::new("null"));
        }
        let joined = joined(&page.level, child);
        let cells: Vec<Cell> = keys.iter().map(|key| key.cell()).collect();
        let mut fetched = None;
        if page.wants_rows() {
            let mut window = Sql::new(self.scope.backend, "");
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
            let mut sql = Sql::new(self.scope.backend, &format!("SELECT {joined}, COUNT(*)"));
            self.scope.from(&mut sql, &page.level);
            sql.push(" AND ").among(&joined, &cells);
            self.scope.narrow(&mut sql, page);
            sql.push(" GROUP BY ").push(&joined);
            for row in self.db.query_all_raw(sql.statement()).await? {
                totals.insert(Cell::Uuid(row.try_get_by_index(0)?), row.try_get_by_index::<i64>(1)?);
            }
        }
        let lines = fetched.as_ref().map_or_else(Vec::new, |fetched| fetched.lines(&page.level.columns));
        let groups = Groups::of(lines, child.slot, false)?;
        self.parts(page, keys, &groups, page.backward, &totals).await
    }

    /// A page for each of `keys`, of rows that came along with their parents; the order within `groups` is that of their keys.
    pub(super) async fn came(
        &mut self,
        page: &Page,
        keys: &[Seen<'_>],
        groups: &Groups<'_>,
    ) -> Result<Parts, Error> {
        self.parts(page, keys, groups, false, &HashMap::new()).await
    }

    async fn parts(
        &mut self,
        page: &Page,
        keys: &[Seen<'_>],
        groups: &Groups<'_>,
        flipped: bool,
        totals: &HashMap<Cell, i64>,
    ) -> Result<Parts, Error> {
        let mut parts = Parts::new("null");
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

    pub(super) fn write_page(
        &mut self,
        out: &mut String,
        page: &Page,
        lines: &[Line<'_>],
        more: bool,
        total: i64,
        children: &[Written<'_>],
    ) -> Result<(), Error> {
        let (next, previous) =
            if page.backward { (page.before.is_some(), more) } else { (more, page.after.is_some()) };
        for (index, (key, what)) in page.outs.iter().enumerate() {
            out.push(if index == 0 { '{' } else { ',' });
            out.push_str(key);
            match what {
                PageWhat::Null => out.push_str("null"),
                PageWhat::Typename(name) => write_text(out, name),
                PageWhat::Total => out.push_str(&total.to_string()),
                PageWhat::Nodes(node) => {
                    self.write_all(out, &page.level, *node, lines, children)?;
                }
                PageWhat::Edges(parts) => {
                    out.push('[');
                    for (index, line) in lines.iter().enumerate() {
                        out.push_str(if index == 0 { "{" } else { ",{" });
                        for (index, (key, what)) in parts.iter().enumerate() {
                            out.push_str(if index == 0 { "" } else { "," });
                            out.push_str(key);
                            match what {
                                EdgeWhat::Typename(name) => write_text(out, name),
                                EdgeWhat::Cursor => self.write_cursor(out, page, *line)?,
                                EdgeWhat::Node(node) => {
                                    self.write_into(out, &page.level, *node, *line, children)?;
                                }
                            }
                        }
                        out.push('}');
                    }
                    out.push(']');
                }
                PageWhat::Info(parts) => {
                    out.push('{');
                    for (index, (key, what)) in parts.iter().enumerate() {
                        out.push_str(if index == 0 { "" } else { "," });
                        out.push_str(key);
                        match what {
                            InfoWhat::Typename => out.push_str("\"PageInfo\""),
                            InfoWhat::HasNext => out.push_str(if next { "true" } else { "false" }),
                            InfoWhat::HasPrevious => out.push_str(if previous { "true" } else { "false" }),
                            InfoWhat::Start | InfoWhat::End => {
                                let line = if matches!(what, InfoWhat::Start) {
                                    lines.first()
                                } else {
                                    lines.last()
                                };
                                match line {
                                    Some(line) => self.write_cursor(out, page, *line)?,
                                    None => out.push_str("null"),
                                }
                            }
                        }
                    }
                    out.push('}');
                }
            }
        }
        out.push_str(if page.outs.is_empty() { "{}" } else { "}" });
        Ok(())
    }

    fn write_cursor(&self, out: &mut String, page: &Page, line: Line<'_>) -> Result<(), Error> {
        let values = page.order_slots.iter().map(|slot| line.cell(*slot)).collect::<Result<Vec<_>, _>>()?;
        write_text(out, &self.cursor(&page.place_for(self.caller()), &values)?);
        Ok(())
    }
}

/// Cuts `lines` to the page, and says whether there are more. They come in the order of the type, or from its end when `flipped`;
/// they leave in the order of the type.
fn cut(lines: &mut Vec<Line<'_>>, page: &Page, flipped: bool) -> bool {
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
