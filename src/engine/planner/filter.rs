//! Plans filters, orders and searches. Every field in them must be readable in full. Room: engine/planner.

use async_graphql::Value;

use crate::{
    base::{
        error::{Code, Error},
        fold::{fold, search_words},
    },
    engine::{
        cell::Cell,
        document::arguments::{given_twice, id, instant, text},
        plan::condition::{Comparison, Filter, Flag, Operand, Operator, Search, SortKey},
    },
    registry::{Field, FieldSource, ObjectType, Scalar},
};

/// Maximum number of comparisons in a filter, and its maximum nesting.
const MAX_COMPARISONS: usize = 100;
const MAX_DEPTH: usize = 8;

/// Maximum number of values of an `in`, of keys of an order, of words of a search.
const MAX_IN_VALUES: usize = 1_000;
const MAX_SORT_KEYS: usize = 5;
const MAX_SEARCH_WORDS: usize = 8;

/// Parses the filter `value` on `object`. `allowed` says whether a field may be read in full.
///
/// # Errors
/// `FORBIDDEN_FIELD` with the coordinate, `BAD_USER_INPUT`, `QUERY_TOO_COMPLEX`.
pub(in crate::engine) fn parse_filter(
    object: &ObjectType,
    value: &Value,
    allowed: &dyn Fn(&Field) -> bool,
) -> Result<Filter, Error> {
    let mut tests = 0;
    parse_nested(object, value, allowed, 0, &mut tests)
}

fn parse_nested(
    object: &ObjectType,
    value: &Value,
    allowed: &dyn Fn(&Field) -> bool,
    depth: usize,
    tests: &mut usize,
) -> Result<Filter, Error> {
    if depth > MAX_DEPTH {
        return Err(Error::new(Code::QueryTooComplex, "the filter is nested too deeply"));
    }
    let Value::Object(entries) = value else { return Err(Error::bad_input("a filter must be an object")) };
    count_tests(tests, 1)?;
    let mut all = Vec::new();
    for (name, value) in entries.iter().filter(|(_, value)| **value != Value::Null) {
        match name.as_str() {
            "and" | "or" => {
                let single = std::slice::from_ref(value);
                let items = if let Value::List(items) = value { items.as_slice() } else { single };
                let parts = items.iter().map(|item| parse_nested(object, item, allowed, depth + 1, tests));
                let parts = parts.collect::<Result<Vec<_>, _>>()?;
                all.push(if name == "and" { Filter::All(parts) } else { Filter::Any(parts) });
            }
            "not" => all.push(Filter::Not(Box::new(parse_nested(object, value, allowed, depth + 1, tests)?))),
            name => {
                let field = filterable_field(object, name, allowed)?;
                if let Some(alias) = field.filter_name.filter(|alias| *alias != name)
                    && entries.get(alias).is_some_and(|value| *value != Value::Null)
                {
                    return Err(given_twice(alias, name));
                }
                if let Some(flag) = Flag::from_source(&field.source) {
                    all.push(match value {
                        Value::Boolean(true) => Filter::Flag(flag),
                        Value::Boolean(false) => Filter::Not(Box::new(Filter::Flag(flag))),
                        _ => return Err(Error::bad_input(format!("`{name}` must be true or false"))),
                    });
                    continue;
                }
                let Value::Object(operators) = value else {
                    return Err(Error::bad_input(format!("`{name}` must be an object")));
                };
                for (operator, value) in operators {
                    count_tests(tests, 1)?;
                    let operand = Operand::from_field(object, field)
                        .ok_or_else(|| Error::bad_input(format!("`{name}` cannot be filtered by")))?;
                    all.push(Filter::Comparison(operand, parse_comparison(field, name, operator, value)?));
                }
            }
        }
    }
    Ok(Filter::All(all))
}

/// Counts objects and comparisons of a filter.
fn count_tests(tests: &mut usize, more: usize) -> Result<(), Error> {
    *tests += more;
    if *tests > MAX_COMPARISONS {
        let message = format!("the filter has more than {MAX_COMPARISONS} objects and tests");
        return Err(Error::new(Code::QueryTooComplex, message));
    }
    Ok(())
}

fn filterable_field(
    object: &ObjectType,
    name: &str,
    allowed: &dyn Fn(&Field) -> bool,
) -> Result<&'static Field, Error> {
    let mut fields = object.fields.iter().filter(|field| field.filterable);
    let field = fields
        .find(|field| field.name == name || field.filter_name == Some(name))
        .ok_or_else(|| Error::bad_input(format!("`{name}` cannot be compared")))?;
    if allowed(field) {
        return Ok(field);
    }
    let message = "lists may be filtered and ordered only by fields that may be fully read";
    Err(Error::new(Code::ForbiddenField, message).with_coordinate(format!("{}.{}", object.name, field.name)))
}

fn parse_comparison(
    field: &Field,
    field_name: &str,
    operator: &str,
    value: &Value,
) -> Result<Comparison, Error> {
    let name = format!("{field_name}.{operator}");
    if *value == Value::Null {
        return Err(Error::bad_input(format!("`{name}` is null; use isNull")));
    }
    Ok(match operator {
        "isNull" => match value {
            Value::Boolean(yes) => Comparison::IsNull(*yes),
            _ => return Err(Error::bad_input(format!("`{name}` must be true or false"))),
        },
        "startsWith" => Comparison::StartsWith(fold(text(&name, value)?)),
        "contains" => Comparison::Contains(fold(text(&name, value)?)),
        "in" => {
            let single = std::slice::from_ref(value);
            let items = if let Value::List(items) = value { items.as_slice() } else { single };
            if items.len() > MAX_IN_VALUES {
                let message = format!("`{name}` has more than {MAX_IN_VALUES} values");
                return Err(Error::new(Code::QueryTooComplex, message));
            }
            Comparison::In(items.iter().map(|item| parse_cell(field, &name, item)).collect::<Result<_, _>>()?)
        }
        "eq" => Comparison::Compare(Operator::Equal, parse_cell(field, &name, value)?),
        "lt" => Comparison::Compare(Operator::Less, parse_cell(field, &name, value)?),
        "lte" => Comparison::Compare(Operator::LessOrEqual, parse_cell(field, &name, value)?),
        "gt" => Comparison::Compare(Operator::Greater, parse_cell(field, &name, value)?),
        "gte" => Comparison::Compare(Operator::GreaterOrEqual, parse_cell(field, &name, value)?),
        _ => return Err(Error::bad_input(format!("`{name}` is not an operator"))),
    })
}

/// The value in the form that the column stores.
fn parse_cell(field: &Field, name: &str, value: &Value) -> Result<Cell, Error> {
    Ok(match field.source {
        FieldSource::Column { scalar: Scalar::Id, .. } => Cell::Uuid(id(name, value)?),
        FieldSource::One { object, .. } if matches!(object.key_scalar(), Scalar::Id) => {
            Cell::Uuid(id(name, value)?)
        }
        FieldSource::Column { scalar: Scalar::DateTime, .. } => Cell::Time(instant(name, value)?),
        FieldSource::Column { folded: Some(_), .. } => Cell::Text(fold(text(name, value)?)),
        _ => Cell::Text(text(name, value)?.to_owned()),
    })
}

impl Search {
    pub(in crate::engine) fn parse(
        object: &ObjectType,
        query: &str,
        allowed: &dyn Fn(&Field) -> bool,
    ) -> Result<Self, Error> {
        let words = search_words(query);
        if words.len() > MAX_SEARCH_WORDS {
            return Err(Error::new(
                Code::QueryTooComplex,
                format!("a search has at most {MAX_SEARCH_WORDS} words"),
            ));
        }
        let fields = object.fields.iter().filter(|field| field.searchable && allowed(field));
        let operands: Vec<Operand> = fields.filter_map(|field| Operand::from_field(object, field)).collect();
        if operands.is_empty() {
            return Err(Error::new(Code::ForbiddenField, "no field of this type may be searched")
                .with_coordinate(format!("{}(search:)", object.name)));
        }
        Ok(Self { words, operands })
    }
}

/// Parses `orderBy`.
///
/// # Errors
/// As [`parse_filter`].
pub(in crate::engine) fn parse_order(
    object: &ObjectType,
    value: Option<&Value>,
    allowed: &dyn Fn(&Field) -> bool,
) -> Result<Vec<SortKey>, Error> {
    let mut sort_keys: Vec<SortKey> = Vec::new();
    let items = match value {
        None => &[][..],
        Some(Value::List(items)) => items.as_slice(),
        Some(single) => std::slice::from_ref(single),
    };
    if items.len() > MAX_SORT_KEYS {
        return Err(Error::new(Code::QueryTooComplex, format!("an order has at most {MAX_SORT_KEYS} steps")));
    }
    for item in items {
        let Value::Object(entries) = item else {
            return Err(Error::bad_input("`orderBy` must be an object"));
        };
        let word = |name: &str| entries.get(name).map(|value| text(name, value)).transpose();
        let requested = word("field")?.unwrap_or_default();
        let name = object
            .fields
            .iter()
            .find(|field| field.enum_name() == requested)
            .map_or(requested, |field| field.name);
        let field = filterable_field(object, name, allowed)?;
        let operand = Operand::from_field(object, field)
            .ok_or_else(|| Error::bad_input("this field cannot be ordered by"))?;
        if sort_keys.iter().any(|sort_key| sort_key.operand == operand) {
            return Err(Error::bad_input(format!("`{requested}` is ordered by twice")));
        }
        let (scalar, required) = match field.source {
            FieldSource::Column { scalar, required, .. } => (scalar, required),
            FieldSource::One { object, .. } => (object.key_scalar(), false),
            _ => (Scalar::Text, false),
        };
        let descending = word("direction")? == Some("DESC");
        sort_keys.push(SortKey {
            operand,
            scalar,
            descending,
            nullable: !required || field.required_channel.is_some(),
        });
    }
    let mut key = SortKey::by_key(object);
    // In the direction of the preceding sort key, so that one index serves the order in both directions.
    key.descending = sort_keys.last().is_some_and(|sort_key| sort_key.descending);
    if !sort_keys.iter().any(|sort_key| sort_key.operand == key.operand) {
        sort_keys.push(key);
    }
    Ok(sort_keys)
}
