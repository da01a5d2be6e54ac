//! The types that hold no data of persons. Room: graphql.

use async_graphql::dynamic::TypeRef;

use crate::graphql::schema_model::{Member, Model, Type, enumeration, readable};
use crate::registry::PURPOSE;

/// The types that hold no data of persons.
pub(super) fn technical(model: Model) -> Model {
    let text = || TypeRef::named_nn(TypeRef::STRING);
    let yes_or_no = || TypeRef::named_nn(TypeRef::BOOLEAN);
    model
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
            Type::object("PageInfo", "Whether there is more.")
                .field(Member::new("hasNextPage", yes_or_no(), "Whether more follows."))
                .field(Member::new("hasPreviousPage", yes_or_no(), "Whether more precedes."))
                .field(Member::new(
                    "startCursor",
                    TypeRef::named(TypeRef::STRING),
                    "Cursor of the first row.",
                ))
                .field(Member::new("endCursor", TypeRef::named(TypeRef::STRING), "Cursor of the last row.")),
        )
        .register(
            Type::object("Viewer", "The caller.")
                .field(Member::new("actorId", text(), "Id of the credential."))
                .field(Member::new(
                    "roles",
                    TypeRef::named_nn_list_nn(TypeRef::STRING),
                    "Roles of the credential.",
                ))
                .field(Member::new(
                    "tokenName",
                    TypeRef::named(TypeRef::STRING),
                    "Name of the access token; null for a user of an issuer.",
                ))
                .field(Member::new(
                    "expiresAt",
                    TypeRef::named_nn("DateTime"),
                    "When the credential ends.",
                ))
                .field(
                    Member::new(
                        "permittedPurposes",
                        TypeRef::named_nn_list_nn("Purpose"),
                        "Purposes it may name in X-Processing-Purpose.",
                    )
                    .needs([readable(&PURPOSE)]),
                )
                .field(
                    Member::new("purpose", TypeRef::named("Purpose"), "The purpose of this operation.")
                        .needs([readable(&PURPOSE)]),
                )
                .field(
                    Member::new(
                        "fields",
                        TypeRef::named_nn_list_nn("FieldAccess"),
                        "Decisions on the fields of a type.",
                    )
                    .argument(Member::new("type", text(), "Name of a type.")),
                ),
        )
        .register(
            Type::object("FieldAccess", "What the caller may do with a field.")
                .field(Member::new("coordinate", text(), "Type and field, with a dot between them."))
                .field(Member::new("category", text(), "Data category."))
                .field(Member::new("decision", TypeRef::named_nn("Decision"), "For reading."))
                .field(Member::new("create", yes_or_no(), "Whether it may be given when a record is made."))
                .field(Member::new("update", yes_or_no(), "Whether it may be changed.")),
        )
        .register(
            Type::object("AccessExplanation", "Why a role may or may not use a field for a purpose.")
                .field(Member::new("coordinate", text(), "The field."))
                .field(Member::new("purpose", text(), "The purpose."))
                .field(Member::new(
                    "roles",
                    TypeRef::named_nn_list_nn(TypeRef::STRING),
                    "The roles asked about.",
                ))
                .field(Member::new("decision", TypeRef::named_nn("Decision"), "The decision."))
                .field(Member::new(
                    "rules",
                    TypeRef::named_nn_list_nn("PolicyRule"),
                    "The rules that made it.",
                ))
                .field(Member::new(
                    "contactVisible",
                    TypeRef::named(TypeRef::BOOLEAN),
                    "Whether the contact has a ground for the purpose; null where none was asked about.",
                )),
        )
        .register(
            Type::object("ConsentReceipt", "The whole record of a consent, signed (Art. 7(1)).")
                .field(Member::new(
                    "document",
                    text(),
                    "Linked data (application/ld+json) with a proof of W3C Data Integrity, suite eddsa-jcs-2022.",
                ))
                .field(
                    Member::new("html", text(), "The record to be printed: a page that needs nothing else.")
                        .argument(Member::new(
                            "language",
                            TypeRef::named(TypeRef::STRING),
                            "de or en; en by default.",
                        )),
                ),
        )
        .register(
            Type::object("PolicyRule", "A line of the policy.")
                .field(Member::new("line", TypeRef::named_nn(TypeRef::INT), "Line number."))
                .field(Member::new("text", text(), "The line.")),
        )
}
