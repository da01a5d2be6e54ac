//! Changes of consents, for consumers that follow them. Room: registry.

use super::{
    ObjectType, RowRule,
    contact::CONTACT,
    enums::{CHANGE_KIND, CHANNEL},
    field::{choice, id, reference, time, to_one},
    kinds::DataCategory::*,
    purpose::PURPOSE,
};

/// A consent that came into force or ceased to be.
pub static CONSENT_CHANGE: ObjectType = ObjectType {
    name: "ConsentChange",
    doc: "A consent that came into force or ended, for systems that follow consents. Includes contacts that no longer exist.",
    table: "consent_change",
    key: "id",
    rows: RowRule::Change,
    plural: Some("ConsentChange"),
    fields: &[
        id(),
        reference(
            "contactId",
            Consent,
            "contact_id",
            "Id of the person, even if the contact no longer exists.",
        ),
        to_one("contact", &CONTACT, "contact_id", "The person, if visible for this purpose."),
        to_one("purpose", &PURPOSE, "purpose_code", "Purpose of the consent."),
        choice("channel", Consent, "channel", &CHANNEL, "The channel.").required().filterable(),
        choice("kind", Consent, "kind", &CHANGE_KIND, "Whether the consent holds from then on.")
            .required()
            .filterable(),
        time("at", Consent, "at", "When.").required(),
    ],
    unexposed_columns: &[],
};
