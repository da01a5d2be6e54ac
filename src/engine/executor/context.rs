//! The state of a running plan: caller, scope, database, and the rows that one statement fetches. Room: engine/executor.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::OnceLock};

use sea_orm::DatabaseConnection;

use super::{
    links::{Links, link},
    rows::{Part, RowRef, RowSet},
};
use crate::{
    app::App,
    auth::actor::Actor,
    base::error::Error,
    crypto::{master_keys::MasterKeys, sealing::Opener},
    db::connection_cache::ConnectionCache,
    engine::{
        cell::{Cell, Row},
        cursor::Cursors,
        plan::{
            Plan,
            selection::{Column, ColumnExpr, Fetch, Relation},
        },
        scope::Scope,
        sql::{
            builder::SqlBuilder,
            statement::{RowSelector, Select},
        },
    },
    policy::Action,
    registry,
};

/// Runs a plan for an actor, root field by root field.
pub struct Executor<'r> {
    pub(in crate::engine) db: &'r DatabaseConnection,
    kept: Option<&'r ConnectionCache>,
    actor: &'r Actor,
    keys: &'r MasterKeys,
    pub(in crate::engine) scope: Scope,
    /// Made when the first cursor is written.
    cursors: OnceLock<Cursors>,
    /// Variables that the plan does not hold.
    pub(in crate::engine) late: &'r serde_json::Map<String, serde_json::Value>,
    /// What links are made with, where there are public pages.
    pub(in crate::engine) links: Option<Links<'r>>,
    /// How many values a missing consent kept back, by the plan's `withheld`.
    pub withheld: Vec<u64>,
}

pub(in crate::engine) type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

impl<'r> Executor<'r> {
    /// Runs `plan` for `actor` at the present instant. Where the plan makes links, the keys of the installation must be loaded.
    ///
    /// # Errors
    /// Keys that cannot be derived, or are not there.
    pub fn new(
        plan: &Plan,
        app: &'r App,
        actor: &'r Actor,
        late: &'r serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, Error> {
        let scope = Scope::of(actor, app.now(), app.db.backend());
        Ok(Self {
            links: Links::of(plan, app)?,
            kept: app.db.kept.as_ref(),
            ..Self::without_app(plan, &app.db.reader, actor, &app.keys, scope, late)
        })
    }

    /// Runs `plan` over `db` alone: links of persons are null.
    pub(super) fn without_app(
        plan: &Plan,
        db: &'r DatabaseConnection,
        actor: &'r Actor,
        keys: &'r MasterKeys,
        scope: Scope,
        late: &'r serde_json::Map<String, serde_json::Value>,
    ) -> Self {
        Self {
            links: None,
            db,
            kept: None,
            actor,
            keys,
            scope,
            cursors: OnceLock::new(),
            late,
            withheld: vec![0; plan.withheld.len()],
        }
    }

    /// The cursor of a row that has these `values` to be ordered by.
    pub(in crate::engine) fn cursor(&self, place: &str, values: &[Cell]) -> Result<String, Error> {
        let cursors = match self.cursors.get() {
            Some(cursors) => cursors,
            None => {
                let made = Cursors::new(self.keys)?;
                self.cursors.get_or_init(|| made)
            }
        };
        cursors.seal(place, values)
    }

    /// Whose rows they are, for cursors.
    pub(in crate::engine) fn caller(&self) -> &str {
        &self.actor.id
    }

    /// Goes on at the present instant: what was written meanwhile is seen.
    pub fn refresh(&mut self, app: &App) {
        self.scope.now = app.now();
    }

    /// Runs a statement that reads the columns of `level` alone.
    pub(in crate::engine) async fn fetch(&self, sql: SqlBuilder, level: &Fetch) -> Result<RowSet, Error> {
        let fetched = sql.fetch(self.db, self.kept).await?;
        let made =
            |column: &Column| matches!(column.of, ColumnExpr::Sealed { .. } | ColumnExpr::Preference(_));
        if !level.columns.iter().any(made) {
            return Ok(fetched);
        }
        let mut rows: Vec<Row> = Vec::new();
        for line in fetched.lines(&level.columns) {
            rows.push((0..level.columns.len()).map(|slot| line.cell(slot)).collect::<Result<_, _>>()?);
        }
        self.open(&mut rows, level).await?;
        link(self.links.as_ref(), &self.scope, &mut rows, level)?;
        Ok(RowSet::Owned(rows))
    }

    /// Reads `which` rows of `level`, with those of its children that come along.
    pub(in crate::engine) async fn read(
        &self,
        level: &Fetch,
        which: &RowSelector<'_>,
    ) -> Result<FetchedRows, Error> {
        let Select { sql, places, along } = self.scope.rows_of(level, which);
        Ok(match places {
            None => {
                FetchedRows { fetched: self.fetch(sql, level).await?, places: Vec::new(), along: Vec::new() }
            }
            Some(own) => {
                let fetched = sql.fetch(self.db, self.kept).await?;
                let (numbers, theirs): (Vec<usize>, Vec<Vec<usize>>) = along.into_iter().unzip();
                FetchedRows { fetched, places: std::iter::once(own).chain(theirs).collect(), along: numbers }
            }
        })
    }

    /// Opens sealed values in place: of each entry those that the caller may fully read.
    async fn open(&self, rows: &mut [Row], level: &Fetch) -> Result<(), Error> {
        let place = |of: ColumnExpr| level.columns.iter().position(|column| column.of == of);
        let sealed: Vec<(usize, usize)> = [false, true]
            .into_iter()
            .filter_map(|after| Some((place(ColumnExpr::Sealed { after })?, usize::from(after))))
            .collect();
        let (false, Some(subject)) = (sealed.is_empty(), place(ColumnExpr::Plain("subject_id"))) else {
            return Ok(());
        };
        let id_at = |row: &Row, slot: usize| match row.get(slot) {
            Some(Cell::Uuid(id)) => *id,
            _ => uuid::Uuid::nil(),
        };
        let subjects: std::collections::BTreeSet<_> = rows.iter().map(|row| id_at(row, subject)).collect();
        let opener = Opener::of(self.db, self.keys, subjects).await?;
        for row in rows {
            let (id, subject) = (id_at(row, 0), id_at(row, subject));
            for (slot, side) in &sealed {
                let Some(cell) = row.get_mut(*slot) else { continue };
                let Cell::Text(text) = &*cell else { continue };
                let mut values = opener.open(id, subject, text);
                values.retain(|coordinate, _| {
                    // Whether the row's consent covers a channel is not known of a value that was.
                    let bound = self.scope.on_consent() && is_channel_bound(coordinate);
                    !bound && self.actor.may(coordinate, Action::Read)
                });
                let side: BTreeMap<&String, Option<&serde_json::Value>> =
                    values.iter().map(|(coordinate, pair)| (coordinate, pair.get(*side))).collect();
                let json = serde_json::to_string(&side).map_err(|_| Error::internal("opened values"))?;
                *cell = Cell::Text(json);
            }
        }
        Ok(())
    }
}

/// Rows of a level, and those of its children that came along.
pub(in crate::engine) struct FetchedRows {
    fetched: RowSet,
    /// Where the columns stand, of the level and then of each child; empty where the level came alone.
    places: Vec<Vec<usize>>,
    /// The children by their number.
    along: Vec<usize>,
}

/// Rows of a level, and of its children by their number.
type Came<'a> = (Vec<RowRef<'a>>, Vec<(usize, Vec<RowRef<'a>>)>);

impl FetchedRows {
    /// How many rows there are in all.
    pub(in crate::engine) fn len(&self) -> usize {
        self.fetched.len()
    }

    /// The rows of `level` in the order of the statement, or of their keys where others came along.
    pub(in crate::engine) fn lines<'a>(&'a self, level: &'a Fetch) -> Result<Came<'a>, Error> {
        let Some((own, theirs)) = self.places.split_first() else {
            return Ok((self.fetched.lines(&level.columns), Vec::new()));
        };
        let mut parts: Vec<Part<'a>> = vec![(&level.columns, own)];
        for (number, places) in self.along.iter().zip(theirs) {
            let columns = match level.children.get(*number).map(|child| &child.kind) {
                Some(Relation::Connection(page)) => page.level.columns.as_slice(),
                _ => &[],
            };
            parts.push((columns, places));
        }
        let mut all = self.fetched.parted(&parts)?.into_iter();
        let mut keyed = Vec::new();
        for line in all.next().unwrap_or_default() {
            keyed.push((line.seen(0)?, line));
        }
        keyed.sort_by(|one, other| one.0.cmp(&other.0));
        let lines = keyed.into_iter().map(|(_, line)| line).collect();
        Ok((lines, self.along.iter().copied().zip(all).collect()))
    }
}

/// Whether values at a coordinate belong to a channel.
fn is_channel_bound(coordinate: &str) -> bool {
    let (name, field) = coordinate.split_once('.').unwrap_or_default();
    registry::object(name).and_then(|object| object.field(field)).is_some_and(|field| field.cover.is_some())
}
