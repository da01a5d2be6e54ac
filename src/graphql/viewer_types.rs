//! The schema types that hold no personal data. Room: graphql.

use async_graphql::dynamic::TypeRef;

use crate::graphql::schema_model::{MemberDef, Model, Type, can_read_any, enumeration};
use crate::registry::PURPOSE;

/// Adds the types that hold no personal data.
pub(super) fn with_viewer_types(model: Model) -> Model {
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
                .field(MemberDef::new("hasNextPage", yes_or_no(), "Whether more follows."))
                .field(MemberDef::new("hasPreviousPage", yes_or_no(), "Whether more precedes."))
                .field(MemberDef::new(
                    "startCursor",
                    TypeRef::named(TypeRef::STRING),
                    "Cursor of the first row.",
                ))
                .field(MemberDef::new("endCursor", TypeRef::named(TypeRef::STRING), "Cursor of the last row.")),
        )
        .register(
            Type::object("Viewer", "The caller.")
                .field(MemberDef::new("actorId", text(), "Id of the credential."))
                .field(MemberDef::new(
                    "roles",
                    TypeRef::named_nn_list_nn(TypeRef::STRING),
                    "Roles of the credential.",
                ))
                .field(MemberDef::new(
                    "tokenName",
                    TypeRef::named(TypeRef::STRING),
                    "Name of the access token; null for a user of an issuer.",
                ))
                .field(MemberDef::new(
                    "expiresAt",
                    TypeRef::named_nn("DateTime"),
                    "When the credential ends.",
                ))
                .field(
                    MemberDef::new(
                        "permittedPurposes",
                        TypeRef::named_nn_list_nn("Purpose"),
                        "Purposes it may name in X-Processing-Purpose.",
                    )
                    .requires([can_read_any(&PURPOSE)]),
                )
                .field(
                    MemberDef::new("purpose", TypeRef::named("Purpose"), "The purpose of this operation.")
                        .requires([can_read_any(&PURPOSE)]),
                )
                .field(
                    MemberDef::new(
                        "fields",
                        TypeRef::named_nn_list_nn("FieldAccess"),
                        "Decisions on the fields of a type.",
                    )
                    .argument(MemberDef::new("type", text(), "Name of a type.")),
                ),
        )
        .register(
            Type::object("FieldAccess", "What the caller may do with a field.")
                .field(MemberDef::new("coordinate", text(), "Type and field, with a dot between them."))
                .field(MemberDef::new("category", text(), "Data category."))
                .field(MemberDef::new("decision", TypeRef::named_nn("Decision"), "For reading."))
                .field(MemberDef::new("create", yes_or_no(), "Whether it may be given when a record is made."))
                .field(MemberDef::new("update", yes_or_no(), "Whether it may be changed.")),
        )
        .register(
            Type::object("AccessExplanation", "Why a role may or may not use a field for a purpose.")
                .field(MemberDef::new("coordinate", text(), "The field."))
                .field(MemberDef::new("purpose", text(), "The purpose."))
                .field(MemberDef::new(
                    "roles",
                    TypeRef::named_nn_list_nn(TypeRef::STRING),
                    "The roles asked about.",
                ))
                .field(MemberDef::new("decision", TypeRef::named_nn("Decision"), "The decision."))
                .field(MemberDef::new(
                    "rules",
                    TypeRef::named_nn_list_nn("PolicyRule"),
                    "The rules that made it.",
                ))
                .field(MemberDef::new(
                    "contactVisible",
                    TypeRef::named(TypeRef::BOOLEAN),
                    "Whether the contact has a ground for the purpose; null where none was asked about.",
                )),
        )
        .register(
            Type::object("ConsentReceipt", "The whole record of a consent, signed (Art. 7(1)).")
                .field(MemberDef::new(
                    "document",
                    text(),
                    "Linked data (application/ld+json) with a proof of W3C Data Integrity, suite eddsa-jcs-2022.",
                ))
                .field(
                    MemberDef::new("html", text(), "The record to be printed: a page that needs nothing else.")
                        .argument(MemberDef::new(
                            "language",
                            TypeRef::named(TypeRef::STRING),
                            "de or en; en by default.",
                        )),
                ),
        )
        .register(
            Type::object("PolicyRule", "A line of the policy.")
                .field(MemberDef::new("line", TypeRef::named_nn(TypeRef::INT), "Line number."))
                .field(MemberDef::new("text", text(), "The line.")),
        )
}
