//! Changes of consents, for those who follow. Room: registry.

use super::{
    ObjectType, RowRule,
    contact::CONTACT,
    enums::{CHANGE_KIND, CHANNEL},
    field::{choice, id, one, reference, time},
    kinds::DataCategory::*,
    purpose::PURPOSE,
};

/// A consent that began or ceased to hold.
pub static CONSENT_CHANGE: ObjectType = ObjectType {
    name: "ConsentChange",
    doc: "A consent that began or ceased to hold, for those who follow; told of contacts that are gone too.",
    table: "consent_change",
    key: "id",
    rows: RowRule::Change,
    plural: Some("ConsentChange"),
    fields: &[
        id(),
        reference("contactId", Consent, "contact_id", "Id of the person, also where the contact is gone."),
        one("contact", &CONTACT, "contact_id", "The person, if visible for this purpose."),
        one("purpose", &PURPOSE, "purpose_code", "What the consent is for."),
        choice("channel", Consent, "channel", &CHANNEL, "For which channel.").required().filterable(),
        choice("kind", Consent, "kind", &CHANGE_KIND, "Whether it holds from then on.")
            .required()
            .filterable(),
        time("at", Consent, "at", "When.").required(),
    ],
    unexposed_columns: &[],
};
