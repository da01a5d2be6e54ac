//! The target field of a column. Room: exchange/imports.

use entity::enums::{Channel, ContactPointKind};

use crate::{
    base::error::Error,
    registry::{CONTACT, CONTACT_POINT, Field},
};

/// The target field of a column.
#[derive(Clone, Debug)]
pub enum Target {
    /// A field of the contact.
    Field(&'static Field),
    /// A value of a further contact point.
    Point {
        /// Its kind.
        kind: ContactPointKind,
        /// Which of its values.
        field: &'static str,
        /// What it is used for; columns of one postal address have the same.
        label: String,
    },
}

impl Target {
    /// Name of the field.
    pub fn field_name(&self) -> &'static str {
        match self {
            Target::Field(field) => field.name,
            Target::Point { field, .. } => field,
        }
    }

    /// Reads `email`, or `email:work` for a further contact point that is used so.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let unknown = |known: Vec<&str>| {
            let known = known.join(", ");
            Error::bad_input(format!("`{text}` is not a field that can be imported; known are {known}"))
        };
        let Some((name, label)) = text.split_once(':') else {
            let field = CONTACT.writable_fields().map(|(field, _)| field).find(|field| field.name == text);
            return field.map(Target::Field).ok_or_else(|| unknown(names(CONTACT.writable_fields())));
        };
        let points = || CONTACT_POINT.writable_fields().filter(|(field, _)| field.name != "label");
        let field = points().map(|(field, _)| field.name).find(|field| *field == name);
        let field = field.ok_or_else(|| unknown(names(points())))?;
        let label = label.trim().to_owned();
        if label.is_empty() {
            return Err(Error::bad_input(format!(
                "`{text}` does not say what the contact point is used for"
            )));
        }
        let kind = match field {
            "email" => ContactPointKind::Email,
            "phone" => ContactPointKind::Phone,
            _ => ContactPointKind::Postal,
        };
        Ok(Target::Point { kind, field, label })
    }
}

impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        let label = |target: &Self| match target {
            Target::Field(_) => None,
            Target::Point { label, .. } => Some(label.clone()),
        };
        self.field_name() == other.field_name() && label(self) == label(other)
    }
}

fn names(fields: impl Iterator<Item = (&'static Field, crate::registry::Validator)>) -> Vec<&'static str> {
    fields.map(|(field, _)| field.name).collect()
}

/// Which column holds what.
pub type Map = Vec<(Target, String)>;

/// A column that says who does not want to be advertised to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OptOut {
    /// On which channel; on all otherwise.
    pub channel: Option<Channel>,
    /// The column.
    pub column: String,
    /// Whether it may be missing: that of a preset, which fits several files.
    pub optional: bool,
}
