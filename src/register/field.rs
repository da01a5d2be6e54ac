//! How one governed field is declared (floor 1).

use super::{Check, EnumType, ObjectType};

/// The kind of data a field holds; the policy grants by it (`data:<category>`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Category {
    /// `id`, `createdAt`: readable where any field of the type is.
    Key,
    /// Names and language.
    Identity,
    /// E-mail addresses.
    Email,
    /// Phone numbers.
    Phone,
    /// Postal addresses and their parts.
    Postal,
    /// Company and job.
    Employment,
    /// Birth date.
    Birth,
    /// Text written by staff.
    FreeText,
    /// Links by which the person decides.
    Preference,
    /// State and bookkeeping of a record.
    Technical,
    /// Where a value comes from.
    Provenance,
    /// Recorded grounds.
    Ground,
    /// Objections.
    Objection,
    /// Consents and their events.
    Consent,
    /// Data-subject requests.
    Request,
    /// Restrictions of processing.
    Restriction,
    /// What was done, by whom, when.
    Audit,
    /// Values before and after a change.
    AuditValue,
    /// Tokens and recipients.
    Administration,
    /// The way from one governed type to another.
    Link,
}

impl Category {
    /// The name in the policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Category::Key => "key",
            Category::Identity => "identity",
            Category::Email => "email",
            Category::Phone => "phone",
            Category::Postal => "postal",
            Category::Employment => "employment",
            Category::Birth => "birth",
            Category::FreeText => "free_text",
            Category::Preference => "preference",
            Category::Technical => "technical",
            Category::Provenance => "provenance",
            Category::Ground => "ground",
            Category::Objection => "objection",
            Category::Consent => "consent",
            Category::Request => "request",
            Category::Restriction => "restriction",
            Category::Audit => "audit",
            Category::AuditValue => "audit_value",
            Category::Administration => "administration",
            Category::Link => "link",
        }
    }
}

/// The channels whose consent a field needs under a purpose on consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cover {
    /// A consent for e-mail.
    Email,
    /// A consent for calls or text messages.
    Phone,
    /// A consent for post.
    Post,
}

/// What a caller gets who may only see the masked value. Masks keep the type; null stays null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// `***`: nothing of the value.
    Hidden,
    /// `***@***`: neither length nor domain.
    Email,
    /// The year of a date, a reduced-precision ISO 8601 string (`1984`).
    Year,
    /// The first letter: `S***`.
    Initial,
    /// There is no masked form: masked is null.
    Null,
}

/// What kind of value a column holds.
#[derive(Clone, Copy, Debug)]
pub enum Scalar {
    /// An opaque UUID.
    Id,
    /// Text.
    Text,
    /// A JSON array of text.
    TextList,
    /// A JSON array of names of an enum.
    EnumList(&'static EnumType),
    /// A 32-bit integer.
    Int,
    /// An instant, RFC 3339 in UTC.
    DateTime,
    /// A calendar date, ISO 8601.
    Date,
    /// One of an enum's names.
    Enum(&'static EnumType),
    /// A status that reads `EXPIRED` once `expires_at` has passed while it is `GRANTED`.
    Expiring(&'static EnumType),
    /// Sealed values of an audit entry, before or after the change; a JSON object by coordinate.
    Sealed {
        /// Whether those after the change.
        after: bool,
    },
}

/// How a field is read.
#[derive(Clone, Copy, Debug)]
pub enum Read {
    /// A column of the type's table.
    Column {
        /// The column.
        column: &'static str,
        /// What it holds.
        scalar: Scalar,
        /// The folded companion that text is compared in.
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
    /// Whether the end of the period has passed while the request is open.
    Overdue,
    /// Whether the consent is in force and its review has come.
    ReviewDue,
    /// The link to the person's preference page, made for the address in this column.
    Preference {
        /// Key of the mailbox that it is bound to.
        column: &'static str,
    },
    /// The one row of `object` that `column` names.
    One {
        /// The other type.
        object: &'static ObjectType,
        /// The column of this table that names it.
        column: &'static str,
    },
    /// All rows of `object` whose `column` names this row.
    Many {
        /// The other type.
        object: &'static ObjectType,
        /// The column of the other table that names this row.
        column: &'static str,
    },
    /// The same as a Relay connection.
    Connection {
        /// The other type.
        object: &'static ObjectType,
        /// The column of the other table that names this row.
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
    /// What kind of data.
    pub category: Category,
    /// The channel it belongs to.
    pub cover: Option<Cover>,
    /// How it is read.
    pub read: Read,
    /// What the masked value looks like.
    pub mask: Mask,
    /// Whether lists can be filtered and ordered by it.
    pub comparable: bool,
    /// What filters call it, where not by its name; the name serves in filters until the next version.
    pub filtered_as: Option<&'static str>,
    /// Whether `search` looks into it.
    pub searched: bool,
    /// How a given value is checked; `None` where no input gives it as such.
    pub check: Option<Check>,
    /// Whether it tells who somebody is or how to reach them.
    pub identifies: bool,
}

impl Read {
    /// Whether it is made of columns that are fields of their own, and can be neither given nor changed.
    pub fn is_derived(&self) -> bool {
        matches!(self, Read::Overdue | Read::ReviewDue | Read::Preference { .. })
    }

    /// The type it leads to, if it leads to another.
    pub fn leads_to(&self) -> Option<&'static ObjectType> {
        match self {
            Read::One { object, .. } | Read::Many { object, .. } | Read::Connection { object, .. } => {
                Some(object)
            }
            _ => None,
        }
    }

    /// Whether it is true or false of each row.
    pub fn is_flag(&self) -> bool {
        matches!(self, Read::Overdue | Read::ReviewDue)
    }
}

impl Field {
    const fn new(name: &'static str, category: Category, doc: &'static str, read: Read) -> Self {
        Self {
            name,
            doc,
            category,
            cover: None,
            read,
            mask: Mask::Hidden,
            comparable: false,
            filtered_as: None,
            searched: false,
            check: None,
            identifies: false,
        }
    }

    /// The column it is read from, if it is one.
    pub fn column(&self) -> Option<&'static str> {
        match self.read {
            Read::Column { column, .. } | Read::One { column, .. } => Some(column),
            _ => None,
        }
    }

    /// Its name in order enums: `familyName` as `FAMILY_NAME`.
    pub fn order_name(&self) -> String {
        self.name.chars().fold(String::new(), |mut name, c| {
            if c.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(c.to_ascii_uppercase());
            name
        })
    }

    pub(super) const fn covered_by(mut self, cover: Cover) -> Self {
        self.cover = Some(cover);
        self
    }

    pub(super) const fn masked(mut self, mask: Mask) -> Self {
        self.mask = mask;
        self
    }

    /// Lists can be filtered and ordered by it.
    pub(super) const fn comparable(mut self) -> Self {
        self.comparable = true;
        self
    }

    /// Lists can be filtered and ordered by it; filters call it `name`.
    pub(super) const fn comparable_as(mut self, name: &'static str) -> Self {
        self.filtered_as = Some(name);
        self.comparable()
    }

    pub(super) const fn searched(mut self) -> Self {
        self.searched = true;
        self
    }

    /// Inputs and imports give it, checked so.
    pub(super) const fn given(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    pub(super) const fn identifying(mut self) -> Self {
        self.identifies = true;
        self
    }

    pub(super) const fn required(mut self) -> Self {
        if let Read::Column { column, scalar, folded, .. } = self.read {
            self.read = Read::Column { column, scalar, folded, required: true };
        }
        self
    }
}

const fn plain(
    name: &'static str,
    category: Category,
    column: &'static str,
    scalar: Scalar,
    doc: &'static str,
) -> Field {
    let mut field =
        Field::new(name, category, doc, Read::Column { column, scalar, folded: None, required: false });
    if !matches!(scalar, Scalar::Text) {
        field.mask = Mask::Null;
    }
    field
}

/// The key, readable where any field of the type is.
pub(super) const fn id() -> Field {
    plain("id", Category::Key, "id", Scalar::Id, "Opaque id (UUIDv7).").required().comparable()
}

/// When the record was made.
pub(super) const fn created_at() -> Field {
    time("createdAt", Category::Key, "created_at", "When the record was made.").required()
}

pub(super) const fn text(
    name: &'static str,
    category: Category,
    column: &'static str,
    doc: &'static str,
) -> Field {
    plain(name, category, column, Scalar::Text, doc)
}

/// Text that is compared in its folded companion column.
pub(super) const fn folded(
    name: &'static str,
    category: Category,
    column: &'static str,
    folded: &'static str,
    doc: &'static str,
) -> Field {
    Field::new(
        name,
        category,
        doc,
        Read::Column { column, scalar: Scalar::Text, folded: Some(folded), required: false },
    )
    .comparable()
}

pub(super) const fn time(
    name: &'static str,
    category: Category,
    column: &'static str,
    doc: &'static str,
) -> Field {
    plain(name, category, column, Scalar::DateTime, doc).comparable()
}

pub(super) const fn date(
    name: &'static str,
    category: Category,
    column: &'static str,
    doc: &'static str,
) -> Field {
    plain(name, category, column, Scalar::Date, doc)
}

pub(super) const fn int(
    name: &'static str,
    category: Category,
    column: &'static str,
    doc: &'static str,
) -> Field {
    plain(name, category, column, Scalar::Int, doc)
}

pub(super) const fn list(
    name: &'static str,
    category: Category,
    column: &'static str,
    doc: &'static str,
) -> Field {
    plain(name, category, column, Scalar::TextList, doc)
}

pub(super) const fn choice(
    name: &'static str,
    category: Category,
    column: &'static str,
    of: &'static EnumType,
    doc: &'static str,
) -> Field {
    plain(name, category, column, Scalar::Enum(of), doc)
}

/// An id of something that may be of any type.
pub(super) const fn reference(
    name: &'static str,
    category: Category,
    column: &'static str,
    doc: &'static str,
) -> Field {
    plain(name, category, column, Scalar::Id, doc).comparable()
}

/// Sealed values of an audit entry.
pub(super) const fn sealed(name: &'static str, after: bool, doc: &'static str) -> Field {
    plain(name, Category::AuditValue, "sealed", Scalar::Sealed { after }, doc)
}

/// A status that ends by time.
pub(super) const fn expiring(
    name: &'static str,
    category: Category,
    column: &'static str,
    of: &'static EnumType,
    doc: &'static str,
) -> Field {
    plain(name, category, column, Scalar::Expiring(of), doc)
}

pub(super) const fn choices(
    name: &'static str,
    category: Category,
    column: &'static str,
    of: &'static EnumType,
    doc: &'static str,
) -> Field {
    plain(name, category, column, Scalar::EnumList(of), doc)
}

const fn link(name: &'static str, doc: &'static str, read: Read) -> Field {
    let mut field = Field::new(name, Category::Link, doc, read);
    field.mask = Mask::Null;
    field
}

pub(super) const fn one(
    name: &'static str,
    object: &'static ObjectType,
    column: &'static str,
    doc: &'static str,
) -> Field {
    link(name, doc, Read::One { object, column })
}

pub(super) const fn many(
    name: &'static str,
    object: &'static ObjectType,
    column: &'static str,
    doc: &'static str,
) -> Field {
    link(name, doc, Read::Many { object, column })
}

pub(super) const fn connection(
    name: &'static str,
    object: &'static ObjectType,
    column: &'static str,
    doc: &'static str,
) -> Field {
    link(name, doc, Read::Connection { object, column })
}

pub(super) const fn computed(name: &'static str, category: Category, read: Read, doc: &'static str) -> Field {
    let mut field = Field::new(name, category, doc, read);
    field.mask = Mask::Null;
    field
}
