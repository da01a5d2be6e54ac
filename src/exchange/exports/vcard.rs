//! A contact as a vCard 4.0 (RFC 6350). Room: exchange/exports.

use calcard::{
    common::{IanaParse, PartialDateTime},
    vcard::{
        VCard, VCardEntry, VCardParameter, VCardParameterValue, VCardProperty as Property, VCardType,
        VCardValue, VCardVersion,
    },
};
use chrono::{Datelike, NaiveDate};
use serde_json::{Map, Value as Json};

use super::opt_outs;
use crate::{
    base::error::Error,
    exchange::imports::{OPT_OUT, STATE},
};

/// The card of `contact`. If its state may not be read and the purpose does not imply it (`all_active`), the card says
/// that the state is unknown.
pub(super) fn card(contact: &Map<String, Json>, all_active: bool) -> Result<String, Error> {
    let text = |name: &str| contact.get(name).and_then(Json::as_str);
    let mut card = Card::default();
    card.add_text(Property::Kind, Some("individual"));
    let state = text("state").unwrap_or(if all_active { "ACTIVE" } else { "UNKNOWN" });
    card.add_text(Property::Other(STATE.to_owned()), (state != "ACTIVE").then_some(state));
    for (code, channel) in opt_outs::opt_outs_of(contact) {
        card.add_text(
            Property::Other(OPT_OUT.to_owned()),
            Some(&format!("{code} {}", channel.unwrap_or("ALL"))),
        );
    }
    card.add_text(Property::Uid, text("id").map(|id| format!("urn:uuid:{id}")).as_deref());
    let names = [text("givenName"), text("familyName")];
    let full: Vec<&str> = names.into_iter().flatten().collect();
    let full = if full.is_empty() {
        text("company").or(text("email")).map(str::to_owned)
    } else {
        Some(full.join(" "))
    };
    // A card must have one (RFC 6350, 6.2.1).
    card.add(Property::Fn, &[full.as_deref().unwrap_or_default()]);
    if names.iter().any(Option::is_some) {
        let [given, family] = names.map(Option::unwrap_or_default);
        card.add(Property::N, &[family, given, "", "", ""]);
    }
    let parts = ["street", "city", "postalCode", "country"];
    card.add_contact_value(Property::Email, text("email"), None);
    card.add_contact_value(Property::Tel, text("phone"), None);
    card.add_postal(parts.map(text), None);
    if let Some(Json::Array(points)) = contact.get("contactPoints") {
        for point in points {
            let text = |name: &str| point.get(name).and_then(Json::as_str);
            let label = Some(text("label").unwrap_or_default());
            card.add_contact_value(Property::Email, text("email"), label);
            card.add_contact_value(Property::Tel, text("phone"), label);
            card.add_postal(parts.map(text), label);
        }
    }
    let birthday = text("birthDate").and_then(|date| date.parse::<NaiveDate>().ok());
    card.entries.extend(birthday.map(|date| {
        let part = |number: u32| u8::try_from(number).ok();
        VCardEntry::new(Property::Bday).with_value(VCardValue::PartialDateTime(PartialDateTime {
            year: u16::try_from(date.year()).ok(),
            month: part(date.month()),
            day: part(date.day()),
            ..PartialDateTime::default()
        }))
    }));
    card.add_text(Property::Org, text("company"));
    card.add_text(Property::Title, text("jobTitle"));
    card.add_text(Property::Lang, text("language"));
    card.add_text(Property::Note, text("notes"));
    let mut out = String::new();
    VCard { entries: card.entries }
        .write_to(&mut out, VCardVersion::V4_0)
        .map_err(|_| Error::internal("a card cannot be written"))?;
    Ok(out)
}

#[derive(Default)]
struct Card {
    entries: Vec<VCardEntry>,
}

impl Card {
    fn add(&mut self, property: Property, values: &[&str]) {
        let values = values.iter().map(|value| VCardValue::Text((*value).to_owned())).collect();
        self.entries.push(VCardEntry::new(property).with_values(values));
    }

    fn add_text(&mut self, property: Property, value: Option<&str>) {
        if let Some(value) = value {
            self.add(property, &[value]);
        }
    }

    /// Adds an e-mail address or phone number: the primary one is marked as preferred, others have a label.
    fn add_contact_value(&mut self, property: Property, value: Option<&str>, label: Option<&str>) {
        let Some(value) = value else { return };
        self.add(property, &[value]);
        self.mark_last_entry(label);
    }

    fn add_postal(&mut self, [street, city, code, country]: [Option<&str>; 4], label: Option<&str>) {
        if [street, city, code, country].iter().all(Option::is_none) {
            return;
        }
        let [street, city, code, country] = [street, city, code, country].map(Option::unwrap_or_default);
        self.add(Property::Adr, &["", "", street, city, "", code, country]);
        self.mark_last_entry(label);
    }

    /// Marks the last entry as preferred, or with its use: by the types of the standard if they match, otherwise by the
    /// label that address books understand.
    fn mark_last_entry(&mut self, label: Option<&str>) {
        let group = format!("item{}", self.entries.len());
        let Some(entry) = self.entries.last_mut() else { return };
        let Some(label) = label else {
            entry.params.push(VCardParameter::pref(VCardParameterValue::Integer(1)));
            return;
        };
        let is_standard = |word: &&str| VCardType::parse(word.as_bytes()).is_some();
        let (standard, custom): (Vec<&str>, Vec<&str>) =
            label.split(", ").filter(|word| !word.is_empty()).partition(is_standard);
        let standard = standard.iter().filter_map(|word| VCardType::parse(word.as_bytes()));
        entry.params.extend(standard.map(|word| VCardParameter::typ(VCardParameterValue::Type(word))));
        if !custom.is_empty() {
            entry.group = Some(group.clone());
            let text = VCardValue::Text(custom.join(", "));
            let label = VCardEntry::new(Property::Other("X-ABLabel".to_owned())).with_value(text);
            self.entries.push(label.with_group(Some(group)));
        }
    }
}
