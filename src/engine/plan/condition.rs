//! Conditions on rows, orders and searches, as data. Room: engine/plan.

use crate::{
    engine::cell::Cell,
    registry::{Cover, Field, ObjectType, Read, RowRule, Scalar},
};

/// What is compared: a column, null where its channel is not covered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Operand {
    pub(in crate::engine) column: &'static str,
    /// Whether it is a status that ends by time.
    pub(in crate::engine) is_expiring: bool,
    pub(in crate::engine) cover: Option<Cover>,
    pub(in crate::engine) rule: RowRule,
}

impl Operand {
    pub(in crate::engine) fn from_field(object: &ObjectType, field: &Field) -> Option<Self> {
        let column = match field.read {
            Read::Column { folded: Some(folded), .. } => folded,
            Read::Column { column, .. } | Read::One { column, .. } => column,
            _ => return None,
        };
        let is_expiring = matches!(field.read, Read::Column { scalar: Scalar::Expiring(_), .. });
        Some(Self { column, is_expiring, cover: field.cover, rule: object.rows })
    }
}

/// A condition on a row.
#[derive(Debug)]
pub(in crate::engine) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Comparison(Operand, Comparison),
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
pub(in crate::engine) enum Comparison {
    In(Vec<Cell>),
    Compare(Operator, Cell),
    StartsWith(String),
    Contains(String),
    IsNull(bool),
}

impl Filter {
    /// How many tests and values it has in all.
    pub(in crate::engine) fn weight(&self) -> usize {
        match self {
            Filter::All(parts) | Filter::Any(parts) => 1 + parts.iter().map(Filter::weight).sum::<usize>(),
            Filter::Not(part) => 1 + part.weight(),
            Filter::Comparison(_, Comparison::In(values)) => 1 + values.len(),
            Filter::Comparison(_, Comparison::StartsWith(text) | Comparison::Contains(text)) => {
                1 + text.len() / 64
            }
            Filter::Comparison(..) | Filter::Flag(_) => 1,
        }
    }
}

/// Words that must all occur, each in one of the fields that may be fully read.
#[derive(Debug)]
pub(in crate::engine) struct Search {
    /// Each with the forms that it may stand in.
    pub(in crate::engine) words: Vec<Vec<String>>,
    pub(in crate::engine) operands: Vec<Operand>,
}

impl Search {
    /// How many words and columns it has.
    pub(in crate::engine) fn weight(&self) -> usize {
        self.words.iter().flatten().map(|word| 1 + word.len() / 64).sum::<usize>() + self.operands.len()
    }
}

/// One step of an order.
#[derive(Debug)]
pub(in crate::engine) struct SortKey {
    pub(in crate::engine) operand: Operand,
    pub(in crate::engine) scalar: Scalar,
    pub(in crate::engine) descending: bool,
    pub(in crate::engine) nullable: bool,
}

impl SortKey {
    /// The key, which breaks ties.
    pub(in crate::engine) fn by_key(object: &ObjectType) -> Self {
        let operand =
            Operand { column: object.key_column(), is_expiring: false, cover: None, rule: object.rows };
        Self { operand, scalar: object.key_scalar(), descending: false, nullable: false }
    }

    /// Whether greater values come first, read forwards or, `reversed`, backwards.
    pub(in crate::engine) fn is_descending(&self, reversed: bool) -> bool {
        self.descending != reversed
    }

    /// What sealed cursors of this order are bound to.
    pub(in crate::engine) fn cursor_signature(&self) -> String {
        format!("{}{}", if self.descending { '-' } else { '+' }, self.operand.column)
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
    pub(in crate::engine) fn from_source(read: &Read) -> Option<Self> {
        match read {
            Read::Overdue => Some(Self::Overdue),
            Read::ReviewDue => Some(Self::ReviewDue),
            _ => None,
        }
    }
}
