//! Conditions on rows, orders and searches, as data. Room: engine/plan.

use crate::{
    engine::cell::Cell,
    registry::{Cover, Field, ObjectType, Read, RowRule, Scalar},
};

/// What is compared: a column, null where its channel is not covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Term {
    pub(in crate::engine) column: &'static str,
    /// Whether it is a status that ends by time.
    pub(in crate::engine) expiring: bool,
    pub(in crate::engine) cover: Option<Cover>,
    pub(in crate::engine) rule: RowRule,
}

impl Term {
    pub(in crate::engine) fn of(object: &ObjectType, field: &Field) -> Option<Self> {
        let column = match field.read {
            Read::Column { folded: Some(folded), .. } => folded,
            Read::Column { column, .. } | Read::One { column, .. } => column,
            _ => return None,
        };
        let expiring = matches!(field.read, Read::Column { scalar: Scalar::Expiring(_), .. });
        Some(Self { column, expiring, cover: field.cover, rule: object.rows })
    }
}

/// A condition on a row.
#[derive(Debug)]
pub(in crate::engine) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Test(Term, Test),
    Flag(Flag),
}

/// How a value is compared with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Operator {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug)]
pub(in crate::engine) enum Test {
    In(Vec<Cell>),
    Compare(Operator, Cell),
    StartsWith(String),
    Contains(String),
    IsNull(bool),
}

impl Condition {
    /// How many tests and values it has in all.
    pub(in crate::engine) fn weight(&self) -> usize {
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
}

/// Words that must all occur, each in one of the fields that may be fully read.
#[derive(Debug)]
pub(in crate::engine) struct Search {
    /// Each with the forms that it may stand in.
    pub(in crate::engine) words: Vec<Vec<String>>,
    pub(in crate::engine) terms: Vec<Term>,
}

impl Search {
    /// How many words and columns it has.
    pub(in crate::engine) fn weight(&self) -> usize {
        self.words.iter().flatten().map(|word| 1 + word.len() / 64).sum::<usize>() + self.terms.len()
    }
}

/// One step of an order.
#[derive(Debug)]
pub(in crate::engine) struct Step {
    pub(in crate::engine) term: Term,
    pub(in crate::engine) scalar: Scalar,
    pub(in crate::engine) descending: bool,
    pub(in crate::engine) nullable: bool,
}

impl Step {
    /// The key, which breaks ties.
    pub(in crate::engine) fn key(object: &ObjectType) -> Self {
        let term = Term { column: object.key_column(), expiring: false, cover: None, rule: object.rows };
        Self { term, scalar: object.key_scalar(), descending: false, nullable: false }
    }

    /// Whether greater values come first, read forwards or, `flipped`, backwards.
    pub(in crate::engine) fn falls(&self, flipped: bool) -> bool {
        self.descending != flipped
    }

    /// What sealed cursors of this order are bound to.
    pub(in crate::engine) fn signature(&self) -> String {
        format!("{}{}", if self.descending { '-' } else { '+' }, self.term.column)
    }
}

/// What is or is not so of a row at the present instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Flag {
    /// A request that is open after the end of its period.
    Overdue,
    /// A consent in force whose review has come.
    ReviewDue,
}

impl Flag {
    /// That of a field, if it is one.
    pub(in crate::engine) fn of(read: &Read) -> Option<Self> {
        match read {
            Read::Overdue => Some(Self::Overdue),
            Read::ReviewDue => Some(Self::ReviewDue),
            _ => None,
        }
    }
}
