//! Fetches, the objects written from their rows, and the pages and child rows below them, as data.
//! Room: engine/plan.

use super::condition::{Filter, Flag, Operand, Search, SortKey};
use crate::{
    engine::cell::Cell,
    registry::{Mask, ObjectType, RequiredChannel, RowRule, Scalar},
};

/// The database type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum ColumnType {
    Id,
    Int,
    Text,
    Time,
    Date,
}

impl Column {
    pub(in crate::engine) fn kind(&self) -> ColumnType {
        match (self.expr, self.scalar) {
            (ColumnExpr::RequiredChannel(_) | ColumnExpr::Flag(_), _) | (_, Scalar::Int) => ColumnType::Int,
            (_, Scalar::Id) => ColumnType::Id,
            (_, Scalar::DateTime) => ColumnType::Time,
            (_, Scalar::Date) => ColumnType::Date,
            (
                _,
                Scalar::Text
                | Scalar::TextList
                | Scalar::EnumList(_)
                | Scalar::Enum(_)
                | Scalar::Expiring(_)
                | Scalar::Sealed { .. },
            ) => ColumnType::Text,
        }
    }
}

/// A fetch of rows of one type, and the objects written from them.
#[derive(Debug)]
pub(in crate::engine) struct Fetch {
    pub(in crate::engine) object: &'static ObjectType,
    /// The primary key comes first.
    pub(in crate::engine) columns: Vec<Column>,
    pub(in crate::engine) outputs: Vec<OutputObject>,
    pub(in crate::engine) children: Vec<ChildFetch>,
}

#[derive(Debug)]
pub(in crate::engine) struct Column {
    pub(in crate::engine) expr: ColumnExpr,
    pub(in crate::engine) scalar: Scalar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum ColumnExpr {
    Plain(&'static str),
    /// Whether a consent covers the channel for this row, as 0 or 1.
    RequiredChannel(RequiredChannel),
    /// A sort value.
    Operand(Operand),
    /// A status that changes by time.
    Expiring(&'static str),
    /// Sealed values of an audit entry, opened after they are fetched: those before the change, or those after it.
    Sealed {
        after: bool,
    },
    /// A Boolean property at the current instant, as 0 or 1.
    Flag(Flag),
    /// The preference link for the address in this column, made after the fetch.
    Preference(&'static str),
}

/// An object to write.
#[derive(Debug, Default)]
pub(in crate::engine) struct OutputObject {
    pub(in crate::engine) fields: Vec<OutputField>,
}

#[derive(Debug)]
pub(in crate::engine) struct OutputField {
    /// The response key as JSON, with its colon.
    pub(in crate::engine) key: String,
    pub(in crate::engine) value: OutputValue,
}

#[derive(Debug)]
pub(in crate::engine) enum OutputValue {
    /// Denied.
    Null,
    Typename(&'static str),
    Value {
        slot: usize,
        scalar: Scalar,
        mask: Option<Mask>,
        coverage: Option<(usize, usize)>,
    },
    /// True or false.
    Flag {
        slot: usize,
        mask: Option<Mask>,
    },
    Child {
        child: usize,
        slot: usize,
    },
}

/// A fetch of rows that are joined to the rows of their parent fetch.
#[derive(Debug)]
pub(in crate::engine) struct ChildFetch {
    /// The parents' column that the children are joined by.
    pub(in crate::engine) parent_slot: usize,
    /// The slot of the children's column that equals it.
    pub(in crate::engine) slot: usize,
    pub(in crate::engine) relation: Relation,
}

#[derive(Debug)]
pub(in crate::engine) enum Relation {
    /// A row of which only the key is selected, in a type that everybody may see: it needs no statement.
    Key(Fetch),
    One(Fetch),
    Many(Fetch),
    Connection(Box<Page>),
}

impl Fetch {
    pub(in crate::engine) fn new(object: &'static ObjectType) -> Self {
        let mut fetch = Self { object, columns: Vec::new(), outputs: Vec::new(), children: Vec::new() };
        fetch.column(ColumnExpr::Plain(object.key_column()), object.key_scalar());
        fetch
    }

    /// Whether only the key of its rows is selected.
    pub(in crate::engine) fn is_key_only(&self) -> bool {
        self.columns.len() == 1 && self.children.is_empty()
    }

    /// The number of its columns, fields and fetches.
    pub(in crate::engine) fn weight(&self) -> usize {
        let fields: usize = self.outputs.iter().map(|output| 1 + output.fields.len()).sum();
        let children = self.children.iter().map(|child| match &child.relation {
            Relation::Key(fetch) | Relation::One(fetch) | Relation::Many(fetch) => fetch.weight(),
            Relation::Connection(page) => page.weight(),
        });
        2 + self.columns.len() + fields + children.sum::<usize>()
    }

    /// The slot of a column, which is added to the fetch if needed.
    pub(in crate::engine) fn column(&mut self, of: ColumnExpr, scalar: Scalar) -> usize {
        self.columns.iter().position(|existing| existing.expr == of).unwrap_or_else(|| {
            self.columns.push(Column { expr: of, scalar });
            self.columns.len() - 1
        })
    }
}

/// A page of a connection.
#[derive(Debug)]
pub(in crate::engine) struct Page {
    pub(in crate::engine) fetch: Fetch,
    /// The scope of its cursors, without the caller.
    pub(in crate::engine) scope: String,
    pub(in crate::engine) rows: u64,
    pub(in crate::engine) backward: bool,
    /// Sort values of the row after which, and before which, the page lies.
    pub(in crate::engine) after: Option<Vec<Cell>>,
    pub(in crate::engine) before: Option<Vec<Cell>>,
    pub(in crate::engine) filter: Option<Filter>,
    pub(in crate::engine) search: Option<Search>,
    pub(in crate::engine) order: Vec<SortKey>,
    /// Slots of the sort values, for cursors.
    pub(in crate::engine) order_slots: Vec<usize>,
    pub(in crate::engine) fields: Vec<(String, ConnectionField)>,
}

#[derive(Debug)]
pub(in crate::engine) enum ConnectionField {
    Null,
    Typename(String),
    Edges(Vec<(String, EdgeField)>),
    Nodes(usize),
    Info(Vec<(String, PageInfoField)>),
    Total,
}

#[derive(Debug)]
pub(in crate::engine) enum EdgeField {
    Typename(String),
    Node(usize),
    Cursor,
}

#[derive(Debug)]
pub(in crate::engine) enum PageInfoField {
    Typename,
    HasNext,
    HasPrevious,
    Start,
    End,
}

impl Page {
    /// The number of its columns, fields, fetches and conditions.
    pub(in crate::engine) fn weight(&self) -> usize {
        let fields = self.fields.iter().map(|(_, field)| match field {
            ConnectionField::Edges(parts) => 1 + parts.len(),
            ConnectionField::Info(parts) => 1 + parts.len(),
            _ => 1,
        });
        let conditions = self.filter.as_ref().map_or(0, Filter::weight);
        let search = self.search.as_ref().map_or(0, Search::weight);
        4 + self.fetch.weight() + fields.sum::<usize>() + conditions + search + self.order.len()
    }

    /// The scope of its cursors for `caller`.
    pub(in crate::engine) fn cursor_scope_for(&self, caller: &str) -> String {
        cursor_scope(self.fetch.object, caller, &self.scope)
    }

    /// Whether it is ordered by the primary key, ascending.
    pub(in crate::engine) fn is_by_key(&self) -> bool {
        let key = self.fetch.object.key_column();
        matches!(self.order.as_slice(), [sort_key] if sort_key.operand.column == key && !sort_key.is_descending(false))
    }

    /// The sort values of the cursor, and whether the page lies before it.
    pub(in crate::engine) fn cursor(&self) -> Option<(&Vec<Cell>, bool)> {
        let after = self.after.as_ref().map(|values| (values, false));
        after.or(self.before.as_ref().map(|values| (values, true)))
    }

    /// Whether any row is needed.
    pub(in crate::engine) fn wants_rows(&self) -> bool {
        self.fields.iter().any(|(_, field)| {
            matches!(field, ConnectionField::Edges(_) | ConnectionField::Nodes(_) | ConnectionField::Info(_))
        })
    }

    /// Whether the total count is selected.
    pub(in crate::engine) fn wants_total(&self) -> bool {
        self.fields.iter().any(|(_, field)| matches!(field, ConnectionField::Total))
    }
}

/// The scope of a cursor. Cursors of changes are bound to no caller: a client continues with its next token where
/// it stopped, and the row rule alone decides what it sees.
pub(in crate::engine) fn cursor_scope(object: &ObjectType, caller: &str, scope: &str) -> String {
    let caller = if object.rows == RowRule::Change { "" } else { caller };
    format!("{caller}{scope}")
}

/// Parses the key of a row. Text that is no id becomes the id of nothing, so that the answer equals that for a
/// missing row.
pub(in crate::engine) fn parse_key(object: &ObjectType, text: &str) -> Cell {
    match object.key_scalar() {
        Scalar::Id => uuid::Uuid::try_parse(text).map_or(Cell::Null, Cell::Uuid),
        _ => Cell::Text(text.to_owned()),
    }
}
