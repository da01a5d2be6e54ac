//! How a file is read: its characters, its header, and what becomes of values that cannot be right (floor 4).

use crate::{error::Error, register::CONTACT};

use super::Import;

/// Characters of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, with or without a mark of byte order. What is none is reported.
    #[default]
    Utf8,
    /// Windows-1252, as spreadsheets of Western Europe write it.
    Windows1252,
}

/// What becomes of a row with a value that does not have the shape of its field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnInvalid {
    /// The value is kept as given where the field can hold it, else left out; it is reported.
    #[default]
    Keep,
    /// The value is left out and reported.
    SkipValue,
    /// The row is left out and reported.
    SkipRow,
}

/// How a file is read.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The byte between fields.
    pub delimiter: u8,
    /// Whether the first row names the columns; otherwise they are named by their number, from 1.
    pub header: bool,
    /// Its characters.
    pub encoding: Encoding,
    /// What becomes of values that cannot be right.
    pub on_invalid: OnInvalid,
    /// Names of fields whose mapped column may be missing: those of a preset, which fits several files.
    pub optional: Vec<&'static str>,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            delimiter: b',',
            header: true,
            encoding: Encoding::default(),
            on_invalid: OnInvalid::default(),
            optional: Vec::new(),
        }
    }
}

/// Name of an export, its column of the id in the source (empty if it has none), and its columns by field.
type Preset = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

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
            ("birthDate", "Birthdate"),
            ("jobTitle", "Title"),
            ("street", "MailingStreet"),
            ("city", "MailingCity"),
            ("postalCode", "MailingPostalCode"),
            ("country", "MailingCountry"),
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
            ("phone", "Business Phone"),
            ("company", "Company"),
            ("jobTitle", "Job Title"),
            ("street", "Business Street"),
            ("city", "Business City"),
            ("postalCode", "Business Postal Code"),
            ("country", "Business Country/Region"),
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
            ("phone", "Phone 1 - Value"),
            ("birthDate", "Birthday"),
            ("company", "Organization Name"),
            ("jobTitle", "Organization Title"),
            ("notes", "Notes"),
        ],
    ),
];

/// Which column holds which field, and the column of the id in the source.
pub type Mapping = (Vec<(&'static crate::register::Field, String)>, Option<String>);

impl Import {
    /// The mapping of a common export.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` naming the exports that are known.
    pub fn preset(name: &str) -> Result<Mapping, Error> {
        let Some((_, id, columns)) = PRESETS.iter().find(|(known, ..)| *known == name) else {
            let known: Vec<&str> = PRESETS.iter().map(|(known, ..)| *known).collect();
            return Err(Error::input(format!("there is no preset `{name}`; known are {}", known.join(", "))));
        };
        let map = columns
            .iter()
            .filter_map(|(field, column)| Some((CONTACT.field(field)?, (*column).to_owned())))
            .collect();
        Ok((map, (!id.is_empty()).then(|| (*id).to_owned())))
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
        let file: File = toml::from_str(text)
            .map_err(|error| Error::input(format!("the map cannot be read: {}", error.message())))?;
        let pairs: Vec<String> =
            file.fields.iter().map(|(field, column)| format!("{field}={column}")).collect();
        Ok((Self::map_from(pairs.iter().map(String::as_str))?, file.external_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_name_fields_that_are_given() {
        for (name, _, columns) in PRESETS {
            let (map, _) = Import::preset(name).unwrap();
            assert_eq!(map.len(), columns.len(), "{name}");
            assert!(map.iter().all(|(field, _)| field.check.is_some()), "{name}");
        }
        assert!(Import::preset("sap").unwrap_err().message.contains("hubspot"));
    }

    #[test]
    fn maps_are_read_from_toml() {
        let (map, id) =
            Import::mapping_from_toml("externalId = \"Id\"\n[fields]\nemail = \"Mail\"\n").unwrap();
        assert_eq!(
            (map.len(), map[0].0.name, map[0].1.as_str(), id.as_deref()),
            (1, "email", "Mail", Some("Id"))
        );
        for bad in ["", "[fields]\nshoeSize = \"x\"", "fields = 1", "[fields]\nemail = \"x\"\n[other]"] {
            assert!(Import::mapping_from_toml(bad).is_err(), "{bad}");
        }
    }
}
