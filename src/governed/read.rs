//! Runs a plan: one statement per level, children for all parents at once (floor 2).

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    pin::Pin,
};

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, DatabaseConnection};

use super::{
    cursors::Cursors,
    levels::{Child, ChildKind, ColumnOf, Level},
    linking::Links,
    plan::{Plan, PlannedRoot, PlannedWhat},
    rows,
    sql::{Scope, Sql},
    technical::{Technical, TechnicalWhat},
    write::{self, Cell, Context, Row, Written, write_row},
};
use crate::{
    context::{Actor, App, Keys},
    error::Error,
    policy::Action,
    register::{self, CONTACT, ObjectType},
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
        actor,
        keys,
        scope: Scope::of(actor, now, sea_orm::DbBackend::Sqlite),
        cursors: Cursors::new(keys)?,
        links: None,
        withheld: vec![0; plan.withheld.len()],
    };
    let mut out = String::new();
    reader.write_page(&mut out, page, &rows.iter().collect::<Vec<_>>(), false, 0, &[])?;
    Ok(out)
}

/// Runs a plan for an actor, root field by root field.
pub struct Reader<'r> {
    pub(super) db: &'r DatabaseConnection,
    actor: &'r Actor,
    keys: &'r Keys,
    pub(super) scope: Scope,
    pub(super) cursors: Cursors,
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
    pub fn new(plan: &Plan, app: &'r App, actor: &'r Actor) -> Result<Self, Error> {
        Ok(Self {
            links: Links::of(plan, app)?,
            db: &app.db.reader,
            actor,
            keys: &app.keys,
            scope: Scope::of(actor, app.now(), app.db.backend()),
            cursors: Cursors::new(&app.keys)?,
            withheld: vec![0; plan.withheld.len()],
        })
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
            PlannedWhat::One(level, key) => self.one(level, key).await?,
            PlannedWhat::List(level) => self.list(level).await?,
            PlannedWhat::Page(page) => self.page(page).await?,
            PlannedWhat::Technical(parts) => self.technical(parts).await?,
            PlannedWhat::State(state) => self.state(state).await?,
        }))
    }

    /// `SELECT columns FROM table t WHERE` the row rule.
    pub(super) fn select(&self, level: &Level, extra: &str) -> Sql {
        let mut sql = Sql::new(self.scope.backend, "SELECT ");
        for (index, column) in level.columns.iter().enumerate() {
            sql.push(if index == 0 { "" } else { ", " });
            match column.of {
                ColumnOf::Plain(name) => {
                    sql.push("t.").push(name);
                }
                ColumnOf::Cover(cover) => {
                    sql.push("CASE WHEN ");
                    rows::covered(&mut sql, &self.scope, level.object.rows, cover);
                    sql.push(" THEN 1 ELSE 0 END");
                }
                ColumnOf::Term(term) => term.push(&mut sql, &self.scope),
                ColumnOf::Flag(flag) => {
                    sql.push("CASE WHEN ");
                    flag.push(&mut sql, &self.scope);
                    sql.push(" THEN 1 ELSE 0 END");
                }
                ColumnOf::Preference(name) => {
                    sql.push("t.").push(name);
                }
                ColumnOf::Expiring(name) => rows::expiring(&mut sql, &self.scope, name),
                ColumnOf::Sealed { .. } => {
                    sql.push("t.sealed");
                }
            }
            sql.push(" AS c").push(&index.to_string());
        }
        sql.push(extra);
        self.from(&mut sql, level);
        sql
    }

    pub(super) fn from(&self, sql: &mut Sql, level: &Level) {
        sql.push(" FROM ").push(level.object.table).push(" t WHERE ");
        rows::rule(sql, &self.scope, level.object.rows);
    }

    pub(super) async fn fetch(&self, sql: Sql, level: &Level) -> Result<Vec<Row>, Error> {
        let rows = self.db.query_all_raw(sql.statement()).await?;
        let decoded: Result<Vec<Row>, _> =
            rows.iter().map(|row| write::decode(row, &level.columns)).collect();
        let mut rows = decoded?;
        self.open(&mut rows, level).await?;
        self.link(&mut rows, level)?;
        Ok(rows)
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
        let Some(key) = key.bound() else { return Ok("null".to_owned()) };
        let mut sql = self.select(level, "");
        sql.push(" AND t.").push(level.object.key_column()).push(" = ").bind(key);
        let rows = self.fetch(sql, level).await?;
        let written = self.children(level, &rows).await?;
        Ok(rows.first().map_or_else(|| "null".to_owned(), |row| self.write(level, 0, row, &written)))
    }

    async fn list(&mut self, level: &Level) -> Result<String, Error> {
        let mut sql = self.select(level, "");
        sql.push(" ORDER BY t.").push(level.object.key_column());
        let rows = self.fetch(sql, level).await?;
        let written = self.children(level, &rows).await?;
        Ok(self.write_list(level, &rows, &written))
    }

    pub(super) fn write(&mut self, level: &Level, node: usize, row: &Row, children: &[Written]) -> String {
        let mut out = String::new();
        self.write_into(&mut out, level, node, row, children);
        out
    }

    pub(super) fn write_into(
        &mut self,
        out: &mut String,
        level: &Level,
        node: usize,
        row: &Row,
        children: &[Written],
    ) {
        let mut context = Context { withheld: &mut self.withheld };
        if let Some(node) = level.nodes.get(node) {
            write_row(out, node, row, children, &mut context);
        }
    }

    pub(super) fn write_all(
        &mut self,
        out: &mut String,
        level: &Level,
        node: usize,
        rows: &[&Row],
        children: &[Written],
    ) {
        out.reserve(rows.len() * 256 + 2);
        out.push('[');
        for (index, row) in rows.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            self.write_into(out, level, node, row, children);
        }
        out.push(']');
    }

    fn write_list(&mut self, level: &Level, rows: &[Row], children: &[Written]) -> String {
        let mut out = String::new();
        self.write_all(&mut out, level, 0, &rows.iter().collect::<Vec<_>>(), children);
        out
    }

    /// Writes the children of all `rows`, one statement for each kind.
    pub(super) fn children<'a>(&'a mut self, level: &'a Level, rows: &'a [Row]) -> Boxed<'a, Vec<Written>> {
        Box::pin(async move {
            let mut all = Vec::with_capacity(level.children.len());
            for child in &level.children {
                let mut keys: Vec<Cell> = rows
                    .iter()
                    .filter_map(|row| row.get(child.parent_slot))
                    .filter(|key| **key != Cell::Null)
                    .cloned()
                    .collect();
                let mut seen = std::collections::HashSet::with_capacity(keys.len());
                keys.retain(|key| seen.insert(key.clone()));
                all.push(match &child.kind {
                    ChildKind::One(level) => self.linked(child, level, &keys, "null").await?,
                    ChildKind::Many(level) => self.linked(child, level, &keys, "[]").await?,
                    ChildKind::Connection(page) => self.pages(child, page, &keys).await?,
                });
            }
            Ok(all)
        })
    }

    /// The rows that hang on `keys`: one each, or a list each.
    async fn linked(
        &mut self,
        child: &Child,
        level: &Level,
        keys: &[Cell],
        empty: &'static str,
    ) -> Result<Written, Error> {
        let mut written = Written { empty, ..Written::default() };
        if keys.is_empty() {
            return Ok(written);
        }
        let mut sql = self.select(level, "");
        sql.push(" AND ").among(&joined(level, child), keys);
        sql.push(" ORDER BY t.").push(level.object.key_column());
        let rows = self.fetch(sql, level).await?;
        let children = self.children(level, &rows).await?;
        for (key, rows) in grouped(&rows, child.slot) {
            let start = written.text.len();
            match (&child.kind, rows.as_slice()) {
                (ChildKind::One(_), [row, ..]) => {
                    self.write_into(&mut written.text, level, 0, row, &children)
                }
                _ => self.write_all(&mut written.text, level, 0, &rows, &children),
            }
            written.parts.insert(key, start..written.text.len());
        }
        Ok(written)
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
        let mut rows = Vec::new();
        if !keys.is_empty() {
            let key = format!("t.{}", level.object.key_column());
            let mut sql = self.select(level, "");
            sql.push(" AND ").among(&key, keys).push(" ORDER BY ").push(&key);
            rows = self.fetch(sql, level).await?;
        }
        let children = self.children(level, &rows).await?;
        if list {
            return Ok(self.write_list(level, &rows, &children));
        }
        Ok(rows.first().map_or_else(|| "null".to_owned(), |row| self.write(level, 0, row, &children)))
    }
}

/// Whether values at a coordinate belong to a channel.
fn covered(coordinate: &str) -> bool {
    let (name, field) = coordinate.split_once('.').unwrap_or_default();
    register::object(name).and_then(|object| object.field(field)).is_some_and(|field| field.cover.is_some())
}

/// Whether the row of `object` with this key exists for the caller of `scope`.
///
/// # Errors
/// `INTERNAL` from the database.
pub async fn exists<C: ConnectionTrait>(
    connection: &C,
    scope: &Scope,
    object: &ObjectType,
    key: uuid::Uuid,
) -> Result<bool, Error> {
    let mut sql = Sql::new(scope.backend, "SELECT 1 FROM ");
    sql.push(object.table).push(" t WHERE t.").push(object.key_column()).push(" = ").bind(key).push(" AND ");
    rows::rule(&mut sql, scope, object.rows);
    Ok(connection.query_one_raw(sql.statement()).await?.is_some())
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

/// The column of the children's table that names the parent.
pub(super) fn joined(level: &Level, child: &Child) -> String {
    match level.columns.get(child.slot).map(|column| column.of) {
        Some(ColumnOf::Plain(name)) => format!("t.{name}"),
        _ => format!("t.{}", level.object.key_column()),
    }
}

/// Rows by the value of `slot`, in the order of their first appearance.
pub(super) fn grouped(rows: &[Row], slot: usize) -> Vec<(Cell, Vec<&Row>)> {
    let mut groups: Vec<(Cell, Vec<&Row>)> = Vec::new();
    let mut index: HashMap<&Cell, usize> = HashMap::new();
    for row in rows {
        let Some(key) = row.get(slot) else { continue };
        let at = *index.entry(key).or_insert_with(|| {
            groups.push((key.clone(), Vec::new()));
            groups.len() - 1
        });
        if let Some((_, group)) = groups.get_mut(at) {
            group.push(row);
        }
    }
    groups
}
