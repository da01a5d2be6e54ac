//! Filters and orders of the schema, derived from the comparable fields of the registry. Room: graphql.

use std::collections::BTreeSet;

use async_graphql::dynamic::TypeRef;

use crate::graphql::schema_model::{Member, Model, Need, Type, enumeration, needs_of, readable};
use crate::{
    policy::Action,
    registry::{
        ENUMS, Field, InputField, InputKind, InputType, MUTATIONS, OBJECTS, ObjectType, Read, Right, Scalar,
    },
};

/// The filter type for values of `field`, where lists can be filtered by it.
fn filter_of(field: &Field) -> Option<String> {
    match field.read {
        _ if !field.comparable => None,
        Read::Column { scalar: Scalar::Id, .. } => Some("IdFilter".to_owned()),
        Read::Column { scalar: Scalar::DateTime, .. } => Some("DateTimeFilter".to_owned()),
        Read::Column { scalar: Scalar::Enum(of) | Scalar::Expiring(of), .. } => {
            Some(format!("{}Filter", of.name))
        }
        Read::Column { scalar: Scalar::Text, folded: None, .. } => Some("WordFilter".to_owned()),
        Read::One { object, .. } if matches!(object.key_scalar(), Scalar::Id) => Some("IdFilter".to_owned()),
        Read::One { .. } => Some("WordFilter".to_owned()),
        Read::Column { scalar: Scalar::Text, .. } => Some("TextFilter".to_owned()),
        read if read.is_flag() => Some(TypeRef::BOOLEAN.to_owned()),
        _ => None,
    }
}

/// What comparing by a field needs: to read it in full, and of a link something behind it.
fn compared(object: &ObjectType, field: &Field) -> Vec<Need> {
    let mut needs = vec![Need::May(Action::Read, format!("{}.{}", object.name, field.name))];
    if let Read::One { object, .. } = field.read {
        needs.push(readable(object));
    }
    needs
}

/// Registers filter, order and order field of a connection.
pub(super) fn register(model: Model, object: &ObjectType, plural: &str) -> Model {
    let name = format!("{plural}Filter");
    let nested = || TypeRef::named_nn_list(&name);
    let doc = "All that is given must hold. A field must be fully readable to be filtered by.";
    let mut filter = Type::input(&name, doc)
        .field(Member::new("and", nested(), "All of these hold.").joining())
        .field(Member::new("or", nested(), "At least one of these holds.").joining())
        .field(Member::new("not", TypeRef::named(&name), "This does not hold.").joining());
    let mut values = Vec::new();
    for field in object.fields {
        if let Some(of) = filter_of(field) {
            let needs = compared(object, field);
            let member =
                |name: &str| Member::new(name, TypeRef::named(&of), field.doc).needs(needs.iter().cloned());
            filter = match field.filtered_as {
                Some(name) => filter.field(member(name)).field(member(field.name).old_name_of(name)),
                None => filter.field(member(field.name)),
            };
            if !field.read.is_flag() {
                values.push(Member::value(field.order_name(), field.doc).needs(needs));
            }
        }
    }
    model
        .register(filter)
        .register(Type::enumeration(format!("{plural}OrderField"), "What a list is ordered by.", values))
        .register(
            Type::input(format!("{plural}Order"), "One step of an order.")
                .field(Member::new(
                    "field",
                    TypeRef::named_nn(format!("{plural}OrderField")),
                    "The field, fully readable.",
                ))
                .field(Member::new(
                    "direction",
                    TypeRef::named("Direction"),
                    "The direction; ASC if absent.",
                )),
        )
}

fn compare(name: &str, ty: &str, doc: &str) -> Member {
    Member::new(name, TypeRef::named(ty), doc)
}

fn among(ty: &str) -> Member {
    Member::new("in", TypeRef::named_nn_list(ty), "Equal to one of these.")
}

fn is_null() -> Member {
    compare("isNull", TypeRef::BOOLEAN, "Whether there is no value.")
}

/// Registers what all filters and orders share.
pub(super) fn shared(model: Model) -> Model {
    let text = Type::input("TextFilter", "Compares text, case and accents aside.")
        .field(compare("eq", TypeRef::STRING, "Equal."))
        .field(among(TypeRef::STRING))
        .field(compare("startsWith", TypeRef::STRING, "Begins with this."))
        .field(compare("contains", TypeRef::STRING, "Contains this."))
        .field(is_null());
    let word = Type::input("WordFilter", "Compares words exactly.")
        .field(compare("eq", TypeRef::STRING, "Equal."))
        .field(among(TypeRef::STRING))
        .field(is_null());
    let id = Type::input("IdFilter", "Compares ids.")
        .field(compare("eq", TypeRef::ID, "Equal."))
        .field(among(TypeRef::ID));
    let instants = [
        ("eq", "At this instant."),
        ("lt", "Before it."),
        ("lte", "Before or at it."),
        ("gt", "After it."),
        ("gte", "After or at it."),
    ];
    let time = instants
        .iter()
        .fold(Type::input("DateTimeFilter", "Compares instants."), |filter, (name, doc)| {
            filter.field(compare(name, "DateTime", doc))
        })
        .field(is_null());
    let model = model.register(text).register(word).register(id).register(time).register(enumeration(
        "Direction",
        "Direction of an order.",
        [("ASC", "Ascending, missing values last."), ("DESC", "Descending, missing values first.")],
    ));
    let filtered = |name: &str| {
        let mut fields =
            OBJECTS.iter().filter(|object| object.plural.is_some()).flat_map(|object| object.fields);
        fields.any(|field| filter_of(field).is_some_and(|filter| filter == format!("{name}Filter")))
    };
    ENUMS.iter().filter(|declared| filtered(declared.name)).fold(model, |model, declared| {
        model.register(
            Type::input(format!("{}Filter", declared.name), "Compares values of an enum.")
                .field(compare("eq", declared.name, "Equal."))
                .field(among(declared.name))
                .field(is_null()),
        )
    })
}

/// Registers what mutations take, each type once.
pub(super) fn given(mut model: Model) -> Model {
    let mut known = BTreeSet::new();
    for mutation in MUTATIONS {
        model = input_type(model, mutation.input, &mut known);
    }
    model
}

fn input_type(mut model: Model, ty: &'static InputType, known: &mut BTreeSet<String>) -> Model {
    if !known.insert(ty.name.to_owned()) {
        return model;
    }
    let mut input = Type::input(ty.name, ty.doc);
    for field in ty.all() {
        match field.kind {
            InputKind::Object(nested) => model = input_type(model, nested, known),
            InputKind::FieldNames(object) if known.insert(names_of(object)) => {
                // Names are given where the fields are changed.
                let values = object.given().map(|(field, _)| {
                    let right = Right::OnField(Action::Update, object, field);
                    Member::value(field.order_name(), field.doc).needs(needs_of(&right))
                });
                let doc = format!("A field of {} that may be given.", object.name);
                model = model.register(Type::enumeration(names_of(object), &doc, values));
            }
            _ => {}
        }
        input = members(&field).into_iter().fold(input, Type::field);
    }
    model.register(input)
}

/// The members that an input field or an argument is given by: its name and, where there is one, its old name. Where there are two,
/// neither is required by its type.
pub(super) fn members(field: &InputField) -> Vec<Member> {
    let member = |field: &InputField, doc: &str| {
        let needs = field.right.iter().flat_map(needs_of);
        Member::new(field.name, type_of(field), doc).needs(needs)
    };
    let Some(former) = field.former() else { return vec![member(field, field.doc)] };
    let one = match field.required {
        true => member(field, &format!("{} Must be given.", field.doc)).needed(),
        false => member(field, field.doc),
    };
    vec![one, member(&former, field.doc).old_name_of(field.name)]
}

fn names_of(object: &ObjectType) -> String {
    format!("{}Field", object.name)
}

fn type_of(field: &InputField) -> TypeRef {
    let required = field.is_required();
    let named = |name: &str| match required {
        true => TypeRef::named_nn(name),
        false => TypeRef::named(name),
    };
    match field.kind {
        InputKind::Id => named(TypeRef::ID),
        InputKind::Text(_) | InputKind::Word | InputKind::Purpose => named(TypeRef::STRING),
        InputKind::Time => named("DateTime"),
        InputKind::Int => named(TypeRef::INT),
        InputKind::Enum(of) => named(of.name),
        InputKind::Object(ty) => named(ty.name),
        InputKind::Words if required => TypeRef::named_nn_list_nn(TypeRef::STRING),
        InputKind::Words => TypeRef::named_nn_list(TypeRef::STRING),
        InputKind::FieldNames(object) => TypeRef::named_nn_list(names_of(object)),
    }
}
