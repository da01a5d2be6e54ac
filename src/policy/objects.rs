//! The objects of rules: fields, totals, root fields and grants, each with an id. Room: policy.

use std::collections::{BTreeSet, HashMap};

/// What the registry declares about one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyObject {
    /// `Contact.email`, `Query.contacts`, `ContactConnection.totalCount`.
    pub name: String,
    /// Its deprecated name, which policies may use until the next version.
    pub was: Option<String>,
    /// Groups it belongs to: `data:email`, `type:Contact`.
    pub groups: Vec<String>,
    /// Whether it is a derived id: readable if any other field of the type is; never named in the policy.
    pub derived_id: bool,
    /// `Contact`.
    pub type_name: String,
}

/// Index of an object in one policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(pub u32);

impl ObjectId {
    #[inline]
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// What can be done to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Action {
    /// Read the full value.
    Read,
    /// Read only the masked value.
    Mask,
    /// Set it on a new record.
    Create,
    /// Change it.
    Update,
    /// Call a root field.
    Execute,
    /// Hand out a role or a purpose in a token; record a ground that opens a contact for a purpose.
    Grant,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 6] =
        [Self::Read, Self::Mask, Self::Create, Self::Update, Self::Execute, Self::Grant];

    /// The name in the policy file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Mask => "mask",
            Self::Create => "create",
            Self::Update => "update",
            Self::Execute => "execute",
            Self::Grant => "grant",
        }
    }

    /// Parses the name.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == word)
    }

    /// Its bit in a cell.
    #[inline]
    pub(super) const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Kinds of objects, by the actions they support.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Field,
    Total,
    Root,
    Grant,
}

impl Kind {
    fn from_object(object: &PolicyObject) -> Self {
        if matches!(object.type_name.as_str(), "Query" | "Mutation" | "Subscription") {
            Self::Root
        } else if object.type_name.ends_with("Connection") {
            Self::Total
        } else {
            Self::Field
        }
    }

    pub(super) fn takes(self, action: Action) -> bool {
        match self {
            Self::Field => !matches!(action, Action::Execute | Action::Grant),
            Self::Total => action == Action::Read,
            Self::Root => action == Action::Execute,
            Self::Grant => action == Action::Grant,
        }
    }
}

/// An object as stored in the policy.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) name: String,
    pub(super) groups: Vec<String>,
    pub(super) kind: Kind,
    pub(super) derived: bool,
    /// Index of its type, for derived ids.
    pub(super) type_index: usize,
}

/// All objects: those of the registry, then the grants of roles, purposes and grounds.
#[derive(Debug, Default)]
pub(super) struct Objects {
    all: Vec<Object>,
    by_name: HashMap<String, ObjectId>,
    groups: BTreeSet<String>,
    pub(super) types: Vec<String>,
}

impl Objects {
    pub(super) fn new<'a>(
        register: &[PolicyObject],
        roles: impl Iterator<Item = &'a str>,
        purposes: impl Iterator<Item = &'a str>,
        recorded: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut objects = Self::default();
        for object in register {
            let type_index = objects.type_index(&object.type_name);
            objects.groups.extend(object.groups.iter().cloned());
            objects.push(Object {
                name: object.name.clone(),
                groups: object.groups.clone(),
                kind: Kind::from_object(object),
                derived: object.derived_id,
                type_index,
            });
            if let (Some(was), Some(id)) = (&object.was, objects.id(&object.name)) {
                objects.by_name.insert(was.clone(), id);
            }
        }
        let type_index = objects.type_index("token");
        let roles = roles.map(|role| format!("token:role:{role}"));
        let purposes = purposes.map(|purpose| format!("token:purpose:{purpose}"));
        let grounds = recorded.map(|purpose| format!("ground:purpose:{purpose}"));
        for name in roles.chain(purposes).chain(grounds) {
            objects.push(Object { name, groups: Vec::new(), kind: Kind::Grant, derived: false, type_index });
        }
        objects
    }

    fn type_index(&mut self, name: &str) -> usize {
        if let Some(index) = self.types.iter().position(|existing| existing == name) {
            return index;
        }
        self.types.push(name.to_owned());
        self.types.len() - 1
    }

    fn push(&mut self, object: Object) {
        let id = ObjectId(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        self.by_name.insert(object.name.clone(), id);
        self.all.push(object);
    }

    pub(super) fn id(&self, name: &str) -> Option<ObjectId> {
        self.by_name.get(name).copied()
    }

    /// The object with this index.
    pub(super) fn at(&self, index: usize) -> Option<&Object> {
        self.all.get(index)
    }

    pub(super) fn get(&self, id: ObjectId) -> Option<&Object> {
        self.at(id.index())
    }

    pub(super) fn named(&self, name: &str) -> Option<&Object> {
        self.get(self.id(name)?)
    }

    pub(super) fn is_group(&self, name: &str) -> bool {
        self.groups.contains(name)
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Object> {
        self.all.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}
