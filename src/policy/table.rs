//! The decisions for one caller and purpose: one byte per object. Room: policy.

use super::objects::{Action, Kind, ObjectId, Objects};

/// The decision about a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// The value in full.
    Allow,
    /// The masked value.
    Mask,
    /// No value.
    Deny,
}

impl Decision {
    /// The name in the SDL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Mask => "MASK",
            Self::Deny => "DENY",
        }
    }
}

/// What Casbin decides for one role and purpose: whether some rule allows and whether some rule denies; a byte per
/// object, a bit per action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DecisionBits {
    pub(super) allow: Box<[u8]>,
    pub(super) deny: Box<[u8]>,
}

impl DecisionBits {
    pub(super) fn empty(len: usize) -> Self {
        Self { allow: vec![0; len].into(), deny: vec![0; len].into() }
    }

    pub(super) fn set(&mut self, object: usize, action: Action, allowed: bool, denied: bool) {
        for (plane, answer) in [(&mut self.allow, allowed), (&mut self.deny, denied)] {
            if let (true, Some(cell)) = (answer, plane.get_mut(object)) {
                *cell |= action.bit();
            }
        }
    }

    pub(super) fn join(&mut self, other: &Self) {
        join(&mut self.allow, &other.allow);
        join(&mut self.deny, &other.deny);
    }
}

fn join(into: &mut [u8], from: &[u8]) {
    for (into, from) in into.iter_mut().zip(from) {
        *into |= from;
    }
}

/// Everything that a caller's decisions depend on under one policy.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TableKey {
    roles: Vec<String>,
    purpose: String,
    only: Option<Vec<String>>,
}

impl TableKey {
    pub(super) fn new(roles: &[String], purpose: &str, only: Option<&[String]>) -> Self {
        Self { roles: roles.to_vec(), purpose: purpose.to_owned(), only: only.map(<[String]>::to_vec) }
    }

    /// Bytes of its strings.
    pub(super) fn bytes(&self) -> usize {
        let names = self.roles.iter().chain(self.only.iter().flatten());
        self.purpose.len() + names.map(|name| name.len() + size_of::<String>()).sum::<usize>()
    }
}

/// The decisions for one caller and purpose. The default is deny.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionTable {
    cells: Box<[u8]>,
}

impl DecisionTable {
    /// A table that denies everything, for a policy of any size.
    pub fn deny_all() -> Self {
        Self { cells: Box::default() }
    }

    /// The decision about the value of `object`.
    #[inline]
    pub fn decide(&self, object: ObjectId) -> Decision {
        let cell = self.cell(object);
        if cell & Action::Read.bit() != 0 {
            Decision::Allow
        } else if cell & Action::Mask.bit() != 0 {
            Decision::Mask
        } else {
            Decision::Deny
        }
    }

    /// Whether `action` is allowed on `object`.
    #[inline]
    pub fn allows(&self, object: ObjectId, action: Action) -> bool {
        self.cell(object) & action.bit() != 0
    }

    #[inline]
    fn cell(&self, object: ObjectId) -> u8 {
        self.cells.get(object.index()).copied().unwrap_or(0)
    }

    /// The table for `planes`, restricted to the coordinates `only`.
    pub(super) fn new(objects: &Objects, planes: &DecisionBits, only: Option<&[String]>) -> Self {
        let unrestricted = Self::unrestricted(objects, planes);
        let Some(only) = only else { return unrestricted };
        let listed = |name: &str| only.iter().any(|field| field == name);
        let mut narrow = unrestricted.clone();
        for (object, cell) in objects.iter().zip(narrow.cells.iter_mut()) {
            let narrowed = matches!(object.kind, Kind::Field | Kind::Total);
            if narrowed && (object.derived || !listed(&object.name)) {
                *cell = 0;
            }
        }
        narrow.derive(objects);
        // A token restricted to an id only still reads that id if the policy lets its roles read it.
        for ((object, cell), before) in
            objects.iter().zip(narrow.cells.iter_mut()).zip(unrestricted.cells.iter())
        {
            if object.derived && listed(&object.name) {
                *cell = *before;
            }
        }
        narrow
    }

    fn unrestricted(objects: &Objects, planes: &DecisionBits) -> Self {
        const READ_OR_MASK: u8 = Action::Read.bit() | Action::Mask.bit();
        let mut cells: Box<[u8]> = vec![0; objects.len()].into();
        for (cell, (allow, deny)) in cells.iter_mut().zip(planes.allow.iter().zip(planes.deny.iter())) {
            *cell = allow & !deny;
            if deny & Action::Read.bit() != 0 {
                *cell &= !READ_OR_MASK;
            }
        }
        // A masked value must not be saved back, so an update requires full read access.
        for (object, cell) in objects.iter().zip(cells.iter_mut()) {
            if object.kind == Kind::Field && *cell & Action::Read.bit() == 0 {
                *cell &= !Action::Update.bit();
            }
        }
        let mut table = Self { cells };
        table.derive(objects);
        table
    }

    /// Ids are readable if any other field of their type is, at least masked.
    fn derive(&mut self, objects: &Objects) {
        let mut seen = vec![false; objects.types.len()];
        for (object, cell) in objects.iter().zip(self.cells.iter()) {
            let readable = cell & (Action::Read.bit() | Action::Mask.bit()) != 0;
            if let (true, false, Some(seen)) = (readable, object.derived, seen.get_mut(object.type_index)) {
                *seen = true;
            }
        }
        for (object, cell) in objects.iter().zip(self.cells.iter_mut()) {
            if object.derived {
                *cell = if seen.get(object.type_index) == Some(&true) { Action::Read.bit() } else { 0 };
            }
        }
    }

    /// Adds what `other` allows on the objects selected by `which`.
    pub(super) fn join_where(&mut self, other: &Self, objects: &Objects, which: impl Fn(&str) -> bool) {
        if self.cells.is_empty() {
            self.cells = vec![0; objects.len()].into();
        }
        for ((cell, more), object) in self.cells.iter_mut().zip(other.cells.iter()).zip(objects.iter()) {
            if which(&object.name) {
                *cell |= more;
            }
        }
    }
}
