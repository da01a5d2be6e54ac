//! Filters, orders and search as conditions on columns; each field must be fully readable (floor 2).

use async_graphql::Value;
use sea_orm::Value as Bound;

use super::{
    Cell,
    arguments::{id, instant, text, twice},
    rows::{self, Flag},
    sql::{Scope, Sql},
};
use crate::{
    error::{Code, Error},
    fold::{fold, searched},
    register::{Cover, Field, ObjectType, Read, RowRule, Scalar},
};

/// Most tests of one filter, and deepest nesting.
const MOST_TESTS: usize = 100;
const DEEPEST: usize = 8;
/// Most values of an `in`, steps of an order, words of a search.
const MOST_VALUES: usize = 1_000;
const MOST_STEPS: usize = 5;
const MOST_WORDS: usize = 8;

/// What is compared: a column, null where its channel is not covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) column: &'static str,
    /// Whether it is a status that ends by time.
    pub(super) expiring: bool,
    pub(super) cover: Option<Cover>,
    pub(super) rule: RowRule,
}

impl Term {
    fn of(object: &ObjectType, field: &Field) -> Option<Self> {
        let column = match field.read {
            Read::Column { folded: Some(folded), .. } => folded,
            Read::Column { column, .. } | Read::One { column, .. } => column,
            _ => return None,
        };
        let expiring = matches!(field.read, Read::Column { scalar: Scalar::Expiring(_), .. });
        Some(Self { column, expiring, cover: field.cover, rule: object.rows })
    }

    /// A test that a missing value does not pass. The value is tested as it stands, which an index can serve; only of what passes
    /// it is asked whether a consent covers it.
    fn tested(&self, sql: &mut Sql, scope: &Scope, test: impl Fn(&Term, &mut Sql)) {
        let Some(cover) = self.cover.filter(|_| scope.on_consent()) else { return test(self, sql) };
        sql.push("(");
        test(&Term { cover: None, ..*self }, sql);
        sql.push(" AND ");
        rows::covered(sql, scope, self.rule, cover);
        sql.push(")");
    }

    pub(super) fn push(&self, sql: &mut Sql, scope: &Scope) {
        match self.cover.filter(|_| scope.on_consent()) {
            None if self.expiring => {
                sql.push("(");
                rows::expiring(sql, scope, self.column);
                sql.push(")");
            }
            None => {
                sql.push("t.").push(self.column);
            }
            Some(cover) => {
                sql.push("CASE WHEN ");
                rows::covered(sql, scope, self.rule, cover);
                sql.push(" THEN t.").push(self.column).push(" END");
            }
        }
    }
}

/// A condition on a row.
#[derive(Debug)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Test(Term, Test),
    Flag(Flag),
}

#[derive(Debug)]
pub(super) enum Test {
    In(Vec<Cell>),
    Compare(&'static str, Bound),
    StartsWith(String),
    Contains(String),
    IsNull(bool),
}

/// Reads the filter `value` on `object`. `allowed` says whether a field may be fully read.
///
/// # Errors
/// `FORBIDDEN_FIELD` with the coordinate, `BAD_USER_INPUT`, `QUERY_TOO_COMPLEX`.
pub(super) fn filter(
    object: &ObjectType,
    value: &Value,
    allowed: &dyn Fn(&Field) -> bool,
) -> Result<Condition, Error> {
    let mut tests = 0;
    nested(object, value, allowed, 0, &mut tests)
}

fn nested(
    object: &ObjectType,
    value: &Value,
    allowed: &dyn Fn(&Field) -> bool,
    depth: usize,
    tests: &mut usize,
) -> Result<Condition, Error> {
    if depth > DEEPEST {
        return Err(Error::new(Code::QueryTooComplex, "the filter is nested too deeply"));
    }
    let Value::Object(entries) = value else { return Err(Error::input("a filter must be an object")) };
    spend(tests, 1)?;
    let mut all = Vec::new();
    for (name, value) in entries.iter().filter(|(_, value)| **value != Value::Null) {
        match name.as_str() {
            "and" | "or" => {
                let single = std::slice::from_ref(value);
                let items = if let Value::List(items) = value { items.as_slice() } else { single };
                let parts = items.iter().map(|item| nested(object, item, allowed, depth + 1, tests));
                let parts = parts.collect::<Result<Vec<_>, _>>()?;
                all.push(if name == "and" { Condition::All(parts) } else { Condition::Any(parts) });
            }
            "not" => all.push(Condition::Not(Box::new(nested(object, value, allowed, depth + 1, tests)?))),
            name => {
                let field = comparable(object, name, allowed)?;
                if let Some(other) = field.filtered_as.filter(|other| *other != name)
                    && entries.get(other).is_some_and(|value| *value != Value::Null)
                {
                    return Err(twice(other, name));
                }
                if let Some(flag) = Flag::of(&field.read) {
                    all.push(match value {
                        Value::Boolean(true) => Condition::Flag(flag),
                        Value::Boolean(false) => Condition::Not(Box::new(Condition::Flag(flag))),
                        _ => return Err(Error::input(format!("`{name}` must be true or false"))),
                    });
                    continue;
                }
                let Value::Object(operators) = value else {
                    return Err(Error::input(format!("`{name}` must be an object")));
                };
                for (operator, value) in operators {
                    spend(tests, 1)?;
                    let term = Term::of(object, field)
                        .ok_or_else(|| Error::input(format!("`{name}` cannot be filtered by")))?;
                    all.push(Condition::Test(term, test(field, name, operator, value)?));
                }
            }
        }
    }
    Ok(Condition::All(all))
}

/// Counts objects and tests of a filter.
fn spend(tests: &mut usize, more: usize) -> Result<(), Error> {
    *tests += more;
    if *tests > MOST_TESTS {
        let message = format!("the filter has more than {MOST_TESTS} objects and tests");
        return Err(Error::new(Code::QueryTooComplex, message));
    }
    Ok(())
}

fn comparable(
    object: &ObjectType,
    name: &str,
    allowed: &dyn Fn(&Field) -> bool,
) -> Result<&'static Field, Error> {
    let mut fields = object.fields.iter().filter(|field| field.comparable);
    let field = fields
        .find(|field| field.name == name || field.filtered_as == Some(name))
        .ok_or_else(|| Error::input(format!("`{name}` cannot be compared")))?;
    if allowed(field) {
        return Ok(field);
    }
    let message = "lists may be filtered and ordered only by fields that may be fully read";
    Err(Error::new(Code::ForbiddenField, message).at(format!("{}.{}", object.name, field.name)))
}

fn test(field: &Field, called: &str, operator: &str, value: &Value) -> Result<Test, Error> {
    let name = format!("{called}.{operator}");
    if *value == Value::Null {
        return Err(Error::input(format!("`{name}` is null; use isNull")));
    }
    Ok(match operator {
        "isNull" => match value {
            Value::Boolean(yes) => Test::IsNull(*yes),
            _ => return Err(Error::input(format!("`{name}` must be true or false"))),
        },
        "startsWith" => Test::StartsWith(fold(text(&name, value)?)),
        "contains" => Test::Contains(fold(text(&name, value)?)),
        "in" => {
            let single = std::slice::from_ref(value);
            let items = if let Value::List(items) = value { items.as_slice() } else { single };
            if items.len() > MOST_VALUES {
                let message = format!("`{name}` has more than {MOST_VALUES} values");
                return Err(Error::new(Code::QueryTooComplex, message));
            }
            Test::In(items.iter().map(|item| cell(field, &name, item)).collect::<Result<_, _>>()?)
        }
        "eq" => Test::Compare(" = ", bound(field, &name, value)?),
        "lt" => Test::Compare(" < ", bound(field, &name, value)?),
        "lte" => Test::Compare(" <= ", bound(field, &name, value)?),
        "gt" => Test::Compare(" > ", bound(field, &name, value)?),
        "gte" => Test::Compare(" >= ", bound(field, &name, value)?),
        _ => return Err(Error::input(format!("`{name}` is not an operator"))),
    })
}

/// The value as the column holds it: one of several.
fn cell(field: &Field, name: &str, value: &Value) -> Result<Cell, Error> {
    Ok(match field.read {
        Read::Column { scalar: Scalar::Id, .. } => Cell::Uuid(id(name, value)?),
        Read::One { object, .. } if matches!(object.key_scalar(), Scalar::Id) => Cell::Uuid(id(name, value)?),
        Read::Column { folded: Some(_), .. } => Cell::Text(fold(text(name, value)?)),
        _ => Cell::Text(text(name, value)?.to_owned()),
    })
}

/// The value as the column holds it.
fn bound(field: &Field, name: &str, value: &Value) -> Result<Bound, Error> {
    Ok(match field.read {
        Read::Column { scalar: Scalar::Id, .. } => id(name, value)?.into(),
        Read::One { object, .. } if matches!(object.key_scalar(), Scalar::Id) => id(name, value)?.into(),
        Read::Column { scalar: Scalar::DateTime, .. } => instant(name, value)?.into(),
        Read::Column { folded: Some(_), .. } => fold(text(name, value)?).into(),
        _ => text(name, value)?.into(),
    })
}

impl Condition {
    /// How many tests and values it has in all.
    pub(super) fn weight(&self) -> usize {
        match self {
            Condition::All(parts) | Condition::Any(parts) => {
                1 + parts.iter().map(Condition::weight).sum::<usize>()
            }
            Condition::Not(part) => 1 + part.weight(),
            Condition::Test(_, Test::In(values)) => 1 + values.len(),
            Condition::Test(_, Test::StartsWith(text) | Test::Contains(text)) => 1 + text.len() / 64,
            Condition::Test(..) | Condition::Flag(_) => 1,
        }
    }

    pub(super) fn push(&self, sql: &mut Sql, scope: &Scope) {
        match self {
            Condition::All(parts) => join(sql, scope, parts, " AND ", "1 = 1"),
            Condition::Any(parts) => join(sql, scope, parts, " OR ", "1 = 0"),
            // Two-valued: what is not known to hold does not hold.
            Condition::Not(part) => {
                sql.push("NOT COALESCE((");
                part.push(sql, scope);
                sql.push("), FALSE)");
            }
            Condition::Test(term, test) => test.push(term, sql, scope),
            Condition::Flag(flag) => flag.push(sql, scope),
        }
    }
}

fn join(sql: &mut Sql, scope: &Scope, parts: &[Condition], word: &str, empty: &str) {
    if parts.is_empty() {
        sql.push(empty);
        return;
    }
    for (index, part) in parts.iter().enumerate() {
        sql.push(if index == 0 { "(" } else { word });
        part.push(sql, scope);
    }
    sql.push(")");
}

impl Test {
    fn push(&self, term: &Term, sql: &mut Sql, scope: &Scope) {
        match self {
            // Of what no consent covers nothing is known but that it is missing.
            Test::IsNull(true) => self.holds(term, sql, scope),
            _ => term.tested(sql, scope, |plain, sql| self.holds(plain, sql, scope)),
        }
    }

    fn holds(&self, term: &Term, sql: &mut Sql, scope: &Scope) {
        match self {
            Test::In(values) if values.is_empty() => {
                sql.push("1 = 0");
            }
            Test::In(values) => {
                term.push(sql, scope);
                sql.within(values);
            }
            Test::Compare(operator, value) => {
                term.push(sql, scope);
                sql.push(operator).bind(value.clone());
            }
            // Bytewise: the range of all texts that begin so, which an index can serve.
            Test::StartsWith(prefix) => {
                sql.push("(");
                term.push(sql, scope);
                sql.push(" >= ").bind(prefix.as_str()).push(" AND ");
                term.push(sql, scope);
                sql.push(" < ").bind(format!("{prefix}\u{10ffff}")).push(")");
            }
            Test::Contains(part) => contains(term, part, sql, scope),
            Test::IsNull(yes) => {
                term.push(sql, scope);
                sql.push(if *yes { " IS NULL" } else { " IS NOT NULL" });
            }
        }
    }
}

fn contains(term: &Term, part: &str, sql: &mut Sql, scope: &Scope) {
    let function = if scope.backend == sea_orm::DbBackend::Postgres { "strpos(" } else { "instr(" };
    sql.push(function);
    term.push(sql, scope);
    sql.push(", ").bind(part).push(") > 0");
}

/// Words that must all occur, each in one of the fields that may be fully read.
#[derive(Debug)]
pub(super) struct Search {
    /// Each with the forms that it may stand in.
    words: Vec<Vec<String>>,
    terms: Vec<Term>,
}

impl Search {
    /// How many words and columns it has.
    pub(super) fn weight(&self) -> usize {
        self.words.iter().flatten().map(|word| 1 + word.len() / 64).sum::<usize>() + self.terms.len()
    }

    pub(super) fn of(
        object: &ObjectType,
        query: &str,
        allowed: &dyn Fn(&Field) -> bool,
    ) -> Result<Self, Error> {
        let words = searched(query);
        if words.len() > MOST_WORDS {
            return Err(Error::new(
                Code::QueryTooComplex,
                format!("a search has at most {MOST_WORDS} words"),
            ));
        }
        let fields = object.fields.iter().filter(|field| field.searched && allowed(field));
        let terms: Vec<Term> = fields.filter_map(|field| Term::of(object, field)).collect();
        if terms.is_empty() {
            return Err(Error::new(Code::ForbiddenField, "there is no field that may be searched")
                .at(format!("{}(search:)", object.name)));
        }
        Ok(Self { words, terms })
    }

    pub(super) fn push(&self, sql: &mut Sql, scope: &Scope) {
        sql.push("1 = 1");
        for forms in &self.words {
            let tests = self.terms.iter().flat_map(|term| forms.iter().map(move |form| (term, form)));
            for (index, (term, form)) in tests.enumerate() {
                sql.push(if index == 0 { " AND (" } else { " OR " });
                term.tested(sql, scope, |plain, sql| contains(plain, form, sql, scope));
            }
            sql.push(")");
        }
    }
}

/// One step of an order.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) term: Term,
    pub(super) scalar: Scalar,
    pub(super) descending: bool,
    pub(super) nullable: bool,
}

impl Step {
    /// The key, which breaks ties.
    pub(super) fn key(object: &ObjectType) -> Self {
        let term = Term { column: object.key_column(), expiring: false, cover: None, rule: object.rows };
        Self { term, scalar: object.key_scalar(), descending: false, nullable: false }
    }

    pub(super) fn push(&self, sql: &mut Sql, scope: &Scope, flipped: bool) {
        self.term.push(sql, scope);
        sql.push(match (self.descending != flipped, self.nullable) {
            (false, false) => " ASC",
            (true, false) => " DESC",
            // Missing values last when ascending, first when descending, as one index serves both.
            (false, true) => " ASC NULLS LAST",
            (true, true) => " DESC NULLS FIRST",
        });
    }

    /// Whether greater values come first, read forwards or, `flipped`, backwards.
    pub(super) fn falls(&self, flipped: bool) -> bool {
        self.descending != flipped
    }

    /// What sealed cursors of this order are bound to.
    pub(super) fn signature(&self) -> String {
        format!("{}{}", if self.descending { '-' } else { '+' }, self.term.column)
    }
}

/// Reads `orderBy`.
///
/// # Errors
/// As [`filter`].
pub(super) fn order(
    object: &ObjectType,
    value: Option<&Value>,
    allowed: &dyn Fn(&Field) -> bool,
) -> Result<Vec<Step>, Error> {
    let mut steps: Vec<Step> = Vec::new();
    let items = match value {
        None => &[][..],
        Some(Value::List(items)) => items.as_slice(),
        Some(single) => std::slice::from_ref(single),
    };
    if items.len() > MOST_STEPS {
        return Err(Error::new(Code::QueryTooComplex, format!("an order has at most {MOST_STEPS} steps")));
    }
    for item in items {
        let Value::Object(entries) = item else { return Err(Error::input("`orderBy` must be an object")) };
        let word = |name: &str| entries.get(name).map(|value| text(name, value)).transpose();
        let wanted = word("field")?.unwrap_or_default();
        let name = object
            .fields
            .iter()
            .find(|field| field.order_name() == wanted)
            .map_or(wanted, |field| field.name);
        let field = comparable(object, name, allowed)?;
        let term = Term::of(object, field).ok_or_else(|| Error::input("this field cannot be ordered by"))?;
        if steps.iter().any(|step| step.term == term) {
            return Err(Error::input(format!("`{wanted}` is ordered by twice")));
        }
        let (scalar, required) = match field.read {
            Read::Column { scalar, required, .. } => (scalar, required),
            Read::One { object, .. } => (object.key_scalar(), false),
            _ => (Scalar::Text, false),
        };
        let descending = word("direction")? == Some("DESC");
        steps.push(Step { term, scalar, descending, nullable: !required || field.cover.is_some() });
    }
    let mut key = Step::key(object);
    // In the direction of what stands before it, so that an index of both serves the order, read one way or the other.
    key.descending = steps.last().is_some_and(|step| step.descending);
    if !steps.iter().any(|step| step.term == key.term) {
        steps.push(key);
    }
    Ok(steps)
}
