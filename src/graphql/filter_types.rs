//! Filter and order types of the schema, derived from the filterable fields of the registry. Room: graphql.

use std::collections::BTreeSet;

use async_graphql::dynamic::TypeRef;

use crate::graphql::schema_model::{
    MemberDef, Model, Requirement, Type, can_read_any, enumeration, requirements_of,
};
use crate::{
    policy::Action,
    registry::{
        ENUMS, Field, FieldSource, InputField, InputKind, InputType, MUTATIONS, OBJECTS, ObjectType, Right,
        Scalar,
    },
};

/// The filter type for `field`, if lists can be filtered by it.
fn filter_type(field: &Field) -> Option<String> {
    match field.source {
        _ if !field.filterable => None,
        FieldSource::Column { scalar: Scalar::Id, .. } => Some("IdFilter".to_owned()),
        FieldSource::Column { scalar: Scalar::DateTime, .. } => Some("DateTimeFilter".to_owned()),
        FieldSource::Column { scalar: Scalar::Enum(declared) | Scalar::Expiring(declared), .. } => {
            Some(format!("{}Filter", declared.name))
        }
        FieldSource::Column { scalar: Scalar::Text, folded: None, .. } => Some("WordFilter".to_owned()),
        FieldSource::One { object, .. } if matches!(object.key_scalar(), Scalar::Id) => {
            Some("IdFilter".to_owned())
        }
        FieldSource::One { .. } => Some("WordFilter".to_owned()),
        FieldSource::Column { scalar: Scalar::Text, .. } => Some("TextFilter".to_owned()),
        read if read.is_flag() => Some(TypeRef::BOOLEAN.to_owned()),
        _ => None,
    }
}

/// The requirements for comparing by a field: reading it in full and, for a relation, reading its target type.
fn comparison_requirements(object: &ObjectType, field: &Field) -> Vec<Requirement> {
    let mut requirements = vec![Requirement::Can(Action::Read, format!("{}.{}", object.name, field.name))];
    if let FieldSource::One { object, .. } = field.source {
        requirements.push(can_read_any(object));
    }
    requirements
}

/// Adds the filter, order and order field types of a connection.
pub(super) fn with_connection_inputs(model: Model, object: &ObjectType, plural: &str) -> Model {
    let name = format!("{plural}Filter");
    let nested = || TypeRef::named_nn_list(&name);
    let doc = "All that is given must hold. A field must be fully readable to be filtered by.";
    let mut filter = Type::input(&name, doc)
        .field(MemberDef::new("and", nested(), "All of these hold.").combinator())
        .field(MemberDef::new("or", nested(), "At least one of these holds.").combinator())
        .field(MemberDef::new("not", TypeRef::named(&name), "This does not hold.").combinator());
    let mut values = Vec::new();
    for field in object.fields {
        if let Some(filter_type) = filter_type(field) {
            let requirements = comparison_requirements(object, field);
            let member = |name: &str| {
                MemberDef::new(name, TypeRef::named(&filter_type), field.doc)
                    .requires(requirements.iter().cloned())
            };
            filter = match field.filter_name {
                Some(name) => filter.field(member(name)).field(member(field.name).old_name_of(name)),
                None => filter.field(member(field.name)),
            };
            if !field.source.is_flag() {
                values.push(MemberDef::value(field.enum_name(), field.doc).requires(requirements));
            }
        }
    }
    model
        .register(filter)
        .register(Type::enumeration(format!("{plural}OrderField"), "What a list is ordered by.", values))
        .register(
            Type::input(format!("{plural}Order"), "One step of an order.")
                .field(MemberDef::new(
                    "field",
                    TypeRef::named_nn(format!("{plural}OrderField")),
                    "The field, fully readable.",
                ))
                .field(MemberDef::new(
                    "direction",
                    TypeRef::named("Direction"),
                    "The direction; ASC if absent.",
                )),
        )
}

fn comparison(name: &str, ty: &str, doc: &str) -> MemberDef {
    MemberDef::new(name, TypeRef::named(ty), doc)
}

fn in_list(ty: &str) -> MemberDef {
    MemberDef::new("in", TypeRef::named_nn_list(ty), "Equal to one of these.")
}

fn is_null() -> MemberDef {
    comparison("isNull", TypeRef::BOOLEAN, "Whether there is no value.")
}

/// Adds the types that all filters and orders share.
pub(super) fn with_shared_filters(model: Model) -> Model {
    let text = Type::input("TextFilter", "Compares text, case and accents aside.")
        .field(comparison("eq", TypeRef::STRING, "Equal."))
        .field(in_list(TypeRef::STRING))
        .field(comparison("startsWith", TypeRef::STRING, "Begins with this."))
        .field(comparison("contains", TypeRef::STRING, "Contains this."))
        .field(is_null());
    let word = Type::input("WordFilter", "Compares words exactly.")
        .field(comparison("eq", TypeRef::STRING, "Equal."))
        .field(in_list(TypeRef::STRING))
        .field(is_null());
    let id = Type::input("IdFilter", "Compares ids.")
        .field(comparison("eq", TypeRef::ID, "Equal."))
        .field(in_list(TypeRef::ID));
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
            filter.field(comparison(name, "DateTime", doc))
        })
        .field(is_null());
    let model = model.register(text).register(word).register(id).register(time).register(enumeration(
        "Direction",
        "Direction of an order.",
        [("ASC", "Ascending, missing values last."), ("DESC", "Descending, missing values first.")],
    ));
    let is_filtered = |name: &str| {
        let mut fields =
            OBJECTS.iter().filter(|object| object.plural.is_some()).flat_map(|object| object.fields);
        fields.any(|field| filter_type(field).is_some_and(|filter| filter == format!("{name}Filter")))
    };
    ENUMS.iter().filter(|declared| is_filtered(declared.name)).fold(model, |model, declared| {
        model.register(
            Type::input(format!("{}Filter", declared.name), "Compares values of an enum.")
                .field(comparison("eq", declared.name, "Equal."))
                .field(in_list(declared.name))
                .field(is_null()),
        )
    })
}

/// Adds the input types of mutations, each once.
pub(super) fn with_mutation_inputs(mut model: Model) -> Model {
    let mut seen = BTreeSet::new();
    for mutation in MUTATIONS {
        model = with_input_type(model, mutation.input, &mut seen);
    }
    model
}

fn with_input_type(mut model: Model, ty: &'static InputType, seen: &mut BTreeSet<String>) -> Model {
    if !seen.insert(ty.name.to_owned()) {
        return model;
    }
    let mut input = Type::input(ty.name, ty.doc);
    for field in ty.all() {
        match field.kind {
            InputKind::Object(nested) => model = with_input_type(model, nested, seen),
            InputKind::FieldNames(object) if seen.insert(field_enum_name(object)) => {
                // Field names are accepted where the fields can be updated.
                let values = object.writable_fields().map(|(field, _)| {
                    let right = Right::OnField(Action::Update, object, field);
                    MemberDef::value(field.enum_name(), field.doc).requires(requirements_of(&right))
                });
                let doc = format!("A field of {} that may be given.", object.name);
                model = model.register(Type::enumeration(field_enum_name(object), &doc, values));
            }
            _ => {}
        }
        input = input_members(&field).into_iter().fold(input, Type::field);
    }
    model.register(input)
}

/// The members for an input field or an argument: its name and its old name, if there is one. If there are two, neither
/// is required by its type.
pub(super) fn input_members(field: &InputField) -> Vec<MemberDef> {
    let member = |field: &InputField, doc: &str| {
        let requirements = field.right.iter().flat_map(requirements_of);
        MemberDef::new(field.name, input_type_ref(field), doc).requires(requirements)
    };
    let Some(deprecated) = field.as_deprecated() else { return vec![member(field, field.doc)] };
    let current = match field.required {
        true => member(field, &format!("{} Must be given.", field.doc)).must_be_given(),
        false => member(field, field.doc),
    };
    vec![current, member(&deprecated, field.doc).old_name_of(field.name)]
}

fn field_enum_name(object: &ObjectType) -> String {
    format!("{}Field", object.name)
}

fn input_type_ref(field: &InputField) -> TypeRef {
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
        InputKind::Enum(declared) => named(declared.name),
        InputKind::Object(ty) => named(ty.name),
        InputKind::Words if required => TypeRef::named_nn_list_nn(TypeRef::STRING),
        InputKind::Words => TypeRef::named_nn_list(TypeRef::STRING),
        InputKind::FieldNames(object) => TypeRef::named_nn_list(field_enum_name(object)),
    }
}
