//! Purposes, as the policy declares them. Room: registry.

use super::{
    ObjectType, RowRule,
    enums::{CHANNEL, LEGAL_BASIS},
};
use super::{
    field::{FieldSource, choice, choices, computed, text},
    kinds::DataCategory::Technical,
};

/// Why data is processed.
pub static PURPOSE: ObjectType = ObjectType {
    name: "Purpose",
    doc: "Why data is processed (Art. 5(1)(b)).",
    table: "purpose",
    key: "code",
    rows: RowRule::Everyone,
    plural: None,
    fields: &[
        text("code", Technical, "code", "Code of the purpose.").required(),
        computed(
            "title",
            Technical,
            FieldSource::Localised { de: "title_de", en: "title_en" },
            "Title in the given language (de or en; en by default).",
        ),
        computed(
            "description",
            Technical,
            FieldSource::Localised { de: "description_de", en: "description_en" },
            "Description in the given language (de or en; en by default).",
        ),
        choice(
            "legalBasis",
            Technical,
            "legal_basis",
            &LEGAL_BASIS,
            "Legal basis (Art. 6(1)); null for a group.",
        ),
        choices("channels", Technical, "channels", &CHANNEL, "Channels it may use."),
        text("group", Technical, "group_code", "Code of the group it belongs to."),
        text("dpvIri", Technical, "dpv_iri", "IRI in the W3C Data Privacy Vocabulary."),
    ],
    unexposed_columns: &[
        ("grounds", "which kind of ground the row rule needs; read from the policy"),
        ("is_group", "whether it is a group; read from the policy"),
        ("revision", "policy revision that wrote the row"),
        ("loaded_at", "when the row was written"),
    ],
};
