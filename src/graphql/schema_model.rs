//! Types of the schema as plain data, each member with what using it needs: whole for all, narrowed for one caller. Room: graphql.
//!
//! async-graphql's types cannot be looked into once they are made; these can. What a caller may not use is left out before
//! its schema is made, so that nothing of it can be told.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::dynamic::{
    Enum, EnumItem, Field, FieldFuture, InputObject, InputValue, Object, Scalar, Schema, SchemaError,
    Subscription, SubscriptionField, SubscriptionFieldFuture, TypeRef,
};

use async_graphql::futures_util::stream::Empty;

use crate::graphql::input_types::Shape;
use crate::{
    policy::Action,
    registry::{ObjectType, Right},
};

/// What a caller must be able to do, for a member to be shown.
#[derive(Clone, Debug)]
pub(super) enum Need {
    /// The action on the coordinate; `Read` is in full.
    May(Action, String),
    /// Read, at least masked.
    Seen(String),
    /// Read in full at least one of these.
    AnyRead(Vec<String>),
    /// Act for a purpose that sees all of a contact.
    SeesAll,
    /// Act for a purpose under which no value is withheld row by row.
    NothingWithheld,
}

/// What a type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
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
    kind: Kind,
    members: Vec<Member>,
}

/// A field, an argument, an input field or a value of an enum.
#[derive(Clone, Debug)]
pub(super) struct Member {
    name: String,
    doc: String,
    /// Its type; values of enums have none.
    ty: Option<TypeRef>,
    arguments: Vec<Member>,
    needs: Vec<Need>,
    /// Of use only beside others, as `and` in a filter.
    joins: bool,
    /// What is of no use without it goes with it, though its type lets it be left out.
    needed: bool,
    /// Why it is not to be used any more, where it serves for a while yet.
    deprecated: Option<String>,
}

impl Type {
    fn new(kind: Kind, name: impl Into<String>, doc: &str) -> Self {
        Self { name: name.into(), doc: doc.to_owned(), kind, members: Vec::new() }
    }

    pub(super) fn object(name: impl Into<String>, doc: &str) -> Self {
        Self::new(Kind::Object, name, doc)
    }

    pub(super) fn input(name: impl Into<String>, doc: &str) -> Self {
        Self::new(Kind::Input, name, doc)
    }

    pub(super) fn scalar(name: &str, doc: &str) -> Self {
        Self::new(Kind::Scalar, name, doc)
    }

    pub(super) fn enumeration(
        name: impl Into<String>,
        doc: &str,
        values: impl IntoIterator<Item = Member>,
    ) -> Self {
        Self { members: values.into_iter().collect(), ..Self::new(Kind::Enum, name, doc) }
    }

    pub(super) fn field(mut self, member: Member) -> Self {
        self.members.push(member);
        self
    }

    /// Members and their arguments.
    fn size(&self) -> usize {
        self.members.iter().map(|member| 1 + member.arguments.len()).sum()
    }
}

impl Member {
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
            needs: Vec::new(),
            joins: false,
            needed: false,
            deprecated: None,
        }
    }

    pub(super) fn argument(mut self, argument: Member) -> Self {
        self.arguments.push(argument);
        self
    }

    pub(super) fn needs(mut self, needs: impl IntoIterator<Item = Need>) -> Self {
        self.needs.extend(needs);
        self
    }

    pub(super) fn joining(mut self) -> Self {
        self.joins = true;
        self
    }

    /// Of an input or an argument: nothing is of use without it.
    pub(super) fn needed(mut self) -> Self {
        self.needed = true;
        self
    }

    /// An old name of `name`.
    pub(super) fn old_name_of(mut self, name: &str) -> Self {
        self.deprecated = Some(format!("Use `{name}`; this name goes with the next version."));
        self
    }

    fn is_required(&self) -> bool {
        self.needed || matches!(self.ty, Some(TypeRef::NonNull(_)))
    }
}

/// Names of what is shown: types, `Type.member`, `Type.member(argument:)`.
pub(super) type Shown = BTreeSet<String>;

/// Every type of a schema.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    types: Vec<Type>,
}

/// Names of what there is, but old ones, for those who are told what was expected.
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

    /// What is shown to whom `allowed` says of each need whether it is met: members all of whose needs are met, as far as a
    /// root leads to them. A member goes with its type, a field with an argument it cannot do without, an input with a field
    /// it cannot do without.
    pub(super) fn shown(&self, allowed: &dyn Fn(&Need) -> bool) -> Shown {
        let mut types: BTreeMap<&str, Type> =
            self.types.iter().map(|ty| (ty.name.as_str(), ty.clone())).collect();
        // What goes takes with it what cannot be without it, until nothing goes any more.
        loop {
            let names: BTreeSet<String> = types.keys().map(|name| (*name).to_owned()).collect();
            let fits = |member: &Member| {
                let known = |ty: &TypeRef| is_built_in(ty.type_name()) || names.contains(ty.type_name());
                member.ty.as_ref().is_none_or(known) && member.needs.iter().all(allowed)
            };
            let mut changed = false;
            types.retain(|_, ty| {
                let before = ty.size();
                let lacks = |members: &[Member]| members.iter().any(|m| m.is_required() && !fits(m));
                let unusable = ty.kind == Kind::Input && lacks(&ty.members);
                ty.members.retain(|member| fits(member) && !lacks(&member.arguments));
                ty.members.iter_mut().for_each(|member| member.arguments.retain(fits));
                let empty = ty.kind != Kind::Scalar && ty.members.iter().all(|member| member.joins);
                changed |= unusable || empty || ty.size() != before;
                !unusable && !empty
            });
            if !changed {
                break;
            }
        }
        reached(&types)
    }

    /// Names of its members.
    pub(super) fn names(&self) -> Names {
        let current = |members: &[Member]| -> Vec<String> {
            members.iter().filter(|one| one.deprecated.is_none()).map(|one| one.name.clone()).collect()
        };
        let mut names = Names::default();
        for ty in &self.types {
            names.members.insert(ty.name.clone(), current(&ty.members));
            if ty.kind == Kind::Enum {
                names.enums.insert(ty.name.clone());
            }
            for member in ty.members.iter().filter(|member| !member.arguments.is_empty()) {
                names.members.insert(coordinate(&ty.name, member), current(&member.arguments));
            }
        }
        names
    }

    /// What its input types take.
    pub(super) fn shapes(&self) -> Vec<(String, Shape)> {
        let shape = |ty: &Type| {
            let shape = match ty.kind {
                Kind::Object => return None,
                Kind::Enum => Shape::Enum(ty.members.iter().map(|value| value.name.clone()).collect()),
                Kind::Input => {
                    let members = ty.members.iter();
                    Shape::Input(members.map(|field| (field.name.clone(), type_ref(field))).collect())
                }
                Kind::Scalar => Shape::Text,
            };
            Some((ty.name.clone(), shape))
        };
        self.types.iter().filter_map(shape).collect()
    }

    /// The model of `shown` alone.
    pub(super) fn only(&self, shown: &Shown) -> Self {
        let types = self.types.iter().filter(|ty| shown.contains(&ty.name)).map(|ty| {
            let mut ty = ty.clone();
            ty.members.retain(|member| shown.contains(&coordinate(&ty.name, member)));
            for member in &mut ty.members {
                let of = coordinate(&ty.name, member);
                member.arguments.retain(|argument| shown.contains(&argument_of(&of, argument)));
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
            // Documents are bounded before; one level is added to what is only validated.
            .limit_recursive_depth(RECURSION + 1);
        for ty in &self.types {
            schema = match ty.kind {
                Kind::Scalar => schema.register(Scalar::new(&ty.name).description(&ty.doc)),
                Kind::Enum => schema.register(
                    ty.members.iter().fold(Enum::new(&ty.name).description(&ty.doc), |of, value| {
                        of.item(EnumItem::new(&value.name).description(&value.doc))
                    }),
                ),
                Kind::Input => schema.register(
                    ty.members.iter().fold(InputObject::new(&ty.name).description(&ty.doc), |of, field| {
                        of.field(given(field))
                    }),
                ),
                Kind::Object if ty.name == subscriptions => schema.register(
                    ty.members.iter().fold(Subscription::new(&ty.name).description(&ty.doc), |of, field| {
                        of.field(followed(field))
                    }),
                ),
                Kind::Object => schema.register(
                    ty.members.iter().fold(Object::new(&ty.name).description(&ty.doc), |of, field| {
                        of.field(answered(field))
                    }),
                ),
            };
        }
        schema.finish()
    }
}

/// Deepest nesting of selections that async-graphql takes by default.
const RECURSION: usize = 32;

pub(super) fn is_built_in(name: &str) -> bool {
    ["Int", "Float", "String", "Boolean", "ID"].contains(&name)
}

fn coordinate(ty: &str, member: &Member) -> String {
    format!("{ty}.{}", member.name)
}

fn argument_of(coordinate: &str, argument: &Member) -> String {
    format!("{coordinate}({}:)", argument.name)
}

/// What the roots lead to.
fn reached(types: &BTreeMap<&str, Type>) -> Shown {
    let mut shown = Shown::new();
    let mut next: Vec<&str> = ROOTS.to_vec();
    while let Some(name) = next.pop() {
        let Some(ty) = types.get(name) else { continue };
        if !shown.insert(name.to_owned()) {
            continue;
        }
        for member in &ty.members {
            let of = coordinate(name, member);
            next.extend(member.ty.as_ref().map(TypeRef::type_name));
            for argument in &member.arguments {
                next.extend(argument.ty.as_ref().map(TypeRef::type_name));
                shown.insert(argument_of(&of, argument));
            }
            shown.insert(of);
        }
    }
    shown
}

fn type_ref(member: &Member) -> TypeRef {
    member.ty.clone().unwrap_or_else(|| TypeRef::named(TypeRef::STRING))
}

fn given(member: &Member) -> InputValue {
    let value = InputValue::new(&member.name, type_ref(member)).description(&member.doc);
    match &member.deprecated {
        Some(reason) => value.deprecation(Some(reason)),
        None => value,
    }
}

/// A field that the engine answers. Should anything else ever ask for it, it refuses.
fn answered(member: &Member) -> Field {
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
        .fold(field.description(&member.doc), |field, argument| field.argument(given(argument)))
}

/// A subscription, which the engine answers alone as well.
fn followed(member: &Member) -> SubscriptionField {
    let field = SubscriptionField::new(&member.name, type_ref(member), |_| {
        SubscriptionFieldFuture::new(async {
            Err::<Empty<async_graphql::Result<async_graphql::Value>>, _>(async_graphql::Error::new(
                "subscriptions are answered by the engine alone",
            ))
        })
    });
    let field = field.description(&member.doc);
    member.arguments.iter().fold(field, |field, argument| field.argument(given(argument)))
}

pub(super) fn read(coordinate: String) -> Need {
    Need::May(Action::Read, coordinate)
}

/// That anything of a type can be read: its key, which is never null, can.
pub(super) fn readable(object: &ObjectType) -> Need {
    read(format!("{}.{}", object.name, object.key))
}

/// What giving a value needs.
pub(super) fn needs_of(right: &Right) -> Vec<Need> {
    let mut needs = vec![Need::May(right.action(), right.coordinate())];
    // Where values may be withheld row by row, nobody changes them blindly.
    if matches!(right, Right::OnField(Action::Update, _, field) if field.cover.is_some()) {
        needs.push(Need::NothingWithheld);
    }
    needs
}

pub(super) fn enumeration<'a>(
    name: impl Into<String>,
    doc: &str,
    values: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Type {
    Type::enumeration(name, doc, values.into_iter().map(|(value, doc)| Member::value(value, doc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model {
        let read = |coordinate: &str| Need::May(Action::Read, coordinate.to_owned());
        let text = || TypeRef::named(TypeRef::STRING);
        Model::default()
            .register(
                Type::object("Query", "q")
                    .field(
                        Member::new("a", TypeRef::named("A"), "d").needs([read("a")]).argument(Member::new(
                            "filter",
                            TypeRef::named("Filter"),
                            "d",
                        )),
                    )
                    .field(Member::new("open", text(), "d")),
            )
            .register(Type::object("Mutation", "m").field(
                Member::new("write", TypeRef::named("A"), "d").argument(Member::new(
                    "input",
                    TypeRef::named_nn("Input"),
                    "d",
                )),
            ))
            .register(
                Type::input("Input", "i")
                    .field(Member::new("must", TypeRef::named_nn("Word"), "d").needs([read("must")]))
                    .field(Member::new("can", text(), "d")),
            )
            .register(Type::enumeration("Word", "w", [Member::value("X", "d").needs([read("x")])]))
            .register(
                Type::object("A", "a").field(Member::new("b", TypeRef::named("B"), "d")).field(Member::new(
                    "id",
                    TypeRef::named_nn(TypeRef::ID),
                    "d",
                )),
            )
            .register(Type::object("B", "b").field(Member::new("c", text(), "d").needs([read("c")])))
            .register(
                Type::input("Filter", "f")
                    .field(Member::new("and", TypeRef::named_nn_list("Filter"), "d").joining())
                    .field(Member::new("c", text(), "d").needs([read("c")])),
            )
    }

    fn shown(rights: &[&str]) -> Vec<String> {
        let allowed = |need: &Need| matches!(need, Need::May(_, what) if rights.contains(&what.as_str()));
        let model = model();
        let shown = model.shown(&allowed);
        // Whatever is shown makes a schema.
        model.only(&shown).schema(async_graphql::ValidationMode::Strict).unwrap();
        shown.into_iter().filter(|name| !name.starts_with("Query.open")).collect()
    }

    #[test]
    fn what_cannot_be_used_goes_with_what_it_needs() {
        assert_eq!(shown(&[]), ["Query"]);
        assert_eq!(shown(&["a"]), ["A", "A.id", "Query", "Query.a"]);
        assert_eq!(
            shown(&["a", "c"]),
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
        assert_eq!(shown(&["must"]), ["Query"]);
        assert_eq!(shown(&["x"]), ["Query"]);
        assert!(shown(&["must", "x"]).contains(&"Mutation.write(input:)".to_owned()));
    }
}
