//! The schema of the API, derived from the register: nothing is named twice (floor 5).
//!
//! It parses, validates and answers introspection. Its resolvers serve nothing: data is read by the governed
//! engine alone, so that there is no second way to a field.

use async_graphql::dynamic::{
    Enum, EnumItem, Field, FieldFuture, InputValue, Object, Scalar as ScalarType, Schema, SchemaBuilder,
    SchemaError, TypeRef,
};

use super::inputs;
use std::collections::BTreeSet;

use crate::register::{
    Category, ENUMS, Given, MUTATIONS, Mutation, OBJECTS, ObjectType, ROOTS, Read, Root, RootField, Scalar,
};

/// Builds the schema.
///
/// # Errors
/// The register contradicts itself, e.g. a field of an unknown type.
pub fn build() -> Result<Schema, SchemaError> {
    let mut query = Object::new("Query").description("What can be read. Each operation is for one purpose.");
    for root in ROOTS {
        query = query.field(root_field(root));
    }
    let mut mutation = Object::new("Mutation").description(
        "What can be written. Each mutation is one transaction with its audit entry, or nothing.",
    );
    for declared in MUTATIONS {
        mutation = mutation.field(mutation_field(declared));
    }
    let mut schema = Schema::build("Query", Some("Mutation"), None)
        .register(query)
        .register(mutation)
        .register(
            ScalarType::new("DateTime")
                .description("An instant in UTC, RFC 3339, e.g. 2026-11-02T09:00:00.123456Z."),
        )
        .register(ScalarType::new("JSON").description("A JSON object."))
        .disable_suggestions();
    for declared in ENUMS {
        schema = schema.register(enumeration(declared.name, declared.doc, declared.values.iter().copied()));
    }
    for object in OBJECTS {
        schema = schema.register(governed(object));
        if let Some(plural) = object.plural {
            schema = inputs::register(connection(schema, object, plural), object, plural);
        }
    }
    technical(payloads(inputs::given(inputs::shared(schema)))).finish()
}

fn mutation_field(mutation: &'static Mutation) -> Field {
    let field = engine_field(mutation.name, TypeRef::named(mutation.payload.name), mutation.doc);
    field.argument(match mutation.given {
        Given::Input(ty) => argument("input", TypeRef::named_nn(ty.name), "What is to be written."),
        Given::Id(_) => argument("id", TypeRef::named_nn(TypeRef::ID), "Which one."),
    })
}

/// The payloads of mutations, each once.
fn payloads(mut schema: SchemaBuilder) -> SchemaBuilder {
    let mut known = BTreeSet::new();
    for payload in MUTATIONS.iter().map(|mutation| mutation.payload) {
        if !known.insert(payload.name) {
            continue;
        }
        let object = payload.object.name;
        let mut of = Object::new(payload.name).description(payload.doc).field(engine_field(
            payload.one,
            TypeRef::named(object),
            "What was written; null where the caller may not see it.",
        ));
        if let Some(many) = payload.many {
            let doc = "All that was written, where it may be several, ordered by id.";
            of = of.field(engine_field(many, TypeRef::named_nn_list(object), doc));
        }
        if payload.secret {
            let doc = "The token itself, told this once; null where none was made.";
            of = of.field(engine_field("secret", TypeRef::named(TypeRef::STRING), doc));
        }
        schema = schema.register(of);
    }
    schema
}

/// A field that the engine answers. Should anything else ever ask for it, it refuses.
pub(super) fn engine_field(name: impl Into<String>, ty: TypeRef, doc: &str) -> Field {
    Field::new(name, ty, |_| {
        FieldFuture::new(async {
            Err::<Option<async_graphql::Value>, _>(async_graphql::Error::new(
                "fields are read by the engine alone",
            ))
        })
    })
    .description(doc)
}

pub(super) fn argument(name: &str, ty: TypeRef, doc: &str) -> InputValue {
    InputValue::new(name, ty).description(doc)
}

pub(super) fn enumeration<'a>(
    name: impl Into<String>,
    doc: &str,
    values: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Enum {
    values.into_iter().fold(Enum::new(name).description(doc), |of, (value, doc)| {
        of.item(EnumItem::new(value).description(doc))
    })
}

fn root_field(root: &RootField) -> Field {
    match root.root {
        Root::Viewer => engine_field(root.name, TypeRef::named_nn("Viewer"), root.doc),
        Root::One(object) => {
            let ty = if object.key == "id" { TypeRef::ID } else { TypeRef::STRING };
            engine_field(root.name, TypeRef::named(object.name), root.doc).argument(argument(
                object.key,
                TypeRef::named_nn(ty),
                "Which one.",
            ))
        }
        Root::List(object) => engine_field(root.name, TypeRef::named_nn_list(object.name), root.doc),
        Root::Connection(object) => {
            let plural = object.plural.unwrap_or(object.name);
            let field = engine_field(root.name, TypeRef::named(format!("{plural}Connection")), root.doc)
                .argument(argument("filter", TypeRef::named(format!("{plural}Filter")), "Which rows."));
            let field = if object.fields.iter().any(|field| field.searched) {
                field.argument(argument(
                    "search",
                    TypeRef::named(TypeRef::STRING),
                    "Words that must all occur, each in any field that may be fully read; case and accents aside.",
                ))
            } else {
                field
            };
            field
                .argument(argument(
                    "orderBy",
                    TypeRef::named_nn_list(format!("{plural}Order")),
                    "Order; by id where it leaves a tie.",
                ))
                .argument(argument(
                    "first",
                    TypeRef::named(TypeRef::INT),
                    "At most so many, 1 to 1,000; 50 by default.",
                ))
                .argument(argument(
                    "after",
                    TypeRef::named(TypeRef::STRING),
                    "Only what follows this cursor.",
                ))
                .argument(argument(
                    "last",
                    TypeRef::named(TypeRef::INT),
                    "At most so many from the end, 1 to 1,000.",
                ))
                .argument(argument(
                    "before",
                    TypeRef::named(TypeRef::STRING),
                    "Only what precedes this cursor.",
                ))
        }
        Root::ConsentState => engine_field(root.name, TypeRef::named("ConsentStatus"), root.doc)
            .argument(argument("contactId", TypeRef::named_nn(TypeRef::ID), "Of which contact."))
            .argument(argument("purpose", TypeRef::named_nn(TypeRef::STRING), "Code of the purpose."))
            .argument(argument("channel", TypeRef::named_nn("Channel"), "For which channel."))
            .argument(argument("at", TypeRef::named("DateTime"), "At which instant; now if absent.")),
        Root::ExplainAccess => engine_field(root.name, TypeRef::named("AccessExplanation"), root.doc)
            .argument(argument("coordinate", TypeRef::named_nn(TypeRef::STRING), "E.g. Contact.email."))
            .argument(argument("purpose", TypeRef::named_nn(TypeRef::STRING), "Code of a purpose."))
            .argument(argument(
                "role",
                TypeRef::named(TypeRef::STRING),
                "A role; the caller's own by default.",
            ))
            .argument(argument(
                "contactId",
                TypeRef::named(TypeRef::ID),
                "A contact that is visible to the caller.",
            )),
    }
}

fn governed(object: &'static ObjectType) -> Object {
    object.fields.iter().fold(Object::new(object.name).description(object.doc), |of, field| {
        let ty = match field.read {
            Read::Column { scalar, .. } => scalar_type(scalar, field.name == object.key),
            Read::Localised { .. } => TypeRef::named(TypeRef::STRING),
            Read::Overdue => TypeRef::named(TypeRef::BOOLEAN),
            Read::One { object, .. } => TypeRef::named(object.name),
            Read::Many { object, .. } => TypeRef::named_nn_list(object.name),
            Read::Connection { object, .. } => {
                TypeRef::named(format!("{}Connection", object.plural.unwrap_or(object.name)))
            }
        };
        let kind = match field.category {
            Category::Key => String::new(),
            category => format!(" Data category: {}.", category.as_str()),
        };
        let declared = engine_field(field.name, ty, &format!("{}{kind}", field.doc));
        of.field(match field.read {
            Read::Localised { .. } => declared.argument(argument(
                "language",
                TypeRef::named(TypeRef::STRING),
                "de or en; en by default.",
            )),
            Read::Connection { object, .. } => declared
                .argument(argument(
                    "first",
                    TypeRef::named(TypeRef::INT),
                    "At most so many, 1 to 1,000; 50 by default.",
                ))
                .argument(argument(
                    "after",
                    TypeRef::named(TypeRef::STRING),
                    "Only what follows this cursor; for a single parent.",
                ))
                .argument(argument(
                    "filter",
                    TypeRef::named(format!("{}Filter", object.plural.unwrap_or(object.name))),
                    "Which rows.",
                )),
            _ => declared,
        })
    })
}

fn scalar_type(scalar: Scalar, required: bool) -> TypeRef {
    let name = match scalar {
        Scalar::TextList => return TypeRef::named_nn_list(TypeRef::STRING),
        Scalar::EnumList(of) => return TypeRef::named_nn_list(of.name),
        Scalar::Id => TypeRef::ID,
        Scalar::Text | Scalar::Date => TypeRef::STRING,
        Scalar::Int => TypeRef::INT,
        Scalar::DateTime => "DateTime",
        Scalar::Enum(of) | Scalar::Expiring(of) => of.name,
        Scalar::Sealed { .. } => "JSON",
    };
    if required { TypeRef::named_nn(name) } else { TypeRef::named(name) }
}

fn connection(schema: SchemaBuilder, object: &ObjectType, plural: &str) -> SchemaBuilder {
    let edge = format!("{plural}Edge");
    schema
        .register(
            Object::new(format!("{plural}Connection"))
                .description("A page, after the Relay cursor connections specification.")
                .field(engine_field("edges", TypeRef::named_nn_list_nn(&edge), "Rows with their cursors."))
                .field(engine_field("nodes", TypeRef::named_nn_list_nn(object.name), "Rows alone."))
                .field(engine_field("pageInfo", TypeRef::named_nn("PageInfo"), "Whether there is more."))
                .field(engine_field(
                    "totalCount",
                    TypeRef::named(TypeRef::INT),
                    "Number of visible rows that match; has a rule of its own.",
                )),
        )
        .register(
            Object::new(edge)
                .description("A row with its cursor.")
                .field(engine_field("node", TypeRef::named_nn(object.name), "The row."))
                .field(engine_field(
                    "cursor",
                    TypeRef::named_nn(TypeRef::STRING),
                    "Sealed; of use to this caller, purpose and order only.",
                )),
        )
}

/// The types that hold no data of persons.
fn technical(schema: SchemaBuilder) -> SchemaBuilder {
    let text = || TypeRef::named_nn(TypeRef::STRING);
    let yes_or_no = || TypeRef::named_nn(TypeRef::BOOLEAN);
    schema
        .register(enumeration(
            "Decision",
            "What the policy decides.",
            [
                ("ALLOW", "The value is read."),
                ("MASK", "The masked value is read."),
                ("DENY", "Nothing is read."),
            ],
        ))
        .register(
            Object::new("PageInfo")
                .description("Whether there is more.")
                .field(engine_field("hasNextPage", yes_or_no(), "Whether more follows."))
                .field(engine_field("hasPreviousPage", yes_or_no(), "Whether more precedes."))
                .field(engine_field(
                    "startCursor",
                    TypeRef::named(TypeRef::STRING),
                    "Cursor of the first row.",
                ))
                .field(engine_field("endCursor", TypeRef::named(TypeRef::STRING), "Cursor of the last row.")),
        )
        .register(
            Object::new("Viewer")
                .description("The caller.")
                .field(engine_field("actorId", text(), "Id of the credential."))
                .field(engine_field(
                    "roles",
                    TypeRef::named_nn_list_nn(TypeRef::STRING),
                    "Roles of the credential.",
                ))
                .field(engine_field(
                    "permittedPurposes",
                    TypeRef::named_nn_list_nn("Purpose"),
                    "Purposes it may name in X-Processing-Purpose.",
                ))
                .field(engine_field("purpose", TypeRef::named("Purpose"), "The purpose of this operation."))
                .field(
                    engine_field(
                        "fields",
                        TypeRef::named_nn_list_nn("FieldAccess"),
                        "Decisions on the fields of a type.",
                    )
                    .argument(argument("type", text(), "Name of a type, e.g. Contact.")),
                ),
        )
        .register(
            Object::new("FieldAccess")
                .description("What the caller may do with a field.")
                .field(engine_field("coordinate", text(), "E.g. Contact.email."))
                .field(engine_field("category", text(), "Data category."))
                .field(engine_field("decision", TypeRef::named_nn("Decision"), "For reading."))
                .field(engine_field("create", yes_or_no(), "Whether it may be given when a record is made."))
                .field(engine_field("update", yes_or_no(), "Whether it may be changed.")),
        )
        .register(
            Object::new("AccessExplanation")
                .description("Why a role may or may not use a field for a purpose.")
                .field(engine_field("coordinate", text(), "The field."))
                .field(engine_field("purpose", text(), "The purpose."))
                .field(engine_field(
                    "roles",
                    TypeRef::named_nn_list_nn(TypeRef::STRING),
                    "The roles asked about.",
                ))
                .field(engine_field("decision", TypeRef::named_nn("Decision"), "The decision."))
                .field(engine_field(
                    "rules",
                    TypeRef::named_nn_list_nn("PolicyRule"),
                    "The rules that made it.",
                ))
                .field(engine_field(
                    "contactVisible",
                    TypeRef::named(TypeRef::BOOLEAN),
                    "Whether the contact has a ground for the purpose; null where none was asked about.",
                )),
        )
        .register(
            Object::new("PolicyRule")
                .description("A line of the policy.")
                .field(engine_field("line", TypeRef::named_nn(TypeRef::INT), "Line number."))
                .field(engine_field("text", text(), "The line.")),
        )
}
