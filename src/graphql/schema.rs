//! The schema of the API, derived from the registry. Room: graphql.
//!
//! The schema parses, validates and answers introspection. Its resolvers return no data: only the engine reads data, so
//! there is no second way to a field. Each member states its requirements, in the terms of the plan, so that a caller
//! sees exactly what it may use.

use std::collections::BTreeSet;

use async_graphql::{
    ValidationMode,
    dynamic::{Schema, SchemaError, TypeRef},
};

use crate::graphql::{
    filter_types,
    schema_model::{
        MemberDef, Model, Requirement, Type, can_read, can_read_any, enumeration, requirements_of,
    },
    viewer_types::with_viewer_types,
};
use crate::{
    policy::Action,
    registry::{
        DataCategory, ENUMS, EXPLAINED_ROLES, FieldSource, MUTATIONS, Mutation, OBJECTS, ObjectType,
        RECEIPT_CONSENT_ID, ROOTS, RootField, RootKind, SUBSCRIPTIONS, Scalar, SubscriptionField,
        receipt_coordinates,
    },
};

/// Builds the schema.
///
/// # Errors
/// The registry contradicts itself, e.g. a field of an unknown type.
pub fn build() -> Result<Schema, SchemaError> {
    model().schema(ValidationMode::Strict)
}

/// Every type of the API.
pub(super) fn model() -> Model {
    let query = ROOTS
        .iter()
        .flat_map(root_fields)
        .fold(Type::object("Query", "What can be read. Each operation is for one purpose."), Type::field);
    let mutation = MUTATIONS.iter().map(mutation_field).fold(
        Type::object(
            "Mutation",
            "What can be written. Each mutation is one transaction with its audit entry, or nothing.",
        ),
        Type::field,
    );
    let subscription = SUBSCRIPTIONS.iter().map(subscription_field).fold(
        Type::object(
            "Subscription",
            "What can be followed, over WebSocket. Every event is decided anew, as a read at that instant.",
        ),
        Type::field,
    );
    let mut model = Model::default()
        .register(query)
        .register(mutation)
        .register(subscription)
        .register(Type::scalar("DateTime", "An instant in UTC, RFC 3339, e.g. 2026-11-02T09:00:00.123456Z."))
        .register(Type::scalar("JSON", "A JSON object."));
    for declared in ENUMS {
        model = model.register(enumeration(declared.name, declared.doc, declared.values.iter().copied()));
    }
    for object in OBJECTS {
        model = model.register(object_type(object));
        if let Some(plural) = object.plural {
            model =
                filter_types::with_connection_inputs(with_connection(model, object, plural), object, plural);
        }
    }
    with_viewer_types(with_payloads(filter_types::with_mutation_inputs(filter_types::with_shared_filters(
        model,
    ))))
}

/// Requires the action `execute` on a root field.
fn execute(root: &str, name: &str) -> Requirement {
    Requirement::Can(Action::Execute, format!("{root}.{name}"))
}

/// The times that can be derived from the status of a consent at chosen instants.
const CONSENT_TIMES: [&str; 4] = ["declaredAt", "grantedAt", "withdrawnAt", "expiresAt"];

fn mutation_field(mutation: &Mutation) -> MemberDef {
    let field = MemberDef::new(mutation.name, TypeRef::named(mutation.payload.name), mutation.doc)
        .requires([execute("Mutation", mutation.name)])
        .requires(mutation.required_rights().iter().flat_map(requirements_of))
        .requires(mutation.requires_full_access.map(|_| Requirement::SeesAll));
    let (name, doc) = (mutation.input.name, "What is to be written.");
    let Some(deprecated_input) = mutation.deprecated_argument() else {
        return field.argument(MemberDef::new("input", TypeRef::named_nn(name), doc));
    };
    let input =
        MemberDef::new("input", TypeRef::named(name), &format!("{doc} Must be given.")).must_be_given();
    let members = filter_types::input_members(&deprecated_input).into_iter();
    let members = members.map(|member| member.old_name_of("input"));
    members.fold(field.argument(input), MemberDef::argument)
}

fn subscription_field(subscription: &SubscriptionField) -> MemberDef {
    let plural = subscription.object.plural.unwrap_or(subscription.object.name);
    let filter = MemberDef::new("filter", TypeRef::named(format!("{plural}Filter")), "Which rows.");
    MemberDef::new(subscription.name, TypeRef::named(subscription.object.name), subscription.doc)
        .requires([execute("Subscription", subscription.name), can_read_any(subscription.object)])
        .argument(filter)
}

/// Adds the payload types of mutations, each once.
fn with_payloads(mut model: Model) -> Model {
    let mut seen = BTreeSet::new();
    for payload in MUTATIONS.iter().map(|mutation| mutation.payload) {
        if !seen.insert(payload.name) {
            continue;
        }
        let object = payload.object.name;
        let doc = "What was written; null where the caller may not see it.";
        let node = MemberDef::new(payload.row_field, TypeRef::named(object), doc);
        let mut ty =
            Type::object(payload.name, payload.doc).field(node.requires([can_read_any(payload.object)]));
        if let Some(nodes) = payload.list_field {
            let doc = "All that was written, where it may be several, ordered by id.";
            let nodes = MemberDef::new(nodes, TypeRef::named_nn_list(object), doc);
            ty = ty.field(nodes.requires([can_read_any(payload.object)]));
        }
        if payload.secret {
            let doc = "The token itself, told this once; null where none was made.";
            ty = ty.field(MemberDef::new("secret", TypeRef::named(TypeRef::STRING), doc));
        }
        model = model.register(ty);
    }
    model
}

/// A root query field under its name and, if it has one, under its old name.
fn root_fields(root: &RootField) -> Vec<MemberDef> {
    let old = root.was.map(|was| root_field(root, was).old_name_of(root.name));
    std::iter::once(root_field(root, root.name)).chain(old).collect()
}

/// A root field with its requirements. Every field but the viewer requires `execute`; a field that returns rows
/// requires that something of them is readable.
fn root_field(root: &RootField, name: &str) -> MemberDef {
    let requirements = match root.kind {
        RootKind::Viewer => return root_field_with_arguments(root, name),
        RootKind::One(object) | RootKind::List(object) | RootKind::Connection(object) => {
            vec![can_read_any(object)]
        }
        RootKind::ConsentState => vec![can_read("Consent.status".to_owned())],
        RootKind::ConsentReceipt => receipt_coordinates().into_iter().map(can_read).collect(),
        RootKind::ExplainAccess => Vec::new(),
    };
    root_field_with_arguments(root, name).requires([execute("Query", root.name)]).requires(requirements)
}

/// A root field with its arguments.
fn root_field_with_arguments(root: &RootField, name: &str) -> MemberDef {
    match root.kind {
        RootKind::Viewer => MemberDef::new(name, TypeRef::named_nn("Viewer"), root.doc),
        RootKind::One(object) => {
            let ty = if object.key == "id" { TypeRef::ID } else { TypeRef::STRING };
            MemberDef::new(name, TypeRef::named(object.name), root.doc).argument(MemberDef::new(
                object.key,
                TypeRef::named_nn(ty),
                "Which one.",
            ))
        }
        RootKind::List(object) => MemberDef::new(name, TypeRef::named_nn_list(object.name), root.doc),
        RootKind::Connection(object) => {
            let plural = object.plural.unwrap_or(object.name);
            let field = MemberDef::new(name, TypeRef::named(format!("{plural}Connection")), root.doc)
                .argument(MemberDef::new("filter", TypeRef::named(format!("{plural}Filter")), "Which rows."));
            let searched: Vec<String> = object
                .fields
                .iter()
                .filter(|field| field.searchable)
                .map(|field| format!("{}.{}", object.name, field.name))
                .collect();
            let field = if searched.is_empty() {
                field
            } else {
                let doc = "Words that must all occur, each in any field that may be fully read; case and accents aside.";
                let search = MemberDef::new("search", TypeRef::named(TypeRef::STRING), doc);
                field.argument(search.requires([Requirement::CanReadAny(searched)]))
            };
            field
                .argument(MemberDef::new(
                    "orderBy",
                    TypeRef::named_nn_list(format!("{plural}Order")),
                    "Order; by id where it leaves a tie.",
                ))
                .argument(MemberDef::new(
                    "first",
                    TypeRef::named(TypeRef::INT),
                    "At most so many, 1 to 1,000; 50 by default.",
                ))
                .argument(MemberDef::new(
                    "after",
                    TypeRef::named(TypeRef::STRING),
                    "Only what follows this cursor.",
                ))
                .argument(MemberDef::new(
                    "last",
                    TypeRef::named(TypeRef::INT),
                    "At most so many from the end, 1 to 1,000.",
                ))
                .argument(MemberDef::new(
                    "before",
                    TypeRef::named(TypeRef::STRING),
                    "Only what precedes this cursor.",
                ))
        }
        RootKind::ConsentState => MemberDef::new(name, TypeRef::named("ConsentStatus"), root.doc)
            .argument(MemberDef::new("contactId", TypeRef::named_nn(TypeRef::ID), "Of which contact."))
            .argument(MemberDef::new("purpose", TypeRef::named_nn(TypeRef::STRING), "Code of the purpose."))
            .argument(MemberDef::new("channel", TypeRef::named_nn("Channel"), "For which channel."))
            .argument(
                MemberDef::new("at", TypeRef::named("DateTime"), "At which instant; now if absent.")
                    // A caller could derive these by asking for one instant after another.
                    .requires(CONSENT_TIMES.map(|field| can_read(format!("Consent.{field}")))),
            ),
        RootKind::ConsentReceipt => filter_types::input_members(&RECEIPT_CONSENT_ID)
            .into_iter()
            .fold(MemberDef::new(name, TypeRef::named("ConsentReceipt"), root.doc), MemberDef::argument),
        RootKind::ExplainAccess => {
            let field = MemberDef::new(name, TypeRef::named("AccessExplanation"), root.doc)
                .argument(MemberDef::new(
                    "coordinate",
                    TypeRef::named_nn(TypeRef::STRING),
                    "Type and field, with a dot between them.",
                ))
                .argument(MemberDef::new(
                    "purpose",
                    TypeRef::named_nn(TypeRef::STRING),
                    "Code of a purpose.",
                ));
            filter_types::input_members(&EXPLAINED_ROLES)
                .into_iter()
                .fold(field, MemberDef::argument)
                .argument(MemberDef::new(
                    "contactId",
                    TypeRef::named(TypeRef::ID),
                    "A contact that is visible to the caller.",
                ))
        }
    }
}

fn object_type(object: &ObjectType) -> Type {
    object.fields.iter().fold(Type::object(object.name, object.doc), |object_type, field| {
        let ty = match field.source {
            FieldSource::Column { scalar, .. } => scalar_type(scalar, field.name == object.key),
            FieldSource::Localised { .. } | FieldSource::Preference { .. } => TypeRef::named(TypeRef::STRING),
            FieldSource::Overdue | FieldSource::ReviewDue => TypeRef::named(TypeRef::BOOLEAN),
            FieldSource::One { object, .. } => TypeRef::named(object.name),
            FieldSource::Many { object, .. } => TypeRef::named_nn_list(object.name),
            FieldSource::Connection { object, .. } => {
                TypeRef::named(format!("{}Connection", object.plural.unwrap_or(object.name)))
            }
        };
        let category_doc = match field.category {
            DataCategory::Key => String::new(),
            category => format!(" Data category: {}.", category.as_str()),
        };
        let coordinate = format!("{}.{}", object.name, field.name);
        let requirements = match field.source {
            FieldSource::One { object, .. }
            | FieldSource::Many { object, .. }
            | FieldSource::Connection { object, .. } => {
                vec![can_read(coordinate), can_read_any(object)]
            }
            _ => vec![Requirement::CanSee(coordinate)],
        };
        let member =
            MemberDef::new(field.name, ty, &format!("{}{category_doc}", field.doc)).requires(requirements);
        object_type.field(match field.source {
            FieldSource::Localised { .. } => member.argument(MemberDef::new(
                "language",
                TypeRef::named(TypeRef::STRING),
                "de or en; en by default.",
            )),
            FieldSource::Connection { object, .. } => member
                .argument(MemberDef::new(
                    "first",
                    TypeRef::named(TypeRef::INT),
                    "At most so many, 1 to 1,000; 50 by default.",
                ))
                .argument(MemberDef::new(
                    "after",
                    TypeRef::named(TypeRef::STRING),
                    "Only what follows this cursor; for a single parent.",
                ))
                .argument(MemberDef::new(
                    "filter",
                    TypeRef::named(format!("{}Filter", object.plural.unwrap_or(object.name))),
                    "Which rows.",
                )),
            _ => member,
        })
    })
}

fn scalar_type(scalar: Scalar, required: bool) -> TypeRef {
    let name = match scalar {
        Scalar::TextList => return TypeRef::named_nn_list(TypeRef::STRING),
        Scalar::EnumList(declared) => return TypeRef::named_nn_list(declared.name),
        Scalar::Id => TypeRef::ID,
        Scalar::Text | Scalar::Date => TypeRef::STRING,
        Scalar::Int => TypeRef::INT,
        Scalar::DateTime => "DateTime",
        Scalar::Enum(declared) | Scalar::Expiring(declared) => declared.name,
        Scalar::Sealed { .. } => "JSON",
    };
    if required { TypeRef::named_nn(name) } else { TypeRef::named(name) }
}

fn with_connection(model: Model, object: &ObjectType, plural: &str) -> Model {
    let (connection, edge) = (format!("{plural}Connection"), format!("{plural}Edge"));
    let total = MemberDef::new(
        "totalCount",
        TypeRef::named(TypeRef::INT),
        "Number of visible rows that match; has a rule of its own.",
    );
    model
        .register(
            Type::object(&connection, "A page, after the Relay cursor connections specification.")
                .field(MemberDef::new("edges", TypeRef::named_nn_list_nn(&edge), "Rows with their cursors."))
                .field(MemberDef::new("nodes", TypeRef::named_nn_list_nn(object.name), "Rows alone."))
                .field(MemberDef::new("pageInfo", TypeRef::named_nn("PageInfo"), "Whether there is more."))
                .field(total.requires([can_read(format!("{connection}.totalCount"))])),
        )
        .register(
            Type::object(edge, "A row with its cursor.")
                .field(MemberDef::new("node", TypeRef::named_nn(object.name), "The row."))
                .field(MemberDef::new(
                    "cursor",
                    TypeRef::named_nn(TypeRef::STRING),
                    "Sealed; of use to this caller, purpose and order only.",
                )),
        )
}
