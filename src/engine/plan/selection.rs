//! What is fetched of one type at once, the objects written from it, the pages and rows that hang on it, as data. Room: engine/plan.

use super::condition::{Filter, Flag, Operand, Search, SortKey};
use crate::{
    engine::cell::Cell,
    registry::{Cover, Mask, ObjectType, RowRule, Scalar},
};

/// What a column is in the database.
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
            (ColumnExpr::Cover(_) | ColumnExpr::Flag(_), _) | (_, Scalar::Int) => ColumnType::Int,
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

/// Rows of one type: what is fetched at once, and the objects written from it.
#[derive(Debug)]
pub(in crate::engine) struct Fetch {
    pub(in crate::engine) object: &'static ObjectType,
    /// The key comes first.
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
    /// Whether the row is covered for a channel, 0 or 1.
    Cover(Cover),
    /// A value to order by.
    Operand(Operand),
    /// A status that ends by time.
    Expiring(&'static str),
    /// Sealed values, opened after they are fetched: those before the change, or those after it.
    Sealed {
        after: bool,
    },
    /// Whether something is so at the present instant, 0 or 1.
    Flag(Flag),
    /// The link made for the address in this column, once it is fetched.
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
        cover: Option<(usize, usize)>,
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

/// Rows of another type that hang on those of a level.
#[derive(Debug)]
pub(in crate::engine) struct ChildFetch {
    /// The column of the parents that holds what they are joined by.
    pub(in crate::engine) parent_slot: usize,
    /// The slot of the children's column that it equals.
    pub(in crate::engine) slot: usize,
    pub(in crate::engine) relation: Relation,
}

#[derive(Debug)]
pub(in crate::engine) enum Relation {
    /// A row of which nothing is asked but what it is named by: it is there, and everybody may see it.
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

    /// Whether nothing is asked of its rows but their key.
    pub(in crate::engine) fn is_key_only(&self) -> bool {
        self.columns.len() == 1 && self.children.is_empty()
    }

    /// How many columns, fields and levels it has in all.
    pub(in crate::engine) fn weight(&self) -> usize {
        let fields: usize = self.outputs.iter().map(|output| 1 + output.fields.len()).sum();
        let children = self.children.iter().map(|child| match &child.relation {
            Relation::Key(fetch) | Relation::One(fetch) | Relation::Many(fetch) => fetch.weight(),
            Relation::Connection(page) => page.weight(),
        });
        2 + self.columns.len() + fields + children.sum::<usize>()
    }

    /// The slot of a column, fetched from now on.
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
    /// What its cursors are bound to beside the caller.
    pub(in crate::engine) scope: String,
    pub(in crate::engine) rows: u64,
    pub(in crate::engine) backward: bool,
    /// Order values of the row behind which, and before which, the page lies.
    pub(in crate::engine) after: Option<Vec<Cell>>,
    pub(in crate::engine) before: Option<Vec<Cell>>,
    pub(in crate::engine) filter: Option<Filter>,
    pub(in crate::engine) search: Option<Search>,
    pub(in crate::engine) order: Vec<SortKey>,
    /// Slots of the order values, for cursors.
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
    /// How many columns, fields, levels and conditions it has in all.
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

    /// What its cursors are bound to for `caller`.
    pub(in crate::engine) fn cursor_scope_for(&self, caller: &str) -> String {
        cursor_scope(self.fetch.object, caller, &self.scope)
    }

    /// Whether it is in the order of the keys, whatever is at the top.
    pub(in crate::engine) fn is_by_key(&self) -> bool {
        let key = self.fetch.object.key_column();
        matches!(self.order.as_slice(), [sort_key] if sort_key.operand.column == key && !sort_key.is_descending(false))
    }

    /// The order values of the row that the page lies behind, or before, and whether it is before.
    pub(in crate::engine) fn cursor(&self) -> Option<(&Vec<Cell>, bool)> {
        let after = self.after.as_ref().map(|values| (values, false));
        after.or(self.before.as_ref().map(|values| (values, true)))
    }

    /// Whether any row is asked for.
    pub(in crate::engine) fn wants_rows(&self) -> bool {
        self.fields.iter().any(|(_, field)| {
            matches!(field, ConnectionField::Edges(_) | ConnectionField::Nodes(_) | ConnectionField::Info(_))
        })
    }

    /// Whether the number of all rows is asked for.
    pub(in crate::engine) fn wants_total(&self) -> bool {
        self.fields.iter().any(|(_, field)| matches!(field, ConnectionField::Total))
    }
}

/// Who follows changes goes on where it was with its next token; whose rows come after is decided by the row rule alone.
pub(in crate::engine) fn cursor_scope(object: &ObjectType, caller: &str, scope: &str) -> String {
    let caller = if object.rows == RowRule::Change { "" } else { caller };
    format!("{caller}{scope}")
}

/// The key of a row that `text` names. What is no id is the id of nothing: the same answer as for one that is not there.
pub(in crate::engine) fn parse_key(object: &ObjectType, text: &str) -> Cell {
    match object.key_scalar() {
        Scalar::Id => uuid::Uuid::try_parse(text).map_or(Cell::Null, Cell::Uuid),
        _ => Cell::Text(text.to_owned()),
    }
}
