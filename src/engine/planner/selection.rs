//! Plans a selection: the fields of an object, and the pages and rows below it. Room: engine/planner.

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
                OutputValue, Page, PageInfoField, Relation, cursor_scope,
            },
        },
    },
    policy::{Decision, Grounds},
    registry::{Field, FieldSource, ObjectType, RowRule, Scalar},
};

impl<'p> Planner<'p> {
    /// Plans the output of one field of the rows of `fetch`.
    pub(in crate::engine) fn plan_field(
        &mut self,
        fetch: &mut Fetch,
        field: &'static Field,
        coordinate: &str,
        selected: &CollectedField<'p>,
        decision: Decision,
        rows: u64,
    ) -> Result<OutputValue, Error> {
        let masked = decision == Decision::Mask;
        if masked && !self.plan.masked.iter().any(|existing| existing == coordinate) {
            self.plan.masked.push(coordinate.to_owned());
        }
        if let Some(object) = field.source.target() {
            if masked || !self.is_readable(object) {
                self.deny(coordinate, selected);
                return Ok(OutputValue::Null);
            }
            self.plan.allowed += 1;
            return self.plan_child(fetch, field, object, coordinate, selected, rows);
        }
        self.plan.allowed += u64::from(!masked);
        let mask = masked.then_some(field.mask);
        Ok(match field.source {
            FieldSource::Column { column, scalar, .. } => {
                let of = match scalar {
                    Scalar::Expiring(_) => ColumnExpr::Expiring(column),
                    Scalar::Sealed { after } => ColumnExpr::Sealed { after },
                    _ => ColumnExpr::Plain(column),
                };
                if let ColumnExpr::Sealed { .. } = of {
                    fetch.column(ColumnExpr::Plain("subject_id"), Scalar::Id);
                }
                OutputValue::Value {
                    slot: fetch.column(of, scalar),
                    scalar,
                    mask,
                    coverage: self.coverage(fetch, field, coordinate),
                }
            }
            FieldSource::Localised { de, en } => {
                let arguments =
                    selected.nodes.first().map(|node| Arguments::new(&self.operation.variables, node));
                let language =
                    arguments.as_ref().map(|arguments| arguments.text("language")).transpose()?.flatten();
                let column = match language.unwrap_or("en") {
                    "de" => de,
                    "en" => en,
                    _ => {
                        return Err(
                            Error::bad_input("`language` must be de or en").with_coordinate(coordinate)
                        );
                    }
                };
                let slot = fetch.column(ColumnExpr::Plain(column), Scalar::Text);
                OutputValue::Value { slot, scalar: Scalar::Text, mask, coverage: None }
            }
            FieldSource::Preference { column } => {
                self.plan.needs_installation_keys = true;
                let slot = fetch.column(ColumnExpr::Preference(column), Scalar::Text);
                OutputValue::Value {
                    slot,
                    scalar: Scalar::Text,
                    mask,
                    coverage: self.coverage(fetch, field, coordinate),
                }
            }
            read => Flag::from_source(&read).map_or(OutputValue::Null, |flag| OutputValue::Flag {
                slot: fetch.column(ColumnExpr::Flag(flag), Scalar::Int),
                mask,
            }),
        })
    }

    /// For a purpose that rests on consent: the slot that says whether the row is covered, and the index of the
    /// counter of withheld values.
    fn coverage(&mut self, fetch: &mut Fetch, field: &Field, coordinate: &str) -> Option<(usize, usize)> {
        let on_consent = self.actor.purpose.as_ref().is_some_and(|p| p.grounds == Grounds::Consent);
        let required_channel = field.required_channel.filter(|_| on_consent)?;
        let slot = fetch.column(ColumnExpr::RequiredChannel(required_channel), Scalar::Int);
        let existing = self.plan.withheld.iter().position(|existing| existing == coordinate);
        let withheld = existing.unwrap_or_else(|| {
            self.plan.withheld.push(coordinate.to_owned());
            self.plan.withheld.len() - 1
        });
        Some((slot, withheld))
    }

    fn plan_child(
        &mut self,
        fetch: &mut Fetch,
        field: &Field,
        object: &'static ObjectType,
        coordinate: &str,
        selected: &CollectedField<'p>,
        rows: u64,
    ) -> Result<OutputValue, Error> {
        let (parent_slot, slot, relation) = match field.source {
            FieldSource::One { column, .. } => {
                let parent = fetch.column(ColumnExpr::Plain(column), object.key_scalar());
                let inner = self.plan_fetch(object, &selected.selection_sets(), rows)?;
                // A foreign key guarantees that the row exists.
                let sure = inner.is_key_only() && object.rows == RowRule::Everyone;
                (parent, 0, if sure { Relation::Key(inner) } else { Relation::One(inner) })
            }
            FieldSource::Connection { column, .. } => {
                let Some(first) = selected.nodes.first() else { return Ok(OutputValue::Null) };
                let arguments = Arguments::new(&self.operation.variables, first);
                if rows > 1 && arguments.get("after").is_some() {
                    let message = "`after` needs a single parent: ask for one, by its id";
                    return Err(Error::bad_input(message).with_coordinate(coordinate));
                }
                let mut page = Page::plan(self, object, selected, &arguments, coordinate, rows)?;
                let slot = page.fetch.column(ColumnExpr::Plain(column), fetch.object.key_scalar());
                (0, slot, Relation::Connection(Box::new(page)))
            }
            FieldSource::Many { column, .. } => {
                let mut inner =
                    self.plan_fetch(object, &selected.selection_sets(), rows.saturating_mul(10))?;
                let slot = inner.column(ColumnExpr::Plain(column), fetch.object.key_scalar());
                (0, slot, Relation::Many(inner))
            }
            _ => return Ok(OutputValue::Null),
        };
        fetch.children.push(ChildFetch { parent_slot, slot, relation });
        Ok(OutputValue::Child { child: fetch.children.len() - 1, slot: parent_slot })
    }

    /// Plans a fetch of at most `rows` rows with the object that `sets` select.
    pub(in crate::engine) fn plan_fetch(
        &mut self,
        object: &'static ObjectType,
        sets: &[&'p SelectionSet],
        rows: u64,
    ) -> Result<Fetch, Error> {
        self.count_rows(rows)?;
        let mut fetch = Fetch::new(object);
        self.plan_output(&mut fetch, sets, rows)?;
        Ok(fetch)
    }

    /// Plans one more object written from the rows of `fetch`, and returns its index.
    pub(in crate::engine) fn plan_output(
        &mut self,
        fetch: &mut Fetch,
        sets: &[&'p SelectionSet],
        rows: u64,
    ) -> Result<usize, Error> {
        self.plan.reads_personal_data |= fetch.object.rows != RowRule::Everyone;
        let mut output = OutputObject::default();
        for selected in self.operation.collect_fields(sets, fetch.object.name)? {
            let value = if selected.name == "__typename" {
                OutputValue::Typename(fetch.object.name)
            } else {
                let field = fetch
                    .object
                    .field(selected.name)
                    .ok_or_else(|| Error::bad_input("the document asks for an unknown field"))?;
                let coordinate = format!("{}.{}", fetch.object.name, field.name);
                match self.decide(&coordinate) {
                    Decision::Deny => {
                        self.deny(&coordinate, &selected);
                        OutputValue::Null
                    }
                    decision => self.plan_field(fetch, field, &coordinate, &selected, decision, rows)?,
                }
            };
            output.fields.push(OutputField { key: json_key(selected.key), value });
        }
        self.plan.values = self.plan.values.saturating_add(rows.saturating_mul(output.fields.len() as u64));
        if self.plan.values > self.limits.values {
            let message = format!("the document asks for more than {} values", self.limits.values);
            return Err(Error::new(Code::QueryTooComplex, message));
        }
        fetch.outputs.push(output);
        Ok(fetch.outputs.len() - 1)
    }
}

const DEFAULT_PAGE_ROWS: u64 = 50;
const MAX_PAGE_ROWS: u64 = 1_000;

impl Page {
    /// Plans the connection `selected` on `object`, for at most `parents` parents.
    pub(in crate::engine) fn plan<'p>(
        planner: &mut Planner<'p>,
        object: &'static ObjectType,
        selected: &CollectedField<'p>,
        arguments: &Arguments,
        coordinate: &str,
        parents: u64,
    ) -> Result<Self, Error> {
        let (rows, backward) = page_size(arguments)?;
        let allowed = |field: &Field| planner.can_compare(object, field);
        let filter =
            arguments.get("filter").map(|value| filter::parse_filter(object, value, &allowed)).transpose()?;
        let search =
            arguments.text("search")?.map(|query| Search::parse(object, query, &allowed)).transpose()?;
        let order = filter::parse_order(object, arguments.get("orderBy"), &allowed)?;
        let mut fetch = Fetch::new(object);
        let order_slots = order
            .iter()
            .map(|sort_key| fetch.column(ColumnExpr::Operand(sort_key.operand), sort_key.scalar))
            .collect();
        let signatures: Vec<String> = order.iter().map(SortKey::cursor_signature).collect();
        let purpose = planner.actor.purpose.as_ref().map_or("", |purpose| purpose.code.as_str());
        let scope = format!("\n{purpose}\n{coordinate}\n{}", signatures.join(","));
        // Cursors are opened before anything is written: a mutation must not fail while its payload is read.
        let caller_scope = cursor_scope(object, &planner.actor.id, &scope);
        let mut open = |name: &str| {
            let cursor = arguments.cursor(name)?;
            cursor.map(|cursor| planner.open_cursor(&caller_scope, cursor, order.len())).transpose()
        };
        let (after, before) = (open("after")?, open("before")?);
        let mut page = Self {
            fetch,
            scope,
            rows,
            backward,
            after,
            before,
            filter,
            search,
            order,
            order_slots,
            fields: Vec::new(),
        };
        let total = parents.saturating_mul(rows);
        planner.count_rows(total)?;
        page.plan_connection_fields(planner, selected, total)?;
        Ok(page)
    }

    fn plan_connection_fields<'p>(
        &mut self,
        planner: &mut Planner<'p>,
        selected: &CollectedField<'p>,
        rows: u64,
    ) -> Result<(), Error> {
        let plural = self.fetch.object.plural.unwrap_or(self.fetch.object.name);
        let (connection, edge) = (format!("{plural}Connection"), format!("{plural}Edge"));
        for field in planner.operation.collect_fields(&selected.selection_sets(), &connection)? {
            let value = match field.name {
                "nodes" => ConnectionField::Nodes(planner.plan_output(
                    &mut self.fetch,
                    &field.selection_sets(),
                    rows,
                )?),
                "edges" => {
                    let mut outs = Vec::new();
                    for part in planner.operation.collect_fields(&field.selection_sets(), &edge)? {
                        let value = match part.name {
                            "node" => EdgeField::Node(planner.plan_output(
                                &mut self.fetch,
                                &part.selection_sets(),
                                rows,
                            )?),
                            "cursor" => EdgeField::Cursor,
                            _ => EdgeField::Typename(edge.clone()),
                        };
                        outs.push((json_key(part.key), value));
                    }
                    ConnectionField::Edges(outs)
                }
                "pageInfo" => {
                    let parts = planner.operation.collect_fields(&field.selection_sets(), "PageInfo")?;
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
            self.fields.push((json_key(field.key), value));
        }
        Ok(())
    }
}

/// `first` or `last`, 50 by default, at most 1,000.
fn page_size(arguments: &Arguments) -> Result<(u64, bool), Error> {
    let (first, last) = (arguments.int("first")?, arguments.int("last")?);
    let cursors: [Option<&Value>; 2] = [arguments.get("after"), arguments.get("before")];
    let (name, rows, backward) = match (first, last) {
        (Some(_), Some(_)) => return Err(Error::bad_input("give `first` or `last`, not both")),
        (None, Some(last)) => ("last", last, true),
        (Some(first), None) => ("first", first, false),
        (None, None) => ("first", i64::try_from(DEFAULT_PAGE_ROWS).unwrap_or_default(), false),
    };
    if let [Some(_), Some(_)] = cursors {
        return Err(Error::bad_input("give `after` or `before`, not both"));
    }
    match u64::try_from(rows) {
        Ok(rows) if (1..=MAX_PAGE_ROWS).contains(&rows) => Ok((rows, backward)),
        _ => Err(Error::bad_input(format!("`{name}` must be 1 to {MAX_PAGE_ROWS}"))),
    }
}
