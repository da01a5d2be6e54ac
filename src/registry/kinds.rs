//! Kinds of data and of values. Room: registry.

use super::enums::EnumType;

/// The kind of data in a field; the policy grants rights by it (`data:<category>`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DataCategory {
    /// `id`, `createdAt`: readable if any other field of the type is.
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
    /// Links through which the person decides.
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
    /// A reference from one governed type to another.
    Link,
}

impl DataCategory {
    /// The name in the policy.
    pub fn as_str(self) -> &'static str {
        match self {
            DataCategory::Key => "key",
            DataCategory::Identity => "identity",
            DataCategory::Email => "email",
            DataCategory::Phone => "phone",
            DataCategory::Postal => "postal",
            DataCategory::Employment => "employment",
            DataCategory::Birth => "birth",
            DataCategory::FreeText => "free_text",
            DataCategory::Preference => "preference",
            DataCategory::Technical => "technical",
            DataCategory::Provenance => "provenance",
            DataCategory::Ground => "ground",
            DataCategory::Objection => "objection",
            DataCategory::Consent => "consent",
            DataCategory::Request => "request",
            DataCategory::Restriction => "restriction",
            DataCategory::Audit => "audit",
            DataCategory::AuditValue => "audit_value",
            DataCategory::Administration => "administration",
            DataCategory::Link => "link",
        }
    }
}

/// The channels of which one consent must cover a field under a purpose on consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RequiredChannel {
    /// A consent for e-mail.
    Email,
    /// A consent for calls or text messages.
    Phone,
    /// A consent for post.
    Post,
}

/// What a caller with masked access receives. Masks keep the type; null stays null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// `***`: reveals nothing.
    Hidden,
    /// `***@***`: reveals neither length nor domain.
    Email,
    /// The year of a date, a reduced-precision ISO 8601 string (`1984`).
    Year,
    /// The first letter: `S***`.
    Initial,
    /// There is no masked form; the value is null.
    Null,
}

/// The type of value in a column.
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
    /// A status that becomes `EXPIRED` when `expires_at` has passed while it is `GRANTED`.
    Expiring(&'static EnumType),
    /// Sealed values of an audit entry, before or after the change; a JSON object keyed by coordinate.
    Sealed {
        /// Whether these are the values after the change.
        after: bool,
    },
}
