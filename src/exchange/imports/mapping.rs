//! Which column of a file holds what. Room: exchange/imports.

use entity::enums::Channel;

use super::{
    contact_import::ContactImport,
    target::{Map, OptOut, Target},
};
use crate::{base::error::Error, registry::CONTACT};

/// A map, and the column of the id in the source.
pub type Mapping = (Map, Option<String>);

/// Columns of an export of Zweck that name what a person objects to, by the channel.
pub const OPT_OUTS_OF_OWN: [(Channel, &str); 4] = [
    (Channel::Email, "optOutEmail"),
    (Channel::Phone, "optOutPhone"),
    (Channel::Sms, "optOutSms"),
    (Channel::Post, "optOutPost"),
];

/// Opt-outs of common exports: as programs name the columns, and as their reports label them.
const OPT_OUTS: &[(&str, &[(Channel, &str)])] = &[
    (OWN, &OPT_OUTS_OF_OWN),
    ("hubspot", &[(Channel::Email, "Unsubscribed from all email")]),
    (
        "salesforce",
        &[
            (Channel::Email, "HasOptedOutOfEmail"),
            (Channel::Email, "Email Opt Out"),
            (Channel::Phone, "DoNotCall"),
            (Channel::Phone, "Do Not Call"),
            // A fax goes to a number.
            (Channel::Phone, "HasOptedOutOfFax"),
            (Channel::Phone, "Fax Opt Out"),
        ],
    ),
];

/// Name of an export, its column of the id in the source (empty if it has none), and its columns.
type Preset = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// The preset of exports of Zweck itself.
pub const OWN: &str = "zweck";

/// Common exports, with the columns as each names them.
const PRESETS: &[Preset] = &[
    (
        "hubspot",
        "Record ID",
        &[
            ("givenName", "First Name"),
            ("familyName", "Last Name"),
            ("email", "Email"),
            ("phone", "Phone Number"),
            ("phone:mobile", "Mobile Phone Number"),
            ("company", "Company Name"),
            ("jobTitle", "Job Title"),
            ("street", "Street Address"),
            ("city", "City"),
            ("postalCode", "Postal Code"),
            ("country", "Country/Region"),
        ],
    ),
    (
        "salesforce",
        "Id",
        &[
            ("givenName", "FirstName"),
            ("familyName", "LastName"),
            ("email", "Email"),
            ("phone", "Phone"),
            ("phone:mobile", "MobilePhone"),
            ("phone:home", "HomePhone"),
            ("phone:fax", "Fax"),
            ("birthDate", "Birthdate"),
            ("jobTitle", "Title"),
            ("street", "MailingStreet"),
            ("city", "MailingCity"),
            ("postalCode", "MailingPostalCode"),
            ("country", "MailingCountry"),
            ("street:other", "OtherStreet"),
            ("city:other", "OtherCity"),
            ("postalCode:other", "OtherPostalCode"),
            ("country:other", "OtherCountry"),
            ("notes", "Description"),
        ],
    ),
    (
        "outlook",
        "",
        &[
            ("givenName", "First Name"),
            ("familyName", "Last Name"),
            ("email", "E-mail Address"),
            ("email:second", "E-mail 2 Address"),
            ("email:third", "E-mail 3 Address"),
            ("phone", "Business Phone"),
            ("phone:mobile", "Mobile Phone"),
            ("phone:home", "Home Phone"),
            ("phone:other", "Other Phone"),
            ("phone:fax", "Business Fax"),
            ("company", "Company"),
            ("jobTitle", "Job Title"),
            ("street", "Business Street"),
            ("city", "Business City"),
            ("postalCode", "Business Postal Code"),
            ("country", "Business Country/Region"),
            ("street:home", "Home Street"),
            ("city:home", "Home City"),
            ("postalCode:home", "Home Postal Code"),
            ("country:home", "Home Country/Region"),
            ("notes", "Notes"),
        ],
    ),
    (
        "google",
        "",
        &[
            ("givenName", "First Name"),
            ("familyName", "Last Name"),
            ("email", "E-mail 1 - Value"),
            ("email:second", "E-mail 2 - Value"),
            ("email:third", "E-mail 3 - Value"),
            ("phone", "Phone 1 - Value"),
            ("phone:second", "Phone 2 - Value"),
            ("phone:third", "Phone 3 - Value"),
            ("birthDate", "Birthday"),
            ("company", "Organization Name"),
            ("jobTitle", "Organization Title"),
            ("street", "Address 1 - Street"),
            ("city", "Address 1 - City"),
            ("postalCode", "Address 1 - Postal Code"),
            ("country", "Address 1 - Country"),
            ("notes", "Notes"),
        ],
    ),
];

impl ContactImport {
    /// Pairs `field=Column` as the command line gives them; `phone:fax=Column` makes a further contact point.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for an unknown field, or one mapped twice.
    pub fn map_from<'a>(pairs: impl IntoIterator<Item = &'a str>) -> Result<Map, Error> {
        let mut map = Map::new();
        for pair in pairs {
            let Some((name, column)) = pair.split_once('=') else {
                return Err(Error::bad_input(format!("`{pair}` is not of the form field=Column")));
            };
            let target = Target::parse(name.trim())?;
            if map.iter().any(|(mapped, _)| *mapped == target) {
                return Err(Error::bad_input(format!("`{name}` is mapped twice")));
            }
            map.push((target, column.trim().to_owned()));
        }
        Ok(map)
    }

    /// Opt-outs as the command line gives them: `email=Column`, or `all=Column`.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a channel that is none.
    pub fn opt_outs_from<'a>(pairs: impl IntoIterator<Item = &'a str>) -> Result<Vec<OptOut>, Error> {
        let mut opt_outs = Vec::new();
        for pair in pairs {
            let Some((name, column)) = pair.split_once('=') else {
                return Err(Error::bad_input(format!("`{pair}` is not of the form channel=Column")));
            };
            let channel = match name.trim() {
                "all" => None,
                "email" => Some(Channel::Email),
                "phone" => Some(Channel::Phone),
                "sms" => Some(Channel::Sms),
                "post" => Some(Channel::Post),
                other => {
                    let known = "email, phone, sms, post, all";
                    return Err(Error::bad_input(format!("`{other}` is not a channel; known are {known}")));
                }
            };
            opt_outs.push(OptOut { channel, column: column.trim().to_owned(), optional: false });
        }
        Ok(opt_outs)
    }

    /// The columns of opt-outs that a common export may have.
    pub fn preset_opt_outs(name: &str) -> Vec<OptOut> {
        let opt_out_columns = OPT_OUTS
            .iter()
            .filter(|(opt_out_columns, _)| *opt_out_columns == name)
            .flat_map(|(_, columns)| *columns);
        let opt_out = |(channel, column): &(Channel, &str)| OptOut {
            channel: Some(*channel),
            column: (*column).to_owned(),
            optional: true,
        };
        opt_out_columns.map(opt_out).collect()
    }

    /// The mapping of a common export.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` naming the exports that are known.
    pub fn preset(name: &str) -> Result<Mapping, Error> {
        if name == OWN {
            let fields =
                CONTACT.writable_fields().map(|(field, _)| (Target::Field(field), field.name.to_owned()));
            return Ok((fields.collect(), Some("id".to_owned())));
        }
        let Some((_, id, columns)) = PRESETS.iter().find(|(known, ..)| *known == name) else {
            let known: Vec<&str> = PRESETS.iter().map(|(known, ..)| *known).chain([OWN]).collect();
            return Err(Error::bad_input(format!(
                "there is no preset `{name}`; known are {}",
                known.join(", ")
            )));
        };
        let map = columns.iter().map(|(name, column)| Ok((Target::parse(name)?, (*column).to_owned())));
        Ok((map.collect::<Result<Map, Error>>()?, (!id.is_empty()).then(|| (*id).to_owned())))
    }

    /// A mapping written as TOML: `externalId = "Id"` if there is one, and a table `[fields]` of field and column.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for text that is no such TOML, an unknown field, or one mapped twice.
    pub fn mapping_from_toml(text: &str) -> Result<Mapping, Error> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        struct File {
            external_id: Option<String>,
            fields: std::collections::BTreeMap<String, String>,
        }
        let file: File = toml::from_str(text).map_err(|error| {
            Error::bad_input(format!("the map file cannot be read: {}", error.message().replace('\n', " ")))
        })?;
        let pairs: Vec<String> =
            file.fields.iter().map(|(field, column)| format!("{field}={column}")).collect();
        Ok((Self::map_from(pairs.iter().map(String::as_str))?, file.external_id))
    }
}

#[cfg(test)]
mod tests {
    use entity::enums::ContactPointKind;

    use super::*;

    #[test]
    fn presets_name_fields_that_are_given() {
        for (name, _, columns) in PRESETS {
            let (map, _) = ContactImport::preset(name).unwrap();
            assert_eq!(map.len(), columns.len(), "{name}");
        }
        let (own, id) = ContactImport::preset(OWN).unwrap();
        assert_eq!((own.len(), id.as_deref()), (CONTACT.writable_fields().count(), Some("id")));
        assert!(ContactImport::preset("sap").unwrap_err().message.contains("hubspot"));
    }

    #[test]
    fn further_contact_points_say_what_they_are_for() {
        let map =
            ContactImport::map_from(["email=a", "email:work=b", "email:home=c", "street:home=d"]).unwrap();
        assert!(
            matches!(&map[3].0, Target::Point { kind: ContactPointKind::Postal, field: "street", label } if label == "home")
        );
        for bad in ["email:=a", "label:x=a", "company:x=a", "givenName:x=a"] {
            assert!(ContactImport::map_from([bad]).is_err(), "{bad}");
        }
        assert!(ContactImport::map_from(["email:work=a", "email:work=b"]).is_err());
    }

    #[test]
    fn maps_are_read_from_toml() {
        let (map, id) =
            ContactImport::mapping_from_toml("externalId = \"Id\"\n[fields]\nemail = \"Mail\"\n").unwrap();
        assert_eq!(
            (map.len(), map[0].0.field_name(), map[0].1.as_str(), id.as_deref()),
            (1, "email", "Mail", Some("Id"))
        );
        for bad in ["", "[fields]\nshoeSize = \"x\"", "fields = 1", "[fields]\nemail = \"x\"\n[other]"] {
            assert!(ContactImport::mapping_from_toml(bad).is_err(), "{bad}");
        }
    }
}
