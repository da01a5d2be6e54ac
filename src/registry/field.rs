//! The declaration of a governed field. Room: registry.

use super::{
    enums::EnumType,
    kinds::{DataCategory, Mask, RequiredChannel, Scalar},
};
use crate::registry::validator::Validator;

/// The rule that decides which rows a caller may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowRule {
    /// Contacts: visible by state, ground and objection.
    Contact,
    /// Rows of a visible contact.
    OfContact,
    /// Rows of a visible contact, only under their own purpose unless the purpose sees all.
    OfContactAndPurpose,
    /// Objections of a visible contact: only under their own purpose and its group unless the purpose sees all.
    Objection,
    /// Blocks of addresses of a visible contact, with the same rule as objections.
    Block,
    /// Events of a visible consent.
    OfConsent,
    /// Consent changes, only under their own purpose unless the purpose sees all. They outlive the contact.
    Change,
    /// Requests and stop duties outlive the contact; a purpose that sees all sees each of them.
    Request,
    /// Audit entries outlive the contact as well; other purposes see what was done under them.
    Audit,
    /// Rows that belong to no person.
    Everyone,
    /// Valid access tokens of recipients.
    Access,
}

/// A governed type: one table, one line per field.
#[derive(Debug)]
pub struct ObjectType {
    /// Name in the SDL.
    pub name: &'static str,
    /// Description in the SDL.
    pub doc: &'static str,
    /// Table it is read from.
    pub table: &'static str,
    /// The non-null key field: `id`, or `code` for purposes.
    pub key: &'static str,
    /// Which rows a caller may see.
    pub rows: RowRule,
    /// Prefix of its connection, filter and order types, e.g. `Request` for `RequestConnection`.
    pub plural: Option<&'static str>,
    /// The fields.
    pub fields: &'static [Field],
    /// Columns of the table that no field exposes, each with the reason.
    pub unexposed_columns: &'static [(&'static str, &'static str)],
}

impl ObjectType {
    /// The field called `name`.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The fields that inputs and imports can set.
    pub fn writable_fields(&self) -> impl Iterator<Item = (&'static Field, Validator)> + use<> {
        self.fields.iter().filter_map(|field| Some((field, field.validator?)))
    }

    /// The types whose rows belong to rows of this one, directly or indirectly.
    pub fn descendants(&self) -> Vec<&'static ObjectType> {
        let mut descendants = Vec::new();
        for field in self.fields {
            if let FieldSource::Many { object, .. } | FieldSource::Connection { object, .. } = field.source {
                descendants.push(object);
                descendants.extend(object.descendants());
            }
        }
        descendants
    }

    /// The column that holds the key.
    pub fn key_column(&self) -> &'static str {
        self.field(self.key).and_then(Field::column).unwrap_or("id")
    }

    /// The scalar of the key column.
    pub fn key_scalar(&self) -> Scalar {
        match self.field(self.key).map(|field| &field.source) {
            Some(FieldSource::Column { scalar, .. }) => *scalar,
            _ => Scalar::Id,
        }
    }
}

/// Where the value of a field comes from.
#[derive(Clone, Copy, Debug)]
pub enum FieldSource {
    /// A column of the type's table.
    Column {
        /// The column.
        column: &'static str,
        /// What it holds.
        scalar: Scalar,
        /// The folded companion column used for comparisons.
        folded: Option<&'static str>,
        /// Whether the column is never NULL.
        required: bool,
    },
    /// German and English columns, chosen by the argument `language`.
    Localised {
        /// Column of the German text.
        de: &'static str,
        /// Column of the English text.
        en: &'static str,
    },
    /// Whether the request is still open after its deadline.
    Overdue,
    /// Whether the consent is in force and due for review.
    ReviewDue,
    /// The link to the person's preference page, bound to the address in this column.
    Preference {
        /// Column with the key of the mailbox.
        column: &'static str,
    },
    /// The row of `object` that `column` refers to.
    One {
        /// The other type.
        object: &'static ObjectType,
        /// The column of this table that holds the other row's key.
        column: &'static str,
    },
    /// All rows of `object` whose `column` refers to this row.
    Many {
        /// The other type.
        object: &'static ObjectType,
        /// The column of the other table that holds this row's key.
        column: &'static str,
    },
    /// The same rows as a Relay connection.
    Connection {
        /// The other type.
        object: &'static ObjectType,
        /// The column of the other table that holds this row's key.
        column: &'static str,
    },
}

/// A governed field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name in the SDL.
    pub name: &'static str,
    /// Description in the SDL.
    pub doc: &'static str,
    /// The kind of data.
    pub category: DataCategory,
    /// The channel whose consent it requires.
    pub required_channel: Option<RequiredChannel>,
    /// Where its value comes from.
    pub source: FieldSource,
    /// The form of the masked value.
    pub mask: Mask,
    /// Whether lists can be filtered and ordered by it.
    pub filterable: bool,
    /// Its name in filters if it differs; the field's own name stays valid in filters until the next version.
    pub filter_name: Option<&'static str>,
    /// Whether `search` covers it.
    pub searchable: bool,
    /// How an input value is validated; `None` if no input sets it.
    pub validator: Option<Validator>,
    /// Whether it identifies a person or is a way to reach them.
    pub is_identifying: bool,
}

impl FieldSource {
    /// Whether it is derived from other columns and can therefore not be set.
    pub fn is_derived(&self) -> bool {
        matches!(self, FieldSource::Overdue | FieldSource::ReviewDue | FieldSource::Preference { .. })
    }

    /// The type it refers to, if any.
    pub fn target(&self) -> Option<&'static ObjectType> {
        match self {
            FieldSource::One { object, .. }
            | FieldSource::Many { object, .. }
            | FieldSource::Connection { object, .. } => Some(object),
            _ => None,
        }
    }

    /// Whether it is a boolean condition on each row.
    pub fn is_flag(&self) -> bool {
        matches!(self, FieldSource::Overdue | FieldSource::ReviewDue)
    }
}

impl Field {
    const fn new(name: &'static str, category: DataCategory, doc: &'static str, source: FieldSource) -> Self {
        Self {
            name,
            doc,
            category,
            required_channel: None,
            source,
            mask: Mask::Hidden,
            filterable: false,
            filter_name: None,
            searchable: false,
            validator: None,
            is_identifying: false,
        }
    }

    /// The column it is read from, if any.
    pub fn column(&self) -> Option<&'static str> {
        match self.source {
            FieldSource::Column { column, .. } | FieldSource::One { column, .. } => Some(column),
            _ => None,
        }
    }

    /// Its name in order enums: `familyName` becomes `FAMILY_NAME`.
    pub fn enum_name(&self) -> String {
        self.name.chars().fold(String::new(), |mut name, c| {
            if c.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(c.to_ascii_uppercase());
            name
        })
    }

    pub(super) const fn requires_channel(mut self, channel: RequiredChannel) -> Self {
        self.required_channel = Some(channel);
        self
    }

    pub(super) const fn masked(mut self, mask: Mask) -> Self {
        self.mask = mask;
        self
    }

    /// Lists can be filtered and ordered by it.
    pub(super) const fn filterable(mut self) -> Self {
        self.filterable = true;
        self
    }

    /// Lists can be filtered and ordered by it; filters call it `name`.
    pub(super) const fn filterable_as(mut self, name: &'static str) -> Self {
        self.filter_name = Some(name);
        self.filterable()
    }

    pub(super) const fn searchable(mut self) -> Self {
        self.searchable = true;
        self
    }

    /// Inputs and imports can set it; `validator` checks the value.
    pub(super) const fn writable(mut self, validator: Validator) -> Self {
        self.validator = Some(validator);
        self
    }

    pub(super) const fn identifying(mut self) -> Self {
        self.is_identifying = true;
        self
    }

    pub(super) const fn required(mut self) -> Self {
        if let FieldSource::Column { column, scalar, folded, .. } = self.source {
            self.source = FieldSource::Column { column, scalar, folded, required: true };
        }
        self
    }
}

const fn plain(
    name: &'static str,
    category: DataCategory,
    column: &'static str,
    scalar: Scalar,
    doc: &'static str,
) -> Field {
    let mut field = Field::new(
        name,
        category,
        doc,
        FieldSource::Column { column, scalar, folded: None, required: false },
    );
    if !matches!(scalar, Scalar::Text) {
        field.mask = Mask::Null;
    }
    field
}

/// The key, readable if any other field of the type is.
pub(super) const fn id() -> Field {
    plain("id", DataCategory::Key, "id", Scalar::Id, "Opaque id (UUIDv7).").required().filterable()
}

/// When the record was created.
pub(super) const fn created_at() -> Field {
    time("createdAt", DataCategory::Key, "created_at", "When the record was created.").required()
}

pub(super) const fn text(
    name: &'static str,
    category: DataCategory,
    column: &'static str,
    doc: &'static str,
) -> Field {
    plain(name, category, column, Scalar::Text, doc)
}

/// Text that is compared by its folded companion column.
pub(super) const fn folded(
    name: &'static str,
    category: DataCategory,
    column: &'static str,
    folded: &'static str,
    doc: &'static str,
) -> Field {
    Field::new(
        name,
        category,
        doc,
        FieldSource::Column { column, scalar: Scalar::Text, folded: Some(folded), required: false },
    )
    .filterable()
}

pub(super) const fn time(
    name: &'static str,
    category: DataCategory,
    column: &'static str,
    doc: &'static str,
) -> Field {
    plain(name, category, column, Scalar::DateTime, doc).filterable()
}

pub(super) const fn date(
    name: &'static str,
    category: DataCategory,
    column: &'static str,
    doc: &'static str,
) -> Field {
    plain(name, category, column, Scalar::Date, doc)
}

pub(super) const fn int(
    name: &'static str,
    category: DataCategory,
    column: &'static str,
    doc: &'static str,
) -> Field {
    plain(name, category, column, Scalar::Int, doc)
}

pub(super) const fn list(
    name: &'static str,
    category: DataCategory,
    column: &'static str,
    doc: &'static str,
) -> Field {
    plain(name, category, column, Scalar::TextList, doc)
}

pub(super) const fn choice(
    name: &'static str,
    category: DataCategory,
    column: &'static str,
    of: &'static EnumType,
    doc: &'static str,
) -> Field {
    plain(name, category, column, Scalar::Enum(of), doc)
}

/// An id that may refer to a row of any type.
pub(super) const fn reference(
    name: &'static str,
    category: DataCategory,
    column: &'static str,
    doc: &'static str,
) -> Field {
    plain(name, category, column, Scalar::Id, doc).filterable()
}

/// Sealed values of an audit entry.
pub(super) const fn sealed(name: &'static str, after: bool, doc: &'static str) -> Field {
    plain(name, DataCategory::AuditValue, "sealed", Scalar::Sealed { after }, doc)
}

/// A status that expires with time.
pub(super) const fn expiring(
    name: &'static str,
    category: DataCategory,
    column: &'static str,
    of: &'static EnumType,
    doc: &'static str,
) -> Field {
    plain(name, category, column, Scalar::Expiring(of), doc)
}

pub(super) const fn choices(
    name: &'static str,
    category: DataCategory,
    column: &'static str,
    of: &'static EnumType,
    doc: &'static str,
) -> Field {
    plain(name, category, column, Scalar::EnumList(of), doc)
}

const fn link(name: &'static str, doc: &'static str, source: FieldSource) -> Field {
    let mut field = Field::new(name, DataCategory::Link, doc, source);
    field.mask = Mask::Null;
    field
}

pub(super) const fn to_one(
    name: &'static str,
    object: &'static ObjectType,
    column: &'static str,
    doc: &'static str,
) -> Field {
    link(name, doc, FieldSource::One { object, column })
}

pub(super) const fn to_many(
    name: &'static str,
    object: &'static ObjectType,
    column: &'static str,
    doc: &'static str,
) -> Field {
    link(name, doc, FieldSource::Many { object, column })
}

pub(super) const fn connection(
    name: &'static str,
    object: &'static ObjectType,
    column: &'static str,
    doc: &'static str,
) -> Field {
    link(name, doc, FieldSource::Connection { object, column })
}

pub(super) const fn computed(
    name: &'static str,
    category: DataCategory,
    source: FieldSource,
    doc: &'static str,
) -> Field {
    let mut field = Field::new(name, category, doc, source);
    field.mask = Mask::Null;
    field
}
