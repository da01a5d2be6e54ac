//! The types of the schema as plain data, each member with its requirements; complete, or pruned for one caller.
//! Room: graphql.
//!
//! async-graphql's types cannot be inspected once they are built; these can. Members that a caller may not use are
//! removed before its schema is built, so the schema cannot reveal them.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::dynamic::{
    Enum, EnumItem, Field, FieldFuture, InputObject, InputValue, Object, Scalar, Schema, SchemaError,
    Subscription, SubscriptionField, SubscriptionFieldFuture, TypeRef,
};

use async_graphql::futures_util::stream::Empty;

use crate::graphql::input_types::InputShape;
use crate::{
    policy::Action,
    registry::{ObjectType, Right},
};

/// What a caller must be able to do to see a member.
#[derive(Clone, Debug)]
pub(super) enum Requirement {
    /// Perform the action on the coordinate; `Read` means in full.
    Can(Action, String),
    /// Read, at least masked.
    CanSee(String),
    /// Read in full at least one of these.
    CanReadAny(Vec<String>),
    /// Act for a purpose that sees all of a contact.
    SeesAll,
    /// Act for a purpose under which no value is withheld row by row.
    NothingWithheld,
}

/// The kind of a schema type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TypeKind {
    Object,
    Input,
    Enum,
    Scalar,
}

/// A type of the schema.
#[derive(Clone, Debug)]
pub(super) struct Type {
    name: String,
    doc: String,
    kind: TypeKind,
    members: Vec<MemberDef>,
}

/// A field, an argument, an input field or a value of an enum.
#[derive(Clone, Debug)]
pub(super) struct MemberDef {
    name: String,
    doc: String,
    /// Its type; values of enums have none.
    ty: Option<TypeRef>,
    arguments: Vec<MemberDef>,
    requirements: Vec<Requirement>,
    /// Whether it only combines other members, such as `and` in a filter.
    is_combinator: bool,
    /// Whether the parent is useless without it, although its type is nullable.
    must_be_given: bool,
    /// The deprecation reason, if it is deprecated.
    deprecated: Option<String>,
}

impl Type {
    fn new(kind: TypeKind, name: impl Into<String>, doc: &str) -> Self {
        Self { name: name.into(), doc: doc.to_owned(), kind, members: Vec::new() }
    }

    pub(super) fn object(name: impl Into<String>, doc: &str) -> Self {
        Self::new(TypeKind::Object, name, doc)
    }

    pub(super) fn input(name: impl Into<String>, doc: &str) -> Self {
        Self::new(TypeKind::Input, name, doc)
    }

    pub(super) fn scalar(name: &str, doc: &str) -> Self {
        Self::new(TypeKind::Scalar, name, doc)
    }

    pub(super) fn enumeration(
        name: impl Into<String>,
        doc: &str,
        values: impl IntoIterator<Item = MemberDef>,
    ) -> Self {
        Self { members: values.into_iter().collect(), ..Self::new(TypeKind::Enum, name, doc) }
    }

    pub(super) fn field(mut self, member: MemberDef) -> Self {
        self.members.push(member);
        self
    }

    /// The number of members and their arguments.
    fn size(&self) -> usize {
        self.members.iter().map(|member| 1 + member.arguments.len()).sum()
    }
}

impl MemberDef {
    pub(super) fn new(name: impl Into<String>, ty: TypeRef, doc: &str) -> Self {
        Self { ty: Some(ty), ..Self::value(name, doc) }
    }

    /// A value of an enum.
    pub(super) fn value(name: impl Into<String>, doc: &str) -> Self {
        Self {
            name: name.into(),
            doc: doc.to_owned(),
            ty: None,
            arguments: Vec::new(),
            requirements: Vec::new(),
            is_combinator: false,
            must_be_given: false,
            deprecated: None,
        }
    }

    pub(super) fn argument(mut self, argument: MemberDef) -> Self {
        self.arguments.push(argument);
        self
    }

    pub(super) fn requires(mut self, requirements: impl IntoIterator<Item = Requirement>) -> Self {
        self.requirements.extend(requirements);
        self
    }

    pub(super) fn combinator(mut self) -> Self {
        self.is_combinator = true;
        self
    }

    /// Marks an input field or an argument that must be given.
    pub(super) fn must_be_given(mut self) -> Self {
        self.must_be_given = true;
        self
    }

    /// Marks it as a deprecated name of `name`.
    pub(super) fn old_name_of(mut self, name: &str) -> Self {
        self.deprecated = Some(format!("Use `{name}`; this name goes with the next version."));
        self
    }

    fn is_required(&self) -> bool {
        self.must_be_given || matches!(self.ty, Some(TypeRef::NonNull(_)))
    }
}

/// Names that a caller can see: types, `Type.member`, `Type.member(argument:)`.
pub(super) type VisibleNames = BTreeSet<String>;

/// Every type of a schema.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    types: Vec<Type>,
}

/// Names of members without deprecated ones, for suggestions in error messages.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The members of types, and as `Type.field` the arguments of fields.
    pub(super) members: BTreeMap<String, Vec<String>>,
    /// The types that are enums.
    pub(super) enums: BTreeSet<String>,
}

/// Where clients begin.
const ROOTS: [&str; 3] = ["Query", "Mutation", "Subscription"];

impl Model {
    pub(super) fn register(mut self, ty: Type) -> Self {
        self.types.push(ty);
        self
    }

    /// The visible names for a caller: members whose requirements are all met, if a root leads to them. A member is
    /// removed with its type, a field with a required argument, an input with a required field.
    pub(super) fn visible(&self, is_met: &dyn Fn(&Requirement) -> bool) -> VisibleNames {
        let mut types: BTreeMap<&str, Type> =
            self.types.iter().map(|ty| (ty.name.as_str(), ty.clone())).collect();
        // A removed member removes those that depend on it, until nothing changes.
        loop {
            let names: BTreeSet<String> = types.keys().map(|name| (*name).to_owned()).collect();
            let is_usable = |member: &MemberDef| {
                let is_known = |ty: &TypeRef| is_built_in(ty.type_name()) || names.contains(ty.type_name());
                member.ty.as_ref().is_none_or(is_known) && member.requirements.iter().all(is_met)
            };
            let mut changed = false;
            types.retain(|_, ty| {
                let before = ty.size();
                let lacks_required =
                    |members: &[MemberDef]| members.iter().any(|m| m.is_required() && !is_usable(m));
                let unusable = ty.kind == TypeKind::Input && lacks_required(&ty.members);
                ty.members.retain(|member| is_usable(member) && !lacks_required(&member.arguments));
                ty.members.iter_mut().for_each(|member| member.arguments.retain(is_usable));
                let empty =
                    ty.kind != TypeKind::Scalar && ty.members.iter().all(|member| member.is_combinator);
                changed |= unusable || empty || ty.size() != before;
                !unusable && !empty
            });
            if !changed {
                break;
            }
        }
        reachable(&types)
    }

    /// The names of all members.
    pub(super) fn names(&self) -> Names {
        let current = |members: &[MemberDef]| -> Vec<String> {
            members
                .iter()
                .filter(|member| member.deprecated.is_none())
                .map(|member| member.name.clone())
                .collect()
        };
        let mut names = Names::default();
        for ty in &self.types {
            names.members.insert(ty.name.clone(), current(&ty.members));
            if ty.kind == TypeKind::Enum {
                names.enums.insert(ty.name.clone());
            }
            for member in ty.members.iter().filter(|member| !member.arguments.is_empty()) {
                names.members.insert(coordinate(&ty.name, member), current(&member.arguments));
            }
        }
        names
    }

    /// The values that its input types accept.
    pub(super) fn input_shapes(&self) -> Vec<(String, InputShape)> {
        let shape = |ty: &Type| {
            let shape = match ty.kind {
                TypeKind::Object => return None,
                TypeKind::Enum => {
                    InputShape::Enum(ty.members.iter().map(|value| value.name.clone()).collect())
                }
                TypeKind::Input => {
                    let members = ty.members.iter();
                    InputShape::Input(members.map(|field| (field.name.clone(), type_ref(field))).collect())
                }
                TypeKind::Scalar => InputShape::Text,
            };
            Some((ty.name.clone(), shape))
        };
        self.types.iter().filter_map(shape).collect()
    }

    /// The model restricted to `visible`.
    pub(super) fn restricted_to(&self, visible: &VisibleNames) -> Self {
        let types = self.types.iter().filter(|ty| visible.contains(&ty.name)).map(|ty| {
            let mut ty = ty.clone();
            ty.members.retain(|member| visible.contains(&coordinate(&ty.name, member)));
            for member in &mut ty.members {
                let field = coordinate(&ty.name, member);
                member.arguments.retain(|argument| visible.contains(&argument_coordinate(&field, argument)));
            }
            ty
        });
        Self { types: types.collect() }
    }

    /// The schema of these types.
    ///
    /// # Errors
    /// A member of an unknown type.
    pub(super) fn schema(&self, validation: async_graphql::ValidationMode) -> Result<Schema, SchemaError> {
        let root = |name: &'static str| self.types.iter().any(|ty| ty.name == name).then_some(name);
        let [query, mutation, subscriptions] = ROOTS;
        let mut schema = Schema::build(query, root(mutation), root(subscriptions))
            .disable_suggestions()
            .validation_mode(validation)
            // Documents are limited before; documents that are only validated have one more level.
            .limit_recursive_depth(DEFAULT_MAX_DEPTH + 1);
        for ty in &self.types {
            schema = match ty.kind {
                TypeKind::Scalar => schema.register(Scalar::new(&ty.name).description(&ty.doc)),
                TypeKind::Enum => schema.register(
                    ty.members.iter().fold(Enum::new(&ty.name).description(&ty.doc), |ty, value| {
                        ty.item(EnumItem::new(&value.name).description(&value.doc))
                    }),
                ),
                TypeKind::Input => schema.register(
                    ty.members.iter().fold(InputObject::new(&ty.name).description(&ty.doc), |ty, field| {
                        ty.field(input_value(field))
                    }),
                ),
                TypeKind::Object if ty.name == subscriptions => schema.register(
                    ty.members.iter().fold(Subscription::new(&ty.name).description(&ty.doc), |ty, field| {
                        ty.field(subscription_field(field))
                    }),
                ),
                TypeKind::Object => schema.register(
                    ty.members.iter().fold(Object::new(&ty.name).description(&ty.doc), |ty, field| {
                        ty.field(object_field(field))
                    }),
                ),
            };
        }
        schema.finish()
    }
}

/// Deepest nesting of selections that async-graphql takes by default.
const DEFAULT_MAX_DEPTH: usize = 32;

pub(super) fn is_built_in(name: &str) -> bool {
    ["Int", "Float", "String", "Boolean", "ID"].contains(&name)
}

fn coordinate(ty: &str, member: &MemberDef) -> String {
    format!("{ty}.{}", member.name)
}

fn argument_coordinate(coordinate: &str, argument: &MemberDef) -> String {
    format!("{coordinate}({}:)", argument.name)
}

/// The names that can be reached from the roots.
fn reachable(types: &BTreeMap<&str, Type>) -> VisibleNames {
    let mut visible = VisibleNames::new();
    let mut next: Vec<&str> = ROOTS.to_vec();
    while let Some(name) = next.pop() {
        let Some(ty) = types.get(name) else { continue };
        if !visible.insert(name.to_owned()) {
            continue;
        }
        for member in &ty.members {
            let field = coordinate(name, member);
            next.extend(member.ty.as_ref().map(TypeRef::type_name));
            for argument in &member.arguments {
                next.extend(argument.ty.as_ref().map(TypeRef::type_name));
                visible.insert(argument_coordinate(&field, argument));
            }
            visible.insert(field);
        }
    }
    visible
}

fn type_ref(member: &MemberDef) -> TypeRef {
    member.ty.clone().unwrap_or_else(|| TypeRef::named(TypeRef::STRING))
}

fn input_value(member: &MemberDef) -> InputValue {
    let value = InputValue::new(&member.name, type_ref(member)).description(&member.doc);
    match &member.deprecated {
        Some(reason) => value.deprecation(Some(reason)),
        None => value,
    }
}

/// A field that only the engine resolves; its resolver always fails.
fn object_field(member: &MemberDef) -> Field {
    let field = Field::new(&member.name, type_ref(member), |_| {
        FieldFuture::new(async {
            Err::<Option<async_graphql::Value>, _>(async_graphql::Error::new(
                "fields are read by the engine alone",
            ))
        })
    });
    let field = match &member.deprecated {
        Some(reason) => field.deprecation(Some(reason)),
        None => field,
    };
    member
        .arguments
        .iter()
        .fold(field.description(&member.doc), |field, argument| field.argument(input_value(argument)))
}

/// A subscription that only the engine resolves; its resolver always fails.
fn subscription_field(member: &MemberDef) -> SubscriptionField {
    let field = SubscriptionField::new(&member.name, type_ref(member), |_| {
        SubscriptionFieldFuture::new(async {
            Err::<Empty<async_graphql::Result<async_graphql::Value>>, _>(async_graphql::Error::new(
                "subscriptions are answered by the engine alone",
            ))
        })
    });
    let field = field.description(&member.doc);
    member.arguments.iter().fold(field, |field, argument| field.argument(input_value(argument)))
}

pub(super) fn can_read(coordinate: String) -> Requirement {
    Requirement::Can(Action::Read, coordinate)
}

/// Requires that anything of a type can be read: its key, which is never null.
pub(super) fn can_read_any(object: &ObjectType) -> Requirement {
    can_read(format!("{}.{}", object.name, object.key))
}

/// The requirements for giving a value.
pub(super) fn requirements_of(right: &Right) -> Vec<Requirement> {
    let mut requirements = vec![Requirement::Can(right.action(), right.coordinate())];
    // Nobody may change values blindly that may be withheld row by row.
    if matches!(right, Right::OnField(Action::Update, _, field) if field.required_channel.is_some()) {
        requirements.push(Requirement::NothingWithheld);
    }
    requirements
}

pub(super) fn enumeration<'a>(
    name: impl Into<String>,
    doc: &str,
    values: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Type {
    Type::enumeration(name, doc, values.into_iter().map(|(value, doc)| MemberDef::value(value, doc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        let can_read = |coordinate: &str| Requirement::Can(Action::Read, coordinate.to_owned());
        let text = || TypeRef::named(TypeRef::STRING);
        Model::default()
            .register(
                Type::object("Query", "q")
                    .field(
                        MemberDef::new("a", TypeRef::named("A"), "d")
                            .requires([can_read("a")])
                            .argument(MemberDef::new("filter", TypeRef::named("Filter"), "d")),
                    )
                    .field(MemberDef::new("open", text(), "d")),
            )
            .register(Type::object("Mutation", "m").field(
                MemberDef::new("write", TypeRef::named("A"), "d").argument(MemberDef::new(
                    "input",
                    TypeRef::named_nn("Input"),
                    "d",
                )),
            ))
            .register(
                Type::input("Input", "i")
                    .field(
                        MemberDef::new("must", TypeRef::named_nn("Word"), "d").requires([can_read("must")]),
                    )
                    .field(MemberDef::new("can", text(), "d")),
            )
            .register(Type::enumeration("Word", "w", [MemberDef::value("X", "d").requires([can_read("x")])]))
            .register(
                Type::object("A", "a")
                    .field(MemberDef::new("b", TypeRef::named("B"), "d"))
                    .field(MemberDef::new("id", TypeRef::named_nn(TypeRef::ID), "d")),
            )
            .register(
                Type::object("B", "b").field(MemberDef::new("c", text(), "d").requires([can_read("c")])),
            )
            .register(
                Type::input("Filter", "f")
                    .field(MemberDef::new("and", TypeRef::named_nn_list("Filter"), "d").combinator())
                    .field(MemberDef::new("c", text(), "d").requires([can_read("c")])),
            )
    }

    fn visible(rights: &[&str]) -> Vec<String> {
        let is_met = |requirement: &Requirement| matches!(requirement, Requirement::Can(_, coordinate) if rights.contains(&coordinate.as_str()));
        let model = model();
        let visible = model.visible(&is_met);
        // Whatever is shown makes a schema.
        model.restricted_to(&visible).schema(async_graphql::ValidationMode::Strict).unwrap();
        visible.into_iter().filter(|name| !name.starts_with("Query.open")).collect()
    }

    #[test]
    fn what_cannot_be_used_goes_with_what_it_needs() {
        assert_eq!(visible(&[]), ["Query"]);
        assert_eq!(visible(&["a"]), ["A", "A.id", "Query", "Query.a"]);
        assert_eq!(
            visible(&["a", "c"]),
            [
                "A",
                "A.b",
                "A.id",
                "B",
                "B.c",
                "Filter",
                "Filter.and",
                "Filter.c",
                "Query",
                "Query.a",
                "Query.a(filter:)"
            ]
        );
        // An input without a field it needs, or without a value for it, is none, nor is a mutation without it.
        assert_eq!(visible(&["must"]), ["Query"]);
        assert_eq!(visible(&["x"]), ["Query"]);
        assert!(visible(&["must", "x"]).contains(&"Mutation.write(input:)".to_owned()));
    }
}
