//! The schema of the API, derived from the registry: nothing is named twice. Room: graphql.
//!
//! It parses, validates and answers introspection. Its resolvers serve nothing: data is read by the governed
//! engine alone, so that there is no second way to a field. Each member says what using it needs, just as the plan decides it,
//! so that a caller is shown what it may use and nothing else.

use std::collections::BTreeSet;

use async_graphql::{
    ValidationMode,
    dynamic::{Schema, SchemaError, TypeRef},
};

use crate::graphql::{
    filter_types,
    schema_model::{Member, Model, Need, Type, enumeration, needs_of, read, readable},
    viewer_types::technical,
};
use crate::{
    policy::Action,
    registry::{
        Category, ENUMS, EXPLAINED_ROLES, MUTATIONS, Mutation, OBJECTS, ObjectType, RECEIPT_OF, ROOTS, Read,
        Root, RootField, SUBSCRIPTIONS, Scalar, SubscriptionField, receipt_coordinates,
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
        model = model.register(governed(object));
        if let Some(plural) = object.plural {
            model = filter_types::register(connection(model, object, plural), object, plural);
        }
    }
    technical(payloads(filter_types::given(filter_types::shared(model))))
}

/// The action `execute` on a root field.
fn execute(root: &str, name: &str) -> Need {
    Need::May(Action::Execute, format!("{root}.{name}"))
}

/// What the status of a consent at any instant tells.
const CONSENT_TIMES: [&str; 4] = ["declaredAt", "grantedAt", "withdrawnAt", "expiresAt"];

fn mutation_field(mutation: &Mutation) -> Member {
    let field = Member::new(mutation.name, TypeRef::named(mutation.payload.name), mutation.doc)
        .needs([execute("Mutation", mutation.name)])
        .needs(mutation.needs().iter().flat_map(needs_of))
        .needs(mutation.whole.map(|_| Need::SeesAll));
    let (name, doc) = (mutation.input.name, "What is to be written.");
    let Some(former) = mutation.former() else {
        return field.argument(Member::new("input", TypeRef::named_nn(name), doc));
    };
    let input = Member::new("input", TypeRef::named(name), &format!("{doc} Must be given.")).needed();
    let old = filter_types::members(&former).into_iter().map(|old| old.old_name_of("input"));
    old.fold(field.argument(input), Member::argument)
}

fn subscription_field(subscription: &SubscriptionField) -> Member {
    let plural = subscription.object.plural.unwrap_or(subscription.object.name);
    let filter = Member::new("filter", TypeRef::named(format!("{plural}Filter")), "Which rows.");
    Member::new(subscription.name, TypeRef::named(subscription.object.name), subscription.doc)
        .needs([execute("Subscription", subscription.name), readable(subscription.object)])
        .argument(filter)
}

/// The payloads of mutations, each once.
fn payloads(mut model: Model) -> Model {
    let mut known = BTreeSet::new();
    for payload in MUTATIONS.iter().map(|mutation| mutation.payload) {
        if !known.insert(payload.name) {
            continue;
        }
        let object = payload.object.name;
        let doc = "What was written; null where the caller may not see it.";
        let one = Member::new(payload.one, TypeRef::named(object), doc);
        let mut of = Type::object(payload.name, payload.doc).field(one.needs([readable(payload.object)]));
        if let Some(many) = payload.many {
            let doc = "All that was written, where it may be several, ordered by id.";
            let many = Member::new(many, TypeRef::named_nn_list(object), doc);
            of = of.field(many.needs([readable(payload.object)]));
        }
        if payload.secret {
            let doc = "The token itself, told this once; null where none was made.";
            of = of.field(Member::new("secret", TypeRef::named(TypeRef::STRING), doc));
        }
        model = model.register(of);
    }
    model
}

/// A root field of queries under its name and, where there is one, under its old name.
fn root_fields(root: &RootField) -> Vec<Member> {
    let old = root.was.map(|was| root_field(root, was).old_name_of(root.name));
    std::iter::once(root_field(root, root.name)).chain(old).collect()
}

/// Everything but the viewer is executed; where rows are answered, something of them must be readable.
fn root_field(root: &RootField, name: &str) -> Member {
    let needs = match root.root {
        Root::Viewer => return unrestricted(root, name),
        Root::One(object) | Root::List(object) | Root::Connection(object) => vec![readable(object)],
        Root::ConsentState => vec![read("Consent.status".to_owned())],
        Root::ConsentReceipt => receipt_coordinates().into_iter().map(read).collect(),
        Root::ExplainAccess => Vec::new(),
    };
    unrestricted(root, name).needs([execute("Query", root.name)]).needs(needs)
}

/// A root field with its arguments.
fn unrestricted(root: &RootField, name: &str) -> Member {
    match root.root {
        Root::Viewer => Member::new(name, TypeRef::named_nn("Viewer"), root.doc),
        Root::One(object) => {
            let ty = if object.key == "id" { TypeRef::ID } else { TypeRef::STRING };
            Member::new(name, TypeRef::named(object.name), root.doc).argument(Member::new(
                object.key,
                TypeRef::named_nn(ty),
                "Which one.",
            ))
        }
        Root::List(object) => Member::new(name, TypeRef::named_nn_list(object.name), root.doc),
        Root::Connection(object) => {
            let plural = object.plural.unwrap_or(object.name);
            let field = Member::new(name, TypeRef::named(format!("{plural}Connection")), root.doc)
                .argument(Member::new("filter", TypeRef::named(format!("{plural}Filter")), "Which rows."));
            let searched: Vec<String> = object
                .fields
                .iter()
                .filter(|field| field.searched)
                .map(|field| format!("{}.{}", object.name, field.name))
                .collect();
            let field = if searched.is_empty() {
                field
            } else {
                let doc = "Words that must all occur, each in any field that may be fully read; case and accents aside.";
                let search = Member::new("search", TypeRef::named(TypeRef::STRING), doc);
                field.argument(search.needs([Need::AnyRead(searched)]))
            };
            field
                .argument(Member::new(
                    "orderBy",
                    TypeRef::named_nn_list(format!("{plural}Order")),
                    "Order; by id where it leaves a tie.",
                ))
                .argument(Member::new(
                    "first",
                    TypeRef::named(TypeRef::INT),
                    "At most so many, 1 to 1,000; 50 by default.",
                ))
                .argument(Member::new(
                    "after",
                    TypeRef::named(TypeRef::STRING),
                    "Only what follows this cursor.",
                ))
                .argument(Member::new(
                    "last",
                    TypeRef::named(TypeRef::INT),
                    "At most so many from the end, 1 to 1,000.",
                ))
                .argument(Member::new(
                    "before",
                    TypeRef::named(TypeRef::STRING),
                    "Only what precedes this cursor.",
                ))
        }
        Root::ConsentState => Member::new(name, TypeRef::named("ConsentStatus"), root.doc)
            .argument(Member::new("contactId", TypeRef::named_nn(TypeRef::ID), "Of which contact."))
            .argument(Member::new("purpose", TypeRef::named_nn(TypeRef::STRING), "Code of the purpose."))
            .argument(Member::new("channel", TypeRef::named_nn("Channel"), "For which channel."))
            .argument(
                Member::new("at", TypeRef::named("DateTime"), "At which instant; now if absent.")
                    // By asking for one instant after another one learns these.
                    .needs(CONSENT_TIMES.map(|field| read(format!("Consent.{field}")))),
            ),
        Root::ConsentReceipt => filter_types::members(&RECEIPT_OF)
            .into_iter()
            .fold(Member::new(name, TypeRef::named("ConsentReceipt"), root.doc), Member::argument),
        Root::ExplainAccess => {
            let field = Member::new(name, TypeRef::named("AccessExplanation"), root.doc)
                .argument(Member::new(
                    "coordinate",
                    TypeRef::named_nn(TypeRef::STRING),
                    "Type and field, with a dot between them.",
                ))
                .argument(Member::new("purpose", TypeRef::named_nn(TypeRef::STRING), "Code of a purpose."));
            filter_types::members(&EXPLAINED_ROLES).into_iter().fold(field, Member::argument).argument(
                Member::new(
                    "contactId",
                    TypeRef::named(TypeRef::ID),
                    "A contact that is visible to the caller.",
                ),
            )
        }
    }
}

fn governed(object: &ObjectType) -> Type {
    object.fields.iter().fold(Type::object(object.name, object.doc), |of, field| {
        let ty = match field.read {
            Read::Column { scalar, .. } => scalar_type(scalar, field.name == object.key),
            Read::Localised { .. } | Read::Preference { .. } => TypeRef::named(TypeRef::STRING),
            Read::Overdue | Read::ReviewDue => TypeRef::named(TypeRef::BOOLEAN),
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
        let coordinate = format!("{}.{}", object.name, field.name);
        let needs = match field.read {
            Read::One { object, .. } | Read::Many { object, .. } | Read::Connection { object, .. } => {
                vec![read(coordinate), readable(object)]
            }
            _ => vec![Need::Seen(coordinate)],
        };
        let declared = Member::new(field.name, ty, &format!("{}{kind}", field.doc)).needs(needs);
        of.field(match field.read {
            Read::Localised { .. } => declared.argument(Member::new(
                "language",
                TypeRef::named(TypeRef::STRING),
                "de or en; en by default.",
            )),
            Read::Connection { object, .. } => declared
                .argument(Member::new(
                    "first",
                    TypeRef::named(TypeRef::INT),
                    "At most so many, 1 to 1,000; 50 by default.",
                ))
                .argument(Member::new(
                    "after",
                    TypeRef::named(TypeRef::STRING),
                    "Only what follows this cursor; for a single parent.",
                ))
                .argument(Member::new(
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

fn connection(model: Model, object: &ObjectType, plural: &str) -> Model {
    let (connection, edge) = (format!("{plural}Connection"), format!("{plural}Edge"));
    let total = Member::new(
        "totalCount",
        TypeRef::named(TypeRef::INT),
        "Number of visible rows that match; has a rule of its own.",
    );
    model
        .register(
            Type::object(&connection, "A page, after the Relay cursor connections specification.")
                .field(Member::new("edges", TypeRef::named_nn_list_nn(&edge), "Rows with their cursors."))
                .field(Member::new("nodes", TypeRef::named_nn_list_nn(object.name), "Rows alone."))
                .field(Member::new("pageInfo", TypeRef::named_nn("PageInfo"), "Whether there is more."))
                .field(total.needs([read(format!("{connection}.totalCount"))])),
        )
        .register(
            Type::object(edge, "A row with its cursor.")
                .field(Member::new("node", TypeRef::named_nn(object.name), "The row."))
                .field(Member::new(
                    "cursor",
                    TypeRef::named_nn(TypeRef::STRING),
                    "Sealed; of use to this caller, purpose and order only.",
                )),
        )
}
