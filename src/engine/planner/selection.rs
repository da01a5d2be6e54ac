//! Plans a selection: the fields of an object, the pages and rows that hang on it. Room: engine/planner.

use async_graphql::{Value, parser::types::SelectionSet};

use super::{context::Planner, filter};
use crate::{
    base::error::{Code, Error},
    engine::{
        document::{arguments::Arguments, operation::CollectedField},
        json::json_key,
        plan::{
            condition::{Flag, Search, SortKey},
            selection::{
                ChildFetch, ColumnExpr, ConnectionField, EdgeField, Fetch, OutputField, OutputObject,
                OutputValue, Page, PageInfoField, Relation, whole,
            },
        },
    },
    policy::{Decision, Grounds},
    registry::{Field, ObjectType, Read, RowRule, Scalar},
};

impl<'p> Planner<'p> {
    /// What a field of the rows of `level` becomes.
    pub(in crate::engine) fn field(
        &mut self,
        level: &mut Fetch,
        field: &'static Field,
        coordinate: &str,
        selected: &CollectedField<'p>,
        decision: Decision,
        rows: u64,
    ) -> Result<OutputValue, Error> {
        let masked = decision == Decision::Mask;
        if masked && !self.plan.masked.iter().any(|known| known == coordinate) {
            self.plan.masked.push(coordinate.to_owned());
        }
        if let Some(object) = field.read.leads_to() {
            if masked || !self.readable(object) {
                self.deny(coordinate, selected);
                return Ok(OutputValue::Null);
            }
            self.plan.allowed += 1;
            return self.child(level, field, object, coordinate, selected, rows);
        }
        self.plan.allowed += u64::from(!masked);
        let mask = masked.then_some(field.mask);
        Ok(match field.read {
            Read::Column { column, scalar, .. } => {
                let of = match scalar {
                    Scalar::Expiring(_) => ColumnExpr::Expiring(column),
                    Scalar::Sealed { after } => ColumnExpr::Sealed { after },
                    _ => ColumnExpr::Plain(column),
                };
                if let ColumnExpr::Sealed { .. } = of {
                    level.column(ColumnExpr::Plain("subject_id"), Scalar::Id);
                }
                OutputValue::Value {
                    slot: level.column(of, scalar),
                    scalar,
                    mask,
                    cover: self.cover(level, field, coordinate),
                }
            }
            Read::Localised { de, en } => {
                let arguments =
                    selected.nodes.first().map(|node| Arguments::of(&self.operation.variables, node));
                let language = arguments.as_ref().map(|given| given.text("language")).transpose()?.flatten();
                let column = match language.unwrap_or("en") {
                    "de" => de,
                    "en" => en,
                    _ => return Err(Error::input("`language` must be de or en").at(coordinate)),
                };
                let slot = level.column(ColumnExpr::Plain(column), Scalar::Text);
                OutputValue::Value { slot, scalar: Scalar::Text, mask, cover: None }
            }
            Read::Preference { column } => {
                self.plan.makes_links = true;
                let slot = level.column(ColumnExpr::Preference(column), Scalar::Text);
                OutputValue::Value {
                    slot,
                    scalar: Scalar::Text,
                    mask,
                    cover: self.cover(level, field, coordinate),
                }
            }
            read => Flag::of(&read).map_or(OutputValue::Null, |flag| OutputValue::Flag {
                slot: level.column(ColumnExpr::Flag(flag), Scalar::Int),
                mask,
            }),
        })
    }

    /// Under a purpose on consent, the slot that says whether the row is covered, and where it is counted if not.
    fn cover(&mut self, level: &mut Fetch, field: &Field, coordinate: &str) -> Option<(usize, usize)> {
        let on_consent = self.actor.purpose.as_ref().is_some_and(|p| p.grounds == Grounds::Consent);
        let cover = field.cover.filter(|_| on_consent)?;
        let slot = level.column(ColumnExpr::Cover(cover), Scalar::Int);
        let known = self.plan.withheld.iter().position(|known| known == coordinate);
        let withheld = known.unwrap_or_else(|| {
            self.plan.withheld.push(coordinate.to_owned());
            self.plan.withheld.len() - 1
        });
        Some((slot, withheld))
    }

    fn child(
        &mut self,
        level: &mut Fetch,
        field: &Field,
        object: &'static ObjectType,
        coordinate: &str,
        selected: &CollectedField<'p>,
        rows: u64,
    ) -> Result<OutputValue, Error> {
        let (parent_slot, slot, kind) = match field.read {
            Read::One { column, .. } => {
                let parent = level.column(ColumnExpr::Plain(column), object.key_scalar());
                let inner = self.level(object, &selected.sets(), rows)?;
                // The database holds every reference to be one to a row that is there.
                let sure = inner.is_key_alone() && object.rows == RowRule::Everyone;
                (parent, 0, if sure { Relation::Key(inner) } else { Relation::One(inner) })
            }
            Read::Connection { column, .. } => {
                let Some(first) = selected.nodes.first() else { return Ok(OutputValue::Null) };
                let arguments = Arguments::of(&self.operation.variables, first);
                if rows > 1 && arguments.get("after").is_some() {
                    let message = "`after` needs a single parent: ask for one, by its id";
                    return Err(Error::input(message).at(coordinate));
                }
                let mut page = Page::plan(self, object, selected, &arguments, coordinate, rows)?;
                let slot = page.level.column(ColumnExpr::Plain(column), level.object.key_scalar());
                (0, slot, Relation::Connection(Box::new(page)))
            }
            Read::Many { column, .. } => {
                let mut inner = self.level(object, &selected.sets(), rows.saturating_mul(10))?;
                let slot = inner.column(ColumnExpr::Plain(column), level.object.key_scalar());
                (0, slot, Relation::Many(inner))
            }
            _ => return Ok(OutputValue::Null),
        };
        level.children.push(ChildFetch { parent_slot, slot, kind });
        Ok(OutputValue::Child { child: level.children.len() - 1, slot: parent_slot })
    }

    /// Plans the objects that `sets` ask for, of at most `rows` rows.
    pub(in crate::engine) fn level(
        &mut self,
        object: &'static ObjectType,
        sets: &[&'p SelectionSet],
        rows: u64,
    ) -> Result<Fetch, Error> {
        self.count(rows)?;
        let mut level = Fetch::new(object);
        self.node(&mut level, sets, rows)?;
        Ok(level)
    }

    /// Plans one more object written from the rows of `level`, and gives its number.
    pub(in crate::engine) fn node(
        &mut self,
        level: &mut Fetch,
        sets: &[&'p SelectionSet],
        rows: u64,
    ) -> Result<usize, Error> {
        self.plan.of_persons |= level.object.rows != RowRule::Everyone;
        let mut node = OutputObject::default();
        for selected in self.operation.collect(sets, level.object.name)? {
            let what = if selected.name == "__typename" {
                OutputValue::Typename(level.object.name)
            } else {
                let field = level
                    .object
                    .field(selected.name)
                    .ok_or_else(|| Error::input("the document asks for an unknown field"))?;
                let coordinate = format!("{}.{}", level.object.name, field.name);
                match self.decide(&coordinate) {
                    Decision::Deny => {
                        self.deny(&coordinate, &selected);
                        OutputValue::Null
                    }
                    decision => self.field(level, field, &coordinate, &selected, decision, rows)?,
                }
            };
            node.outs.push(OutputField { key: json_key(selected.key), what });
        }
        self.plan.values = self.plan.values.saturating_add(rows.saturating_mul(node.outs.len() as u64));
        if self.plan.values > self.limits.values {
            let message = format!("the document asks for more than {} values", self.limits.values);
            return Err(Error::new(Code::QueryTooComplex, message));
        }
        level.nodes.push(node);
        Ok(level.nodes.len() - 1)
    }
}

const DEFAULT_ROWS: u64 = 50;
const MOST_ROWS: u64 = 1_000;

impl Page {
    /// Plans the connection `selected` on `object`, `parents` of them at most.
    pub(in crate::engine) fn plan<'p>(
        planner: &mut Planner<'p>,
        object: &'static ObjectType,
        selected: &CollectedField<'p>,
        arguments: &Arguments,
        coordinate: &str,
        parents: u64,
    ) -> Result<Self, Error> {
        let (rows, backward) = size(arguments)?;
        let allowed = |field: &Field| planner.compares(object, field);
        let filter =
            arguments.get("filter").map(|value| filter::filter(object, value, &allowed)).transpose()?;
        let search =
            arguments.text("search")?.map(|query| Search::of(object, query, &allowed)).transpose()?;
        let order = filter::order(object, arguments.get("orderBy"), &allowed)?;
        let mut level = Fetch::new(object);
        let order_slots =
            order.iter().map(|step| level.column(ColumnExpr::Operand(step.term), step.scalar)).collect();
        let signature: Vec<String> = order.iter().map(SortKey::signature).collect();
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
        selected: &CollectedField<'p>,
        rows: u64,
    ) -> Result<(), Error> {
        let plural = self.level.object.plural.unwrap_or(self.level.object.name);
        let (connection, edge) = (format!("{plural}Connection"), format!("{plural}Edge"));
        for field in planner.operation.collect(&selected.sets(), &connection)? {
            let what = match field.name {
                "nodes" => ConnectionField::Nodes(planner.node(&mut self.level, &field.sets(), rows)?),
                "edges" => {
                    let mut outs = Vec::new();
                    for part in planner.operation.collect(&field.sets(), &edge)? {
                        let what = match part.name {
                            "node" => EdgeField::Node(planner.node(&mut self.level, &part.sets(), rows)?),
                            "cursor" => EdgeField::Cursor,
                            _ => EdgeField::Typename(edge.clone()),
                        };
                        outs.push((json_key(part.key), what));
                    }
                    ConnectionField::Edges(outs)
                }
                "pageInfo" => {
                    let parts = planner.operation.collect(&field.sets(), "PageInfo")?;
                    let info = |part: &CollectedField<'_>| match part.name {
                        "hasNextPage" => PageInfoField::HasNext,
                        "hasPreviousPage" => PageInfoField::HasPrevious,
                        "startCursor" => PageInfoField::Start,
                        "endCursor" => PageInfoField::End,
                        _ => PageInfoField::Typename,
                    };
                    ConnectionField::Info(parts.iter().map(|part| (json_key(part.key), info(part))).collect())
                }
                "totalCount" => {
                    let coordinate = format!("{connection}.totalCount");
                    if planner.decide(&coordinate) == Decision::Allow {
                        ConnectionField::Total
                    } else {
                        planner.deny(&coordinate, &field);
                        ConnectionField::Null
                    }
                }
                _ => ConnectionField::Typename(connection.clone()),
            };
            self.outs.push((json_key(field.key), what));
        }
        Ok(())
    }
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
