//! The state of a running plan: caller, scope, database, and the rows of one statement. Room: engine/executor.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::OnceLock};

use sea_orm::DatabaseConnection;

use super::{
    links::{Links, fill_links},
    rows::{FetchColumns, RowRef, RowSet},
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
    connection_cache: Option<&'r ConnectionCache>,
    actor: &'r Actor,
    keys: &'r MasterKeys,
    pub(in crate::engine) scope: Scope,
    /// Created when the first cursor is written.
    cursors: OnceLock<Cursors>,
    /// Variables that are read when the plan runs.
    pub(in crate::engine) runtime_variables: &'r serde_json::Map<String, serde_json::Value>,
    /// Keys and settings of preference links, if there are public pages.
    pub(in crate::engine) links: Option<Links<'r>>,
    /// The number of values withheld for lack of consent, by index of the plan's `withheld`.
    pub withheld: Vec<u64>,
}

pub(in crate::engine) type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

impl<'r> Executor<'r> {
    /// Runs `plan` for `actor` at the current instant. If the plan makes links, the installation keys must be
    /// loaded.
    ///
    /// # Errors
    /// Keys that cannot be derived or are not loaded.
    pub fn new(
        plan: &Plan,
        app: &'r App,
        actor: &'r Actor,
        runtime_variables: &'r serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, Error> {
        let scope = Scope::for_actor(actor, app.now(), app.db.backend());
        Ok(Self {
            links: Links::for_plan(plan, app)?,
            connection_cache: app.db.connection_cache.as_ref(),
            ..Self::without_app(plan, &app.db.reader, actor, &app.keys, scope, runtime_variables)
        })
    }

    /// Runs `plan` over `db` only; preference links are null.
    pub(super) fn without_app(
        plan: &Plan,
        db: &'r DatabaseConnection,
        actor: &'r Actor,
        keys: &'r MasterKeys,
        scope: Scope,
        runtime_variables: &'r serde_json::Map<String, serde_json::Value>,
    ) -> Self {
        Self {
            links: None,
            db,
            connection_cache: None,
            actor,
            keys,
            scope,
            cursors: OnceLock::new(),
            runtime_variables,
            withheld: vec![0; plan.withheld.len()],
        }
    }

    /// The cursor of a row with these sort `values`.
    pub(in crate::engine) fn seal_cursor(&self, scope: &str, values: &[Cell]) -> Result<String, Error> {
        let cursors = match self.cursors.get() {
            Some(cursors) => cursors,
            None => {
                let cursors = Cursors::new(self.keys)?;
                self.cursors.get_or_init(|| cursors)
            }
        };
        cursors.seal(scope, values)
    }

    /// The caller's id, for the scope of cursors.
    pub(in crate::engine) fn caller_id(&self) -> &str {
        &self.actor.id
    }

    /// Moves to the current instant, so that later reads see what was written meanwhile.
    pub fn refresh(&mut self, app: &App) {
        self.scope.now = app.now();
    }

    /// Runs a statement that reads exactly the columns of `fetch`, then opens sealed values and makes links.
    pub(in crate::engine) async fn fetch_statement(
        &self,
        sql: SqlBuilder,
        fetch: &Fetch,
    ) -> Result<RowSet, Error> {
        let row_set = sql.fetch(self.db, self.connection_cache).await?;
        let is_made =
            |column: &Column| matches!(column.expr, ColumnExpr::Sealed { .. } | ColumnExpr::Preference(_));
        if !fetch.columns.iter().any(is_made) {
            return Ok(row_set);
        }
        let mut rows: Vec<Row> = Vec::new();
        for row in row_set.rows(&fetch.columns) {
            rows.push((0..fetch.columns.len()).map(|slot| row.get_owned(slot)).collect::<Result<_, _>>()?);
        }
        self.open_sealed(&mut rows, fetch).await?;
        fill_links(self.links.as_ref(), &self.scope, &mut rows, fetch)?;
        Ok(RowSet::Owned(rows))
    }

    /// Reads the rows of `fetch` that `selector` selects, with those of its inlined children.
    pub(in crate::engine) async fn fetch_rows(
        &self,
        fetch: &Fetch,
        selector: &RowSelector<'_>,
    ) -> Result<FetchedRows, Error> {
        let Select { sql, positions, inlined } = self.scope.select_rows(fetch, selector);
        Ok(match positions {
            None => FetchedRows {
                row_set: self.fetch_statement(sql, fetch).await?,
                positions: Vec::new(),
                inlined: Vec::new(),
            },
            Some(own_positions) => {
                let row_set = sql.fetch(self.db, self.connection_cache).await?;
                let (numbers, child_positions): (Vec<usize>, Vec<Vec<usize>>) = inlined.into_iter().unzip();
                FetchedRows {
                    row_set,
                    positions: std::iter::once(own_positions).chain(child_positions).collect(),
                    inlined: numbers,
                }
            }
        })
    }

    /// Opens sealed values in place, and of each audit entry keeps the values that the caller may read in full.
    async fn open_sealed(&self, rows: &mut [Row], fetch: &Fetch) -> Result<(), Error> {
        let slot_of = |of: ColumnExpr| fetch.columns.iter().position(|column| column.expr == of);
        let sealed: Vec<(usize, usize)> = [false, true]
            .into_iter()
            .filter_map(|after| Some((slot_of(ColumnExpr::Sealed { after })?, usize::from(after))))
            .collect();
        let (false, Some(subject)) = (sealed.is_empty(), slot_of(ColumnExpr::Plain("subject_id"))) else {
            return Ok(());
        };
        let id_at = |row: &Row, slot: usize| match row.get(slot) {
            Some(Cell::Uuid(id)) => *id,
            _ => uuid::Uuid::nil(),
        };
        let subjects: std::collections::BTreeSet<_> = rows.iter().map(|row| id_at(row, subject)).collect();
        let opener = Opener::load(self.db, self.keys, subjects).await?;
        for row in rows {
            let (id, subject) = (id_at(row, 0), id_at(row, subject));
            for (slot, version) in &sealed {
                let Some(cell) = row.get_mut(*slot) else { continue };
                let Cell::Text(text) = &*cell else { continue };
                let mut values = opener.open(id, subject, text);
                values.retain(|coordinate, _| {
                    // Whether a consent covered the channel of an earlier value is unknown.
                    let bound = self.scope.rests_on_consent() && is_channel_bound(coordinate);
                    !bound && self.actor.can(coordinate, Action::Read)
                });
                let version: BTreeMap<&String, Option<&serde_json::Value>> =
                    values.iter().map(|(coordinate, pair)| (coordinate, pair.get(*version))).collect();
                let json = serde_json::to_string(&version)
                    .map_err(|_| Error::internal("opened values cannot be written"))?;
                *cell = Cell::Text(json);
            }
        }
        Ok(())
    }
}

/// Rows of a fetch and of its inlined children.
pub(in crate::engine) struct FetchedRows {
    row_set: RowSet,
    /// Positions of the columns, of the fetch and then of each child; empty if nothing is inlined.
    positions: Vec<Vec<usize>>,
    /// The indexes of the inlined children.
    inlined: Vec<usize>,
}

/// Rows of a fetch, and of its inlined children by index.
type RowsAndInlined<'a> = (Vec<RowRef<'a>>, Vec<(usize, Vec<RowRef<'a>>)>);

impl FetchedRows {
    /// The number of rows in all.
    pub(in crate::engine) fn len(&self) -> usize {
        self.row_set.len()
    }

    /// The rows of `fetch` in statement order, or sorted by key if children are inlined.
    pub(in crate::engine) fn rows<'a>(&'a self, fetch: &'a Fetch) -> Result<RowsAndInlined<'a>, Error> {
        let Some((own_positions, child_positions)) = self.positions.split_first() else {
            return Ok((self.row_set.rows(&fetch.columns), Vec::new()));
        };
        let mut fetch_columns: Vec<FetchColumns<'a>> = vec![(&fetch.columns, own_positions)];
        for (number, positions) in self.inlined.iter().zip(child_positions) {
            let columns = match fetch.children.get(*number).map(|child| &child.relation) {
                Some(Relation::Connection(page)) => page.fetch.columns.as_slice(),
                _ => &[],
            };
            fetch_columns.push((columns, positions));
        }
        let mut all = self.row_set.split_by_fetch(&fetch_columns)?.into_iter();
        let mut sorted = Vec::new();
        for row in all.next().unwrap_or_default() {
            sorted.push((row.get(0)?, row));
        }
        sorted.sort_by(|left, right| left.0.cmp(&right.0));
        let rows = sorted.into_iter().map(|(_, row)| row).collect();
        Ok((rows, self.inlined.iter().copied().zip(all).collect()))
    }
}

/// Whether the field at a coordinate is bound to a channel.
fn is_channel_bound(coordinate: &str) -> bool {
    let (name, field) = coordinate.split_once('.').unwrap_or_default();
    registry::object(name)
        .and_then(|object| object.field(field))
        .is_some_and(|field| field.required_channel.is_some())
}
