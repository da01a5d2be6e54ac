//! Pages: Relay connections by keyset, both ways (floor 2).

use async_graphql::Value;

use super::{
    arguments::Arguments,
    conditions::{self, Condition, Search, Step},
    document::Selected,
    levels::{ColumnOf, Level},
    plan::{Planner, json_key},
    write::Cell,
};
use crate::{
    error::Error,
    policy::Decision,
    register::{Field, ObjectType, RowRule},
};

const DEFAULT_ROWS: u64 = 50;
const MOST_ROWS: u64 = 1_000;

/// A page of a connection.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) level: Level,
    /// What its cursors are bound to beside the caller.
    place: String,
    pub(super) rows: u64,
    pub(super) backward: bool,
    /// Order values of the row behind which, and before which, the page lies.
    pub(super) after: Option<Vec<Cell>>,
    pub(super) before: Option<Vec<Cell>>,
    pub(super) filter: Option<Condition>,
    pub(super) search: Option<Search>,
    pub(super) order: Vec<Step>,
    /// Slots of the order values, for cursors.
    pub(super) order_slots: Vec<usize>,
    pub(super) outs: Vec<(String, PageWhat)>,
}

#[derive(Debug)]
pub(super) enum PageWhat {
    Null,
    Typename(String),
    Edges(Vec<(String, EdgeWhat)>),
    Nodes(usize),
    Info(Vec<(String, InfoWhat)>),
    Total,
}

#[derive(Debug)]
pub(super) enum EdgeWhat {
    Typename(String),
    Node(usize),
    Cursor,
}

#[derive(Debug)]
pub(super) enum InfoWhat {
    Typename,
    HasNext,
    HasPrevious,
    Start,
    End,
}

impl Page {
    /// Plans the connection `selected` on `object`, `parents` of them at most.
    pub(super) fn plan<'p>(
        planner: &mut Planner<'p>,
        object: &'static ObjectType,
        selected: &Selected<'p>,
        arguments: &Arguments,
        coordinate: &str,
        parents: u64,
    ) -> Result<Self, Error> {
        let (rows, backward) = size(arguments)?;
        let allowed = |field: &Field| planner.compares(object, field);
        let filter =
            arguments.get("filter").map(|value| conditions::filter(object, value, &allowed)).transpose()?;
        let search =
            arguments.text("search")?.map(|query| Search::of(object, query, &allowed)).transpose()?;
        let order = conditions::order(object, arguments.get("orderBy"), &allowed)?;
        let mut level = Level::new(object);
        let order_slots =
            order.iter().map(|step| level.column(ColumnOf::Term(step.term), step.scalar)).collect();
        let signature: Vec<String> = order.iter().map(Step::signature).collect();
        let purpose = planner.actor.purpose.as_ref().map_or("", |purpose| purpose.code.as_str());
        let place = format!("\n{purpose}\n{coordinate}\n{}", signature.join(","));
        // Opened before anything is done: a mutation must not fail on the way to its payload.
        let whole = whole(object, &planner.actor.id, &place);
        let mut open = |name: &str| {
            let cursor = arguments.cursor(name)?;
            cursor.map(|cursor| planner.open(&whole, cursor, order.len())).transpose()
        };
        let (after, before) = (open("after")?, open("before")?);
        let mut page = Self {
            level,
            place,
            rows,
            backward,
            after,
            before,
            filter,
            search,
            order,
            order_slots,
            outs: Vec::new(),
        };
        let total = parents.saturating_mul(rows);
        planner.count(total)?;
        page.select(planner, selected, total)?;
        Ok(page)
    }

    fn select<'p>(
        &mut self,
        planner: &mut Planner<'p>,
        selected: &Selected<'p>,
        rows: u64,
    ) -> Result<(), Error> {
        let plural = self.level.object.plural.unwrap_or(self.level.object.name);
        let (connection, edge) = (format!("{plural}Connection"), format!("{plural}Edge"));
        for field in planner.operation.collect(&selected.sets(), &connection)? {
            let what = match field.name {
                "nodes" => PageWhat::Nodes(planner.node(&mut self.level, &field.sets(), rows)?),
                "edges" => {
                    let mut outs = Vec::new();
                    for part in planner.operation.collect(&field.sets(), &edge)? {
                        let what = match part.name {
                            "node" => EdgeWhat::Node(planner.node(&mut self.level, &part.sets(), rows)?),
                            "cursor" => EdgeWhat::Cursor,
                            _ => EdgeWhat::Typename(edge.clone()),
                        };
                        outs.push((json_key(part.key), what));
                    }
                    PageWhat::Edges(outs)
                }
                "pageInfo" => {
                    let parts = planner.operation.collect(&field.sets(), "PageInfo")?;
                    let info = |part: &Selected<'_>| match part.name {
                        "hasNextPage" => InfoWhat::HasNext,
                        "hasPreviousPage" => InfoWhat::HasPrevious,
                        "startCursor" => InfoWhat::Start,
                        "endCursor" => InfoWhat::End,
                        _ => InfoWhat::Typename,
                    };
                    PageWhat::Info(parts.iter().map(|part| (json_key(part.key), info(part))).collect())
                }
                "totalCount" => {
                    let coordinate = format!("{connection}.totalCount");
                    if planner.decide(&coordinate) == Decision::Allow {
                        PageWhat::Total
                    } else {
                        planner.deny(&coordinate, &field);
                        PageWhat::Null
                    }
                }
                _ => PageWhat::Typename(connection.clone()),
            };
            self.outs.push((json_key(field.key), what));
        }
        Ok(())
    }

    /// How many columns, fields, levels and conditions it has in all.
    pub(super) fn weight(&self) -> usize {
        let outs = self.outs.iter().map(|(_, what)| match what {
            PageWhat::Edges(parts) => 1 + parts.len(),
            PageWhat::Info(parts) => 1 + parts.len(),
            _ => 1,
        });
        let conditions = self.filter.as_ref().map_or(0, Condition::weight);
        let search = self.search.as_ref().map_or(0, Search::weight);
        4 + self.level.weight() + outs.sum::<usize>() + conditions + search + self.order.len()
    }

    /// What its cursors are bound to for `caller`.
    pub(super) fn place_for(&self, caller: &str) -> String {
        whole(self.level.object, caller, &self.place)
    }

    /// Whether it is in the order of the keys, whatever is at the top.
    pub(super) fn is_by_key(&self) -> bool {
        let key = self.level.object.key_column();
        matches!(self.order.as_slice(), [only] if only.term.column == key && !only.falls(false))
    }

    /// The order values of the row that the page lies behind, or before, and whether it is before.
    pub(super) fn cursor(&self) -> Option<(&Vec<Cell>, bool)> {
        let after = self.after.as_ref().map(|values| (values, false));
        after.or(self.before.as_ref().map(|values| (values, true)))
    }

    /// Whether any row is asked for.
    pub(super) fn wants_rows(&self) -> bool {
        self.outs
            .iter()
            .any(|(_, what)| matches!(what, PageWhat::Edges(_) | PageWhat::Nodes(_) | PageWhat::Info(_)))
    }

    /// Whether the number of all rows is asked for.
    pub(super) fn wants_total(&self) -> bool {
        self.outs.iter().any(|(_, what)| matches!(what, PageWhat::Total))
    }
}

/// Who follows changes goes on where it was with its next token; whose rows come after is decided by the row rule alone.
fn whole(object: &ObjectType, caller: &str, place: &str) -> String {
    let caller = if object.rows == RowRule::Change { "" } else { caller };
    format!("{caller}{place}")
}

/// `first` or `last`, 50 by default, at most 1,000.
fn size(arguments: &Arguments) -> Result<(u64, bool), Error> {
    let (first, last) = (arguments.int("first")?, arguments.int("last")?);
    let given: [Option<&Value>; 2] = [arguments.get("after"), arguments.get("before")];
    let (name, rows, backward) = match (first, last) {
        (Some(_), Some(_)) => return Err(Error::input("give `first` or `last`, not both")),
        (None, Some(last)) => ("last", last, true),
        (Some(first), None) => ("first", first, false),
        (None, None) => ("first", i64::try_from(DEFAULT_ROWS).unwrap_or_default(), false),
    };
    if let [Some(_), Some(_)] = given {
        return Err(Error::input("give `after` or `before`, not both"));
    }
    match u64::try_from(rows) {
        Ok(rows) if (1..=MOST_ROWS).contains(&rows) => Ok((rows, backward)),
        _ => Err(Error::input(format!("`{name}` must be 1 to {MOST_ROWS}"))),
    }
}
