//! Levels: rows of one type fetched at once, the objects written from them, what hangs on them (floor 2).

use super::{conditions::Term, pages::Page, rows::Flag};
use crate::register::{Cover, Mask, ObjectType, Scalar};

/// Rows of one type: what is fetched at once, and the objects written from it.
#[derive(Debug)]
pub(super) struct Level {
    pub(super) object: &'static ObjectType,
    /// The key comes first.
    pub(super) columns: Vec<Column>,
    pub(super) nodes: Vec<Node>,
    pub(super) children: Vec<Child>,
}

#[derive(Debug)]
pub(super) struct Column {
    pub(super) of: ColumnOf,
    pub(super) scalar: Scalar,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnOf {
    Plain(&'static str),
    /// Whether the row is covered for a channel, 0 or 1.
    Cover(Cover),
    /// A value to order by.
    Term(Term),
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
pub(super) struct Node {
    pub(super) outs: Vec<Out>,
}

#[derive(Debug)]
pub(super) struct Out {
    /// The response key as JSON, with its colon.
    pub(super) key: String,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
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
pub(super) struct Child {
    /// The column of the parents that holds what they are joined by.
    pub(super) parent_slot: usize,
    /// The slot of the children's column that it equals.
    pub(super) slot: usize,
    pub(super) kind: ChildKind,
}

#[derive(Debug)]
pub(super) enum ChildKind {
    /// A row of which nothing is asked but what it is named by: it is there, and everybody may see it.
    Key(Level),
    One(Level),
    Many(Level),
    Connection(Box<Page>),
}

impl Level {
    pub(super) fn new(object: &'static ObjectType) -> Self {
        let mut level = Self { object, columns: Vec::new(), nodes: Vec::new(), children: Vec::new() };
        level.column(ColumnOf::Plain(object.key_column()), object.key_scalar());
        level
    }

    /// Whether nothing is asked of its rows but their key.
    pub(super) fn is_key_alone(&self) -> bool {
        self.columns.len() == 1 && self.children.is_empty()
    }

    /// How many columns, fields and levels it has in all.
    pub(super) fn weight(&self) -> usize {
        let fields: usize = self.nodes.iter().map(|node| 1 + node.outs.len()).sum();
        let children = self.children.iter().map(|child| match &child.kind {
            ChildKind::Key(level) | ChildKind::One(level) | ChildKind::Many(level) => level.weight(),
            ChildKind::Connection(page) => page.weight(),
        });
        2 + self.columns.len() + fields + children.sum::<usize>()
    }

    /// The slot of a column, fetched from now on.
    pub(super) fn column(&mut self, of: ColumnOf, scalar: Scalar) -> usize {
        self.columns.iter().position(|known| known.of == of).unwrap_or_else(|| {
            self.columns.push(Column { of, scalar });
            self.columns.len() - 1
        })
    }
}
