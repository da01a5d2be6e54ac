//! Reads and writes pages: a window per parent, cursors both ways (floor 2).

use std::collections::HashMap;

use sea_orm::ConnectionTrait;

use super::{
    levels::Child,
    pages::{EdgeWhat, InfoWhat, Page, PageWhat},
    read::{Reader, grouped, joined},
    seeking,
    sql::Sql,
    write::{Cell, Row, Written, write_text},
};
use crate::error::Error;

impl Reader<'_> {
    /// Everything of a page's condition behind the row rule, but for cursors.
    fn narrow(&self, sql: &mut Sql, page: &Page) {
        if let Some(filter) = &page.filter {
            sql.push(" AND ");
            filter.push(sql, &self.scope);
        }
        if let Some(search) = &page.search {
            sql.push(" AND ");
            search.push(sql, &self.scope);
        }
    }

    fn seek(&self, sql: &mut Sql, page: &Page) {
        for (values, flipped) in [(&page.after, false), (&page.before, true)] {
            if let Some(values) = values {
                sql.push(" AND ");
                seeking::beyond(&page.order, values, flipped, sql, &self.scope);
            }
        }
    }

    fn sort(&self, sql: &mut Sql, page: &Page) {
        for (index, step) in page.order.iter().enumerate() {
            sql.push(if index == 0 { " ORDER BY " } else { ", " });
            step.push(sql, &self.scope, page.backward);
        }
    }

    pub(super) async fn page(&mut self, page: &Page) -> Result<String, Error> {
        let mut rows = Vec::new();
        if page.wants_rows() {
            rows = self.behind(page).await?;
        }
        let mut total = 0;
        if page.wants_total() {
            let mut sql = Sql::new(self.scope.backend, "SELECT COUNT(*)");
            self.from(&mut sql, &page.level);
            self.narrow(&mut sql, page);
            let counted = self.db.query_one_raw(sql.statement()).await?;
            total = counted.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0))?;
        }
        let more = rows.len() as u64 > page.rows;
        rows.truncate(usize::try_from(page.rows).unwrap_or(usize::MAX));
        if page.backward {
            rows.reverse();
        }
        let children = self.children(&page.level, &rows).await?;
        let mut out = String::new();
        self.write_page(&mut out, page, &rows.iter().collect::<Vec<_>>(), more, total, &children)?;
        Ok(out)
    }

    /// The rows of a page and one more, if there is one: from one range behind its cursor after the other, until there are enough.
    async fn behind(&self, page: &Page) -> Result<Vec<Row>, Error> {
        let enough = page.rows + 1;
        let cursor = page.after.as_ref().map(|values| (values, false));
        let cursor = cursor.or(page.before.as_ref().map(|values| (values, true)));
        let flipped = cursor.is_some_and(|(_, before)| before);
        // Rows before a cursor are read backwards by whoever asks for the last of them.
        let mut ranges = cursor.map_or_else(
            || vec![None],
            |(values, flipped)| seeking::ranges(&page.order, values, flipped).into_iter().map(Some).collect(),
        );
        if flipped != page.backward {
            ranges.reverse();
        }
        let mut rows = Vec::new();
        for range in ranges {
            let mut sql = self.select(&page.level, "");
            self.narrow(&mut sql, page);
            if let (Some(range), Some((values, flipped))) = (range, cursor) {
                sql.push(" AND ");
                seeking::within(range, &page.order, values, flipped, &mut sql, &self.scope);
            }
            self.sort(&mut sql, page);
            sql.push(" LIMIT ").push(&enough.to_string());
            rows.extend(self.fetch(sql, &page.level).await?);
            if rows.len() as u64 >= enough {
                break;
            }
        }
        rows.truncate(usize::try_from(enough).unwrap_or(usize::MAX));
        Ok(rows)
    }

    /// A page for each of `keys`: a window per parent.
    pub(super) async fn pages(
        &mut self,
        child: &Child,
        page: &Page,
        keys: &[Cell],
    ) -> Result<Written, Error> {
        let mut written = Written { empty: "null", ..Written::default() };
        if keys.is_empty() {
            return Ok(written);
        }
        let joined = joined(&page.level, child);
        let mut rows = Vec::new();
        if page.wants_rows() {
            let mut window = Sql::new(self.scope.backend, "");
            self.sort(&mut window, page);
            // The order of a child holds no channel-bound column, so that nothing is bound in the window.
            let order = window.statement().sql;
            let extra = format!(", ROW_NUMBER() OVER (PARTITION BY {joined}{order}) AS rn");
            let mut sql = self.select(&page.level, &extra);
            sql.push(" AND ").among(&joined, keys);
            self.narrow(&mut sql, page);
            self.seek(&mut sql, page);
            let sql =
                sql.wrap("SELECT * FROM (", &format!(") w WHERE w.rn <= {} ORDER BY w.rn", page.rows + 1));
            rows = self.fetch(sql, &page.level).await?;
        }
        let mut totals = HashMap::new();
        if page.wants_total() {
            let mut sql = Sql::new(self.scope.backend, &format!("SELECT {joined}, COUNT(*)"));
            self.from(&mut sql, &page.level);
            sql.push(" AND ").among(&joined, keys);
            self.narrow(&mut sql, page);
            sql.push(" GROUP BY ").push(&joined);
            for row in self.db.query_all_raw(sql.statement()).await? {
                let key = Cell::Uuid(row.try_get_by_index(0)?);
                totals.insert(key, row.try_get_by_index::<i64>(1)?);
            }
        }
        let children = self.children(&page.level, &rows).await?;
        let mut groups: HashMap<Cell, Vec<&Row>> = grouped(&rows, child.slot).into_iter().collect();
        for key in keys {
            let mut rows = groups.remove(key).unwrap_or_default();
            let more = rows.len() as u64 > page.rows;
            rows.truncate(usize::try_from(page.rows).unwrap_or(usize::MAX));
            let total = totals.get(key).copied().unwrap_or(0);
            let start = written.text.len();
            self.write_page(&mut written.text, page, &rows, more, total, &children)?;
            written.parts.insert(key.clone(), start..written.text.len());
        }
        Ok(written)
    }

    pub(super) fn write_page(
        &mut self,
        out: &mut String,
        page: &Page,
        rows: &[&Row],
        more: bool,
        total: i64,
        children: &[Written],
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
                    self.write_all(out, &page.level, *node, rows, children);
                }
                PageWhat::Edges(parts) => {
                    out.push('[');
                    for (index, row) in rows.iter().enumerate() {
                        out.push_str(if index == 0 { "{" } else { ",{" });
                        for (index, (key, what)) in parts.iter().enumerate() {
                            out.push_str(if index == 0 { "" } else { "," });
                            out.push_str(key);
                            match what {
                                EdgeWhat::Typename(name) => write_text(out, name),
                                EdgeWhat::Cursor => self.write_cursor(out, page, row)?,
                                EdgeWhat::Node(node) => {
                                    self.write_into(out, &page.level, *node, row, children);
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
                                let row =
                                    if matches!(what, InfoWhat::Start) { rows.first() } else { rows.last() };
                                match row {
                                    Some(row) => self.write_cursor(out, page, row)?,
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

    fn write_cursor(&self, out: &mut String, page: &Page, row: &Row) -> Result<(), Error> {
        let values: Vec<Cell> =
            page.order_slots.iter().map(|slot| row.get(*slot).cloned().unwrap_or(Cell::Null)).collect();
        write_text(out, &self.cursors.seal(&page.place, &values)?);
        Ok(())
    }
}
