//! Runs a plan: one statement per level, children for all parents at once (floor 2).

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::OnceLock};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseConnection};

use super::{
    cursors::Cursors,
    existing::{exists, token_name},
    fetched::{Fetched, Groups, Line, Part, Seen},
    levels::{Child, ChildKind, Column, ColumnOf, Level},
    linking::Links,
    plan::{KeyOf, Plan, PlannedRoot, PlannedWhat, key},
    sql::{Scope, Sql},
    statements::{Made, Which, joined},
    technical::{Technical, TechnicalWhat},
    write::{Cell, Context, Parts, Row, Written, write_row, write_text},
};
use crate::{
    context::{Actor, App, Keys},
    error::Error,
    kept::Kept,
    policy::Action,
    register::{self, CONTACT},
    sealing::Opener,
};

/// Writes the first root field of `plan`, a page without children, from `rows` instead of a database: execution and
/// serialisation alone, as the benches measure them. Cells stand in the order of the plan's columns.
///
/// # Errors
/// Keys that cannot be derived; a root field that is no page.
pub fn write_page_of(
    plan: &Plan,
    actor: &Actor,
    keys: &Keys,
    now: DateTime<Utc>,
    rows: &[Row],
) -> Result<String, Error> {
    let Some(PlannedWhat::Page(page)) = plan.roots.first().map(|root| &root.what) else {
        return Err(Error::internal("the first root field is no page"));
    };
    let nowhere = DatabaseConnection::default();
    let mut reader = Reader {
        db: &nowhere,
        kept: None,
        actor,
        keys,
        scope: Scope::of(actor, now, sea_orm::DbBackend::Sqlite),
        cursors: OnceLock::new(),
        links: None,
        late: &serde_json::Map::new(),
        withheld: vec![0; plan.withheld.len()],
    };
    let mut out = String::new();
    reader.write_page(&mut out, page, &Fetched::made(rows, &page.level.columns), false, 0, &[])?;
    Ok(out)
}

/// Runs a plan for an actor, root field by root field.
pub struct Reader<'r> {
    pub(super) db: &'r DatabaseConnection,
    kept: Option<&'r Kept>,
    actor: &'r Actor,
    keys: &'r Keys,
    pub(super) scope: Scope,
    /// Made when the first cursor is written.
    cursors: OnceLock<Cursors>,
    /// Variables that the plan does not hold.
    late: &'r serde_json::Map<String, serde_json::Value>,
    /// What links are made with, where there are public pages.
    pub(super) links: Option<Links<'r>>,
    /// How many values a missing consent kept back, by the plan's `withheld`.
    pub withheld: Vec<u64>,
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

impl<'r> Reader<'r> {
    /// A reader of `plan` for `actor`, at the present instant. Where the plan makes links, the keys of the installation are there
    /// already.
    ///
    /// # Errors
    /// Keys that cannot be derived, or are not there.
    pub fn new(
        plan: &Plan,
        app: &'r App,
        actor: &'r Actor,
        late: &'r serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, Error> {
        Ok(Self {
            links: Links::of(plan, app)?,
            db: &app.db.reader,
            kept: app.db.kept.as_ref(),
            actor,
            keys: &app.keys,
            scope: Scope::of(actor, app.now(), app.db.backend()),
            cursors: OnceLock::new(),
            late,
            withheld: vec![0; plan.withheld.len()],
        })
    }

    /// The cursor of a row that has these `values` to be ordered by.
    pub(super) fn cursor(&self, place: &str, values: &[Cell]) -> Result<String, Error> {
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
    pub(super) fn caller(&self) -> &str {
        &self.actor.id
    }

    /// Goes on at the present instant: what was written meanwhile is seen.
    pub fn refresh(&mut self, app: &App) {
        self.scope.now = app.now();
    }

    /// The JSON of a root field; `None` for those that introspection answers.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a cursor that is not valid here, `INTERNAL` from the database.
    pub async fn root(&mut self, root: &PlannedRoot) -> Result<Option<String>, Error> {
        Ok(Some(match &root.what {
            PlannedWhat::Introspection => return Ok(None),
            PlannedWhat::Null | PlannedWhat::Write(_) | PlannedWhat::Receipt(_) | PlannedWhat::Change(..) => {
                "null".to_owned()
            }
            PlannedWhat::Typename(name) => format!("\"{name}\""),
            PlannedWhat::One(level, KeyOf::Is(key)) => self.one(level, key).await?,
            PlannedWhat::One(level, KeyOf::Variable(name)) => {
                let text = self.late.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
                self.one(level, &key(level.object, text)).await?
            }
            PlannedWhat::List(level) => self.list(level, &Which::All).await?,
            PlannedWhat::Page(page) => self.page(page).await?,
            PlannedWhat::Technical(parts) => self.technical(parts).await?,
            PlannedWhat::State(state) => self.state(state).await?,
        }))
    }

    /// Runs a statement that reads the columns of `level` alone.
    pub(super) async fn fetch(&self, sql: Sql, level: &Level) -> Result<Fetched, Error> {
        let fetched = sql.fetch(self.db, self.kept).await?;
        let made = |column: &Column| matches!(column.of, ColumnOf::Sealed { .. } | ColumnOf::Preference(_));
        if !level.columns.iter().any(made) {
            return Ok(fetched);
        }
        let mut rows: Vec<Row> = Vec::new();
        for line in fetched.lines(&level.columns) {
            rows.push((0..level.columns.len()).map(|slot| line.cell(slot)).collect::<Result<_, _>>()?);
        }
        self.open(&mut rows, level).await?;
        self.link(&mut rows, level)?;
        Ok(Fetched::Made(rows))
    }

    /// Reads `which` rows of `level`, with those of its children that come along.
    pub(super) async fn read(&self, level: &Level, which: &Which<'_>) -> Result<Batch, Error> {
        let Made { sql, places, along } = self.scope.rows_of(level, which);
        Ok(match places {
            None => Batch { fetched: self.fetch(sql, level).await?, places: Vec::new(), along: Vec::new() },
            Some(own) => {
                let fetched = sql.fetch(self.db, self.kept).await?;
                let (numbers, theirs): (Vec<usize>, Vec<Vec<usize>>) = along.into_iter().unzip();
                Batch { fetched, places: std::iter::once(own).chain(theirs).collect(), along: numbers }
            }
        })
    }

    /// Opens sealed values in place: of each entry those that the caller may fully read.
    async fn open(&self, rows: &mut [Row], level: &Level) -> Result<(), Error> {
        let place = |of: ColumnOf| level.columns.iter().position(|column| column.of == of);
        let sealed: Vec<(usize, usize)> = [false, true]
            .into_iter()
            .filter_map(|after| Some((place(ColumnOf::Sealed { after })?, usize::from(after))))
            .collect();
        let (false, Some(subject)) = (sealed.is_empty(), place(ColumnOf::Plain("subject_id"))) else {
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
                    let bound = self.scope.on_consent() && covered(coordinate);
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

    pub(super) async fn one(&mut self, level: &Level, key: &Cell) -> Result<String, Error> {
        if *key == Cell::Null {
            return Ok("null".to_owned());
        }
        let batch = self.read(level, &Which::One(key)).await?;
        let (lines, along) = batch.lines(level)?;
        let written = self.children(level, &lines, along).await?;
        match lines.first() {
            Some(line) => self.write(level, *line, &written),
            None => Ok("null".to_owned()),
        }
    }

    async fn list(&mut self, level: &Level, which: &Which<'_>) -> Result<String, Error> {
        let batch = self.read(level, which).await?;
        let (lines, along) = batch.lines(level)?;
        let written = self.children(level, &lines, along).await?;
        let mut out = String::new();
        self.write_all(&mut out, level, 0, &lines, &written)?;
        Ok(out)
    }

    pub(super) fn write(
        &mut self,
        level: &Level,
        line: Line<'_>,
        children: &[Written<'_>],
    ) -> Result<String, Error> {
        let mut out = String::with_capacity(512);
        self.write_into(&mut out, level, 0, line, children)?;
        Ok(out)
    }

    pub(super) fn write_into(
        &mut self,
        out: &mut String,
        level: &Level,
        node: usize,
        line: Line<'_>,
        children: &[Written<'_>],
    ) -> Result<(), Error> {
        let mut context = Context { withheld: &mut self.withheld };
        match level.nodes.get(node) {
            Some(node) => write_row(out, node, line, children, &mut context),
            None => Ok(()),
        }
    }

    pub(super) fn write_all(
        &mut self,
        out: &mut String,
        level: &Level,
        node: usize,
        lines: &[Line<'_>],
        children: &[Written<'_>],
    ) -> Result<(), Error> {
        out.reserve(lines.len() * 256 + 2);
        out.push('[');
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            self.write_into(out, level, node, *line, children)?;
        }
        out.push(']');
        Ok(())
    }

    /// Writes the children of all `lines`: those that came along, the others by one statement for each kind.
    pub(super) fn children<'s, 'p: 's, 'l: 's>(
        &'s mut self,
        level: &'p Level,
        lines: &'s [Line<'l>],
        along: Vec<(usize, Vec<Line<'l>>)>,
    ) -> Boxed<'s, Vec<Written<'p>>> {
        let mut along = along;
        Box::pin(async move {
            let mut all = Vec::with_capacity(level.children.len());
            for (number, child) in level.children.iter().enumerate() {
                if let ChildKind::Key(level) = &child.kind {
                    all.push(Written::Key(level));
                    continue;
                }
                let keys = keys_of(lines, child.parent_slot)?;
                let came = along.iter_mut().find(|(came, _)| *came == number);
                all.push(Written::Parts(match (&child.kind, came) {
                    (ChildKind::Connection(page), Some((_, came))) => {
                        let groups = Groups::of(std::mem::take(came), child.slot, true)?;
                        self.came(page, &keys, &groups).await?
                    }
                    (ChildKind::Connection(page), None) => self.pages(child, page, &keys).await?,
                    (ChildKind::Many(level), _) => self.linked(child, level, &keys, "[]").await?,
                    (ChildKind::One(level) | ChildKind::Key(level), _) => {
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
        child: &Child,
        level: &Level,
        keys: &[Seen<'_>],
        empty: &'static str,
    ) -> Result<Parts, Error> {
        let mut parts = Parts::new(empty);
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
        for (key, lines) in Groups::of(lines.clone(), child.slot, false)?.iter() {
            let start = parts.text.len();
            match (&child.kind, lines) {
                (ChildKind::One(_), [line, ..]) => {
                    self.write_into(&mut parts.text, level, 0, *line, &children)?;
                }
                _ => self.write_all(&mut parts.text, level, 0, lines, &children)?,
            }
            parts.note(key, start);
        }
        Ok(parts)
    }

    async fn technical(&mut self, parts: &[Technical]) -> Result<String, Error> {
        let mut contact = None;
        let mut out = String::from("{");
        for part in parts {
            if out.len() > 1 && !part.key.is_empty() {
                out.push(',');
            }
            out.push_str(&part.key);
            match &part.what {
                TechnicalWhat::Ready(json) => out.push_str(json),
                TechnicalWhat::Purposes { level, codes, list } => {
                    let keys: Vec<Cell> = codes.iter().cloned().map(Cell::Text).collect();
                    out.push_str(&self.keyed(level, &keys, *list).await?);
                }
                TechnicalWhat::OnlyIfVisible(id) => {
                    if !exists(self.db, &self.scope, &CONTACT, *id).await? {
                        return Ok("null".to_owned());
                    }
                    contact = Some(*id);
                }
                TechnicalWhat::TokenName(id) => match token_name(self.db, self.scope.backend, *id).await? {
                    Some(name) => write_text(&mut out, &name),
                    None => out.push_str("null"),
                },
                TechnicalWhat::ContactVisible(purpose) => {
                    let scope = Scope { purpose: Some(purpose.clone()), ..self.scope.clone() };
                    let visible = match contact {
                        Some(id) => exists(self.db, &scope, &CONTACT, id).await?,
                        None => false,
                    };
                    out.push_str(if visible { "true" } else { "false" });
                }
            }
        }
        out.push('}');
        Ok(out)
    }

    /// The rows with these keys, ordered by key: as a list, or the only one.
    pub(super) async fn keyed(&mut self, level: &Level, keys: &[Cell], list: bool) -> Result<String, Error> {
        match keys {
            [] => Ok(if list { "[]" } else { "null" }.to_owned()),
            keys if list => self.list(level, &Which::Keys(keys)).await,
            [key, ..] => self.one(level, key).await,
        }
    }
}

/// Rows of a level, and those of its children that came along.
pub(super) struct Batch {
    fetched: Fetched,
    /// Where the columns stand, of the level and then of each child; empty where the level came alone.
    places: Vec<Vec<usize>>,
    /// The children by their number.
    along: Vec<usize>,
}

/// Rows of a level, and of its children by their number.
type Came<'a> = (Vec<Line<'a>>, Vec<(usize, Vec<Line<'a>>)>);

impl Batch {
    /// How many rows there are in all.
    pub(super) fn len(&self) -> usize {
        self.fetched.len()
    }

    /// The rows of `level` in the order of the statement, or of their keys where others came along.
    pub(super) fn lines<'a>(&'a self, level: &'a Level) -> Result<Came<'a>, Error> {
        let Some((own, theirs)) = self.places.split_first() else {
            return Ok((self.fetched.lines(&level.columns), Vec::new()));
        };
        let mut parts: Vec<Part<'a>> = vec![(&level.columns, own)];
        for (number, places) in self.along.iter().zip(theirs) {
            let columns = match level.children.get(*number).map(|child| &child.kind) {
                Some(ChildKind::Connection(page)) => page.level.columns.as_slice(),
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

/// What the children of `lines` hang on, in order.
fn keys_of<'a>(lines: &[Line<'a>], slot: usize) -> Result<Vec<Seen<'a>>, Error> {
    let mut keys = Vec::with_capacity(lines.len());
    for line in lines {
        keys.push(line.seen(slot)?);
    }
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| *key != Seen::Null);
    Ok(keys)
}

/// Whether values at a coordinate belong to a channel.
fn covered(coordinate: &str) -> bool {
    let (name, field) = coordinate.split_once('.').unwrap_or_default();
    register::object(name).and_then(|object| object.field(field)).is_some_and(|field| field.cover.is_some())
}

/// The rows that `sql` finds.
///
/// # Errors
/// From the database.
pub(super) async fn found<C: ConnectionTrait>(
    connection: &C,
    sql: Sql,
) -> Result<Vec<sea_orm::QueryResult>, sea_orm::DbErr> {
    connection.query_all_raw(sql.statement()).await
}
