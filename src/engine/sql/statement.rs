//! Builds statements from a plan: the rows of a fetch, and with those of contacts their child rows.
//! Room: engine/sql.
//!
//! Whoever sees a contact sees what belongs to it. So child rows of contacts are read in the statement that finds
//! the contacts visible: one check of the legal basis, one instant, one round trip.

use entity::enums::Channel;
use sea_orm::DbBackend;
use sea_orm::Iterable as _;

use super::{
    builder::SqlBuilder,
    consent_coverage::{self, CoverageLookup},
    keyset::{self, KeysetRange},
    row_rules,
};
use crate::{
    engine::{
        cell::Cell,
        plan::selection::{ChildFetch, Column, ColumnExpr, ColumnType, Fetch, Page, Relation},
        scope::Scope,
    },
    registry::{CONSENT, RowRule},
};

/// A statement, and the positions of each fetch's columns in its rows.
pub(in crate::engine) struct Select {
    pub(in crate::engine) sql: SqlBuilder,
    /// Positions of the fetch itself; `None` if its columns stand in order.
    pub(in crate::engine) positions: Option<Vec<usize>>,
    /// The inlined children: their index and the positions of their columns. Rows begin with their number, from 1
    /// for children.
    pub(in crate::engine) inlined: Vec<(usize, Vec<usize>)>,
}

/// Which rows of a fetch are read.
pub(in crate::engine) enum RowSelector<'p> {
    /// The row with this key.
    One(&'p Cell),
    /// All rows, ordered by key.
    All,
    /// The rows with these keys, ordered by key.
    Keys(&'p [Cell]),
    /// A page, restricted to one range after its cursor.
    Page(&'p Page, Option<KeysetRange>),
}

impl RowSelector<'_> {
    /// Whether the rows are ordered by key.
    fn is_by_key(&self) -> bool {
        match self {
            RowSelector::Page(page, _) => page.is_by_key(),
            RowSelector::One(_) | RowSelector::All | RowSelector::Keys(_) => true,
        }
    }
}

impl Scope {
    /// Selects the rows of `fetch`, with those of its children that can be inlined.
    pub(in crate::engine) fn select_rows(&self, fetch: &Fetch, selector: &RowSelector<'_>) -> Select {
        let mut sql = SqlBuilder::new(self.backend, "SELECT ");
        let coverage = self.coverage_lookup(fetch, selector);
        self.push_columns(&mut sql, fetch, coverage);
        self.push_from(&mut sql, fetch, coverage);
        let key = fetch.object.key_column();
        match selector {
            RowSelector::One(key_value) => {
                sql.push(" AND t.").push(key).push(" = ").bind_cell(key_value);
            }
            RowSelector::All => {}
            RowSelector::Keys(keys) => {
                sql.push(" AND ").push_in(&format!("t.{key}"), keys);
            }
            RowSelector::Page(page, range) => {
                self.push_filters(&mut sql, page);
                if let (Some(range), Some((values, reversed))) = (range, page.cursor()) {
                    sql.push(" AND ");
                    keyset::push_range(*range, &page.order, values, reversed, &mut sql, self);
                }
            }
        }
        match selector {
            RowSelector::One(_) => {}
            RowSelector::All | RowSelector::Keys(_) => {
                sql.push(" ORDER BY t.").push(key);
            }
            RowSelector::Page(page, _) => {
                self.push_order_by(&mut sql, page);
                sql.push(" LIMIT ").push_number(page.rows + 1);
            }
        }
        // The rows are sorted by key again, see below.
        let inlined: Vec<usize> = (0..fetch.children.len())
            .filter(|_| selector.is_by_key())
            .filter(|number| fetch.children.get(*number).is_some_and(|child| can_inline(fetch, child)))
            .collect();
        if inlined.is_empty() {
            return Select { sql, positions: None, inlined: Vec::new() };
        }
        self.with_inlined_children(fetch, sql, &inlined)
    }

    /// `SELECT columns FROM table t WHERE` the row rule.
    pub(in crate::engine) fn select(&self, fetch: &Fetch, extra: &str) -> SqlBuilder {
        let mut sql = SqlBuilder::new(self.backend, "SELECT ");
        self.push_columns(&mut sql, fetch, CoverageLookup::Exists);
        sql.push(extra);
        self.push_from_table(&mut sql, fetch);
        sql
    }

    /// ` FROM table t WHERE` the row rule.
    pub(in crate::engine) fn push_from_table(&self, sql: &mut SqlBuilder, fetch: &Fetch) {
        self.push_from(sql, fetch, CoverageLookup::Exists);
    }

    /// Pushes ` FROM table t WHERE` and the row rule, with consents looked up as `coverage` says.
    fn push_from(&self, sql: &mut SqlBuilder, fetch: &Fetch, coverage: CoverageLookup) {
        sql.push(" FROM ").push(fetch.object.table).push(" t");
        let required_channels = fetch.columns.iter().filter_map(|column| match column.expr {
            ColumnExpr::RequiredChannel(required_channel) => Some(required_channel),
            _ => None,
        });
        coverage.push_join(sql, self, required_channels);
        sql.push(" WHERE ");
        match coverage {
            CoverageLookup::MergeScan { .. } => consent_coverage::push_visible_by_merge_scan(sql, self),
            _ => row_rules::push_row_rule(sql, self, fetch.object.rows),
        }
    }

    /// How the consents of `fetch` are looked up: those of contacts are joined.
    fn coverage_lookup(&self, fetch: &Fetch, selector: &RowSelector<'_>) -> CoverageLookup {
        if !self.rests_on_consent() || fetch.object.rows != RowRule::Contact {
            return CoverageLookup::Exists;
        }
        let RowSelector::Page(page, _) = selector else { return CoverageLookup::Join };
        // A filter may match few rows anywhere, and a backward scan cannot be merged.
        let all = page.filter.is_none() && page.search.is_none() && self.subject.is_none();
        if !all || !page.is_by_key() || page.backward || self.backend != DbBackend::Postgres {
            return CoverageLookup::Join;
        }
        match page.cursor().map(|(values, before)| (values.as_slice(), before)) {
            None => CoverageLookup::MergeScan { after: None },
            Some(([Cell::Uuid(key)], false)) => CoverageLookup::MergeScan { after: Some(*key) },
            Some(_) => CoverageLookup::Join,
        }
    }

    /// Pushes the columns of `fetch`; those that a consent covers as `coverage` says.
    fn push_columns(&self, sql: &mut SqlBuilder, fetch: &Fetch, coverage: CoverageLookup) {
        for (index, column) in fetch.columns.iter().enumerate() {
            sql.push(if index == 0 { "" } else { ", " });
            match column.expr {
                ColumnExpr::Plain(name) | ColumnExpr::Preference(name) => {
                    sql.push("t.").push(name);
                }
                ColumnExpr::RequiredChannel(required_channel) => {
                    sql.push("CASE WHEN ");
                    match coverage {
                        CoverageLookup::Exists => {
                            row_rules::push_covered(sql, self, fetch.object.rows, required_channel)
                        }
                        joined => joined.push_covered(sql, required_channel),
                    }
                    sql.push(" THEN 1 ELSE 0 END");
                }
                ColumnExpr::Operand(operand) => operand.push(sql, self),
                ColumnExpr::Flag(flag) => {
                    sql.push("CASE WHEN ");
                    flag.push(sql, self);
                    sql.push(" THEN 1 ELSE 0 END");
                }
                ColumnExpr::Expiring(name) => row_rules::push_effective_status(sql, self, name),
                ColumnExpr::Sealed { .. } => {
                    sql.push("t.sealed");
                }
            }
            sql.push(" AS c").push_number(index as u64);
        }
    }

    /// Pushes the filter and the search of a page.
    pub(in crate::engine) fn push_filters(&self, sql: &mut SqlBuilder, page: &Page) {
        if let Some(filter) = &page.filter {
            sql.push(" AND ");
            filter.push(sql, self);
        }
        if let Some(search) = &page.search {
            sql.push(" AND ");
            search.push(sql, self);
        }
    }

    pub(in crate::engine) fn push_cursor(&self, sql: &mut SqlBuilder, page: &Page) {
        if let Some((values, reversed)) = page.cursor() {
            sql.push(" AND ");
            keyset::push_after(&page.order, values, reversed, sql, self);
        }
    }

    pub(in crate::engine) fn push_order_by(&self, sql: &mut SqlBuilder, page: &Page) {
        for (index, sort_key) in page.order.iter().enumerate() {
            sql.push(if index == 0 { " ORDER BY " } else { ", " });
            sort_key.push(sql, self, page.backward);
        }
    }

    /// Combines `sql`, which reads the contacts of `fetch`, with the rows of its `inlined` children.
    fn with_inlined_children(&self, fetch: &Fetch, sql: SqlBuilder, inlined: &[usize]) -> Select {
        let mut layout = Layout::default();
        let parent_positions = layout.assign(&fetch.columns, self.backend);
        let children: Vec<(usize, &ChildFetch, &Page, Vec<usize>)> = inlined
            .iter()
            .filter_map(|number| {
                let child = fetch.children.get(*number)?;
                let Relation::Connection(page) = &child.relation else { return None };
                Some((*number, child, page.as_ref(), layout.assign(&page.fetch.columns, self.backend)))
            })
            .collect();
        let mut sql = sql.wrap("WITH p AS MATERIALIZED (", ") ");
        layout.push(&mut sql, 0, "p", &parent_positions);
        sql.push(" FROM p");
        for (index, (_, child, page, positions)) in children.iter().enumerate() {
            sql.push(" UNION ALL ");
            layout.push(&mut sql, index + 1, "k", positions);
            let parent = format!("p.c{}", child.parent_slot);
            self.push_lateral_child(&mut sql, &page.fetch, page, &parent_column(&page.fetch, child), &parent);
        }
        let inlined = children.into_iter().map(|(number, _, _, positions)| (number, positions)).collect();
        Select { sql, positions: Some(parent_positions), inlined }
    }

    /// Pushes the rows of `page` for each row of `p`, called `k`: up to its size and one more. SQLite has no
    /// statistics on `p`; CROSS JOIN makes it start there.
    fn push_lateral_child(
        &self,
        sql: &mut SqlBuilder,
        fetch: &Fetch,
        page: &Page,
        parent_column: &str,
        parent: &str,
    ) {
        let all = self.holds_all_rows(fetch, page);
        let lateral = self.backend == DbBackend::Postgres && !all;
        sql.push(if lateral { " FROM p CROSS JOIN LATERAL (SELECT " } else { " FROM (SELECT " });
        self.push_columns(sql, fetch, CoverageLookup::Exists);
        if !lateral && !all {
            sql.push(", ROW_NUMBER() OVER (PARTITION BY ").push(parent_column);
            self.push_order_by(sql, page);
            sql.push(") AS rn");
        }
        sql.push(" FROM ").push(if lateral { "" } else { "p CROSS JOIN " }).push(fetch.object.table);
        sql.push(" t WHERE ").push(parent_column).push(" = ").push(parent).push(" AND ");
        row_rules::push_rule_below_contact(sql, self, fetch.object.rows);
        self.push_filters(sql, page);
        self.push_cursor(sql, page);
        if all {
            sql.push(") k");
        } else if lateral {
            self.push_order_by(sql, page);
            sql.push(" LIMIT ").push_number(page.rows + 1).push(") k");
        } else {
            sql.push(") k WHERE k.rn <= ").push_number(page.rows + 1);
        }
    }

    /// Whether a page holds every possible row of a contact: for one purpose there is one consent for each channel.
    fn holds_all_rows(&self, fetch: &Fetch, page: &Page) -> bool {
        let single_purpose = self.purpose.as_ref().is_some_and(|purpose| !purpose.sees_all);
        fetch.object.name == CONSENT.name && single_purpose && page.rows >= Channel::iter().count() as u64
    }
}

/// Whether the rows of `child` can be read with those of `fetch`: they are visible wherever their contact is, and
/// no column needs another statement. They must be ordered by key, by which they are sorted again, since a UNION
/// ALL promises no order.
fn can_inline(fetch: &Fetch, child: &ChildFetch) -> bool {
    let Relation::Connection(page) = &child.relation else { return false };
    let plain =
        |column: &Column| !matches!(column.expr, ColumnExpr::Sealed { .. } | ColumnExpr::Preference(_));
    fetch.object.rows == RowRule::Contact
        && child.parent_slot == 0
        && row_rules::is_below_contact(page.fetch.object.rows)
        && page.wants_rows()
        && !page.wants_total()
        && page.is_by_key()
        && fetch.columns.iter().chain(&page.fetch.columns).all(plain)
}

/// The column of the child table that references the parent.
pub(in crate::engine) fn parent_column(fetch: &Fetch, child: &ChildFetch) -> String {
    match fetch.columns.get(child.slot).map(|column| column.expr) {
        Some(ColumnExpr::Plain(name)) => format!("t.{name}"),
        _ => format!("t.{}", fetch.object.key_column()),
    }
}

/// The columns of a statement whose rows belong to several fetches: as many as the widest needs, after a number.
#[derive(Default)]
struct Layout(Vec<ColumnType>);

impl Layout {
    /// A place for each of `push_columns`, each for one of its kind. SQLite has no kinds.
    fn assign(&mut self, columns: &[Column], backend: DbBackend) -> Vec<usize> {
        let mut used = vec![false; self.0.len()];
        let mut positions = Vec::with_capacity(columns.len());
        for column in columns {
            let kind = if backend == DbBackend::Postgres { column.kind() } else { ColumnType::Text };
            let free = self.0.iter().zip(&used).position(|(existing, used)| *existing == kind && !used);
            let position = free.unwrap_or_else(|| {
                self.0.push(kind);
                used.push(false);
                self.0.len() - 1
            });
            if let Some(used) = used.get_mut(position) {
                *used = true;
            }
            // Position 0 holds the number.
            positions.push(position + 1);
        }
        positions
    }

    /// Pushes `SELECT` with the columns of `alias` at `positions` and NULL elsewhere.
    fn push(&self, sql: &mut SqlBuilder, number: usize, alias: &str, positions: &[usize]) {
        sql.push("SELECT ").push_number(number as u64);
        for (index, kind) in self.0.iter().enumerate() {
            sql.push(", ");
            match positions.iter().position(|position| *position == index + 1) {
                Some(slot) => {
                    sql.push(alias).push(".c").push_number(slot as u64);
                }
                None => {
                    sql.push(match kind {
                        ColumnType::Id => "CAST(NULL AS uuid)",
                        ColumnType::Int => "CAST(NULL AS integer)",
                        ColumnType::Text => "CAST(NULL AS text)",
                        ColumnType::Time => "CAST(NULL AS timestamptz)",
                        ColumnType::Date => "CAST(NULL AS date)",
                    });
                }
            }
        }
    }
}
