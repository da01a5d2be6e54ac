//! Statements made from a plan: the rows of a level, and with those of contacts what hangs on them. Room: engine/sql.
//!
//! What belongs to a contact is visible to who sees the contact. So the children of contacts are read in the statement that finds
//! these visible: one look at the ground for both, one instant, one way to the database.

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

/// A statement, and where in its rows the columns of each level stand.
pub(in crate::engine) struct Select {
    pub(in crate::engine) sql: SqlBuilder,
    /// Of the level itself; `None` for the columns in their order.
    pub(in crate::engine) places: Option<Vec<usize>>,
    /// The children that come along: number, and where their columns stand. Their rows begin with their number, from 1.
    pub(in crate::engine) along: Vec<(usize, Vec<usize>)>,
}

/// What of a level is read.
pub(in crate::engine) enum RowSelector<'p> {
    /// The row with this key.
    One(&'p Cell),
    /// All, ordered by key.
    All,
    /// Those with these keys, ordered by key.
    Keys(&'p [Cell]),
    /// A page, of which one range behind its cursor.
    Page(&'p Page, Option<KeysetRange>),
}

impl RowSelector<'_> {
    /// Whether the rows are in the order of their keys.
    fn is_by_key(&self) -> bool {
        match self {
            RowSelector::Page(page, _) => page.is_by_key(),
            RowSelector::One(_) | RowSelector::All | RowSelector::Keys(_) => true,
        }
    }
}

impl Scope {
    /// The rows of `level`, with those of its children that can come along.
    pub(in crate::engine) fn rows_of(&self, level: &Fetch, which: &RowSelector<'_>) -> Select {
        let mut sql = SqlBuilder::new(self.backend, "SELECT ");
        let covering = self.covering(level, which);
        self.columns(&mut sql, level, covering);
        self.push_from(&mut sql, level, covering);
        let key = level.object.key_column();
        match which {
            RowSelector::One(key_value) => {
                sql.push(" AND t.").push(key).push(" = ").bind_cell(key_value);
            }
            RowSelector::All => {}
            RowSelector::Keys(keys) => {
                sql.push(" AND ").among(&format!("t.{key}"), keys);
            }
            RowSelector::Page(page, range) => {
                self.narrow(&mut sql, page);
                if let (Some(range), Some((values, flipped))) = (range, page.cursor()) {
                    sql.push(" AND ");
                    keyset::within(*range, &page.order, values, flipped, &mut sql, self);
                }
            }
        }
        match which {
            RowSelector::One(_) => {}
            RowSelector::All | RowSelector::Keys(_) => {
                sql.push(" ORDER BY t.").push(key);
            }
            RowSelector::Page(page, _) => {
                self.sort(&mut sql, page);
                sql.push(" LIMIT ").push_number(page.rows + 1);
            }
        }
        // The rows are put in the order of their keys again, see below.
        let along: Vec<usize> = (0..level.children.len())
            .filter(|_| which.is_by_key())
            .filter(|number| level.children.get(*number).is_some_and(|child| comes_along(level, child)))
            .collect();
        if along.is_empty() {
            return Select { sql, places: None, along: Vec::new() };
        }
        self.with_children(level, sql, &along)
    }

    /// `SELECT columns FROM table t WHERE` the row rule.
    pub(in crate::engine) fn select(&self, level: &Fetch, extra: &str) -> SqlBuilder {
        let mut sql = SqlBuilder::new(self.backend, "SELECT ");
        self.columns(&mut sql, level, CoverageLookup::Exists);
        sql.push(extra);
        self.from(&mut sql, level);
        sql
    }

    /// ` FROM table t WHERE` the row rule.
    pub(in crate::engine) fn from(&self, sql: &mut SqlBuilder, level: &Fetch) {
        self.push_from(sql, level, CoverageLookup::Exists);
    }

    /// The same, where the consents that cover a channel are found as `covering` says.
    fn push_from(&self, sql: &mut SqlBuilder, level: &Fetch, covering: CoverageLookup) {
        sql.push(" FROM ").push(level.object.table).push(" t");
        let covers = level.columns.iter().filter_map(|column| match column.of {
            ColumnExpr::Cover(cover) => Some(cover),
            _ => None,
        });
        covering.join(sql, self, covers);
        sql.push(" WHERE ");
        match covering {
            CoverageLookup::MergeScan { .. } => consent_coverage::visible_by_gathered(sql, self),
            _ => row_rules::rule(sql, self, level.object.rows),
        }
    }

    /// How the consents of `level` are found: those of contacts are read side by side with them.
    fn covering(&self, level: &Fetch, which: &RowSelector<'_>) -> CoverageLookup {
        if !self.on_consent() || level.object.rows != RowRule::Contact {
            return CoverageLookup::Exists;
        }
        let RowSelector::Page(page, _) = which else { return CoverageLookup::Join };
        // A filter may find few, wherever they are; what is gone through backwards is not read side by side.
        let all = page.filter.is_none() && page.search.is_none() && self.subject.is_none();
        if !all || !page.is_by_key() || page.backward || self.backend != DbBackend::Postgres {
            return CoverageLookup::Join;
        }
        match page.cursor().map(|(values, before)| (values.as_slice(), before)) {
            None => CoverageLookup::MergeScan { behind: None },
            Some(([Cell::Uuid(key)], false)) => CoverageLookup::MergeScan { behind: Some(*key) },
            Some(_) => CoverageLookup::Join,
        }
    }

    /// The columns of `level`, those that a consent covers as `covering` says.
    fn columns(&self, sql: &mut SqlBuilder, level: &Fetch, covering: CoverageLookup) {
        for (index, column) in level.columns.iter().enumerate() {
            sql.push(if index == 0 { "" } else { ", " });
            match column.of {
                ColumnExpr::Plain(name) | ColumnExpr::Preference(name) => {
                    sql.push("t.").push(name);
                }
                ColumnExpr::Cover(cover) => {
                    sql.push("CASE WHEN ");
                    match covering {
                        CoverageLookup::Exists => row_rules::covered(sql, self, level.object.rows, cover),
                        joined => joined.covered(sql, cover),
                    }
                    sql.push(" THEN 1 ELSE 0 END");
                }
                ColumnExpr::Operand(term) => term.push(sql, self),
                ColumnExpr::Flag(flag) => {
                    sql.push("CASE WHEN ");
                    flag.push(sql, self);
                    sql.push(" THEN 1 ELSE 0 END");
                }
                ColumnExpr::Expiring(name) => row_rules::expiring(sql, self, name),
                ColumnExpr::Sealed { .. } => {
                    sql.push("t.sealed");
                }
            }
            sql.push(" AS c").push_number(index as u64);
        }
    }

    /// Everything of a page's condition behind the row rule, but for cursors.
    pub(in crate::engine) fn narrow(&self, sql: &mut SqlBuilder, page: &Page) {
        if let Some(filter) = &page.filter {
            sql.push(" AND ");
            filter.push(sql, self);
        }
        if let Some(search) = &page.search {
            sql.push(" AND ");
            search.push(sql, self);
        }
    }

    pub(in crate::engine) fn seek(&self, sql: &mut SqlBuilder, page: &Page) {
        if let Some((values, flipped)) = page.cursor() {
            sql.push(" AND ");
            keyset::beyond(&page.order, values, flipped, sql, self);
        }
    }

    pub(in crate::engine) fn sort(&self, sql: &mut SqlBuilder, page: &Page) {
        for (index, step) in page.order.iter().enumerate() {
            sql.push(if index == 0 { " ORDER BY " } else { ", " });
            step.push(sql, self, page.backward);
        }
    }

    /// The statement `sql`, which reads the contacts of `level`, and behind its rows those of the children `along`.
    fn with_children(&self, level: &Fetch, sql: SqlBuilder, along: &[usize]) -> Select {
        let mut layout = Layout::default();
        let own = layout.places(&level.columns, self.backend);
        let children: Vec<(usize, &ChildFetch, &Page, Vec<usize>)> = along
            .iter()
            .filter_map(|number| {
                let child = level.children.get(*number)?;
                let Relation::Connection(page) = &child.kind else { return None };
                Some((*number, child, page.as_ref(), layout.places(&page.level.columns, self.backend)))
            })
            .collect();
        let mut sql = sql.wrap("WITH p AS MATERIALIZED (", ") ");
        layout.push(&mut sql, 0, "p", &own);
        sql.push(" FROM p");
        for (index, (_, child, page, places)) in children.iter().enumerate() {
            sql.push(" UNION ALL ");
            layout.push(&mut sql, index + 1, "k", places);
            let parent = format!("p.c{}", child.parent_slot);
            self.of_parents(&mut sql, &page.level, page, &joined(&page.level, child), &parent);
        }
        let along = children.into_iter().map(|(number, _, _, places)| (number, places)).collect();
        Select { sql, places: Some(own), along }
    }

    /// The rows of `page` for each row of `p`, called `k`: as many as it has, and one more. SQLite, which knows nothing of how many
    /// there are, begins with `p` where it is told by CROSS JOIN.
    fn of_parents(&self, sql: &mut SqlBuilder, level: &Fetch, page: &Page, joined: &str, parent: &str) {
        let all = self.has_all(level, page);
        let lateral = self.backend == DbBackend::Postgres && !all;
        sql.push(if lateral { " FROM p CROSS JOIN LATERAL (SELECT " } else { " FROM (SELECT " });
        self.columns(sql, level, CoverageLookup::Exists);
        if !lateral && !all {
            sql.push(", ROW_NUMBER() OVER (PARTITION BY ").push(joined);
            self.sort(sql, page);
            sql.push(") AS rn");
        }
        sql.push(" FROM ").push(if lateral { "" } else { "p CROSS JOIN " }).push(level.object.table);
        sql.push(" t WHERE ").push(joined).push(" = ").push(parent).push(" AND ");
        row_rules::under_visible(sql, self, level.object.rows);
        self.narrow(sql, page);
        self.seek(sql, page);
        if all {
            sql.push(") k");
        } else if lateral {
            self.sort(sql, page);
            sql.push(" LIMIT ").push_number(page.rows + 1).push(") k");
        } else {
            sql.push(") k WHERE k.rn <= ").push_number(page.rows + 1);
        }
    }

    /// Whether a page has all there can be for a contact: of consents for one purpose there is one for each channel.
    fn has_all(&self, level: &Fetch, page: &Page) -> bool {
        let one = self.purpose.as_ref().is_some_and(|purpose| !purpose.sees_all);
        level.object.name == CONSENT.name && one && page.rows >= Channel::iter().count() as u64
    }
}

/// Whether the rows of `child` can come along with those of `level`: they are visible where the contact is that they hang on, and
/// nothing has to be made of either that another statement is needed for. Their order is that of their keys, by which they are put in
/// order again: a statement does not promise any for its parts.
fn comes_along(level: &Fetch, child: &ChildFetch) -> bool {
    let Relation::Connection(page) = &child.kind else { return false };
    let plain = |column: &Column| !matches!(column.of, ColumnExpr::Sealed { .. } | ColumnExpr::Preference(_));
    level.object.rows == RowRule::Contact
        && child.parent_slot == 0
        && row_rules::is_under_contact(page.level.object.rows)
        && page.wants_rows()
        && !page.wants_total()
        && page.is_by_key()
        && level.columns.iter().chain(&page.level.columns).all(plain)
}

/// The column of the children's table that names the parent.
pub(in crate::engine) fn joined(level: &Fetch, child: &ChildFetch) -> String {
    match level.columns.get(child.slot).map(|column| column.of) {
        Some(ColumnExpr::Plain(name)) => format!("t.{name}"),
        _ => format!("t.{}", level.object.key_column()),
    }
}

/// The columns of a statement whose rows are those of several levels: each has what the widest needs, and a number in front.
#[derive(Default)]
struct Layout(Vec<ColumnType>);

impl Layout {
    /// A place for each of `columns`, each for one of its kind. SQLite has no kinds.
    fn places(&mut self, columns: &[Column], backend: DbBackend) -> Vec<usize> {
        let mut taken = vec![false; self.0.len()];
        let mut places = Vec::with_capacity(columns.len());
        for column in columns {
            let kind = if backend == DbBackend::Postgres { column.kind() } else { ColumnType::Text };
            let free = self.0.iter().zip(&taken).position(|(known, taken)| *known == kind && !taken);
            let place = free.unwrap_or_else(|| {
                self.0.push(kind);
                taken.push(false);
                self.0.len() - 1
            });
            if let Some(taken) = taken.get_mut(place) {
                *taken = true;
            }
            // Behind the number.
            places.push(place + 1);
        }
        places
    }

    /// `SELECT` the columns at `places` of `alias`, and nothing at the others.
    fn push(&self, sql: &mut SqlBuilder, number: usize, alias: &str, places: &[usize]) {
        sql.push("SELECT ").push_number(number as u64);
        for (index, kind) in self.0.iter().enumerate() {
            sql.push(", ");
            match places.iter().position(|place| *place == index + 1) {
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
