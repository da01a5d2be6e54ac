//! Filters, orders and searches as data. Room: engine/plan.

use crate::{
    engine::cell::Cell,
    registry::{Field, FieldSource, ObjectType, RequiredChannel, RowRule, Scalar},
};

/// The compared column; it counts as null where no consent covers its channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) struct Operand {
    pub(in crate::engine) column: &'static str,
    /// Whether it is a status that changes by time.
    pub(in crate::engine) is_expiring: bool,
    pub(in crate::engine) required_channel: Option<RequiredChannel>,
    pub(in crate::engine) rule: RowRule,
}

impl Operand {
    pub(in crate::engine) fn from_field(object: &ObjectType, field: &Field) -> Option<Self> {
        let column = match field.source {
            FieldSource::Column { folded: Some(folded), .. } => folded,
            FieldSource::Column { column, .. } | FieldSource::One { column, .. } => column,
            _ => return None,
        };
        let is_expiring = matches!(field.source, FieldSource::Column { scalar: Scalar::Expiring(_), .. });
        Some(Self { column, is_expiring, required_channel: field.required_channel, rule: object.rows })
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

/// A comparison operator.
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
    /// The number of its comparisons and values.
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

/// Words that must all occur, each in any field that the caller may read in full.
#[derive(Debug)]
pub(in crate::engine) struct Search {
    /// Each word with its accepted spellings.
    pub(in crate::engine) words: Vec<Vec<String>>,
    pub(in crate::engine) operands: Vec<Operand>,
}

impl Search {
    /// The number of its words and columns.
    pub(in crate::engine) fn weight(&self) -> usize {
        self.words.iter().flatten().map(|word| 1 + word.len() / 64).sum::<usize>() + self.operands.len()
    }
}

/// One key of an order.
#[derive(Debug)]
pub(in crate::engine) struct SortKey {
    pub(in crate::engine) operand: Operand,
    pub(in crate::engine) scalar: Scalar,
    pub(in crate::engine) descending: bool,
    pub(in crate::engine) nullable: bool,
}

impl SortKey {
    /// Sorts by the primary key, which breaks ties.
    pub(in crate::engine) fn by_key(object: &ObjectType) -> Self {
        let operand = Operand {
            column: object.key_column(),
            is_expiring: false,
            required_channel: None,
            rule: object.rows,
        };
        Self { operand, scalar: object.key_scalar(), descending: false, nullable: false }
    }

    /// Whether greater values come first when the list is read forwards or, if `reversed`, backwards.
    pub(in crate::engine) fn is_descending(&self, reversed: bool) -> bool {
        self.descending != reversed
    }

    /// The part of a cursor's scope that names this sort key.
    pub(in crate::engine) fn cursor_signature(&self) -> String {
        format!("{}{}", if self.descending { '-' } else { '+' }, self.operand.column)
    }
}

/// A Boolean property of a row at the current instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Flag {
    /// A privacy request that is still open after its deadline.
    Overdue,
    /// A consent in force whose review is due.
    ReviewDue,
}

impl Flag {
    /// The flag that a field source stands for, if any.
    pub(in crate::engine) fn from_source(read: &FieldSource) -> Option<Self> {
        match read {
            FieldSource::Overdue => Some(Self::Overdue),
            FieldSource::ReviewDue => Some(Self::ReviewDue),
            _ => None,
        }
    }
}
