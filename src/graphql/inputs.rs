//! Filters and orders of the schema, derived from the comparable fields of the register (floor 5).

use async_graphql::dynamic::{InputObject, InputValue, SchemaBuilder, TypeRef};

use super::schema::{argument, enumeration};
use std::collections::BTreeSet;

use crate::register::{
    ENUMS, Field, Given, InputField, InputKind, InputType, MUTATIONS, OBJECTS, ObjectType, Read, Scalar,
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
        _ => None,
    }
}

/// Registers filter, order and order field of a connection.
pub(super) fn register(schema: SchemaBuilder, object: &ObjectType, plural: &str) -> SchemaBuilder {
    let name = format!("{plural}Filter");
    let nested = || TypeRef::named_nn_list(&name);
    let mut filter = InputObject::new(&name)
        .description("All that is given must hold. A field must be fully readable to be filtered by.")
        .field(argument("and", nested(), "All of these hold."))
        .field(argument("or", nested(), "At least one of these holds."))
        .field(argument("not", TypeRef::named(&name), "This does not hold."));
    let mut values = Vec::new();
    for field in object.fields {
        if let Some(of) = filter_of(field) {
            filter = filter.field(argument(field.name, TypeRef::named(of), field.doc));
            values.push((field.order_name(), field.doc));
        }
    }
    let values = values.iter().map(|(value, doc)| (value.as_str(), *doc));
    schema
        .register(filter)
        .register(enumeration(format!("{plural}OrderField"), "What a list is ordered by.", values))
        .register(
            InputObject::new(format!("{plural}Order"))
                .description("One step of an order.")
                .field(argument(
                    "field",
                    TypeRef::named_nn(format!("{plural}OrderField")),
                    "The field, fully readable.",
                ))
                .field(argument("direction", TypeRef::named_nn("Direction"), "The direction.")),
        )
}

fn compare(name: &str, ty: &str, doc: &str) -> InputValue {
    argument(name, TypeRef::named(ty), doc)
}

fn among(ty: &str) -> InputValue {
    argument("in", TypeRef::named_nn_list(ty), "Equal to one of these.")
}

fn is_null() -> InputValue {
    compare("isNull", TypeRef::BOOLEAN, "Whether there is no value.")
}

/// Registers what all filters and orders share.
pub(super) fn shared(schema: SchemaBuilder) -> SchemaBuilder {
    let text = InputObject::new("TextFilter")
        .description("Compares text, case and accents aside.")
        .field(compare("eq", TypeRef::STRING, "Equal."))
        .field(among(TypeRef::STRING))
        .field(compare("startsWith", TypeRef::STRING, "Begins with this."))
        .field(compare("contains", TypeRef::STRING, "Contains this."))
        .field(is_null());
    let word = InputObject::new("WordFilter")
        .description("Compares words exactly.")
        .field(compare("eq", TypeRef::STRING, "Equal."))
        .field(among(TypeRef::STRING))
        .field(is_null());
    let id = InputObject::new("IdFilter")
        .description("Compares ids.")
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
        .fold(InputObject::new("DateTimeFilter").description("Compares instants."), |filter, (name, doc)| {
            filter.field(compare(name, "DateTime", doc))
        })
        .field(is_null());
    let schema = schema.register(text).register(word).register(id).register(time).register(enumeration(
        "Direction",
        "Direction of an order.",
        [("ASC", "Ascending, missing values last."), ("DESC", "Descending, missing values first.")],
    ));
    let filtered = |name: &str| {
        let mut fields =
            OBJECTS.iter().filter(|object| object.plural.is_some()).flat_map(|object| object.fields);
        fields.any(|field| filter_of(field).is_some_and(|filter| filter == format!("{name}Filter")))
    };
    ENUMS.iter().filter(|declared| filtered(declared.name)).fold(schema, |schema, declared| {
        schema.register(
            InputObject::new(format!("{}Filter", declared.name))
                .description("Compares values of an enum.")
                .field(compare("eq", declared.name, "Equal."))
                .field(among(declared.name))
                .field(is_null()),
        )
    })
}

/// Registers what mutations take, each type once.
pub(super) fn given(mut schema: SchemaBuilder) -> SchemaBuilder {
    let mut known = BTreeSet::new();
    for mutation in MUTATIONS {
        if let Given::Input(ty) = mutation.given {
            schema = input_type(schema, ty, &mut known);
        }
    }
    schema
}

fn input_type(
    mut schema: SchemaBuilder,
    ty: &'static InputType,
    known: &mut BTreeSet<String>,
) -> SchemaBuilder {
    if !known.insert(ty.name.to_owned()) {
        return schema;
    }
    let mut input = InputObject::new(ty.name).description(ty.doc);
    for field in ty.all() {
        match field.kind {
            InputKind::Object(nested) => schema = input_type(schema, nested, known),
            InputKind::FieldNames(object) if known.insert(names_of(object)) => {
                let values: Vec<_> =
                    object.given().map(|(field, _)| (field.order_name(), field.doc)).collect();
                let values = values.iter().map(|(name, doc)| (name.as_str(), *doc));
                let doc = format!("A field of {} that may be given.", object.name);
                schema = schema.register(enumeration(names_of(object), &doc, values));
            }
            _ => {}
        }
        input = input.field(argument(field.name, type_of(&field), field.doc));
    }
    schema.register(input)
}

fn names_of(object: &ObjectType) -> String {
    format!("{}Field", object.name)
}

fn type_of(field: &InputField) -> TypeRef {
    let named = |name: &str| match field.required {
        true => TypeRef::named_nn(name),
        false => TypeRef::named(name),
    };
    match field.kind {
        InputKind::Id => named(TypeRef::ID),
        InputKind::Text(_) | InputKind::Word => named(TypeRef::STRING),
        InputKind::Time => named("DateTime"),
        InputKind::Int => named(TypeRef::INT),
        InputKind::Enum(of) => named(of.name),
        InputKind::Object(ty) => named(ty.name),
        InputKind::Words if field.required => TypeRef::named_nn_list_nn(TypeRef::STRING),
        InputKind::Words => TypeRef::named_nn_list(TypeRef::STRING),
        InputKind::FieldNames(object) => TypeRef::named_nn_list(names_of(object)),
    }
}
